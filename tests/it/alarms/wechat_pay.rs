//! WeChat Pay does not answer, refuses the merchant, or signs by an unknown key.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use stores::keys_table::{VerificationEntry, VerificationKind, change::MerchantChange};
use wechatpay_simulator::{Damage, Fault, Rule, SignedCallback, SigningMode};

use super::{MINUTE, Watch, assert_missed, incident, minute, well};
use crate::support::{Testbed, start_wechat};

#[tokio::test(flavor = "multi_thread")]
async fn wechat_pay_out_of_reach_for_an_hour_is_an_alarm_in_its_first_minutes_and_stays_one() {
    let (mut testbed, mut watch) = well(3).await;
    // Nothing listens at the address that the functions call.
    let port = testbed.wechat.addr.port();
    testbed.wechat = start_wechat(testbed.clock.now(), 0);
    incident(
        &testbed,
        &mut watch,
        60,
        &["prepays-put-off", "wechat-unreachable"],
    )
    .await;
    watch.says("no prepay value for now", "wechat-down.md");
    watch.says("WeChat Pay did not answer", "wechat-down.md");
    for alarm in ["prepays-put-off", "wechat-unreachable"] {
        watch.goes_on(alarm);
    }
    testbed.wechat = start_wechat(testbed.clock.now(), port);
    for number in 0..10 {
        minute(&testbed, &mut watch, 2000 + number).await;
    }
    for alarm in ["prepays-put-off", "wechat-unreachable"] {
        watch.goes_off(alarm);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wechat_pay_that_breaks_connections_or_answers_5xx_is_an_alarm_in_its_first_minutes() {
    for fault in [Fault::ResetBefore, Fault::ServerErrorBefore { status: 502 }] {
        let (testbed, mut watch) = well(3).await;
        testbed
            .wechat
            .admin()
            .add_fault(Rule::always(fault))
            .unwrap();
        incident(&testbed, &mut watch, 6, &["prepays-put-off"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_an_alarm_at_once_whose_error_lines_stay_for_a_week() {
    let (testbed, mut watch) = well(3).await;
    let revoked = Fault::Refuse {
        status: 401,
        code: "SIGN_ERROR".to_owned(),
    };
    testbed
        .wechat
        .admin()
        .add_fault(Rule::always(revoked))
        .unwrap();
    let alarms = ["merchant-refused", "prepays-put-off"];
    incident(&testbed, &mut watch, 8, &alarms).await;
    let refused = "WeChat Pay refuses the merchant, and not this request alone";
    for page in ["wechat-down.md", "error-lines.md"] {
        watch.says(refused, page);
    }
    watch.goes_on("merchant-refused");
    testbed.wechat.admin().clear_faults(None);
    for number in 0..40 {
        minute(&testbed, &mut watch, 2000 + number).await;
    }
    watch.goes_off("merchant-refused");
    let day = MINUTE * 60 * 24;
    for _ in 0..6 {
        testbed.clock.advance(day);
        assert!(watch.is_met("error-lines"), "its cause may stand");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_wechat_pays_that_is_not_known_here_is_an_alarm_for_answers_and_callbacks() {
    let (testbed, mut watch) = well(3).await;
    let admin = testbed.wechat.admin();
    admin.rotate(SigningMode::PublicKey).unwrap();
    // Earlier orders are paid, with callbacks under the new key.
    testbed.advance(MINUTE).await;
    let callback = admin.signed_callback("ORDER-1", &Damage::None).unwrap();
    assert_eq!(watch.of(testbed.receive(&callback)).await.status, 401);
    testbed.advance(MINUTE).await;
    assert!(watch.is_met("callbacks-unverified"), "{:?}", watch.met());
    let alarms = ["answers-unverified", "prepays-put-off"];
    incident(&testbed, &mut watch, 6, &alarms).await;
    testbed.advance(MINUTE * 60).await;
    assert!(watch.is_met("error-lines"));
    let refused = "callback refused: none of WeChat Pay's keys here verifies it";
    watch.says(refused, "error-lines.md");
    watch.says("an answer was not believed", "error-lines.md");
    let of_keys = [
        "callbacks-unverified",
        "answers-unverified",
        "keys-unverified",
    ];
    incident(&testbed, &mut watch, 6, &["answers-unverified"]).await;
    let callback = admin.signed_callback("ORDER-1", &Damage::None).unwrap();
    assert_eq!(watch.of(testbed.receive(&callback)).await.status, 401);
    testbed.advance(MINUTE).await;
    for alarm in of_keys {
        watch.goes_on(alarm);
    }
    know_newest_key(&testbed).await;
    for number in 0..40 {
        minute(&testbed, &mut watch, 3000 + number).await;
    }
    for alarm in of_keys {
        watch.goes_off(alarm);
    }
}

/// As `cargo client setup add-wechat-key` does it.
pub(super) async fn know_newest_key(testbed: &Testbed) {
    let (id, pem) = testbed
        .wechat
        .admin()
        .newest_key(SigningMode::PublicKey)
        .unwrap();
    let entry = [VerificationEntry {
        id,
        kind: VerificationKind::PublicKey,
        pem,
    }];
    let change = MerchantChange {
        add_verification: &entry,
        ..MerchantChange::default()
    };
    testbed.keys.change_merchant(&change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_whose_signature_does_not_fit_a_known_key_is_an_alarm() {
    for damage in [Damage::WrongSignature, Damage::UnknownSerial] {
        let (testbed, mut watch) = well(1).await;
        let admin = testbed.wechat.admin();
        let callback = admin.signed_callback("ORDER-0", &damage).unwrap();
        assert_eq!(watch.of(testbed.receive(&callback)).await.status, 401);
        testbed.advance(MINUTE * 5).await;
        let alarms = ["callbacks-unverified"];
        assert_missed(&watch, &alarms, &format!("after {damage:?}"));
        testbed.advance(MINUTE * 60).await;
        assert!(watch.is_met("error-lines"));
    }
}

/// A forged message from an attacker who has the form of a callback and none of our keys.
fn of_a_stranger(callback: &SignedCallback) -> SignedCallback {
    let mut body: Value = serde_json::from_str(&callback.body).unwrap();
    body["resource"]["ciphertext"] = json!(STANDARD.encode([7; 400]));
    SignedCallback {
        body: body.to_string(),
        ..callback.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_callbacks_set_off_no_alarm_and_hide_no_missing_key() {
    let (testbed, mut watch) = well(3).await;
    let admin = testbed.wechat.admin();
    let knock = async |watch: &mut Watch| {
        for damage in [Damage::WrongSignature, Damage::UnknownSerial] {
            let real = admin.signed_callback("ORDER-0", &damage).unwrap();
            let mut forged = of_a_stranger(&real);
            assert_eq!(watch.of(testbed.receive(&forged)).await.status, 401);
            // Under the serial of a certificate, and under none that WeChat Pay has.
            for serial in ["5157F09EFDC096DE15EBE81A47057A72A4D0E1B3", "my-key"] {
                let mut headers = forged.headers.iter_mut();
                let named = |(name, _): &&mut (String, String)| {
                    name.eq_ignore_ascii_case("wechatpay-serial")
                };
                headers.find(named).unwrap().1 = serial.to_owned();
                assert_eq!(watch.of(testbed.receive(&forged)).await.status, 401);
            }
        }
    };
    let of_callbacks = ["callbacks-unverified", "new-error-lines", "error-lines"];
    let quiet = |watch: &Watch| {
        let called = watch.not_quiet();
        !of_callbacks.iter().any(|alarm| called.contains(alarm))
    };
    for number in 0..10 {
        // Others pay meanwhile; then there is no payment.
        if number < 5 {
            minute(&testbed, &mut watch, 1000 + number).await;
        } else {
            testbed.advance(MINUTE * 20).await;
        }
        knock(&mut watch).await;
        testbed.advance(MINUTE).await;
        assert!(
            quiet(&watch),
            "{number}: {:?} {:?}",
            watch.not_quiet(),
            watch.said
        );
    }
    watch.says("callback refused", "keys.md");
    // WeChat Pay begins to sign with a key that is not known here.
    admin.rotate(SigningMode::PublicKey).unwrap();
    let real = admin.signed_callback("ORDER-1", &Damage::None).unwrap();
    assert_eq!(watch.of(testbed.receive(&real)).await.status, 401);
    knock(&mut watch).await;
    testbed.advance(MINUTE).await;
    assert!(watch.is_met("callbacks-unverified"));
    assert!(!watch.not_quiet().contains("new-error-lines"), "one call");
}
