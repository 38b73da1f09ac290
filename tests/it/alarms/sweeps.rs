//! Sweeps that do not run, read nothing, or leave what is due.

use std::time::Duration;

use reconcile::handler::Output;
use testbed::{Fault as AwsFault, Match, Service};

use super::template_alarms::CloudWatch;
use super::{MINUTE, Watch, daily, minute, well};
use crate::{
    runbooks,
    support::{Lines, Testbed, native, start_wechat},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_schedule_of_sweeps_is_an_alarm_after_five_minutes_whatever_the_queue_has_to_do() {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    testbed.until(day.plus_days(1), 11, 0).await;
    for _ in 0..6 {
        testbed.advance(MINUTE).await;
        watch.of(testbed.sweep()).await;
    }
    for minutes in 1..=6 {
        testbed.advance(MINUTE).await;
        daily(&testbed, &mut watch, day).await;
        watch.of(testbed.certificates()).await;
        assert_eq!(watch.is_met("sweep-missing"), minutes == 6, "{minutes}");
    }
    watch.goes_on("sweep-missing");
    for _ in 0..2 {
        watch.of(testbed.sweep()).await;
        testbed.advance(MINUTE).await;
    }
    watch.goes_off("sweep-missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_been_due_for_five_minutes_and_was_not_checked_is_an_alarm() {
    let (mut testbed, mut watch) = well(2).await;
    // While no host answers, each sweep tries a few orders and leaves the others due.
    for number in 0..60 {
        let order = format!("ORDER-{number}-LATE");
        watch.of(testbed.post_order(&native(&order))).await;
    }
    let port = testbed.wechat.addr.port();
    testbed.wechat = start_wechat(testbed.clock.now(), 0);
    let due_s = loop {
        testbed.advance(MINUTE).await;
        let report = watch.of(testbed.sweep()).await;
        let overdue_s = report.overdue_s.values().copied().max();
        let overdue_s = overdue_s.unwrap_or_default();
        if overdue_s <= 90 {
            assert!(!watch.not_quiet().contains("sweep-behind"), "{overdue_s}");
        }
        if overdue_s > 180 {
            break testbed.clock.now().0 - overdue_s;
        }
    };
    while testbed.clock.now().0 + 60 < due_s + 300 {
        testbed.advance(MINUTE).await;
        watch.of(testbed.sweep()).await;
    }
    let left_s = due_s + 300 - testbed.clock.now().0;
    testbed
        .advance(Duration::from_secs(left_s.unsigned_abs()))
        .await;
    for alarm in ["sweep-behind", "payments-late"] {
        watch.goes_on(alarm);
    }
    testbed.wechat = start_wechat(testbed.clock.now(), port);
    for _ in 0..20 {
        watch.of(testbed.sweep()).await;
        testbed.advance(MINUTE).await;
    }
    for alarm in ["sweep-behind", "payments-late"] {
        watch.goes_off(alarm);
    }
}

#[test]
fn what_is_due_and_not_checked_is_an_alarm_within_five_minutes_whatever_the_second_of_the_sweeps() {
    let mut cloud = CloudWatch::of_template();
    let begun_ms = 29_759_280 * 60_000;
    for (due_s, sweeps_at_s) in (0..60).flat_map(|due_s| (0..60).map(move |at_s| (due_s, at_s))) {
        // The lines of the sweeps that found it, each some seconds after its sweep began.
        let found_s = (0..=300).filter(|after_s| (due_s + after_s) % 60 == sweeps_at_s);
        let lines: Vec<_> = found_s
            .filter(|after_s| after_s + 5 <= 300)
            .map(|overdue_s| (begun_ms + (due_s + overdue_s + 5) * 1000, overdue_s))
            .collect();
        let five_minutes_later_ms = begun_ms + (due_s + 300) * 1000;
        cloud.forget();
        for (at_ms, overdue_s) in &lines {
            cloud.take_metric("OldestOverdue", *overdue_s, *at_ms);
        }
        assert!(
            cloud.met(five_minutes_later_ms).contains("sweep-behind"),
            "due at {due_s} s, sweeps at {sweeps_at_s} s: {lines:?}"
        );
        // One sweep that did not run is made up for by the next one.
        cloud.forget();
        for (minute, overdue_s) in [(0, 59), (2, 119), (3, 59), (4, 59)] {
            let at_s = minute * 60 + sweeps_at_s;
            cloud.take_metric("OldestOverdue", overdue_s, begun_ms + at_s * 1000);
        }
        let later_ms = begun_ms + (240 + sweeps_at_s) * 1000;
        assert!(!cloud.not_quiet(later_ms).contains("sweep-behind"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_can_read_nothing_says_why_and_fails_as_lambda_counts_it() {
    let testbed = Testbed::start().await;
    for (fault, says) in [
        (AwsFault::Throttled, "was throttled"),
        (AwsFault::Denied, "AccessDenied"),
    ] {
        let query = Match::operation(Service::DynamoDb, "Query");
        let query = query.on(&testbed.tables.orders);
        testbed.wire.break_all(query, fault);
        let lines = Lines::default();
        let swept = lines.of(testbed.try_sweep()).await;
        testbed.wire.mend();
        match swept {
            Err(_) => {}
            // Repeats of calls that are throttled take up its time.
            Ok(Output::Sweep(report)) if fault == AwsFault::Throttled => {
                assert!(report.parts_unreadable > 0, "{report:?}");
            }
            Ok(other) => panic!("{fault:?}: {other:?}"),
        }
        let warnings = lines.take("WARN");
        let unread = warnings
            .iter()
            .find(|line| line["message"] == "a part of the index could not be read");
        let error = unread.expect("a line")["error"].to_string();
        assert!(error.contains(says), "{error}");
    }
    let row = runbooks::row("functions.md", "`a part of the index could not be read`");
    for words in ["`was throttled`", "`AccessDeniedException`"] {
        assert!(row.contains(words), "{words}");
    }
    assert!(testbed.try_sweep().await.is_ok(), "the next minute's");
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_whose_callbacks_never_come_are_an_alarm_until_they_come_again() {
    let (testbed, mut watch) = well(1).await;
    // One callback that is lost among others is none.
    for number in 0..10 {
        watch
            .of(testbed.paid_in_silence(&format!("LOST-{number}")))
            .await;
        minute(&testbed, &mut watch, 100 + number).await;
    }
    watch.goes_off("settlement-late");
    // Now none comes: the sweep finds each payment minutes later.
    for number in 10..40 {
        watch
            .of(testbed.paid_in_silence(&format!("LOST-{number}")))
            .await;
        testbed.advance(MINUTE).await;
        watch.of(testbed.sweep()).await;
        watch.of(testbed.work_off()).await;
    }
    for alarm in ["settlement-late", "payments-late"] {
        watch.goes_on(alarm);
    }
    for number in 0..20 {
        minute(&testbed, &mut watch, 200 + number).await;
    }
    for alarm in ["settlement-late", "payments-late"] {
        watch.goes_off(alarm);
    }
}
