//! The merchant's certificates, one for each key that signs.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use runtime::signer::SignWith;
use stores::keys_table::{
    MerchantKeys,
    change::{ChangeError, MerchantChange, RemovedCertificate, SignerCertificate, Validity},
};
use testbed::{NOW, RsaKey};
use wechatpay::{LocalKey, Signer};

use super::super::{Bench, MCHID, SIGNER_SERIAL};

const SIGNER: &str = "signer";

fn kms(key_id: &str) -> SignWith {
    let key_id = key_id.to_owned();
    SignWith::Kms { key_id }
}

fn of<'a>(signs: &'a SignWith, serial_no: &'a str) -> MerchantChange<'a> {
    MerchantChange {
        signer_certificate: Some(SignerCertificate {
            signs: Some(signs),
            serial_no,
            validity: None,
        }),
        ..MerchantChange::default()
    }
}

fn sealed<'a>(der: &'a [u8], serial_no: &'a str) -> MerchantChange<'a> {
    MerchantChange {
        signer_certificate: Some(SignerCertificate {
            signs: None,
            serial_no,
            validity: None,
        }),
        signer_pkcs8: Some(der),
        ..MerchantChange::default()
    }
}

fn without<'a>(serial_no: &'a str, signs: &'a SignWith) -> MerchantChange<'a> {
    MerchantChange {
        remove_certificate: Some(RemovedCertificate { serial_no, signs }),
        ..MerchantChange::default()
    }
}

/// What a change leaves, as every function reads it.
async fn after(bench: &Bench, change: &MerchantChange<'_>) -> Arc<MerchantKeys> {
    bench
        .sandbox()
        .change_merchant(change)
        .await
        .expect("changed");
    read(bench).await
}

async fn read(bench: &Bench) -> Arc<MerchantKeys> {
    bench.sandbox().merchant().await.expect("read")
}

async fn refused(bench: &Bench, change: &MerchantChange<'_>) -> ChangeError {
    let refused = bench.sandbox().change_merchant(change).await;
    refused.expect_err("refused")
}

#[track_caller]
fn name(keys: &MerchantKeys, expected: &[(&SignWith, &str)]) {
    for (signs, serial_no) in expected {
        let certificate = keys.certificate(signs).expect("stored");
        assert_eq!(certificate.serial_no, *serial_no, "{signs:?}");
    }
}

/// What versions before this one read, with the sealed key beside it.
async fn earlier(bench: &Bench) -> String {
    let AttributeValue::M(signer) = bench.attribute(&pk(), SIGNER).await else {
        panic!("no map");
    };
    signer["serial_no"].as_s().expect("a number").clone()
}

fn pk() -> String {
    format!("merchant#{MCHID}")
}

/// An earlier version writes the signer: its one number, and what it does not know stays.
async fn earlier_version_sets(bench: &Bench, serial_no: &str) {
    let AttributeValue::M(mut signer) = bench.attribute(&pk(), SIGNER).await else {
        panic!("no map");
    };
    let serial_no = AttributeValue::S(serial_no.to_owned());
    signer.insert("serial_no".to_owned(), serial_no);
    bench.set(&pk(), SIGNER, AttributeValue::M(signer)).await;
}

/// The item as versions before this one wrote it, with or without a sealed key.
async fn written_by_an_earlier_version(bench: &Bench, sealed_key: Option<&[u8]>) {
    bench.put_merchant().await;
    if let Some(der) = sealed_key {
        after(bench, &sealed(der, SIGNER_SERIAL)).await;
    }
    let AttributeValue::M(mut signer) = bench.attribute(&pk(), SIGNER).await else {
        panic!("no map");
    };
    signer.retain(|name, _| !name.starts_with("certificates"));
    bench.set(&pk(), SIGNER, AttributeValue::M(signer)).await;
}

#[tokio::test]
async fn the_next_keys_number_is_registered_before_it_signs_and_the_one_before_stays() {
    let bench = Bench::new().await;
    written_by_an_earlier_version(&bench, None).await;
    let (old, next) = (kms("old"), kms("next"));
    let keys = read(&bench).await;
    name(&keys, &[(&old, SIGNER_SERIAL), (&next, SIGNER_SERIAL)]);
    assert_eq!(keys.certificates.own(&old), None);

    // Whether the key in use has its own before or not.
    let keys = after(&bench, &of(&next, "BBBB")).await;
    name(&keys, &[(&old, SIGNER_SERIAL), (&next, "BBBB")]);
    assert_eq!(earlier(&bench).await, SIGNER_SERIAL);
    let keys = after(&bench, &of(&old, SIGNER_SERIAL)).await;
    name(&keys, &[(&old, SIGNER_SERIAL), (&next, "BBBB")]);
    // The settings may have the key by its ARN.
    let by_arn = kms("arn:aws:kms:us-east-1:111122223333:key/next");
    name(&keys, &[(&by_arn, "BBBB")]);

    // The next one signs everywhere: the one before goes, for earlier versions, too.
    let in_use = refused(&bench, &without("BBBB", &next)).await;
    assert!(matches!(in_use, ChangeError::CertificateInUse(of) if of == "BBBB"));
    let missing = refused(&bench, &without(SIGNER_SERIAL, &kms("third"))).await;
    assert!(matches!(missing, ChangeError::NoCertificateOfItsOwn));
    let unknown = refused(&bench, &without("DDDD", &next)).await;
    assert!(matches!(unknown, ChangeError::NoSuchCertificate(of) if of == "DDDD"));
    let keys = after(&bench, &without(SIGNER_SERIAL, &next)).await;
    name(&keys, &[(&next, "BBBB")]);
    assert_eq!(keys.certificates.own(&old), None);
    assert_eq!(earlier(&bench).await, "BBBB");
}

#[tokio::test]
async fn a_renewed_certificate_of_the_same_key_is_named_by_earlier_versions_too() {
    let bench = Bench::new().await;
    written_by_an_earlier_version(&bench, None).await;
    let key = kms("own");
    after(&bench, &of(&key, SIGNER_SERIAL)).await;
    let whole = MerchantChange {
        signer_certificate: Some(SignerCertificate {
            signs: Some(&key),
            serial_no: "BBBB",
            validity: Some(Validity {
                from: NOW,
                until: NOW.plus_s(86_400),
            }),
        }),
        ..MerchantChange::default()
    };
    let keys = after(&bench, &whole).await;
    let certificate = keys.certificate(&key).expect("stored");
    assert_eq!(certificate.serial_no, "BBBB");
    assert_eq!(keys.certificates.of_earlier_versions(), Some(certificate));
}

#[tokio::test]
async fn a_pair_that_is_sealed_changes_as_one_and_leaves_every_other_key_its_number() {
    for first in [None, Some(RsaKey::generate().pkcs8())] {
        let bench = Bench::new().await;
        written_by_an_earlier_version(&bench, first.as_deref()).await;
        let in_kms = kms("own");
        let second = RsaKey::generate().pkcs8();
        let keys = after(&bench, &sealed(&second, "BBBB")).await;
        name(
            &keys,
            &[(&in_kms, SIGNER_SERIAL), (&SignWith::Sealed, "BBBB")],
        );
        let signer = keys.signer(&SignWith::Sealed).await.expect("unsealed");
        let direct = LocalKey::from_pkcs8_der("BBBB", &second).expect("a key");
        assert_eq!(signer.serial_no(), "BBBB");
        assert_eq!(
            signer.sign(b"text").await.expect("signed"),
            direct.sign(b"text").await.expect("signed")
        );
        // Earlier versions take the sealed key and their number for a pair, if they had one.
        let pair = if first.is_some() {
            "BBBB"
        } else {
            SIGNER_SERIAL
        };
        assert_eq!(earlier(&bench).await, pair);

        // Back to a key in KMS, and the sealed one goes with its certificate.
        let keys = after(&bench, &of(&in_kms, "CCCC")).await;
        name(&keys, &[(&in_kms, "CCCC"), (&SignWith::Sealed, "BBBB")]);
        let keys = after(&bench, &without("BBBB", &in_kms)).await;
        name(&keys, &[(&in_kms, "CCCC")]);
        assert!(keys.signer(&SignWith::Sealed).await.is_err());
        assert_eq!(earlier(&bench).await, "CCCC");
    }
}

#[tokio::test]
async fn what_an_earlier_version_changes_counts_for_all_keys_until_they_are_registered_again() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let (one, two) = (kms("one"), kms("two"));
    after(&bench, &of(&one, SIGNER_SERIAL)).await;
    after(&bench, &of(&two, "BBBB")).await;
    earlier_version_sets(&bench, "CCCC").await;
    let keys = read(&bench).await;
    name(&keys, &[(&one, "CCCC"), (&two, "CCCC")]);
    assert_eq!(keys.certificates.own(&one), None);
    let keys = after(&bench, &of(&two, "BBBB")).await;
    name(&keys, &[(&one, "CCCC"), (&two, "BBBB")]);
}

#[tokio::test]
async fn a_key_that_has_none_of_its_own_keeps_the_number_of_a_sealed_key_that_is_taken_out() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    after(&bench, &sealed(&RsaKey::generate().pkcs8(), SIGNER_SERIAL)).await;
    // As it is where the sealed key was the first. An earlier version imports the same pair into
    // KMS, and registers nothing by key.
    let AttributeValue::M(mut signer) = bench.attribute(&pk(), SIGNER).await else {
        panic!("no map");
    };
    let AttributeValue::M(mut by_key) = signer["certificates"].clone() else {
        panic!("no map");
    };
    by_key.retain(|name, _| name == "sealed");
    assert_eq!(by_key.len(), 1);
    signer.insert("certificates".to_owned(), AttributeValue::M(by_key));
    bench.set(&pk(), SIGNER, AttributeValue::M(signer)).await;

    let removed = MerchantChange {
        removes_sealed_signer: true,
        ..MerchantChange::default()
    };
    after(&bench, &removed).await;
    let (in_kms, next) = (kms("own"), kms("next"));
    let keys = after(&bench, &of(&next, "BBBB")).await;
    name(&keys, &[(&in_kms, SIGNER_SERIAL), (&next, "BBBB")]);
    assert_eq!(earlier(&bench).await, SIGNER_SERIAL);
}

#[tokio::test]
async fn the_end_of_a_certificate_is_seen_though_an_earlier_version_registered_it() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let key = kms("own");
    let keys = after(&bench, &of(&key, SIGNER_SERIAL)).await;
    assert_eq!(keys.certificate(&key).expect("stored").validity, None);
    let AttributeValue::M(mut signer) = bench.attribute(&pk(), SIGNER).await else {
        panic!("no map");
    };
    let until = NOW.plus_s(86_400);
    for (name, at) in [("not_before", NOW), ("not_after", until)] {
        signer.insert(name.to_owned(), AttributeValue::N(at.0.to_string()));
    }
    bench.set(&pk(), SIGNER, AttributeValue::M(signer)).await;
    let validity = read(&bench)
        .await
        .certificate(&key)
        .expect("stored")
        .validity;
    assert_eq!(validity, Some(Validity { from: NOW, until }));
}

#[tokio::test]
async fn a_certificate_is_registered_for_a_key_by_name_once_one_has_its_own() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let unnamed = |serial_no| MerchantChange {
        signer_certificate: Some(SignerCertificate {
            signs: None,
            serial_no,
            validity: None,
        }),
        ..MerchantChange::default()
    };
    after(&bench, &unnamed("AAAA")).await;
    let key = kms("own");
    after(&bench, &of(&key, "BBBB")).await;
    let unclear = refused(&bench, &unnamed("CCCC")).await;
    assert!(matches!(unclear, ChangeError::WhoseCertificate(all) if all == "own: BBBB"));
    let keys = after(&bench, &unnamed("bbbb")).await;
    name(&keys, &[(&key, "bbbb"), (&kms("other"), "AAAA")]);
}
