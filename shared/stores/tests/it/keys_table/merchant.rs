//! The merchant's item.

mod callbacks;
mod certificates;
mod changes;
mod reading;
mod unusable;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use runtime::signer::{MerchantSigner, SignWith};
use stores::keys_table::{
    KeysError,
    write::{NewApiV3Key, NewMerchant},
};
use testbed::{NOW, RsaKey};
use wechatpay::{LocalKey, SignedHeaders, Signer, UnixSeconds, VerificationKeys};

use super::{
    APIV3_KEY, Bench, MCHID, PUBLIC_KEY_ID, SIGNER_SERIAL, certificate, merchant, public_key,
};

const PLATFORM_KEY: &str = include_str!("../../../../wechatpay/vectors/keys/platform.pem");

/// Whether `keys` take what WeChat Pay signed and named `serial`.
async fn trusts(keys: &VerificationKeys, serial: &str) -> bool {
    let signer = LocalKey::from_pkcs8_pem("", PLATFORM_KEY).expect("the platform's key");
    let UnixSeconds(now) = NOW;
    let signature = signer
        .sign(format!("{now}\nnonce\n{{}}\n").as_bytes())
        .await
        .expect("signed");
    let headers = SignedHeaders {
        timestamp: now.to_string(),
        nonce: "nonce".to_owned(),
        serial: serial.to_owned(),
        signature: STANDARD.encode(signature),
        signature_type: None,
    };
    wechatpay::verify(&headers, b"{}", keys, NOW).is_ok()
}

#[tokio::test]
async fn a_merchant_that_was_written_is_read_with_every_key_usable() {
    let bench = Bench::new().await;
    let private = RsaKey::generate().pkcs8();
    let verification = [public_key(), certificate()];
    let new = NewMerchant {
        signer_pkcs8: Some(&private),
        ..merchant(&verification)
    };
    bench.sandbox().put_merchant(&new).await.expect("written");

    let keys = bench.sandbox().merchant().await.expect("read");
    assert!(trusts(&keys.verification, PUBLIC_KEY_ID).await);
    assert!(trusts(&keys.verification, &certificate().id).await);
    assert!(!trusts(&keys.verification, "PUB_KEY_ID_9").await);
    assert_eq!(keys.response_serial, PUBLIC_KEY_ID);
    let certificate = keys.certificate(&SignWith::Sealed).expect("stored");
    assert_eq!(certificate.serial_no, SIGNER_SERIAL);
    assert_eq!(
        (keys.version, keys.entries.as_slice()),
        (1, &verification[..])
    );
    assert_eq!(keys.apiv3().await.expect("unsealed").len(), 1);

    let signer = keys.signer(&SignWith::Sealed).await.expect("unsealed");
    let direct = LocalKey::from_pkcs8_der(SIGNER_SERIAL, &private).expect("a key");
    assert_eq!(
        signer.sign(b"text").await.expect("signed"),
        direct.sign(b"text").await.expect("signed")
    );
    assert_eq!(signer.serial_no(), SIGNER_SERIAL);
}

#[tokio::test]
async fn no_secret_is_in_plain_text_in_the_table_or_in_a_debug_text() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let stored = format!(
        "{:?}",
        bench.attribute(&format!("merchant#{MCHID}"), "apiv3").await
    );
    let keys = bench.sandbox().merchant().await.expect("read");
    keys.apiv3().await.expect("unsealed");
    let secret = format!("{APIV3_KEY:?}");
    for shown in [
        stored,
        format!("{keys:?}"),
        format!("{:?}", merchant(&[public_key()])),
    ] {
        assert!(
            !shown.contains("0123456789abcdef") && !shown.contains(secret.trim_matches(['[', ']'])),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn the_signer_is_the_one_that_the_settings_chose() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let keys = bench.sandbox().merchant().await.expect("read");
    let (key_id, _) = bench.kms.signing_key();
    let signer = keys
        .signer(&SignWith::Kms { key_id })
        .await
        .expect("no call is needed");
    assert!(matches!(signer, MerchantSigner::Kms(_)));
    assert_eq!(signer.serial_no(), SIGNER_SERIAL);
    signer.sign(b"text").await.expect("signed");

    let missing = keys
        .signer(&SignWith::Sealed)
        .await
        .expect_err("none was stored");
    assert!(matches!(missing, KeysError::Damaged { .. }), "{missing}");
}

#[tokio::test]
async fn the_newest_two_apiv3_keys_are_kept_newest_first() {
    let bench = Bench::new().await;
    let (old, middle, new) = ([1; 32], [2; 32], [3; 32]);
    let apiv3 =
        [(2, &middle), (1, &old), (3, &new)].map(|(version, bytes)| NewApiV3Key { version, bytes });
    let verification = [public_key()];
    bench
        .sandbox()
        .put_merchant(&NewMerchant {
            apiv3: &apiv3,
            ..merchant(&verification)
        })
        .await
        .expect("written");
    let keys = bench.sandbox().merchant().await.expect("read");
    let unsealed = keys.apiv3().await.expect("unsealed");
    assert_eq!(unsealed.len(), 2);
    for (key, expected) in unsealed.iter().zip([new, middle]) {
        assert!(opens(key, &expected));
    }
}

/// Whether `key` opens what was encrypted under `bytes`.
fn opens(key: &wechatpay::ApiV3Key, bytes: &[u8; 32]) -> bool {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("a key"));
    let mut text = b"plain".to_vec();
    let nonce = Nonce::assume_unique_for_key(*b"123456789012");
    cipher
        .seal_in_place_append_tag(nonce, Aad::from(b"aad"), &mut text)
        .expect("sealed");
    let sealed = wechatpay::Sealed {
        algorithm: "AEAD_AES_256_GCM".to_owned(),
        ciphertext: STANDARD.encode(text),
        associated_data: Some("aad".to_owned()),
        nonce: "123456789012".to_owned(),
    };
    wechatpay::resource::open(&sealed, std::slice::from_ref(key))
        .is_ok_and(|plain| plain == b"plain")
}
