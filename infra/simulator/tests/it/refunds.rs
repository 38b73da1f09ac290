//! Refunds: acceptance, every rule, their ends and callbacks.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use rsa::{Oaep, PublicKey, pkcs8::DecodePublicKey};
use serde_json::{Value, json};
use sha1::Sha1;
use wechatpay_simulator::{PayOptions, RefundOutcome, RefundStatus, SettleError, SigningMode};

use crate::support::{Answer, Ask, Merchant, Receiver, at_noon};

const REFUNDS: &str = "/v3/refund/domestic/refunds";

fn refund(number: &str, refund_fen: i64) -> Value {
    json!({
        "out_trade_no": "ORDER-1001",
        "out_refund_no": number,
        "reason": "returned",
        "amount": {"refund": refund_fen, "total": 1000, "currency": "CNY"},
    })
}

/// An order of 10 yuan, paid (2 of them by a coupon).
async fn with_paid_order() -> Merchant {
    let merchant = at_noon();
    merchant.native(&merchant.order("ORDER-1001", 1000)).await;
    let options = PayOptions {
        coupon_fen: 200,
        ..PayOptions::default()
    };
    merchant.admin().pay("ORDER-1001", &options).unwrap();
    merchant
}

async fn ask(merchant: &Merchant, body: &Value) -> Answer {
    merchant.ask(&Ask::post(REFUNDS, body)).await
}

async fn status(merchant: &Merchant, number: &str) -> String {
    let answer = merchant
        .ask(&Ask::get(&format!("{REFUNDS}/{number}")))
        .await
        .json();
    answer["status"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_refund_is_accepted_then_done_and_a_notice_is_sent() {
    let (merchant, receiver) = (with_paid_order().await, Receiver::start().await);
    let mut body = refund("RF-1", 300);
    body["notify_url"] = json!(receiver.url);
    let answer = ask(&merchant, &body).await;
    assert_eq!(answer.status, 200);
    assert!(answer.is_signed(merchant.admin(), SigningMode::PublicKey));
    let accepted = answer.json();
    assert_eq!(accepted["status"], "PROCESSING");
    assert_eq!(accepted.get("success_time"), None);
    let amount = &accepted["amount"];
    assert_eq!(
        (
            &amount["refund"],
            &amount["payer_refund"],
            &amount["discount_refund"]
        ),
        (&json!(300), &json!(240), &json!(60))
    );
    assert_eq!(
        merchant.state("ORDER-1001").await,
        "REFUND",
        "a partial refund is enough"
    );

    merchant.admin().advance(Duration::from_secs(5)).await;
    assert_eq!(status(&merchant, "RF-1").await, "SUCCESS");
    let received = receiver.received();
    assert_eq!(
        received.len(),
        1,
        "the order's own notify_url got the other one"
    );
    let opened = merchant.open(&received[0], SigningMode::PublicKey);
    assert_eq!(opened["envelope"]["event_type"], "REFUND.SUCCESS");
    assert_eq!(opened["envelope"]["resource"]["original_type"], "refund");
    let plain = &opened["plain"];
    assert_eq!(plain["refund_status"], "SUCCESS");
    assert_eq!(plain.get("status"), None);
    assert_eq!(plain["success_time"], "2026-08-03T12:00:05+08:00");
    assert_eq!(
        plain["amount"],
        json!({"total": 1000, "refund": 300, "payer_total": 800, "payer_refund": 240})
    );
    assert_eq!(plain["refund_id"], accepted["refund_id"]);
}

#[tokio::test]
async fn without_notify_url_no_callback_is_sent() {
    let merchant = with_paid_order().await;
    ask(&merchant, &refund("RF-1", 300)).await;
    merchant.admin().advance(Duration::from_secs(60)).await;
    assert_eq!(status(&merchant, "RF-1").await, "SUCCESS");
    assert!(
        merchant
            .admin()
            .callbacks()
            .iter()
            .all(|callback| callback.about != "RF-1")
    );
}

#[tokio::test]
async fn the_same_number_refunds_once_and_not_with_other_parameters() {
    let merchant = with_paid_order().await;
    let first = ask(&merchant, &refund("RF-1", 300)).await.json();
    let again = ask(&merchant, &refund("RF-1", 300)).await;
    assert_eq!(
        (again.status, again.json()["refund_id"].clone()),
        (200, first["refund_id"].clone())
    );
    assert_eq!(merchant.admin().refunds().len(), 1);
    let changed = ask(&merchant, &refund("RF-1", 301)).await;
    assert_eq!(
        (changed.status, changed.code().as_str()),
        (400, "INVALID_REQUEST")
    );
}

#[tokio::test]
async fn every_broken_rule_of_a_refund_is_refused_with_its_code() {
    let merchant = with_paid_order().await;
    merchant.native(&merchant.order("ORDER-1002", 1000)).await;
    let with = |pointer: &str, value: Value| {
        let mut body = refund("RF-1", 300);
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let mut neither = refund("RF-1", 300);
    neither.as_object_mut().unwrap().remove("out_trade_no");
    for (body, status, code) in [
        (neither, 400, "PARAM_ERROR"),
        (with("/out_refund_no", json!("RF 1")), 400, "PARAM_ERROR"),
        (with("/reason", json!("退".repeat(27))), 400, "PARAM_ERROR"),
        (with("/amount/refund", json!(0)), 400, "PARAM_ERROR"),
        (with("/amount/refund", json!(1001)), 400, "INVALID_REQUEST"),
        (with("/amount/total", json!(999)), 400, "INVALID_REQUEST"),
        (
            with("/out_trade_no", json!("ORDER-1002")),
            404,
            "RESOURCE_NOT_EXISTS",
        ),
        (
            with("/out_trade_no", json!("ORDER-9999")),
            404,
            "RESOURCE_NOT_EXISTS",
        ),
    ] {
        let answer = ask(&merchant, &body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{body}: {}",
            answer.json()
        );
    }
    merchant.admin().set_balance(239);
    let poor = ask(&merchant, &refund("RF-1", 300)).await;
    assert_eq!((poor.status, poor.code().as_str()), (403, "NOT_ENOUGH"));
    merchant.admin().set_balance(240);
    assert_eq!(
        ask(&merchant, &refund("RF-1", 300)).await.status,
        200,
        "the same number after the top-up"
    );
    let unknown = merchant.ask(&Ask::get(&format!("{REFUNDS}/RF-9"))).await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "RESOURCE_NOT_EXISTS")
    );
}

#[tokio::test]
async fn refunds_of_one_order_are_a_minute_apart_fifty_at_most_and_never_exceed_it() {
    let merchant = with_paid_order().await;
    assert_eq!(ask(&merchant, &refund("RF-0", 10)).await.status, 200);
    let hasty = ask(&merchant, &refund("RF-1", 10)).await;
    assert_eq!(
        (hasty.status, hasty.code().as_str()),
        (429, "FREQUENCY_LIMITED")
    );
    for number in 1..50 {
        merchant.admin().advance(Duration::from_secs(60)).await;
        let answer = ask(&merchant, &refund(&format!("RF-{number}"), 10)).await;
        assert_eq!(answer.status, 200, "{number}: {}", answer.json());
    }
    merchant.admin().advance(Duration::from_secs(60)).await;
    let fifty_first = ask(&merchant, &refund("RF-50", 10)).await;
    assert_eq!(
        (fifty_first.status, fifty_first.code().as_str()),
        (400, "INVALID_REQUEST")
    );
    let too_much = ask(&merchant, &refund("RF-51", 501)).await;
    assert_eq!(
        (too_much.status, too_much.code().as_str()),
        (400, "INVALID_REQUEST")
    );
}

#[tokio::test]
async fn a_payment_cannot_be_refunded_after_a_year() {
    let merchant = with_paid_order().await;
    merchant
        .admin()
        .advance(Duration::from_secs(365 * 86_400 + 1))
        .await;
    let answer = ask(&merchant, &refund("RF-1", 300)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "TRADE_OVERDUE")
    );
}

#[tokio::test]
async fn a_closed_refund_gives_the_money_back_to_the_merchant_and_a_new_number_works() {
    let merchant = with_paid_order().await;
    merchant.admin().set_refund_outcome(RefundOutcome::Closed);
    ask(&merchant, &refund("RF-1", 1000)).await;
    merchant.admin().advance(Duration::from_secs(60)).await;
    assert_eq!(status(&merchant, "RF-1").await, "CLOSED");
    merchant.admin().set_refund_outcome(RefundOutcome::Success);
    assert_eq!(ask(&merchant, &refund("RF-2", 1000)).await.status, 200);
}

#[tokio::test]
async fn a_held_refund_ends_when_and_how_the_admin_says() {
    let merchant = with_paid_order().await;
    merchant.admin().set_refund_outcome(RefundOutcome::Hold);
    ask(&merchant, &refund("RF-1", 300)).await;
    merchant.admin().advance(Duration::from_secs(86_400)).await;
    assert_eq!(status(&merchant, "RF-1").await, "PROCESSING");
    merchant
        .admin()
        .settle_refund("RF-1", RefundStatus::Success)
        .unwrap();
    assert_eq!(status(&merchant, "RF-1").await, "SUCCESS");
    let again = merchant.admin().settle_refund("RF-1", RefundStatus::Closed);
    assert_eq!(again.unwrap_err(), SettleError::NotProcessing);
}

#[tokio::test]
async fn an_abnormal_refund_is_mended_by_a_rightly_encrypted_bank_card() {
    let merchant = with_paid_order().await;
    merchant.admin().set_refund_outcome(RefundOutcome::Abnormal);
    let refund_id = ask(&merchant, &refund("RF-1", 300)).await.json()["refund_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("{REFUNDS}/{refund_id}/apply-abnormal-refund");
    let details = &merchant.simulator.details;
    let serial = &details.wechatpay_public_key_id;
    let early = Ask::post(
        &path,
        &json!({"out_refund_no": "RF-1", "type": "MERCHANT_BANK_CARD"}),
    );
    assert_eq!(
        merchant.ask(&early).await.code(),
        "INVALID_REQUEST",
        "it is not abnormal yet"
    );
    merchant.admin().advance(Duration::from_secs(5)).await;
    assert_eq!(status(&merchant, "RF-1").await, "ABNORMAL");

    let key = PublicKey::from_public_key_pem(&details.wechatpay_public_key).unwrap();
    let sealed = |text: &str| {
        let sealed = key
            .encrypt(&mut rand::rng(), Oaep::<Sha1>::new(), text.as_bytes())
            .unwrap();
        BASE64.encode(sealed)
    };
    let card = |account: &str| {
        json!({
            "out_refund_no": "RF-1",
            "type": "USER_BANK_CARD",
            "bank_type": "ICBC_DEBIT",
            "bank_account": account,
            "real_name": sealed("张三"),
        })
    };
    let right = Ask::post(&path, &card(&sealed("6222020000000000000")));
    for (name, ask) in [
        ("no key named", right.clone()),
        (
            "the other key named",
            right
                .clone()
                .with("wechatpay-serial", &details.platform_certificate_serial),
        ),
        (
            "not encrypted",
            Ask::post(&path, &card("6222020000000000000")).with("wechatpay-serial", serial),
        ),
    ] {
        let answer = merchant.ask(&ask).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "PARAM_ERROR"),
            "{name}"
        );
    }
    let answer = merchant.ask(&right.with("wechatpay-serial", serial)).await;
    assert_eq!(
        (answer.status, &answer.json()["status"]),
        (200, &json!("PROCESSING"))
    );
    merchant.admin().advance(Duration::from_secs(5)).await;
    assert_eq!(status(&merchant, "RF-1").await, "SUCCESS");
}
