//! What is read and what is refused, and in which words.

#![expect(
    clippy::expect_used,
    reason = "what a test cannot do without ends it, with what it was"
)]
#![allow(
    dead_code,
    reason = "the members of the types under test are read by serde and compared as a whole"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use strict_json::{Null, Object, Value, Wrong, read};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    number: String,
    cups: u8,
    hot: Option<bool>,
    #[serde(default)]
    lines: Vec<Line>,
    payer: Option<Payer>,
    way: Option<Way>,
    by_part: Option<BTreeMap<u8, Line>>,
    pair: Option<(u8, String)>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Line {
    price: i64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Payer(String);

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    Cash,
    Card { bank: String },
    Later(Line),
}

fn order(text: &str, null: Null) -> Result<Order, Wrong> {
    read(text.as_bytes(), null)
}

fn refused(text: &str) -> String {
    order(text, Null::Refused).expect_err(text).to_string()
}

#[test]
fn what_the_type_has_is_read() {
    let text = r#"{"number":"A1","cups":2,"hot":true,"lines":[{"price":-1},{"price":2,"more":null}],
        "payer":"Li","way":{"card":{"bank":"ICBC"}},"by_part":{"7":{"price":1}},"pair":[1,"a"]}"#;
    let read = order(text, Null::Refused).expect("an order");
    assert_eq!(read.lines.len(), 2);
    assert_eq!(
        read.way,
        Some(Way::Card {
            bank: "ICBC".into()
        })
    );
    assert_eq!(read.by_part.expect("parts")[&7], Line { price: 1 });
    assert_eq!(read.pair, Some((1, "a".into())));
    let least = order(r#"{"number":"A1","cups":2,"way":"cash"}"#, Null::Refused);
    assert_eq!(least.expect("an order").way, Some(Way::Cash));
}

#[test]
fn a_struct_is_read_from_an_object_only_at_every_depth() {
    for (text, place) in [
        (r#"["A1",2]"#, ""),
        (r#""A1""#, ""),
        (r#"{"number":"A1","cups":2,"lines":[[1]]}"#, "lines[0]"),
        (
            r#"{"number":"A1","cups":2,"way":{"card":["ICBC"]}}"#,
            "way.card",
        ),
        (
            r#"{"number":"A1","cups":2,"way":{"later":[1]}}"#,
            "way.later",
        ),
        (
            r#"{"number":"A1","cups":2,"by_part":{"7":[1]}}"#,
            "by_part.7",
        ),
    ] {
        let wrong = order(text, Null::Refused).expect_err(text);
        assert_eq!(wrong.place(), place, "{text}");
        assert_eq!(
            wrong.rule(),
            "must be an object, with its members by name",
            "{text}"
        );
    }
}

#[test]
fn null_is_refused_where_that_is_said_and_else_taken_for_nothing() {
    let text = r#"{"number":"A1","cups":2,"hot":null}"#;
    assert_eq!(
        refused(text),
        "`hot` must not be null: leave it out if it has no value"
    );
    assert_eq!(order(text, Null::Absent).expect("an order").hot, None);
    let needed = r#"{"number":null,"cups":2}"#;
    assert_eq!(
        refused(needed),
        "`number` must not be null: leave it out if it has no value"
    );
    let wrong = order(needed, Null::Absent).expect_err("no number");
    assert_eq!(wrong.to_string(), "`number` must be a text");
}

#[test]
fn each_error_names_the_place_and_the_rule_and_neither_rust_nor_a_value() {
    for (text, says) in [
        (
            "",
            "it is not JSON: EOF while parsing a value at line 1 column 0",
        ),
        (r#"{"cups":2}"#, "`number` is missing"),
        (r#"{"number":7,"cups":2}"#, "`number` must be a text"),
        (
            r#"{"number":"A1","cups":"secret"}"#,
            "`cups` must be a whole number, written without a fraction or an exponent",
        ),
        (
            r#"{"number":"A1","cups":300}"#,
            "`cups` is outside of what is allowed",
        ),
        (
            r#"{"number":"A1","cups":-1}"#,
            "`cups` is outside of what is allowed",
        ),
        (
            r#"{"number":"A1","cups":2,"hot":"secret"}"#,
            "`hot` must be true or false",
        ),
        (
            r#"{"number":"A1","cups":2,"lines":{}}"#,
            "`lines` must be an array",
        ),
        (
            r#"{"number":"A1","cups":2,"lines":[{"price":1},{"price":"secret"}]}"#,
            "`lines[1].price` must be a whole number, written without a fraction or an exponent",
        ),
        (
            r#"{"number":"A1","cups":2,"lines":[{}]}"#,
            "`lines[0].price` is missing",
        ),
        (
            r#"{"number":"A1","number":"A2","cups":2}"#,
            "`number` is there more than once",
        ),
        (
            r#"{"number":"A1","cups":2,"way":"secret"}"#,
            "`way` must be one of `cash`, `card`, `later`",
        ),
        (
            r#"{"number":"A1","cups":2,"way":"card"}"#,
            "`way` must be an object with that name and what belongs to it",
        ),
        (
            r#"{"number":"A1","cups":2,"way":{"cash":1}}"#,
            "`way` must be a text",
        ),
        (
            r#"{"number":"A1","cups":2,"way":{"cash":1,"card":2}}"#,
            "`way` must have one member",
        ),
        (
            r#"{"number":"A1","cups":2,"pair":[1]}"#,
            "`pair` has too few or too many items",
        ),
        (
            r#"{"number":"A1","cups":2,"pair":[1,"a",2]}"#,
            "`pair` has too many items",
        ),
        (
            r#"{"number":"A1","cups":2,"by_part":{"x":{"price":1}}}"#,
            "`by_part.x` must have a whole number for its name",
        ),
        (
            r#"{"number":"A1","cups":2,"tip":"secret"}"#,
            "`tip` is no member that is known here; known are `number`, `cups`, `hot`, `lines`, `payer`, `way`, \
             `by_part`, `pair`",
        ),
    ] {
        let error = refused(text);
        assert_eq!(error, says, "{text}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_whole_number_has_one_spelling() {
    for number in [
        "2.0",
        "2e0",
        "2E0",
        "20e-1",
        "1e400",
        "99999999999999999999",
    ] {
        let text = format!(r#"{{"number":"A1","cups":{number}}}"#);
        let error = refused(&text);
        let is_number = error.contains("whole number") || error.contains("out of range");
        assert!(is_number, "{number}: {error}");
    }
    assert!(read::<f64>(b"2", Null::Refused).is_ok());
    assert!(read::<f64>(b"2.5", Null::Refused).is_err());
}

#[test]
fn a_name_that_comes_twice_is_refused_in_maps_and_in_what_is_taken_apart() {
    let twice = br#"{"a":1,"b":2,"a":1}"#;
    let map = read::<BTreeMap<String, u8>>(twice, Null::Refused).expect_err("twice");
    assert_eq!(map.to_string(), "`a` is there more than once");
    let object = Object::read(twice, Null::Refused).expect_err("twice");
    assert_eq!(object.to_string(), "`a` is there more than once");
}

#[test]
fn an_object_is_taken_apart_by_name() {
    let text = br#"{"v":"order.v1","cups":2,"line":{"price":"x"},"none":null}"#;
    let mut object = Object::read(text, Null::Refused).expect("an object");
    assert!(object.has("cups") && !object.has("saucers"));
    assert_eq!(object.take::<String>("v").expect("a text"), "order.v1");
    assert_eq!(
        object.take_optional::<u8>("saucers").expect("left out"),
        None
    );
    let missing = object.take::<u8>("saucers").expect_err("missing");
    assert_eq!(missing.to_string(), "`saucers` is missing");
    let wrong = object.clone().take::<Line>("line").expect_err("a text");
    assert_eq!(wrong.place(), "line.price");
    assert!(object.clone().take_optional::<u8>("none").is_err());
    let left = object.clone().nothing_left().expect_err("three are left");
    assert!(left.to_string().contains("is no member that is known here"));
    assert_eq!(
        object
            .rest::<BTreeMap<String, Value>>()
            .expect("a map")
            .len(),
        3
    );
    for text in ["[]", "null", "\"v\"", "1", "true", "1.5"] {
        let wrong = Object::read(text.as_bytes(), Null::Absent).expect_err(text);
        assert_eq!(
            wrong.to_string(),
            "it must be an object, with its members by name"
        );
    }
}

#[test]
fn only_the_beginning_of_a_long_name_is_shown() {
    let text = format!(r#"{{"number":"A1","cups":2,"{}":1}}"#, "x".repeat(10_000));
    assert!(refused(&text).len() < 300);
}

proptest! {
    /// Whatever the text is: no panic, and what serde_json refuses is refused here as well.
    #[test]
    fn nothing_is_read_that_serde_json_does_not_read(text in any_json(), null in any::<bool>()) {
        let null = if null { Null::Refused } else { Null::Absent };
        if let Ok(strict) = order(&text, null) {
            prop_assert_eq!(serde_json::from_str::<Order>(&text).ok(), Some(strict));
        }
    }
}

/// Texts that resemble orders, more or less.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("2.0".to_owned()),
        (-300_i64..300).prop_map(|number| number.to_string()),
        "[a-z]{0,4}".prop_map(|text| format!("{text:?}")),
        Just("\"cash\"".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let name = prop_oneof![
            Just("number"),
            Just("cups"),
            Just("hot"),
            Just("lines"),
            Just("price"),
            Just("way"),
            Just("card"),
            Just("later"),
            Just("by_part"),
            Just("7"),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((name, inner.clone()), 0..4).prop_map(|members| {
                let members: Vec<String> = members
                    .iter()
                    .map(|(name, value)| format!("{name:?}:{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
            inner.prop_map(|hot| format!(r#"{{"number":"A1","cups":2,"hot":{hot}}}"#)),
        ]
    })
}
