//! The ways in which a member can be wrong, and the members of a message.

use std::sync::LazyLock;

use serde_json::Value;

/// One way.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// The member's JSON; `None` leaves it out.
    pub(crate) json: Option<&'static str>,
    /// Whether it is a text, which is the right shape of most members.
    pub(crate) is_text: bool,
}

static VERY_LONG: LazyLock<String> = LazyLock::new(|| format!("\"{}\"", "x".repeat(20_000)));

/// A member's JSON that is put in as text, since some of these no JSON value can hold.
const PLACE: &str = "@@here@@";

const fn of(name: &'static str, json: &'static str) -> Shape {
    Shape {
        name,
        json: Some(json),
        is_text: false,
    }
}

/// The ways; the very long text is made where it is put.
pub(crate) const SHAPES: &[Shape] = &[
    Shape {
        name: "absent",
        json: None,
        is_text: false,
    },
    of("null", "null"),
    of("a number", "7"),
    of("a negative fraction", "-1.5"),
    of("a number beyond all bounds", "1e999"),
    of("a truth value", "true"),
    of("an empty list", "[]"),
    of("an empty object", "{}"),
    of("a list of wrong things", r#"["x", 1, null, {"y": []}]"#),
    of(
        "an object of wrong things",
        r#"{"x": null, "total": "1", "coupon_id": []}"#,
    ),
    of("a text with half a character", r#""\ud800""#),
    Shape {
        name: "a text",
        json: Some(r#""wrong""#),
        is_text: true,
    },
    Shape {
        name: "an empty text",
        json: Some(r#""""#),
        is_text: true,
    },
    Shape {
        name: "a very long text",
        json: Some(""),
        is_text: true,
    },
];

impl Shape {
    /// The message with this member made so.
    pub(crate) fn put(&self, message: &Value, member: &str) -> String {
        let mut changed = message.clone();
        let Some(json) = self.json else {
            remove(&mut changed, member);
            return changed.to_string();
        };
        *changed.pointer_mut(member).expect("it is there") = PLACE.into();
        let json = if json.is_empty() { &VERY_LONG } else { json };
        changed.to_string().replace(&format!("\"{PLACE}\""), json)
    }
}

fn remove(message: &mut Value, member: &str) {
    let (of, name) = member.rsplit_once('/').expect("a pointer");
    match message.pointer_mut(of).expect("it is there") {
        Value::Object(members) => {
            members.remove(name);
        }
        Value::Array(elements) => {
            elements.remove(name.parse().expect("an index"));
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            panic!("{other} has no members")
        }
    }
}

/// Pointers to every member of a message, at every depth.
pub(crate) fn members(message: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, found: &mut Vec<String>) {
        let inner: Vec<(String, &Value)> = match value {
            Value::Object(members) => members
                .iter()
                .map(|(name, it)| (name.clone(), it))
                .collect(),
            Value::Array(elements) => {
                let numbered = elements.iter().enumerate();
                numbered.map(|(at, it)| (at.to_string(), it)).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        };
        for (name, value) in inner {
            let pointer = format!("{at}/{name}");
            found.push(pointer.clone());
            walk(value, &pointer, found);
        }
    }
    let mut found = Vec::new();
    walk(message, "", &mut found);
    found
}

/// Those that decide nothing: not named, and with nothing named in them. Each that is named has to
/// be there.
pub(crate) fn without_deciding(message: &Value, deciding: &[&str]) -> Vec<String> {
    for member in deciding {
        assert!(
            message.pointer(member).is_some(),
            "{member} is not in the sample"
        );
    }
    let decides = |member: &str| {
        deciding
            .iter()
            .any(|it| *it == member || it.starts_with(&format!("{member}/")))
    };
    let all = members(message).into_iter();
    all.filter(|member| !decides(member)).collect()
}
