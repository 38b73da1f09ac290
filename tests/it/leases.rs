//! The lease for calling WeChat Pay: one holder at a time, so that nobody is left with a dead prepay value.

use std::time::Duration;

use adapters::{
    order_table::WriteOutcome,
    testing::{Fault, Match, Service},
};
use serde_json::json;

use crate::support::{Testbed, native, number};

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_was_taken_and_ended_since_it_was_seen_cannot_be_taken() {
    let bench = Testbed::start().await;
    let asked = bench.client.post_with(
        "/v1/orders",
        &native("ORDER-1"),
        &[("prefer", "respond-async")],
        &bench,
    );
    assert_eq!(bench.send(asked).await.status, 202);
    let seen = bench.order("ORDER-1").await;
    assert_eq!(
        bench.work_off().await,
        0,
        "the queue takes the lease, stores a value and ends the lease"
    );
    let late = bench
        .orders
        .take_issue_lease(&seen, "late", bench.clock.now())
        .await
        .unwrap();
    assert!(
        matches!(late, WriteOutcome::Superseded(found) if found.live_prepay(bench.clock.now()).is_some())
    );
    let shown = bench.get_order("ORDER-1").await;
    assert!(
        bench
            .wechat
            .admin()
            .order(shown.code_url())
            .unwrap()
            .payable,
        "the value that was shown is alive"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_who_saw_the_same_free_lease_gets_it() {
    let bench = Testbed::start().await;
    let asked = bench.client.post_with(
        "/v1/orders",
        &native("ORDER-1"),
        &[("prefer", "respond-async")],
        &bench,
    );
    bench.send(asked).await;
    let seen = bench.order("ORDER-1").await;
    let now = bench.clock.now();
    let first = bench
        .orders
        .take_issue_lease(&seen, "first", now)
        .await
        .unwrap();
    assert!(matches!(first, WriteOutcome::Written(_)));
    assert!(matches!(
        bench
            .orders
            .take_issue_lease(&seen, "second", now)
            .await
            .unwrap(),
        WriteOutcome::Superseded(_)
    ));
    let repeated = bench
        .orders
        .take_issue_lease(&seen, "first", now)
        .await
        .unwrap();
    assert!(
        matches!(repeated, WriteOutcome::Written(_)),
        "the SDK's own repeat after a lost answer is ours"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_wechat_pay_after_the_lease_is_over() {
    let bench = Testbed::start().await;
    let reserve = Match::operation(Service::DynamoDb, "PutItem").on(&bench.tables.orders);
    bench
        .wire
        .break_next(reserve, Fault::Delay(Duration::from_secs(16)));
    let answer = bench.post_order(&native("ORDER-1")).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert!(
        bench.wechat.admin().requests().is_empty(),
        "another may hold the lease by now"
    );
    assert_eq!(bench.work_off().await, 0);
    assert_eq!(
        bench.get_order("ORDER-1").await.body["state"],
        "awaiting_payment"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_202_says_how_the_order_stands() {
    let bench = Testbed::start().await;
    let mut body = native("ORDER-1");
    body["expires_in_s"] = json!(86_400);
    bench.post_order(&body).await;
    bench.advance(Duration::from_secs(7_201)).await;
    let renewal =
        bench
            .client
            .post_with("/v1/orders", &body, &[("prefer", "respond-async")], &bench);
    let accepted = bench.send(renewal).await;
    assert_eq!(
        (accepted.status, &accepted.body["state"]),
        (202, &json!("awaiting_payment"))
    );
    assert_eq!(bench.work_off().await, 0);
    assert!(
        bench
            .orders
            .read(&number("ORDER-1"))
            .await
            .unwrap()
            .unwrap()
            .live_prepay(bench.clock.now())
            .is_some()
    );
}
