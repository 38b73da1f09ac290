//! A receiver that answers 410: when its webhook is disabled.

use std::time::Duration;

use axum::http::StatusCode;
use payments::rules::webhook::{GoneRun, LastAnswer};
use stores::keys_table::Webhook;

use super::{
    FAULTS, PLENTY_MS, Receiver, TAKES_NOTHING, WebhookTestbed, event, failed, on_the_bus,
    record_of,
};
use crate::support::Lines;

#[tokio::test(flavor = "multi_thread")]
async fn one_410_ends_nothing_and_the_event_comes_again() {
    let testbed = WebhookTestbed::start().await;
    testbed.receiver.answer_next(StatusCode::GONE);
    testbed.publish(&event("ORDER-1", 3)).await;
    assert_eq!(testbed.work_off().await, 1, "it is tried again");
    assert_eq!(testbed.hidden.times_s(), [5]);
    let again = record_of("again", on_the_bus(&event("ORDER-1", 3)), 2);
    assert!(failed(&testbed.process(vec![again], PLENTY_MS).await).is_empty());
    assert_eq!(testbed.receiver.ids(), ["ORDER-1_3"; 2]);
    assert!(testbed.kept().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_answers_410_for_hours_gets_no_more_an_error_is_logged_and_its_events_are_kept()
 {
    let testbed = WebhookTestbed::start().await;
    let lines = Lines::default();
    lines.of(testbed.say_410_for_hours()).await;
    let webhook = testbed.keys.webhook("shop").await.expect("read");
    assert!(
        matches!(webhook.as_deref(), Some(Webhook::Disabled { why, .. }) if why.contains("410")),
        "{webhook:?}"
    );
    let mut logged = lines.take("ERROR");
    logged.retain(|line| line["message"] != TAKES_NOTHING);
    let [error] = &logged[..] else {
        panic!("one ERROR line")
    };
    assert_eq!(error["client_id"], "shop");
    assert!(
        error["what_to_do"]
            .as_str()
            .is_some_and(|what| what.contains("resend"))
    );
    assert_eq!(testbed.kept().await, ["ORDER-0_3"]);
    // Later events are stored as well, repeated or not; it is logged each hour, without an alarm.
    let got = testbed.receiver.got().len();
    for seconds in [0, 1, 3_600] {
        testbed.clock.advance(Duration::from_secs(seconds));
        testbed.publish(&event("ORDER-1", 3)).await;
        assert_eq!(
            lines.of(testbed.work_off()).await,
            0,
            "done with: not tried again"
        );
    }
    let mut logged = lines.take_all();
    logged.retain(|line| line["level"] != "INFO");
    let still = "a webhook is still disabled: its events are kept and not sent";
    assert!(
        logged
            .iter()
            .all(|line| line["level"] == "WARN" && line["message"] == still),
        "{logged:?}"
    );
    assert_eq!(logged.len(), 2);
    assert_eq!(testbed.receiver.got().len(), got);
    assert_eq!(testbed.kept().await, ["ORDER-0_3", "ORDER-1_3"]);
    testbed.set_up("shop", &testbed.receiver.url(), 2).await;
    testbed.clock.advance(Duration::from_secs(60));
    testbed.publish(&event("ORDER-3", 3)).await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.receiver.ids()[got..], ["ORDER-3_3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_webhook_is_logged_although_the_sandbox_that_disabled_it_died() {
    let testbed = WebhookTestbed::start().await;
    let url = testbed.keys.webhook("shop").await.expect("read");
    let Some(Webhook::Active(endpoint)) = url.as_deref() else {
        panic!("an active webhook")
    };
    let now = testbed.clock.now();
    let run = GoneRun {
        since: now,
        counted_at: now,
        count: 4,
    };
    let gone = LastAnswer {
        answer: "410".to_owned(),
        at: now,
        since: now,
        gone: Some(run),
        failing: None,
    };
    let noted = testbed.keys.note_answer("shop", &endpoint.url, None, &gone);
    assert!(noted.await.expect("written"));
    let disabled = testbed
        .keys
        .disable_webhook("shop", &endpoint.url, &run, "410", now);
    disabled.await.expect("written");
    // Its message comes again.
    let lines = Lines::default();
    assert_eq!(lines.of(testbed.again("ORDER-1", 2)).await, 0);
    assert_eq!(lines.take("ERROR").len(), 1);
    assert_eq!(testbed.kept().await, ["ORDER-1_1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_says_410_to_one_event_and_takes_another_keeps_its_webhook() {
    let testbed = WebhookTestbed::start().await;
    for hour in 0..=8 {
        testbed.receiver.answer_next(StatusCode::GONE);
        let taken = Duration::from_millis(50);
        testbed.receiver.answer_after(taken, StatusCode::NO_CONTENT);
        let both = ["ORDER-1", "ORDER-2"];
        let both = both.map(|order| record_of(order, on_the_bus(&event(order, hour)), 1));
        let answer = testbed.process(both.into(), PLENTY_MS).await;
        assert_eq!(failed(&answer).len(), 1, "after {hour} hours");
        testbed.clock.advance(Duration::from_secs(3_600));
    }
    let state = testbed.keys.webhook_state("shop").await.expect("read");
    let state = state.expect("a webhook");
    assert_eq!(state.disabled, None);
    let last = state.last_answer.expect("an answer");
    assert_eq!((last.answer.as_str(), last.gone), ("204", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_the_disabling_of_a_webhook_is_cut_off_its_event_is_kept() {
    let testbed = WebhookTestbed::start().await;
    for fault in FAULTS {
        for nth in 0.. {
            testbed.set_up("shop", &testbed.receiver.url(), 1).await;
            testbed.clock.advance(Duration::from_secs(60));
            testbed.say_410_each_hour(6).await;
            let order = format!("ORDER-{fault:?}-{nth}");
            if !testbed.strike(&order, nth, fault, StatusCode::GONE).await {
                assert!(nth >= 4, "reading, and three writes: {nth}");
                break;
            }
            let state = testbed.keys.webhook_state("shop").await.expect("read");
            assert!(state.expect("a webhook").disabled.is_some(), "{order}");
            assert!(
                testbed.kept().await.contains(&format!("{order}_1")),
                "{order}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_place_s_410_does_not_end_the_new_one() {
    let testbed = WebhookTestbed::start().await;
    let new = Receiver::start().await;
    // The second time, the function reads the webhook and writes nothing.
    for version in [2, 3] {
        testbed.publish(&event("ORDER-1", version)).await;
        assert_eq!(
            testbed.work_off().await,
            0,
            "the function has the old place"
        );
    }
    testbed.set_up("shop", &new.url(), 2).await;
    testbed.receiver.answer_next(StatusCode::GONE);
    testbed.publish(&event("ORDER-2", 3)).await;
    assert_eq!(testbed.work_off().await, 1, "it is tried again");
    let again = record_of("again", on_the_bus(&event("ORDER-2", 3)), 2);
    let answer = testbed.process(vec![again], PLENTY_MS).await;
    assert!(failed(&answer).is_empty());
    assert_eq!(new.ids(), ["ORDER-2_3"]);
}
