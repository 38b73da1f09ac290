//! Values for requests, good and bad, that the contract alone can decide.

use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};

/// The same requests in every run.
pub(super) fn runner() -> TestRunner {
    TestRunner::new_with_rng(
        Config::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]),
    )
}

/// A text of the contract's kind, to `most` characters.
pub(super) fn text(most: usize) -> BoxedStrategy<Value> {
    prop_oneof![
        20 => proptest::string::string_regex(&format!("[a-zA-Z0-9 茶é]{{1,{most}}}")).unwrap().prop_map(Value::from),
        1 => Just(json!("")),
        1 => Just(json!("x".repeat(most + 1))),
        1 => Just(json!("a\u{7}b")),
        1 => Just(json!(7)),
    ]
    .boxed()
}

/// One of these, mostly a good one.
pub(super) fn good_or_bad(good: Vec<Value>, bad: Vec<Value>) -> BoxedStrategy<Value> {
    prop_oneof![12 => select(good), 1 => select(bad)].boxed()
}

/// An object of the members that have a value.
pub(super) fn object(members: &[&str], values: Vec<Option<Value>>) -> Map<String, Value> {
    let named = members.iter().zip(values);
    named
        .filter_map(|(name, value)| Some(((*name).to_owned(), value?)))
        .collect()
}

/// Values of `Idempotency-Key`, good and bad. `####` stands for the request's number, so that each
/// names something of its own.
pub(super) fn idempotency_key() -> BoxedStrategy<Option<String>> {
    let longest = format!("{}####", "k".repeat(251));
    let quoted = |key: &str| format!("\"{key}\"");
    let good = vec![
        "cart-####".to_owned(),
        quoted("cart-####"),
        "\"cart-####".to_owned(),
        longest.clone(),
        quoted(&longest),
    ];
    let bad = vec![
        String::new(),
        quoted(""),
        "cart ####".to_owned(),
        quoted("cart ####"),
        format!("k{longest}"),
        quoted(&format!("k{longest}")),
    ];
    proptest::option::weighted(0.5, prop_oneof![3 => select(good), 1 => select(bad)]).boxed()
}
