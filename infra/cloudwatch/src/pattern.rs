//! Filter patterns for lines of JSON, of metric filters and of subscription filters.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>
//!
//! Read is the part that a template of ours has: texts in quotation marks, and `NOT EXISTS`. `&&`
//! binds tighter than `||`. All else is refused, so that no test passes with a pattern that is read
//! in another way than CloudWatch reads it.

use serde_json::Value;

/// No pattern is longer (`PutMetricFilter`, `PutSubscriptionFilter`).
const CHARS_MAX: usize = 1_024;

/// What a line has to have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern(Expression);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Is(Selector, String),
    IsNot(Selector, String),
    NotExists(Selector),
}

/// A member, by the names that lead to it: `$.record.status`.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Selector(String);

impl Pattern {
    /// A pattern such as `{ ($.a = "x*") && ($.b NOT EXISTS) && ($.c = "y" || $.c != "z") }`.
    /// `None`: it has what is not read here, or what CloudWatch refuses.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.chars().count() > CHARS_MAX {
            return None;
        }
        let inside = text.trim().strip_prefix('{')?.strip_suffix('}')?;
        let mut rest = Rest(inside);
        let whole = rest.any()?;
        rest.0.trim_start().is_empty().then_some(Self(whole))
    }

    /// Whether it matches a line.
    #[must_use]
    pub fn matches(&self, line: &Value) -> bool {
        self.0.holds(line)
    }

    /// Whether it asks for this member.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.0.has(field)
    }
}

impl Expression {
    fn holds(&self, line: &Value) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(line)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(line)),
            Self::Is(selector, text) => selector.text(line).is_some_and(|it| fits(text, it)),
            Self::IsNot(selector, text) => selector.text(line).is_some_and(|it| !fits(text, it)),
            Self::NotExists(selector) => selector.of(line).is_none(),
        }
    }

    fn has(&self, field: &str) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.has(field)),
            Self::Is(selector, _) | Self::IsNot(selector, _) | Self::NotExists(selector) => {
                selector.0 == field
            }
        }
    }
}

impl Selector {
    fn of<'a>(&self, line: &'a Value) -> Option<&'a Value> {
        let mut names = self.0.split('.');
        names.try_fold(line, |value, name| value.get(name))
    }

    fn text<'a>(&self, line: &'a Value) -> Option<&'a str> {
        self.of(line)?.as_str()
    }
}

/// What is left to read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// One or more parts with `||` between.
    fn any(&mut self) -> Option<Expression> {
        let mut parts = vec![self.all()?];
        while self.takes("||") {
            parts.push(self.all()?);
        }
        Some(Expression::Any(parts))
    }

    /// One or more parts with `&&` between.
    fn all(&mut self) -> Option<Expression> {
        let mut parts = vec![self.one()?];
        while self.takes("&&") {
            parts.push(self.one()?);
        }
        Some(Expression::All(parts))
    }

    /// Something in parentheses, or a condition.
    fn one(&mut self) -> Option<Expression> {
        if self.takes("(") {
            let inside = self.any()?;
            return self.takes(")").then_some(inside);
        }
        let selector = self.selector()?;
        if self.takes("!=") {
            return Some(Expression::IsNot(selector, self.quoted()?));
        }
        if self.takes("=") {
            return Some(Expression::Is(selector, self.quoted()?));
        }
        let is_absent = self.takes("NOT ") && self.takes("EXISTS");
        is_absent.then_some(Expression::NotExists(selector))
    }

    /// Goes over this mark, if it comes next.
    fn takes(&mut self, mark: &str) -> bool {
        let rest = self.0.trim_start().strip_prefix(mark);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn selector(&mut self) -> Option<Selector> {
        let rest = self.0.trim_start().strip_prefix("$.")?;
        let is_of_name = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
        let end = rest.find(|it| !is_of_name(it)).unwrap_or(rest.len());
        let (names, rest) = rest.split_at_checked(end)?;
        self.0 = rest;
        let is_whole = names.split('.').all(|name| !name.is_empty());
        is_whole.then(|| Selector(names.to_owned()))
    }

    /// A text in quotation marks. How CloudWatch reads a backslash is not documented.
    fn quoted(&mut self) -> Option<String> {
        let (text, rest) = self.0.trim_start().strip_prefix('"')?.split_once('"')?;
        self.0 = rest;
        (!text.contains('\\')).then(|| text.to_owned())
    }
}

/// A `*` stands for any text, also for none.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, after)) => text.strip_prefix(start).is_some_and(|rest| {
            let mut places = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            places.any(|at| rest.get(at..).is_some_and(|rest| fits(after, rest)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(pattern: &str, line: &Value) -> bool {
        let read = Pattern::parse(pattern);
        read.unwrap_or_else(|| panic!("{pattern}")).matches(line)
    }

    #[test]
    fn and_binds_tighter_than_or_and_parentheses_tighter_than_both() {
        let line = |a: &str, b: &str, c: &str| json!({"a": a, "b": b, "c": c});
        for (pattern, line, expected) in [
            (
                r#"{ $.a = "1" || $.b = "1" && $.c = "1" }"#,
                line("1", "0", "0"),
                true,
            ),
            (
                r#"{ ($.a = "1" || $.b = "1") && $.c = "1" }"#,
                line("1", "0", "0"),
                false,
            ),
            (
                r#"{ $.a = "1" && $.b = "1" || $.c = "1" }"#,
                line("0", "0", "1"),
                true,
            ),
            (
                r#"{ $.a = "1" && ($.b = "1" || $.c = "1") }"#,
                line("0", "0", "1"),
                false,
            ),
            (
                r#"{ ($.a="1") || ((($.b="1")||($.b="2")) && (($.c="1")||($.c="2"))) }"#,
                line("0", "2", "1"),
                true,
            ),
            (
                r#"{ ($.a="1") || ((($.b="1")||($.b="2")) && (($.c="1")||($.c="2"))) }"#,
                line("0", "2", "0"),
                false,
            ),
        ] {
            assert_eq!(matches(pattern, &line), expected, "{pattern}: {line}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text_and_marks_in_a_text_are_text() {
        for (pattern, text, expected) in [
            ("Runtime.*", "Runtime.OutOfMemory", true),
            ("Runtime.*", "Runtime", false),
            ("*Error", "Runtime.ExitError", true),
            ("*Error", "ErrorOf", false),
            ("R*.*Error", "Runtime.ExitError", true),
            ("*", "", true),
            ("", "x", false),
            ("a && b) || (c", "a && b) || (c", true),
        ] {
            let pattern = format!(r#"{{ $.x.y = "{pattern}" }}"#);
            let line = json!({"x": {"y": text}});
            assert_eq!(matches(&pattern, &line), expected, "{pattern}: {line}");
        }
    }

    #[test]
    fn a_member_that_is_not_there_is_neither_a_text_nor_another() {
        for (pattern, expected) in [
            (r#"{ $.a = "*" }"#, false),
            (r#"{ $.a != "x" }"#, false),
            ("{ $.a NOT EXISTS }", true),
            ("{ $.b NOT EXISTS }", false),
        ] {
            assert_eq!(matches(pattern, &json!({"b": 1})), expected, "{pattern}");
        }
    }

    #[test]
    fn what_cloudwatch_refuses_or_is_not_read_here_is_no_pattern() {
        let long = format!(r#"{{ $.a = "{}" }}"#, "x".repeat(CHARS_MAX));
        for pattern in [
            "",
            "ERROR",
            "{ }",
            r#"{ $.a = "x" "#,
            r#"{ ($.a = "x" }"#,
            r#"{ $.a = "x") }"#,
            r#"{ $.a = "x" && }"#,
            r#"{ $.a = "x" & $.b = "y" }"#,
            r#"{ $.a = "x" $.b = "y" }"#,
            r#"{ a = "x" }"#,
            r#"{ $. = "x" }"#,
            r#"{ $.a. = "x" }"#,
            r#"{ $.a[0] = "x" }"#,
            r#"{ $.a == "x" }"#,
            r#"{ $.a = "x\"" }"#,
            "{ $.a = %x% }",
            "{ $.a = 1 }",
            "{ $.a EXISTS }",
            "{ $.a NOTEXISTS }",
            long.as_str(),
        ] {
            assert_eq!(Pattern::parse(pattern), None, "{pattern}");
        }
    }
}
