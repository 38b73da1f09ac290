//! The lease for calling WeChat Pay: one holder at a time, so that no caller is left with an
//! invalid prepay value.

use std::time::Duration;

use serde_json::json;
use stores::order_table::WriteOutcome;
use testbed::{Fault, Match, Service};
use wechatpay_simulator::Endpoint;

use crate::support::{Testbed, native, number};

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_was_taken_and_ended_since_it_was_seen_cannot_be_taken() {
    let testbed = Testbed::start().await;
    assert_eq!(
        testbed.post_order_async(&native("ORDER-1")).await.status,
        202
    );
    let seen = testbed.order("ORDER-1").await;
    assert_eq!(
        testbed.work_off().await,
        0,
        "the queue takes the lease, stores a value and ends the lease"
    );
    let late = testbed
        .orders
        .take_issue_lease(&seen, "late", testbed.clock.now())
        .await
        .unwrap();
    assert!(
        matches!(late, WriteOutcome::Superseded(found) if found.live_prepay(testbed.clock.now()).is_some())
    );
    let shown = testbed.get_order("ORDER-1").await;
    assert!(
        testbed
            .wechat
            .admin()
            .order(shown.code_url())
            .unwrap()
            .payable,
        "the value that was shown is alive"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_processes_that_saw_the_same_free_lease_gets_it() {
    let testbed = Testbed::start().await;
    testbed.post_order_async(&native("ORDER-1")).await;
    let seen = testbed.order("ORDER-1").await;
    let now = testbed.clock.now();
    let first = testbed
        .orders
        .take_issue_lease(&seen, "first", now)
        .await
        .unwrap();
    assert!(matches!(first, WriteOutcome::Written(_)));
    assert!(matches!(
        testbed
            .orders
            .take_issue_lease(&seen, "second", now)
            .await
            .unwrap(),
        WriteOutcome::Superseded(_)
    ));
    let repeated = testbed
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
    let testbed = Testbed::start().await;
    let reserve = Match::operation(Service::DynamoDb, "PutItem").on(&testbed.tables.orders);
    testbed
        .wire
        .break_next(reserve, Fault::Delay(Duration::from_secs(16)));
    let answer = testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert!(
        testbed.wechat.admin().requests().is_empty(),
        "another may hold the lease by now"
    );
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(
        testbed.get_order("ORDER-1").await.body["state"],
        "awaiting_payment"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_202_says_how_the_order_stands() {
    let testbed = Testbed::start().await;
    let mut body = native("ORDER-1");
    body["expires_in_s"] = json!(86_400);
    testbed.post_order(&body).await;
    testbed.advance(Duration::from_secs(7_201)).await;
    let accepted = testbed.post_order_async(&body).await;
    assert_eq!(
        (accepted.status, &accepted.body["state"]),
        (202, &json!("awaiting_payment"))
    );
    assert_eq!(testbed.work_off().await, 0);
    assert!(
        testbed
            .orders
            .read(&number("ORDER-1"))
            .await
            .unwrap()
            .unwrap()
            .live_prepay(testbed.clock.now())
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_lost_the_lease_is_shown_the_value_of_the_other() {
    let testbed = Testbed::start().await;
    assert_eq!(
        testbed.post_order_async(&native("ORDER-1")).await.status,
        202
    );
    let take = Match::operation(Service::DynamoDb, "UpdateItem").on(&testbed.tables.orders);
    testbed.wire.break_next(take.clone(), Fault::Held);
    let body = native("ORDER-1");
    let queue = async {
        testbed.on_the_wire(&take, 1).await;
        assert_eq!(testbed.work_off().await, 0, "it takes the lease first");
        testbed.wire.mend();
    };
    let (repeat, ()) = futures_util::join!(testbed.post_order(&body), queue);
    assert_eq!(repeat.status, 200, "{repeat:?}");
    assert_eq!(repeat.headers["idempotent-replayed"], "true");
    assert_eq!(
        testbed.wechat.admin().requests()[&Endpoint::PrepayNative],
        1
    );
    assert!(
        testbed
            .wechat
            .admin()
            .order(repeat.code_url())
            .unwrap()
            .payable,
        "the value that is shown is alive"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_closed_before_its_lease_holder_read_it_is_not_made_at_wechat_pay() {
    let testbed = Testbed::start().await;
    let reserve = Match::operation(Service::DynamoDb, "PutItem").on(&testbed.tables.orders);
    testbed.wire.break_next(reserve.clone(), Fault::LostAnswer);
    testbed.wire.break_after(reserve.clone(), 1, 1, Fault::Held);
    let body = native("ORDER-1");
    let closer = async {
        testbed.on_the_wire(&reserve, 2).await;
        let closed = testbed.close("ORDER-1").await;
        testbed.wire.mend();
        closed
    };
    let (made, closed) = futures_util::join!(testbed.post_order(&body), closer);
    assert_eq!(closed.body["state"], "closing", "{closed:?}");
    assert_eq!(
        (made.status, &made.body["state"]),
        (200, &json!("closing")),
        "{made:?}"
    );
    assert!(
        !testbed
            .wechat
            .admin()
            .requests()
            .contains_key(&Endpoint::PrepayNative)
    );
}
