//! Bodies and queries that no route takes, for every route of the contract: a new one cannot be
//! forgotten.

use http::Request;
use runtime::random::Random;
use serde_json::{Value, json};

use super::{CONTRACT, conforms};
use crate::support::{ApiAnswer, Testbed, api::Draft, native};

/// What is sent, and which code it is refused with.
struct Bad {
    query: &'static str,
    body: Option<Value>,
    code: &'static str,
}

/// Every route and method of the API, and whether it has a body.
pub(super) fn operations() -> Vec<(&'static str, &'static str, bool)> {
    let paths = CONTRACT["paths"].as_object().unwrap();
    paths
        .iter()
        .filter(|(route, _)| *route != "/v1/callbacks/wechatpay") // WeChat Pay's, which has rules of its own
        .flat_map(|(route, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, operation)| {
                (
                    route.as_str(),
                    method.as_str(),
                    operation["requestBody"].is_object(),
                )
            })
        })
        .collect()
}

pub(super) fn path_of(testbed: &Testbed, route: &str) -> String {
    route
        .replace("{order_no}", "ORDER-1")
        .replace("{refund_no}", "R1")
        .replace("{version}", "1")
        .replace("{date}", &testbed.day(1).to_string())
        .replace("{id}", "amount-differs-0")
}

async fn send(testbed: &Testbed, route: &str, method: &str, bad: &Bad) -> ApiAnswer {
    let target = format!("{}{}", path_of(testbed, route), bad.query);
    let body = bad.body.as_ref().map(Value::to_string).unwrap_or_default();
    let method = method.to_ascii_uppercase();
    if route.starts_with("/v1/reconciliations") {
        let request = Request::builder().method(method.as_str()).uri(target);
        let request = request
            .header("content-type", "application/json")
            .body(body);
        let li = json!({"email": "li@example.com", "email_verified": "true", "cognito:groups": "[finance]"});
        return ApiAnswer::of(testbed.console(Some(li), request.expect("a request")).await);
    }
    let draft = Draft {
        method: &method,
        path: &target,
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.into_bytes(),
        created_s: testbed.clock.now().0,
        nonce: Some(Random::system().nonce()),
    };
    testbed.send(testbed.client.sign(draft)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_takes_an_array_for_its_body_nor_what_it_does_not_name() {
    let testbed = Testbed::start().await;
    let made = testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(made.status, 201, "{made:?}");
    let before = testbed.order("ORDER-1").await;
    let bad = |query, body, code| Bad { query, body, code };
    let operations = operations();
    for (route, method, has_body) in &operations {
        let mut all = vec![bad("?unknown=1", None, "invalid_request")];
        if *has_body {
            // By position, these would be a whole order, refund, release or decision.
            for body in [
                json!([
                    "ORDER-9", "native", 100, "Tea", null, null, null, null, null, null, null, null
                ]),
                json!(["R9", 1, null, null]),
                json!(["Li", "paid in cash"]),
                json!(["approve", "x", 1]),
                json!([true]),
                json!(null),
                json!({"order_no": null, "refund_no": null, "who": null, "to": null, "decision": null, "dry_run": null}),
            ] {
                all.push(bad("", Some(body), "malformed"));
            }
        } else {
            all.push(bad("", Some(json!({"who": "Li"})), "malformed"));
            all.push(bad("", Some(json!([])), "malformed"));
        }
        for bad in &all {
            let answer = send(&testbed, route, method, bad).await;
            let about = format!("{method} {route}{} {:?}: {answer:?}", bad.query, bad.body);
            assert_eq!((answer.status, answer.code()), (400, bad.code), "{about}");
            conforms(route, method, &answer);
            let detail = answer.body["detail"].as_str().unwrap();
            for word in ["struct", "Wire", "i64", "u64", "expected", "enum"] {
                assert!(!detail.contains(word), "{about}");
            }
        }
    }
    assert!(
        operations.len() > 15,
        "only {} were found",
        operations.len()
    );
    let after = (
        testbed.items("").await.len(),
        testbed.order("ORDER-1").await,
    );
    assert_eq!(
        after,
        (1, before),
        "nothing has changed and nothing was made"
    );
}
