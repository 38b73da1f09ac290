//! Commands at the API's pace: `resend` page by page to the end, any other until its key is within
//! its limit again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};

/// Answers one request after the other with the given status, header fields and body. Returns the
/// bodies of the requests.
fn answering(answers: Vec<(&'static str, &'static str, Value)>) -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, bodies) = channel();
    thread::spawn(move || {
        for (status, fields, answer) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                let line = line.to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            asked.send(body).unwrap();
            let answer = answer.to_string();
            let head = format!(
                "HTTP/1.1 {status}\r\n{fields}content-length: {}\r\nconnection: close\r\n\r\n",
                answer.len()
            );
            stream
                .write_all(format!("{head}{answer}").as_bytes())
                .unwrap();
        }
    });
    (format!("http://{address}"), bodies)
}

fn resend(name: &str, api_url: &str, more: &[&str]) -> Output {
    let from = ["resend", "--from", "2026-08-01T00:00:00+08:00"];
    run(name, api_url, &[&from[..], more].concat())
}

/// Runs a command of the client against this API.
fn run(name: &str, api_url: &str, arguments: &[&str]) -> Output {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("resend-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("client.json");
    let secret = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";
    let settings = json!({
        "api_url": api_url, "keyid": "shop-1", "algorithm": "hmac-sha256", "secret_base64": secret,
    });
    std::fs::write(&file, settings.to_string()).unwrap();
    Command::new(env!("CARGO_BIN_EXE_client"))
        .args(arguments)
        .arg("--settings")
        .arg(&file)
        .output()
        .unwrap()
}

#[test]
fn all_pages_are_asked_for_and_a_pause_that_the_api_asks_for_is_made() {
    let (api_url, bodies) = answering(vec![
        (
            "202 Accepted",
            "retry-after: 0\r\n",
            json!({"resent": 100, "after": "a#1"}),
        ),
        (
            "429 Too Many Requests",
            "retry-after: 0\r\n",
            json!({"code": "resent_just_now"}),
        ),
        (
            "503 Service Unavailable",
            "retry-after: 0\r\n",
            json!({"code": "temporarily_unavailable"}),
        ),
        ("202 Accepted", "", json!({"resent": 3})),
    ]);
    let output = resend("pages", &api_url, &["--to", "2026-08-02T00:00:00+08:00"]);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, "103 events are on their way once more\n");
    let places: Vec<Value> = bodies
        .iter()
        .map(|body| {
            assert_eq!(body["from"], "2026-08-01T00:00:00+08:00");
            assert_eq!(body["to"], "2026-08-02T00:00:00+08:00");
            body["after"].clone()
        })
        .collect();
    assert_eq!(json!(places), json!([null, "a#1", "a#1", "a#1"]));
}

#[test]
fn a_key_over_its_limit_waits_as_long_as_answered_and_tries_again_and_no_other_refusal_is_repeated()
{
    let limited = (
        "429 Too Many Requests",
        "retry-after: 0\r\n",
        json!({"code": "too_many_requests"}),
    );
    let shown = ("200 OK", "", json!({"state": "paid"}));
    let (api_url, bodies) = answering(vec![limited.clone(), limited.clone(), shown]);
    let output = run("limited", &api_url, &["get", "tea-0001"]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("paid"));
    assert_eq!(bodies.iter().count(), 3);

    let (api_url, bodies) = answering(vec![limited; 4]);
    let output = run("limited-for-long", &api_url, &["get", "tea-0001"]);
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(
        bodies.iter().count(),
        4,
        "it gives up after the fourth refusal"
    );

    let held = (
        "429 Too Many Requests",
        "retry-after: 0\r\n",
        json!({"code": "submitted_just_now"}),
    );
    let (api_url, bodies) = answering(vec![held]);
    let order = [
        "--product",
        "native",
        "--amount-fen",
        "100",
        "--description",
        "Tea",
    ];
    let arguments = [&["create", "--order-no", "tea-0001"], &order[..]].concat();
    let output = run("held", &api_url, &arguments);
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(
        bodies.iter().count(),
        1,
        "whether it is still wanted is the caller's to say"
    );
}

#[test]
fn a_refusal_ends_it_and_is_shown() {
    let (api_url, bodies) = answering(vec![(
        "409 Conflict",
        "",
        json!({"code": "webhook_disabled"}),
    )]);
    let output = resend("refused", &api_url, &["--after", "a#1"]);
    assert!(!output.status.success(), "{output:?}");
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("webhook_disabled")
    );
    assert_eq!(bodies.iter().next().unwrap()["after"], "a#1");
}

#[test]
fn an_orders_way_is_drawn_and_given_as_json() {
    let journal: Value = serde_json::from_str(include_str!("../../src/trace/paid.json")).unwrap();
    for json in [false, true] {
        let (api_url, _asked) = answering(vec![("200 OK", "", journal.clone())]);
        let more: &[&str] = if json { &["--json"] } else { &[] };
        let output = run("trace", &api_url, &[&["trace", "tea-0001"], more].concat());
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        if json {
            let way: Value = serde_json::from_str(&printed).unwrap();
            let names = way["spans"].as_array().unwrap().iter();
            let names: Vec<&str> = names.map(|span| span["name"].as_str().unwrap()).collect();
            assert!(names.contains(&"receive-callback"), "{names:?}");
            // The spans that the journal names are the ones that are drawn.
            for event in journal["events"].as_array().unwrap() {
                for name in ["span_id", "parent_span_id"] {
                    let spans = way["spans"].as_array().unwrap();
                    assert!(spans.iter().any(|span| span["span_id"] == event[name]));
                }
            }
        } else {
            assert!(printed.contains("process-payment"), "{printed}");
        }
    }
}

#[test]
fn an_order_that_there_is_not_has_no_way() {
    let problem = json!({"code": "order_not_found"});
    let (api_url, _asked) = answering(vec![("404 Not Found", "", problem)]);
    let output = run("no-trace", &api_url, &["trace", "tea-0001"]);
    assert!(!output.status.success());
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.contains("HTTP 404"), "{printed}");
}
