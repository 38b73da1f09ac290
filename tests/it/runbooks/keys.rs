//! `keys.md`: causes of what does not verify.

use std::time::Duration;

use stores::keys_table::{VerificationEntry, VerificationKind, change::MerchantChange};
use wechatpay_simulator::{Damage, PayOptions, SigningMode};

use super::{NOT_BELIEVED, REFUSED, row_says, the_line};
use crate::support::{Lines, Testbed, native};

#[tokio::test(flavor = "multi_thread")]
async fn another_key_under_wechat_pays_serial_is_a_wrong_signature_until_the_right_one_is_there() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let admin = testbed.wechat.admin();
    admin.pay("ORDER-1", &PayOptions::default()).unwrap();
    let (id, right) = admin.newest_key(SigningMode::PublicKey).unwrap();
    let other = testbed::sealed_key().public_pem();
    let has = async |pem: &str| {
        let entry = VerificationEntry {
            id: id.clone(),
            kind: VerificationKind::PublicKey,
            pem: pem.to_owned(),
        };
        let change = MerchantChange {
            add_verification: std::slice::from_ref(&entry),
            ..MerchantChange::default()
        };
        testbed
            .keys
            .change_merchant(&change)
            .await
            .expect("written");
        testbed.advance(Duration::from_secs(61)).await;
    };
    has(&other).await;
    let lines = Lines::default();
    let callback = || admin.signed_callback("ORDER-1", &Damage::None).unwrap();
    assert_eq!(lines.of(testbed.receive(&callback())).await.status, 401);
    assert_eq!(the_line(&lines, REFUSED)["cause"], "wrong_signature");
    let ordered = lines.of(testbed.post_order(&native("ORDER-2"))).await;
    assert_eq!(ordered.status, 202);
    assert_eq!(the_line(&lines, NOT_BELIEVED)["cause"], "wrong_signature");
    row_says(
        "keys.md",
        "`wrong_signature` |",
        &["the key of that serial in the keys table is another one"],
    );
    has(&right).await;
    assert_eq!(testbed.receive(&callback()).await.status, 204);
    assert_eq!(testbed.post_order(&native("ORDER-3")).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_key_of_wechat_pays_that_is_not_here_is_added_by_the_command_of_its_row() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let admin = testbed.wechat.admin();
    admin.pay("ORDER-1", &PayOptions::default()).unwrap();
    let new_id = admin.rotate(SigningMode::PublicKey).unwrap();
    let callback = || admin.signed_callback("ORDER-1", &Damage::None).unwrap();
    assert_eq!(testbed.receive(&callback()).await.status, 401);
    let (id, pem) = admin.newest_key(SigningMode::PublicKey).unwrap();
    assert_eq!(id, new_id);
    let entry = [VerificationEntry {
        id,
        kind: VerificationKind::PublicKey,
        pem,
    }];
    // As `cargo client setup add-wechat-key` does it.
    let change = MerchantChange {
        add_verification: &entry,
        ..MerchantChange::default()
    };
    testbed
        .keys
        .change_merchant(&change)
        .await
        .expect("written");
    testbed.advance(Duration::from_secs(61)).await;
    assert_eq!(testbed.receive(&callback()).await.status, 204);
    assert_eq!(testbed.post_order(&native("ORDER-2")).await.status, 201);
    row_says(
        "keys.md",
        "`unknown_serial`, `PUB_KEY_ID_...`",
        &[
            "a public key that is not in the keys table",
            "`setup add-wechat-key`",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_callback_is_refused_while_others_under_its_serial_are_taken() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let admin = testbed.wechat.admin();
    admin.pay("ORDER-1", &PayOptions::default()).unwrap();
    let lines = Lines::default();
    for (damage, status) in [
        (Damage::WrongSignature, 401),
        (Damage::None, 204),
        (Damage::WrongSignature, 401),
    ] {
        let callback = admin.signed_callback("ORDER-1", &damage).unwrap();
        let answer = lines.of(testbed.receive(&callback)).await;
        assert_eq!(answer.status, status, "{damage:?}");
    }
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.order("ORDER-1").await.state.name(), "paid");
    assert_eq!(the_line(&lines, REFUSED)["cause"], "wrong_signature");
    row_says(
        "keys.md",
        "`wrong_signature` of some callbacks only",
        &[
            "while others under the same serial are taken",
            "they are refused",
        ],
    );
}
