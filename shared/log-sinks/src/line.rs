//! One line of a function's log, read.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::subscription::{LogBatch, LogEvent};

/// The crate that runs a function. It logs that the function panicked or failed; our log writes its
/// ERROR as WARN, since a crash has an alarm of its own.
const LAMBDA_RUNTIME: &str = "lambda_runtime";
/// What it says of a panic.
const PANICKED: &str = "user handler panicked";

/// A line, with what stands in it if it is JSON.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    pub event: &'a LogEvent,
    /// Which function wrote it, without the stack's name.
    pub function: &'a str,
    members: Map<String, Value>,
}

/// A line that is reported as an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Report {
    /// Our code logged at ERROR: a person must act.
    Error,
    /// The function gave a failure to Lambda, or could not speak with it.
    Failed,
    /// The function panicked.
    Panic,
    /// Lambda ended the function: it ran out of time or memory.
    Ended,
}

impl<'a> Line<'a> {
    /// Reads the lines of a batch, of a function of the stack.
    #[must_use]
    pub fn all(batch: &'a LogBatch, stack: &str) -> Vec<Self> {
        let function = function_of(&batch.log_group, stack);
        let lines = batch.log_events.iter().map(|event| Self {
            event,
            function,
            members: serde_json::from_str(&event.message).unwrap_or_default(),
        });
        lines.collect()
    }

    /// The text of a member.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// All members, if the line is JSON.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.members
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// Its level in small letters, from a short list: labels of Loki are made of it.
    #[must_use]
    pub fn level(&self) -> &'static str {
        match self.text("level") {
            Some("ERROR") => "error",
            Some("WARN") => "warn",
            Some("INFO") => "info",
            Some("DEBUG") => "debug",
            Some("TRACE") => "trace",
            Some(_) | None if self.is_of_platform() => "platform",
            Some(_) | None => "unknown",
        }
    }

    /// Whether it is reported as an error, and as what.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        let target = self.text("target").unwrap_or_default();
        if target.split("::").next() == Some(LAMBDA_RUNTIME) {
            let is_panic = self.text("message") == Some(PANICKED);
            let report = if is_panic {
                Report::Panic
            } else {
                Report::Failed
            };
            return matches!(self.text("level"), Some("ERROR" | "WARN")).then_some(report);
        }
        if self.text("level") == Some("ERROR") {
            return Some(Report::Error);
        }
        // One end has several lines of the platform; this one comes once. A start that failed in
        // the phase of an invocation has the invocation's report besides.
        let is_last = match self.text("type") {
            Some("platform.report") => true,
            Some("platform.initReport") => self.record("phase") == Some("init"),
            Some(_) | None => false,
        };
        // A type of the runtime's says that it ran out of memory or that its process ended. What
        // a handler answered as its failure, which has a line of its own, is `Runtime.Unknown`:
        // Lambda puts that in the place of each type that it does not know.
        let is_of_runtime = |name: &str| name.starts_with("Runtime.") && name != "Runtime.Unknown";
        let ended = matches!(self.status(), Some("timeout" | "failure"))
            || self.error_type().is_some_and(is_of_runtime);
        (is_last && ended).then_some(Report::Ended)
    }

    /// Why Lambda ended a run, where it says more than the status.
    #[must_use]
    pub fn error_type(&self) -> Option<&str> {
        self.record("errorType")
    }

    /// How Lambda says that a run ended.
    #[must_use]
    pub fn status(&self) -> Option<&str> {
        self.record("status")
    }

    fn record(&self, member: &str) -> Option<&str> {
        self.members.get("record")?.get(member)?.as_str()
    }

    fn is_of_platform(&self) -> bool {
        let kind = self.text("type");
        kind.is_some_and(|kind| kind.starts_with("platform."))
    }

    /// When it was written, in Unix nanoseconds: by itself, or by CloudWatch's milliseconds.
    #[must_use]
    pub fn written_ns(&self) -> i128 {
        const DAY_NS: i128 = 86_400_000_000_000;
        let received = i128::from(self.event.timestamp).saturating_mul(1_000_000);
        let said = self.text("timestamp");
        let said = said.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        let said = said.map(OffsetDateTime::unix_timestamp_nanos);
        said.filter(|said| said.saturating_sub(received).saturating_abs() < DAY_NS)
            .unwrap_or(received)
    }

    /// A number of 32 hexadecimal digits that is the same whenever this line is delivered.
    #[must_use]
    pub fn event_id(&self, batch: &LogBatch) -> String {
        let name = format!("{}\n{}", batch.log_group, self.event.id);
        let digest = digest(&SHA256, name.as_bytes());
        let bytes = digest.as_ref().iter().take(16);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }
}

/// `/aws/lambda/<stack>-<function>`.
fn function_of<'a>(log_group: &'a str, stack: &str) -> &'a str {
    let name = log_group.rsplit('/').next().unwrap_or_default();
    let own = name
        .strip_prefix(stack)
        .and_then(|rest| rest.strip_prefix('-'));
    own.unwrap_or(name)
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn batch(messages: &[Value]) -> LogBatch {
        let events = messages.iter().enumerate().map(|(at, message)| {
            let text = message.as_str().map(ToOwned::to_owned);
            json!({
                "id": format!("3195{at}"),
                "timestamp": 1_785_556_800_123_i64,
                "message": text.unwrap_or_else(|| message.to_string()),
            })
        });
        let batch = json!({
            "owner": "111122223333",
            "logGroup": "/aws/lambda/shop-create-order",
            "logStream": "2026/12/01/[1]abc",
            "logEvents": events.collect::<Vec<_>>(),
        });
        serde_json::from_value(batch).unwrap()
    }

    #[test]
    fn an_error_a_panic_and_an_end_by_lambda_are_reported_and_nothing_else_is() {
        for (line, level, report) in [
            (
                json!({"level": "ERROR", "target": "flows::problem"}),
                "error",
                Some(Report::Error),
            ),
            (
                json!({"level": "WARN", "target": "flows::problem"}),
                "warn",
                None,
            ),
            (json!({"level": "INFO", "message": "ERROR"}), "info", None),
            (
                json!({"level": "WARN", "target": "lambda_runtime::layers::panic", "message": "user handler panicked"}),
                "warn",
                Some(Report::Panic),
            ),
            (
                json!({"level": "WARN", "target": "lambda_runtime::layers::panic", "message": "Unavailable(..)"}),
                "warn",
                Some(Report::Failed),
            ),
            (
                json!({"level": "INFO", "target": "lambda_runtime"}),
                "info",
                None,
            ),
            (
                json!({"level": "WARN", "target": "lambda_runtime_of_others"}),
                "warn",
                None,
            ),
            (
                json!({"type": "platform.report", "record": {"status": "timeout"}}),
                "platform",
                Some(Report::Ended),
            ),
            (
                json!({"type": "platform.runtimeDone", "record": {"status": "timeout"}}),
                "platform",
                None,
            ),
            (
                json!({"type": "platform.report", "record": {"status": "error", "errorType": "Runtime.OutOfMemory"}}),
                "platform",
                Some(Report::Ended),
            ),
            (
                json!({"type": "platform.initReport", "record": {"phase": "init", "status": "error", "errorType": "Runtime.ExitError"}}),
                "platform",
                Some(Report::Ended),
            ),
            (
                json!({"type": "platform.initReport", "record": {"phase": "invoke", "status": "error", "errorType": "Runtime.ExitError"}}),
                "platform",
                None,
            ),
            (
                json!({"type": "platform.report", "record": {"status": "error", "errorType": "Runtime.Unknown"}}),
                "platform",
                None,
            ),
            (
                json!({"type": "platform.report", "record": {"status": "error"}}),
                "platform",
                None,
            ),
            (
                json!({"type": "platform.start", "record": {}}),
                "platform",
                None,
            ),
            (json!({"level": 1}), "unknown", None),
            (json!({"level": "FATAL"}), "unknown", None),
            (
                json!("thread 'main' panicked at src/main.rs:1:1:"),
                "unknown",
                None,
            ),
            (json!("[1]"), "unknown", None),
        ] {
            let batch = batch(std::slice::from_ref(&line));
            let lines = Line::all(&batch, "shop");
            assert_eq!(
                (lines[0].level(), lines[0].report()),
                (level, report),
                "{line}"
            );
        }
    }

    #[test]
    fn the_function_is_named_without_its_stack() {
        for (group, stack, function) in [
            ("/aws/lambda/shop-create-order", "shop", "create-order"),
            (
                "/aws/lambda/shop-eu-create-order",
                "shop-eu",
                "create-order",
            ),
            (
                "/aws/lambda/other-create-order",
                "shop",
                "other-create-order",
            ),
            ("/aws/lambda/shop", "shop", "shop"),
            ("", "shop", ""),
        ] {
            assert_eq!(function_of(group, stack), function, "{group}");
        }
    }

    #[test]
    fn the_time_is_the_line_s_own_if_it_can_be_true() {
        for (timestamp, expected) in [
            (
                json!("2026-08-01T04:00:00.123456Z"),
                1_785_556_800_123_456_000_i128,
            ),
            (json!("1999-08-01T04:00:00Z"), 1_785_556_800_123_000_000),
            (json!("yesterday"), 1_785_556_800_123_000_000),
            (json!(7), 1_785_556_800_123_000_000),
        ] {
            let batch = batch(&[json!({"timestamp": timestamp})]);
            assert_eq!(
                Line::all(&batch, "shop")[0].written_ns(),
                expected,
                "{timestamp}"
            );
        }
    }

    #[test]
    fn an_event_has_the_same_id_whenever_it_comes_and_no_other_has_it() {
        let batch = batch(&[json!({}), json!({})]);
        let ids = |batch: &LogBatch| -> Vec<String> {
            let lines = Line::all(batch, "shop");
            lines.iter().map(|line| line.event_id(batch)).collect()
        };
        let [first, second] = &ids(&batch)[..] else {
            panic!("two")
        };
        assert_ne!(first, second);
        assert!(first.len() == 32 && first.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let mut again = batch.clone();
        again.log_events.truncate(1);
        assert_eq!(&ids(&again)[0], first);
        let mut elsewhere = batch;
        elsewhere.log_group = "/aws/lambda/shop-console".to_owned();
        assert_ne!(&ids(&elsewhere)[0], first);
    }
}
