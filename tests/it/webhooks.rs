//! Webhooks: from the queue of events to a receiver on this machine, over real HTTP, and what
//! becomes of an event that the receiver does not take.

mod delivery;
mod disabled;
mod kept;
mod reported;
mod slow;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use flows::{
    sandbox::read,
    sqs_event::{BatchResponse, SqsBatch, SqsRecord, SystemAttributes},
};
use payments::{model::ids::ClientId, rules::webhook::OutgoingEvent};
use runtime::{
    aws::{Aws, AwsSettings},
    clock::Clock,
    kms::Kms,
    net::{Reach, WebhookUrl},
    random::Random,
};
use send_webhook::{app::App, handler, settings::Settings};
use serde_json::{Value, json};
use standard_webhooks::{Received, Secret, verify};
use stores::{keys_table::KeysTable, queues::Queue, undelivered::UndeliveredEvents};
use testbed::{
    AwsEngines, Fault, FaultyTransport, Match, SqsMessage,
    environment::{AWS_IN_PROCESS, SECRETS_KEY_ID, WEBHOOKS, environment},
};
use wechatpay::UnixSeconds;

use crate::support::{HiddenTimes, MCHID, batch, open};

/// A batch has so much time, unless the test says otherwise.
pub(crate) const PLENTY_MS: i64 = 30_000;

/// One client of the API with a webhook, its receiver, and the function between queue and receiver.
pub(crate) struct WebhookTestbed {
    app: App,
    pub(crate) clock: Clock,
    pub(crate) wire: FaultyTransport,
    keys: KeysTable,
    queue: Queue,
    engines: AwsEngines,
    hidden: HiddenTimes,
    pub(crate) receiver: Receiver,
    undelivered: UndeliveredEvents,
}

impl WebhookTestbed {
    pub(crate) async fn start() -> Self {
        let testbed = Self::without_webhook("true").await;
        testbed.set_up("shop", &testbed.receiver.url(), 1).await;
        testbed
    }

    /// `allow_loopback` is the setting.
    async fn without_webhook(allow_loopback: &str) -> Self {
        let clock = Clock::manual(Clock::system().now());
        let engines = AwsEngines::new(clock.clone());
        let tables = testbed::create_tables(&engines.aws().dynamodb(), "").await;
        let wire = FaultyTransport::around(engines.http_client(), clock.clone());
        let settings = AwsSettings::local(AWS_IN_PROCESS);
        let aws = Aws::with_http_client(&settings, &clock, wire.http_client());
        let more = [
            ("WEBHOOK_ALLOW_LOOPBACK", allow_loopback),
            // Which may be so on this machine only; the calls themselves go to the engines.
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ];
        let vars = environment(&tables, AWS_IN_PROCESS, &more);
        Self {
            app: open!(send_webhook, &vars, &aws, clock, Random::system()),
            keys: KeysTable::new(
                aws.dynamodb(),
                &tables.keys,
                MCHID,
                Kms::new(aws.kms()),
                SECRETS_KEY_ID,
                clock.clone(),
            ),
            queue: Queue::new(aws.sqs(), WEBHOOKS),
            undelivered: UndeliveredEvents::new(aws.dynamodb(), &tables.undelivered_events, MCHID),
            hidden: HiddenTimes(engines.clone()),
            engines,
            clock,
            wire,
            receiver: Receiver::start().await,
        }
    }

    /// What `cargo client setup webhook` does. The secret is this byte, 32 times.
    pub(crate) async fn set_up(&self, client_id: &str, url: &str, byte: u8) {
        let url = WebhookUrl::parse(url, Reach::PublicAndLoopback).expect("a URL");
        self.keys
            .put_webhook(client_id, &url, &secret(byte))
            .await
            .expect("written");
    }

    /// The rule of the bus puts an event into the queue.
    pub(crate) async fn publish(&self, event: &OutgoingEvent) {
        self.send(&on_the_bus(event)).await;
    }

    /// This is put into the queue.
    pub(crate) async fn send(&self, body: &str) {
        let now_ms = self.engines.now_ms();
        self.engines
            .queues()
            .send(WEBHOOKS, body.to_owned(), now_ms);
    }

    /// What is visible in the queue, as Lambda receives it.
    fn received(&self) -> Vec<SqsMessage> {
        let now_ms = self.engines.now_ms();
        self.engines.queues().receive(WEBHOOKS, 10, false, now_ms)
    }

    /// Lambda takes what is visible, hands it over, and deletes what did not fail. Says how many
    /// failed.
    pub(crate) async fn work_off(&self) -> usize {
        let messages = self.received();
        let records = batch(WEBHOOKS, &messages).records;
        let answer = self.process(records, PLENTY_MS).await;
        let failed = failed(&answer);
        for message in &messages {
            if !failed.contains(&message.id.as_str()) {
                self.engines.queues().delete(WEBHOOKS, &message.id);
            }
        }
        failed.len()
    }

    /// An attempt to send an event of this order, of which there were others before it. Says how
    /// many failed.
    pub(crate) async fn again(&self, order_no: &str, attempt: usize) -> usize {
        self.again_within(order_no, attempt, PLENTY_MS).await
    }

    /// The same, with so much time left of the invocation.
    pub(crate) async fn again_within(&self, order_no: &str, attempt: usize, left_ms: i64) -> usize {
        let body = on_the_bus(&event(order_no, 1));
        let record = record_of(order_no, body, attempt);
        failed(&self.process(vec![record], left_ms).await).len()
    }

    /// The same, of another client.
    pub(crate) async fn again_of(&self, client_id: &str, order_no: &str, attempt: usize) -> usize {
        let mut event = event(order_no, 1);
        event.client_id = ClientId::new(client_id);
        let record = record_of(order_no, on_the_bus(&event), attempt);
        failed(&self.process(vec![record], PLENTY_MS).await).len()
    }

    pub(crate) async fn process(&self, records: Vec<SqsRecord>, left_ms: i64) -> BatchResponse {
        handler::process(
            &self.app,
            SqsBatch { records },
            self.clock.now_ms() + left_ms,
        )
        .await
    }

    /// The events of the client that are on record as undelivered.
    async fn kept(&self) -> Vec<String> {
        let (from, to) = (UnixSeconds(0), UnixSeconds(i64::MAX));
        let page = self.undelivered.page("shop", from, to, None, 100).await;
        let page = page.expect("read");
        page.events.iter().map(OutgoingEvent::webhook_id).collect()
    }

    /// The receiver says 410 to one event each hour, until its webhook is disabled.
    pub(crate) async fn say_410_for_hours(&self) {
        self.say_410_each_hour(7).await;
    }

    async fn say_410_each_hour(&self, hours: usize) {
        for _ in 0..hours {
            self.receiver.answer_next(StatusCode::GONE);
            let gone = record_of("gone", on_the_bus(&event("ORDER-0", 3)), 1);
            self.process(vec![gone], PLENTY_MS).await;
            self.clock.advance(Duration::from_secs(3_600));
        }
    }

    /// An attempt whose call number `nth` gets a fault, and others until one succeeds. The receiver
    /// gives all the same answer. `false` if there is no such call.
    async fn strike(&self, order_no: &str, nth: usize, fault: Fault, answer: StatusCode) -> bool {
        self.wire.forget();
        self.wire.break_after(Match::any(), nth, 1, fault);
        for attempt in 1..=4 {
            self.receiver.answer_next(answer);
            let done = self
                .wire
                .run_until_crash(self.again(order_no, attempt))
                .await;
            let is_struck = self.wire.calls().len() > nth;
            self.wire.mend();
            if !is_struck || done == Some(0) {
                self.receiver.forget_answers();
                return is_struck;
            }
            // The queue shows the message again.
            self.clock.advance(Duration::from_secs(180));
        }
        panic!("{order_no} comes again and again after {fault:?} at call {nth}");
    }

    /// Whether the receiver would believe this webhook with the secret of this byte.
    fn believes(&self, got: &Got, byte: u8) -> bool {
        got.is_believed(byte, self.clock.now())
    }
}

/// Hands what the queue held to the function, as its first attempt, and the receiver takes it.
pub(crate) async fn deliver(app: &App, clock: &Clock, body: &Value) {
    let record = record_of("first", body.to_string(), 1);
    let batch = SqsBatch {
        records: vec![record],
    };
    let answer = handler::process(app, batch, clock.now_ms() + PLENTY_MS).await;
    assert!(failed(&answer).is_empty(), "{body:#}");
}

pub(crate) fn secret(byte: u8) -> Secret {
    Secret::new(&[byte; 32]).expect("a secret")
}

pub(crate) fn event(order_no: &str, version: u64) -> OutgoingEvent {
    serde_json::from_value(json!({
        "order_no": order_no,
        "client_id": "shop",
        "version": version,
        "subject": "order",
        "subject_id": order_no,
        "from": "awaiting_payment",
        "to": "paid",
        "amount_fen": 100,
        "cause_kind": "notice",
        "cause_id": "notice-1",
        "at": 1_785_556_801,
        "trace": "0af7651916cd43dd8448eb211c80319c",
    }))
    .expect("an event")
}

/// An event as EventBridge wraps it.
pub(crate) fn on_the_bus(event: &OutgoingEvent) -> String {
    json!({
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "order.changed",
        "source": "wechatpay-on-lambda",
        "account": "111122223333",
        "time": "2026-08-01T04:00:01Z",
        "region": "us-east-1",
        "resources": [],
        "detail": event,
    })
    .to_string()
}

/// A record that was not in the queue, received so often.
pub(crate) fn record_of(id: &str, body: String, receive_count: usize) -> SqsRecord {
    SqsRecord {
        message_id: id.to_owned(),
        receipt_handle: "a receipt that has lapsed".to_owned(),
        queue_arn: None,
        body,
        attributes: SystemAttributes {
            approximate_receive_count: Some(receive_count.to_string()),
            ..SystemAttributes::default()
        },
        message_attributes: Default::default(),
    }
}

/// Why an event was not delivered, by the first line that says so.
fn not_delivered(lines: &[Value]) -> Option<String> {
    let mut lines = lines.iter();
    let line = lines.find(|line| line["message"] == "webhook not delivered")?;
    line["error"].as_str().map(str::to_owned)
}

pub(crate) fn failed(answer: &BatchResponse) -> Vec<&str> {
    answer
        .batch_item_failures
        .iter()
        .map(|failure| failure.item_identifier.as_str())
        .collect()
}

/// What a receiver got.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id").expect("an id")
    }

    /// Whether a receiver with this secret believes it.
    pub(crate) fn is_believed(&self, byte: u8, now: UnixSeconds) -> bool {
        let received = Received::read(|name| self.header(name)).expect("all headers");
        verify(&received, &self.body, &[secret(byte)], now.0).is_ok()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// A merchant's system. It gives the configured answers in order, then 204.
#[derive(Clone)]
pub(crate) struct Receiver {
    port: u16,
    state: Arc<Mutex<ReceiverState>>,
}

#[derive(Default)]
struct ReceiverState {
    got: Vec<Got>,
    answers: VecDeque<(Duration, Response)>,
    /// No request is answered before so many are there.
    wait_for: usize,
    /// How long each answer takes, by this clock.
    takes: Option<(Clock, Duration)>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let receiver = Self {
            port: listener.local_addr().expect("bound").port(),
            state: Arc::default(),
        };
        let router = Router::new()
            .fallback(take)
            .with_state(Arc::clone(&receiver.state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks?token=t0k3n", self.port)
    }

    pub(crate) fn answer_next(&self, answer: impl IntoResponse) {
        self.answer_after(Duration::ZERO, answer);
    }

    fn answer_after(&self, pause: Duration, answer: impl IntoResponse) {
        let mut state = self.state.lock().expect("not poisoned");
        state.answers.push_back((pause, answer.into_response()));
    }

    /// The configured answers that it has not given yet.
    fn forget_answers(&self) {
        self.state.lock().expect("not poisoned").answers.clear();
    }

    /// Each answer takes so long by a clock that is moved by hand.
    fn takes(&self, clock: &Clock, took: Duration) {
        self.state.lock().expect("not poisoned").takes = Some((clock.clone(), took));
    }

    pub(crate) fn wait_for(&self, count: usize) {
        self.state.lock().expect("not poisoned").wait_for = count;
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.state.lock().expect("not poisoned").got.clone()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.got().iter().map(|got| got.id().to_owned()).collect()
    }
}

async fn take(
    State(state): State<Arc<Mutex<ReceiverState>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = {
        let mut state = state.lock().expect("not poisoned");
        state.got.push(Got { headers, body });
        if let Some((clock, took)) = &state.takes {
            clock.advance(*took);
        }
        state.answers.pop_front()
    };
    let (pause, answer) = answer.unzip();
    tokio::time::sleep(pause.unwrap_or_default()).await;
    loop {
        let enough = {
            let state = state.lock().expect("not poisoned");
            state.got.len() >= state.wait_for
        };
        if enough {
            return answer.unwrap_or_else(|| StatusCode::NO_CONTENT.into_response());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The possible faults of any call.
const FAULTS: [Fault; 4] = [
    Fault::DieBefore,
    Fault::DieAfter,
    Fault::LostAnswer,
    Fault::ServiceFault,
];

/// The advice to an operator while the cause is not a receiver's.
pub(crate) const CAUSE_IS_OURS: &str = "events cannot be sent, for a cause on our side";

/// The advice to an operator about a receiver that is down.
pub(crate) const TAKES_NOTHING: &str = "a receiver of webhooks has taken nothing for half an hour";

#[test]
fn the_function_names_everything_that_is_missing_or_malformed_at_once() {
    let nothing = BTreeMap::<String, String>::new();
    let error = read::<Settings>(&nothing).expect_err("nothing is set");
    assert_eq!(
        error.names(),
        [
            "AWS_REGION",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "KEYS_TABLE",
            "SECRETS_KEY_ID",
            "WECHATPAY_MCHID",
            "WEBHOOKS_QUEUE_URL",
            "UNDELIVERED_EVENTS_TABLE",
        ]
    );
    let odd = BTreeMap::from([("WEBHOOK_ALLOW_LOOPBACK", "yes")]);
    let error = read::<Settings>(&odd).expect_err("neither true nor false");
    assert!(error.names().contains(&"WEBHOOK_ALLOW_LOOPBACK"));
}
