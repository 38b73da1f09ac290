//! Sentry: where a project takes events, and an event of a line.
//!
//! An envelope holds one event: Sentry refuses a second one. Its `event_id` is made of CloudWatch's
//! id of the line, so a line that is sent twice is one event.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use url::Url;
use zeroize::Zeroizing;

use crate::bad_secret::BadSecret;
use crate::line::{Line, Report};
use crate::subscription::LogBatch;
use crate::{Request, beginning};

/// Names the sender to Sentry.
const CLIENT: &str = concat!("wechatpay-on-lambda/", env!("CARGO_PKG_VERSION"));
/// Sentry cuts longer texts of an exception, in bytes.
const CHAIN_MAX: usize = 8_192;
/// The longest text of another member.
const TEXT_MAX: usize = 2_000;
/// The longest tag.
const TAG_MAX: usize = 200;
/// How many members of a line are shown.
const MEMBERS_MAX: usize = 50;
/// So many events of a delivery are sent, and so many that are alike: a failure of everything makes
/// thousands of lines, and Sentry counts each.
const EVENTS_MAX: usize = 100;
const ALIKE_MAX: usize = 10;

/// Members whose values come from short lists of our code or of AWS and WeChat Pay: they tell
/// causes apart, and no two orders have each its own.
const STABLE: [&str; 5] = ["cause", "code", "interface", "operation", "outcome"];
/// Members that are elsewhere in an event.
const ELSEWHERE: [&str; 8] = [
    "error",
    "level",
    "message",
    "release",
    "target",
    "timestamp",
    "trace_id",
    "span_id",
];

/// Where a project takes events, and the key that lets one do so. Its `Debug` shows the host.
#[derive(Clone, Eq, PartialEq)]
pub struct Dsn {
    text: Zeroizing<String>,
    key: Zeroizing<String>,
    address: String,
    host: String,
}

impl Dsn {
    /// Reads `https://KEY@HOST/PROJECT`, as Sentry shows it in a project's settings.
    ///
    /// # Errors
    /// [`BadSecret::NotADsn`].
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let bad = BadSecret::NotADsn;
        let url = Url::parse(text).map_err(|_| bad)?;
        let host = url.host_str().ok_or(bad)?;
        let is_name = |text: &str| {
            (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let path = url.path().trim_end_matches('/');
        let (prefix, project) = path.rsplit_once('/').ok_or(bad)?;
        let is_plain = url.query().is_none() && url.fragment().is_none();
        if !is_name(url.username()) || !is_name(project) || !is_plain {
            return Err(bad);
        }
        let port = url
            .port()
            .map_or_else(String::new, |port| format!(":{port}"));
        let scheme = url.scheme();
        Ok(Self {
            text: Zeroizing::new(text.to_owned()),
            key: Zeroizing::new(url.username().to_owned()),
            address: format!("{scheme}://{host}{port}{prefix}/api/{project}/envelope/"),
            host: host.to_owned(),
        })
    }

    /// As it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where envelopes are posted to. Holds no key.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dsn")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// Which lines of a delivery are sent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Selection {
    /// Their places.
    pub chosen: Vec<usize>,
    /// How many errors are not sent, since enough like them are.
    pub left_out: usize,
}

/// Chooses the errors of a delivery, each once. Of each kind some come before many of one.
#[must_use]
pub fn select(lines: &[Line<'_>]) -> Selection {
    let mut seen = BTreeSet::new();
    let mut alike: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let mut ranked = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let Some(report) = line.report() else {
            continue;
        };
        if !seen.insert(line.event.id.as_str()) {
            continue;
        }
        let rank = alike.entry(fingerprint(line, report)).or_default();
        ranked.push((*rank, place));
        *rank = rank.saturating_add(1);
    }
    let errors = ranked.len();
    ranked.retain(|(rank, _)| *rank < ALIKE_MAX);
    ranked.sort_unstable();
    ranked.truncate(EVENTS_MAX);
    let chosen: Vec<usize> = ranked.into_iter().map(|(_, place)| place).collect();
    Selection {
        left_out: errors.saturating_sub(chosen.len()),
        chosen,
    }
}

/// What Sentry groups events by. It holds no value of an order, so that one cause is one issue.
fn fingerprint(line: &Line<'_>, report: Report) -> Vec<String> {
    let mut parts = vec![line.function.to_owned()];
    match report {
        Report::Error => {
            parts.extend(["target", "message"].map(|name| cut(line, name, TEXT_MAX)));
            let stable = STABLE.iter().filter_map(|name| {
                let value = line.text(name)?;
                Some(format!("{name}={}", beginning(value, TAG_MAX)))
            });
            parts.extend(stable);
        }
        // The message is the failure's own text, which may hold anything.
        Report::Failed => parts.push(cut(line, "target", TEXT_MAX)),
        Report::Panic => parts.push("panic".to_owned()),
        Report::Ended => parts.push(how_it_ended(line).to_owned()),
    }
    parts
}

/// `Runtime.OutOfMemory` says more than `error`.
fn how_it_ended<'a>(line: &'a Line<'_>) -> &'a str {
    line.error_type().or(line.status()).unwrap_or_default()
}

fn cut(line: &Line<'_>, name: &str, bytes_max: usize) -> String {
    beginning(line.text(name).unwrap_or_default(), bytes_max).to_owned()
}

/// The envelope with the event of a line, for the project. `stack` is its environment.
#[must_use]
pub fn envelope(
    dsn: &Dsn,
    stack: &str,
    batch: &LogBatch,
    line: &Line<'_>,
    report: Report,
) -> Request {
    let id = line.event_id(batch);
    let event = event(&id, stack, line, report).to_string();
    let body = format!(
        "{}\n{}\n{event}\n",
        json!({"event_id": id}),
        json!({"type": "event", "content_type": "application/json", "length": event.len()}),
    );
    let key = dsn.key.as_str();
    let auth = format!("Sentry sentry_version=7, sentry_client={CLIENT}, sentry_key={key}");
    Request {
        address: dsn.address.clone(),
        content_type: "application/x-sentry-envelope",
        headers: vec![("x-sentry-auth", Zeroizing::new(auth))],
        body,
    }
}

fn event(id: &str, stack: &str, line: &Line<'_>, report: Report) -> Value {
    let (title, level) = match report {
        Report::Error | Report::Failed => (cut(line, "message", TEXT_MAX), "error"),
        Report::Panic => (cut(line, "message", TEXT_MAX), "fatal"),
        Report::Ended => {
            let how = how_it_ended(line);
            (format!("Lambda ended the function: {how}"), "fatal")
        }
    };
    // An exception's value is its whole chain of causes, which the log has in one text.
    let chain = line.text("error").map(|chain| beginning(chain, CHAIN_MAX));
    let mut event = json!({
        "event_id": id,
        "timestamp": timestamp(line),
        "platform": "other",
        "level": level,
        "logger": cut(line, "target", TEXT_MAX),
        "server_name": line.function,
        "environment": stack,
        "fingerprint": fingerprint(line, report),
        "logentry": {"formatted": title},
        "tags": tags(line),
        "contexts": {"trace": trace(id, line)},
        "extra": extra(line),
    });
    if let Some(members) = event.as_object_mut() {
        if let Some(release) = line.text("release") {
            members.insert("release".to_owned(), json!(beginning(release, TAG_MAX)));
        }
        if let Some(chain) = chain {
            let how = json!({"type": "log", "handled": report == Report::Error});
            let exception = json!({"type": title, "value": chain, "mechanism": how});
            members.insert("exception".to_owned(), json!({"values": [exception]}));
        }
    }
    event
}

fn timestamp(line: &Line<'_>) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp_nanos(line.written_ns()).ok()?;
    at.format(&Rfc3339).ok()
}

fn tags(line: &Line<'_>) -> Map<String, Value> {
    let stable = STABLE.iter().filter_map(|name| {
        let value = line.text(name).filter(|value| !value.is_empty())?;
        // A tag is one line.
        let value = beginning(value, TAG_MAX).replace(['\n', '\r'], " ");
        Some(((*name).to_owned(), Value::String(value)))
    });
    let function = ("function".to_owned(), json!(line.function));
    std::iter::once(function).chain(stable).collect()
}

/// The trace of the line. Sentry wants a span too: where the line has none, one of its own.
fn trace(id: &str, line: &Line<'_>) -> Value {
    let is_hex = |text: &&str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let trace = line.text("trace_id").filter(|text| is_hex(text, 32));
    let span = line.text("span_id").filter(|text| is_hex(text, 16));
    let own = beginning(id, 16);
    json!({
        "type": "trace",
        "trace_id": trace.unwrap_or(id),
        "span_id": span.unwrap_or(own),
    })
}

/// The other members of a line; metrics and their frame are for CloudWatch.
fn extra(line: &Line<'_>) -> Map<String, Value> {
    let is_shown = |name: &str| {
        !ELSEWHERE.contains(&name)
            && !STABLE.contains(&name)
            && !name.starts_with('_')
            && !name.starts_with(|first: char| first.is_ascii_uppercase())
    };
    let shown = line.members().filter(|(name, _)| is_shown(name));
    let shown = shown.take(MEMBERS_MAX).map(|(name, value)| {
        let text = match value {
            Value::String(text) => beginning(text, TEXT_MAX).to_owned(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => beginning(&value.to_string(), TEXT_MAX).to_owned(),
        };
        (beginning(name, TAG_MAX).to_owned(), Value::String(text))
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::tests::batch;

    const DSN: &str = "https://0123456789abcdef0123456789abcdef@sentry.example:8443/base/42";

    fn error(more: &Value) -> Value {
        let mut line = json!({
            "timestamp": "2026-08-01T04:00:00.123456Z",
            "level": "ERROR",
            "message": "request failed on our side",
            "target": "flows::problem",
            "error": "the table did not answer: GetItem: timed out",
            "release": "0.4.0-2",
        });
        for (name, value) in more.as_object().unwrap() {
            line[name] = value.clone();
        }
        line
    }

    /// The three lines of an envelope.
    fn sent(line: &Value) -> (Value, Value, Value) {
        let batch = batch(std::slice::from_ref(line));
        let lines = Line::all(&batch, "shop");
        let report = lines[0].report().expect("reported");
        let request = envelope(&Dsn::parse(DSN).unwrap(), "shop", &batch, &lines[0], report);
        let parts: Vec<&str> = request.body.split_terminator('\n').collect();
        let [head, item, event] = parts[..] else {
            panic!("{parts:?}")
        };
        let item: Value = serde_json::from_str(item).unwrap();
        assert_eq!(item["length"], event.len());
        (
            serde_json::from_str(head).unwrap(),
            item,
            serde_json::from_str(event).unwrap(),
        )
    }

    #[test]
    fn a_dsn_names_the_address_of_envelopes_and_its_key_is_not_shown() {
        let dsn = Dsn::parse(DSN).unwrap();
        assert_eq!(
            dsn.address(),
            "https://sentry.example:8443/base/api/42/envelope/"
        );
        assert!(!format!("{dsn:?}").contains("0123"), "{dsn:?}");
        let plain = Dsn::parse("https://k3y:s3cret@o1.ingest.sentry.io/7/").unwrap();
        assert_eq!(
            plain.address(),
            "https://o1.ingest.sentry.io/api/7/envelope/"
        );
        for text in [
            "",
            "sentry.example/42",
            "https://sentry.example/42",
            "https://k3y@sentry.example",
            "https://k3y@sentry.example/",
            "https://k3y@sentry.example/a%20b",
            "https://k3y@sentry.example/42?a=1",
            "https://k3y@sentry.example/42#a",
            "https://k-e.y@sentry.example/42",
        ] {
            assert_eq!(Dsn::parse(text), Err(BadSecret::NotADsn), "{text}");
        }
    }

    #[test]
    fn an_event_says_what_failed_where_and_why_and_its_chain_stands_there_once() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let (head, item, event) = sent(&error(&json!({
            "order_no": "A-1", "cause": "timeout", "trace_id": trace, "attempt": 3,
            "MerchantRefusals": 1, "_aws": {"Timestamp": 1},
        })));
        assert_eq!(head["event_id"], event["event_id"]);
        assert_eq!(item["type"], "event");
        for (pointer, expected) in [
            ("/level", json!("error")),
            ("/timestamp", json!("2026-08-01T04:00:00.123456Z")),
            ("/release", json!("0.4.0-2")),
            ("/environment", json!("shop")),
            ("/server_name", json!("create-order")),
            ("/logger", json!("flows::problem")),
            ("/logentry/formatted", json!("request failed on our side")),
            (
                "/tags",
                json!({"function": "create-order", "cause": "timeout"}),
            ),
            ("/contexts/trace/trace_id", json!(trace)),
            (
                "/exception/values/0/type",
                json!("request failed on our side"),
            ),
            (
                "/exception/values/0/value",
                json!("the table did not answer: GetItem: timed out"),
            ),
            ("/extra", json!({"attempt": "3", "order_no": "A-1"})),
        ] {
            assert_eq!(
                event.pointer(pointer),
                Some(&expected),
                "{pointer}: {event}"
            );
        }
        assert_eq!(event.to_string().matches("GetItem").count(), 1, "{event}");
        let span = event.pointer("/contexts/trace/span_id").unwrap();
        assert_eq!(span.as_str().unwrap().len(), 16);
    }

    #[test]
    fn a_fingerprint_tells_causes_apart_and_not_orders() {
        let of = |more: Value| sent(&error(&more)).2["fingerprint"].clone();
        let first = of(json!({"order_no": "A-1", "cause": "timeout"}));
        let second = of(json!({"order_no": "A-2", "cause": "timeout", "error": "another: text"}));
        assert_eq!(first, second);
        assert_eq!(
            first,
            json!([
                "create-order",
                "flows::problem",
                "request failed on our side",
                "cause=timeout"
            ])
        );
        for other in [
            json!({"cause": "throttled"}),
            json!({}),
            json!({"cause": "timeout", "message": "another"}),
            json!({"cause": "timeout", "target": "another"}),
        ] {
            assert_ne!(of(other.clone()), first, "{other}");
        }
    }

    #[test]
    fn a_function_that_panicked_or_was_ended_is_reported_as_fatal() {
        let panic = json!({
            "level": "WARN", "target": "lambda_runtime::layers::panic",
            "message": "user handler panicked", "error": "Any { .. }",
        });
        let (_, _, event) = sent(&panic);
        assert_eq!(event["level"], "fatal");
        assert_eq!(event["fingerprint"], json!(["create-order", "panic"]));
        let ended = json!({"type": "platform.report", "record": {"status": "timeout"}});
        let (_, _, event) = sent(&ended);
        assert_eq!(event["fingerprint"], json!(["create-order", "timeout"]));
        assert_eq!(
            event["logentry"]["formatted"],
            "Lambda ended the function: timeout"
        );
    }

    #[test]
    fn an_event_stays_within_sentrys_limits_whatever_a_line_has() {
        let long = "错".repeat(300_000);
        let mut line = error(&json!({"error": long, "message": long, "cause": long}));
        for number in 0..2_000 {
            line[format!("member_{number}")] = json!(long.get(..3_000));
        }
        let (_, _, event) = sent(&line);
        let size = event.to_string().len();
        assert!(size < 200_000, "{size}");
    }

    #[test]
    fn of_many_alike_some_are_sent_and_each_other_kind_is() {
        let mut messages = vec![error(&json!({"cause": "timeout"})); 300];
        messages.extend((0..120).map(|number| error(&json!({"message": format!("m{number}")}))));
        messages.push(json!({"level": "INFO"}));
        let batch = batch(&messages);
        let lines = Line::all(&batch, "shop");
        let selection = select(&lines);
        assert_eq!((selection.chosen.len(), selection.left_out), (100, 320));
        assert_eq!(selection.chosen[0], 0);
        let of_many = selection
            .chosen
            .iter()
            .filter(|place| **place < 300)
            .count();
        assert_eq!(of_many, 1, "{selection:?}");
        let few = select(&lines[..300]);
        assert_eq!((few.chosen.len(), few.left_out), (10, 290));
    }

    #[test]
    fn a_line_that_is_twice_in_a_delivery_is_sent_once() {
        let mut batch = batch(&[error(&json!({}))]);
        batch.log_events.push(batch.log_events[0].clone());
        let selection = select(&Line::all(&batch, "shop"));
        assert_eq!((selection.chosen, selection.left_out), (vec![0], 0));
    }
}
