//! Orders near midnight: nothing is said of them before the next day's bill was read.

use wechatpay_simulator::{
    Difference, Endpoint, Fault, RefundOutcome, RefundStatus, Rule, WantedDifference,
};

use super::kinds::every_fen_has_come_to_an_end;
use crate::support::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_shortly_before_midnight_that_its_bill_lacks_counts_with_the_next_days() {
    let bench = Bench::start().await;
    let day = bench.fresh_day().await;
    bench.paid("NOON-1").await;
    bench.until(day, 23, 58).await;
    bench.paid("LATE-1").await;
    let drop =
        |order| WantedDifference::picked(&day.to_string(), Difference::DropPayment).of_order(order);
    bench.plant(drop("LATE-1"));
    bench.until(day.plus_days(1), 10, 30).await;

    let run = bench.reconcile(day, false).await;
    assert_eq!(bench.told(day).await, Vec::<String>::new());
    assert_eq!(run.carried(), 1);
    let shown = bench.shown_day(day).await;
    let by_end = &shown["totals"]["difference_by"];
    let payments = ["open", "other_days"].map(|end| by_end[end]["payments"].as_i64());
    assert_eq!(
        payments,
        [Some(0), Some(-1)],
        "in no difference yet: {by_end}"
    );

    let next = day.plus_days(1);
    bench.until(day.plus_days(2), 10, 30).await;
    let run = bench.reconcile(next, false).await;
    assert_eq!(
        bench.told(next).await,
        ["paid_here_absent_there LATE-1 open"],
        "it is in neither bill"
    );
    every_fen_has_come_to_an_end(&bench, &run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_on_either_side_of_midnight_stand_in_the_bill_of_their_own_day() {
    let bench = Bench::start().await;
    let day = bench.fresh_day().await;
    bench.until(day, 23, 59).await;
    bench.paid("BEFORE-1").await;
    bench.until(day.plus_days(1), 0, 1).await;
    bench.paid("AFTER-1").await;
    bench.until(day.plus_days(2), 10, 30).await;
    for date in [day, day.plus_days(1)] {
        let run = bench.reconcile(date, false).await;
        assert_eq!(bench.told(date).await, Vec::<String>::new());
        assert_eq!(run.there().all().payments, 1);
        assert_eq!(run.here().all().payments, 1);
        assert_eq!(run.carried(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_carried_to_a_day_that_is_done_makes_that_day_run_again() {
    let bench = Bench::start().await;
    let day = bench.fresh_day().await;
    bench.until(day, 23, 58).await;
    bench.paid("LATE-1").await;
    let drop =
        |order| WantedDifference::picked(&day.to_string(), Difference::DropPayment).of_order(order);
    bench.plant(drop("LATE-1"));
    let next = day.plus_days(1);
    bench.until(next.plus_days(1), 10, 30).await;
    bench.reconcile(next, false).await;
    assert_eq!(bench.told(next).await, Vec::<String>::new());

    // The day before is late: its run failed, say, and a person ran it again.
    bench.reconcile(day, false).await;
    assert_eq!(
        bench.told(next).await,
        ["paid_here_absent_there LATE-1 open"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_whose_acceptance_we_never_heard_is_found_in_the_bill_of_the_day_before() {
    let bench = Bench::start().await;
    let day = bench.fresh_day().await;
    let next = day.plus_days(1);
    bench.paid("ORDER-1").await;
    bench.until(day, 22, 0).await;
    let admin = bench.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Hold);
    // WeChat Pay takes the refund on, and does not answer any question about it that day.
    for call in [Endpoint::CreateRefund, Endpoint::QueryRefund] {
        let lost = Rule::always(Fault::ServerErrorAfter { status: 500 }).at(call);
        admin.add_fault(lost).unwrap();
    }
    assert_eq!(bench.refund("ORDER-1", "R1", 40).await.status, 202);
    bench.work_off().await;
    admin.clear_faults(None);
    bench.until(next, 0, 30).await;
    let [refund] = admin.refunds().try_into().unwrap();
    admin
        .settle_refund(&refund.out_refund_no, RefundStatus::Success)
        .unwrap();
    bench.deliver().await;
    bench.work_off().await;
    let state = bench.get_refund("ORDER-1", "R1").await.body["state"].clone();
    assert_eq!(state, "succeeded");

    bench.until(next.plus_days(1), 10, 30).await;
    for date in [day, next] {
        bench.reconcile(date, false).await;
        assert_eq!(bench.told(date).await, Vec::<String>::new(), "{date}");
    }
}
