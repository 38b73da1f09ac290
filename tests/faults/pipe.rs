//! The deployed pipe, read from the template: which records of the stream pass, and what becomes of
//! each.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

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
        let template = include_str!("../../template.yaml");
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
