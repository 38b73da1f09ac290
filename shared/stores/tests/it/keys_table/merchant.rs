//! The merchant's item.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;
use runtime::kms::Kms;
use runtime::signer::{MerchantSigner, SignWith};
use stores::guards::Guards;
use stores::keys_table::{
    KeysError, KeysTable, UnknownSerials,
    change::{AddedApiV3Key, ChangeError, MerchantChange, SignerCertificate, Validity},
    write::{NewApiV3Key, NewMerchant},
};
use testbed::{Fault, Match, Service};
use testbed::{NOW, RsaKey, chain};
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
    assert_eq!(keys.signer_serial, SIGNER_SERIAL);
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
async fn nothing_secret_lies_open_in_the_table_or_shows_in_a_debug_text() {
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

#[tokio::test]
async fn nothing_is_called_before_the_first_reading_and_nothing_unsealed_before_it_is_asked_for() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let sandbox = bench.sandbox();
    assert!(bench.wire.calls().is_empty());
    let keys = sandbox.merchant().await.expect("read");
    assert!(bench.kms.wire.calls().is_empty());
    keys.apiv3().await.expect("unsealed");
    keys.apiv3().await.expect("unsealed");
    assert_eq!((bench.reads(), bench.kms.asked("Decrypt")), (1, 1));
}

#[tokio::test]
async fn a_hundred_callers_at_once_read_once_and_again_only_after_a_minute() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let sandbox = bench.sandbox();
    let keys = join_all((0..100).map(|_| sandbox.merchant())).await;
    assert!(keys.iter().all(Result::is_ok));
    assert_eq!(bench.reads(), 1);
    bench.kms.pass(59);
    sandbox.merchant().await.expect("kept");
    assert_eq!(bench.reads(), 1);
    bench.kms.pass(1);
    join_all((0..100).map(|_| sandbox.merchant())).await;
    assert_eq!(bench.reads(), 2);
}

#[tokio::test]
async fn an_item_that_is_as_it_was_is_not_parsed_or_unsealed_again() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let sandbox = bench.sandbox();
    let first = sandbox.merchant().await.expect("read");
    first.apiv3().await.expect("unsealed");
    bench.kms.pass(60);
    let second = sandbox.merchant().await.expect("read");
    assert_eq!(bench.reads(), 2);
    assert!(Arc::ptr_eq(&first, &second));
}

#[tokio::test]
async fn new_verification_keys_count_after_a_minute_and_secrets_stay_unsealed() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let sandbox = bench.sandbox();
    let before = sandbox.merchant().await.expect("read");
    before.apiv3().await.expect("unsealed");

    let writer = bench.sandbox();
    let seen = writer.merchant().await.expect("read");
    let verification = [public_key(), certificate()];
    writer
        .set_verification_keys(&seen, &verification, &certificate().id)
        .await
        .expect("written");

    bench.kms.pass(60);
    let after = sandbox.merchant().await.expect("read");
    assert!(trusts(&after.verification, &certificate().id).await);
    assert_eq!(
        (after.response_serial.as_str(), after.version),
        (certificate().id.as_str(), 2)
    );
    after.apiv3().await.expect("unsealed");
    assert_eq!(bench.kms.asked("Decrypt"), 1);
}

#[tokio::test]
async fn an_unknown_serial_makes_a_sandbox_read_at_once_but_once_in_five_seconds_only() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let sandbox = bench.sandbox();
    let old = sandbox.merchant().await.expect("read");
    bench
        .sandbox()
        .set_verification_keys(&old, &[certificate()], &certificate().id)
        .await
        .expect("written");

    let refreshed = sandbox.refresh_merchant("UNKNOWN").await.expect("read");
    assert!(trusts(&refreshed.verification, &certificate().id).await);
    assert_eq!(bench.reads(), 2);
    join_all((0..50).map(|_| sandbox.refresh_merchant("UNKNOWN"))).await;
    bench.kms.pass(4);
    sandbox.refresh_merchant("UNKNOWN").await.expect("kept");
    assert_eq!(bench.reads(), 2);
    bench.kms.pass(1);
    sandbox.refresh_merchant("UNKNOWN").await.expect("read");
    assert_eq!(bench.reads(), 3);
}

#[tokio::test]
async fn made_up_serials_do_not_keep_a_real_rotation_from_being_seen() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let sandbox = bench.sandbox();
    let old = sandbox.merchant().await.expect("read");
    let made_up = async |count: usize| {
        let serial = format!("{count:040X}");
        sandbox.refresh_merchant(&serial).await.expect("keys")
    };
    made_up(0).await;
    bench
        .sandbox()
        .set_verification_keys(&old, &[public_key(), certificate()], PUBLIC_KEY_ID)
        .await
        .expect("written");
    // One a second; the callback that is refused meanwhile comes again after 15 s.
    for second in 1..15 {
        bench.kms.pass(1);
        made_up(second).await;
    }
    let seen = sandbox.refresh_merchant(&certificate().id).await;
    let seen = seen.expect("keys");
    assert!(trusts(&seen.verification, &certificate().id).await);
    assert!(bench.reads() <= 6, "{} readings in 15 s", bench.reads());
}

#[tokio::test]
async fn a_kept_key_that_cannot_be_read_does_not_keep_new_certificates_out() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let pk = format!("merchant#{MCHID}");
    let AttributeValue::L(mut list) = bench.attribute(&pk, "verification").await else {
        panic!("no list");
    };
    let AttributeValue::M(mut odd) = list[0].clone() else {
        panic!("no map");
    };
    odd.insert("id".to_owned(), AttributeValue::S("ODD".to_owned()));
    odd.insert("pem".to_owned(), AttributeValue::S("no key".to_owned()));
    list.push(AttributeValue::M(odd));
    bench
        .set(&pk, "verification", AttributeValue::L(list))
        .await;
    let seen = bench.sandbox().merchant().await.expect("read");
    let broken = seen.entries[1].clone();
    assert_eq!(broken.pem, "no key");
    let all = [public_key(), broken.clone(), certificate()];
    let table = bench.sandbox();
    let written = table
        .set_verification_keys(&seen, &all, PUBLIC_KEY_ID)
        .await;
    written.expect("written");
    let read = bench.sandbox().merchant().await.expect("read");
    assert_eq!(read.entries, all);
    assert!(trusts(&read.verification, &certificate().id).await);

    // A new one that cannot be read is refused as ever, and so is a list that verifies nothing.
    let mut new = broken.clone();
    new.id = "NEW".to_owned();
    for list in [vec![public_key(), new], vec![broken]] {
        let refused = table
            .set_verification_keys(&read, &list, PUBLIC_KEY_ID)
            .await;
        assert!(refused.is_err());
    }
}

#[tokio::test]
async fn when_the_table_is_away_keys_serve_for_fifteen_minutes_and_it_is_tried_each_ten_seconds() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let sandbox = bench.sandbox();
    sandbox.merchant().await.expect("read");
    bench
        .wire
        .break_all(Match::service(Service::DynamoDb), Fault::Denied);
    bench.kms.pass(60);
    sandbox.merchant().await.expect("serves on");
    bench.kms.pass(9);
    sandbox.merchant().await.expect("serves on");
    assert_eq!(bench.reads(), 2);
    bench.kms.pass(1);
    sandbox.merchant().await.expect("serves on");
    assert_eq!(bench.reads(), 3);

    bench.kms.pass(15 * 60 - 70 - 1);
    sandbox.merchant().await.expect("serves on");
    bench.kms.pass(10);
    let failure = sandbox.merchant().await.expect_err("too old");
    assert!(matches!(failure, KeysError::Table(_)), "{failure}");

    bench.wire.mend();
    sandbox.merchant().await.expect("read");
}

#[tokio::test]
async fn a_first_reading_that_fails_is_an_error_and_the_next_one_tries_again() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let sandbox = bench.sandbox();
    bench
        .wire
        .break_after(Match::any(), 0, 3, Fault::ServiceFault);
    let failure = sandbox.merchant().await.expect_err("away");
    assert!(failure.is_transient(), "{}", chain(&failure));
    sandbox.merchant().await.expect("read");
}

#[tokio::test]
async fn an_unsealing_that_fails_is_tried_again() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let keys = bench.sandbox().merchant().await.expect("read");
    bench
        .kms
        .wire
        .break_after(Match::any(), 0, 3, Fault::Throttled);
    let failure = keys.apiv3().await.expect_err("throttled");
    assert!(failure.is_transient(), "{}", chain(&failure));
    keys.apiv3().await.expect("unsealed");
}

#[tokio::test]
async fn without_an_item_the_error_says_what_to_do() {
    let bench = Bench::new().await;
    let failure = bench.sandbox().merchant().await.expect_err("no item");
    assert!(matches!(failure, KeysError::NoMerchant { .. }) && !failure.is_transient());
    assert!(
        failure.to_string().contains("merchant#1900000001"),
        "{failure}"
    );
}

#[tokio::test]
async fn one_unreadable_verification_key_is_left_out_and_none_readable_is_an_error() {
    let bench = Bench::new().await;
    let pk = format!("merchant#{MCHID}");
    bench
        .sandbox()
        .put_merchant(&merchant(&[public_key(), certificate()]))
        .await
        .expect("written");
    let AttributeValue::L(mut stored) = bench.attribute(&pk, "verification").await else {
        panic!("a list")
    };
    if let AttributeValue::M(first) = &mut stored[0] {
        first.insert("pem".to_owned(), AttributeValue::S("no key".to_owned()));
    }
    bench
        .set(&pk, "verification", AttributeValue::L(stored.clone()))
        .await;
    let keys = bench.sandbox().merchant().await.expect("read");
    assert_eq!(
        keys.verification.serials().collect::<Vec<_>>(),
        [certificate().id]
    );

    stored.truncate(1);
    bench
        .set(&pk, "verification", AttributeValue::L(stored))
        .await;
    let failure = bench.sandbox().merchant().await.expect_err("no key");
    assert!(matches!(failure, KeysError::Damaged { .. }), "{failure}");
}

#[tokio::test]
async fn a_damaged_item_is_named_with_what_it_lacks() {
    let bench = Bench::new().await;
    let pk = format!("merchant#{MCHID}");
    for attribute in [
        "verification",
        "response_serial",
        "apiv3",
        "signer",
        "version",
    ] {
        bench.put_merchant().await;
        bench.set(&pk, attribute, AttributeValue::Bool(true)).await;
        let failure = bench.sandbox().merchant().await.expect_err(attribute);
        assert!(
            matches!(&failure, KeysError::Damaged { .. }),
            "{attribute}: {failure}"
        );
        // An invalid number cannot be incremented; an operator must start the item again.
        bench
            .set(&pk, "version", AttributeValue::N("1".to_owned()))
            .await;
    }
}

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
async fn for_callbacks_a_reading_unseals_too_and_where_kms_is_away_the_keys_at_hand_serve_on() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let sandbox = bench.sandbox().for_callbacks(Duration::from_secs(1));
    sandbox.merchant().await.expect("read");
    // Another APIv3 key: the item must be unsealed again.
    let apiv3 = [1, 2].map(|version| NewApiV3Key {
        version,
        bytes: &APIV3_KEY,
    });
    let keys = [public_key()];
    let changed = NewMerchant {
        apiv3: &apiv3,
        ..merchant(&keys)
    };
    let written = bench.sandbox().put_merchant(&changed).await;
    written.expect("written");
    bench.kms.wire.break_all(Match::any(), Fault::Throttled);
    bench.kms.pass(60);
    let kept = sandbox.merchant().await.expect("serves on");
    assert_eq!(kept.apiv3().await.expect("unsealed before").len(), 1);
    bench.kms.wire.mend();
    bench.kms.pass(10);
    let read = sandbox.merchant().await.expect("read");
    bench.kms.wire.break_all(Match::any(), Fault::Throttled);
    assert_eq!(read.apiv3().await.expect("unsealed with it").len(), 2);
}

#[tokio::test]
async fn for_callbacks_a_reading_ends_within_its_limit_although_a_call_may_take_longer() {
    // Takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("its address"));
    let clock = Clock::system();
    let aws = Aws::new(&AwsSettings::local(endpoint), &clock);
    let limit = Duration::from_millis(400);
    let kms = Kms::new(aws.kms());
    let keys = KeysTable::new(aws.dynamodb(), "keys", MCHID, kms, "key", clock);
    let started = std::time::Instant::now();
    let failure = keys.for_callbacks(limit).merchant().await;
    let failure = failure.expect_err("silence");
    assert!(matches!(failure, KeysError::TooSlow { .. }) && failure.is_transient());
    let took = started.elapsed();
    assert!(took < 2 * limit, "{took:?}");
}

#[tokio::test]
async fn an_unknown_certificate_is_told_once_and_no_other_serial_is() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let guards = Guards::new(
        bench.engine.client_over(&bench.wire, &bench.kms.clock),
        &bench.tables.guards,
    );
    let telling = || {
        let unknown_serials = UnknownSerials::new(guards.clone());
        bench.sandbox().telling(unknown_serials)
    };
    let told = async || {
        let now = bench.kms.clock.now();
        guards.unknown_serial(MCHID, now).await.expect("a table")
    };
    for serial in ["PUB_KEY_ID_01", "5157F0", PUBLIC_KEY_ID] {
        telling().refresh_merchant(serial).await.expect("read");
        assert_eq!(told().await, None, "{serial}");
    }
    let (first, second) = ("A".repeat(40), "B".repeat(40));
    telling().refresh_merchant(&first).await.expect("read");
    telling().refresh_merchant(&second).await.expect("read");
    assert_eq!(told().await.as_ref(), Some(&first));
    bench.kms.pass(600);
    assert_eq!(told().await, None, "it is remembered for ten minutes");
    telling().refresh_merchant(&second).await.expect("read");
    assert_eq!(told().await, Some(second));
}

#[tokio::test]
async fn that_reconcile_cannot_be_told_of_a_serial_changes_nothing() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let guards = Guards::new(
        bench.engine.client_over(&bench.wire, &bench.kms.clock),
        &bench.tables.guards,
    );
    let keys = bench.sandbox().telling(UnknownSerials::new(guards));
    let puts = Match::operation(Service::DynamoDb, "PutItem");
    bench.wire.break_all(puts, Fault::Denied);
    keys.refresh_merchant(&"A".repeat(40)).await.expect("read");
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

/// A certificate of which only the number is known.
fn numbered(serial_no: &str) -> SignerCertificate<'_> {
    SignerCertificate {
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
        let known = overview.merchant.expect("a merchant").signer_validity;
        let read = bench.sandbox().merchant().await.expect("read");
        assert_eq!(read.signer_ends, known.map(|known| known.until));
        known
    };
    assert_eq!(register(numbered(SIGNER_SERIAL)).await, None);
    let validity = Some(Validity {
        from: NOW,
        until: NOW.plus_s(5 * 365 * 86_400),
    });
    let whole = SignerCertificate {
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
            ("pem", super::PUBLIC_KEY),
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
        (read.signer_serial.as_str(), read.version),
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
    assert_eq!(read.signer_serial, "CCCC");
    assert!(read.signer(&SignWith::Sealed).await.is_err());
    let alone = change(Some("DDDD"), None, false).await;
    alone.expect("no key is sealed any more");
}

#[tokio::test]
async fn of_two_changes_at_the_same_time_none_is_lost() {
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
    assert_eq!(read.signer_serial, "AAAA");
    assert_eq!(read.entries.len(), 2);
}
