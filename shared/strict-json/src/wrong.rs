//! What is wrong with a text, for its author.

use std::fmt;

/// The first thing that is wrong with a text: where, and what would be right. Never shows a value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wrong {
    /// From the inside out.
    place: Vec<Step>,
    rule: String,
}

/// One step down into a text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    Member(String),
    Item(usize),
}

/// Names of members come from the text's author; a longer one is cut.
const NAME_MAX: usize = 64;

impl Wrong {
    /// This rule is broken. Never put a value into it.
    pub fn new(rule: impl Into<String>) -> Self {
        Self {
            place: Vec::new(),
            rule: rule.into(),
        }
    }

    /// The same, seen from one level further out.
    pub(crate) fn inside(mut self, step: Step) -> Self {
        self.place.push(step);
        self
    }

    /// The same, of a member of that name.
    #[must_use]
    pub fn in_member(self, name: &str) -> Self {
        self.inside(Step::Member(name.to_owned()))
    }

    /// Where: `payer.openid` or `goods[2].price`; empty for the text as a whole.
    #[must_use]
    pub fn place(&self) -> String {
        let mut place = String::new();
        for step in self.place.iter().rev() {
            match step {
                Step::Member(name) => {
                    if !place.is_empty() {
                        place.push('.');
                    }
                    place.extend(name.chars().filter(|c| !c.is_control()).take(NAME_MAX));
                }
                Step::Item(index) => place.push_str(&format!("[{index}]")),
            }
        }
        place
    }

    /// The rule that is broken there, such as "must be a text".
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        if place.is_empty() {
            write!(f, "it {}", self.rule)
        } else {
            write!(f, "`{place}` {}", self.rule)
        }
    }
}

impl std::error::Error for Wrong {}

/// What serde's own code finds wrong. Its words for what it expected are about Rust, so they are
/// left out.
impl serde::de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(format!("is not right: {message}"))
    }

    fn invalid_type(_: serde::de::Unexpected<'_>, _: &dyn serde::de::Expected) -> Self {
        Self::new("is of the wrong kind")
    }

    fn invalid_value(_: serde::de::Unexpected<'_>, _: &dyn serde::de::Expected) -> Self {
        Self::new("is outside of what is allowed")
    }

    fn invalid_length(_: usize, _: &dyn serde::de::Expected) -> Self {
        Self::new("has too few or too many items")
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::new(format!("must be one of {}", list(known)))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::new(format!(
            "is no member that is known here; known are {}",
            list(known)
        ))
        .in_member(name)
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new("is missing").in_member(name)
    }

    fn duplicate_field(name: &'static str) -> Self {
        twice(name)
    }
}

pub(crate) fn twice(name: &str) -> Wrong {
    Wrong::new("is there more than once").in_member(name)
}

fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
