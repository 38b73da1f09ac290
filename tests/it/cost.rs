//! What a million orders cost at AWS: the flows run here over the real handlers, their calls are
//! counted, DynamoDB says what it charges for each, lines of the log are measured, and
//! `infra/prices.json` has the prices. `infra/COST.md` is made of all that by `cargo cost`. A call
//! or a line more in a flow makes the page untrue, and the test says so.

mod day;
mod page;

use std::time::Duration;

use runtime::clock::Clock;
use serde_json::{Value, json};
use testbed::{
    Call, FaultyTransport, Service,
    template::{resource, resources, template},
};
use wechatpay_simulator::{Damage, PayOptions};

use crate::{
    support::{Lines, Testbed, TestbedOptions, native},
    webhooks::{WebhookTestbed, event, on_the_bus},
};

/// A function, by its name in the template.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Function {
    CreateOrder,
    ManageOrder,
    ReceiveCallback,
    ProcessPayment,
    Reconcile,
    SendWebhook,
}

const FUNCTIONS: [Function; 6] = [
    Function::CreateOrder,
    Function::ManageOrder,
    Function::ReceiveCallback,
    Function::ProcessPayment,
    Function::Reconcile,
    Function::SendWebhook,
];

impl Function {
    fn logical(self) -> &'static str {
        match self {
            Self::CreateOrder => "CreateOrder",
            Self::ManageOrder => "ManageOrder",
            Self::ReceiveCallback => "ReceiveCallback",
            Self::ProcessPayment => "ProcessPayment",
            Self::Reconcile => "Reconcile",
            Self::SendWebhook => "SendWebhook",
        }
    }

    /// What one run is reckoned to take, in milliseconds, and what of.
    fn ms(self) -> (u128, &'static str) {
        match self {
            Self::CreateOrder => (
                250,
                "200 for WeChat Pay, the rest for three writes and itself",
            ),
            Self::ManageOrder => (40, "calls to AWS one after the other, 5 to 10 each"),
            Self::ReceiveCallback => (15, "one call to SQS, and itself"),
            Self::ProcessPayment => (
                25,
                "two or three calls to DynamoDB; 200 more with WeChat Pay",
            ),
            Self::Reconcile => (20, "for each check more in a sweep, at 50 checks a second"),
            Self::SendWebhook => (100, "the receiver's answer"),
        }
    }

    fn memory_mb(self) -> u128 {
        let own = resource(self.logical()).get("MemorySize");
        let memory = own.or_else(|| template().pointer("/Globals/Function/MemorySize"));
        u128::from(memory.and_then(Value::as_u64).expect("a size"))
    }

    /// What Lambda itself writes of one run: START, END and REPORT, unless it is told not to.
    fn logged_by_lambda(self) -> u128 {
        // Of `!If` the second value is that of a stack which logs at `info`.
        let level = template().pointer("/Globals/Function/LoggingConfig/SystemLogLevel/2");
        if level == Some(&json!("WARN")) {
            0
        } else {
            330
        }
    }
}

/// Order numbers as long as merchants have them.
const WARM: &str = "WARM-202611300000001";
const ORDER: &str = "ORDER-20261130000001";
/// The table of keys.
const KEYS: &str = "keys";
/// What WeChat Pay is reckoned to take for an answer.
const WECHAT_PAY_MS: u128 = 200;
/// What Lambda asks of a queue for a message that comes alone: to receive it and to delete it.
const ASKED_OF_A_QUEUE: u128 = 2;
/// Sweeps in a month of 30 days.
const SWEEPS: u128 = 30 * 24 * 60;
/// What Lambda asks of each queue in a month without any message: five long polls of 20 seconds.
const POLLS: u128 = 5 * 3 * SWEEPS;

/// What a flow takes once.
#[derive(Clone, Debug, Default)]
struct Usage {
    calls: Vec<String>,
    api_requests: u128,
    runs: u128,
    /// Memory times duration.
    mb_ms: u128,
    half_writes: u128,
    half_reads: u128,
    sqs_requests: u128,
    kms_requests: u128,
    log_bytes: u128,
    events: u128,
}

/// A flow, and how many of a thousand orders take it.
struct Flow {
    name: &'static str,
    per_mille: u128,
    usage: Usage,
}

impl Usage {
    fn in_a_run(self, of: Function) -> Self {
        self.in_a_run_with(of, 0)
    }

    /// A run that takes so much longer.
    fn in_a_run_with(mut self, of: Function, more_ms: u128) -> Self {
        self.runs += 1;
        self.log_bytes += of.logged_by_lambda();
        self.for_ms(of, of.ms().0 + more_ms)
    }

    fn for_ms(mut self, of: Function, ms: u128) -> Self {
        self.mb_ms += of.memory_mb() * ms;
        self
    }

    fn by_a_request(mut self) -> Self {
        self.api_requests += 1;
        self.log_bytes += logged_by_the_api();
        self
    }

    fn by_a_queue(mut self) -> Self {
        self.sqs_requests += ASKED_OF_A_QUEUE;
        self
    }

    fn telling(mut self, events: usize) -> Self {
        self.events += u128::try_from(events).expect("few");
        self
    }

    fn and(mut self, other: Self) -> Self {
        self.calls.extend(other.calls);
        self.api_requests += other.api_requests;
        self.runs += other.runs;
        self.mb_ms += other.mb_ms;
        self.half_writes += other.half_writes;
        self.half_reads += other.half_reads;
        self.sqs_requests += other.sqs_requests;
        self.kms_requests += other.kms_requests;
        self.log_bytes += other.log_bytes;
        self.events += other.events;
        self
    }

    /// What is left without those of an idle sweep, which come anyway.
    fn beyond(mut self, idle: &Self) -> Self {
        let mut idle_calls = idle.calls.clone();
        self.calls.retain(|call| {
            let is_idle = idle_calls.iter().position(|idle| idle == call);
            is_idle.inspect(|at| drop(idle_calls.remove(*at))).is_none()
        });
        self.half_writes = self.half_writes.saturating_sub(idle.half_writes);
        self.half_reads = self.half_reads.saturating_sub(idle.half_reads);
        self.log_bytes = self.log_bytes.saturating_sub(idle.log_bytes);
        self
    }
}

/// What the API logs of one request: the template's format with values as they come.
fn logged_by_the_api() -> u128 {
    let format = resource("ApiStage").pointer("/AccessLogSettings/Format");
    let format = format.and_then(|text| text.as_str()).expect("a format");
    let values = [
        ("$context.requestTimeEpoch", "1796029243000"),
        ("$context.requestId", "JKJaXmPLvHcESHA="),
        ("$context.routeKey", "POST /v1/callbacks/wechatpay"),
        ("$context.status", "201"),
        ("$context.responseLatency", "250"),
        ("$context.integrationLatency", "245"),
        ("$context.integrationStatus", "200"),
        ("$context.responseLength", "512"),
        ("$context.identity.sourceIp", "101.226.103.112"),
        ("$context.error.messageString", "-"),
        ("$context.integrationErrorMessage", "-"),
    ];
    let line = values
        .iter()
        .fold(format.to_owned(), |line, (name, value)| {
            line.replace(&format!("\"{name}\""), &format!("\"{value}\""))
        });
    assert!(!line.contains("$context"), "a value is missing: {line}");
    u128::try_from(line.len()).expect("few")
}

/// Runs `work` and counts what it takes. What a sandbox does once a minute, however many orders it
/// has, is left out: it reads its keys, and opens them when they have changed.
async fn counted(testbed: &Testbed, work: impl Future<Output = ()>) -> Usage {
    counted_over(&testbed.wire, &testbed.clock, work).await
}

async fn counted_over(
    wire: &FaultyTransport,
    clock: &Clock,
    work: impl Future<Output = ()>,
) -> Usage {
    wire.forget();
    wire.meter();
    let lines = Lines::by(clock.clone());
    lines.of(work).await;
    let mut usage = Usage {
        log_bytes: logged(&lines),
        ..Usage::default()
    };
    for charge in wire.charges() {
        let is_read = ["GetItem", "BatchGetItem", "Query"].contains(&charge.operation.as_str());
        let halves = u128::from(charge.half_units);
        if charge.place == KEYS {
            continue;
        }
        if is_read {
            usage.half_reads += halves;
        } else {
            usage.half_writes += halves;
        }
    }
    for call in wire.calls() {
        if call.resource == KEYS || call.operation == "Decrypt" {
            continue;
        }
        match call.service {
            Service::Sqs => usage.sqs_requests += 1,
            Service::Kms => usage.kms_requests += 1,
            Service::DynamoDb | Service::S3 => {}
        }
        usage.calls.push(name(&call));
    }
    usage
}

fn name(call: &Call) -> String {
    match call.service {
        Service::DynamoDb => format!("{} {}", call.operation, call.resource),
        Service::Sqs | Service::Kms | Service::S3 => call.operation.clone(),
    }
}

/// A number is longer one time than another, so tens of bytes count.
fn logged(lines: &Lines) -> u128 {
    let lines = lines.take_all();
    let bytes: usize = lines.iter().map(|line| line.to_string().len()).sum();
    u128::try_from(bytes.div_ceil(10) * 10).expect("few")
}

async fn with_signer(signer: &'static str) -> Testbed {
    Testbed::with(TestbedOptions {
        signer,
        ..TestbedOptions::default()
    })
    .await
}

async fn create(signer: &'static str, product: &str) -> Usage {
    let testbed = with_signer(signer).await;
    let order = |order_no| {
        let mut order = native(order_no);
        if product == "jsapi" {
            order["product"] = json!("jsapi");
            order["openid"] = json!("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o");
        }
        order
    };
    assert_eq!(testbed.post_order(&order(WARM)).await.status, 201);
    let usage = counted(&testbed, async {
        assert_eq!(testbed.post_order(&order(ORDER)).await.status, 201);
    })
    .await;
    let told = testbed.journal(ORDER).await.len();
    usage
        .by_a_request()
        .in_a_run(Function::CreateOrder)
        .telling(told)
}

/// A callback, and its settling.
async fn callback(signer: &'static str) -> (Usage, Usage) {
    let testbed = with_signer(signer).await;
    let admin = testbed.wechat.admin();
    for order_no in [WARM, ORDER] {
        testbed.post_order(&native(order_no)).await;
        admin.pay(order_no, &PayOptions::default()).unwrap();
    }
    let signed = |order_no| admin.signed_callback(order_no, &Damage::None).unwrap();
    testbed.receive(&signed(WARM)).await;
    testbed.work_off().await;
    let told_before = testbed.journal(ORDER).await.len();
    let received = counted(&testbed, async {
        assert_eq!(testbed.receive(&signed(ORDER)).await.status, 204);
    })
    .await;
    let settled = counted(&testbed, async {
        assert_eq!(testbed.work_off().await, 0);
    })
    .await;
    let told = testbed.journal(ORDER).await.len() - told_before;
    (
        received.by_a_request().in_a_run(Function::ReceiveCallback),
        settled
            .by_a_queue()
            .in_a_run(Function::ProcessPayment)
            .telling(told),
    )
}

async fn look() -> Usage {
    let testbed = with_signer("sealed").await;
    testbed.post_order(&native(ORDER)).await;
    testbed.get_order(ORDER).await;
    let usage = counted(&testbed, async {
        assert_eq!(testbed.get_order(ORDER).await.status, 200);
    })
    .await;
    usage.by_a_request().in_a_run(Function::ManageOrder)
}

/// A refund from the request to the news that the money has arrived.
async fn refund(signer: &'static str, callback: &Usage) -> Usage {
    let testbed = with_signer(signer).await;
    let admin = testbed.wechat.admin();
    let mut usage = Usage::default();
    for order_no in [WARM, ORDER] {
        testbed.post_order(&native(order_no)).await;
        admin.pay(order_no, &PayOptions::default()).unwrap();
        testbed.deliver().await;
        testbed.work_off().await;
        let told_before = testbed.journal(order_no).await.len();
        let asked = counted(&testbed, async {
            assert!(testbed.refund(order_no, "R-1", 40).await.status < 300);
        })
        .await;
        let sent = counted(&testbed, async {
            assert_eq!(testbed.work_off().await, 0);
        })
        .await;
        let settled = counted(&testbed, async {
            testbed.advance(Duration::from_secs(60)).await;
            assert_eq!(testbed.work_off().await, 0);
        })
        .await;
        let shown = testbed.get_refund(order_no, "R-1").await;
        assert_eq!(shown.body["state"], "succeeded", "{shown:?}");
        let told = testbed.journal(order_no).await.len() - told_before;
        // Its callback comes over HTTP meanwhile: its message is among the calls, its lines are
        // not.
        let received = Usage {
            calls: Vec::new(),
            sqs_requests: 0,
            ..callback.clone()
        };
        usage = asked
            .by_a_request()
            .in_a_run(Function::ManageOrder)
            .and(
                sent.by_a_queue()
                    .in_a_run_with(Function::ProcessPayment, WECHAT_PAY_MS),
            )
            .and(settled.by_a_queue().in_a_run(Function::ProcessPayment))
            .and(received)
            .telling(told);
    }
    usage
}

/// A sweep that finds nothing; and what an order takes beyond that which is never paid, from its
/// making to its end.
async fn unpaid(signer: &'static str) -> (Usage, Usage) {
    let testbed = with_signer(signer).await;
    testbed.sweep().await;
    let idle = counted(&testbed, async {
        testbed.sweep().await;
    })
    .await;
    testbed.post_order(&native(ORDER)).await;
    testbed.wechat.admin().reset_requests();
    let mut usage = Usage::default();
    // At the ages at which an order is asked about, and after its end.
    for wait_s in [61, 120, 120, 300, 1_200, 1_800, 3_600, 60] {
        testbed.advance(Duration::from_secs(wait_s)).await;
        let swept = counted(&testbed, async {
            testbed.sweep().await;
        })
        .await;
        usage = usage.and(swept.beyond(&idle));
    }
    assert_eq!(testbed.get_order(ORDER).await.body["state"], "closed");
    let asked: u64 = testbed.wechat.admin().requests().values().sum();
    // Reserved and awaiting payment: these are told when it is made.
    let told = testbed.journal(ORDER).await.len() - 2;
    let ms = Function::Reconcile.ms().0 * u128::from(asked);
    (idle, usage.for_ms(Function::Reconcile, ms).telling(told))
}

/// An event on its way to a receiver, and how long it is.
async fn webhook() -> (Usage, u128) {
    let testbed = WebhookTestbed::start().await;
    testbed.publish(&event(WARM, 3)).await;
    assert_eq!(testbed.work_off().await, 0);
    let mut told = event(ORDER, 3);
    told.at = testbed.clock.now();
    testbed.publish(&told).await;
    let usage = counted_over(&testbed.wire, &testbed.clock, async {
        assert_eq!(testbed.work_off().await, 0);
    });
    let mut usage = usage.await;
    // From the bus into the queue.
    usage.sqs_requests += 1;
    let bytes = on_the_bus(&told).len();
    (
        usage.by_a_queue().in_a_run(Function::SendWebhook),
        u128::try_from(bytes).expect("few"),
    )
}

/// All flows of a million orders, and what comes beside.
struct Counted {
    flows: Vec<Flow>,
    jsapi: Usage,
    idle: Usage,
    look: Usage,
    webhook: Usage,
    event_bytes: u128,
    day: day::Day,
}

async fn count(signer: &'static str) -> Counted {
    let (received, settled) = callback(signer).await;
    let (idle, unpaid) = unpaid(signer).await;
    let refund = refund(signer, &received).await;
    let (webhook, event_bytes) = webhook().await;
    let flow = |name, per_mille, usage| Flow {
        name,
        per_mille,
        usage,
    };
    Counted {
        flows: vec![
            flow("create an order", 1_000, create(signer, "native").await),
            flow("take its callback", 900, received),
            flow("settle it", 900, settled),
            flow("ask about an unpaid one, and close it", 100, unpaid),
            flow("refund", 100, refund),
        ],
        jsapi: create(signer, "jsapi").await,
        idle,
        look: look().await,
        webhook,
        event_bytes,
        day: Box::pin(day::count()).await,
    }
}

/// How many alarms the template has, and how many metrics of the stack's own these look at.
fn alarms_and_metrics() -> (u128, u128) {
    let alarms: Vec<_> = resources("AWS::CloudWatch::Alarm").collect();
    let metrics: std::collections::BTreeSet<_> = alarms
        .iter()
        .filter(|(_, alarm)| {
            alarm
                .get("Namespace")
                .is_some_and(|of| of == "AWS::StackName")
        })
        .filter_map(|(_, alarm)| alarm.get("MetricName")?.as_str())
        .collect();
    let number = |count: usize| u128::try_from(count).expect("few");
    (number(alarms.len()), number(metrics.len()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_what_the_flows_take_and_a_million_orders_are_within_the_limit() {
    let (made, total) = page::made().await;
    let written = std::fs::read_to_string(page::PATH).expect("infra/COST.md");
    let differs = made
        .lines()
        .zip(written.lines())
        .find(|(made, written)| made != written);
    assert!(
        made == written,
        "infra/COST.md is not what the flows take any more; `cargo cost` writes it anew: {differs:?}"
    );
    assert!(
        total <= page::LIMIT_MICRO_USD,
        "{total} millionths of a dollar"
    );
}

/// Not a test but `cargo cost`, which needs all that a test of flows needs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it writes infra/COST.md: cargo cost"]
async fn the_page_is_written_anew() {
    let (made, _) = page::made().await;
    std::fs::write(page::PATH, made).expect("a file");
}
