//! When the item is read, parsed and unsealed, and what serves meanwhile.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use stores::keys_table::KeysError;
use testbed::chain;
use testbed::{Fault, Match, Service};

use super::super::{Bench, MCHID, PUBLIC_KEY_ID, certificate, public_key};
use super::trusts;

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
