//! A client's key may do what its scopes and limits say, and nothing else.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use http::Request;
use payments::model::permissions::{AmountLimits, LimitFen, Permissions, Scope, Scopes};
use runtime::random::Random;
use serde_json::json;
use stores::keys_table::client_keys::{ClientKeyChange, NewLimit};
use testbed::{Match, Service};

use crate::{
    contract::{conforms, routes_of_clients},
    support::{ApiAnswer, Client, Testbed, TestbedOptions, api::Draft, native},
};

impl Testbed {
    /// A key of the usual client with these scopes.
    async fn key_with(&self, keyid: &str, scopes: &str) -> Client {
        let permissions = Permissions {
            scopes: scopes.parse().unwrap(),
            limits: AmountLimits::default(),
        };
        self.key(keyid, &permissions).await
    }

    /// What `setup scopes` does.
    async fn set_scopes(&self, keyid: &str, scopes: &str) {
        let scopes: Scopes = scopes.parse().unwrap();
        let change = ClientKeyChange {
            scopes: Some(&scopes),
            ..ClientKeyChange::default()
        };
        self.keys.change_client_key(keyid, &change).await.unwrap();
    }

    async fn refund_by(&self, key: &Client, refund_no: &str, amount_fen: i64) -> ApiAnswer {
        let body = json!({"refund_no": refund_no, "amount_fen": amount_fen});
        let path = "/v1/orders/ORDER-1/refunds";
        self.send(key.post(path, &body, self)).await
    }
}

/// A request of a route, whose parts are those of an order that there is.
fn request_of(key: &Client, route: &str, method: &str, testbed: &Testbed) -> Request<Vec<u8>> {
    let path = route
        .replace("{order_no}", "ORDER-1")
        .replace("{refund_no}", "R1")
        .replace("{version}", "1");
    match method {
        "get" => key.get(&path, testbed),
        "post" => key.sign(Draft {
            method: "POST",
            path: &path,
            headers: vec![("content-type", "application/json".to_owned())],
            body: b"{}".to_vec(),
            created_s: testbed.clock.now().0,
            nonce: Some(Random::system().nonce()),
        }),
        other => panic!("no route has {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_is_open_to_the_keys_that_have_its_scope_and_to_no_other() {
    let testbed = Testbed::start().await;
    testbed.paid("ORDER-1").await;
    let routes = routes_of_clients();
    assert_eq!(routes.len(), 14, "{routes:?}");
    for scope in Scope::ALL {
        let others: Vec<&str> = Scope::ALL
            .into_iter()
            .filter(|other| *other != scope)
            .map(Scope::name)
            .collect();
        let has = testbed
            .key_with(&format!("has-{scope}"), scope.name())
            .await;
        let lacks = testbed
            .key_with(&format!("lacks-{scope}"), &others.join(","))
            .await;
        for (route, method, needed) in &routes {
            let about = format!("{method} {route} needs {needed}");
            let (allowed, refused) = match *needed == scope.name() {
                true => (&has, &lacks),
                false => (&lacks, &has),
            };
            let answer = testbed
                .send(request_of(refused, route, method, &testbed))
                .await;
            assert_eq!(
                (answer.status, answer.code()),
                (403, "scope_missing"),
                "{about}"
            );
            let detail = answer.body["detail"].as_str().unwrap();
            assert!(detail.contains(&format!("`{needed}`")), "{detail}");
            conforms(route, method, &answer);

            let answer = testbed
                .send(request_of(allowed, route, method, &testbed))
                .await;
            assert_ne!(answer.status, 403, "{about}: {answer:?}");
            conforms(route, method, &answer);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_the_scope_writes_nothing_and_asks_wechat_pay_nothing() {
    // So many that the common count of requests is not written for these few.
    let testbed = Testbed::with(TestbedOptions {
        client_requests_per_s: 10_000,
        ..TestbedOptions::default()
    })
    .await;
    testbed.paid("ORDER-1").await;
    let key = testbed.key_with("reader", "read").await;
    // At the first pass its key is read and unsealed.
    for _ in 0..2 {
        testbed.wire.forget();
        testbed.wechat.admin().reset_requests();
        for (route, method, needed) in routes_of_clients() {
            if needed != "read" {
                let request = request_of(&key, &route, &method, &testbed);
                assert_eq!(testbed.send(request).await.status, 403, "{method} {route}");
            }
        }
    }
    assert_eq!(testbed.wire.calls(), [], "not even its nonce is consumed");
    assert!(testbed.wechat.admin().requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_refused_for_its_scope_takes_effect_once_when_the_key_has_it() {
    let testbed = Testbed::start().await;
    testbed.paid("ORDER-1").await;
    let key = testbed.key_with("shop-2", "read").await;
    let body = json!({"refund_no": "R1", "amount_fen": 40});
    let request = key.post("/v1/orders/ORDER-1/refunds", &body, &testbed);
    assert_eq!(testbed.send(request.clone()).await.code(), "scope_missing");
    testbed.set_scopes("shop-2", "read,refund").await;
    assert_eq!(
        testbed.send(request.clone()).await.code(),
        "scope_missing",
        "for up to a minute a sandbox goes by what it has read"
    );
    testbed.advance(Duration::from_secs(60)).await;
    assert_eq!(testbed.send(request.clone()).await.status, 202);
    assert_eq!(testbed.send(request).await.code(), "nonce_seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_is_taken_away_is_gone_within_a_minute() {
    let testbed = Testbed::start().await;
    testbed.paid("ORDER-1").await;
    let key = testbed.key_with("shop-2", "read,refund").await;
    assert_eq!(testbed.refund_by(&key, "R1", 10).await.status, 202);
    testbed.set_scopes("shop-2", "read").await;
    testbed.advance(Duration::from_secs(60)).await;
    assert_eq!(
        testbed.refund_by(&key, "R2", 10).await.code(),
        "scope_missing"
    );
    assert_eq!(
        testbed.refund_by(&key, "R1", 10).await.code(),
        "scope_missing",
        "a repeat is a request like any other"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_registered_before_there_were_scopes_keeps_all_but_decisions() {
    let testbed = Testbed::start().await;
    testbed.paid("ORDER-1").await;
    let key = testbed.key_with("old", "read").await;
    testbed.set_key_attribute("old", "scopes", None).await;
    for (route, method, needed) in routes_of_clients() {
        let answer = testbed
            .send(request_of(&key, &route, &method, &testbed))
            .await;
        let is_refused = answer.code() == "scope_missing";
        assert_eq!(
            is_refused,
            needed == "decide",
            "{method} {route}: {answer:?}"
        );
    }
    assert_eq!(testbed.refund_by(&key, "R2", 100).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_limit_cannot_be_read_is_not_taken_for_one_without_a_limit() {
    let testbed = Testbed::start().await;
    testbed.paid("ORDER-1").await;
    let key = testbed.key_with("shop-2", "read,refund").await;
    let zero = AttributeValue::N("0".to_owned());
    let damaged = testbed.set_key_attribute("shop-2", "refund_max_fen", Some(zero));
    damaged.await;
    let answer = testbed.refund_by(&key, "R1", 10).await;
    assert_eq!(
        (answer.status, answer.code()),
        (503, "temporarily_unavailable")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_above_its_key_s_limit_is_not_made_and_one_at_the_limit_is() {
    let testbed = Testbed::start().await;
    let limited = Permissions {
        scopes: Scopes::all(),
        limits: AmountLimits {
            order_max: LimitFen::new(100),
            ..AmountLimits::default()
        },
    };
    let key = testbed.key("shop-2", &limited).await;
    let mut order = native("ORDER-1");
    order["amount_fen"] = json!(101);
    let request = key.post("/v1/orders", &order, &testbed);
    let answer = testbed.send(request).await;
    assert_eq!((answer.status, answer.code()), (403, "order_above_limit"));
    conforms("/v1/orders", "post", &answer);
    assert!(testbed.items("order").await.is_empty());
    let nonces = Match::operation(Service::DynamoDb, "PutItem").on(&testbed.tables.guards);
    assert_eq!(
        testbed.wire.count(&nonces),
        0,
        "not even its nonce is consumed"
    );

    order["amount_fen"] = json!(100);
    let request = key.post("/v1/orders", &order, &testbed);
    assert_eq!(testbed.send(request).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_above_its_key_s_limit_is_not_made_and_one_at_the_limit_is() {
    let testbed = Testbed::start().await;
    testbed.paid("ORDER-1").await;
    let limited = Permissions {
        scopes: Scopes::all(),
        limits: AmountLimits {
            refund_max: LimitFen::new(40),
            ..AmountLimits::default()
        },
    };
    let key = testbed.key("shop-2", &limited).await;
    let before = testbed.items("").await;
    let answer = testbed.refund_by(&key, "R1", 41).await;
    assert_eq!((answer.status, answer.code()), (403, "refund_above_limit"));
    conforms("/v1/orders/{order_no}/refunds", "post", &answer);
    assert_eq!(testbed.items("").await, before);
    assert_eq!(
        testbed.refund_by(&key, "R1", 101).await.code(),
        "refund_exceeds_payment",
        "a limit is named where it is all that stands in the way"
    );
    assert_eq!(testbed.refund_by(&key, "R1", 40).await.status, 202);
    let other = testbed.another_client("other").await;
    assert_eq!(testbed.refund_by(&other, "R2", 41).await.status, 404);

    // The refund stands, whatever becomes of the limit.
    let lower = ClientKeyChange {
        refund_max: LimitFen::new(1).map(NewLimit::Of),
        ..ClientKeyChange::default()
    };
    testbed
        .keys
        .change_client_key("shop-2", &lower)
        .await
        .unwrap();
    testbed.advance(Duration::from_secs(60)).await;
    assert_eq!(testbed.refund_by(&key, "R1", 40).await.status, 200);
    assert_eq!(
        testbed.refund_by(&key, "R2", 2).await.code(),
        "refund_above_limit"
    );
}
