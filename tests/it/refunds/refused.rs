//! Refunds that WeChat Pay refuses, or has no balance for.

use serde_json::{Value, json};
use wechatpay_simulator::{Endpoint, RefundOutcome};

use super::{minutes, paid, state, wait_s};
use crate::{contract::conforms, support::native};

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_refund_keeps_its_money_until_a_person_decides() {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Refused);
    testbed.refund("ORDER-1", "R1", 100).await;
    minutes(&testbed, 2).await;
    assert_eq!(state(&testbed, "R1").await, "refused");
    let order = testbed.get_order("ORDER-1").await.body;
    assert_eq!(order["refund_committed_fen"], 100);
    assert_eq!(
        testbed.refund("ORDER-1", "R2", 1).await.body["code"],
        "refund_exceeds_payment"
    );
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Success);
    let retried = testbed
        .post("/v1/orders/ORDER-1/refunds/R1/retry", &json!({}))
        .await;
    assert_eq!(retried.status, 202, "{retried:?}");
    minutes(&testbed, 3).await;
    assert_eq!(state(&testbed, "R1").await, "succeeded");
    assert_eq!(testbed.wechat.admin().refunds_of("ORDER-1").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_can_give_the_money_of_a_refused_refund_free_and_is_on_record() {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Refused);
    testbed.refund("ORDER-1", "R1", 100).await;
    let release = json!({"who": "Li", "why": "paid back in cash"});
    let path = "/v1/orders/ORDER-1/refunds/R1/release";
    assert_eq!(
        testbed.post(path, &release).await.body["code"],
        "refund_state",
        "not before WeChat Pay refused it"
    );
    minutes(&testbed, 2).await;
    assert_eq!(testbed.post(path, &release).await.status, 200);
    assert_eq!(state(&testbed, "R1").await, "closed");
    let kept = &testbed.items("refund#").await[0];
    assert_eq!(
        (kept["decided_by"].as_str(), kept["decided_why"].as_str()),
        ("Li", "paid back in cash")
    );
    assert!(
        testbed
            .get_order("ORDER-1")
            .await
            .body
            .get("refund_committed_fen")
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_low_balance_lets_all_refunds_rest_and_they_go_on_by_themselves() {
    let testbed = paid().await;
    testbed.post_order(&native("ORDER-2")).await;
    testbed.pay("ORDER-2").await;
    testbed.work_off().await;
    testbed.wechat.admin().set_balance(0);
    testbed.refund("ORDER-1", "R1", 100).await;
    testbed.work_off().await;
    testbed.refund("ORDER-2", "R1", 100).await;
    minutes(&testbed, 2).await;
    assert_eq!(
        testbed.wechat.admin().requests()[&Endpoint::CreateRefund],
        1,
        "failing refunds have a small quota: the second is not even tried"
    );
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(
        (&refund["state"], &refund["trouble"]),
        (&json!("reserved"), &json!("NOT_ENOUGH"))
    );
    // Each says once that it waits for funds, and until when.
    for order_no in ["ORDER-1", "ORDER-2"] {
        let refund = testbed.get_refund(order_no, "R1").await;
        conforms("/v1/orders/{order_no}/refunds/{refund_no}", "get", &refund);
        let events = testbed.get(&format!("/v1/orders/{order_no}/events")).await;
        conforms("/v1/orders/{order_no}/events", "get", &events);
        let waits: Vec<&Value> = events.body["events"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|event| event["from"] == "reserved" && event["to"] == "reserved")
            .collect();
        assert_eq!(waits.len(), 1, "{order_no}");
        assert!(refund.body["next_try_at"].is_string(), "{refund:?}");
        assert_eq!(
            waits[0]["next_try_at"], refund.body["next_try_at"],
            "{order_no}"
        );
        assert!(wait_s(&testbed, &refund) > 400, "{order_no}: {refund:?}");
    }
    // A refund requested meanwhile gets the true state at once.
    testbed.post_order(&native("ORDER-3")).await;
    testbed.pay("ORDER-3").await;
    testbed.work_off().await;
    let asked = testbed.refund("ORDER-3", "R1", 100).await;
    let waits_s = wait_s(&testbed, &asked);
    assert!((400..=600).contains(&waits_s), "{asked:?}");
    let retry_after = asked.header("retry-after").expect("a wait");
    assert_eq!(retry_after, (waits_s + 2).to_string());
    testbed.wechat.admin().set_balance(10_000);
    minutes(&testbed, 14).await;
    assert_eq!(state(&testbed, "R1").await, "succeeded");
    assert_eq!(
        testbed
            .wechat
            .admin()
            .order("ORDER-2")
            .unwrap()
            .refunded_fen,
        100
    );
}
