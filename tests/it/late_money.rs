//! Late and double money: booked, given back or parked, never lost and never applied twice.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use payments::model::next_check::shard_of;
use serde_json::json;
use testbed::{Fault as WireFault, Match, Service};
use wechatpay_simulator::{Fault, ManualNotice, RefundOutcome, RefundStatus, Rule};

use crate::{
    refunds,
    support::{MCHID, Testbed, native, number},
};

async fn settle(testbed: &Testbed, minutes: u32) {
    for _ in 0..minutes {
        testbed.work_off().await;
        testbed.advance(Duration::from_secs(60)).await;
        testbed.sweep().await;
        testbed.work_off().await;
    }
}

/// An order that was closed, and then money for it arrives.
async fn paid_after_close() -> Testbed {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::times(Fault::PayAfterClose, 1))
        .unwrap();
    assert_eq!(testbed.close("ORDER-1").await.body["state"], "closed");
    testbed.deliver().await;
    testbed
}

#[tokio::test(flavor = "multi_thread")]
async fn money_after_the_close_is_booked_and_gives_itself_back() {
    let testbed = paid_after_close().await;
    settle(&testbed, 3).await;
    let order = testbed.get_order("ORDER-1").await.body;
    assert_eq!(order["state"], "refunded");
    let kinds: Vec<String> = testbed
        .journal("ORDER-1")
        .await
        .into_iter()
        .map(|event| event.to)
        .collect();
    assert_eq!(
        kinds[3..],
        [
            "closed",
            "paid_after_close",
            "reserved",
            "processing",
            "refunded",
            "succeeded"
        ]
    );
    let refunds = testbed.wechat.admin().refunds_of("ORDER-1");
    assert_eq!(refunds.len(), 1, "once, however often the news came");
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_whose_news_comes_often_and_in_any_order_is_given_back_once() {
    let testbed = paid_after_close().await;
    let id = testbed.wechat.admin().callbacks()[0].id.clone();
    for _ in 0..3 {
        testbed.wechat.admin().redeliver(&id).await;
    }
    settle(&testbed, 4).await;
    testbed.wechat.admin().redeliver(&id).await;
    settle(&testbed, 1).await;
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "refunded");
    assert_eq!(
        testbed
            .wechat
            .admin()
            .order("ORDER-1")
            .unwrap()
            .refunded_fen,
        100
    );
    assert_eq!(testbed.items("refund#").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_payment_is_parked_and_no_call_of_the_api_alone_gives_it_back() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed.work_off().await;
    testbed
        .wechat
        .admin()
        .pay_again("ORDER-1", &Default::default())
        .unwrap();
    testbed.deliver().await;
    testbed.work_off().await;
    let parked = &testbed.items("payment#").await[0];
    assert_eq!(parked["reason"], "second_payment");
    let second = parked["transaction_id"].clone();
    let journal = testbed.journal("ORDER-1").await;
    assert_eq!(
        journal
            .last()
            .map(|event| (event.subject.kind(), event.to.as_str())),
        Some(("payment", "parked"))
    );
    let ask = |fen: i64| json!({"refund_no": "R1", "amount_fen": fen, "transaction_id": second});
    let path = "/v1/orders/ORDER-1/refunds";
    for fen in [99, 100] {
        let asked = testbed.post(path, &ask(fen)).await;
        assert_eq!(
            (asked.status, asked.body["code"].as_str()),
            (422, Some("refund_needs_two_persons")),
            "the console keeps it for two persons"
        );
    }
    settle(&testbed, 3).await;
    assert_eq!(testbed.items("payment#").await[0]["state"], "parked");
    let order = testbed.get_order("ORDER-1").await.body;
    assert_eq!(order["state"], "paid", "the order's own money is untouched");
    let view = testbed.wechat.admin().order("ORDER-1").unwrap();
    assert_eq!((view.received_fen, view.refunded_fen), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_of_another_amount_for_an_unpaid_order_is_still_given_back_by_its_number() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .pay_altered("ORDER-1", json!({"amount": {"total": 99}}))
        .await;
    assert_eq!(testbed.work_off().await, 0);
    let parked = &testbed.items("payment#").await[0];
    assert_eq!(parked["reason"], "amount");
    let body = json!({
        "refund_no": "R1", "amount_fen": 99, "transaction_id": parked["transaction_id"],
    });
    let asked = testbed.post("/v1/orders/ORDER-1/refunds", &body).await;
    assert_eq!(asked.status, 202, "{}", asked.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_order_is_shown_as_closed_though_its_refunds_cannot_be_read() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(testbed.close("ORDER-1").await.status, 200);
    // As after a refund of a parked payment, which leaves the order closed.
    let order_no = number("ORDER-1");
    let written = testbed
        .dynamo()
        .update_item()
        .table_name(&testbed.tables.orders)
        .key("pk", AttributeValue::S(format!("order#{MCHID}#{order_no}")))
        .key("sk", AttributeValue::S("order".to_owned()))
        .update_expression(
            "SET refund_count = :one, refunded_fen = :none, refund_committed_fen = :none, next_refund_at = :none",
        )
        .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
        .expression_attribute_values(":none", AttributeValue::N("0".to_owned()))
        .send()
        .await;
    written.expect("a table");
    let of_refunds = Match::operation(Service::DynamoDb, "Query").on(&testbed.tables.orders);
    testbed.wire.break_all(of_refunds, WireFault::ServiceFault);
    let closed = testbed.close("ORDER-1").await;
    let shown = testbed.get_order("ORDER-1").await;
    for answer in [&closed, &shown] {
        let body = &answer.body;
        let answered = (answer.status, body["state"].as_str());
        assert_eq!(answered, (200, Some("closed")), "{body}");
        // Whether a payer is owed is not known then, and not denied.
        assert_eq!(body["payer_owed_unknown"], true, "{body}");
    }
    assert_eq!(testbed.get("/v1/orders/ORDER-1/refunds").await.status, 503);
    testbed.wire.mend();
    let known = [
        testbed.close("ORDER-1").await,
        testbed.get_order("ORDER-1").await,
    ];
    for answer in known {
        assert_eq!(answer.status, 200);
        assert!(answer.body.get("payer_owed_unknown").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_order_whose_refunds_cannot_be_read_is_shown_with_what_went_back() {
    let testbed = refunds::paid().await;
    let asked = testbed.refund("ORDER-1", "R-1", 40).await;
    assert_eq!(asked.status, 202, "{}", asked.body);
    refunds::minutes(&testbed, 2).await;
    let of_refunds = Match::operation(Service::DynamoDb, "Query").on(&testbed.tables.orders);
    testbed.wire.break_all(of_refunds, WireFault::ServiceFault);
    let shown = testbed.get_order("ORDER-1").await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    assert_eq!(shown.body["state"], "partially_refunded");
    assert_eq!(shown.body["refunded_fen"], 40);
    assert_eq!(shown.body["payer_owed_unknown"], true);
    testbed.wire.mend();
    let known = testbed.get_order("ORDER-1").await.body;
    assert_eq!(known["refunded_fen"], 40);
    assert!(known.get("payer_owed_unknown").is_none(), "{known}");
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_that_only_resemble_payments_are_parked_and_pay_nothing() {
    for notice in [ManualNotice::ProfitSharing, ManualNotice::Combined] {
        let testbed = Testbed::start().await;
        testbed.post_order(&native("ORDER-1")).await;
        testbed
            .wechat
            .admin()
            .send_notice(&notice, "ORDER-1", None)
            .unwrap();
        testbed.deliver().await;
        assert_eq!(testbed.work_off().await, 0);
        assert_eq!(
            testbed.get_order("ORDER-1").await.body["state"],
            "awaiting_payment"
        );
        let kept = &testbed.notices().await[0];
        assert_eq!(
            (kept["status"].as_str(), kept["event_type"].as_str()),
            ("parked", "TRANSACTION.SUCCESS")
        );
        assert!(kept["what_to_do"].contains("not handled here"));
    }
}

/// WeChat Pay refuses the refund `refund_no`: an operator pays the payer another way.
async fn released(testbed: &Testbed, refund_no: &str) {
    let body = json!({"who": "Li", "why": "paid by bank transfer"});
    let path = format!("/v1/orders/ORDER-1/refunds/{refund_no}/release");
    let answer = testbed.post(&path, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// No log line asks for another refund of the money, and none is possible.
async fn is_done_with(testbed: &Testbed, wanted: serde_json::Value) {
    for refund in testbed.items("refund#").await {
        let refund_no = &refund["refund_no"];
        let shown = testbed.get_refund("ORDER-1", refund_no).await.body;
        assert_eq!(shown["state"], "closed");
    }
    testbed.advance(Duration::from_secs(7 * 3600)).await;
    testbed.sweep().await;
    for refund in testbed.items("refund#").await {
        assert_eq!(refund.get("due_at"), None, "{}", refund["refund_no"]);
    }
    let again = testbed.post("/v1/orders/ORDER-1/refunds", &wanted).await;
    assert_eq!(
        (again.status, &again.body["code"]),
        (422, &json!("refund_released"))
    );
    let there = testbed.wechat.admin().order("ORDER-1").unwrap();
    assert_eq!(there.refunded_fen, 0);
}

/// The sweep is to check a refund at once.
async fn make_due(testbed: &Testbed, refund_no: &str) {
    let order_no = number("ORDER-1");
    let text = |value: String| AttributeValue::S(value);
    let written = testbed
        .dynamo()
        .update_item()
        .table_name(&testbed.tables.orders)
        .key("pk", text(format!("order#{MCHID}#{order_no}")))
        .key("sk", text(format!("refund#{refund_no}")))
        .update_expression("SET due_shard = :shard, due_at = :at")
        .expression_attribute_values(":shard", text(format!("due#{}", shard_of(&order_no))))
        .expression_attribute_values(":at", AttributeValue::N("1".to_owned()))
        .send()
        .await;
    written.expect("a table");
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_that_a_person_paid_back_another_way_is_asked_for_no_more() {
    let testbed = paid_after_close().await;
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Refused);
    settle(&testbed, 2).await;
    let refund_no = testbed.items("refund#").await[0]["refund_no"].clone();
    released(&testbed, &refund_no).await;
    let shown = testbed.get_refund("ORDER-1", &refund_no).await.body;
    assert_eq!(shown.get("what_to_do"), None);
    // An earlier version of this code kept checking it, and logged it each time.
    make_due(&testbed, &refund_no).await;
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Success);
    is_done_with(&testbed, json!({"refund_no": "R1", "amount_fen": 100})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_is_done_with_when_a_later_refund_of_it_was_released() {
    let testbed = paid_after_close().await;
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Closed);
    settle(&testbed, 2).await;
    admin.set_refund_outcome(RefundOutcome::Refused);
    assert_eq!(testbed.refund("ORDER-1", "R1", 100).await.status, 202);
    settle(&testbed, 2).await;
    released(&testbed, "R1").await;
    admin.set_refund_outcome(RefundOutcome::Success);
    is_done_with(&testbed, json!({"refund_no": "R2", "amount_fen": 100})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_is_tracked_until_it_is_back_though_a_later_refund_of_it_fails_too() {
    let testbed = paid_after_close().await;
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Closed);
    settle(&testbed, 2).await;
    let late = testbed.items("refund#").await[0]["refund_no"].clone();
    admin.set_refund_outcome(RefundOutcome::Hold);
    assert_eq!(testbed.refund("ORDER-1", "R1", 100).await.status, 202);
    settle(&testbed, 1).await;
    let is_checked = async || {
        testbed.advance(Duration::from_secs(7 * 3600)).await;
        testbed.sweep().await;
        testbed.work_off().await;
        let refunds = testbed.items("refund#").await;
        let first = refunds.iter().find(|refund| refund["refund_no"] == late);
        first.unwrap().contains_key("due_at")
    };
    assert!(is_checked().await, "R1 may fail");
    let held = admin
        .refunds_of("ORDER-1")
        .into_iter()
        .find(|refund| refund.status == RefundStatus::Processing);
    admin
        .settle_refund(&held.unwrap().out_refund_no, RefundStatus::Closed)
        .unwrap();
    settle(&testbed, 1).await;
    assert!(is_checked().await, "R1 failed, and its client alone knows");
    admin.set_refund_outcome(RefundOutcome::Success);
    assert_eq!(testbed.refund("ORDER-1", "R2", 100).await.status, 202);
    settle(&testbed, 3).await;
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "refunded");
    assert!(!is_checked().await, "it is back");
}
