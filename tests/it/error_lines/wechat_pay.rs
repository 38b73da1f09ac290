//! What WeChat Pay refuses for the whole merchant, and keys that do not verify.

use serde_json::Value;
use wechatpay_simulator::{Damage, PayOptions, Rule, SigningMode};

use super::common::refuse;
use crate::support::{Lines, Testbed, TestbedOptions, native};
use crate::{blocked, refunds};

pub(super) async fn the_merchant_is_refused() -> Vec<Value> {
    let (testbed, lines) = (refunds::paid().await, Lines::default());
    let admin = testbed.wechat.admin();
    admin
        .add_fault(Rule::always(refuse(403, "NO_AUTH")))
        .unwrap();
    let ordered = lines.of(testbed.post_order(&native("ORDER-2"))).await;
    assert_eq!(ordered.status, 202);
    testbed.refund("ORDER-1", "R1", 40).await;
    lines.of(testbed.work_off()).await;
    let lines = lines.take("ERROR");
    let refused = lines[0]["refusal"].as_str().expect("words");
    assert!(refused.contains("NO_AUTH"), "{refused}");
    admin.clear_faults(None);
    blocked::minutes(&testbed, 25).await;
    assert_eq!(
        testbed.order("ORDER-2").await.state.name(),
        "awaiting_payment"
    );
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["state"], "succeeded", "{refund}");
    lines
}

pub(super) async fn wechat_pay_signs_with_an_unknown_key() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    testbed.post_order(&native("ORDER-1")).await;
    let admin = testbed.wechat.admin();
    admin.pay("ORDER-1", &PayOptions::default()).unwrap();
    admin.rotate(SigningMode::PublicKey).unwrap();
    let callback = admin.signed_callback("ORDER-1", &Damage::None).unwrap();
    assert_eq!(lines.of(testbed.receive(&callback)).await.status, 401);
    let ordered = lines.of(testbed.post_order(&native("ORDER-2"))).await;
    assert_eq!(ordered.status, 202);
    lines.take("ERROR")
}

pub(super) async fn certificates_are_refused() -> Vec<Value> {
    let options = TestbedOptions {
        by_certificate: true,
        ..TestbedOptions::default()
    };
    let (testbed, lines) = (Testbed::with(options).await, Lines::default());
    let admin = testbed.wechat.admin();
    admin
        .add_fault(Rule::always(refuse(401, "SIGN_ERROR")))
        .unwrap();
    let refreshed = lines.of(testbed.certificates()).await;
    assert_eq!(refreshed, reconcile::RefreshOutcome::Failed);
    lines.take("ERROR")
}
