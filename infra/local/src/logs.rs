//! What a function logged, asked from the engine's CloudWatch Logs.

use http::Request;
use hyper::body::Bytes;
use local::engine::Engine;
use serde_json::{Value, json};

use crate::deploy::STACK;
use crate::http::Http;

/// Lines shown to the reader.
const LINES: usize = 20;

/// The last lines that the function logged since `since_ms` (Unix milliseconds). If it ended before
/// it could log, the engine's own log has the reason.
pub(crate) async fn tail(http: &Http, engine: &Engine, function: &str, since_ms: i64) -> String {
    let name = format!("{STACK}-{function}");
    let logged = logged(http, &engine.endpoint(), &name, since_ms).await;
    if logged.is_empty() {
        let log = std::fs::read_to_string(engine.log()).unwrap_or_default();
        let about = last_lines(log.lines().filter(|line| line.contains(&name)));
        format!(
            "{function} logged nothing since the scenario began; the engine says:\n{}",
            about.join("\n")
        )
    } else {
        format!("the end of the log of {function}:\n{}", logged.join("\n"))
    }
}

async fn logged(http: &Http, engine_url: &str, name: &str, since_ms: i64) -> Vec<String> {
    let body = json!({ "logGroupName": format!("/aws/lambda/{name}"), "startTime": since_ms });
    let request = Request::post(engine_url)
        .header("x-amz-target", "Logs_20140328.FilterLogEvents")
        .header("content-type", "application/x-amz-json-1.1")
        .body(Bytes::from(body.to_string()));
    let Ok(request) = request else {
        return Vec::new();
    };
    // This is a detail of another failure, which is reported in any case.
    let answer = http.send(request).await;
    answer
        .map(|answer| messages(answer.body()))
        .unwrap_or_default()
}

fn messages(answer: &[u8]) -> Vec<String> {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let events = answer.get("events").and_then(Value::as_array);
    let lines = events
        .into_iter()
        .flatten()
        .filter_map(|event| event.get("message")?.as_str())
        .map(str::trim_end)
        .filter(|line| !is_of_the_platform(line));
    last_lines(lines)
}

fn last_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let lines: Vec<&str> = lines.collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..);
    last.unwrap_or_default()
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}

/// Lines that Lambda writes around each invocation.
fn is_of_the_platform(line: &str) -> bool {
    ["START RequestId", "END RequestId", "REPORT RequestId"]
        .iter()
        .any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_the_function_are_shown_without_the_platforms() {
        let events: Vec<Value> = (0..30)
            .map(|n| json!({ "message": format!("line {n}\n") }))
            .chain([json!({ "message": "REPORT RequestId: 1" })])
            .collect();
        let lines = messages(json!({ "events": events }).to_string().as_bytes());
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines.first().map(String::as_str), Some("line 10"));
        assert_eq!(lines.last().map(String::as_str), Some("line 29"));
        assert!(messages(b"no JSON").is_empty());
    }
}
