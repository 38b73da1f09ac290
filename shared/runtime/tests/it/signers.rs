//! One suite for both signers. The signatures are checked by the `rsa` crate, which neither of them
//! uses.

use std::sync::Arc;

use rsa::pkcs8::DecodePublicKey;
use rsa::signature::Verifier;
use rsa::{PublicKey, pkcs1v15};
use runtime::signer::{KmsSigner, MerchantSigner};
use sha2::Sha256;
use testbed::{Fault, Match, Service};
use testbed::{KmsBench, RsaKey, chain};
use wechatpay::{LocalKey, Signer};

const SERIAL: &str = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1";

/// A signer under test, and the public key that its signatures must fit.
struct Candidate {
    name: &'static str,
    signer: MerchantSigner,
    public: PublicKey,
}

async fn both(bench: &KmsBench) -> [Candidate; 2] {
    let (key_id, kms_public) = bench.signing_key();
    let key = RsaKey::generate();
    let local = LocalKey::from_pkcs8_der(SERIAL, &key.pkcs8()).expect("a local key");
    let read = |der: &[u8]| PublicKey::from_public_key_der(der).expect("a public key");
    [
        Candidate {
            name: "kms",
            signer: MerchantSigner::Kms(KmsSigner::new(bench.kms.clone(), key_id, SERIAL)),
            public: read(&kms_public),
        },
        Candidate {
            name: "sealed",
            signer: MerchantSigner::Sealed(Arc::new(local)),
            public: read(&key.public_der()),
        },
    ]
}

fn verifies(public: &PublicKey, text: &[u8], signature: &[u8]) -> bool {
    let key = pkcs1v15::VerifyingKey::<Sha256>::new(public.clone());
    pkcs1v15::Signature::try_from(signature)
        .is_ok_and(|signature| key.verify(text, &signature).is_ok())
}

#[tokio::test]
async fn a_signature_fits_its_text_and_key_and_no_other() {
    let bench = KmsBench::start();
    let [kms, sealed] = both(&bench).await;
    for (candidate, other) in [(&kms, &sealed), (&sealed, &kms)] {
        let name = candidate.name;
        let text = b"POST\n/v3/pay/transactions/native\n1785556800\nnonce\n{}\n";
        let signature = candidate.signer.sign(text).await.expect(name);
        assert_eq!(signature.len(), 256, "{name}");
        assert!(verifies(&candidate.public, text, &signature), "{name}");
        assert!(
            !verifies(&candidate.public, b"POST\n", &signature),
            "{name}: another text"
        );
        assert!(
            !verifies(&other.public, text, &signature),
            "{name}: another key"
        );
    }
}

#[tokio::test]
async fn texts_of_any_length_are_signed() {
    let bench = KmsBench::start();
    for candidate in both(&bench).await {
        // KMS itself takes no more than 4096 bytes, and nothing empty.
        for length in [0, 1, 4096, 4097, 100_000] {
            let text = vec![b'x'; length];
            let signature = candidate.signer.sign(&text).await.expect(candidate.name);
            assert!(
                verifies(&candidate.public, &text, &signature),
                "{}: {length} bytes",
                candidate.name
            );
        }
    }
}

#[tokio::test]
async fn the_same_text_has_the_same_signature_each_time() {
    let bench = KmsBench::start();
    for candidate in both(&bench).await {
        let first = candidate.signer.sign(b"text").await.expect(candidate.name);
        assert_eq!(
            candidate.signer.sign(b"text").await.expect(candidate.name),
            first,
            "{}",
            candidate.name
        );
    }
}

#[tokio::test]
async fn both_name_the_merchant_certificate_and_make_a_whole_authorization_header() {
    let bench = KmsBench::start();
    for Candidate {
        name,
        signer,
        public,
    } in both(&bench).await
    {
        assert_eq!(signer.serial_no(), SERIAL, "{name}");
        let request = wechatpay::Outgoing {
            method: wechatpay::Method::Post,
            path_and_query: "/v3/security/echo".to_owned(),
            body: b"{}".to_vec(),
        };
        let header = wechatpay::authorization(&signer, "1900000001", &request, testbed::NOW, "abc")
            .await
            .expect(name);
        assert!(
            header.contains(&format!("serial_no=\"{SERIAL}\"")),
            "{name}: {header}"
        );
        let signature = header
            .split("signature=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("signature");
        let signature =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, signature)
                .expect("Base64");
        assert!(
            verifies(
                &public,
                b"POST\n/v3/security/echo\n1785556800\nabc\n{}\n",
                &signature
            ),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_text_costs_one_call_through_kms_and_none_with_a_sealed_key() {
    let bench = KmsBench::start();
    for (candidate, calls) in both(&bench).await.iter().zip([1, 0]) {
        bench.wire.forget();
        candidate.signer.sign(b"text").await.expect(candidate.name);
        assert_eq!(bench.wire.calls().len(), calls, "{}", candidate.name);
    }
}

#[tokio::test]
async fn a_kms_key_that_may_not_be_used_is_an_error_that_names_the_cause() {
    let bench = KmsBench::start();
    let [kms, _] = both(&bench).await;
    bench
        .wire
        .break_next(Match::operation(Service::Kms, "Sign"), Fault::Denied);
    let failure = kms.signer.sign(b"text").await.expect_err("denied");
    assert!(
        chain(&failure).contains("AccessDeniedException"),
        "{}",
        chain(&failure)
    );
}

#[tokio::test]
async fn a_disabled_kms_key_signs_nothing() {
    let bench = KmsBench::start();
    let (key_id, _) = bench.signing_key();
    bench.disable(&key_id);
    let signer = KmsSigner::new(bench.kms.clone(), key_id, SERIAL);
    let failure = signer.sign(b"text").await.expect_err("disabled");
    assert!(chain(&failure).contains("Disabled"), "{}", chain(&failure));
}
