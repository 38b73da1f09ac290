//! Several systems under one merchant number: WeChat Pay has each order number once for all of
//! them, and the order under one of our numbers may be another system's.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use wechatpay_simulator::{Endpoint, Fault, Rule};

use crate::support::{ApiAnswer, MCHID, Testbed, native, native_for};

/// Another system created and sold ORDER-1: WeChat Pay has it, and it is unknown here.
async fn sold_by_another_system() -> Testbed {
    let testbed = Testbed::start().await;
    testbed.paid_in_silence("ORDER-1").await;
    testbed.forget("ORDER-1").await;
    testbed
}

/// Another system created ORDER-1, which is still unpaid, and ours with that number is rejected.
async fn rejected_for_an_open_order() -> Testbed {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.forget("ORDER-1").await;
    testbed.advance(Duration::from_secs(1)).await; // the two bodies differ
    let first = testbed.post_order(&native("ORDER-1")).await;
    assert_is_refused(&first);
    let again = testbed.post_order(&native("ORDER-1")).await;
    assert_is_refused(&again);
    assert_eq!(again.body["detail"], first.body["detail"]);
    let order = testbed.get_order("ORDER-1").await.body;
    let events = testbed.get("/v1/orders/ORDER-1/events").await.body;
    let rejected = &events["events"][1];
    assert_eq!(rejected["to"], "rejected", "{events}");
    assert_eq!(rejected["rejection"], order["rejection"], "{events}");
    assert_eq!(order["rejection"]["wechatpay_code"], "OUT_TRADE_NO_USED");
    testbed
}

fn assert_is_refused(answer: &ApiAnswer) {
    assert_eq!(
        (answer.status, answer.code()),
        (422, "wechatpay_refused"),
        "{answer:?}"
    );
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("OUT_TRADE_NO_USED"), "{answer:?}");
}

/// The order is rejected, the payment under its number waits for an operator, and none of it is
/// being refunded.
async fn assert_is_left_to_the_other_system(testbed: &Testbed, reason: &str) {
    for _ in 0..3 {
        testbed.work_off().await;
        testbed.advance(Duration::from_secs(60)).await;
        testbed.sweep().await;
    }
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "rejected");
    let parked = testbed.items("payment#").await;
    assert_eq!(parked.len(), 1, "{parked:?}");
    assert_eq!(
        (parked[0]["state"].as_str(), parked[0]["reason"].as_str()),
        ("parked", reason)
    );
    let transaction_id = &parked[0]["transaction_id"];
    let body = json!({"refund_no": "R1", "amount_fen": 100, "transaction_id": transaction_id});
    let asked = testbed.post("/v1/orders/ORDER-1/refunds", &body).await;
    assert_eq!(asked.status, 422, "not ours to give back: {asked:?}");
    assert!(testbed.items("refund#").await.is_empty());
    assert!(testbed.wechat.admin().refunds().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_number_another_system_sold_is_rejected_and_its_goods_are_not_paid() {
    let testbed = sold_by_another_system().await;
    // In the same second as the other system's sale: it is only known not to be ours because we
    // never sent the order.
    assert_is_refused(&testbed.post_order(&native("ORDER-1")).await);
    assert_is_left_to_the_other_system(&testbed, "number_used_elsewhere").await;
    assert_is_refused(&testbed.post_order(&native("ORDER-1")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_unanswered_try_too_money_that_is_older_than_the_order_pays_nothing() {
    let testbed = sold_by_another_system().await;
    testbed.advance(Duration::from_secs(60)).await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::times(Fault::ResetBefore, 1).at(Endpoint::PrepayNative))
        .unwrap();
    assert_is_refused(&testbed.post_order(&native("ORDER-1")).await);
    assert_is_left_to_the_other_system(&testbed, "older_than_order").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_unanswered_try_too_an_order_whose_number_is_in_use_elsewhere_is_rejected() {
    let testbed = Testbed::start().await;
    let mut of_an_app = native("ORDER-1");
    of_an_app["product"] = json!("app");
    testbed.post_order(&of_an_app).await;
    testbed.forget("ORDER-1").await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::times(Fault::ResetBefore, 1).at(Endpoint::PrepayNative))
        .unwrap();
    assert_is_refused(&testbed.post_order(&native("ORDER-1")).await);
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "rejected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_sale_of_another_system_under_the_number_is_not_refunded_by_itself() {
    let testbed = rejected_for_an_open_order().await;
    testbed.pay("ORDER-1").await;
    assert_eq!(testbed.work_off().await, 0);
    assert_is_left_to_the_other_system(&testbed, "number_used_elsewhere").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_number_is_paid_by_other_money_is_closed_since_it_cannot_be_paid() {
    let testbed = sold_by_another_system().await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::times(Fault::ResetBefore, 1).at(Endpoint::PrepayNative))
        .unwrap();
    let answer = testbed.post_order(&native_for("ORDER-1", 200)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let closed = testbed.close("ORDER-1").await;
    assert_eq!(
        (closed.status, &closed.body["state"]),
        (200, &json!("closed")),
        "{closed:?}"
    );
    assert!(testbed.order("ORDER-1").await.due.is_none());
    let parked = testbed.items("payment#").await;
    assert_eq!(
        (parked.len(), parked[0]["reason"].as_str()),
        (1, "amount"),
        "{parked:?}"
    );
    testbed.advance(Duration::from_secs(600)).await;
    assert_eq!(testbed.sweep().await.claimed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_an_earlier_version_rejected_without_a_reason_gives_late_money_back() {
    let testbed = rejected_for_an_open_order().await;
    testbed
        .dynamo()
        .update_item()
        .table_name(&testbed.tables.orders)
        .key("pk", AttributeValue::S(format!("order#{MCHID}#ORDER-1")))
        .key("sk", AttributeValue::S("order".to_owned()))
        .update_expression("REMOVE rejected_for")
        .send()
        .await
        .unwrap();
    let again = testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(
        (again.status, again.code()),
        (422, "wechatpay_refused"),
        "{again:?}"
    );
    testbed.pay("ORDER-1").await;
    assert_eq!(testbed.work_off().await, 0);
    let order = testbed.get_order("ORDER-1").await.body;
    assert_eq!(order["state"], "paid_after_close");
    assert_eq!(testbed.items("refund#").await.len(), 1);
}
