//! Fields sealed at rest.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use runtime::random::Random;
use stores::fields::{FieldError, FieldSeal};
use testbed::KmsBench;
use testbed::{Fault, Match};

const CONTEXT: &str = "orders/order#1900000001#A-1/wechat_body";

struct Bench {
    kms: KmsBench,
    key: String,
}

impl Bench {
    async fn new() -> Self {
        let kms = KmsBench::start();
        let key = kms.symmetric_key();
        Self { kms, key }
    }

    /// A sandbox that has no data key yet.
    fn sandbox(&self) -> FieldSeal {
        FieldSeal::new(
            self.kms.kms.clone(),
            &self.key,
            self.kms.clock.clone(),
            Random::system(),
        )
    }
}

#[tokio::test]
async fn a_field_opens_again_here_and_in_another_sandbox() {
    let bench = Bench::new().await;
    let (here, there) = (bench.sandbox(), bench.sandbox());
    for field in [
        &b""[..],
        b"o",
        b"oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
        &[0x55; 70_000],
    ] {
        let sealed = here.seal(CONTEXT, field).await.expect("sealed");
        assert_eq!(
            here.open(CONTEXT, &sealed)
                .await
                .expect("opened")
                .as_slice(),
            field
        );
        assert_eq!(
            there
                .open(CONTEXT, &sealed)
                .await
                .expect("opened")
                .as_slice(),
            field
        );
    }
}

#[tokio::test]
async fn the_field_does_not_show_and_never_looks_the_same_twice() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        let sealed = sandbox.seal(CONTEXT, b"oUpF8uMuAJO").await.expect("sealed");
        assert!(!sealed.windows(11).any(|window| window == b"oUpF8uMuAJO"));
        assert!(seen.insert(sealed));
    }
}

#[tokio::test]
async fn a_field_moved_to_another_item_or_attribute_does_not_open() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    let sealed = sandbox.seal(CONTEXT, b"field").await.expect("sealed");
    for context in [
        "",
        "orders/order#1900000001#A-1/openid",
        "orders/order#1900000001#A-2/wechat_body",
    ] {
        let refused = sandbox.open(context, &sealed).await.expect_err(context);
        assert!(
            matches!(refused, FieldError::NotAuthentic),
            "{context}: {refused}"
        );
    }
}

#[tokio::test]
async fn a_field_with_one_changed_byte_does_not_open() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    let sealed = sandbox.seal(CONTEXT, b"field").await.expect("sealed");
    for position in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[position] ^= 0x01;
        assert!(
            sandbox.open(CONTEXT, &changed).await.is_err(),
            "byte {position} of {}",
            sealed.len()
        );
    }
}

#[tokio::test]
async fn a_field_that_is_cut_short_does_not_open() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    let sealed = sandbox.seal(CONTEXT, b"field").await.expect("sealed");
    for length in 0..sealed.len() {
        let refused = sandbox
            .open(CONTEXT, &sealed[..length])
            .await
            .expect_err("cut");
        assert!(
            matches!(refused, FieldError::CutShort | FieldError::NotAuthentic),
            "{length} bytes: {refused}"
        );
    }
}

#[tokio::test]
async fn an_envelope_of_a_later_version_is_named() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    let mut sealed = sandbox.seal(CONTEXT, b"field").await.expect("sealed");
    sealed[0] = 2;
    assert!(matches!(
        sandbox.open(CONTEXT, &sealed).await,
        Err(FieldError::Version { version: 2 })
    ));
}

#[tokio::test]
async fn kms_is_not_called_before_the_first_field() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    assert!(sandbox.open(CONTEXT, b"").await.is_err());
    assert!(bench.kms.wire.calls().is_empty());
}

#[tokio::test]
async fn a_hundred_fields_at_once_cost_one_call_to_seal_and_one_to_open_elsewhere() {
    let bench = Bench::new().await;
    let (here, there) = (bench.sandbox(), bench.sandbox());
    let sealed = join_all((0..100).map(|_| here.seal(CONTEXT, b"field"))).await;
    let sealed: Vec<Vec<u8>> = sealed
        .into_iter()
        .map(|sealed| sealed.expect("sealed"))
        .collect();
    assert_eq!(
        (
            bench.kms.asked("GenerateDataKey"),
            bench.kms.asked("Decrypt")
        ),
        (1, 0)
    );

    join_all(sealed.iter().map(|sealed| here.open(CONTEXT, sealed))).await;
    assert_eq!(bench.kms.asked("Decrypt"), 0, "it made the data key itself");

    let opened = join_all(sealed.iter().map(|sealed| there.open(CONTEXT, sealed))).await;
    assert!(opened.iter().all(Result::is_ok));
    assert_eq!(bench.kms.asked("Decrypt"), 1);
}

#[tokio::test]
async fn after_an_hour_a_new_data_key_is_made_and_older_fields_still_open() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    let old = sandbox.seal(CONTEXT, b"old").await.expect("sealed");
    bench.kms.pass(3599);
    sandbox.seal(CONTEXT, b"still").await.expect("sealed");
    assert_eq!(bench.kms.asked("GenerateDataKey"), 1);
    bench.kms.pass(1);
    let new = sandbox.seal(CONTEXT, b"new").await.expect("sealed");
    assert_eq!(bench.kms.asked("GenerateDataKey"), 2);
    for sandbox in [sandbox, bench.sandbox()] {
        assert_eq!(
            sandbox
                .open(CONTEXT, &old)
                .await
                .expect("opened")
                .as_slice(),
            b"old"
        );
        assert_eq!(
            sandbox
                .open(CONTEXT, &new)
                .await
                .expect("opened")
                .as_slice(),
            b"new"
        );
    }
}

#[tokio::test]
async fn while_kms_is_away_the_data_keys_at_hand_serve_on() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    let sealed = sandbox.seal(CONTEXT, b"field").await.expect("sealed");
    bench.kms.wire.break_all(Match::any(), Fault::ServiceFault);
    sandbox.seal(CONTEXT, b"more").await.expect("sealed");
    sandbox.open(CONTEXT, &sealed).await.expect("opened");

    let other = bench.sandbox();
    let failure = other.open(CONTEXT, &sealed).await.expect_err("no data key");
    assert!(
        matches!(&failure, FieldError::DataKey(_)) && failure.is_transient(),
        "{failure:?}"
    );
    bench.kms.wire.mend();
    other
        .open(CONTEXT, &sealed)
        .await
        .expect("a failure is not remembered");
}
