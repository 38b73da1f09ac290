//! Notices that no payment and no refund brings about, and hostile ones.

use std::time::Duration;

use aes_gcm::aes::{
    Aes256, Block,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use wechatpay_simulator::{
    Damage, Fault, ManualNotice, PayOptions, RefundOutcome, RefundStatus, Rule, SignedCallback,
    SigningMode,
};

use crate::support::{Ask, Merchant, Received, Receiver, at_noon, signed_text, verifies};

const REFUNDS: &str = "/v3/refund/domestic/refunds";

async fn order_with_notices(merchant: &Merchant, receiver: &Receiver, number: &str) {
    let mut order = merchant.order(number, 1000);
    order["notify_url"] = json!(receiver.url);
    merchant.native(&order).await;
}

fn pay(merchant: &Merchant, number: &str) -> String {
    let view = merchant
        .admin()
        .pay(number, &PayOptions::default())
        .unwrap();
    view.order.payment.unwrap().transaction_id
}

/// A signed callback as if it had been posted.
fn arrived(callback: SignedCallback) -> Received {
    let mut headers = http::HeaderMap::new();
    for (name, value) in callback.headers {
        headers.insert(
            name.parse::<http::HeaderName>().unwrap(),
            value.parse().unwrap(),
        );
    }
    Received {
        headers,
        body: callback.body.into_bytes(),
    }
}

/// What a receiver would read that decrypts and never checks the tag: AES-256-CTR from block 2 on.
fn read_without_tag(apiv3_key: &str, resource: &Value) -> Value {
    let cipher = Aes256::new_from_slice(apiv3_key.as_bytes()).unwrap();
    let mut bytes = BASE64
        .decode(resource["ciphertext"].as_str().unwrap())
        .unwrap();
    bytes.truncate(bytes.len() - 16);
    for (at, chunk) in bytes.chunks_mut(16).enumerate() {
        let mut counter = [0u8; 16];
        counter[..12].copy_from_slice(resource["nonce"].as_str().unwrap().as_bytes());
        counter[12..].copy_from_slice(&u32::try_from(at + 2).unwrap().to_be_bytes());
        let mut block = Block::from(counter);
        cipher.encrypt_block(&mut block);
        for (byte, key) in chunk.iter_mut().zip(block) {
            *byte ^= key;
        }
    }
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn a_profit_sharing_notice_looks_like_a_payment_and_names_its_transaction() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    order_with_notices(&merchant, &receiver, "ORDER-1001").await;
    let transaction_id = pay(&merchant, "ORDER-1001");
    merchant.admin().advance(Duration::ZERO).await;
    merchant
        .admin()
        .send_notice(&ManualNotice::ProfitSharing, "ORDER-1001", None)
        .unwrap();
    merchant.admin().advance(Duration::ZERO).await;
    let opened = merchant.open(&receiver.received()[1], SigningMode::PublicKey);
    assert_eq!(opened["envelope"]["event_type"], "TRANSACTION.SUCCESS");
    let resource = &opened["envelope"]["resource"];
    assert_eq!(resource["original_type"], "profitsharing");
    let plain = &opened["plain"];
    assert_eq!(plain["transaction_id"], transaction_id.as_str());
    assert_eq!(plain["receiver"]["amount"], 1000);
    assert_eq!(plain.get("trade_state"), None);
}

#[tokio::test]
async fn a_combined_notice_about_an_unpaid_order_leaves_it_unpaid_in_the_books() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    order_with_notices(&merchant, &receiver, "ORDER-1001").await;
    let alter = json!({"combine_out_trade_no": "ORDER-1001"});
    merchant
        .admin()
        .send_notice(&ManualNotice::Combined, "ORDER-1001", Some(&alter))
        .unwrap();
    merchant.admin().advance(Duration::ZERO).await;
    let opened = merchant.open(&receiver.received()[0], SigningMode::PublicKey);
    assert_eq!(opened["envelope"]["event_type"], "TRANSACTION.SUCCESS");
    let plain = &opened["plain"];
    assert_eq!(plain["combine_out_trade_no"], "ORDER-1001");
    assert_eq!(plain["sub_orders"][0]["out_trade_no"], "ORDER-1001");
    assert_eq!(plain["sub_orders"][0]["amount"]["total_amount"], 1000);
    assert_eq!(merchant.state("ORDER-1001").await, "NOTPAY");
    let unknown = merchant
        .admin()
        .send_notice(&ManualNotice::Combined, "ORDER-9999", None);
    assert!(unknown.is_none());
}

#[tokio::test]
async fn a_notice_of_an_unknown_kind_is_sent_as_it_is_given() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    order_with_notices(&merchant, &receiver, "ORDER-1001").await;
    let notice = ManualNotice::Other {
        event_type: "COMPLAINT.CREATE".to_owned(),
        original_type: "complaint".to_owned(),
        plaintext: json!({"complaint_id": "1"}),
    };
    let sent = merchant
        .admin()
        .send_notice(&notice, "ORDER-1001", None)
        .unwrap();
    merchant.admin().advance(Duration::ZERO).await;
    let opened = merchant.open(&receiver.received()[0], SigningMode::PublicKey);
    assert_eq!(opened["envelope"]["event_type"], "COMPLAINT.CREATE");
    assert_eq!(opened["plain"], json!({"complaint_id": "1"}));
    let tries = merchant.admin().callback(&sent.id).unwrap().tries;
    assert_eq!(tries.len(), 1);
}

#[tokio::test]
async fn a_refund_is_previewed_before_its_end_at_any_end_and_damaged() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    order_with_notices(&merchant, &receiver, "ORDER-1001").await;
    pay(&merchant, "ORDER-1001");
    merchant.admin().set_refund_outcome(RefundOutcome::Hold);
    let body = json!({
        "out_trade_no": "ORDER-1001",
        "out_refund_no": "RF-1",
        "notify_url": receiver.url,
        "amount": {"refund": 300, "total": 1000, "currency": "CNY"},
    });
    assert_eq!(merchant.ask(&Ask::post(REFUNDS, &body)).await.status, 200);
    let admin = merchant.admin();
    let plain = |callback: Option<SignedCallback>| {
        merchant.open(&arrived(callback.unwrap()), SigningMode::PublicKey)
    };
    let early = plain(admin.signed_callback("RF-1", &Damage::None));
    assert_eq!(early["envelope"]["event_type"], "REFUND.SUCCESS");
    assert_eq!(early["plain"]["refund_status"], "SUCCESS");
    assert_eq!(early["plain"]["amount"]["refund"], 300);
    let status = RefundStatus::Closed;
    let closed =
        plain(admin.signed_notice(&ManualNotice::Refund { status }, "RF-1", &Damage::None));
    assert_eq!(closed["envelope"]["event_type"], "REFUND.CLOSED");
    assert_eq!(closed["plain"].get("success_time"), None);
    let foreign = json!({"out_refund_no": "RF-2", "amount": {"refund": 1}});
    let altered = plain(admin.signed_callback("RF-1", &Damage::Altered(foreign)));
    assert_eq!(altered["plain"]["out_refund_no"], "RF-2");
    assert_eq!(altered["plain"]["amount"]["refund"], 1);

    admin.settle_refund("RF-1", RefundStatus::Abnormal).unwrap();
    let signed = plain(admin.signed_callback("RF-1", &Damage::None));
    assert_eq!(signed["envelope"]["event_type"], "REFUND.ABNORMAL");
    let by_id = admin.callbacks_about("RF-1").remove(0).id;
    let the_same = plain(admin.signed_callback(&by_id, &Damage::None));
    assert_eq!(the_same["envelope"]["id"], by_id.as_str());
    assert!(admin.signed_callback("RF-9", &Damage::None).is_none());
}

#[tokio::test]
async fn a_forged_tag_is_rightly_signed_and_reads_as_the_forger_wants_it_to() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    order_with_notices(&merchant, &receiver, "ORDER-1001").await;
    pay(&merchant, "ORDER-1001");
    let (_, pem) = merchant.admin().newest_key(SigningMode::PublicKey).unwrap();
    for patch in [
        json!({"out_trade_no": "ORDER-1002"}),
        json!({"amount": {"total": 1, "payer_total": 1}}),
        json!({}),
    ] {
        let damage = Damage::ForgedTag(patch.clone());
        let callback = merchant
            .admin()
            .signed_callback("ORDER-1001", &damage)
            .unwrap();
        let received = arrived(callback);
        let signature = received.headers["wechatpay-signature"].to_str().unwrap();
        let text = signed_text(&received.headers, &received.body);
        assert!(verifies(&pem, &text, signature), "the envelope is signed");
        let envelope: Value = serde_json::from_slice(&received.body).unwrap();
        let resource = &envelope["resource"];
        assert!(merchant.unseal(resource).is_none(), "the tag is wrong");
        let read = read_without_tag(&merchant.simulator.details.apiv3_key, resource);
        for (key, value) in patch.as_object().unwrap() {
            for (inner, value) in value.as_object().into_iter().flatten() {
                assert_eq!(&read[key][inner], value);
            }
            assert!(value.is_object() || read[key] == *value);
        }
        assert_eq!(read["trade_state"], "SUCCESS");
    }
}

#[tokio::test]
async fn a_renamed_callback_has_another_id_at_each_try() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    receiver.will_answer(&[500, 500]);
    order_with_notices(&merchant, &receiver, "ORDER-1001").await;
    merchant
        .admin()
        .add_fault(Rule::times(Fault::RenamedCallback, 1))
        .unwrap();
    pay(&merchant, "ORDER-1001");
    merchant.admin().advance(Duration::from_secs(60)).await;
    let opened: Vec<Value> = receiver
        .received()
        .iter()
        .map(|one| merchant.open(one, SigningMode::PublicKey))
        .collect();
    assert_eq!(opened.len(), 3);
    let id = |at: usize| opened[at]["envelope"]["id"].as_str().unwrap();
    assert!(id(0) != id(1) && id(1) != id(2) && id(0) != id(2));
    assert_eq!(opened[0]["plain"], opened[2]["plain"]);
}
