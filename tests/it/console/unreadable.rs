//! Days and differences that cannot be read.

use std::collections::BTreeMap;

use matching::totals::Gaps;
use payments::reconcile::carried::CarriedTrade;
use payments::reconcile::difference::DifferenceKind;
use payments::reconcile::run::RunState;
use serde_json::{Value, json};
use testbed::{Match, Service};

use super::{damage, get, li};
use crate::support::Testbed;

#[tokio::test(flavor = "multi_thread")]
async fn a_day_whose_record_cannot_be_read_says_so_on_every_page_and_all_others_stand() {
    let testbed = Testbed::start().await;
    testbed.until(testbed.day(-1), 13, 0).await;
    let found = testbed.difference(DifferenceKind::AmountDiffers, "tea-1");
    testbed.write_difference(found.clone(), &[]).await;
    // Also one that trades were left to.
    for back in 1..=4 {
        let day = testbed.day(back);
        let run = testbed.done(day, [1_250_000, 0], [1_250_000, 0]);
        testbed.write_run(&run).await;
    }
    let damaged = testbed.day(3);
    damage(&testbed, damaged, "run").await;
    let page = async |path: String| {
        let answer = testbed.console(li(), get(&path)).await;
        assert_eq!(answer.status(), 200, "{path}: {}", answer.body());
        answer.into_body()
    };
    for back in [1, 2, 3, 4, 30] {
        let day = testbed.day(back);
        let reads = Match::operation(Service::DynamoDb, "BatchGetItem");
        testbed.wire.forget();
        let shown = page(format!("/console/{day}")).await;
        let column = format!("href=\"/console/{damaged}\" aria-label");
        let column = shown.split(&column).nth(1);
        let column = column.and_then(|rest| rest.split("</a>").next());
        let says = |column: &str| column.contains("its record cannot be read");
        let column = column.map(|column| says(column) && column.contains("failed"));
        assert_eq!(column, (back < 30).then_some(true), "{back}: in the chart");
        let is_own = back == 3;
        assert_eq!(shown.contains("id=\"unreadable\""), !is_own, "{back}");
        let own = shown.contains("The day’s record cannot be read");
        assert_eq!(own, is_own, "{back}");
        assert_eq!(shown.contains("¥12,500.00"), back < 30, "{back}: of others");
        assert!(!shown.contains("id=\"missing\""), "it may be reconciled");
        let may_run = shown.contains("name=\"dry_run\"");
        assert_eq!(may_run, !is_own, "{back}: no run of it could begin");
        if !is_own {
            // Those of the days that trades were left to are read beside.
            assert!(testbed.wire.count(&reads) <= 2, "{back}");
        }
    }
    let own = page(format!("/console/{}/differences/{}", found.date, found.id)).await;
    assert!(own.contains("id=\"unreadable\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_that_cannot_be_read_is_said_to_be_one_and_hides_no_other() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let day = testbed.day(1);
    let path = format!("/v1/reconciliations/{day}");
    let asked = async |path: &str| testbed.console(li(), get(path)).await;
    let before: Value = serde_json::from_str(asked(&path).await.body()).expect("JSON");
    let count = before["differences"]["count"].as_u64().expect("a number");
    assert!(before["totals"].get("difference_by").is_some());
    let damaged = &testbed.differences_of(day).await[0];
    let sk = format!("difference#{}", damaged.id);
    damage(&testbed, day, &sk).await;
    let shown: Value = serde_json::from_str(asked(&path).await.body()).expect("JSON");
    let of_day = &shown["differences"];
    assert_eq!(
        (&of_day["unreadable"], &of_day["count"]),
        (&json!(1), &json!(count - 1))
    );
    assert!(shown["totals"].get("difference_by").is_none(), "{shown}");
    let page = asked(&format!("/console/{day}")).await;
    assert_eq!(page.status(), 200);
    assert!(
        page.body()
            .contains("1 of this day’s differences cannot be read")
    );
    assert!(page.body().contains("ticket-1090"), "the others stand");
    // A file or a list in which one is missing would be taken for the whole.
    for whole in ["differences", "differences.csv"] {
        let answer = asked(&format!("{path}/{whole}")).await;
        assert_eq!(answer.status(), 503, "{whole}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_with_a_difference_that_cannot_be_read_is_not_green_nor_to_be_run_again() {
    let testbed = Testbed::start().await;
    let day = testbed.day(1);
    // Its sums agree, and it differs in its identity.
    let mut run = testbed.done(day, [50_000, 0], [50_000, 0]);
    let part = run.parts_done.get_mut(&0).expect("a part");
    part.differences.insert(DifferenceKind::IdentityDiffers, 1);
    testbed.write_run(&run).await;
    let found = testbed.difference(DifferenceKind::IdentityDiffers, "tea-1");
    testbed.write_difference(found.clone(), &[]).await;
    damage(&testbed, day, &format!("difference#{}", found.id)).await;
    let page = async || {
        let answer = testbed.console(li(), get(&format!("/console/{day}"))).await;
        assert_eq!(answer.status(), 200, "{}", answer.body());
        answer.into_body()
    };
    let is_neither = |page: &str| {
        for words in [
            "Both sides",
            "banner good",
            "figure good",
            "amount good",
            "is repaired, explained or decided",
            "un the day again",
            "Run again",
            "name=\"dry_run\"",
            "differences.csv",
        ] {
            assert!(!page.contains(words), "{words} is in {page}");
        }
        assert!(page.contains("banner bad"), "{page}");
        assert!(page.contains("1 of this day’s differences cannot be read"));
    };
    let alone = page().await;
    is_neither(&alone);
    assert!(alone.contains("None that can be read."), "{alone}");
    assert!(alone.contains("Done, and some differences cannot be read"));
    let repaired = testbed.difference(DifferenceKind::PaidThereUnpaidHere, "tea-2");
    let step = repaired.repaired("8f3a1c5e", "booked", testbed.clock.now());
    testbed.write_difference(repaired, &[step]).await;
    let beside = page().await;
    is_neither(&beside);
    assert!(beside.contains("tea-2"), "{beside}");
    // A run that fails for it is not to be run again either.
    run.version += 1;
    run.state = RunState::Failed;
    run.trouble = Some("something of ours cannot be read".to_owned());
    testbed.write_run(&run).await;
    let failed = page().await;
    is_neither(&failed);
    assert!(failed.contains("no run of the day can finish before"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_not_green_while_the_next_one_has_a_difference_that_cannot_be_read() {
    let testbed = Testbed::start().await;
    let day = testbed.day(2);
    let absent = testbed.difference(DifferenceKind::PaidHereAbsentThere, "tea-1");
    let id = CarriedTrade::id_of_absent(&absent).expect("a carried trade");
    let mut run = testbed.done(day, [50_000, 0], [50_000, 0]);
    let part = run.parts_done.get_mut(&0).expect("a part");
    (part.carried, part.left_of) = (1, Some("once".to_owned()));
    let left = BTreeMap::from([(id, Gaps::default())]);
    let table = &testbed.reconciliation;
    let saved = table.save_left(day, &run.id, 0, "once", &left);
    saved.await.expect("a table");
    testbed.write_run(&run).await;
    let next = testbed.done(testbed.day(1), [50_000, 0], [50_000, 0]);
    testbed.write_run(&next).await;
    let page = async || {
        let answer = testbed.console(li(), get(&format!("/console/{day}"))).await;
        assert_eq!(answer.status(), 200, "{}", answer.body());
        answer.into_body()
    };
    let before = page().await;
    assert!(before.contains("banner good") && before.contains("Both sides agree"));
    testbed.write_difference(absent.clone(), &[]).await;
    damage(&testbed, absent.date, &format!("difference#{}", absent.id)).await;
    let page = page().await;
    for words in [
        "Both sides",
        "banner good",
        "figure good",
        "un the day again",
    ] {
        assert!(!page.contains(words), "{words} is in {page}");
    }
    assert!(page.contains("Done, and a difference of the next day cannot be read"));
    assert!(page.contains("a difference of that day cannot be read"));
    // That can be run: its own differences are as they were.
    assert!(page.contains("Run again"), "{page}");
}
