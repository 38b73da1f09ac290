//! What a function logged, asked from the engine's CloudWatch Logs.

use http::Request;
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::deploy::STACK;
use crate::http::Http;

/// Lines shown to the reader.
const LINES: usize = 20;

/// The last lines that the function logged since `since_ms` (Unix milliseconds), or why there are none.
pub(crate) async fn tail(http: &Http, engine_url: &str, function: &str, since_ms: i64) -> String {
    let group = format!("/aws/lambda/{STACK}-{function}");
    let body = json!({ "logGroupName": group, "startTime": since_ms });
    let request = Request::post(engine_url)
        .header("x-amz-target", "Logs_20140328.FilterLogEvents")
        .header("content-type", "application/x-amz-json-1.1")
        .body(Bytes::from(body.to_string()));
    let lines = match request {
        Err(_) => None,
        Ok(request) => match http.send(request).await {
            Err(_) => None,
            Ok(answer) => Some(messages(answer.body())),
        },
    };
    match lines.as_deref() {
        None => format!("the log of {function} cannot be read"),
        Some([]) => format!("{function} logged nothing since the play began"),
        Some(lines) => format!("the end of the log of {function}:\n{}", lines.join("\n")),
    }
}

fn messages(answer: &[u8]) -> Vec<String> {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let events = answer.get("events").and_then(Value::as_array);
    let lines: Vec<String> = events
        .into_iter()
        .flatten()
        .filter_map(|event| event.get("message")?.as_str())
        .map(str::trim_end)
        .filter(|line| !is_of_the_platform(line))
        .map(str::to_owned)
        .collect();
    lines
        .get(lines.len().saturating_sub(LINES)..)
        .unwrap_or_default()
        .to_vec()
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
