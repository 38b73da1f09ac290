//! The items of API clients.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use aws_sdk_dynamodb::types::AttributeValue;
use message_signatures::{Algorithm, Params, Profile, Request, SigningKey, claim, sign, verify};
use payments::model::{ids::BadClientId, permissions::Permissions};
use stores::keys_table::{ClientKey, KeysError, client_keys::NewClientKey};
use testbed::{Fault, Match, Service};
use testbed::{NOW, RsaKey, chain, pem};

use super::Bench;

pub(super) const SECRET: [u8; 32] = [0x5A; 32];
static ALL: LazyLock<Permissions> = LazyLock::new(Permissions::all);

/// A key that may do everything.
pub(super) fn new<'a>(keyid: &'a str, client_id: &'a str) -> NewClientKey<'a> {
    NewClientKey {
        keyid,
        client_id,
        permissions: &ALL,
    }
}

/// Whether `client`'s key takes a request signed with `key`.
fn takes(client: &ClientKey, key: &SigningKey) -> bool {
    let profile = Profile::MERCHANT_API;
    let request = Request {
        method: "GET",
        scheme: "https",
        authority: "api.example.com",
        path: "/v1/orders/A-1",
        query: None,
        headers: &[],
        body: b"",
    };
    let params = Params {
        keyid: &client.keyid,
        created_s: NOW.0,
        expires_s: None,
        nonce: Some("abcdef0123456789"),
    };
    let fields = sign(&request, &params, key, &profile).expect("signed");
    let headers: Vec<(&str, &[u8])> = fields
        .iter()
        .map(|(name, value)| (name, value.as_bytes()))
        .collect();
    let request = Request {
        headers: &headers,
        ..request
    };
    let claim = claim(&request, &profile).expect("a claim");
    verify(&request, &claim, &client.key, NOW.0, &profile).is_ok()
}

/// An Ed25519 key: PEM of the private and of the public half.
fn ed25519_key() -> (String, String) {
    let private = Ed25519KeyPair::generate().expect("a key pair");
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(private.public_key())
        .expect("SPKI")
        .as_ref()
        .to_vec();
    (
        pem(
            "PRIVATE KEY",
            private.to_pkcs8v1().expect("PKCS#8").as_ref(),
        ),
        pem("PUBLIC KEY", &public),
    )
}

#[tokio::test]
async fn keys_of_all_three_algorithms_verify_what_their_clients_sign() {
    let bench = Bench::new().await;
    let table = bench.sandbox();
    let rsa = RsaKey::generate();
    let (rsa_private, rsa_public) = (rsa.pkcs8(), rsa.public_der());
    let (ed_private, ed_public) = ed25519_key();
    table
        .put_client_hmac(new("shop-1", "shop"), &SECRET)
        .await
        .expect("written");
    let rsa_public = pem("PUBLIC KEY", &rsa_public);
    table
        .add_client_public(new("shop-2", "shop"), Algorithm::RsaV15Sha256, &rsa_public)
        .await
        .expect("written");
    table
        .add_client_public(new("kiosk-1", "kiosk"), Algorithm::Ed25519, &ed_public)
        .await
        .expect("written");

    let hmac = SigningKey::from_secret(&SECRET).expect("a secret");
    let rsa = SigningKey::from_private_key_pem(
        Algorithm::RsaV15Sha256,
        &pem("PRIVATE KEY", &rsa_private),
    )
    .expect("a key");
    let ed = SigningKey::from_private_key_pem(Algorithm::Ed25519, &ed_private).expect("a key");
    for (keyid, client_id, key, stranger) in [
        ("shop-1", "shop", &hmac, &rsa),
        ("shop-2", "shop", &rsa, &ed),
        ("kiosk-1", "kiosk", &ed, &hmac),
    ] {
        let client = bench
            .sandbox()
            .client_key(keyid)
            .await
            .expect("read")
            .expect("a key");
        assert_eq!(
            (client.client_id.as_str(), client.keyid.as_str()),
            (client_id, keyid)
        );
        assert!(takes(&client, key), "{keyid}");
        assert!(!takes(&client, stranger), "{keyid}");
    }
}

#[tokio::test]
async fn a_key_is_read_and_unsealed_once_a_minute_and_once_a_sandbox() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    sandbox
        .put_client_hmac(new("shop-1", "shop"), &SECRET)
        .await
        .expect("written");
    for _ in 0..10 {
        sandbox
            .client_key("shop-1")
            .await
            .expect("read")
            .expect("a key");
    }
    assert_eq!((bench.reads(), bench.kms.asked("Decrypt")), (1, 1));
    bench.kms.pass(60);
    sandbox
        .client_key("shop-1")
        .await
        .expect("read")
        .expect("a key");
    assert_eq!((bench.reads(), bench.kms.asked("Decrypt")), (2, 1));
}

#[tokio::test]
async fn nothing_is_registered_for_the_client_of_unattributed_orders() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    let refused = sandbox
        .put_client_hmac(new("shop-1", "(nobody)"), &SECRET)
        .await;
    let refused = refused.expect_err("no such client");
    assert!(matches!(refused, KeysError::Client(_)), "{refused}");
    assert!(
        refused.to_string().contains("belong to no client"),
        "{refused}"
    );
    let (_, public) = ed25519_key();
    let refused = sandbox
        .add_client_public(new("shop-1", "(nobody)"), Algorithm::Ed25519, &public)
        .await;
    assert!(matches!(refused, Err(KeysError::Client(_))));
    assert!(sandbox.client_key("shop-1").await.expect("read").is_none());
}

#[tokio::test]
async fn nothing_is_registered_for_a_client_whose_events_sqs_would_refuse() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    for client_id in ["my shop", "茶店", "", "shop\n"] {
        let refused = sandbox
            .put_client_hmac(new("shop-1", client_id), &SECRET)
            .await;
        let is_refused = matches!(refused, Err(KeysError::Client(BadClientId::Form)));
        assert!(is_refused, "{client_id:?}: {refused:?}");
    }
    assert!(sandbox.client_key("shop-1").await.expect("read").is_none());
}

#[tokio::test]
async fn a_key_whose_registration_s_answer_was_lost_counts_as_registered() {
    let bench = Bench::new().await;
    let table = bench.sandbox();
    let put = Match::operation(Service::DynamoDb, "PutItem");
    bench.wire.break_next(put.clone(), Fault::LostAnswer);
    let added = table.add_client_hmac(new("shop-1", "shop"), &SECRET).await;
    added.expect("the SDK's second attempt meets our own write");
    assert_eq!(bench.wire.count(&put), 2);
    // Another secret under this id is a conflict, also for the same client.
    let refused = table.add_client_hmac(new("shop-1", "shop"), &[7; 32]).await;
    let refused = refused.expect_err("the id is taken");
    assert!(matches!(refused, KeysError::Changed { .. }), "{refused}");
    assert!(!refused.may_be_done());
    bench.wire.break_all(put, Fault::LostAnswer);
    let unknown = table.add_client_hmac(new("shop-2", "shop"), &SECRET).await;
    bench.wire.mend();
    let unknown = unknown.expect_err("no answer came");
    assert!(unknown.may_be_done(), "{unknown}");
    assert!(table.client_key("shop-2").await.expect("read").is_some());
}

#[tokio::test]
async fn a_revoked_key_is_gone_within_a_minute() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    sandbox
        .put_client_hmac(new("shop-1", "shop"), &SECRET)
        .await
        .expect("written");
    sandbox
        .client_key("shop-1")
        .await
        .expect("read")
        .expect("a key");
    bench
        .sandbox()
        .revoke_client("shop-1")
        .await
        .expect("written");
    assert!(
        bench
            .sandbox()
            .client_key("shop-1")
            .await
            .expect("read")
            .is_none()
    );
    bench.kms.pass(60);
    assert!(sandbox.client_key("shop-1").await.expect("read").is_none());
    let unknown = sandbox
        .revoke_client("nobody")
        .await
        .expect_err("no such key");
    assert!(matches!(unknown, KeysError::NoItem { .. }), "{unknown}");
}

#[tokio::test]
async fn an_unknown_key_is_asked_for_once_in_five_seconds_and_found_when_it_is_made() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    for _ in 0..10 {
        assert!(sandbox.client_key("shop-1").await.expect("read").is_none());
    }
    assert_eq!(bench.reads(), 1);
    bench
        .sandbox()
        .put_client_hmac(new("shop-1", "shop"), &SECRET)
        .await
        .expect("written");
    bench.kms.pass(5);
    assert!(sandbox.client_key("shop-1").await.expect("read").is_some());
}

#[tokio::test]
async fn a_flood_of_unknown_keys_does_not_push_a_client_s_key_out() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    sandbox
        .put_client_hmac(new("shop-1", "shop"), &SECRET)
        .await
        .expect("written");
    sandbox
        .client_key("shop-1")
        .await
        .expect("read")
        .expect("a key");
    for stranger in 0..1100 {
        assert!(
            sandbox
                .client_key(&format!("stranger-{stranger}"))
                .await
                .expect("read")
                .is_none()
        );
    }
    bench.wire.forget();
    sandbox
        .client_key("shop-1")
        .await
        .expect("read")
        .expect("a key");
    assert_eq!(bench.reads(), 0);
}

#[tokio::test]
async fn impossible_key_ids_are_not_looked_up() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    for keyid in [
        "",
        "with space",
        "line\nbreak",
        "schlüssel",
        &"x".repeat(129),
    ] {
        assert!(
            sandbox.client_key(keyid).await.expect("no call").is_none(),
            "{keyid:?}"
        );
        assert!(
            sandbox
                .put_client_hmac(new(keyid, "shop"), &SECRET)
                .await
                .is_err(),
            "{keyid:?}"
        );
    }
    assert_eq!(bench.reads(), 0);
}

#[tokio::test]
async fn a_sealed_secret_copied_to_another_key_does_not_open_there() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    sandbox
        .put_client_hmac(new("shop-1", "shop"), &SECRET)
        .await
        .expect("written");
    sandbox
        .put_client_hmac(new("thief-1", "thief"), &[7; 32])
        .await
        .expect("written");
    let sealed = bench.attribute("client#shop-1", "sealed_secret").await;
    bench.set("client#thief-1", "sealed_secret", sealed).await;
    // Also not in a sandbox that has unsealed it in its own place.
    sandbox
        .client_key("shop-1")
        .await
        .expect("read")
        .expect("a key");
    let refused = sandbox
        .client_key("thief-1")
        .await
        .expect_err("another context");
    assert!(
        matches!(&refused, KeysError::Secret { .. }) && !refused.is_transient(),
        "{}",
        chain(&refused)
    );
}

#[tokio::test]
async fn a_damaged_item_is_an_error_and_not_an_unknown_key() {
    let bench = Bench::new().await;
    for attribute in ["client_id", "algorithm", "sealed_secret", "state"] {
        bench
            .sandbox()
            .put_client_hmac(new("shop-1", "shop"), &SECRET)
            .await
            .expect("written");
        bench
            .set("client#shop-1", attribute, AttributeValue::Null(true))
            .await;
        let failure = bench
            .sandbox()
            .client_key("shop-1")
            .await
            .expect_err(attribute);
        assert!(
            matches!(failure, KeysError::Damaged { .. }),
            "{attribute}: {failure}"
        );
    }
}

#[tokio::test]
async fn when_the_table_is_away_an_unknown_key_is_an_error_and_not_a_refusal() {
    let bench = Bench::new().await;
    bench
        .wire
        .break_all(Match::service(Service::DynamoDb), Fault::Throttled);
    let failure = bench
        .sandbox()
        .client_key("shop-1")
        .await
        .expect_err("away");
    assert!(failure.is_transient(), "{}", chain(&failure));
}

#[tokio::test]
async fn keys_that_cannot_be_used_are_not_written() {
    let bench = Bench::new().await;
    let table = bench.sandbox();
    let (_, ed_public) = ed25519_key();
    assert!(
        table
            .put_client_hmac(new("shop-1", "shop"), b"short")
            .await
            .is_err()
    );
    assert!(
        table
            .add_client_public(new("shop-1", "shop"), Algorithm::RsaV15Sha256, &ed_public)
            .await
            .is_err()
    );
    assert!(
        table
            .add_client_public(new("shop-1", "shop"), Algorithm::HmacSha256, &ed_public)
            .await
            .is_err()
    );
    assert!(table.client_key("shop-1").await.expect("read").is_none());
}

#[tokio::test]
async fn a_key_has_the_date_of_its_registration_and_that_of_its_first_revocation() {
    let bench = Bench::new().await;
    let table = bench.sandbox();
    let registered = table.add_client_hmac(new("shop-1", "shop"), &[7; 32]).await;
    registered.expect("registered");
    for _ in 0..2 {
        bench.kms.pass(60);
        table.revoke_client("shop-1").await.expect("revoked");
    }
    let overview = table.overview().await.expect("read");
    let [key] = &overview.clients[..] else {
        panic!("one key: {overview:?}");
    };
    assert_eq!(key.added, Some(NOW));
    assert_eq!(key.revoked, Some(NOW.plus_s(60)));
}
