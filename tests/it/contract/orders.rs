//! `POST /v1/orders` and `GET /v1/orders/{order_no}`.

use std::time::Duration;

use proptest::{prelude::*, sample::select, strategy::ValueTree};
use serde_json::{Map, Value, json};
use testbed::{Fault as AwsFault, Match, Service};

use super::values::{good_or_bad, idempotency_key, object, runner, text};
use super::{CONTRACT, conforms, held, text_post, validator};
use crate::support::{APPIDS, Testbed, TestbedOptions, native, refused_by_wechat};

/// Values for one member, good and bad, that the contract alone can decide.
fn member(name: &'static str) -> BoxedStrategy<Option<Value>> {
    let values = match name {
        "product" => good_or_bad(
            ["native", "jsapi", "mini_program", "app", "h5"]
                .map(Value::from)
                .to_vec(),
            vec![json!("NATIVE"), json!(""), json!(1)],
        ),
        "amount_fen" => good_or_bad(
            vec![json!(1), json!(100), json!(1_000_000_000)],
            vec![
                json!(0),
                json!(-1),
                json!(1_000_000_001),
                json!(1.5),
                json!("100"),
            ],
        ),
        "description" => text(127),
        "attach" => prop_oneof![9 => text(42), 1 => text(128)].boxed(), // in bytes three times as long
        "goods_tag" => text(32),
        "appid" => good_or_bad(
            APPIDS.map(Value::from).to_vec(),
            vec![json!(""), json!("x".repeat(33)), json!([])],
        ),
        "openid" => good_or_bad(
            vec![json!("oUser-1")],
            vec![
                json!(""),
                json!("o user"),
                json!("o".repeat(129)),
                json!("öpen"),
            ],
        ),
        "payer_id" => good_or_bad(
            vec![json!("member-88"), json!("!".repeat(64))],
            vec![json!(""), json!("a b"), json!("m".repeat(65)), json!("é")],
        ),
        "payer_client_ip" => good_or_bad(
            vec![json!("203.0.113.7"), json!("2001:db8::1")],
            vec![json!("203.0.113"), json!("host"), json!("")],
        ),
        "h5_type" => good_or_bad(
            vec![json!("iOS"), json!("Android"), json!("Wap")],
            vec![json!("ios"), json!("")],
        ),
        "expires_in_s" => good_or_bad(
            vec![json!(60), json!(604_800)],
            vec![json!(59), json!(604_801), json!("7200")],
        ),
        "order_no" => good_or_bad(
            vec![json!("ORDER_no-1")],
            vec![
                json!("short"),
                json!("idem-abcdef"),
                json!("has space"),
                json!("x".repeat(33)),
            ],
        ),
        _ => Just(json!("?")).boxed(),
    };
    let present = match name {
        "product" | "amount_fen" | "description" => 0.97,
        "order_no" => 0.75,
        "openid" => 0.45,
        "payer_client_ip" | "h5_type" => 0.3,
        "unknown_member" => 0.04,
        _ => 0.25,
    };
    proptest::option::weighted(present, values).boxed()
}

const MEMBERS: [&str; 13] = [
    "product",
    "amount_fen",
    "description",
    "attach",
    "goods_tag",
    "appid",
    "openid",
    "payer_id",
    "payer_client_ip",
    "h5_type",
    "expires_in_s",
    "order_no",
    "unknown_member",
];

/// Values of `Prefer`, and whether they ask for an answer at once.
fn prefer() -> BoxedStrategy<Option<(&'static str, bool)>> {
    let values = vec![
        ("respond-async", true),
        ("return=minimal, Respond-Async", true),
        ("return=minimal", false),
    ];
    proptest::option::weighted(0.3, select(values)).boxed()
}

/// Leaves out what is out of place for the product, and adds what it needs.
fn fit_product(body: &mut Map<String, Value>) {
    let product = body
        .get("product")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    for (name, products, value) in [
        ("openid", &["jsapi", "mini_program"][..], "oUser-1"),
        ("payer_client_ip", &["h5"], "203.0.113.7"),
        ("h5_type", &["h5"], "Wap"),
    ] {
        if products.contains(&product.as_str()) {
            body.entry(name).or_insert_with(|| json!(value));
        } else {
            body.remove(name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_requests_are_taken_exactly_when_the_contract_takes_them() {
    let testbed = Testbed::start().await;
    let schema = validator(&json!({"$ref": "#/components/schemas/CreateOrder"}));
    let key_schema = validator(&CONTRACT["components"]["parameters"]["IdempotencyKey"]["schema"]);
    let mut runner = runner();
    let requests = (MEMBERS.map(member).to_vec(), idempotency_key(), prefer());
    let (mut taken, mut refused, mut by_key, mut deferred, mut bad_keys) = (0, 0, 0, 0, 0);
    for n in 0..400 {
        let (values, key, prefer) = requests.new_tree(&mut runner).expect("a value").current();
        let mut body = object(&MEMBERS, values);
        if body.get("order_no") == Some(&json!("ORDER_no-1")) {
            body.insert("order_no".to_owned(), json!(format!("ORDER-{n}"))); // each its own order
        }
        if n % 2 == 0 {
            fit_product(&mut body); // drawn at random alone, few would have the members of their product
        }
        let key = key.map(|key| key.replace("####", &format!("{n:04}")));
        let is_async = prefer.is_some_and(|(_, is_async)| is_async);
        let headers: Vec<(&str, &str)> = key
            .iter()
            .map(|key| ("idempotency-key", key.as_str()))
            .chain(prefer.map(|(value, _)| ("prefer", value)))
            .collect();
        let numbered = body.contains_key("order_no");
        // Bytes, which a schema cannot count.
        let attach = body.get("attach").and_then(Value::as_str);
        let is_long = attach.is_some_and(|attach| attach.len() > 128);
        let body = Value::Object(body);
        let request = testbed
            .client
            .post_with("/v1/orders", &body, &headers, &testbed);
        let answer = testbed.send(request).await;
        conforms("/v1/orders", "post", &answer);
        let key_fits = key.as_ref().map(|key| key_schema.is_valid(&json!(key)));
        let is_named = numbered || key.is_some();
        let is_bad = !schema.is_valid(&body) || is_long;
        let expected = if is_bad || key_fits == Some(false) || !is_named {
            400
        } else if is_async {
            202
        } else {
            201
        };
        assert_eq!(
            answer.status, expected,
            "{body} with {headers:?} was answered with {}",
            answer.body
        );
        if expected == 400 {
            refused += 1;
            bad_keys += usize::from(answer.code() == "invalid_idempotency_key");
        } else {
            taken += 1;
            by_key += usize::from(!numbered);
            deferred += usize::from(is_async);
            let order_no = answer.body["order_no"].as_str().expect("a number");
            conforms(
                "/v1/orders/{order_no}",
                "get",
                &testbed.get_order(order_no).await,
            );
        }
    }
    assert!(
        taken > 30 && refused > 100 && by_key > 5 && deferred > 10 && bad_keys > 10,
        "{taken} taken ({by_key} by their key, {deferred} deferred) and {refused} refused ({bad_keys} for their key): \
         the generator has lost its balance"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_answer_is_described_by_the_contract() {
    let testbed = Testbed::start().await;
    let mut seen = Vec::new();
    let mut post = async |request: http::Request<Vec<u8>>, status: u16| {
        let answer = testbed.send(request).await;
        assert_eq!(answer.status, status, "{answer:?}");
        conforms("/v1/orders", "post", &answer);
        seen.push((status, answer.code().to_owned()));
    };
    let signed = |body: &Value| testbed.client.post("/v1/orders", body, &testbed);
    post(signed(&native("ORDER-1")), 201).await;
    post(signed(&native("ORDER-1")), 200).await;
    post(
        testbed.client.post_with(
            "/v1/orders",
            &native("ORDER-2"),
            &[("prefer", "respond-async")],
            &testbed,
        ),
        202,
    )
    .await;
    let mut no_number = native("unused");
    no_number.as_object_mut().unwrap().remove("order_no");
    post(signed(&no_number), 400).await;
    post(
        testbed.client.post_with(
            "/v1/orders",
            &no_number,
            &[("idempotency-key", "a b")],
            &testbed,
        ),
        400,
    )
    .await;
    post(signed(&json!([])), 400).await;
    post(
        http::Request::post("/v1/orders").body(Vec::new()).unwrap(),
        401,
    )
    .await;
    let other = testbed.another_client("other").await;
    post(other.post("/v1/orders", &native("ORDER-1"), &testbed), 409).await;
    let mut large = native("ORDER-3");
    large["attach"] = json!("x".repeat(17_000));
    post(signed(&large), 413).await;
    post(text_post(&testbed, "/v1/orders", &native("ORDER-3")), 415).await;
    let mut changed = native("ORDER-1");
    changed["amount_fen"] = json!(101);
    post(signed(&changed), 422).await;
    post(signed(&refused_by_wechat("ORDER-4")), 422).await;
    testbed.wire.break_all(
        Match::operation(Service::DynamoDb, "PutItem"),
        AwsFault::ServiceFault,
    );
    post(signed(&native("ORDER-5")), 503).await;
    testbed.wire.mend();
    submit_twice(&testbed).await;
    for (code, status) in [
        ("malformed", 400),
        ("missing_idempotency_key", 400),
        ("invalid_idempotency_key", 400),
        ("order_no_taken", 409),
        ("wechatpay_refused", 422),
    ] {
        assert!(
            seen.contains(&(status, code.to_owned())),
            "{code} was not seen in {seen:?}"
        );
    }

    for (path, status) in [
        ("/v1/orders/ORDER-1", 200),
        ("/v1/orders/ORDER-99", 404),
        ("/v1/orders/x", 404),
    ] {
        let answer = testbed.send(testbed.client.get(path, &testbed)).await;
        assert_eq!(answer.status, status);
        conforms("/v1/orders/{order_no}", "get", &answer);
    }
    conforms(
        "/v1/orders/{order_no}",
        "get",
        &testbed
            .send(
                http::Request::get("/v1/orders/ORDER-1")
                    .body(Vec::new())
                    .unwrap(),
            )
            .await,
    );
}

/// One payer submits two orders at one moment; the second is answered to wait.
async fn submit_twice(testbed: &Testbed) {
    let order = |order_no| {
        let mut order = native(order_no);
        order["payer_id"] = json!("member-88");
        testbed.client.post("/v1/orders", &order, testbed)
    };
    let reservation = Match::operation(Service::DynamoDb, "PutItem").on(&testbed.tables.orders);
    testbed.wire.break_next(reservation.clone(), AwsFault::Held);
    let before = testbed.wire.count(&reservation);
    let second = async {
        testbed.on_the_wire(&reservation, before + 1).await;
        let answer = held(testbed, "/v1/orders", order("ORDER-7"), 429).await;
        assert_eq!(answer.code(), "submitted_just_now");
        testbed.wire.mend();
    };
    let (first, ()) = tokio::join!(held(testbed, "/v1/orders", order("ORDER-6"), 201), second);
    assert_eq!(first.body["order_no"], "ORDER-6");
    held(testbed, "/v1/orders", order("ORDER-7"), 201).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_over_its_limit_is_answered_as_the_contract_says_on_every_route_of_clients() {
    let testbed = Testbed::with(TestbedOptions {
        client_requests_per_s: 1,
        ..TestbedOptions::default()
    })
    .await;
    let into_window_s = u64::try_from(testbed.clock.now().0.rem_euclid(10)).unwrap();
    testbed
        .advance(Duration::from_secs(10 - into_window_s))
        .await;
    for n in 0..10 {
        assert_eq!(
            testbed
                .post_order(&native(&format!("ORDER-{n}")))
                .await
                .status,
            201
        );
        assert_eq!(testbed.get_order(&format!("ORDER-{n}")).await.status, 200);
    }
    let mut routes = 0;
    for (route, methods) in CONTRACT["paths"].as_object().expect("paths") {
        if !route.starts_with("/v1/orders") && !route.starts_with("/v1/webhook") {
            continue;
        }
        let path = route
            .replace("{order_no}", "ORDER-1")
            .replace("{refund_no}", "R1")
            .replace("{version}", "1");
        for method in methods.as_object().expect("methods").keys() {
            let request = match method.as_str() {
                "get" => testbed.client.get(&path, &testbed),
                _ => testbed.client.post(&path, &json!({}), &testbed),
            };
            let answer = held(&testbed, route, request, 429).await;
            assert_eq!(answer.code(), "too_many_requests", "{method} {route}");
            assert_eq!(answer.header("retry-after"), Some("10"), "{method} {route}");
            routes += 1;
        }
    }
    assert_eq!(routes, 14);
}
