//! The gate of the merchant API: requests that are not signed, not fresh, not whole or not new do
//! not pass.

use aws_lc_rs::{
    encoding::AsDer,
    hmac,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::Request;
use message_signatures::{Algorithm, SigningKey, content_digest};
use payments::model::permissions::Permissions;
use stores::keys_table::client_keys::NewClientKey;
use testbed::{Fault, Match, Service};

use crate::support::{
    Client, Testbed,
    api::{AUTHORITY, Draft},
    native,
};

async fn refused(testbed: &Testbed, request: Request<Vec<u8>>, code: &str) {
    let answer = testbed.send(request).await;
    assert_eq!((answer.status, answer.code()), (401, code), "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert!(answer.header("www-authenticate").is_some());
}

fn draft(testbed: &Testbed, created_s: i64, nonce: Option<&str>) -> Draft<'static> {
    Draft {
        method: "POST",
        path: "/v1/orders",
        headers: vec![("content-type", "application/json".to_owned())],
        body: native("ORDER-1").to_string().into_bytes(),
        created_s: testbed.clock.now().0 + created_s,
        nonce: nonce.map(str::to_owned),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unsigned_stale_early_and_altered_requests_are_401_with_their_cause() {
    let testbed = Testbed::start().await;
    let unsigned = Request::post("/v1/orders")
        .header("host", "api.example.com")
        .body(native("ORDER-1").to_string().into_bytes())
        .unwrap();
    refused(&testbed, unsigned, "no_signature").await;
    refused(
        &testbed,
        testbed.client.sign(draft(&testbed, -301, Some("n1"))),
        "signature_stale",
    )
    .await;
    refused(
        &testbed,
        testbed.client.sign(draft(&testbed, 301, Some("n2"))),
        "signature_from_the_future",
    )
    .await;

    let sign = || {
        testbed.client.post_with(
            "/v1/orders",
            &native("ORDER-1"),
            &[("idempotency-key", "k1")],
            &testbed,
        )
    };
    let mut other_body = sign();
    *other_body.body_mut() = native("ORDER-1")
        .to_string()
        .replace("100", "1")
        .into_bytes();
    refused(&testbed, other_body, "digest_mismatch").await;
    let mut other_host = sign();
    other_host
        .headers_mut()
        .insert("host", "evil.example.com".parse().unwrap());
    refused(&testbed, other_host, "wrong_signature").await;
    let mut other_key = sign();
    other_key
        .headers_mut()
        .insert("idempotency-key", "k2".parse().unwrap());
    refused(&testbed, other_key, "wrong_signature").await;
    let mut other_query = sign();
    *other_query.uri_mut() = "/v1/orders?dry_run=1".parse().unwrap();
    refused(&testbed, other_query, "wrong_signature").await;
    let mut smuggled = testbed
        .client
        .post("/v1/orders", &native("ORDER-1"), &testbed);
    smuggled
        .headers_mut()
        .insert("prefer", "respond-async".parse().unwrap());
    refused(&testbed, smuggled, "component_not_covered").await;
    let get = testbed.client.get("/v1/orders/ORDER-1", &testbed);
    let mut other_path = get;
    *other_path.uri_mut() = "/v1/orders/ORDER-2".parse().unwrap();
    refused(&testbed, other_path, "wrong_signature").await;

    assert!(testbed.wechat.admin().orders().is_empty());
    assert!(
        testbed.items("").await.is_empty(),
        "no refused request has left a trace"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_request_is_refused_and_a_new_signature_is_a_repeat() {
    let testbed = Testbed::start().await;
    let replay = || testbed.client.sign(draft(&testbed, 0, Some("once-only")));
    assert_eq!(testbed.send(replay()).await.status, 201);
    refused(&testbed, replay(), "nonce_seen").await;
    assert_eq!(testbed.post_order(&native("ORDER-1")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_of_one_client_does_not_burn_another_clients() {
    let testbed = Testbed::start().await;
    assert_eq!(
        testbed
            .send(testbed.client.sign(draft(&testbed, 0, Some("same-nonce"))))
            .await
            .status,
        201
    );
    let other = testbed.another_client("other").await;
    let answer = testbed
        .send(other.sign(draft(&testbed, 0, Some("same-nonce"))))
        .await;
    assert_eq!((answer.status, answer.code()), (409, "order_no_taken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_or_revoked_key_is_refused() {
    let testbed = Testbed::start().await;
    let stranger = Client::with_key("nobody-key", SigningKey::from_secret(&[7; 32]).unwrap());
    refused(
        &testbed,
        stranger.post("/v1/orders", &native("ORDER-1"), &testbed),
        "unknown_key",
    )
    .await;
    testbed
        .keys
        .revoke_client(&testbed.client.keyid)
        .await
        .unwrap();
    refused(
        &testbed,
        testbed
            .client
            .post("/v1/orders", &native("ORDER-1"), &testbed),
        "unknown_key",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_sign_by_a_key_that_we_know_the_public_half_of() {
    let testbed = Testbed::start().await;
    let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8.as_ref()).unwrap();
    let spki =
        AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    let pem = |label: &str, der: &[u8]| {
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            BASE64.encode(der)
        )
    };
    testbed
        .keys
        .add_client_public(
            NewClientKey {
                keyid: "ed-key",
                client_id: "shop",
                permissions: &Permissions::all(),
            },
            Algorithm::Ed25519,
            &pem("PUBLIC KEY", spki.as_ref()),
        )
        .await
        .unwrap();
    let key =
        SigningKey::from_private_key_pem(Algorithm::Ed25519, &pem("PRIVATE KEY", pkcs8.as_ref()))
            .unwrap();
    let client = Client::with_key("ed-key", key);
    assert_eq!(
        testbed
            .send(client.post("/v1/orders", &native("ORDER-1"), &testbed))
            .await
            .status,
        201
    );
    assert_eq!(
        testbed.get_order("ORDER-1").await.status,
        200,
        "two keys of one client see the same orders"
    );
}

/// Signs by hand what `lines` say, with HMAC.
fn by_hand(
    secret: &[u8],
    request: http::request::Builder,
    lines: &[(&str, &str)],
    params: &str,
    body: Vec<u8>,
) -> Request<Vec<u8>> {
    let names: Vec<String> = lines
        .iter()
        .map(|(name, _)| format!("\"{name}\""))
        .collect();
    let input = format!("({}){params}", names.join(" "));
    let text: String = lines
        .iter()
        .map(|(name, value)| format!("\"{name}\": {value}\n"))
        .collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(
        &key,
        format!("{text}\"@signature-params\": {input}").as_bytes(),
    );
    request
        .header("host", AUTHORITY)
        .header("signature-input", format!("mine={input}"))
        .header("signature", format!("mine=:{}:", BASE64.encode(tag)))
        .body(body)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_uri_may_be_signed_in_place_of_authority_path_and_query() {
    let testbed = Testbed::start().await;
    let secret = *b"a secret of the tests, 32 bytes.";
    let key = NewClientKey {
        keyid: "hand-key",
        client_id: "shop",
        permissions: &Permissions::all(),
    };
    let put = testbed.keys.put_client_hmac(key, &secret);
    put.await.unwrap();
    let params = format!(";created={};keyid=\"hand-key\"", testbed.clock.now().0);

    let body = native("ORDER-1").to_string().into_bytes();
    let digest = content_digest(&body);
    let post = Request::post("/v1/orders")
        .header("content-type", "application/json")
        .header("content-digest", &digest);
    let lines = [
        ("@method", "POST"),
        ("@target-uri", "https://api.example.com/v1/orders"),
        ("content-digest", &digest),
    ];
    let with_nonce = format!("{params};nonce=\"n1\"");
    let request = by_hand(&secret, post, &lines, &with_nonce, body);
    assert_eq!(testbed.send(request).await.status, 201);

    let get = || {
        let lines = [
            ("@method", "GET"),
            ("@target-uri", "https://api.example.com/v1/orders/ORDER-1"),
        ];
        let request = Request::get("/v1/orders/ORDER-1");
        by_hand(&secret, request, &lines, &params, Vec::new())
    };
    assert_eq!(testbed.send(get()).await.status, 200);
    let mut other_order = get();
    *other_order.uri_mut() = "/v1/orders/ORDER-2".parse().unwrap();
    refused(&testbed, other_order, "wrong_signature").await;
    let mut other_query = get();
    *other_query.uri_mut() = "/v1/orders/ORDER-1?a=1".parse().unwrap();
    refused(&testbed, other_query, "wrong_signature").await;
    for host in ["evil.example.com", "api.example.com:8443"] {
        let mut other_host = get();
        let host = host.parse().unwrap();
        other_host.headers_mut().insert("host", host);
        refused(&testbed, other_host, "wrong_signature").await;
    }
    let mut other_scheme = get();
    let http = "http".parse().unwrap();
    other_scheme.headers_mut().insert("x-forwarded-proto", http);
    refused(&testbed, other_scheme, "wrong_signature").await;
    let mut cut_otherwise = get();
    let host = "api.example.com/v1".parse().unwrap();
    cut_otherwise.headers_mut().insert("host", host);
    *cut_otherwise.uri_mut() = "/orders/ORDER-1".parse().unwrap();
    let answer = testbed.send(cut_otherwise).await;
    assert!([401, 404].contains(&answer.status), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nonce_and_the_order_are_written_side_by_side_and_wechat_pay_is_asked_after_both() {
    let testbed = Testbed::start().await;
    assert_eq!(testbed.post_order(&native("WARM-1")).await.status, 201);
    for (order_no, held) in [
        ("ORDER-1", &testbed.tables.guards),
        ("ORDER-2", &testbed.tables.orders),
    ] {
        testbed.wire.forget();
        testbed.wechat.admin().reset_requests();
        let write = Match::operation(Service::DynamoDb, "PutItem");
        testbed.wire.break_all(write.clone().on(held), Fault::Held);
        let check = async {
            let calls = testbed.on_the_wire(&Match::any(), 2).await;
            let asked = testbed.wechat.admin().requests();
            let writes = testbed.wire.count(&write);
            testbed.wire.mend();
            (calls, writes, asked.values().sum::<u64>())
        };
        let order = native(order_no);
        let (answer, seen) = futures_util::join!(testbed.post_order(&order), check);
        assert_eq!(
            seen,
            (2, 2, 0),
            "while the write to `{held}` was held back, the other was sent, and nothing else"
        );
        assert_eq!(answer.status, 201);
        for table in [&testbed.tables.guards, &testbed.tables.orders] {
            assert_eq!(testbed.wire.count(&write.clone().on(table)), 1);
        }
        assert_eq!(testbed.wechat.admin().requests().values().sum::<u64>(), 1);
    }
}
