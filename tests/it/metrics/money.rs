//! Money: how long a payment took to its booking and who brought the news, what is parked, and how
//! old refunds are in each state.

use std::time::Duration;

use serde_json::json;
use testbed::{Fault as AwsFault, Match, Service};

use super::{NONE, Values};
use crate::support::{Testbed, native};

/// One payment of a yuan was booked, brought by this, and nothing else.
fn booked(values: &Values, brought_by: &str, delay_s: std::ops::RangeInclusive<i64>) {
    let by = [("brought_by", brought_by)];
    assert_eq!(values.of_metric("PaidFen", &by), [100], "{values:?}");
    assert_eq!(values.all("PaidFen"), [100]);
    let delays = values.of_metric("SettlementDelay", &by);
    assert!(
        delays.len() == 1 && delay_s.contains(&delays[0]),
        "{brought_by}: {delays:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_counted_by_who_brought_the_news() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    booked(
        &Values::of(&testbed, testbed.work_off()).await,
        "notice",
        0..=1,
    );

    testbed.paid_in_silence("ORDER-2").await;
    testbed.advance(Duration::from_secs(10)).await;
    let look = testbed.get_order("ORDER-2");
    booked(&Values::of(&testbed, look).await, "request", 9..=11);

    testbed.paid_in_silence("ORDER-3").await;
    testbed.advance(Duration::from_secs(60)).await;
    booked(
        &Values::of(&testbed, testbed.sweep()).await,
        "sweep",
        59..=61,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_only_the_day_s_bill_has_is_brought_by_the_reconciliation() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid_in_silence("ORDER-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    let values = Values::of(&testbed, testbed.reconcile(day, false)).await;
    booked(&values, "reconciliation", 0..=100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_money_is_counted_in_fen_by_its_reason_and_its_notice_by_its_status() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .pay_altered("ORDER-1", json!({"amount": {"total": 99}}))
        .await;
    let values = Values::of(&testbed, testbed.work_off()).await;
    assert_eq!(
        values.of_metric("MoneyParkedFen", &[("reason", "amount")]),
        [99]
    );
    assert_eq!(
        values.of_metric("NoticesRecorded", &[("status", "parked")]),
        [1]
    );
    assert_eq!(values.all("PaidFen"), NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_fails_and_settles_later_is_counted_in_both_statuses() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    let reads = Match::operation(Service::DynamoDb, "GetItem").on(&testbed.tables.orders);
    testbed.wire.break_all(reads, AwsFault::ServiceFault);
    let values = Values::of(&testbed, testbed.work_off()).await;
    assert_eq!(
        values.of_metric("NoticesRecorded", &[("status", "pending")]),
        [1]
    );
    testbed.wire.mend();
    let values = Values::of(&testbed, testbed.work_off()).await;
    assert_eq!(
        values.of_metric("NoticesRecorded", &[("status", "ok")]),
        [1]
    );
    assert_eq!(values.sum("PaidFen"), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_counted_at_its_age_in_each_state_that_it_comes_into() {
    let testbed = Testbed::start().await;
    testbed.paid("ORDER-1").await;
    let values = Values::of(&testbed, async {
        assert_eq!(testbed.refund("ORDER-1", "R1", 40).await.status, 202);
        assert_eq!(testbed.work_off().await, 0);
        testbed.advance(Duration::from_secs(60)).await;
        assert_eq!(testbed.work_off().await, 0);
    })
    .await;
    let ages = |state| values.of_metric("RefundAge", &[("state", state)]);
    assert_eq!((ages("reserved"), ages("processing")), (vec![0], vec![0]));
    let [arrived] = ages("succeeded")[..] else {
        panic!("{values:?}")
    };
    assert!((59..=61).contains(&arrived), "{arrived}");
}
