//! Log lines for Sentry and Loki: from a delivery of CloudWatch Logs to the sinks over real HTTP,
//! and what becomes of lines that a sink does not take.

mod bad_input;
mod sinks;
mod tries;

use std::io::Write;
use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use flows::verdict::Verdict;
use forward_errors::{app::App, handler};
use runtime::{
    aws::{Aws, AwsSettings},
    clock::Clock,
    kms::Kms,
    random::Random,
};
use serde_json::{Value, json};
use stores::keys_table::KeysTable;
use testbed::{
    AwsEngines, Fault, FaultyTransport, Match, Service,
    environment::{AWS_IN_PROCESS, FORWARD_ERRORS_DLQ, SECRETS_KEY_ID, environment},
};

use wechatpay::UnixSeconds;

use crate::support::{Lines, MCHID, open};
use sinks::Receiver;

/// An invocation has so long, as in the template.
const TIMEOUT_MS: i64 = 60_000;
/// What Lambda waits before the second and the third try of an asynchronous event.
const PAUSES_S: [u64; 2] = [60, 120];
/// When CloudWatch had the lines: 2026-12-01T00:00:04Z.
const RECEIVED_MS: i64 = 1_796_083_204_000;
const OWN_GROUP: &str = "/aws/lambda/shop-forward-errors";
const GROUP: &str = "/aws/lambda/shop-process-payment";

/// The function between CloudWatch Logs and the sinks.
struct Forwarder {
    app: App,
    clock: Clock,
    wire: FaultyTransport,
    keys: KeysTable,
    engines: AwsEngines,
    sentry: Receiver,
    loki: Receiver,
}

impl Forwarder {
    /// With both sinks set up.
    async fn start() -> Self {
        let forwarder = Self::without_sinks().await;
        forwarder.set_up(&forwarder.sentry).await;
        forwarder.set_up(&forwarder.loki).await;
        forwarder
    }

    async fn without_sinks() -> Self {
        let clock = Clock::manual(UnixSeconds(RECEIVED_MS / 1000));
        let engines = AwsEngines::new(clock.clone());
        let tables = testbed::create_tables(&engines.aws().dynamodb(), "").await;
        let wire = FaultyTransport::around(engines.http_client(), clock.clone());
        let settings = AwsSettings::local(AWS_IN_PROCESS);
        let aws = Aws::with_http_client(&settings, &clock, wire.http_client());
        let more = [
            ("WEBHOOK_ALLOW_LOOPBACK", "true"),
            ("METRICS_NAMESPACE", "shop"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", OWN_GROUP),
            // Which may be so on this machine only; the calls themselves go to the engines.
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ];
        let vars = environment(&tables, AWS_IN_PROCESS, &more);
        Self {
            app: open!(forward_errors, &vars, &aws, clock, Random::system()),
            keys: KeysTable::new(
                aws.dynamodb(),
                &tables.keys,
                MCHID,
                Kms::new(aws.kms()),
                SECRETS_KEY_ID,
                clock.clone(),
            ),
            engines,
            clock: clock.clone(),
            wire,
            sentry: Receiver::sentry(&clock).await,
            loki: Receiver::loki(&clock).await,
        }
    }

    /// What `cargo client setup log-sink add` does.
    async fn set_up(&self, receiver: &Receiver) {
        let sink = receiver.sink();
        self.keys.put_log_sink(&sink).await.expect("written");
    }

    /// One invocation: whether it succeeded.
    async fn invoke(&self, event: &Value) -> bool {
        let deadline_ms = self.clock.now_ms() + TIMEOUT_MS;
        let forwarded = handler::forward(&self.app, event, deadline_ms).await;
        forwarded.is_ok()
    }

    /// An asynchronous call: up to three invocations, then the dead-letter queue.
    async fn call(&self, event: &Value) -> bool {
        for pause_s in PAUSES_S.map(Some).into_iter().chain([None]) {
            if self.invoke(event).await {
                return true;
            }
            self.clock
                .advance(Duration::from_secs(pause_s.unwrap_or_default()));
        }
        let now_ms = self.engines.now_ms();
        let mut queues = self.engines.queues();
        queues.send(FORWARD_ERRORS_DLQ, event.to_string(), now_ms);
        false
    }

    /// The events in the dead-letter queue, with what their messages say of the cause.
    fn put_away(&self) -> Vec<(Value, Option<String>)> {
        let queues = self.engines.queues();
        let waiting = queues.waiting().into_iter();
        let messages = waiting.map(|(url, message)| {
            assert_eq!(url, FORWARD_ERRORS_DLQ);
            // What SQS takes in each Region.
            assert!(message.body.len() < 262_144, "{}", message.body.len());
            let event = serde_json::from_str(&message.body).expect("an event");
            (event, message.attribute("ErrorMessage").map(str::to_owned))
        });
        messages.collect()
    }

    /// Takes all of them out, and calls the function with each.
    async fn send_again(&self) {
        let events = self.put_away();
        self.engines.queues().purge(FORWARD_ERRORS_DLQ);
        for (event, _) in events {
            assert!(self.invoke(&event).await);
        }
    }
}

/// A delivery of these lines.
fn delivery(group: &str, lines: &[Value]) -> Value {
    let events = lines.iter().enumerate().map(|(at, line)| {
        let text = line.as_str().map(str::to_owned);
        json!({
            "id": format!("3195310660696698337880902507980421114328961542429{at:07}"),
            "timestamp": RECEIVED_MS,
            "message": text.unwrap_or_else(|| line.to_string()),
        })
    });
    packed(&json!({
        "messageType": "DATA_MESSAGE",
        "owner": "111122223333",
        "logGroup": group,
        "logStream": "2026/12/01/[7]0123456789abcdef",
        "subscriptionFilters": ["shop-forward-errors"],
        "logEvents": events.collect::<Vec<_>>(),
    }))
}

fn packed(plain: &Value) -> Value {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    let text = plain.to_string();
    packed.write_all(text.as_bytes()).expect("in memory");
    let data = STANDARD.encode(packed.finish().expect("in memory"));
    json!({"awslogs": {"data": data}})
}

/// A line at this level, as the functions write them.
fn line(level: &str, message: &str) -> Value {
    json!({
        "timestamp": "2026-12-01T00:00:00.000001Z",
        "level": level,
        "message": message,
        "target": "flows::problem",
    })
}

/// An outer failure with a cause that is there twice, as where a text repeats its source.
#[derive(Debug)]
struct Failed(Option<Box<Failed>>, &'static str);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.1)
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.as_ref().map(|cause| {
            let cause: &(dyn std::error::Error + 'static) = cause.as_ref();
            cause
        })
    }
}

#[tokio::test]
async fn an_error_that_a_function_logs_is_one_event_with_its_release_and_its_chain_once() {
    let forwarder = Forwarder::start().await;
    let lines = Lines::default();
    lines
        .of(async {
            let cause = Failed(None, "the table did not answer in time");
            // The outer text ends with its cause's already.
            let outer = "order not read: the table did not answer in time";
            Verdict::needs_operator(&Failed(Some(Box::new(cause)), outer));
        })
        .await;
    let logged = lines.take_all();
    assert_eq!(
        logged[0]["error"],
        "order not read: the table did not answer in time"
    );
    assert!(forwarder.call(&delivery(GROUP, &logged)).await);
    let events = forwarder.sentry.events();
    let [event] = &events[..] else {
        panic!("{events:#?}")
    };
    for (pointer, expected) in [
        ("/level", json!("error")),
        ("/environment", json!("shop")),
        ("/server_name", json!("process-payment")),
        ("/tags/function", json!("process-payment")),
        ("/release", json!("Release")),
        ("/logger", json!("flows::verdict")),
        (
            "/fingerprint",
            json!([
                "process-payment",
                "flows::verdict",
                "message needs a person"
            ]),
        ),
        ("/exception/values/0/type", json!("message needs a person")),
        (
            "/exception/values/0/value",
            json!("order not read: the table did not answer in time"),
        ),
    ] {
        assert_eq!(
            event.pointer(pointer),
            Some(&expected),
            "{pointer}: {event:#}"
        );
    }
    let text = event.to_string();
    assert_eq!(text.matches("did not answer in time").count(), 1, "{text}");
}

#[tokio::test]
async fn sentry_gets_errors_alone_and_loki_every_line_in_its_sequence() {
    let forwarder = Forwarder::start().await;
    let mut late = line("INFO", "order paid");
    late["timestamp"] = json!("2026-12-01T00:00:02.5Z");
    late["trace_id"] = json!("0af7651916cd43dd8448eb211c80319c");
    late["order_no"] = json!("A-1");
    let ended = json!({
        "time": "2026-12-01T00:00:03Z", "type": "platform.report",
        "record": {"requestId": "1", "status": "timeout"},
    });
    let lines = [
        late.clone(),
        line("ERROR", "request failed on our side"),
        line("WARN", "message comes again"),
        line("INFO", "order created"),
        ended,
        json!("thread 'main' panicked at src/main.rs:1:1:"),
    ];
    assert!(forwarder.call(&delivery(GROUP, &lines)).await);
    let mut titles: Vec<Value> = forwarder
        .sentry
        .events()
        .iter()
        .map(|event| event["logentry"]["formatted"].clone())
        .collect();
    titles.sort_by_key(ToString::to_string);
    assert_eq!(
        titles,
        [
            "Lambda ended the function: timeout",
            "request failed on our side"
        ]
    );
    let entries = forwarder.loki.entries();
    assert_eq!(entries.len(), lines.len(), "{entries:#?}");
    let info: Vec<_> = entries
        .iter()
        .filter(|(labels, ..)| labels["level"] == "info")
        .collect();
    let labels = json!({"stack": "shop", "function": "process-payment", "level": "info"});
    assert!(info.iter().all(|(found, ..)| *found == labels), "{info:?}");
    // The first in the delivery is the last by its time.
    let last = late.to_string();
    assert!(info[0].2.contains("order created") && info[1].2 == last);
    assert_eq!(info[1].1, "1796083202500000000");
    assert_eq!(
        info[1].3,
        json!({"order_no": "A-1", "trace_id": "0af7651916cd43dd8448eb211c80319c"})
    );
    let levels: std::collections::BTreeSet<_> = entries
        .iter()
        .map(|(labels, ..)| labels["level"].as_str().expect("a text"))
        .collect();
    let expected = ["error", "info", "platform", "unknown", "warn"];
    assert_eq!(levels.into_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_delivery_that_comes_twice_is_there_once() {
    let forwarder = Forwarder::start().await;
    let event = delivery(GROUP, &[line("ERROR", "one"), line("INFO", "two")]);
    for _ in 0..2 {
        assert!(forwarder.call(&event).await);
    }
    assert_eq!(forwarder.sentry.events().len(), 1);
    assert_eq!(forwarder.loki.entries().len(), 2);
}

#[tokio::test]
async fn a_flood_of_one_error_is_a_few_events_and_each_other_error_is_one() {
    let forwarder = Forwarder::start().await;
    let mut lines = vec![line("ERROR", "request failed on our side"); 400];
    lines.push(line("ERROR", "another"));
    assert!(forwarder.call(&delivery(GROUP, &lines)).await);
    let events = forwarder.sentry.events();
    assert_eq!(events.len(), 11);
    let others = events
        .iter()
        .filter(|event| event["logentry"]["formatted"] == "another");
    assert_eq!(others.count(), 1);
    assert_eq!(forwarder.loki.requests(), 1);
}

#[tokio::test]
async fn no_key_and_no_password_is_in_any_line_or_message() {
    use sinks::{KEY, PASSWORD, State};
    let forwarder = Forwarder::start().await;
    let lines = Lines::by(forwarder.clock.clone());
    let event = delivery(GROUP, &[line("ERROR", "one")]);
    for state in [
        State::Breaks,
        State::Status(500, &[]),
        State::Status(401, &[]),
        State::Status(429, &[("retry-after", "1")]),
        State::Well,
    ] {
        forwarder.sentry.turns(state.clone());
        forwarder.loki.turns(state);
        lines.of(forwarder.call(&event)).await;
        forwarder.clock.advance(Duration::from_secs(120));
    }
    let said = format!("{:?} {:?}", lines.take_all(), forwarder.put_away());
    assert!(said.contains("429"), "{said}");
    for secret in [KEY, PASSWORD, "NDI6cGE1"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

#[tokio::test]
async fn what_a_delivery_takes_of_aws_is_two_secrets_a_minute() {
    let forwarder = Forwarder::start().await;
    forwarder.wire.forget();
    for _ in 0..3 {
        assert!(
            forwarder
                .call(&delivery(GROUP, &[line("ERROR", "one")]))
                .await
        );
    }
    let calls = forwarder.wire.calls();
    let of = |service| calls.iter().filter(|call| call.service == service).count();
    assert_eq!((of(Service::DynamoDb), of(Service::Kms)), (1, 2));
    assert_eq!(calls.len(), 3);
}

#[tokio::test]
async fn keys_that_cannot_be_read_let_the_delivery_come_again() {
    for (service, operation) in [(Service::DynamoDb, "GetItem"), (Service::Kms, "Decrypt")] {
        let forwarder = Forwarder::start().await;
        let which = Match::operation(service, operation);
        forwarder.wire.break_all(which, Fault::TimedOut);
        let event = delivery(GROUP, &[line("ERROR", "one")]);
        assert!(!forwarder.invoke(&event).await, "{operation}");
        forwarder.wire.mend();
        assert!(forwarder.invoke(&event).await, "{operation}");
        assert_eq!(forwarder.sentry.events().len(), 1);
        assert!(forwarder.put_away().is_empty());
    }
}

/// The pattern of the template's filters and what the function reports are the same lines.
#[test]
fn the_filter_lets_through_what_is_reported_and_nothing_else() {
    let resources = testbed::template::resources("AWS::Logs::SubscriptionFilter");
    let patterns: std::collections::BTreeSet<&str> = resources
        .map(|(_, filter)| {
            let pattern = filter["FilterPattern"]
                .as_array()
                .expect("by LogForwarding");
            assert_eq!(
                (&pattern[0], &pattern[1]),
                (&json!("ForwardsAllLines"), &json!(""))
            );
            pattern[2].as_str().expect("a pattern")
        })
        .collect();
    let [pattern] = patterns.into_iter().collect::<Vec<_>>()[..] else {
        panic!("one pattern")
    };
    let pattern = cloudwatch::pattern::Pattern::parse(pattern);
    let pattern = pattern.expect("a pattern that CloudWatch reads");
    let with = |name: &str, value: Value| {
        let mut line = line("WARN", "user handler panicked");
        line[name] = value;
        line
    };
    let report = |status: &str| json!({"type": "platform.report", "record": {"status": status}});
    for (line, is_reported) in [
        (line("ERROR", "request failed on our side"), true),
        (line("WARN", "message comes again"), false),
        (line("INFO", "ERROR"), false),
        (with("target", json!("lambda_runtime::layers::panic")), true),
        (
            json!({"level": "INFO", "target": "lambda_runtime", "message": "started"}),
            false,
        ),
        (with("target", json!("aws_smithy_runtime")), false),
        (report("timeout"), true),
        (report("failure"), true),
        (report("error"), false),
        (report("success"), false),
        (
            json!({"type": "platform.report", "record": {"status": "error", "errorType": "Runtime.OutOfMemory"}}),
            true,
        ),
        (
            json!({"type": "platform.initReport", "record": {"phase": "init", "status": "error", "errorType": "Runtime.ExitError"}}),
            true,
        ),
        (
            json!({"type": "platform.initReport", "record": {"phase": "invoke", "status": "error", "errorType": "Runtime.ExitError"}}),
            false,
        ),
        (
            json!({"type": "platform.report", "record": {"status": "error", "errorType": "Runtime.Unknown"}}),
            false,
        ),
        (
            json!({"type": "platform.runtimeDone", "record": {"status": "timeout"}}),
            false,
        ),
        (json!({"message": "timeout"}), false),
    ] {
        let batch: log_sinks::LogBatch = serde_json::from_value(json!({
            "logGroup": GROUP,
            "logEvents": [{"id": "1", "timestamp": 1, "message": line.to_string()}],
        }))
        .expect("a batch");
        let reported = log_sinks::Line::all(&batch, "shop")[0].report().is_some();
        assert_eq!(reported, is_reported, "{line}");
        assert_eq!(pattern.matches(&line), is_reported, "{line}");
    }
}
