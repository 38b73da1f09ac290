//! Orders near midnight: nothing is said of them before the next day's bill was read.

use payments::reconcile::difference::Decision;
use stores::reconciliation::SaveOutcome;
use wechatpay_simulator::{
    Endpoint, Fault, PayOptions, PlantedDifference, RefundOutcome, RefundStatus, Rule,
    WantedDifference,
};

use super::kinds::{every_fen_has_come_to_an_end, the_ends_add_up};
use crate::support::Testbed;

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_shortly_before_midnight_that_its_bill_lacks_counts_with_the_next_days() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("NOON-1").await;
    testbed.until(day, 23, 58).await;
    testbed.paid("LATE-1").await;
    let drop = |order| {
        WantedDifference::picked(&day.to_string(), PlantedDifference::DropPayment).of_order(order)
    };
    testbed.plant(drop("LATE-1"));
    testbed.until(day.plus_days(1), 10, 30).await;

    let run = testbed.reconcile(day, false).await;
    assert_eq!(testbed.difference_lines(day).await, Vec::<String>::new());
    assert_eq!(run.carried(), 1);
    let shown = testbed.shown_day(day).await;
    let by_end = &shown["totals"]["difference_by"];
    let payments = ["open", "other_days"].map(|end| by_end[end]["payments"].as_i64());
    assert_eq!(
        payments,
        [Some(0), Some(-1)],
        "in no difference yet: {by_end}"
    );

    let next = day.plus_days(1);
    testbed.until(day.plus_days(2), 10, 30).await;
    let run = testbed.reconcile(next, false).await;
    assert_eq!(
        testbed.difference_lines(next).await,
        ["paid_here_absent_there LATE-1 open"],
        "it is in neither bill"
    );
    every_fen_has_come_to_an_end(&testbed, &run).await;

    // On its own day it is open by now, and stays so when that day is run again.
    for again in [false, true] {
        if again {
            testbed.reconcile(day, false).await;
        }
        let shown = testbed.shown_day(day).await;
        let by_end = &shown["totals"]["difference_by"];
        let payments = ["open", "other_days"].map(|end| by_end[end]["payments"].as_i64());
        assert_eq!(payments, [Some(-1), Some(0)], "{by_end}");
        the_ends_add_up(&testbed, day).await;
        assert_eq!(testbed.difference_lines(day).await, Vec::<String>::new());
        assert_eq!(
            testbed.difference_lines(next).await,
            ["paid_here_absent_there LATE-1 open"]
        );
    }
    let [found] = testbed.differences_of(next).await.try_into().unwrap();
    let explained = found
        .decided(
            Decision::Explain,
            "li",
            "it is in no bill",
            testbed.clock.now(),
        )
        .unwrap();
    let saved = testbed.reconciliation.save_difference(&explained).await;
    assert_eq!(saved.unwrap(), SaveOutcome::Saved);
    let shown = testbed.shown_day(day).await;
    let by_end = &shown["totals"]["difference_by"];
    let payments = ["open", "explained"].map(|end| by_end[end]["payments"].as_i64());
    assert_eq!(payments, [Some(0), Some(-1)], "{by_end}");
}

/// A second payment of an order comes at noon or shortly before midnight; WeChat Pay sent a notice
/// of it, and no bill has it.
#[tokio::test(flavor = "multi_thread")]
async fn money_that_is_kept_for_a_person_and_in_no_bill_is_a_difference_of_its_own() {
    for is_late in [false, true] {
        let testbed = Testbed::start().await;
        let day = testbed.fresh_day().await;
        testbed.paid("TWICE-1").await;
        if is_late {
            testbed.until(day, 23, 55).await;
        }
        let admin = testbed.wechat.admin();
        admin.pay_again("TWICE-1", &PayOptions::default()).unwrap();
        testbed.deliver().await;
        assert_eq!(testbed.work_off().await, 0);
        let [parked] = testbed.items("payment#").await.try_into().unwrap();
        assert_eq!(parked["state"], "parked");
        let mut drop = WantedDifference::picked(&day.to_string(), PlantedDifference::DropPayment);
        drop.transaction_id = Some(parked["transaction_id"].clone());
        testbed.plant(drop.of_order("TWICE-1"));
        let found_on = day.plus_days(i64::from(is_late));
        testbed.until(found_on.plus_days(1), 10, 30).await;
        for date in [day, found_on] {
            testbed.reconcile(date, false).await;
        }
        let expected = "paid_here_absent_there TWICE-1 open";
        assert_eq!(
            testbed.difference_lines(found_on).await,
            [expected],
            "late: {is_late}"
        );
        let [found] = testbed.differences_of(found_on).await.try_into().unwrap();
        let here = found.here.unwrap();
        assert_eq!(
            (here.state.as_deref(), here.amount_fen),
            (Some("parked"), Some(100))
        );
        let shown = testbed.shown_day(day).await;
        let by_end = &shown["totals"]["difference_by"];
        let payments = ["open", "other_days"].map(|end| by_end[end]["payments"].as_i64());
        assert_eq!(payments, [Some(-1), Some(0)], "{by_end}");
        the_ends_add_up(&testbed, day).await;
        // Run again, it is still one.
        testbed.reconcile(found_on, false).await;
        assert_eq!(testbed.difference_lines(found_on).await, [expected]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_on_either_side_of_midnight_stand_in_the_bill_of_their_own_day() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.until(day, 23, 59).await;
    testbed.paid("BEFORE-1").await;
    testbed.until(day.plus_days(1), 0, 1).await;
    testbed.paid("AFTER-1").await;
    testbed.until(day.plus_days(2), 10, 30).await;
    for date in [day, day.plus_days(1)] {
        let run = testbed.reconcile(date, false).await;
        assert_eq!(testbed.difference_lines(date).await, Vec::<String>::new());
        assert_eq!(run.there().all().payments, 1);
        assert_eq!(run.here().all().payments, 1);
        assert_eq!(run.carried(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trade_carried_to_a_day_that_is_done_makes_that_day_run_again() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.until(day, 23, 58).await;
    testbed.paid("LATE-1").await;
    let drop = |order| {
        WantedDifference::picked(&day.to_string(), PlantedDifference::DropPayment).of_order(order)
    };
    testbed.plant(drop("LATE-1"));
    let next = day.plus_days(1);
    testbed.until(next.plus_days(1), 10, 30).await;
    testbed.reconcile(next, false).await;
    assert_eq!(testbed.difference_lines(next).await, Vec::<String>::new());

    // The day before is late: its run failed, say, and a person ran it again.
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.difference_lines(next).await,
        ["paid_here_absent_there LATE-1 open"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_without_news_of_its_acceptance_is_found_in_the_bill_of_the_day_before() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    let next = day.plus_days(1);
    testbed.paid("ORDER-1").await;
    testbed.until(day, 22, 0).await;
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Hold);
    // WeChat Pay takes the refund on, and does not answer any question about it that day.
    for call in [Endpoint::CreateRefund, Endpoint::QueryRefund] {
        let lost = Rule::always(Fault::ServerErrorAfter { status: 500 }).at(call);
        admin.add_fault(lost).unwrap();
    }
    assert_eq!(testbed.refund("ORDER-1", "R1", 40).await.status, 202);
    testbed.work_off().await;
    admin.clear_faults(None);
    testbed.until(next, 0, 30).await;
    let [refund] = admin.refunds().try_into().unwrap();
    admin
        .settle_refund(&refund.out_refund_no, RefundStatus::Success)
        .unwrap();
    testbed.deliver().await;
    testbed.work_off().await;
    let state = testbed.get_refund("ORDER-1", "R1").await.body["state"].clone();
    assert_eq!(state, "succeeded");

    testbed.until(next.plus_days(1), 10, 30).await;
    for date in [day, next] {
        testbed.reconcile(date, false).await;
        assert_eq!(
            testbed.difference_lines(date).await,
            Vec::<String>::new(),
            "{date}"
        );
    }
}
