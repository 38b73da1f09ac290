//! What leaves for the merchant's own systems: the table's stream, through the filters of the deployed pipe.

use std::{collections::BTreeMap, sync::OnceLock};

use serde_json::Value;

use super::{Findings, field, journal::first_version};
use crate::{
    books::{Books, number},
    scene::Scene,
};

/// The pipe as it is deployed: which records pass, and what it takes from each.
struct Pipe {
    patterns: Vec<Value>,
    /// Paths from `NewImage` on: an attribute's name and its type.
    taken: Vec<(String, String)>,
}

/// Every change of an order passes the pipe, once, with all that the pipe takes from it.
pub(super) fn every_change_leaves_once(scene: &Scene, books: &Books, found: &mut Findings) {
    let pipe = pipe();
    let mut left: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for record in scene.cloud.stream(&scene.tables.orders) {
        if !pipe.patterns.iter().any(|pattern| passes(pattern, &record)) {
            continue;
        }
        let image = &record["dynamodb"]["NewImage"];
        if let Some((name, _)) = pipe
            .taken
            .iter()
            .find(|(name, kind)| image[name][kind].is_null())
        {
            found.add(
                "every change leaves once",
                format!("an event without {name}: {image}"),
            );
        }
        let version = field(&image["version"], "N").parse().unwrap_or_default();
        left.entry(field(&image["order_no"], "S").to_owned())
            .or_default()
            .push(version);
    }
    for (order_no, book) in &books.orders {
        let Some(order) = &book.order else {
            continue;
        };
        let mut versions = left.remove(order_no).unwrap_or_default();
        versions.sort_unstable();
        let last = number(order, "version");
        let first = first_version(book);
        if !versions.iter().copied().eq(first..=last) {
            found.add(
                "every change leaves once",
                format!("{order_no} has {last} changes, and {versions:?} left"),
            );
        }
    }
}

/// Whether a record passes a pattern: each field that the pattern names has one of the values there, or begins with one.
fn passes(pattern: &Value, record: &Value) -> bool {
    match pattern {
        Value::Object(fields) => fields
            .iter()
            .all(|(name, pattern)| passes(pattern, &record[name])),
        Value::Array(values) => values.iter().any(|value| match value["prefix"].as_str() {
            Some(prefix) => record.as_str().is_some_and(|text| text.starts_with(prefix)),
            None => value == record,
        }),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            panic!("a pattern that the harness cannot read: {other}")
        }
    }
}

fn pipe() -> &'static Pipe {
    static PIPE: OnceLock<Pipe> = OnceLock::new();
    PIPE.get_or_init(|| {
        let template = include_str!("../../../template.yaml");
        let (_, pipe) = template
            .split_once("Type: AWS::Pipes::Pipe")
            .expect("a pipe");
        let (filters, target) = pipe
            .split_once("InputTemplate:")
            .expect("an input template");
        let patterns = filters.split("- Pattern:").skip(1).map(|pattern| {
            // JSON on one line in quotes, or on several behind `>-`.
            let text: String = pattern
                .lines()
                .map(str::trim)
                .take_while(|line| !line.starts_with("Target:"))
                .collect();
            let (begin, end) = (
                text.find('{').expect("JSON"),
                text.rfind('}').expect("JSON"),
            );
            serde_json::from_str(&text[begin..=end]).expect("a pattern")
        });
        let (object, _) = target.split_once("\n\n").expect("the template's end");
        let taken = object.split("<$.dynamodb.NewImage.").skip(1).map(|path| {
            let (path, _) = path.split_once('>').expect("a path");
            let (name, kind) = path.split_once('.').expect("an attribute and its type");
            (name.to_owned(), kind.to_owned())
        });
        let pipe = Pipe {
            patterns: patterns.collect(),
            taken: taken.collect(),
        };
        assert!(
            !pipe.patterns.is_empty() && !pipe.taken.is_empty(),
            "the pipe was read"
        );
        pipe
    })
}
