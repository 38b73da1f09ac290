//! Refunds that need a person.

use serde_json::{Value, json};
use wechatpay_simulator::{Damage, Endpoint, Fault, RefundOutcome, RefundStatus};

use super::common::{HOUR, always, named, refuse};
use crate::refunds;
use crate::support::Lines;

pub(super) async fn a_refund_is_abnormal() -> Vec<Value> {
    let (testbed, lines) = (refunds::paid().await, Lines::default());
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Abnormal);
    testbed.refund("ORDER-1", "R1", 100).await;
    lines.of(refunds::minutes(&testbed, 2)).await;
    testbed.advance(HOUR * 7).await;
    lines.of(testbed.sweep()).await;
    lines.take("ERROR")
}

pub(super) async fn a_refund_is_refused_for_an_hour() -> Vec<Value> {
    let (testbed, lines) = (refunds::paid().await, Lines::default());
    let admin = testbed.wechat.admin();
    let no_auth = refuse(403, "NO_AUTH");
    admin
        .add_fault(always(no_auth, Endpoint::CreateRefund))
        .unwrap();
    testbed.refund("ORDER-1", "R1", 100).await;
    lines.of(refunds::minutes(&testbed, 2)).await;
    let message = "a refund does not get on";
    assert!(named(&lines.take("ERROR"), message).is_empty());
    testbed.advance(HOUR).await;
    lines.of(testbed.sweep()).await;
    let lines = lines.take("ERROR");
    let refused = named(&lines, message)[0]["refusal"].to_string();
    assert!(refused.contains("NO_AUTH"), "{refused}");
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["trouble"], "NO_AUTH");
    lines
}

pub(super) async fn the_balance_is_too_low() -> Vec<Value> {
    let (testbed, lines) = (refunds::paid().await, Lines::default());
    let admin = testbed.wechat.admin();
    admin.set_balance(0);
    testbed.refund("ORDER-1", "R1", 100).await;
    lines.of(testbed.work_off()).await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["trouble"], "NOT_ENOUGH");
    admin.set_balance(1_000);
    refunds::minutes(&testbed, 20).await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["state"], "succeeded", "it goes on by itself");
    lines.take("ERROR")
}

pub(super) async fn a_refund_of_another_amount_is_logged() -> Vec<Value> {
    let (testbed, lines) = (refunds::processing().await, Lines::default());
    let admin = testbed.wechat.admin();
    let number = admin.refunds_of("ORDER-1")[0].out_refund_no.clone();
    let altered = Damage::Altered(json!({"amount": {"refund": 41}}));
    let callback = admin.signed_callback(&number, &altered).unwrap();
    assert_eq!(testbed.receive(&callback).await.status, 204);
    assert_eq!(lines.of(testbed.work_off()).await, 0);
    let [kept] = &testbed.notices().await[..] else {
        panic!("one notice");
    };
    assert_eq!(kept["status"], "parked");
    assert!(kept["notice_id"].starts_with("refund#"), "{kept:?}");
    lines.take("ERROR")
}

pub(super) async fn a_refund_is_forgotten_at_wechat_pay() -> Vec<Value> {
    let (testbed, lines) = (refunds::processing().await, Lines::default());
    let unknown = refuse(404, "RESOURCE_NOT_EXISTS");
    let rule = always(unknown, Endpoint::QueryRefund);
    testbed.wechat.admin().add_fault(rule).unwrap();
    testbed.advance(HOUR).await;
    lines.of(testbed.sweep()).await;
    assert_eq!(testbed.wechat.admin().refunds().len(), 1, "no second one");
    lines.take("ERROR")
}

pub(super) async fn answers_about_a_refund_cannot_be_read() -> Vec<Value> {
    let (testbed, lines) = (refunds::paid().await, Lines::default());
    let admin = testbed.wechat.admin();
    for endpoint in [Endpoint::CreateRefund, Endpoint::QueryRefund] {
        let patch = json!({"status": null});
        let rule = always(Fault::AlteredAnswer { patch }, endpoint);
        admin.add_fault(rule).unwrap();
    }
    testbed.refund("ORDER-1", "R1", 40).await;
    testbed.in_silence(lines.of(testbed.work_off())).await;
    lines.take("ERROR")
}

pub(super) async fn a_payer_has_the_money_that_went_to_the_merchant() -> Vec<Value> {
    let (testbed, lines) = (refunds::abnormal().await, Lines::default());
    let to = json!({"to": "merchant", "who": "Wang", "why": "card gone"});
    let asked = testbed.post(refunds::REDIRECT, &to).await;
    assert_eq!(asked.status, 202);
    let admin = testbed.wechat.admin();
    let patch = json!({"user_received_account": "招商银行信用卡0403"});
    let rule = always(Fault::AlteredAnswer { patch }, Endpoint::QueryRefund);
    admin.add_fault(rule).unwrap();
    let minutes = lines.of(refunds::minutes(&testbed, 3));
    testbed.in_silence(minutes).await;
    let number = admin.refunds_of("ORDER-1")[0].out_refund_no.clone();
    let there = admin.refund(&number).expect("the refund");
    assert_eq!(there.status, RefundStatus::Success);
    lines.take("ERROR")
}
