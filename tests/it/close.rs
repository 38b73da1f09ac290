//! Closing an order: by its client, by the clock, and in a race with the payer.

use std::time::Duration;

use serde_json::json;
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{Endpoint, Fault, PayOptions, Rule, TradeState};

use crate::support::{Testbed, native};

fn at_wechat(testbed: &Testbed, order_no: &str) -> TradeState {
    testbed.wechat.admin().order(order_no).unwrap().trade_state
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_its_client_closes_is_closed_at_wechat_pay_first() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let closed = testbed.close("ORDER-1").await;
    assert_eq!(
        (closed.status, &closed.body["state"]),
        (200, &json!("closed"))
    );
    assert!(closed.body.get("prepay").is_none());
    assert_eq!(at_wechat(&testbed, "ORDER-1"), TradeState::Closed);
    let journal: Vec<String> = testbed
        .journal("ORDER-1")
        .await
        .into_iter()
        .map(|event| event.to)
        .collect();
    assert_eq!(
        journal,
        ["reserved", "awaiting_payment", "closing", "closed"]
    );
    let again = testbed.close("ORDER-1").await;
    assert_eq!(again.status, 200);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(testbed.wechat.admin().requests()[&Endpoint::Close], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_paid_a_moment_before_its_close_stays_paid() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::times(Fault::PayBeforeClose, 1))
        .unwrap();
    let answer = testbed.close("ORDER-1").await;
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (409, &json!("order_paid"))
    );
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
    testbed.deliver().await;
    assert_eq!(testbed.work_off().await, 0, "the callback finds it settled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_order_is_not_closed_and_wechat_pay_is_not_asked() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed.work_off().await;
    assert_eq!(testbed.close("ORDER-1").await.status, 409);
    assert!(
        !testbed
            .wechat
            .admin()
            .requests()
            .contains_key(&Endpoint::Close)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_whose_answer_was_lost_is_found_done() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::times(Fault::ServerErrorAfter { status: 500 }, 2).at(Endpoint::Close))
        .unwrap();
    let closed = testbed.close("ORDER-1").await;
    assert_eq!(
        closed.body["state"], "closed",
        "a client without an answer asks, and gets it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn while_wechat_pay_is_down_an_order_waits_in_closing_and_the_sweep_goes_on() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::always(Fault::ServerErrorBefore { status: 503 }))
        .unwrap();
    let answer = testbed.close("ORDER-1").await;
    assert_eq!(
        (answer.status, &answer.body["state"]),
        (202, &json!("closing"))
    );
    assert_eq!(answer.headers["location"], "/v1/orders/ORDER-1");
    testbed.wechat.admin().clear_faults(None);
    testbed.advance(Duration::from_secs(60)).await;
    assert_eq!(testbed.sweep().await.closed, 1);
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_closing_leaves_it_to_the_sweep() {
    for writes in 0..2 {
        let testbed = Testbed::start().await;
        testbed.post_order(&native("ORDER-1")).await;
        let write = testbed.order_changes();
        testbed
            .wire
            .break_after(write, writes, 1, AwsFault::DieAfter);
        let died = testbed.wire.run_until_crash(testbed.close("ORDER-1")).await;
        assert!(died.is_none());
        testbed.wire.mend();
        testbed.advance(Duration::from_secs(61)).await;
        testbed.sweep().await;
        assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "closed");
        assert_eq!(at_wechat(&testbed, "ORDER-1"), TradeState::Closed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_past_its_expiry_is_closed_by_the_sweep() {
    let testbed = Testbed::start().await;
    let mut body = native("ORDER-1");
    body["expires_in_s"] = json!(120);
    testbed.post_order(&body).await;
    testbed.advance(Duration::from_secs(60)).await;
    assert_eq!(testbed.sweep().await.open, 1);
    testbed.advance(Duration::from_secs(69)).await;
    assert_eq!(
        testbed.sweep().await.claimed,
        0,
        "a payment in the last second has time to be reported"
    );
    testbed.advance(Duration::from_secs(1)).await;
    assert_eq!(testbed.sweep().await.closed, 1);
    assert_eq!(at_wechat(&testbed, "ORDER-1"), TradeState::Closed);
    assert!(testbed.order("ORDER-1").await.due.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_paid_in_its_last_second_is_found_paid_when_it_is_to_be_closed() {
    let testbed = Testbed::start().await;
    let mut body = native("ORDER-1");
    body["expires_in_s"] = json!(120);
    testbed.post_order(&body).await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::always(Fault::LostCallback))
        .unwrap();
    testbed.advance(Duration::from_secs(119)).await;
    testbed.pay("ORDER-1").await;
    testbed.advance(Duration::from_secs(11)).await;
    assert_eq!(testbed.sweep().await.settled, 1);
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_never_came_to_wechat_pay_is_closed_once_no_process_can_be_making_it() {
    let testbed = Testbed::start().await;
    testbed.wire.break_next(
        Match::operation(Service::DynamoDb, "PutItem").on(&testbed.tables.orders),
        AwsFault::DieAfter,
    );
    let died = testbed
        .wire
        .run_until_crash(testbed.post_order(&native("ORDER-1")))
        .await;
    assert!(died.is_none(), "the number is reserved, and its maker gone");
    testbed.wire.mend();
    let waiting = testbed.close("ORDER-1").await;
    assert_eq!(
        (waiting.status, &waiting.body["state"]),
        (202, &json!("closing")),
        "its maker may still be on the way to WeChat Pay"
    );
    let refused = testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(
        refused.body["state"], "closing",
        "and nobody else sets out: {refused:?}"
    );
    testbed.advance(Duration::from_secs(75)).await;
    assert_eq!(testbed.sweep().await.closed, 1);
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_clients_order_cannot_be_closed() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let stranger = testbed.another_client("stranger").await;
    let asked = stranger.post("/v1/orders/ORDER-1/close", &json!({}), &testbed);
    let answer = testbed.send(asked).await;
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (404, &json!("order_not_found"))
    );
    testbed
        .wechat
        .admin()
        .pay("ORDER-1", &PayOptions::default())
        .expect("it can still be paid");
}
