//! Floods of requests that no client of ours has signed: what they cost in calls to AWS and WeChat
//! Pay. Nothing, where a request can be refused without a key; else what a sandbox reads once.

use http::Request;
use message_signatures::SigningKey;
use serde_json::json;
use testbed::{Call, Match, Service};
use wechatpay_simulator::{Damage, PayOptions, SignedCallback};

use crate::support::{
    Client, Testbed,
    api::{AUTHORITY, Draft},
    native,
};

/// Every route that a client calls, with an address of it.
const ROUTES: [(&str, &str); 14] = [
    ("POST", "/v1/orders"),
    ("GET", "/v1/orders/ORDER-1"),
    ("POST", "/v1/orders/ORDER-1/close"),
    ("POST", "/v1/orders/ORDER-1/refunds"),
    ("GET", "/v1/orders/ORDER-1/refunds"),
    ("GET", "/v1/orders/ORDER-1/refunds/R1"),
    ("POST", "/v1/orders/ORDER-1/refunds/R1/abnormal"),
    ("POST", "/v1/orders/ORDER-1/refunds/R1/payer-paid"),
    ("POST", "/v1/orders/ORDER-1/refunds/R1/retry"),
    ("POST", "/v1/orders/ORDER-1/refunds/R1/release"),
    ("GET", "/v1/orders/ORDER-1/events"),
    ("POST", "/v1/orders/ORDER-1/events/1/replay"),
    ("GET", "/v1/webhook"),
    ("POST", "/v1/webhook/resend"),
];

/// And every route of finance staff.
const FOR_STAFF: [(&str, &str); 9] = [
    ("GET", "/v1/reconciliations/2026-08-01"),
    ("POST", "/v1/reconciliations/2026-08-01"),
    ("GET", "/v1/reconciliations/2026-08-01/differences"),
    ("GET", "/v1/reconciliations/2026-08-01/differences.csv"),
    ("GET", "/v1/reconciliations/2026-08-01/differences/d1"),
    (
        "POST",
        "/v1/reconciliations/2026-08-01/differences/d1/decisions",
    ),
    ("GET", "/console"),
    ("GET", "/console/2026-08-01"),
    ("POST", "/console/2026-08-01/run"),
];

const CALLBACKS: &str = "POST /v1/callbacks/wechatpay";

/// A testbed whose functions have made no call yet.
async fn cold() -> Testbed {
    let testbed = Testbed::start().await;
    testbed.wire.forget();
    testbed.wechat.admin().reset_requests();
    testbed
}

impl Testbed {
    /// The calls since this was last read, those to WeChat Pay among them.
    fn cost(&self) -> Vec<String> {
        let name = |call: &Call| match call.service {
            Service::DynamoDb => format!("{} {}", call.operation, call.resource),
            Service::Sqs | Service::Kms | Service::S3 => call.operation.clone(),
        };
        let mut calls: Vec<String> = self.wire.calls().iter().map(name).collect();
        let asked = self.wechat.admin().requests();
        calls.extend(asked.keys().map(|endpoint| format!("{endpoint:?}")));
        self.wire.forget();
        self.wechat.admin().reset_requests();
        calls.sort();
        calls
    }
}

/// A request that is rightly signed for this route by `client` at a time.
fn signed(
    testbed: &Testbed,
    client: &Client,
    (method, path): (&'static str, &'static str),
    age_s: i64,
) -> Request<Vec<u8>> {
    client.sign(Draft {
        method,
        path,
        headers: vec![("content-type", "application/json".to_owned())],
        body: if method == "POST" {
            b"{}".to_vec()
        } else {
            Vec::new()
        },
        created_s: testbed.clock.now().0 - age_s,
        nonce: Some(testbed.clock.now_ms().to_string()),
    })
}

fn stranger() -> Client {
    Client::with_key("nobody-key", SigningKey::from_secret(&[7; 32]).unwrap())
}

#[test]
fn every_route_of_the_contract_is_flooded_here() {
    let contract = include_str!("../../infra/openapi.yaml");
    let (_, paths) = contract.split_once("\npaths:\n").unwrap();
    let (paths, _) = paths.split_once("\nwebhooks:\n").unwrap_or((paths, ""));
    let (paths, _) = paths.split_once("\ncomponents:\n").unwrap_or((paths, ""));
    let mut described = Vec::new();
    let mut path = "";
    for line in paths.lines() {
        if let Some(named) = line
            .strip_prefix("  /")
            .and_then(|rest| rest.strip_suffix(':'))
        {
            path = named;
        }
        for method in ["get", "post"] {
            if line == format!("    {method}:") {
                described.push(format!("{} /{path}", method.to_uppercase()));
            }
        }
    }
    let template = |(method, path): &(&str, &str)| {
        let filled = [
            ("ORDER-1", "{order_no}"),
            ("R1", "{refund_no}"),
            ("/1/", "/{version}/"),
            ("2026-08-01", "{date}"),
            ("d1", "{id}"),
        ];
        let path = filled
            .iter()
            .fold((*path).to_owned(), |path, (value, name)| {
                path.replace(value, name)
            });
        format!("{method} {path}")
    };
    let mut flooded: Vec<String> = ROUTES.iter().chain(&FOR_STAFF).map(template).collect();
    flooded.retain(|route| !route.contains("/console"));
    flooded.push(CALLBACKS.to_owned());
    described.sort();
    flooded.sort();
    assert_eq!(flooded, described);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_stale_or_incomplete_request_costs_no_call() {
    let testbed = cold().await;
    let client = &testbed.client;
    for route in ROUTES {
        let (method, path) = route;
        let bare = Request::builder()
            .method(method)
            .uri(path)
            .header("host", AUTHORITY);
        let unsigned = bare.body(b"{}".to_vec()).unwrap();
        let with = |name: &'static str, value: &str| {
            let mut request = signed(&testbed, client, route, 0);
            request.headers_mut().insert(name, value.parse().unwrap());
            request
        };
        let mut expired = signed(&testbed, client, route, 10);
        let input = expired.headers()["signature-input"]
            .to_str()
            .unwrap()
            .to_owned();
        let past = format!("{input};expires={}", testbed.clock.now().0 - 5);
        expired
            .headers_mut()
            .insert("signature-input", past.parse().unwrap());
        let mut cases = vec![
            ("no_signature", unsigned),
            ("malformed", with("signature-input", "sig=(\"@method\"")),
            ("malformed", with("signature", "sig=nonsense")),
            ("signature_stale", signed(&testbed, client, route, 301)),
            ("signature_stale", signed(&testbed, &stranger(), route, 301)),
            (
                "signature_from_the_future",
                signed(&testbed, client, route, -301),
            ),
            ("signature_expired", expired),
            ("component_not_covered", with("prefer", "respond-async")),
        ];
        if method == "POST" {
            let mut altered = signed(&testbed, &stranger(), route, 0);
            *altered.body_mut() = b"{ }".to_vec();
            cases.push(("digest_mismatch", altered));
        }
        for (code, request) in cases {
            for _ in 0..3 {
                let answer = testbed.send(request.clone()).await;
                assert_eq!(answer.status, 401, "{method} {path} {code}: {answer:?}");
                if code != "malformed" {
                    assert_eq!(answer.code(), code, "{method} {path}: {answer:?}");
                }
                assert_eq!(testbed.cost(), [""; 0], "{method} {path} {code}");
            }
        }
        if method == "POST" {
            let mut large = signed(&testbed, client, route, 0);
            *large.body_mut() = vec![b' '; 1024 * 1024];
            let answer = testbed.send(large).await;
            assert!(
                [401, 413].contains(&answer.status),
                "{method} {path}: {answer:?}"
            );
            assert_eq!(testbed.cost(), [""; 0], "{method} {path}");
        }
    }
    let nowhere = testbed
        .send(signed(&testbed, client, ("GET", "/v1/nowhere"), 0))
        .await;
    assert_eq!(nowhere.status, 404);
    assert_eq!(testbed.cost(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_looked_up_once_in_five_seconds_and_never_at_kms() {
    let testbed = cold().await;
    let read = [format!("GetItem {}", testbed.tables.keys)];
    for route in [ROUTES[0], ROUTES[1]] {
        for n in 0..100 {
            let answer = testbed.send(signed(&testbed, &stranger(), route, 0)).await;
            assert_eq!((answer.status, answer.code()), (401, "unknown_key"));
            let expected: &[String] = if n == 0 { &read } else { &[] };
            assert_eq!(testbed.cost(), expected, "{route:?}, request {n}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_keys_push_no_client_out_of_a_sandbox() {
    let testbed = cold().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.get_order("ORDER-1").await;
    testbed.cost();
    for n in 0..1_100 {
        let name = format!("nobody-{n}");
        let unknown = Client::with_key(&name, SigningKey::from_secret(&[7; 32]).unwrap());
        testbed.send(signed(&testbed, &unknown, ROUTES[1], 0)).await;
    }
    let calls = testbed.cost();
    assert_eq!(calls.len(), 1_100, "one read for each, and nothing else");
    assert!(calls.iter().all(|call| call.starts_with("GetItem")));
    testbed.get_order("ORDER-1").await;
    let own = [format!("GetItem {}", testbed.tables.orders)];
    assert_eq!(testbed.cost(), own, "the client's key is at hand");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_signature_of_a_known_key_costs_what_a_sandbox_reads_once() {
    let testbed = cold().await;
    for route in [ROUTES[0], ROUTES[1]] {
        for n in 0..100 {
            let mut forged = signed(&testbed, &testbed.client, route, 0);
            let elsewhere = format!("{}?a=1", route.1);
            *forged.uri_mut() = elsewhere.parse().unwrap();
            let answer = testbed.send(forged).await;
            assert_eq!((answer.status, answer.code()), (401, "wrong_signature"));
            let once = [
                "Decrypt".to_owned(),
                format!("GetItem {}", testbed.tables.keys),
            ];
            let expected: &[String] = if n == 0 { &once } else { &[] };
            assert_eq!(testbed.cost(), expected, "{route:?}, request {n}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_costs_nothing_without_a_verified_token() {
    let testbed = cold().await;
    for (method, path) in FOR_STAFF {
        for claims in [
            None,
            Some(json!({"sub": "somebody"})),
            Some(json!({"email": "li@example.com", "email_verified": "true"})),
        ] {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("content-type", "application/json");
            let answer = testbed
                .console(claims, request.body("{}".to_owned()).unwrap())
                .await;
            assert!(
                [401, 403].contains(&answer.status().as_u16()),
                "{method} {path}: {answer:?}"
            );
            assert_eq!(testbed.cost(), [""; 0], "{method} {path}");
        }
    }
}

impl Testbed {
    /// A callback about a paid order with a damage, and no call made since.
    async fn callback(&self, damage: &Damage) -> SignedCallback {
        self.wechat
            .admin()
            .signed_callback("ORDER-1", damage)
            .unwrap()
    }
}

/// A testbed with a paid order, in which the function of callbacks has made no call yet.
async fn paid() -> Testbed {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wechat
        .admin()
        .pay("ORDER-1", &PayOptions::default())
        .unwrap();
    testbed.cost();
    testbed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_without_headers_too_old_too_large_or_of_another_kind_costs_no_call() {
    let testbed = paid().await;
    let good = testbed.callback(&Damage::None).await;
    let mut cases = Vec::new();
    for name in [
        "Wechatpay-Timestamp",
        "Wechatpay-Nonce",
        "Wechatpay-Serial",
        "Wechatpay-Signature",
    ] {
        let mut without = good.clone();
        without
            .headers
            .retain(|(header, _)| !header.eq_ignore_ascii_case(name));
        assert!(without.headers.len() < good.headers.len(), "{name}");
        cases.push((400, name, without));
    }
    let with = |name: &str, value: &str| {
        let mut changed = good.clone();
        changed
            .headers
            .retain(|(header, _)| !header.eq_ignore_ascii_case(name));
        changed.headers.push((name.to_owned(), value.to_owned()));
        changed
    };
    cases.push((400, "no time", with("Wechatpay-Timestamp", "yesterday")));
    cases.push((
        401,
        "another kind",
        with("Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3"),
    ));
    cases.push((401, "old", testbed.callback(&Damage::Stale(301)).await));
    cases.push((401, "early", testbed.callback(&Damage::Stale(-301)).await));
    let mut large = good.clone();
    large.body = " ".repeat(64 * 1024 + 1);
    cases.push((413, "large", large));
    let mut bare = good.clone();
    bare.headers.clear();
    cases.push((400, "no headers", bare));
    for (status, about, callback) in cases {
        for _ in 0..3 {
            assert_eq!(testbed.receive(&callback).await.status, status, "{about}");
            assert_eq!(testbed.cost(), [""; 0], "{about}");
        }
    }
    let not_base64 = json!({"headers": {}, "body": "}", "isBase64Encoded": true});
    let event = serde_json::from_value(not_base64).unwrap();
    assert_eq!(testbed.receive_event(event).await.status, 400);
    assert_eq!(testbed.cost(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_callback_that_only_a_key_detects_costs_what_a_sandbox_reads_once_a_minute() {
    for (damage, then) in [
        (Damage::Probe, 0),
        (Damage::WrongSignature, 0),
        // Once in five seconds the keys are read again: it may be a new one.
        (Damage::UnknownSerial, 1),
    ] {
        let testbed = paid().await;
        let callback = testbed.callback(&damage).await;
        assert_eq!(testbed.receive(&callback).await.status, 401, "{damage:?}");
        let first = testbed.cost();
        let reads = first
            .iter()
            .filter(|call| call.starts_with("GetItem"))
            .count();
        assert_eq!(reads, 1 + then, "{damage:?}: {first:?}");
        assert!(first.len() <= 4, "{damage:?}: {first:?}");
        for _ in 0..100 {
            assert_eq!(testbed.receive(&callback).await.status, 401, "{damage:?}");
        }
        assert_eq!(testbed.cost(), [""; 0], "{damage:?}: the next hundred");
        assert_eq!(testbed.wire.count(&Match::service(Service::Sqs)), 0);
    }
}
