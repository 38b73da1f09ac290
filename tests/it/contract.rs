//! The contract `infra/openapi.yaml`: generated requests are accepted exactly when it says so, and
//! every answer is one that it describes.

mod bodies;
mod callbacks;
mod close;
mod decisions;
mod events;
mod orders;
mod reconciliations;
mod refunds;
mod replays;
mod values;
mod webhook;

use std::sync::LazyLock;

use jsonschema::Validator;
use runtime::random::Random;
use serde_json::{Value, json};

use crate::support::{ApiAnswer, Testbed, api::Draft, native};

static CONTRACT: LazyLock<Value> = LazyLock::new(|| {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../infra/openapi.yaml"
    ))
    .expect("the contract");
    serde_saphyr::from_str(&text).expect("YAML")
});

/// A validator for one schema of the contract, with all that it refers to.
fn validator(schema: &Value) -> Validator {
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "allOf": [schema],
        "components": CONTRACT["components"],
    });
    jsonschema::options()
        .should_validate_formats(true)
        .build(&whole)
        .expect("a schema")
}

/// Follows a `$ref` inside the contract.
fn resolved(value: &Value) -> &Value {
    match value["$ref"].as_str() {
        Some(pointer) => CONTRACT
            .pointer(pointer.trim_start_matches('#'))
            .expect("a reference that leads somewhere"),
        None => value,
    }
}

/// Holds an answer to what the contract says for this route, method and status.
pub(crate) fn conforms(route: &str, method: &str, answer: &ApiAnswer) {
    let about = format!(
        "{method} {route} answered {}: {}",
        answer.status, answer.body
    );
    let described = &CONTRACT["paths"][route][method]["responses"][answer.status.to_string()];
    assert!(
        !described.is_null(),
        "the contract knows no such status: {about}"
    );
    let described = resolved(described);
    for (name, header) in described["headers"].as_object().into_iter().flatten() {
        let header = resolved(header);
        let sent = answer.header(name);
        assert!(
            sent.is_some() || header["required"] != json!(true),
            "header {name} is missing: {about}"
        );
        let Some(sent) = sent else { continue };
        let value = sent
            .parse::<i64>()
            .map_or_else(|_| json!(sent), |number| json!(number));
        assert!(
            validator(&header["schema"]).is_valid(&value),
            "header {name} is {sent}: {about}"
        );
    }
    let Some(content) = described["content"].as_object() else {
        assert!(
            answer.body.is_null(),
            "a body that the contract does not know: {about}"
        );
        return;
    };
    let kind = answer.header("content-type").expect("a content type");
    let schema = &content
        .get(kind)
        .unwrap_or_else(|| panic!("content type {kind}: {about}"))["schema"];
    if let Err(error) = validator(schema).validate(&answer.body) {
        panic!("{error} at {}: {about}", error.instance_path());
    }
}

/// The routes that a client's key opens, as route, method and the scope that it needs.
pub(crate) fn routes_of_clients() -> Vec<(String, String, String)> {
    let mut routes = Vec::new();
    for (route, methods) in CONTRACT["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let security = operation["security"].as_array();
            for scheme in security.unwrap_or_else(|| panic!("{method} {route} asks for nothing")) {
                if let Some(needed) = scheme["httpMessageSignature"].as_array() {
                    let [Value::String(scope)] = needed.as_slice() else {
                        panic!("{method} {route} names no scope");
                    };
                    routes.push((route.clone(), method.clone(), scope.clone()));
                }
            }
        }
    }
    routes
}

/// Sends a request of this route, which gets this status, and holds the answer to the contract.
async fn held(
    testbed: &Testbed,
    route: &str,
    request: http::Request<Vec<u8>>,
    status: u16,
) -> ApiAnswer {
    let method = request.method().as_str().to_ascii_lowercase();
    let answer = testbed.send(request).await;
    assert_eq!(answer.status, status, "{method} {route}: {answer:?}");
    conforms(route, &method, &answer);
    answer
}

/// A signed POST of the usual client without a body, and so without a content type.
fn bare_post(testbed: &Testbed, path: &str) -> http::Request<Vec<u8>> {
    testbed.client.sign(Draft {
        method: "POST",
        path,
        headers: Vec::new(),
        body: Vec::new(),
        created_s: testbed.clock.now().0,
        nonce: Some(Random::system().nonce()),
    })
}

/// A POST of the usual client whose body is declared as something else than JSON.
fn text_post(testbed: &Testbed, path: &str, body: &Value) -> http::Request<Vec<u8>> {
    testbed.client.sign(Draft {
        method: "POST",
        path,
        headers: vec![("content-type", "text/plain".to_owned())],
        body: body.to_string().into_bytes(),
        created_s: testbed.clock.now().0,
        nonce: Some(Random::system().nonce()),
    })
}

fn unsigned(method: &str, path: &str) -> http::Request<Vec<u8>> {
    let request = http::Request::builder().method(method).uri(path);
    request.body(Vec::new()).expect("a request")
}

/// An order of so many fen that is paid.
async fn paid(testbed: &Testbed, order_no: &str, amount_fen: i64) {
    let mut order = native(order_no);
    order["amount_fen"] = json!(amount_fen);
    assert_eq!(testbed.post_order(&order).await.status, 201);
    testbed.pay(order_no).await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.get_order(order_no).await.body["state"], "paid");
}

/// Every example value of a schema in the contract, with its location.
fn examples(value: &Value, path: &str, found: &mut Vec<(String, Value, Value)>) {
    if let Some(fields) = value.as_object() {
        if let Some(schema) = fields.get("schema") {
            let named = fields.get("examples").and_then(Value::as_object);
            let named = named.into_iter().flatten();
            let named = named.map(|(name, example)| (name.as_str(), &resolved(example)["value"]));
            let only = fields.get("example").map(|example| ("example", example));
            for (name, example) in named.chain(only) {
                found.push((format!("{path}/{name}"), schema.clone(), example.clone()));
            }
        }
        for (name, inner) in fields {
            examples(inner, &format!("{path}/{name}"), found);
        }
    }
    for inner in value.as_array().into_iter().flatten() {
        examples(inner, path, found);
    }
}

/// Every `$ref` of the contract.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    if value["$ref"].is_string() {
        found.push(value);
    }
    let inner = value
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.values());
    for inner in inner.chain(value.as_array().into_iter().flatten()) {
        references(inner, found);
    }
}

#[test]
fn every_example_of_the_contract_fits_its_schema() {
    let mut found = Vec::new();
    examples(&CONTRACT, "", &mut found);
    for (path, schema, example) in &found {
        if let Err(error) = validator(schema).validate(example) {
            panic!("{path}: {error} at {}", error.instance_path());
        }
    }
    assert!(found.len() > 40, "only {} examples were found", found.len());
}

#[test]
fn every_reference_of_the_contract_leads_somewhere() {
    let mut found = Vec::new();
    references(&CONTRACT, &mut found);
    for reference in &found {
        assert!(resolved(reference).is_object(), "{reference}");
    }
    assert!(
        found.len() > 200,
        "only {} references were found",
        found.len()
    );
}
