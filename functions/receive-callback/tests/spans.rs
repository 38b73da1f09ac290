//! The function as it is deployed, beside a Lambda Runtime API and a collector of spans: what goes
//! out when.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed set-up ends the test and says what failed"
)]

use std::{
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value,
    trace::v1::ResourceSpans,
};
use prost::Message;
use serde_json::json;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::Notify,
};

/// Two events, and then none.
const EVENTS: usize = 2;

/// What happened, in order.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// The function asked for an event.
    Next,
    /// It answered one.
    Answered(u16),
    /// A collector got spans.
    Spans(Vec<ResourceSpans>),
}

/// How a collector answers.
#[derive(Clone, Copy)]
enum Collector {
    Takes,
    /// Never.
    Hangs,
    Refuses,
    /// Nothing listens there.
    IsDead,
    /// No endpoint is set.
    IsNotSet,
}

struct World {
    collector: Collector,
    steps: Mutex<Vec<Step>>,
    changed: Notify,
}

impl World {
    fn note(&self, step: Step) -> usize {
        let mut steps = self.steps.lock().expect("a lock");
        steps.push(step.clone());
        self.changed.notify_waiters();
        steps.iter().filter(|seen| **seen == step).count()
    }

    fn steps(&self) -> Vec<Step> {
        self.steps.lock().expect("a lock").clone()
    }
}

/// Lambda hands out events, and then lets the function wait.
async fn next(State(world): State<Arc<World>>) -> Response {
    let nth = world.note(Step::Next);
    if nth > EVENTS {
        std::future::pending::<()>().await;
    }
    // No header of WeChat Pay's: it is refused without a call of AWS.
    let event = json!({"headers": {}, "body": "{}", "isBase64Encoded": false});
    let headers = [
        ("lambda-runtime-aws-request-id", format!("invocation-{nth}")),
        ("lambda-runtime-deadline-ms", "9999999999999".to_owned()),
        ("lambda-runtime-invoked-function-arn", "arn".to_owned()),
    ];
    (headers, event.to_string()).into_response()
}

async fn answered(
    State(world): State<Arc<World>>,
    Path((_, what)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    assert_eq!(what, "response", "{body:?}");
    let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let status = body["statusCode"].as_u64().expect("a status");
    world.note(Step::Answered(u16::try_from(status).expect("a status")));
    StatusCode::ACCEPTED
}

async fn collect(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let spans = ExportTraceServiceRequest::decode(body).expect("OTLP");
    world.note(Step::Spans(spans.resource_spans));
    match world.collector {
        Collector::Hangs => std::future::pending().await,
        Collector::Refuses => StatusCode::SERVICE_UNAVAILABLE,
        Collector::Takes | Collector::IsDead | Collector::IsNotSet => StatusCode::OK,
    }
}

/// Starts the function there and waits until it has asked for an event more than there are. That
/// it asks at all shows that no collector holds it for ever.
async fn played(collector: Collector) -> (Vec<Step>, Child) {
    let world = Arc::new(World {
        collector,
        steps: Mutex::default(),
        changed: Notify::new(),
    });
    let runtime = "/2018-06-01/runtime/invocation";
    let routes = Router::new()
        .route(&format!("{runtime}/next"), get(next))
        .route(&format!("{runtime}/{{id}}/{{what}}"), post(answered))
        .route("/v1/traces", post(collect))
        .with_state(Arc::clone(&world));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let endpoint = match collector {
        Collector::Takes | Collector::Hangs | Collector::Refuses => {
            format!("http://{address}/v1/traces")
        }
        Collector::IsDead => "http://127.0.0.1:9/v1/traces".to_owned(),
        Collector::IsNotSet => String::new(),
    };
    let child = Command::new(env!("CARGO_BIN_EXE_receive-callback"))
        .env_clear()
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", address.to_string().as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "stack-ReceiveCallback-1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "7"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ("KEYS_TABLE", "keys"),
            ("GUARDS_TABLE", "guards"),
            ("SECRETS_KEY_ID", "key"),
            ("WECHATPAY_MCHID", "1900000001"),
            ("PAYMENT_RESULTS_QUEUE_URL", "http://127.0.0.1:9/q"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str()),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .expect("a process");
    let asked = async {
        loop {
            let changed = world.changed.notified();
            let steps = world.steps();
            if steps.iter().filter(|step| **step == Step::Next).count() > EVENTS {
                return steps;
            }
            changed.await;
        }
    };
    let steps = tokio::time::timeout(Duration::from_secs(60), asked).await;
    (steps.expect("the function goes on"), child)
}

fn text<'a>(span: &'a [opentelemetry_proto::tonic::common::v1::KeyValue], key: &str) -> &'a Value {
    let found = span.iter().find(|attribute| attribute.key == key);
    let value = found.unwrap_or_else(|| panic!("{key}: {span:?}"));
    value
        .value
        .as_ref()
        .and_then(|value| value.value.as_ref())
        .expect("a value")
}

#[tokio::test]
async fn spans_go_out_after_the_answer_and_before_the_next_event_is_asked_for() {
    let (steps, _child) = played(Collector::Takes).await;
    let [
        Step::Next,
        Step::Answered(400),
        Step::Spans(first),
        Step::Next,
        Step::Answered(400),
        Step::Spans(second),
        Step::Next,
    ] = &steps[..]
    else {
        panic!("{steps:#?}");
    };
    for (nth, spans) in [first, second].into_iter().enumerate() {
        let [of_function] = &spans[..] else {
            panic!("{spans:#?}");
        };
        let resource = &of_function
            .resource
            .as_ref()
            .expect("a resource")
            .attributes;
        for (key, value) in [
            ("service.name", "receive-callback"),
            ("faas.name", "stack-ReceiveCallback-1"),
            ("faas.version", "7"),
            ("cloud.region", "eu-central-1"),
        ] {
            assert_eq!(text(resource, key), &Value::StringValue(value.to_owned()));
        }
        let [span] = &of_function.scope_spans[0].spans[..] else {
            panic!("{of_function:#?}");
        };
        assert_eq!(span.name, "POST /v1/callbacks/wechatpay");
        assert_eq!((span.kind, span.parent_span_id.len()), (2, 0));
        let is = |key, value| assert_eq!(text(&span.attributes, key), &value, "{key}");
        is("faas.coldstart", Value::BoolValue(nth == 0));
        let id = format!("invocation-{}", nth + 1);
        is("faas.invocation_id", Value::StringValue(id));
        is("http.response.status_code", Value::IntValue(400));
    }
}

#[tokio::test]
async fn a_collector_that_is_dead_refuses_or_never_answers_is_tried_once_and_costs_no_answer() {
    let answers = |steps: &[Step]| {
        let answered = steps.iter().filter(|step| **step == Step::Answered(400));
        answered.count()
    };
    for collector in [Collector::IsDead, Collector::Refuses, Collector::Hangs] {
        let (steps, _child) = played(collector).await;
        assert_eq!(answers(&steps), EVENTS, "{steps:#?}");
        // The first event's spans alone: the second does not wait for the collector again.
        let sent = steps.iter().filter(|step| matches!(step, Step::Spans(_)));
        let expected = match collector {
            Collector::IsDead | Collector::IsNotSet => 0,
            Collector::Takes | Collector::Hangs | Collector::Refuses => 1,
        };
        assert_eq!(sent.count(), expected, "{steps:#?}");
    }
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_sent() {
    let (steps, _child) = played(Collector::IsNotSet).await;
    let pair = [Step::Next, Step::Answered(400)];
    assert_eq!(steps, [pair.as_slice(), &pair, &[Step::Next]].concat());
}
