//! Changes of the item.

use aws_sdk_dynamodb::types::AttributeValue;
use runtime::signer::SignWith;
use stores::keys_table::{
    KeysError, MerchantKeys,
    change::{AddedApiV3Key, ChangeError, MerchantChange, SignerCertificate, Validity},
    write::{NewApiV3Key, NewMerchant},
};
use testbed::{Fault, Match, Service};
use testbed::{NOW, RsaKey};
use wechatpay::{LocalKey, Signer};

use super::super::{Bench, MCHID, PUBLIC_KEY_ID, SIGNER_SERIAL, certificate, merchant, public_key};

#[tokio::test]
async fn two_refreshers_do_not_overwrite_each_other() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let (one, two) = (bench.sandbox(), bench.sandbox());
    let (seen_by_one, seen_by_two) = (
        one.merchant().await.expect("read"),
        two.merchant().await.expect("read"),
    );
    one.set_verification_keys(&seen_by_one, &[certificate()], &certificate().id)
        .await
        .expect("written");
    let late = two
        .set_verification_keys(&seen_by_two, &[public_key()], PUBLIC_KEY_ID)
        .await
        .expect_err("too late");
    assert!(matches!(late, KeysError::Changed { .. }), "{late}");
    bench.kms.pass(60);
    assert_eq!(two.merchant().await.expect("read").entries, [certificate()]);
}

#[tokio::test]
async fn what_cannot_be_used_is_not_written() {
    let bench = Bench::new().await;
    let verification = [public_key()];
    let mut broken = public_key();
    broken.pem = "no key".to_owned();
    let no_key = [broken];
    let good = merchant(&verification);
    let short = [NewApiV3Key {
        version: 1,
        bytes: b"short",
    }];
    for (name, new) in [
        ("a broken verification key", merchant(&no_key)),
        (
            "a response serial that is not there",
            NewMerchant {
                response_serial: "PUB_KEY_ID_9",
                ..merchant(&verification)
            },
        ),
        (
            "no verification key",
            NewMerchant {
                verification: &[],
                ..merchant(&verification)
            },
        ),
        (
            "a short APIv3 key",
            NewMerchant {
                apiv3: &short,
                ..merchant(&verification)
            },
        ),
        (
            "a broken merchant key",
            NewMerchant {
                signer_pkcs8: Some(b"no key"),
                ..good
            },
        ),
    ] {
        let refused = bench.sandbox().put_merchant(&new).await.expect_err(name);
        assert!(!refused.is_transient(), "{name}");
        assert!(
            matches!(
                bench.sandbox().merchant().await,
                Err(KeysError::NoMerchant { .. })
            ),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_change_keeps_what_it_does_not_name_also_what_cannot_be_read() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let pk = format!("merchant#{MCHID}");
    let mut stored = bench.attribute(&pk, "verification").await;
    let AttributeValue::L(list) = &mut stored else {
        panic!("no list");
    };
    // A later version may store what this one cannot read.
    let odd = AttributeValue::M([("id".to_owned(), AttributeValue::S("ODD".to_owned()))].into());
    list.push(odd.clone());
    bench.set(&pk, "verification", stored).await;
    let apiv3 = bench.attribute(&pk, "apiv3").await;
    let change = MerchantChange {
        add_verification: &[certificate()],
        ..MerchantChange::default()
    };
    let changed = bench.sandbox().change_merchant(&change).await;
    changed.expect("changed");
    let stored = bench.attribute(&pk, "verification").await;
    let list = stored.as_l().expect("a list");
    assert_eq!((list.len(), &list[1]), (3, &odd));
    assert_eq!(bench.attribute(&pk, "apiv3").await, apiv3);
    let read = bench.sandbox().merchant().await.expect("read");
    assert_eq!(read.entries, [public_key(), certificate()]);
    assert_eq!(read.response_serial, PUBLIC_KEY_ID);
}

#[tokio::test]
async fn new_certificates_leave_what_a_later_version_stored() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let pk = format!("merchant#{MCHID}");
    let entry = |id: &str| {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let fields = [
            ("id".to_owned(), text(id)),
            ("kind".to_owned(), text("later")),
        ];
        AttributeValue::M(fields.into())
    };
    let AttributeValue::L(mut list) = bench.attribute(&pk, "verification").await else {
        panic!("no list");
    };
    // One of them is about the very certificate that comes now: that one is mended by it.
    list.extend([entry("LATER"), entry(&certificate().id.to_lowercase())]);
    let list = AttributeValue::L(list);
    bench.set(&pk, "verification", list).await;
    let table = bench.sandbox();
    let seen = table.merchant().await.expect("read");
    let all = [public_key(), certificate()];
    let written = table
        .set_verification_keys(&seen, &all, PUBLIC_KEY_ID)
        .await;
    written.expect("written");
    let stored = bench.attribute(&pk, "verification").await;
    let list = stored.as_l().expect("a list");
    assert_eq!((list.len(), &list[2]), (3, &entry("LATER")));
    let read = bench.sandbox().merchant().await.expect("read");
    assert_eq!(read.entries, all);
}

#[tokio::test]
async fn the_case_of_a_key_s_id_does_not_matter_to_what_is_encrypted_to_it() {
    let bench = Bench::new().await;
    let (verification, lower) = ([public_key()], PUBLIC_KEY_ID.to_lowercase());
    let new = NewMerchant {
        response_serial: &lower,
        ..merchant(&verification)
    };
    bench.sandbox().put_merchant(&new).await.expect("written");
    let read = bench.sandbox().merchant().await.expect("read");
    read.field_key()
        .expect("the key that answers are signed with");
}

#[tokio::test]
async fn a_change_of_the_merchant_whose_answer_was_lost_counts_as_done() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let update = Match::operation(Service::DynamoDb, "UpdateItem");
    bench.wire.break_next(update.clone(), Fault::LostAnswer);
    let change = MerchantChange {
        add_verification: &[certificate()],
        ..MerchantChange::default()
    };
    let changed = bench.sandbox().change_merchant(&change).await;
    changed.expect("the SDK's second attempt meets our own write");
    assert_eq!(bench.wire.count(&update), 2);
}

fn kms(key_id: &str) -> SignWith {
    let key_id = key_id.to_owned();
    SignWith::Kms { key_id }
}

/// The number that a signer's requests name.
fn named<'a>(keys: &'a MerchantKeys, signs: &SignWith) -> &'a str {
    &keys.certificate(signs).expect("stored").serial_no
}

/// A certificate of which only the number is known.
fn numbered(serial_no: &str) -> SignerCertificate<'_> {
    SignerCertificate {
        signs: None,
        serial_no,
        validity: None,
    }
}

#[tokio::test]
async fn the_end_of_the_merchant_s_certificate_is_known_until_another_number_is_registered() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let register = async |certificate: SignerCertificate<'_>| {
        let change = MerchantChange {
            signer_certificate: Some(certificate),
            ..MerchantChange::default()
        };
        bench.sandbox().change_merchant(&change).await.expect("it");
        let overview = bench.sandbox().overview().await.expect("read");
        let certificates = overview.merchant.expect("a merchant").certificates;
        let read = bench.sandbox().merchant().await.expect("read");
        assert_eq!(read.certificates, certificates);
        let known = read.certificate(&SignWith::Sealed).expect("stored");
        known.validity
    };
    assert_eq!(register(numbered(SIGNER_SERIAL)).await, None);
    let validity = Some(Validity {
        from: NOW,
        until: NOW.plus_s(5 * 365 * 86_400),
    });
    let whole = SignerCertificate {
        signs: None,
        serial_no: SIGNER_SERIAL,
        validity,
    };
    assert_eq!(register(whole).await, validity);
    // The same one by its number alone.
    let lower = SIGNER_SERIAL.to_lowercase();
    assert_eq!(register(numbered(&lower)).await, validity);
    assert_eq!(register(numbered("AAAA")).await, None);
}

#[tokio::test]
async fn what_is_added_has_its_date_and_keeps_it_and_what_was_there_before_has_none() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let pk = format!("merchant#{MCHID}");
    let undated = AttributeValue::M(
        [
            ("id", PUBLIC_KEY_ID),
            ("kind", "public_key"),
            ("pem", super::super::PUBLIC_KEY),
        ]
        .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())))
        .into(),
    );
    let list = AttributeValue::L(vec![undated]);
    bench.set(&pk, "verification", list).await;
    bench.kms.pass(60);
    let added = [AddedApiV3Key {
        version: None,
        bytes: [7; 32].to_vec().into(),
    }];
    let all = [public_key(), certificate()];
    let change = MerchantChange {
        add_verification: &all,
        add_apiv3: &added,
        ..MerchantChange::default()
    };
    let table = bench.sandbox();
    table.change_merchant(&change).await.expect("changed");
    bench.kms.pass(3600);
    // The same once more, and what `reconcile` writes.
    table.change_merchant(&change).await.expect("changed");
    let seen = bench.sandbox().merchant().await.expect("read");
    let set = table
        .set_verification_keys(&seen, &all, PUBLIC_KEY_ID)
        .await;
    set.expect("written");
    let overview = table.overview().await.expect("read");
    let merchant = overview.merchant.expect("a merchant");
    let then = NOW.plus_s(60);
    let dates: Vec<_> = merchant.verification.iter().map(|key| key.added).collect();
    assert_eq!(dates, [None, Some(then)]);
    let dates: Vec<_> = merchant
        .apiv3
        .iter()
        .map(|key| (key.version, key.added))
        .collect();
    assert_eq!(dates, [(2, Some(then)), (1, Some(NOW))]);
    assert_eq!(merchant.certificates_fetched, Some(then.plus_s(3600)));
    bench.kms.pass(60);
    table.note_certificates_fetched().await.expect("written");
    let overview = table.overview().await.expect("read").merchant;
    let fetched = overview.expect("a merchant").certificates_fetched;
    assert_eq!(fetched, Some(then.plus_s(3660)));
}

#[tokio::test]
async fn a_sealed_key_and_its_certificate_s_serial_change_together() {
    let bench = Bench::new().await;
    let first = RsaKey::generate().pkcs8();
    let verification = [public_key()];
    let new = NewMerchant {
        signer_pkcs8: Some(&first),
        ..merchant(&verification)
    };
    let table = bench.sandbox();
    table.put_merchant(&new).await.expect("written");
    let change = async |serial_no: Option<&str>, signer_pkcs8, removes_sealed_signer| {
        let change = MerchantChange {
            signer_certificate: serial_no.map(numbered),
            signer_pkcs8,
            removes_sealed_signer,
            ..MerchantChange::default()
        };
        table.change_merchant(&change).await
    };
    let second = RsaKey::generate().pkcs8();
    let refused = change(Some("BBBB"), None, false).await;
    assert!(matches!(refused, Err(ChangeError::SerialWithoutItsKey(of)) if of == SIGNER_SERIAL));
    let refused = change(None, Some(second.as_slice()), false).await;
    assert!(matches!(refused, Err(ChangeError::KeyWithoutItsSerial(of)) if of == SIGNER_SERIAL));
    let read = bench.sandbox().merchant().await.expect("read");
    assert_eq!(
        (named(&read, &SignWith::Sealed), read.version),
        (SIGNER_SERIAL, 1)
    );

    let same = change(Some(SIGNER_SERIAL), None, false).await;
    same.expect("nothing is different");
    let both = change(Some("BBBB"), Some(second.as_slice()), false).await;
    both.expect("changed");
    let read = bench.sandbox().merchant().await.expect("read");
    let signer = read.signer(&SignWith::Sealed).await.expect("unsealed");
    let direct = LocalKey::from_pkcs8_der("BBBB", &second).expect("a key");
    assert_eq!(
        signer.sign(b"text").await.expect("signed"),
        direct.sign(b"text").await.expect("signed")
    );
    let moved = change(Some("CCCC"), None, true).await;
    moved.expect("the new key is in KMS");
    let read = bench.sandbox().merchant().await.expect("read");
    assert_eq!(named(&read, &kms("any")), "CCCC");
    assert!(read.signer(&SignWith::Sealed).await.is_err());
    let alone = change(Some("DDDD"), None, false).await;
    alone.expect("no key is sealed any more");
}

#[tokio::test]
async fn neither_of_two_changes_at_the_same_time_is_lost() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let serial = MerchantChange {
        signer_certificate: Some(numbered("AAAA")),
        ..MerchantChange::default()
    };
    let key = MerchantChange {
        add_verification: &[certificate()],
        ..MerchantChange::default()
    };
    let (one, two) = (bench.sandbox(), bench.sandbox());
    let (first, second) = tokio::join!(one.change_merchant(&serial), two.change_merchant(&key));
    for (outcome, change) in [(first, &serial), (second, &key)] {
        match outcome {
            Ok(()) => {}
            Err(ChangeError::Keys(KeysError::Changed { .. })) => {
                let again = bench.sandbox().change_merchant(change).await;
                again.expect("changed");
            }
            Err(other) => panic!("{other}"),
        }
    }
    let read = bench.sandbox().merchant().await.expect("read");
    assert_eq!(named(&read, &kms("any")), "AAAA");
    assert_eq!(read.entries.len(), 2);
}
