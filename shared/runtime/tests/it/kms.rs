//! Sealing and unsealing secrets.

use runtime::kms::{Context, KmsError};
use testbed::{Fault, Match, Service};

use testbed::{KmsBench, chain};

fn context() -> Context {
    Context::of("apiv3-key")
        .with("mchid", "1900000001")
        .with("version", "3")
}

#[tokio::test]
async fn what_was_sealed_opens_under_the_same_key_and_context() {
    let bench = KmsBench::start();
    let key = bench.symmetric_key();
    let sealed = bench
        .kms
        .seal(&key, &context(), b"secret")
        .await
        .expect("sealed");
    assert!(!sealed.windows(6).any(|window| window == b"secret"));
    let opened = bench
        .kms
        .unseal(&key, &context(), &sealed)
        .await
        .expect("opened");
    assert_eq!(opened.as_slice(), b"secret");
}

#[tokio::test]
async fn another_context_opens_nothing() {
    let bench = KmsBench::start();
    let key = bench.symmetric_key();
    let sealed = bench
        .kms
        .seal(&key, &context(), b"secret")
        .await
        .expect("sealed");
    for (name, context) in [
        (
            "another version",
            Context::of("apiv3-key")
                .with("mchid", "1900000001")
                .with("version", "4"),
        ),
        (
            "a pair less",
            Context::of("apiv3-key").with("mchid", "1900000001"),
        ),
        (
            "another purpose",
            Context::of("client-key")
                .with("mchid", "1900000001")
                .with("version", "3"),
        ),
    ] {
        let refused = bench
            .kms
            .unseal(&key, &context, &sealed)
            .await
            .expect_err(name);
        assert!(!refused.is_transient(), "{name}: {refused}");
        assert!(!chain(&refused).contains("secret"), "{name}");
    }
}

/// KMS would find the key by itself. Naming it rejects ciphertexts under another key.
#[tokio::test]
async fn unsealing_names_the_key_that_must_have_sealed() {
    let bench = KmsBench::start();
    let [key, other] = [bench.symmetric_key(), bench.symmetric_key()];
    let sealed = bench
        .kms
        .seal(&key, &context(), b"secret")
        .await
        .expect("sealed");
    bench
        .kms
        .unseal(&key, &context(), &sealed)
        .await
        .expect("opened");
    let decrypt = Match::operation(Service::Kms, "Decrypt").on(&key);
    assert_eq!(bench.wire.count(&decrypt), 1);
    let refused = bench.kms.unseal(&other, &context(), &sealed).await;
    assert!(!refused.expect_err("another key").is_transient());
}

#[tokio::test]
async fn the_sealed_half_of_a_data_key_opens_to_the_plain_half() {
    let bench = KmsBench::start();
    let key = bench.symmetric_key();
    let made = bench
        .kms
        .data_key(&key, &Context::of("field"))
        .await
        .expect("a data key");
    assert_eq!(made.plain.len(), 32);
    let opened = bench
        .kms
        .unseal(&key, &Context::of("field"), &made.sealed)
        .await
        .expect("opened");
    assert_eq!(opened, made.plain);
}

#[tokio::test]
async fn a_throttled_call_is_repeated_and_a_refused_one_is_not() {
    let bench = KmsBench::start();
    let key = bench.symmetric_key();
    bench
        .wire
        .break_after(Match::service(Service::Kms), 0, 2, Fault::Throttled);
    bench
        .kms
        .seal(&key, &context(), b"secret")
        .await
        .expect("the third attempt");
    assert_eq!(bench.asked("Encrypt"), 3);

    bench
        .wire
        .break_next(Match::service(Service::Kms), Fault::Denied);
    let denied = bench
        .kms
        .data_key(&key, &context())
        .await
        .expect_err("denied");
    assert_eq!(bench.asked("GenerateDataKey"), 1);
    assert!(matches!(denied, KmsError::Call(_)) && !denied.is_transient());
    assert!(
        chain(&denied).contains("AccessDeniedException"),
        "{}",
        chain(&denied)
    );
}

#[tokio::test]
async fn a_kms_that_stays_away_is_a_transient_failure_after_three_attempts() {
    let bench = KmsBench::start();
    bench.wire.break_all(Match::any(), Fault::Unreachable);
    let failure = bench
        .kms
        .sign_digest("key", &[7; 32])
        .await
        .expect_err("unreachable");
    assert!(failure.is_transient(), "{failure:?}");
    assert_eq!(bench.asked("Sign"), 3);
}
