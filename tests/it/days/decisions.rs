//! Money that is not ours to keep: proposed by a run, approved by two persons, given back once.

use payments::reconcile::{
    difference::{self, State},
    run::BillDate,
};
use wechatpay_simulator::{
    ConsoleRefund, Difference, PayOptions, RefundOutcome, RefundStatus, WantedDifference,
};

use crate::support::Bench;

/// A day that was reconciled, and its one difference: an order was paid twice, and nobody was told.
async fn a_second_payment(bench: &Bench) -> (BillDate, difference::Difference) {
    a_second_payment_in(bench, false).await
}

/// The same, by a preview or a run in earnest.
async fn a_second_payment_in(bench: &Bench, dry_run: bool) -> (BillDate, difference::Difference) {
    let day = bench.fresh_day().await;
    bench.paid("TWICE-1").await;
    let admin = bench.wechat.admin();
    bench
        .in_silence(async {
            admin.pay_again("TWICE-1", &PayOptions::default()).unwrap();
        })
        .await;
    bench.until(day.plus_days(1), 10, 30).await;
    bench.reconcile(day, dry_run).await;
    let [found] = bench.differences_of(day).await.try_into().unwrap();
    (day, found)
}

/// The refund that was approved is sent, and WeChat Pay tells how it ended.
async fn the_refund_ends(bench: &Bench) {
    assert_eq!(bench.work_off().await, 0);
    bench.advance(std::time::Duration::from_secs(60)).await;
    assert_eq!(bench.work_off().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_payment_goes_back_once_two_persons_approved_it() {
    let bench = Bench::start().await;
    let (day, proposed) = a_second_payment(&bench).await;
    let admin = bench.wechat.admin();
    assert_eq!(proposed.state, State::Proposed);
    assert_eq!(admin.refunds().len(), 0, "nothing moves before");

    bench.two_approve(&proposed).await;
    assert_eq!(
        bench.told(day).await,
        ["duplicate_payment TWICE-1 repaired"]
    );
    the_refund_ends(&bench).await;
    let [refund] = admin.refunds().try_into().unwrap();
    assert_eq!(
        Some(refund.transaction_id.as_str()),
        proposed.about.transaction_id.as_deref()
    );
    assert_eq!(
        (refund.status, refund.refund_fen),
        (RefundStatus::Success, 100)
    );
    assert_eq!(bench.order("TWICE-1").await.state.name(), "paid");

    // However often it is run and sent again, that was it.
    bench
        .send_work(&adapters::queues::ReconcileWork::ApplyV1 {
            date: day,
            id: proposed.id,
        })
        .await;
    bench.reconcile(day, false).await;
    assert_eq!(bench.work_off().await, 0);
    assert_eq!(admin.refunds().len(), 1);
    assert_eq!(
        bench.told(day).await,
        ["duplicate_payment TWICE-1 repaired"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn money_for_an_order_that_nobody_made_goes_back_once_two_persons_approved_it() {
    let bench = Bench::start().await;
    let day = bench.fresh_day().await;
    bench.paid("ORDER-1").await;
    let foreign = Difference::UnknownOrder { fen: Some(500) };
    bench.plant(WantedDifference::picked(&day.to_string(), foreign).of_order("FOREIGN-1"));
    bench.until(day.plus_days(1), 10, 30).await;
    bench.reconcile(day, false).await;
    let [proposed] = bench.differences_of(day).await.try_into().unwrap();
    assert_eq!(proposed.state, State::Proposed);

    bench.two_approve(&proposed).await;
    assert_eq!(
        bench.told(day).await,
        ["unknown_order_there FOREIGN-1 repaired"]
    );
    the_refund_ends(&bench).await;
    let admin = bench.wechat.admin();
    let [refund] = admin.refunds().try_into().unwrap();
    assert_eq!(
        (refund.status, refund.refund_fen),
        (RefundStatus::Success, 500)
    );
    assert_eq!(bench.order("FOREIGN-1").await.state.name(), "refunded");

    bench.reconcile(day, false).await;
    assert_eq!(admin.refunds().len(), 1);
    assert_eq!(
        bench.told(day).await,
        ["unknown_order_there FOREIGN-1 repaired"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_whose_message_was_lost_is_carried_out_by_the_next_run_of_the_day() {
    let bench = Bench::start().await;
    let (day, proposed) = a_second_payment(&bench).await;
    let admin = bench.wechat.admin();
    let mut stands = proposed;
    for person in ["li", "wang"] {
        use payments::reconcile::difference::Decision;
        stands = stands
            .decided(Decision::Approve, person, "looked at it", bench.clock.now())
            .unwrap();
        bench.reconciliation.save_difference(&stands).await.unwrap();
    }
    bench.reconcile(day, false).await;
    assert_eq!(
        bench.told(day).await,
        ["duplicate_payment TWICE-1 repaired"]
    );
    assert_eq!(bench.work_off().await, 0);
    assert_eq!(admin.refunds().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_payment_whose_refund_failed_for_good_is_found_again_and_goes_back_by_another() {
    let bench = Bench::start().await;
    let (day, proposed) = a_second_payment(&bench).await;
    let admin = bench.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Closed);
    bench.two_approve(&proposed).await;
    the_refund_ends(&bench).await;
    assert_eq!(
        bench.told(day).await,
        ["duplicate_payment TWICE-1 repaired"]
    );

    admin.set_refund_outcome(RefundOutcome::Success);
    bench.reconcile(day, false).await;
    let [proposed] = bench.differences_of(day).await.try_into().unwrap();
    assert_eq!(proposed.state, State::Proposed, "two persons decide anew");
    assert_eq!(admin.refunds().len(), 1);
    bench.two_approve(&proposed).await;
    the_refund_ends(&bench).await;
    let ends: Vec<RefundStatus> = admin.refunds().iter().map(|one| one.status).collect();
    assert_eq!(ends, [RefundStatus::Closed, RefundStatus::Success]);
    bench.reconcile(day, false).await;
    assert_eq!(
        bench.told(day).await,
        ["duplicate_payment TWICE-1 repaired"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_only_looked_at_goes_back_too_once_two_persons_want_it() {
    use payments::reconcile::difference::Decision;
    let bench = Bench::start().await;
    let (day, open) = a_second_payment_in(&bench, true).await;
    let admin = bench.wechat.admin();
    let now = bench.clock.now();
    let proposed = open.decided(Decision::Propose, "li", "paid twice", now);
    let approved = proposed.clone().unwrap();
    let approved = approved.decided(Decision::Approve, "wang", "paid twice", now);
    for step in [proposed, approved] {
        let saved = bench.reconciliation.save_difference(&step.unwrap()).await;
        assert_eq!(saved.unwrap(), adapters::reconciliation::Saved::Yes);
    }
    bench
        .send_work(&adapters::queues::ReconcileWork::ApplyV1 {
            date: day,
            id: open.id,
        })
        .await;
    assert_eq!(bench.work_off_days().await, 0);
    assert_eq!(
        bench.told(day).await,
        ["duplicate_payment TWICE-1 repaired"]
    );
    assert_eq!(bench.work_off().await, 0);
    assert_eq!(admin.refunds().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_a_person_released_is_not_made_anew() {
    let bench = Bench::start().await;
    let (day, proposed) = a_second_payment(&bench).await;
    let admin = bench.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Refused);
    bench.two_approve(&proposed).await;
    assert_eq!(bench.work_off().await, 0);
    let id = proposed.about.transaction_id.as_deref().unwrap();
    let path = format!("/v1/orders/TWICE-1/refunds/second-{id}/release");
    let body = serde_json::json!({"who": "Li", "why": "paid back in cash"});
    let released = bench.post(&path, &body).await;
    assert_eq!(released.status, 200, "{}", released.body);
    bench.advance(std::time::Duration::from_secs(60)).await;

    admin.set_refund_outcome(RefundOutcome::Success);
    bench.reconcile(day, false).await;
    let [found] = bench.differences_of(day).await.try_into().unwrap();
    assert_eq!(found.state, State::Open, "nobody is asked to pay twice");
    let why = &found.history.last().unwrap().why;
    assert!(why.contains("a person released refund"), "{why}");
    assert_eq!(admin.refunds().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn money_of_nobodys_that_went_back_in_the_console_is_not_proposed() {
    let bench = Bench::start().await;
    let day = bench.fresh_day().await;
    let foreign = Difference::UnknownOrder { fen: Some(500) };
    bench.plant(WantedDifference::picked(&day.to_string(), foreign).of_order("FOREIGN-1"));
    bench.until(day.plus_days(1), 9, 30).await;
    let given_back = ConsoleRefund {
        order: "FOREIGN-1".to_owned(),
        refund_fen: 500,
        ..ConsoleRefund::default()
    };
    bench.wechat.admin().console_refund(&given_back).unwrap();
    bench.until(day.plus_days(1), 10, 30).await;
    bench.reconcile(day, false).await;
    let [found] = bench.differences_of(day).await.try_into().unwrap();
    assert_eq!(found.state, State::Open);
    let why = &found.history.last().unwrap().why;
    assert!(why.contains("given back already"), "{why}");
}
