//! Composite alarms: alarms on the states of other alarms.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-combining.html>

use serde_json::Value;

use crate::{Unreadable, alarm::Notifies, state::State};

/// What CloudWatch takes: characters of a rule, and alarms in it.
const RULE_MAX: usize = 10_240;
const CHILDREN_MAX: usize = 100;

/// A composite alarm, as a template has it.
#[derive(Clone, Debug)]
pub struct Composite {
    pub name: String,
    pub description: String,
    pub notifies: Notifies,
    pub(crate) rule: Rule,
    pub(crate) suppressor: Option<Suppressor>,
}

/// An alarm that, while it is on, keeps a composite from notifying.
#[derive(Clone, Debug)]
pub(crate) struct Suppressor {
    pub(crate) name: String,
    /// How long the composite waits for it to go on, and after it has gone off.
    pub(crate) wait_ms: i64,
    pub(crate) extension_ms: i64,
}

/// When a composite is on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Rule {
    Is(State, String),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Constant(bool),
}

impl Composite {
    /// Reads the properties of an `AWS::CloudWatch::CompositeAlarm`, of which all values are known.
    ///
    /// # Errors
    /// They have what is not known here, or more than CloudWatch takes.
    pub fn read(properties: &Value) -> Result<Self, Unreadable> {
        Self::of(properties).ok_or_else(|| Unreadable::Composite(properties.to_string()))
    }

    fn of(properties: &Value) -> Option<Self> {
        let text = |name: &str| properties.get(name).and_then(Value::as_str);
        let has = |name: &str| {
            let actions = properties.get(name).and_then(Value::as_array);
            actions.is_some_and(|actions| !actions.is_empty())
        };
        let rule = text("AlarmRule").filter(|rule| rule.len() <= RULE_MAX)?;
        let rule = Rule::parse(rule)?;
        if rule.children().len() > CHILDREN_MAX {
            return None;
        }
        let suppressor = match text("ActionsSuppressor") {
            None => None,
            // Both are required with it.
            Some(name) => Some(Suppressor {
                name: name.to_owned(),
                wait_ms: properties.get("ActionsSuppressorWaitPeriod")?.as_i64()? * 1000,
                extension_ms: properties
                    .get("ActionsSuppressorExtensionPeriod")?
                    .as_i64()?
                    * 1000,
            }),
        };
        Some(Self {
            name: text("AlarmName")?.to_owned(),
            description: text("AlarmDescription").unwrap_or_default().to_owned(),
            notifies: Notifies {
                of_alarm: has("AlarmActions"),
                of_ok: has("OKActions"),
            },
            rule,
            suppressor,
        })
    }

    /// The alarms that its rule names, each once.
    pub fn children(&self) -> Vec<&str> {
        self.rule.children()
    }

    pub fn suppressor(&self) -> Option<&str> {
        Some(&self.suppressor.as_ref()?.name)
    }
}

impl Rule {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let tokens = tokens(text)?;
        let (rule, rest) = either(&tokens)?;
        rest.is_empty().then_some(rule)
    }

    pub(crate) fn holds(&self, state: &impl Fn(&str) -> State) -> bool {
        match self {
            Self::Is(wanted, name) => state(name) == *wanted,
            Self::Not(rule) => !rule.holds(state),
            Self::And(left, right) => left.holds(state) && right.holds(state),
            Self::Or(left, right) => left.holds(state) || right.holds(state),
            Self::Constant(holds) => *holds,
        }
    }

    fn children(&self) -> Vec<&str> {
        let mut names = match self {
            Self::Is(_, name) => vec![name.as_str()],
            Self::Not(rule) => rule.children(),
            Self::And(left, right) | Self::Or(left, right) => {
                let (mut left, right) = (left.children(), right.children());
                left.extend(right);
                left
            }
            Self::Constant(_) => vec![],
        };
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// `OR` binds least, `NOT` most.
fn either(tokens: &[String]) -> Option<(Rule, &[String])> {
    let (mut left, mut rest) = both(tokens)?;
    while let Some((word, after)) = rest.split_first()
        && word == "OR"
    {
        let (right, after) = both(after)?;
        left = Rule::Or(Box::new(left), Box::new(right));
        rest = after;
    }
    Some((left, rest))
}

fn both(tokens: &[String]) -> Option<(Rule, &[String])> {
    let (mut left, mut rest) = part(tokens)?;
    while let Some((word, after)) = rest.split_first()
        && word == "AND"
    {
        let (right, after) = part(after)?;
        left = Rule::And(Box::new(left), Box::new(right));
        rest = after;
    }
    Some((left, rest))
}

fn part(tokens: &[String]) -> Option<(Rule, &[String])> {
    let (word, rest) = tokens.split_first()?;
    let of_state = |state: State| {
        let [open, name, close, rest @ ..] = rest else {
            return None;
        };
        let name = name.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
        (open == "(" && close == ")").then_some(())?;
        Some((Rule::Is(state, name?.to_owned()), rest))
    };
    match word.as_str() {
        "ALARM" => of_state(State::Alarm),
        "OK" => of_state(State::Ok),
        "INSUFFICIENT_DATA" => of_state(State::InsufficientData),
        "TRUE" => Some((Rule::Constant(true), rest)),
        "FALSE" => Some((Rule::Constant(false), rest)),
        "NOT" => {
            let (inner, rest) = part(rest)?;
            Some((Rule::Not(Box::new(inner)), rest))
        }
        "(" => {
            let (inner, rest) = either(rest)?;
            let (close, rest) = rest.split_first()?;
            (close == ")").then_some((inner, rest))
        }
        _unknown => None,
    }
}

/// Words, brackets, and names with their quotation marks.
fn tokens(text: &str) -> Option<Vec<String>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '(' | ')' => 1,
            '"' => rest.get(1..)?.find('"')? + 2,
            _ => rest
                .find(|it: char| it.is_whitespace() || ['(', ')', '"'].contains(&it))
                .unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at_checked(end)?;
        tokens.push(token.to_owned());
        rest = after.trim_start();
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_holds_by_the_states_of_the_alarms_that_it_names() {
        let state = |name: &str| match name {
            "on" => State::Alarm,
            "off" => State::Ok,
            _ => State::InsufficientData,
        };
        for (rule, holds) in [
            (r#"ALARM("on")"#, true),
            (r#"ALARM("off") OR OK("off") AND ALARM("on")"#, true),
            (r#"(ALARM("on") OR ALARM("on")) AND ALARM("off")"#, false),
            (r#"ALARM("on") OR ALARM("on") AND ALARM("off")"#, true),
            (r#"NOT ALARM("off") AND INSUFFICIENT_DATA("new")"#, true),
            (r#"NOT (ALARM("on") OR FALSE)"#, false),
            ("TRUE", true),
        ] {
            let rule = Rule::parse(rule).expect(rule);
            assert_eq!(rule.holds(&state), holds, "{rule:?}");
        }
        for rule in [
            "",
            "ALARM(on",
            r#"ALARM("a") ALARM("b")"#,
            r#"SOON("a")"#,
            r#"ALARM("a)"#,
        ] {
            assert_eq!(Rule::parse(rule), None, "{rule}");
        }
    }

    #[test]
    fn more_than_cloudwatch_takes_is_refused() {
        let of = |children: usize, length: usize| {
            let names = (0..children).map(|number| format!("ALARM(\"{number:0>length$}\")"));
            let rule = names.collect::<Vec<_>>().join(" OR ");
            Composite::read(&json!({"AlarmName": "c", "AlarmRule": rule}))
        };
        assert_eq!(of(100, 3).unwrap().children().len(), 100);
        assert!(of(101, 3).is_err());
        assert!(of(100, 100).is_err());
        let alone = json!({"AlarmName": "c", "AlarmRule": "TRUE", "ActionsSuppressor": "s"});
        assert!(Composite::read(&alone).is_err(), "no periods");
    }
}
