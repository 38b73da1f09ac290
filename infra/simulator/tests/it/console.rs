//! What the merchant's staff do in WeChat Pay's console, and the v2 notices that come of it.

use std::time::Duration;

use aes_gcm::aes::{
    Aes256, Block,
    cipher::{BlockCipherDecrypt, KeyInit},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::json;
use wechatpay_simulator::{
    CallbackStatus, ConsoleRefund, ConsoleRefundError, NoticeFormat, PayOptions, RefundOutcome,
    RefundSource, Settings, SigningMode,
};

use crate::support::{Ask, Merchant, Received, Receiver, at_noon};

const REFUNDS: &str = "/v3/refund/domestic/refunds";
const TAKEN: &str = "<xml><return_code><![CDATA[SUCCESS]]></return_code></xml>";
const APIV2_KEY: &str = "0123456789abcdef0123456789abcdef";

/// A paid order of 10 yuan, and a URL for notices set in the console.
async fn with_console_url() -> (Merchant, Receiver) {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    receiver.will_answer(&[200; 20]);
    receiver.will_say(TAKEN);
    let settings = Settings {
        console_refund_url: Some(receiver.url.clone()),
        apiv2_key: APIV2_KEY.to_owned(),
        ..Settings::default()
    };
    merchant.admin().set_settings(settings).unwrap();
    paid(&merchant, "ORDER-1001").await;
    (merchant, receiver)
}

async fn paid(merchant: &Merchant, number: &str) {
    merchant.native(&merchant.order(number, 1000)).await;
    merchant
        .admin()
        .pay(number, &PayOptions::default())
        .unwrap();
}

fn requested(refund_fen: i64) -> ConsoleRefund {
    ConsoleRefund {
        order: "ORDER-1001".to_owned(),
        refund_fen,
        ..ConsoleRefund::default()
    }
}

/// The text between an element's tags, without CDATA.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    text.strip_prefix("<![CDATA[")?.strip_suffix("]]>")
}

/// Opens a v2 notice as WeChat Pay's old manual says: Base64, then AES-256-ECB under the MD5 of the
/// key.
fn open_v2(received: &Received, apiv2_key: &str) -> Option<String> {
    assert!(!received.headers.contains_key("wechatpay-signature"));
    assert_eq!(received.headers["content-type"], "text/xml");
    let body = std::str::from_utf8(&received.body).unwrap();
    assert_eq!(element(body, "return_code"), Some("SUCCESS"));
    let mut bytes = BASE64.decode(element(body, "req_info")?).unwrap();
    let key = format!("{:x}", md5::compute(apiv2_key));
    let cipher = Aes256::new_from_slice(key.as_bytes()).unwrap();
    for bytes in bytes.chunks_exact_mut(16) {
        let mut block = Block::try_from(&*bytes).unwrap();
        cipher.decrypt_block(&mut block);
        bytes.copy_from_slice(&block);
    }
    let padding = usize::from(*bytes.last().unwrap());
    bytes.truncate(bytes.len().checked_sub(padding)?);
    String::from_utf8(bytes).ok()
}

#[tokio::test]
async fn a_refund_in_the_console_is_in_the_books_and_announced_in_xml() {
    let (merchant, receiver) = with_console_url().await;
    let refund = merchant.admin().console_refund(&requested(300)).unwrap();
    assert_eq!(refund.source, RefundSource::Console);
    assert_eq!(merchant.state("ORDER-1001").await, "REFUND");
    merchant.admin().advance(Duration::from_secs(5)).await;
    let path = format!("{REFUNDS}/{}", refund.out_refund_no);
    let asked = merchant.ask(&Ask::get(&path)).await.json();
    assert_eq!(
        (&asked["status"], &asked["amount"]["refund"]),
        (&json!("SUCCESS"), &json!(300))
    );

    let received = receiver.received();
    assert_eq!(received.len(), 1);
    let notice = open_v2(&received[0], APIV2_KEY).unwrap();
    for (name, value) in [
        ("out_trade_no", "ORDER-1001"),
        ("out_refund_no", refund.out_refund_no.as_str()),
        ("refund_id", refund.refund_id.as_str()),
        ("transaction_id", refund.transaction_id.as_str()),
        ("refund_status", "SUCCESS"),
        ("refund_fee", "300"),
        ("total_fee", "1000"),
        ("success_time", "2026-08-03 12:00:05"),
        ("refund_request_source", "VENDOR_PLATFORM"),
    ] {
        assert_eq!(element(&notice, name), Some(value), "{name}: {notice}");
    }
    let body = std::str::from_utf8(&received[0].body).unwrap();
    let mchid = merchant.simulator.details.mchid.as_str();
    assert_eq!(element(body, "mch_id"), Some(mchid));
}

#[tokio::test]
async fn without_a_url_in_the_console_nothing_is_sent() {
    let merchant = at_noon();
    paid(&merchant, "ORDER-1001").await;
    let refund = merchant.admin().console_refund(&requested(1000)).unwrap();
    merchant.admin().advance(Duration::from_secs(60)).await;
    let about = merchant.admin().callbacks_about(&refund.out_refund_no);
    assert!(about.is_empty(), "{about:?}");
}

#[tokio::test]
async fn a_refund_of_another_system_of_the_merchant_is_reported_as_usual() {
    let (merchant, receiver) = with_console_url().await;
    let requested = ConsoleRefund {
        out_refund_no: Some("ELSEWHERE-1".to_owned()),
        notify_url: Some(receiver.url.clone()),
        ..requested(300)
    };
    merchant.admin().console_refund(&requested).unwrap();
    merchant.admin().advance(Duration::from_secs(5)).await;
    let opened = merchant.open(&receiver.received()[0], SigningMode::PublicKey);
    assert_eq!(opened["envelope"]["event_type"], "REFUND.SUCCESS");
    assert_eq!(opened["plain"]["out_refund_no"], "ELSEWHERE-1");
}

#[tokio::test]
async fn the_console_keeps_to_the_rules_of_refunds() {
    let merchant = at_noon();
    paid(&merchant, "ORDER-1001").await;
    let refused =
        |requested: &ConsoleRefund| merchant.admin().console_refund(requested).unwrap_err();
    let code = |requested: &ConsoleRefund| match refused(requested) {
        ConsoleRefundError::Refused { code, .. } => code,
        ConsoleRefundError::Unknown(_)
        | ConsoleRefundError::Number
        | ConsoleRefundError::Amount => String::new(),
    };
    assert_eq!(code(&requested(1001)), "INVALID_REQUEST");
    assert_eq!(refused(&requested(0)), ConsoleRefundError::Amount);
    let unknown = ConsoleRefund {
        order: "ORDER-9999".to_owned(),
        ..requested(1)
    };
    assert!(matches!(refused(&unknown), ConsoleRefundError::Unknown(_)));

    let named = ConsoleRefund {
        out_refund_no: Some("RF-1".to_owned()),
        ..requested(600)
    };
    merchant.admin().console_refund(&named).unwrap();
    assert_eq!(refused(&named), ConsoleRefundError::Number);
    assert_eq!(code(&requested(1)), "FREQUENCY_LIMITED");
    merchant.admin().advance(Duration::from_secs(60)).await;
    assert_eq!(
        code(&requested(401)),
        "INVALID_REQUEST",
        "600 of 1000 are gone already"
    );
    let over_the_api = json!({
        "out_trade_no": "ORDER-1001",
        "out_refund_no": "RF-1",
        "amount": {"refund": 600, "total": 1000, "currency": "CNY"},
    });
    let answer = merchant.ask(&Ask::post(REFUNDS, &over_the_api)).await;
    assert_eq!(
        answer.code(),
        "INVALID_REQUEST",
        "the number is the console's"
    );
}

#[tokio::test]
async fn a_refund_without_notify_url_is_announced_in_xml_in_each_of_its_ends() {
    let (merchant, receiver) = with_console_url().await;
    for (outcome, event_type, status) in [
        (RefundOutcome::Success, "REFUND.SUCCESS", "SUCCESS"),
        (RefundOutcome::Closed, "REFUND.CLOSED", "REFUNDCLOSE"),
        (RefundOutcome::Abnormal, "REFUND.ABNORMAL", "CHANGE"),
    ] {
        merchant.admin().set_refund_outcome(outcome);
        let body = json!({
            "out_trade_no": "ORDER-1001",
            "out_refund_no": format!("RF-{status}"),
            "amount": {"refund": 10, "total": 1000, "currency": "CNY"},
        });
        let answer = merchant.ask(&Ask::post(REFUNDS, &body)).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        merchant.admin().advance(Duration::from_secs(60)).await;
        let callback = merchant
            .admin()
            .callbacks_about(&format!("RF-{status}"))
            .remove(0);
        assert_eq!(
            (callback.event_type.as_str(), callback.format),
            (event_type, NoticeFormat::V2Xml)
        );
        assert_eq!(callback.status, CallbackStatus::Delivered);
        let notice = open_v2(receiver.received().last().unwrap(), APIV2_KEY).unwrap();
        assert_eq!(element(&notice, "refund_status"), Some(status));
        assert_eq!(element(&notice, "refund_request_source"), Some("API"));
        let has_time = element(&notice, "success_time").is_some();
        assert_eq!(has_time, outcome == RefundOutcome::Success);
    }
    let last = receiver.received().last().unwrap().clone();
    let wrong_key = open_v2(&last, "ffffffffffffffffffffffffffffffff");
    let opens = wrong_key.is_some_and(|text| text.starts_with("<root>"));
    assert!(!opens, "only the key that is set opens it");
}

#[tokio::test]
async fn an_xml_notice_is_repeated_until_the_answer_says_success() {
    let (merchant, receiver) = with_console_url().await;
    receiver.will_say("{\"code\":\"SUCCESS\"}");
    let refund = merchant.admin().console_refund(&requested(300)).unwrap();
    merchant.admin().advance(Duration::from_secs(5 + 15)).await;
    receiver.will_say(TAKEN);
    merchant.admin().advance(Duration::from_secs(3600)).await;
    let callback = merchant
        .admin()
        .callbacks_about(&refund.out_refund_no)
        .remove(0);
    assert_eq!(callback.status, CallbackStatus::Delivered);
    let statuses: Vec<Option<u16>> = callback.tries.iter().map(|one| one.status).collect();
    assert_eq!(statuses, [Some(200); 3]);
    let failure = callback.tries[0].failure.clone().unwrap();
    assert!(failure.contains("return_code"), "{failure}");
    assert!(callback.tries[2].is_success());
}
