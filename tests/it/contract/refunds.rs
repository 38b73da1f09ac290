//! `POST` and `GET /v1/orders/{order_no}/refunds`, and each of them.

use std::time::Duration;

use proptest::{prelude::*, strategy::ValueTree};
use serde_json::{Value, json};
use testbed::{Fault as AwsFault, Match, Service};

use super::values::{good_or_bad, idempotency_key, object, runner, text};
use super::{CONTRACT, conforms, held, paid, text_post, unsigned, validator};
use crate::support::{Testbed, native};

const REFUNDS: &str = "/v1/orders/{order_no}/refunds";
pub(super) const REFUND: &str = "/v1/orders/{order_no}/refunds/{refund_no}";
/// In this time WeChat Pay ends a refund and sends the callback. Not longer: its callback would be
/// too old to be accepted.
pub(super) const REFUNDED_IN: Duration = Duration::from_secs(60);

/// How much the generated refunds' orders are paid: more than all of them together, less than the
/// most that can be asked.
const PAID_FEN: i64 = 1_000_000;

/// Values for one member of a refund.
fn member(name: &'static str) -> BoxedStrategy<Option<Value>> {
    let values = match name {
        "refund_no" => good_or_bad(
            vec![json!("r-####"), json!(format!("{}####", "r".repeat(36)))],
            vec![
                json!(""),
                json!("has space"),
                json!("idem-1"),
                json!("auto-1"),
                json!("console-1"),
                json!("r".repeat(41)),
                json!(1),
            ],
        ),
        "amount_fen" => good_or_bad(
            vec![json!(1), json!(40), json!(1_000_000_000)],
            vec![
                json!(0),
                json!(-1),
                json!(1_000_000_001),
                json!(1.5),
                json!("40"),
            ],
        ),
        "reason" => text(80),
        "transaction_id" => good_or_bad(
            vec![json!("4200000000202608010000000000")],
            vec![json!(""), json!("4".repeat(33)), json!("4 2"), json!(42)],
        ),
        _ => Just(json!("?")).boxed(),
    };
    let present = match name {
        "amount_fen" => 0.97,
        "refund_no" => 0.6,
        "reason" => 0.3,
        "transaction_id" => 0.1,
        _ => 0.04,
    };
    proptest::option::weighted(present, values).boxed()
}

const MEMBERS: [&str; 5] = [
    "refund_no",
    "amount_fen",
    "reason",
    "transaction_id",
    "unknown_member",
];

#[tokio::test(flavor = "multi_thread")]
async fn generated_refunds_are_taken_exactly_when_the_contract_takes_them() {
    let testbed = Testbed::start().await;
    let schema = validator(&json!({"$ref": "#/components/schemas/CreateRefund"}));
    let keys = &CONTRACT["components"]["parameters"]["RefundIdempotencyKey"]["schema"];
    let key_schema = validator(keys);
    let mut runner = runner();
    let requests = (MEMBERS.map(member).to_vec(), idempotency_key());
    let (mut taken, mut refused, mut by_key, mut too_much) = (0, 0, 0, 0);
    let mut order_no = String::new();
    for n in 0..400 {
        if taken % 40 == 0 && order_no != format!("ORDER-{taken}") {
            order_no = format!("ORDER-{taken}"); // an order takes 50 refunds
            paid(&testbed, &order_no, PAID_FEN).await;
        }
        let (values, key) = requests.new_tree(&mut runner).expect("a value").current();
        let numbered = |text: &str| text.replace("####", &format!("{n:04}"));
        let mut body = object(&MEMBERS, values);
        if let Some(Value::String(number)) = body.get_mut("refund_no") {
            *number = numbered(number);
        }
        let key = key.map(|key| numbered(&key));
        let headers: Vec<(&str, &str)> = key
            .iter()
            .map(|key| ("idempotency-key", key.as_str()))
            .collect();
        let is_named = body.contains_key("refund_no") || key.is_some();
        let is_second = body.contains_key("transaction_id");
        let amount_fen = body.get("amount_fen").and_then(Value::as_i64).unwrap_or(0);
        // Bytes, which a schema cannot count.
        let reason = body
            .get("reason")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let is_long = reason.len() > 80;
        let by_its_key = !body.contains_key("refund_no");
        let body = Value::Object(body);
        let key_fits = key.as_ref().map(|key| key_schema.is_valid(&json!(key)));
        let expected = if !schema.is_valid(&body) || is_long || key_fits == Some(false) || !is_named
        {
            (400, None)
        } else if is_second {
            (422, Some("no_such_payment"))
        } else if amount_fen > PAID_FEN {
            (422, Some("refund_exceeds_payment"))
        } else {
            (202, None)
        };
        let target = REFUNDS.replace("{order_no}", &order_no);
        let post = || testbed.client.post_with(&target, &body, &headers, &testbed);
        let answer = testbed.send(post()).await;
        conforms(REFUNDS, "post", &answer);
        let code = expected.1.unwrap_or(answer.code());
        assert_eq!(
            (answer.status, answer.code()),
            (expected.0, code),
            "{body} with {headers:?} was answered with {}",
            answer.body
        );
        match expected.0 {
            202 => {
                taken += 1;
                by_key += usize::from(by_its_key);
                let location = answer.header("location").expect("a location");
                held(
                    &testbed,
                    REFUND,
                    testbed.client.get(location, &testbed),
                    200,
                )
                .await;
                let again = held(&testbed, REFUNDS, post(), 200).await;
                assert_eq!(again.body["refund_no"], answer.body["refund_no"]);
            }
            422 => too_much += 1,
            _ => refused += 1,
        }
    }
    assert!(
        taken > 60 && refused > 60 && by_key > 10 && too_much > 10,
        "{taken} taken ({by_key} by their key), {too_much} too much and {refused} refused: the generator has lost its \
         balance"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_a_refund_is_described_by_the_contract() {
    let testbed = Testbed::start().await;
    paid(&testbed, "ORDER-1", 100).await;
    let target = REFUNDS.replace("{order_no}", "ORDER-1");
    let refund = |refund_no: &str, fen: i64| json!({"refund_no": refund_no, "amount_fen": fen});
    let signed = |body: &Value| testbed.client.post(&target, body, &testbed);
    let post = async |body: &Value, status| held(&testbed, REFUNDS, signed(body), status).await;

    let first = post(&refund("R1", 40), 202).await;
    assert_eq!(
        first.header("location"),
        Some("/v1/orders/ORDER-1/refunds/R1")
    );
    post(&refund("R1", 40), 200).await;
    let codes = [
        (json!([]), 400, "malformed"),
        (
            json!({"refund_no": "R2", "amount_fen": 0}),
            400,
            "invalid_request",
        ),
        (json!({"amount_fen": 1}), 400, "missing_idempotency_key"),
        (refund("R1", 41), 422, "idempotency_key_reused"),
        (refund("R2", 61), 422, "refund_exceeds_payment"),
        (
            json!({"refund_no": "R2", "amount_fen": 1, "transaction_id": "4200"}),
            422,
            "no_such_payment",
        ),
    ];
    for (body, status, code) in codes {
        assert_eq!(post(&body, status).await.code(), code, "{body}");
    }
    let key = [("idempotency-key", "a b")];
    let bad_key = testbed
        .client
        .post_with(&target, &json!({"amount_fen": 1}), &key, &testbed);
    let answer = held(&testbed, REFUNDS, bad_key, 400).await;
    assert_eq!(answer.code(), "invalid_idempotency_key");
    held(&testbed, REFUNDS, unsigned("POST", &target), 401).await;
    let mut large = refund("R2", 1);
    large["reason"] = json!("x".repeat(17_000));
    post(&large, 413).await;
    held(
        &testbed,
        REFUNDS,
        text_post(&testbed, &target, &refund("R2", 1)),
        415,
    )
    .await;
    for order_no in ["ORDER-99", "x"] {
        let target = REFUNDS.replace("{order_no}", order_no);
        let request = testbed.client.post(&target, &refund("R2", 1), &testbed);
        let answer = held(&testbed, REFUNDS, request, 404).await;
        assert_eq!(answer.code(), "order_not_found");
    }
    testbed.post_order(&native("ORDER-2")).await;
    let unpaid = testbed.client.post(
        &REFUNDS.replace("{order_no}", "ORDER-2"),
        &refund("R2", 1),
        &testbed,
    );
    assert_eq!(
        held(&testbed, REFUNDS, unpaid, 409).await.code(),
        "order_not_paid"
    );
    let writes = Match::operation(Service::DynamoDb, "TransactWriteItems");
    testbed.wire.break_all(writes, AwsFault::ServiceFault);
    post(&refund("R2", 1), 503).await;
    testbed.wire.mend();

    for n in 2..=50 {
        post(&refund(&format!("N{n}"), 1), 202).await;
    }
    assert_eq!(
        post(&refund("N51", 1), 422).await.code(),
        "refund_limit_reached"
    );

    paid(&testbed, "ORDER-3", 100).await;
    testbed.clock.advance(Duration::from_secs(366 * 86_400));
    let target = REFUNDS.replace("{order_no}", "ORDER-3");
    let late = testbed.client.post(&target, &refund("R1", 1), &testbed);
    assert_eq!(
        held(&testbed, REFUNDS, late, 422).await.code(),
        "refund_too_late"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_are_read_as_the_contract_says() {
    let testbed = Testbed::start().await;
    paid(&testbed, "ORDER-1", 100).await;
    let list = REFUNDS.replace("{order_no}", "ORDER-1");
    let get = |path: &str| testbed.client.get(path, &testbed);
    let none = held(&testbed, REFUNDS, get(&list), 200).await;
    assert_eq!(none.body, json!({"order_no": "ORDER-1", "refunds": []}));
    // Not in the order of their numbers.
    for refund_no in ["b", "c", "a"] {
        assert_eq!(testbed.refund("ORDER-1", refund_no, 10).await.status, 202);
        testbed.advance(Duration::from_secs(1)).await;
    }
    assert_eq!(testbed.work_off().await, 0);
    testbed.advance(REFUNDED_IN).await;
    assert_eq!(testbed.work_off().await, 0);
    let all = held(&testbed, REFUNDS, get(&list), 200).await;
    let numbers: Vec<_> = all.body["refunds"]
        .as_array()
        .expect("refunds")
        .iter()
        .map(|refund| (&refund["refund_no"], &refund["state"]))
        .collect();
    assert_eq!(
        json!(numbers),
        json!([["b", "succeeded"], ["c", "reserved"], ["a", "reserved"]])
    );
    let order = held(
        &testbed,
        "/v1/orders/{order_no}",
        get("/v1/orders/ORDER-1"),
        200,
    )
    .await;
    assert_eq!(
        (
            &order.body["refunded_fen"],
            &order.body["refund_committed_fen"]
        ),
        (&json!(10), &json!(30))
    );
    held(&testbed, REFUND, get(&format!("{list}/b")), 200).await;
    for (path, code) in [
        ("/v1/orders/ORDER-1/refunds/R9", "refund_not_found"),
        ("/v1/orders/ORDER-1/refunds/has.stop", "refund_not_found"),
        ("/v1/orders/ORDER-9/refunds/b", "order_not_found"),
        ("/v1/orders/x/refunds/b", "order_not_found"),
    ] {
        assert_eq!(
            held(&testbed, REFUND, get(path), 404).await.code(),
            code,
            "{path}"
        );
    }
    held(&testbed, REFUNDS, get("/v1/orders/ORDER-9/refunds"), 404).await;
    held(&testbed, REFUNDS, unsigned("GET", &list), 401).await;
    held(&testbed, REFUND, unsigned("GET", &format!("{list}/b")), 401).await;
    testbed.wire.break_all(
        Match::service(Service::DynamoDb).on(&testbed.tables.orders),
        AwsFault::ServiceFault,
    );
    held(&testbed, REFUNDS, get(&list), 503).await;
    held(&testbed, REFUND, get(&format!("{list}/b")), 503).await;
}
