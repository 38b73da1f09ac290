//! The deployed pipe, read from the template: which records of the stream pass, and what becomes of
//! each.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};
use testbed::template;

/// The pipe as it is deployed: which records pass, and what it takes from each.
pub(crate) struct Pipe {
    patterns: Vec<Value>,
    /// Paths from `NewImage` on: an attribute's name and its type.
    pub(crate) taken: Vec<(String, String)>,
}

impl Pipe {
    /// Whether a record of the stream passes.
    pub(crate) fn passes(&self, record: &Value) -> bool {
        self.patterns.iter().any(|pattern| passes(pattern, record))
    }

    /// The event that a record of the stream becomes on the bus, as the rule copies it into the
    /// queue of webhooks.
    pub(crate) fn event(&self, record: &Value) -> Value {
        let image = &record["dynamodb"]["NewImage"];
        let taken = self.taken.iter();
        let detail: Map<String, Value> = taken
            .map(|(name, kind)| (name.clone(), image[name][kind].clone()))
            .collect();
        json!({
            "version": "0",
            "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
            "detail-type": "order.changed",
            "source": "wechatpay-on-lambda",
            "account": "111122223333",
            "time": "2026-08-01T04:00:01Z",
            "region": "us-east-1",
            "resources": [],
            "detail": detail,
        })
    }
}

/// Whether a record passes a pattern: each field that the pattern names has one of the values
/// there, or begins with one.
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

/// The one of the template.
pub(crate) fn pipe() -> &'static Pipe {
    static PIPE: OnceLock<Pipe> = OnceLock::new();
    PIPE.get_or_init(|| {
        let (_, pipe) = template::resources("AWS::Pipes::Pipe")
            .next()
            .expect("a pipe");
        let filters = &pipe["SourceParameters"]["FilterCriteria"]["Filters"];
        let patterns = filters.as_array().expect("filters").iter().map(|filter| {
            let pattern = filter["Pattern"].as_str().expect("a pattern");
            serde_json::from_str(pattern).expect("JSON")
        });
        let target = pipe["TargetParameters"]["InputTemplate"].as_str();
        let paths = target
            .expect("an input template")
            .split("<$.dynamodb.NewImage.");
        let taken = paths.skip(1).map(|path| {
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
