//! Webhooks: from the queue of events to a receiver on this machine, over real HTTP, and what
//! becomes of an event that the receiver does not take.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use flows::{
    sandbox::read,
    sqs_event::{BatchResponse, SqsBatch, SqsRecord, SystemAttributes},
};
use futures_util::future::join_all;
use payments::{
    model::ids::ClientId,
    rules::webhook::{GoneRun, LastAnswer, OutgoingEvent, SLOW_MS},
};
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
use stores::{
    keys_table::{KeysTable, Webhook},
    queues::Queue,
    undelivered::{UndeliveredEvents, UndeliveredReason},
};
use testbed::{
    AwsEngines, Fault, FaultyTransport, Match, Service, SqsMessage,
    environment::{AWS_IN_PROCESS, SECRETS_KEY_ID, WEBHOOKS, environment},
};
use wechatpay::UnixSeconds;

use crate::{
    runbooks,
    support::{HiddenTimes, Lines, MAX_RECEIVE_COUNT, MCHID, batch, open},
};

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
        let scene = Self::without_webhook("true").await;
        scene.set_up("shop", &scene.receiver.url(), 1).await;
        scene
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

    /// Somebody puts this into the queue.
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
    fn header(&self, name: &str) -> Option<&str> {
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

    fn json(&self) -> Value {
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
    /// Nobody is answered before so many are there.
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

#[tokio::test(flavor = "multi_thread")]
async fn an_event_reaches_the_receiver_signed() {
    let scene = WebhookTestbed::start().await;
    scene.publish(&event("ORDER-1", 3)).await;
    assert_eq!(scene.work_off().await, 0);
    let [got] = &scene.receiver.got()[..] else {
        panic!("one webhook")
    };
    assert!(scene.believes(got, 1));
    assert!(!scene.believes(got, 2));
    assert_eq!(got.id(), "ORDER-1_3");
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(
        got.json(),
        json!({
            "type": "order.changed",
            "timestamp": "2026-08-01T12:00:01+08:00",
            "data": {
                "order_no": "ORDER-1",
                "version": 3,
                "subject": "order",
                "subject_id": "ORDER-1",
                "from": "awaiting_payment",
                "to": "paid",
                "amount_fen": 100,
                "currency": "CNY",
                "cause": {"kind": "notice", "id": "notice-1"},
                "trace_id": "0af7651916cd43dd8448eb211c80319c",
            },
        })
    );
    assert_eq!(scene.work_off().await, 0);
    assert_eq!(scene.receiver.got().len(), 1, "the message is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_webhook_is_as_the_contract_says() {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../infra/openapi.yaml"
    ));
    let contract: Value = serde_saphyr::from_str(&text.expect("the contract")).expect("YAML");
    let validator = |schema: &Value| {
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "allOf": [schema],
            "components": contract["components"],
        });
        let options = jsonschema::options().should_validate_formats(true);
        options.build(&whole).expect("a schema")
    };
    let described = &contract["webhooks"]["orderChanged"]["post"];

    let scene = WebhookTestbed::start().await;
    let mut first = event("ORDER-1", 1);
    first.from.clear();
    scene.publish(&first).await;
    assert_eq!(scene.work_off().await, 0);
    scene.set_up("shop", &scene.receiver.url(), 2).await;
    scene.clock.advance(Duration::from_secs(60));
    scene.publish(&event("ORDER-1", 2)).await;
    assert_eq!(scene.work_off().await, 0);

    let body = validator(&described["requestBody"]["content"]["application/json"]["schema"]);
    let got = scene.receiver.got();
    assert_eq!(got.len(), 2);
    for got in got {
        body.validate(&got.json()).expect("a body of the contract");
        let headers = described["parameters"].as_array().expect("headers");
        assert_eq!(headers.len(), 3);
        for header in headers {
            let name = header["name"].as_str().expect("a name");
            let sent = json!(got.header(name).expect(name));
            let valid = validator(&header["schema"]).is_valid(&sent);
            assert!(valid, "{name} is {sent}");
        }
    }
    let mut wrong = event("ORDER-1", 1);
    wrong.version = 0;
    let wrong: Value = serde_json::from_str(&wrong.body()).expect("JSON");
    assert!(!body.is_valid(&wrong), "the schema refuses something");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_comes_again_after_five_seconds_under_the_same_id_and_signed_anew() {
    let scene = WebhookTestbed::start().await;
    scene
        .receiver
        .answer_next(StatusCode::INTERNAL_SERVER_ERROR);
    scene.publish(&event("ORDER-1", 3)).await;
    assert_eq!(scene.work_off().await, 1);
    assert_eq!(scene.work_off().await, 0);
    assert_eq!(scene.receiver.got().len(), 1, "it is hidden");
    scene.clock.advance(Duration::from_secs(5));
    assert_eq!(scene.work_off().await, 0);
    let got = scene.receiver.got();
    let [first, second] = &got[..] else {
        panic!("two attempts")
    };
    assert_eq!((first.id(), &first.body), (second.id(), &second.body));
    let time = |got: &Got| got.header("webhook-timestamp").unwrap().parse::<i64>();
    assert_eq!(time(second).unwrap() - time(first).unwrap(), 5);
    assert!(scene.believes(first, 1) && scene.believes(second, 1));
    assert_eq!(scene.hidden.times_s(), [5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_hides_the_message_for_the_next_step_until_it_is_a_dead_letter() {
    let scene = WebhookTestbed::start().await;
    scene.publish(&event("ORDER-1", 3)).await;
    for _ in 1..=MAX_RECEIVE_COUNT {
        scene.receiver.answer_next(StatusCode::BAD_GATEWAY);
        let messages = scene.received();
        let [message] = &messages[..] else {
            panic!("one message")
        };
        let records = batch(WEBHOOKS, &messages).records;
        let answer = scene.process(records, PLENTY_MS).await;
        assert_eq!(failed(&answer), [&*message.id]);
        // The hours pass.
        scene.engines.queues().show(WEBHOOKS, &message.id);
    }
    assert_eq!(
        scene.hidden.times_s(),
        [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000, 0]
    );
    assert_eq!(scene.receiver.got().len(), 8);
    assert!(scene.received().is_empty());
    let queues = scene.engines.queues();
    let [(_, dead)] = queues.dead()[..] else {
        panic!("one dead letter")
    };
    assert_eq!(dead.body, on_the_bus(&event("ORDER-1", 3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_410_ends_nothing_and_the_event_comes_again() {
    let scene = WebhookTestbed::start().await;
    scene.receiver.answer_next(StatusCode::GONE);
    scene.publish(&event("ORDER-1", 3)).await;
    assert_eq!(scene.work_off().await, 1, "it is tried again");
    assert_eq!(scene.hidden.times_s(), [5]);
    let again = record_of("again", on_the_bus(&event("ORDER-1", 3)), 2);
    assert!(failed(&scene.process(vec![again], PLENTY_MS).await).is_empty());
    assert_eq!(scene.receiver.ids(), ["ORDER-1_3"; 2]);
    assert!(scene.kept().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_says_410_for_hours_gets_no_more_a_person_is_told_and_its_events_are_kept()
{
    let scene = WebhookTestbed::start().await;
    let lines = Lines::default();
    lines.of(scene.say_410_for_hours()).await;
    let webhook = scene.keys.webhook("shop").await.expect("read");
    assert!(
        matches!(webhook.as_deref(), Some(Webhook::Disabled { why, .. }) if why.contains("410")),
        "{webhook:?}"
    );
    let mut told = lines.take("ERROR");
    told.retain(|line| line["message"] != TAKES_NOTHING);
    let [told] = &told[..] else {
        panic!("one ERROR line")
    };
    assert_eq!(told["client_id"], "shop");
    assert!(
        told["what_to_do"]
            .as_str()
            .is_some_and(|what| what.contains("resend"))
    );
    assert_eq!(scene.kept().await, ["ORDER-0_3"]);
    // Later events are stored as well, repeated or not; it is logged each hour, without an alarm.
    let got = scene.receiver.got().len();
    for seconds in [0, 1, 3_600] {
        scene.clock.advance(Duration::from_secs(seconds));
        scene.publish(&event("ORDER-1", 3)).await;
        assert_eq!(
            lines.of(scene.work_off()).await,
            0,
            "done with: not tried again"
        );
    }
    let mut told = lines.take_all();
    told.retain(|line| line["level"] != "INFO");
    let still = "a webhook is still disabled: its events are kept and not sent";
    assert!(
        told.iter()
            .all(|line| line["level"] == "WARN" && line["message"] == still),
        "{told:?}"
    );
    assert_eq!(told.len(), 2);
    assert_eq!(scene.receiver.got().len(), got);
    assert_eq!(scene.kept().await, ["ORDER-0_3", "ORDER-1_3"]);
    scene.set_up("shop", &scene.receiver.url(), 2).await;
    scene.clock.advance(Duration::from_secs(60));
    scene.publish(&event("ORDER-3", 3)).await;
    assert_eq!(scene.work_off().await, 0);
    assert_eq!(scene.receiver.ids()[got..], ["ORDER-3_3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_told_of_a_disabled_webhook_although_the_sandbox_that_disabled_it_died() {
    let scene = WebhookTestbed::start().await;
    let url = scene.keys.webhook("shop").await.expect("read");
    let Some(Webhook::Active(endpoint)) = url.as_deref() else {
        panic!("an active webhook")
    };
    let now = scene.clock.now();
    let run = GoneRun {
        since: now,
        counted_at: now,
        count: 4,
    };
    let gone = LastAnswer {
        answer: "410".to_owned(),
        at: now,
        since: now,
        gone: Some(run),
        failing: None,
    };
    let noted = scene.keys.note_answer("shop", &endpoint.url, None, &gone);
    assert!(noted.await.expect("written"));
    let disabled = scene
        .keys
        .disable_webhook("shop", &endpoint.url, &run, "410", now);
    disabled.await.expect("written");
    // Its message comes again.
    let lines = Lines::default();
    assert_eq!(lines.of(scene.again("ORDER-1", 2)).await, 0);
    assert_eq!(lines.take("ERROR").len(), 1);
    assert_eq!(scene.kept().await, ["ORDER-1_1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_says_410_to_one_event_and_takes_another_keeps_its_webhook() {
    let scene = WebhookTestbed::start().await;
    for hour in 0..=8 {
        scene.receiver.answer_next(StatusCode::GONE);
        let taken = Duration::from_millis(50);
        scene.receiver.answer_after(taken, StatusCode::NO_CONTENT);
        let both = ["ORDER-1", "ORDER-2"];
        let both = both.map(|order| record_of(order, on_the_bus(&event(order, hour)), 1));
        let answer = scene.process(both.into(), PLENTY_MS).await;
        assert_eq!(failed(&answer).len(), 1, "after {hour} hours");
        scene.clock.advance(Duration::from_secs(3_600));
    }
    let state = scene.keys.webhook_state("shop").await.expect("read");
    let state = state.expect("a webhook");
    assert_eq!(state.disabled, None);
    let last = state.last_answer.expect("an answer");
    assert_eq!((last.answer.as_str(), last.gone), ("204", None));
}

/// The possible faults of any call.
const FAULTS: [Fault; 4] = [
    Fault::DieBefore,
    Fault::DieAfter,
    Fault::LostAnswer,
    Fault::ServiceFault,
];

#[tokio::test(flavor = "multi_thread")]
async fn wherever_the_disabling_of_a_webhook_is_cut_off_its_event_is_kept() {
    let scene = WebhookTestbed::start().await;
    for fault in FAULTS {
        for nth in 0.. {
            scene.set_up("shop", &scene.receiver.url(), 1).await;
            scene.clock.advance(Duration::from_secs(60));
            scene.say_410_each_hour(6).await;
            let order = format!("ORDER-{fault:?}-{nth}");
            if !scene.strike(&order, nth, fault, StatusCode::GONE).await {
                assert!(nth >= 4, "reading, and three writes: {nth}");
                break;
            }
            let state = scene.keys.webhook_state("shop").await.expect("read");
            assert!(state.expect("a webhook").disabled.is_some(), "{order}");
            assert!(
                scene.kept().await.contains(&format!("{order}_1")),
                "{order}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_the_delivery_of_a_kept_event_is_cut_off_it_is_taken_and_leaves_the_record() {
    let scene = WebhookTestbed::start().await;
    // It is not of just now.
    let age_s = scene.clock.now().0 - event("ORDER-1", 1).at.0;
    let missing_s = u64::try_from(1_000 - age_s).unwrap_or_default();
    scene.clock.advance(Duration::from_secs(missing_s));
    for fault in FAULTS {
        for nth in 0.. {
            let order = format!("ORDER-{fault:?}-{nth}");
            let (event, now) = (event(&order, 1), scene.clock.now());
            let because = UndeliveredReason::GivenUp;
            let kept = scene.undelivered.keep(&event, because, now);
            kept.await.expect("kept");
            let taken = StatusCode::NO_CONTENT;
            let is_struck = scene.strike(&order, nth, fault, taken).await;
            let id = event.webhook_id();
            assert!(scene.receiver.ids().contains(&id), "{order}");
            assert!(!scene.kept().await.contains(&id), "{order}");
            if !is_struck {
                assert!(nth >= 2, "a note and leaving the record: {nth}");
                break;
            }
            scene.clock.advance(Duration::from_secs(60));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_kept_comes_again() {
    let scene = WebhookTestbed::start().await;
    scene.say_410_for_hours().await;
    let puts = Match::operation(Service::DynamoDb, "PutItem");
    scene.wire.break_all(puts, Fault::ServiceFault);
    scene.publish(&event("ORDER-1", 3)).await;
    assert_eq!(scene.work_off().await, 1, "the message stays in the queue");
    scene.wire.mend();
    let again = record_of("again", on_the_bus(&event("ORDER-1", 3)), 2);
    assert!(failed(&scene.process(vec![again], PLENTY_MS).await).is_empty());
    assert_eq!(scene.kept().await, ["ORDER-0_3", "ORDER-1_3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_event_leaves_the_record_when_it_is_sent_again_and_taken_and_not_before() {
    let scene = WebhookTestbed::start().await;
    scene.say_410_for_hours().await;
    scene.set_up("shop", &scene.receiver.url(), 2).await;
    scene.clock.advance(Duration::from_secs(60));
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let event = event("ORDER-0", 3);
    for (status, kept) in [(StatusCode::BAD_GATEWAY, 1), (StatusCode::OK, 0)] {
        scene.receiver.answer_next(status);
        let sent = scene.queue.send_webhook(&event, traceparent);
        sent.await.expect("queued");
        scene.work_off().await;
        assert_eq!(scene.kept().await.len(), kept, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_given_up_is_kept_and_one_that_is_moved_back_and_taken_leaves() {
    let scene = WebhookTestbed::start().await;
    scene.receiver.answer_next(StatusCode::BAD_GATEWAY);
    let mut given_up = event("ORDER-1", 3);
    given_up.at = scene.clock.now();
    let last = record_of("last", on_the_bus(&given_up), MAX_RECEIVE_COUNT);
    assert_eq!(
        failed(&scene.process(vec![last], PLENTY_MS).await),
        ["last"]
    );
    assert_eq!(scene.kept().await, ["ORDER-1_3"]);
    // From the dead-letter queue, two days later: only its age distinguishes it from a new message.
    scene.clock.advance(Duration::from_secs(2 * 24 * 3_600));
    scene.publish(&given_up).await;
    assert_eq!(scene.work_off().await, 0);
    assert!(scene.kept().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_sent_again_says_whose_it_is_so_that_the_queue_is_fair() {
    let scene = WebhookTestbed::start().await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let event = event("ORDER-1", 3);
    let sent = scene.queue.send_webhook(&event, traceparent);
    sent.await.expect("queued");
    let [message] = &scene.received()[..] else {
        panic!("one message")
    };
    assert_eq!(message.group_id.as_deref(), Some("shop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_answered_last_is_written_down_for_its_client() {
    let scene = WebhookTestbed::start().await;
    let last = async || {
        let state = scene.keys.webhook_state("shop").await.expect("read");
        let last = state.expect("a webhook").last_answer;
        last.map(|last| (last.answer, scene.clock.now().0 - last.since.0))
    };
    assert_eq!(last().await, None);
    let mut sent = 0;
    for (status, seconds, expected) in [
        (StatusCode::OK, 0, ("200", 0)),
        (StatusCode::OK, 90, ("200", 90)),
        (StatusCode::BAD_GATEWAY, 1, ("502", 0)),
    ] {
        scene.clock.advance(Duration::from_secs(seconds));
        scene.receiver.answer_next(status);
        sent += 1;
        scene.publish(&event("ORDER-1", sent)).await;
        scene.work_off().await;
        let (answer, since_s) = expected;
        assert_eq!(last().await, Some((answer.to_owned(), since_s)), "{status}");
    }
}

/// What an operator is told while the cause is not a receiver's.
pub(crate) const CAUSE_IS_OURS: &str = "events cannot be sent, for a cause on our side";

#[tokio::test(flavor = "multi_thread")]
async fn a_cause_on_our_side_is_told_from_the_second_attempt_on_and_once_an_hour() {
    let (scene, lines) = (WebhookTestbed::start().await, Lines::default());
    let down = Match::service(Service::DynamoDb);
    scene.wire.break_all(down, Fault::Denied);
    let told_after = async |attempt| {
        assert_eq!(lines.of(scene.again("ORDER-1", attempt)).await, 1);
        let told = lines.take("ERROR");
        let told = told.iter().filter(|line| line["message"] == CAUSE_IS_OURS);
        told.count()
    };
    assert_eq!(told_after(1).await, 0, "it may pass");
    assert_eq!(told_after(2).await, 1);
    assert_eq!(told_after(3).await, 0);
    scene.clock.advance(Duration::from_secs(3_600));
    assert_eq!(told_after(4).await, 1);
}

/// What an operator is told of a receiver that is down.
pub(crate) const TAKES_NOTHING: &str = "a receiver of webhooks has taken nothing for half an hour";

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_takes_nothing_is_told_of_once_by_a_sandbox_although_that_cannot_be_written_down()
 {
    let (scene, lines) = (WebhookTestbed::start().await, Lines::default());
    scene.set_up("shop", "http://127.0.0.1:9/gone", 1).await;
    // Ten events at a time, as a batch has them.
    let fails_after = async |seconds| {
        scene.clock.advance(Duration::from_secs(seconds));
        let records = (1..=10).map(|n| {
            let body = on_the_bus(&event(&format!("ORDER-{n}"), 1));
            record_of(&n.to_string(), body, 1)
        });
        let answer = scene.process(records.collect(), PLENTY_MS);
        assert_eq!(failed(&lines.of(answer).await).len(), 10);
        let told = lines.take("ERROR");
        assert!(told.iter().all(|line| line["message"] == TAKES_NOTHING));
        told.len()
    };
    assert_eq!(fails_after(0).await, 0);
    assert_eq!(fails_after(1_799).await, 0);
    let write = Match::operation(Service::DynamoDb, "UpdateItem");
    scene.wire.break_all(write, Fault::ServiceFault);
    assert_eq!(fails_after(61).await, 1);
    assert_eq!(fails_after(61).await, 0);
    scene.wire.mend();
    for seconds in [61, 3_600] {
        assert_eq!(fails_after(seconds).await, 0);
    }
    // It takes one, and fails for half an hour again.
    scene.set_up("shop", &scene.receiver.url(), 1).await;
    scene.clock.advance(Duration::from_secs(60));
    assert_eq!(scene.again("ORDER-1", 2).await, 0);
    scene.set_up("shop", "http://127.0.0.1:9/gone", 1).await;
    assert_eq!(fails_after(60).await, 0);
    assert_eq!(fails_after(1_800).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_place_s_410_does_not_end_the_new_one() {
    let scene = WebhookTestbed::start().await;
    let new = Receiver::start().await;
    // The second time, the function reads the webhook and writes nothing.
    for version in [2, 3] {
        scene.publish(&event("ORDER-1", version)).await;
        assert_eq!(scene.work_off().await, 0, "the function has the old place");
    }
    scene.set_up("shop", &new.url(), 2).await;
    scene.receiver.answer_next(StatusCode::GONE);
    scene.publish(&event("ORDER-2", 3)).await;
    assert_eq!(scene.work_off().await, 1, "it is tried again");
    let again = record_of("again", on_the_bus(&event("ORDER-2", 3)), 2);
    let answer = scene.process(vec![again], PLENTY_MS).await;
    assert!(failed(&answer).is_empty());
    assert_eq!(new.ids(), ["ORDER-2_3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let scene = WebhookTestbed::start().await;
    let elsewhere = Receiver::start().await;
    for status in [StatusCode::FOUND, StatusCode::TEMPORARY_REDIRECT] {
        let to = [(header::LOCATION, elsewhere.url())];
        scene.receiver.answer_next((status, to));
        scene.publish(&event("ORDER-1", 3)).await;
        assert_eq!(scene.work_off().await, 1);
    }
    assert_eq!(scene.receiver.got().len(), 2);
    assert!(elsewhere.got().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_by_name_and_by_number() {
    let scene = WebhookTestbed::without_webhook("false").await;
    let lines = Lines::default();
    runbooks::row_says(
        "webhooks.md",
        "`the webhook may not be sent there`",
        &[
            "`no answer: the host of the webhook has no public address`",
            "the address is no public one, or not HTTPS",
        ],
    );
    let trap = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    trap.set_nonblocking(true).expect("a socket");
    let port = trap.local_addr().expect("bound").port();
    let (refused, unknown) = (
        "the webhook may not be sent there",
        "no answer: the host of the webhook has no public address",
    );
    for (client_id, url, says) in [
        ("by-name", format!("https://localhost:{port}/"), unknown),
        ("by-number", format!("https://127.0.0.1:{port}/"), refused),
        (
            "by-odd-number",
            format!("https://2130706433:{port}/"),
            refused,
        ),
        ("in-the-clear", format!("http://127.0.0.1:{port}/"), refused),
    ] {
        scene.set_up(client_id, &url, 1).await;
        let mut event = event("ORDER-1", 3);
        event.client_id = ClientId::new(client_id);
        scene.publish(&event).await;
        assert_eq!(lines.of(scene.work_off()).await, 1, "{url}");
        let error = not_delivered(&lines.take("WARN")).expect("a line");
        assert!(error.contains(says), "{url}: {error}");
        // Not even a connection was opened.
        let nobody = trap.accept().expect_err("nobody came");
        assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock, "{url}");
    }
    assert_eq!(scene.hidden.times_s(), [5; 4], "a person may still mend it");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_record_does_not_hold_up_the_others() {
    let scene = WebhookTestbed::start().await;
    let of_another_kind = on_the_bus(&event("ORDER-9", 1)).replace("order.changed", "order.lost");
    let batch = vec![
        record_of("1", on_the_bus(&event("ORDER-1", 2)), 1),
        record_of("2", "not a message".to_owned(), 1),
        record_of("3", of_another_kind, 1),
        record_of("4", on_the_bus(&event("ORDER-2", 2)), 1),
    ];
    let answer = scene.process(batch, PLENTY_MS).await;
    let mut failed = failed(&answer);
    failed.sort_unstable();
    assert_eq!(failed, ["2", "3"]);
    let mut ids = scene.receiver.ids();
    ids.sort_unstable();
    assert_eq!(ids, ["ORDER-1_2", "ORDER-2_2"]);
    assert!(scene.hidden.times_s().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_has_the_same_id_when_it_is_delivered_twice_and_when_it_is_replayed() {
    let scene = WebhookTestbed::start().await;
    let event = event("ORDER-1", 3);
    scene.publish(&event).await;
    scene.publish(&event).await;
    assert_eq!(scene.work_off().await, 0);
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    scene
        .queue
        .send_webhook(&event, traceparent)
        .await
        .expect("queued");
    assert_eq!(scene.work_off().await, 0);
    assert_eq!(scene.receiver.ids(), ["ORDER-1_3"; 3]);
    let got = scene.receiver.got();
    assert!(got.iter().all(|other| other.body == got[0].body));
    assert!(got.iter().all(|got| scene.believes(got, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_secret_is_changed_both_sign() {
    let scene = WebhookTestbed::start().await;
    scene.set_up("shop", &scene.receiver.url(), 2).await;
    scene.publish(&event("ORDER-1", 3)).await;
    assert_eq!(scene.work_off().await, 0);
    let got = &scene.receiver.got()[0];
    let signatures = got.header("webhook-signature").unwrap();
    assert_eq!(signatures.split(' ').count(), 2);
    assert!(scene.believes(got, 1) && scene.believes(got, 2));
    assert!(!scene.believes(got, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_of_its_own_orders_only() {
    let scene = WebhookTestbed::start().await;
    let kiosk = Receiver::start().await;
    scene.set_up("kiosk", &kiosk.url(), 7).await;
    let mut of_kiosk = event("ORDER-2", 2);
    of_kiosk.client_id = ClientId::new("kiosk");
    let mut of_nobody = event("ORDER-3", 2);
    of_nobody.client_id = ClientId::new("without-webhook");
    for event in [&event("ORDER-1", 2), &of_kiosk, &of_nobody] {
        scene.publish(event).await;
    }
    assert_eq!(scene.work_off().await, 0, "who has no webhook is not told");
    assert_eq!(scene.receiver.ids(), ["ORDER-1_2"]);
    assert_eq!(kiosk.ids(), ["ORDER-2_2"]);
    assert!(scene.believes(&kiosk.got()[0], 7) && !scene.believes(&kiosk.got()[0], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_receivers_of_a_batch_are_waited_for_side_by_side() {
    let scene = WebhookTestbed::start().await;
    scene.receiver.wait_for(10);
    join_all((1..=10).map(async |n| scene.publish(&event(&format!("ORDER-{n}"), 1)).await)).await;
    let messages = scene.received();
    assert_eq!(messages.len(), 10);
    let records = batch(WEBHOOKS, &messages).records;
    let answer = scene.process(records, PLENTY_MS).await;
    assert!(failed(&answer).is_empty(), "none waited for another's end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_too_slow_is_given_up_before_the_invocation_ends_and_holds_up_nobody_next()
 {
    let scene = WebhookTestbed::start().await;
    let kiosk = Receiver::start().await;
    scene.set_up("kiosk", &kiosk.url(), 7).await;
    scene.receiver.wait_for(usize::MAX);
    let slow = record_of("slow", on_the_bus(&event("ORDER-1", 3)), 1);
    let began = std::time::Instant::now();
    let answer = scene.process(vec![slow], 14_000).await;
    assert_eq!(failed(&answer), ["slow"]);
    assert!(began.elapsed() < Duration::from_millis(8_500));
    assert_eq!(scene.hidden.times_s(), [45], "not sooner than it is asked");
    scene.clock.advance(Duration::from_secs(30));

    // Nine more of its events and one of another client: the batch does not wait.
    let mut batch: Vec<SqsRecord> = (1..=9)
        .map(|n| record_of("slow", on_the_bus(&event(&format!("ORDER-{n}"), 4)), 1))
        .collect();
    let mut of_kiosk = event("ORDER-0", 2);
    of_kiosk.client_id = ClientId::new("kiosk");
    batch.push(record_of("kiosk", on_the_bus(&of_kiosk), 1));
    let began = std::time::Instant::now();
    let lines = Lines::default();
    let answer = lines.of(scene.process(batch, PLENTY_MS)).await;
    assert_eq!(failed(&answer), ["slow"; 9]);
    assert_eq!(scene.hidden.times_s()[1..], [15; 9]);
    let told = lines.take("WARN");
    let error = not_delivered(&told).expect("a line");
    assert!(error.ends_with("is left alone for now"), "{error}");
    let counts = |line: &Value| line["WebhooksNotTakenAgain"] == 1;
    assert!(!told.iter().any(counts), "it counts for no alarm: {told:?}");
    assert!(runbooks::page("webhooks.md").contains("(`is left alone for now`)"));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(kiosk.ids(), ["ORDER-0_2"]);
    assert_eq!(scene.receiver.ids(), ["ORDER-1_3"], "it is left alone");

    // Unless an event has no other attempt before it; and then it is asked again.
    scene.receiver.wait_for(0);
    // It has as much time as any other, although the receiver rests.
    let late = Duration::from_millis(u64::try_from(SLOW_MS).unwrap() + 1_000);
    scene.receiver.answer_after(late, StatusCode::NO_CONTENT);
    let last = record_of("last", on_the_bus(&event("ORDER-1", 3)), MAX_RECEIVE_COUNT);
    assert!(failed(&scene.process(vec![last], PLENTY_MS).await).is_empty());
    scene.clock.advance(Duration::from_secs(15));
    scene.publish(&event("ORDER-1", 4)).await;
    assert_eq!(scene.work_off().await, 0);
    let expected = ["ORDER-1_3", "ORDER-1_3", "ORDER-1_4"];
    assert_eq!(scene.receiver.ids(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_slow_and_answers_leaves_half_of_the_time_to_the_others() {
    let scene = WebhookTestbed::start().await;
    let kiosk = Receiver::start().await;
    scene.set_up("kiosk", &kiosk.url(), 7).await;
    scene.receiver.takes(&scene.clock, Duration::from_secs(7));
    assert_eq!(scene.again("ORDER-1", 1).await, 0, "taken all the same");
    assert_eq!(scene.again("ORDER-2", 1).await, 1, "left alone");
    assert_eq!(scene.hidden.times_s(), [7], "not sooner than it is asked");
    let mut of_kiosk = event("ORDER-3", 2);
    of_kiosk.client_id = ClientId::new("kiosk");
    scene.publish(&of_kiosk).await;
    assert_eq!(scene.work_off().await, 0);
    assert_eq!(kiosk.ids(), ["ORDER-3_2"]);
    scene.clock.advance(Duration::from_secs(7));
    assert_eq!(scene.again("ORDER-2", 2).await, 0);
    assert_eq!(scene.receiver.ids(), ["ORDER-1_1", "ORDER-2_1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_attempt_beyond_the_share_of_a_receiver_that_answers_slowly_is_cut_short() {
    let scene = WebhookTestbed::start().await;
    let took = Duration::from_secs(14);
    scene.receiver.takes(&scene.clock, took);
    let fails_after = async |attempt| {
        scene.receiver.answer_next(StatusCode::BAD_GATEWAY);
        assert_eq!(scene.again("ORDER-1", attempt).await, 1);
    };
    fails_after(1).await;
    // A last one has its share of the next pause, and then the receiver has had it.
    fails_after(MAX_RECEIVE_COUNT).await;
    let answer = async || {
        let state = scene.keys.webhook_state("shop").await.expect("read");
        let last = state.expect("a webhook").last_answer;
        last.expect("an answer").answer
    };
    assert_eq!(answer().await, "502");
    scene.receiver.takes(&scene.clock, Duration::ZERO);
    let late = Duration::from_millis(u64::try_from(SLOW_MS).unwrap() + 1_000);
    scene.receiver.answer_after(late, StatusCode::NO_CONTENT);
    assert_eq!(scene.again("ORDER-2", MAX_RECEIVE_COUNT).await, 1);
    assert_eq!(answer().await, "timed_out");
    assert_eq!(scene.receiver.got().len(), 3, "it was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_300_events_of_a_fast_receiver_half_wait_for_no_slow_one_however_many_there_are() {
    for count in [1, 2, 4] {
        let scene = WebhookTestbed::start().await;
        let took = Duration::from_secs(7);
        let mut slow = Vec::new();
        for n in 0..count {
            let receiver = Receiver::start().await;
            let client_id = format!("slow-{n}");
            scene.set_up(&client_id, &receiver.url(), 7).await;
            receiver.takes(&scene.clock, took);
            slow.push((client_id, receiver));
        }
        // Events of slow receivers one after the other, in each second in which none is waited for,
        // and then one of a fast receiver.
        let (mut fast, mut waited) = (0, 0);
        while fast < 300 {
            for (client_id, receiver) in &slow {
                let mut event = event("ORDER-1", 1);
                event.client_id = ClientId::new(client_id.as_str());
                let before = receiver.got().len();
                let record = record_of("slow", on_the_bus(&event), 1);
                scene.process(vec![record], PLENTY_MS).await;
                if receiver.got().len() > before {
                    waited += took.as_secs();
                    fast += took.as_secs();
                }
            }
            scene.clock.advance(Duration::from_secs(1));
            assert_eq!(scene.again(&format!("ORDER-{fast}"), 1).await, 0);
            fast += 1;
        }
        // Each is waited for once before it is known to be slow, and once more before all the
        // others are.
        let at_first = 2 * count * took.as_secs();
        assert!(
            waited <= fast / 2 + at_first,
            "{waited} of {fast}, {count} slow ones"
        );
        for (client_id, receiver) in &slow {
            assert!(receiver.got().len() > 1, "{client_id} is asked again");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_begun_when_the_time_is_nearly_up() {
    let scene = WebhookTestbed::start().await;
    let late = record_of("late", on_the_bus(&event("ORDER-1", 3)), 1);
    let answer = scene.process(vec![late], 13_999).await;
    assert_eq!(failed(&answer), ["late"]);
    assert!(scene.receiver.got().is_empty() && scene.hidden.times_s().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_on_our_side_is_tried_again_too() {
    let lines = Lines::default();
    for (down, is_the_receivers) in [
        (Match::service(Service::DynamoDb), false),
        (Match::service(Service::Kms), false),
        (
            Match::operation(Service::Sqs, "ChangeMessageVisibility"),
            true,
        ),
    ] {
        let scene = WebhookTestbed::start().await;
        scene.wire.break_all(down.clone(), Fault::ServiceFault);
        scene
            .receiver
            .answer_next(StatusCode::INTERNAL_SERVER_ERROR);
        let body = on_the_bus(&event("ORDER-1", 3));
        let second = vec![record_of("1", body.clone(), 2)];
        let answer = lines.of(scene.process(second, PLENTY_MS)).await;
        assert_eq!(failed(&answer), ["1"], "{down:?}");
        let counts = |line: &Value| line["WebhooksNotTakenAgain"] == 1;
        let mut told = lines.take_all();
        let ours = |line: &&Value| line["message"] == CAUSE_IS_OURS;
        let ours = told.iter().filter(ours).count();
        assert_eq!(ours, usize::from(!is_the_receivers), "{down:?}");
        told.retain(|line| line["level"] == "WARN");
        assert_eq!(told.iter().any(counts), is_the_receivers, "{down:?}");
        if !is_the_receivers {
            let unread = "where the webhook goes could not be read or changed";
            let error = not_delivered(&told).expect("a line");
            assert!(error.starts_with(&format!("{unread}: ")), "{error}");
            let row = runbooks::row("webhooks.md", &format!("all fail alike, `{unread}`"));
            assert!(row.contains("the keys table, or the secrets key in KMS"));
        }
        scene.wire.mend();
        scene.receiver.answer_next(StatusCode::OK);
        scene
            .process(vec![record_of("1", body, 3)], PLENTY_MS)
            .await;
        let last = scene.receiver.got().pop().expect("a webhook");
        assert!(scene.believes(&last, 1), "{down:?}");
    }
}

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
