//! A function that crashes: what its log and Lambda get to know, and where its messages go.

use std::{
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    http::{Method, StatusCode},
    response::Response,
};
use flows::sqs_event::SqsBatch;
use lambda_http::{LambdaEvent, lambda_runtime, service_fn};
use runtime::{env::ProcessEnv, telemetry};
use serde_json::{Value, json};
use stores::queues::PaymentRequest;
use tokio::net::TcpListener;

use crate::{
    runbooks::{page, row},
    support::{MAX_RECEIVE_COUNT, Testbed, native, number},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_function_crashes_each_time_lies_unchanged_in_its_dead_letter_queue_until_it_is_moved_back()
 {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    for _ in 0..MAX_RECEIVE_COUNT {
        assert_eq!(testbed.crash_over_results().await, 1);
    }
    assert_eq!(testbed.work_off().await, 0);
    let [_, results] = testbed.dead_letters().await;
    let [callback] = &results[..] else {
        panic!("one message: {results:?}");
    };
    assert_eq!(
        testbed.order("ORDER-1").await.state.name(),
        "awaiting_payment"
    );
    assert!(testbed.notices().await.is_empty(), "nobody lived to write");
    let row = row("dead-letters.md", "`payment-results-dlq`");
    assert!(row.contains("a callback whose function crashed each time is only here"));

    testbed.forge_result(callback).await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.order("ORDER-1").await.state.name(), "paid");
}

/// A batch of one message, as Lambda hands it over.
fn batch(id: &str) -> Value {
    let order_no = number("ORDER-1");
    let body = serde_json::to_string(&PaymentRequest::IssueV1 { order_no }).expect("JSON");
    json!({"Records": [{
        "messageId": id, "receiptHandle": "a receipt that has lapsed", "body": body,
        "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {},
    }]})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a program of its own, which the next test runs"]
async fn a_function_with_a_bug() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let mut calls = 0;
    testbed.wire.plan(move |_| {
        calls += 1;
        assert!(calls > 1, "a bug, by the test");
        None
    });
    let app = &testbed.process_payment();
    telemetry::init(&ProcessEnv);
    let handle = async move |event: LambdaEvent<SqsBatch>| {
        let deadline_ms = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
        let answer = process_payment::handler::process(app, event.payload, deadline_ms).await;
        Ok::<_, lambda_http::Error>(answer)
    };
    let ended = lambda_runtime::run(service_fn(handle)).await;
    ended.expect("events");
}

/// Lambda's side of its runtime API: events to hand over, and the answer to each.
#[derive(Default)]
struct Lambda {
    handed: AtomicUsize,
    reported: Mutex<Vec<(String, Value)>>,
}

const EVENTS: usize = 2;

async fn serve(State(lambda): State<Arc<Lambda>>, request: Request) -> Response<String> {
    let path = request.uri().path().to_owned();
    let mut answer = Response::builder();
    if *request.method() == Method::POST {
        let body = to_bytes(request.into_body(), 1 << 20)
            .await
            .expect("a body");
        let body = serde_json::from_slice(&body).expect("JSON");
        lambda.reported.lock().expect("no panic").push((path, body));
        answer = answer.status(StatusCode::ACCEPTED);
        return answer.body(String::new()).expect("an answer");
    }
    let number = lambda.handed.fetch_add(1, Ordering::Relaxed);
    if number >= EVENTS {
        // There are no more.
        std::future::pending::<()>().await;
    }
    let id = format!("event-{number}");
    let deadline_ms = runtime::clock::Clock::system().now_ms() + 30_000;
    answer
        .header("lambda-runtime-aws-request-id", &id)
        .header("lambda-runtime-deadline-ms", deadline_ms)
        .body(batch(&id).to_string())
        .expect("an event")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_panics_says_where_fails_its_event_and_takes_the_next_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let lambda = Arc::new(Lambda::default());
    let api = Router::new()
        .fallback(serve)
        .with_state(Arc::clone(&lambda));
    tokio::spawn(async move { axum::serve(listener, api).await });
    let mut function = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "crashes::a_function_with_a_bug"])
        .args(["--ignored", "--nocapture"])
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .env("AWS_LAMBDA_FUNCTION_NAME", "process-payment")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process");
    let is_done = async {
        while lambda.reported.lock().expect("no panic").len() < EVENTS {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // The answers show whether it took too long.
    drop(tokio::time::timeout(Duration::from_secs(120), is_done).await);
    function.kill().expect("a process that runs");
    let output = function.wait_with_output().expect("its output");
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());

    let reported = std::mem::take(&mut *lambda.reported.lock().expect("no panic"));
    let [(failed, why), (answered, answer)] = &reported[..] else {
        panic!("{reported:?}\n{out}\n{err}");
    };
    assert!(failed.ends_with("/invocation/event-0/error"), "{failed}");
    let why = why["errorMessage"].as_str().expect("words");
    assert!(why.contains("a bug, by the test"), "{why}");
    assert!(
        answered.ends_with("/invocation/event-1/response"),
        "{answered}"
    );
    assert_eq!(*answer, json!({"batchItemFailures": []}));

    assert!(err.contains("panicked at tests/it/crashes.rs:"), "{err}");
    let lines: Vec<Value> = out
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let panicked = lines
        .iter()
        .find(|line| line["message"] == "user handler panicked");
    assert_eq!(panicked.expect("its line")["level"], "WARN");
    assert!(lines.iter().all(|line| line["level"] != "ERROR"), "{out}");
    let row = row("functions.md", "`panicked`");
    for words in [
        "`panicked at`, a file and a line",
        "`user handler panicked`",
    ] {
        assert!(row.contains(words), "{words}");
    }
    assert!(page("functions.md").contains("?\"panicked\""));
}
