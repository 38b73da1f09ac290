//! Refunds that were made in WeChat Pay's console.

use serde_json::json;
use wechatpay_simulator::{ConsoleRefund, RefundOutcome, RefundStatus};

use super::{minutes, paid};

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_made_in_the_console_is_taken_into_the_books() {
    let testbed = paid().await;
    let notify_url = Some(testbed.notify_url.clone());
    testbed
        .wechat
        .admin()
        .console_refund(&ConsoleRefund {
            order: "ORDER-1".to_owned(),
            refund_fen: 30,
            out_refund_no: Some("console@1".to_owned()),
            notify_url,
            ..ConsoleRefund::default()
        })
        .unwrap();
    minutes(&testbed, 2).await;
    let order = testbed.get_order("ORDER-1").await.body;
    assert_eq!(
        (&order["state"], &order["refunded_fen"]),
        (&json!("partially_refunded"), &json!(30))
    );
    let refunds = testbed.get("/v1/orders/ORDER-1/refunds").await.body;
    assert_eq!(refunds["refunds"][0]["out_refund_no"], "console@1");
    assert_eq!(
        testbed.refund("ORDER-1", "R1", 71).await.body["code"],
        "refund_exceeds_payment"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_refund_of_money_that_is_set_aside_already_is_parked_for_a_person() {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Hold);
    testbed.refund("ORDER-1", "R1", 100).await;
    let notify_url = Some(testbed.notify_url.clone());
    testbed
        .wechat
        .admin()
        .console_refund(&ConsoleRefund {
            order: "ORDER-1".to_owned(),
            refund_fen: 100,
            notify_url,
            ..ConsoleRefund::default()
        })
        .unwrap();
    let out_refund_no = testbed.wechat.admin().refunds_of("ORDER-1")[0]
        .out_refund_no
        .clone();
    testbed
        .wechat
        .admin()
        .settle_refund(&out_refund_no, RefundStatus::Success)
        .unwrap();
    testbed.deliver().await;
    testbed.work_off().await;
    let parked = testbed.items("parked-refund#").await;
    assert_eq!(
        (parked.len(), parked[0]["reason"].as_str()),
        (1, "exceeds_payment")
    );
    assert_eq!(testbed.notices().await[0]["status"], "parked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_payment_that_the_console_gives_back_is_not_given_back_here() {
    let testbed = paid().await;
    let admin = testbed.wechat.admin();
    admin.pay_again("ORDER-1", &Default::default()).unwrap();
    testbed.deliver().await;
    testbed.work_off().await;
    let second = testbed.items("payment#").await[0]["transaction_id"].clone();
    admin
        .console_refund(&ConsoleRefund {
            order: "ORDER-1".to_owned(),
            transaction_id: Some(second.clone()),
            refund_fen: 100,
            notify_url: Some(testbed.notify_url.clone()),
            ..ConsoleRefund::default()
        })
        .unwrap();
    minutes(&testbed, 2).await;
    assert_eq!(testbed.items("payment#").await[0]["state"], "refunded");
    assert!(testbed.items("parked-refund#").await.is_empty());
    let refund = &testbed.items("refund#").await[0];
    assert_eq!(
        (refund["state"].as_str(), refund["payment_kind"].as_str()),
        ("succeeded", "parked")
    );
    let order = testbed.get_order("ORDER-1").await.body;
    assert_eq!(order["state"], "paid", "the order's own money is untouched");
    let again = json!({"refund_no": "R1", "amount_fen": 100, "transaction_id": second});
    let asked = testbed.post("/v1/orders/ORDER-1/refunds", &again).await;
    assert_eq!(asked.body["code"], "refund_exceeds_payment");
}
