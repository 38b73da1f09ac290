//! Both signers of the merchant, KMS and the sealed key, held to one suite.

use adapters::{
    aws::{Aws, AwsSettings},
    clock::Clock,
    kms::Kms,
    signer::{KmsSigner, MerchantSigner},
};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use wechatpay::{
    UnixSeconds,
    api::{Call, QueryByOutTradeNo},
    canonical,
    sign::{LocalKey, Signer, authorization},
};

use crate::support::LocalAws;

const SERIAL: &str = "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB";

/// Each signer with the public key that its signatures must verify under.
async fn signers() -> [(&'static str, MerchantSigner, String); 2] {
    let local = LocalAws::get().await;
    let kms = Kms::new(Aws::new(&AwsSettings::local(&local.endpoint), &Clock::system()).kms());
    let sealed = LocalKey::from_pkcs8_der(SERIAL, &local.merchant_pkcs8).unwrap();
    [
        (
            "kms",
            MerchantSigner::Kms(KmsSigner::new(kms, &local.merchant_key_id, SERIAL)),
            local.merchant_public_key.clone(),
        ),
        (
            "sealed",
            MerchantSigner::Sealed(sealed.into()),
            local.sealed_public_key.clone(),
        ),
    ]
}

fn verifies(pem: &str, text: &[u8], signature: &[u8]) -> bool {
    let der = BASE64
        .decode(
            pem.lines()
                .filter(|line| !line.starts_with("---"))
                .collect::<String>(),
        )
        .unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der)
        .verify(text, signature)
        .is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sign_any_text_and_nothing_but_it() {
    for (name, signer, pem) in signers().await {
        for text in [
            &b""[..],
            b"GET\n/v3/certificates\n1554208460\n593BEC\n\n",
            &[b'x'; 5000],
        ] {
            let signature = signer.sign(text).await.unwrap();
            assert_eq!(signature.len(), 256, "{name}");
            assert!(
                verifies(&pem, text, &signature),
                "{name}, {} bytes",
                text.len()
            );
            assert!(!verifies(&pem, b"another text", &signature), "{name}");
            assert_eq!(
                signer.sign(text).await.unwrap(),
                signature,
                "{name}: PKCS#1 v1.5 is deterministic"
            );
        }
        assert_eq!(signer.serial_no(), SERIAL, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_make_an_authorization_header_that_verifies() {
    let call = QueryByOutTradeNo {
        mchid: "1900000001".into(),
        out_trade_no: "ORDER-1".into(),
    }
    .outgoing();
    for (name, signer, pem) in signers().await {
        let at = UnixSeconds(1_554_208_460);
        let header = authorization(
            &signer,
            "1900000001",
            &call,
            at,
            "593BEC0C930BF1AFEB40B4A08C8FB242",
        )
        .await
        .unwrap();
        let signature = header
            .split("signature=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap();
        let text = canonical::request(&call, at, "593BEC0C930BF1AFEB40B4A08C8FB242");
        assert!(
            verifies(&pem, &text, &BASE64.decode(signature).unwrap()),
            "{name}"
        );
        assert!(
            header.contains(&format!("serial_no=\"{SERIAL}\"")),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_cannot_sign_says_so() {
    let local = LocalAws::get().await;
    let kms = Kms::new(Aws::new(&AwsSettings::local(&local.endpoint), &Clock::system()).kms());
    assert!(
        KmsSigner::new(kms, "no-such-key", SERIAL)
            .sign(b"text")
            .await
            .is_err()
    );
    assert!(LocalKey::from_pkcs8_der(SERIAL, b"not a key").is_err());
}
