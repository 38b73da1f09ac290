//! What a million orders cost at AWS. The flows run here over the real handlers; calls, DynamoDB's
//! units and log lines are counted, and `infra/prices.json` has the prices. `cargo cost` makes
//! `infra/COST.md` of them. A call or a log line more in a flow fails the test until the page is
//! made again.

mod day;
mod page;
mod usage;

use std::time::Duration;

use runtime::clock::Clock;
use serde_json::json;
use testbed::{
    Call, FaultyTransport, Service,
    template::{resources, template},
};
use wechatpay_simulator::{Damage, PayOptions};

use crate::{
    support::{Lines, Testbed, TestbedOptions, native},
    webhooks::{WebhookTestbed, event, on_the_bus},
};
use usage::{FUNCTIONS, Function, Usage};

/// Order numbers as long as merchants have them.
const WARM: &str = "WARM-202611300000001";
const ORDER: &str = "ORDER-20261130000001";
/// The table of keys.
const KEYS: &str = "keys";
/// The estimated time of WeChat Pay's answer.
const WECHAT_PAY_MS: u128 = 200;
/// Sweeps in a month of 30 days.
const SWEEPS: u128 = 30 * 24 * 60;
/// Lambda's requests to each queue in a month without any message: five long polls of 20 seconds.
const POLLS: u128 = 5 * 3 * SWEEPS;

/// A flow, and how many of a thousand orders take it.
struct Flow {
    name: &'static str,
    per_mille: u128,
    usage: Usage,
}

/// Runs `work` and counts what it uses. What a sandbox does once a minute, however many orders it
/// has, is not counted: it reads its keys, and opens them when they have changed.
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

/// A number is longer one time than another, so tens of bytes count, and what was measured in
/// milliseconds has three digits: more of them on a busy machine would change the page.
fn logged(lines: &Lines) -> u128 {
    let mut lines = lines.take_all();
    for line in lines
        .iter_mut()
        .filter_map(serde_json::Value::as_object_mut)
    {
        for (name, value) in line.iter_mut() {
            if value.is_number() && (name.ends_with("Ms") || name.ends_with("_ms")) {
                *value = 100.into();
            }
        }
    }
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
    let events = testbed.journal(ORDER).await.len();
    usage
        .by_a_request()
        .in_a_run(Function::CreateOrder)
        .with_events(events)
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
    let events_before = testbed.journal(ORDER).await.len();
    let received = counted(&testbed, async {
        assert_eq!(testbed.receive(&signed(ORDER)).await.status, 204);
    })
    .await;
    let settled = counted(&testbed, async {
        assert_eq!(testbed.work_off().await, 0);
    })
    .await;
    let events = testbed.journal(ORDER).await.len() - events_before;
    (
        received.by_a_request().in_a_run(Function::ReceiveCallback),
        settled
            .by_a_queue()
            .in_a_run(Function::ProcessPayment)
            .with_events(events),
    )
}

async fn read() -> Usage {
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
        let events_before = testbed.journal(order_no).await.len();
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
        let events = testbed.journal(order_no).await.len() - events_before;
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
            .with_events(events);
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
    // Its creation counts the first two events: reserved and awaiting payment.
    let events = testbed.journal(ORDER).await.len() - 2;
    let ms = Function::Reconcile.ms().0 * u128::from(asked);
    (
        idle,
        usage.for_ms(Function::Reconcile, ms).with_events(events),
    )
}

/// An event on its way to a receiver, and how long it is.
async fn webhook() -> (Usage, u128) {
    let testbed = WebhookTestbed::start().await;
    testbed.publish(&event(WARM, 3)).await;
    assert_eq!(testbed.work_off().await, 0);
    let mut event = event(ORDER, 3);
    event.at = testbed.clock.now();
    testbed.publish(&event).await;
    let usage = counted_over(&testbed.wire, &testbed.clock, async {
        assert_eq!(testbed.work_off().await, 0);
    });
    let mut usage = usage.await;
    // From the bus into the queue.
    usage.sqs_requests += 1;
    let bytes = on_the_bus(&event).len();
    (
        usage.by_a_queue().in_a_run(Function::SendWebhook),
        u128::try_from(bytes).expect("few"),
    )
}

/// All flows of a million orders, and what they use in addition.
struct Counted {
    flows: Vec<Flow>,
    jsapi: Usage,
    idle: Usage,
    read: Usage,
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
            flow("query an unpaid one, and close it", 100, unpaid),
            flow("refund", 100, refund),
        ],
        jsapi: create(signer, "jsapi").await,
        idle,
        read: read().await,
        webhook,
        event_bytes,
        day: Box::pin(day::count()).await,
    }
}

/// What the template has of alarms.
struct Alarms {
    /// Metrics that alarms watch, each once for each alarm: so they are billed.
    watched: u128,
    composites: u128,
    dashboards: u128,
    /// How many metrics of the stack's own these alarms watch.
    own: u128,
}

fn alarms() -> Alarms {
    let number = |count: usize| u128::try_from(count).expect("few");
    // Those of optional parts are not in a stack of the defaults.
    let always = |name: &str| template()["Resources"][name]["Condition"].is_null();
    // An alarm over metric math is billed by the metrics that it asks for.
    let watched: Vec<&serde_json::Value> = resources("AWS::CloudWatch::Alarm")
        .filter(|(name, _)| always(name))
        .flat_map(|(_, alarm)| match alarm["Metrics"].as_array() {
            Some(queries) => {
                let metrics = queries.iter();
                let metrics = metrics.filter_map(|query| query.pointer("/MetricStat/Metric"));
                metrics.collect()
            }
            None => vec![alarm],
        })
        .collect();
    let own: std::collections::BTreeSet<_> = watched
        .iter()
        .filter(|metric| metric["Namespace"] == "AWS::StackName")
        .filter_map(|metric| metric["MetricName"].as_str())
        .collect();
    Alarms {
        watched: number(watched.len()),
        composites: number(
            resources("AWS::CloudWatch::CompositeAlarm")
                .filter(|(name, _)| always(name))
                .count(),
        ),
        dashboards: number(resources("AWS::CloudWatch::Dashboard").count()),
        own: number(own.len()),
    }
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
        "infra/COST.md is not what the flows use any more; `cargo cost` writes it again: {differs:?}"
    );
    assert!(
        total <= page::LIMIT_MICRO_USD,
        "{total} millionths of a dollar"
    );
}

/// Not a test but `cargo cost`, which needs all that a test of flows needs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it writes infra/COST.md: cargo cost"]
async fn the_page_is_written_again() {
    let (made, _) = page::made().await;
    std::fs::write(page::PATH, made).expect("a file");
}
