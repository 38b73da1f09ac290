//! The arrows of the map, each with the metrics of its calls, errors and times.
//!
//! A metric often has no dimension for the caller: a queue counts its messages whoever sends them.
//! So an arrow may come from several parts, and its figures are those of all of them together.

use crate::metric::{Metric, Statistic};
use crate::nodes::Node;

/// Who calls whom, and what is measured of it.
#[derive(Clone, Debug)]
pub struct Edge {
    pub from: Vec<Node>,
    pub to: Node,
    /// What is counted.
    pub counted: &'static str,
    /// The metrics whose sum it is.
    pub calls: Vec<Metric>,
    pub failed: Failed,
    pub times: Option<Times>,
}

/// How many of the calls failed.
#[derive(Clone, Debug)]
pub enum Failed {
    /// No metric says so: what goes wrong is seen behind it.
    NotMeasured,
    /// The sum of these, which are among the calls.
    Among(Vec<Metric>),
    /// The sum of these, which are not among the calls.
    Beside(Vec<Metric>),
    /// The calls that are none of these.
    AllBut(Vec<Metric>),
}

/// How long it took. Of several metrics the longest counts.
#[derive(Clone, Debug)]
pub struct Times {
    pub kind: TimesKind,
    pub unit: Unit,
    pub usual: Vec<Metric>,
    pub long: Vec<Metric>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TimesKind {
    /// The median and the 95th percentile.
    Percentiles,
    /// For metrics of which AWS keeps no percentiles.
    AverageAndLongest,
    /// How long the oldest waits, and nothing usual.
    Oldest,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    Milliseconds,
    Seconds,
}

/// What came of calls to WeChat Pay (`wechat_client::api::CallResult`).
const OUTCOMES: [&str; 8] = [
    "done",
    "refused_request",
    "refused_merchant",
    "refused_passing",
    "refused_unknown",
    "unverified",
    "unreadable",
    "no_answer",
];
/// Of these WeChat Pay works as it should: a refusal of one request is an answer about that order.
const GOOD_OUTCOMES: [&str; 2] = ["done", "refused_request"];

/// Interfaces of WeChat Pay (`wechatpay::api::Interface`), by what they are for.
pub const PREPAY: &[&str] = &["prepay_jsapi", "prepay_app", "prepay_h5", "prepay_native"];
pub const QUERIES: &[&str] = &["query_by_out_trade_no", "query_by_transaction_id", "close"];
pub const REFUNDS: &[&str] = &["create_refund", "query_refund", "abnormal_refund"];
/// No function asks `security_echo` today; it would be counted here.
pub const BILLS: &[&str] = &[
    "trade_bill",
    "fund_flow_bill",
    "bill_file",
    "certificates",
    "security_echo",
];

/// The calls on the orders table that functions make.
const TABLE_CALLS: [&str; 6] = [
    "GetItem",
    "TransactGetItems",
    "PutItem",
    "UpdateItem",
    "TransactWriteItems",
    "Query",
];

/// All arrows.
pub fn edges() -> Vec<Edge> {
    let mut all = api();
    all.extend(queues());
    all.extend(aws());
    all.extend(wechat_pay());
    all.extend(webhooks());
    all
}

fn api() -> Vec<Edge> {
    let by_lambda = |function: Node| Edge {
        from: vec![Node::Api],
        to: function,
        counted: "requests",
        calls: vec![Metric::lambda(
            "Invocations",
            function.name(),
            Statistic::Sum,
        )],
        failed: Failed::Among(vec![Metric::lambda(
            "Errors",
            function.name(),
            Statistic::Sum,
        )]),
        times: Some(Times::percentiles(Unit::Milliseconds, |statistic| {
            vec![Metric::lambda("Duration", function.name(), statistic)]
        })),
    };
    vec![
        Edge {
            from: vec![Node::Clients, Node::Notifier, Node::Staff],
            to: Node::Api,
            counted: "requests",
            calls: vec![Metric::api("Count", Statistic::Sum)],
            failed: Failed::Among(vec![Metric::api("5xx", Statistic::Sum)]),
            times: Some(Times::percentiles(Unit::Milliseconds, |statistic| {
                vec![Metric::api("Latency", statistic)]
            })),
        },
        Edge {
            from: vec![Node::Api],
            to: Node::CreateOrder,
            counted: "orders asked for",
            calls: vec![Metric::ours("OrderAnswerMs", Statistic::SampleCount)],
            failed: Failed::Among(vec![Metric::ours_by(
                "OrderAnswerMs",
                &[("answer", "failed")],
                Statistic::SampleCount,
            )]),
            times: Some(Times::percentiles(Unit::Milliseconds, |statistic| {
                vec![Metric::ours("OrderAnswerMs", statistic)]
            })),
        },
        by_lambda(Node::ManageOrder),
        Edge {
            from: vec![Node::Api],
            to: Node::ReceiveCallback,
            counted: "callbacks",
            calls: vec![Metric::ours("CallbacksGood", Statistic::SampleCount)],
            failed: Failed::AllBut(vec![Metric::ours("CallbacksGood", Statistic::Sum)]),
            times: Some(Times::percentiles(Unit::Milliseconds, |statistic| {
                vec![Metric::ours("CallbackAckMs", statistic)]
            })),
        },
        by_lambda(Node::Console),
    ]
}

fn queues() -> Vec<Edge> {
    let into = |queue: Node, from: &[Node]| Edge {
        from: from.to_vec(),
        to: queue,
        counted: "messages",
        calls: vec![Metric::queue(
            "NumberOfMessagesSent",
            queue.name(),
            Statistic::Sum,
        )],
        failed: Failed::NotMeasured,
        times: None,
    };
    vec![
        into(
            Node::PaymentRequests,
            &[
                Node::CreateOrder,
                Node::ManageOrder,
                Node::ProcessPayment,
                Node::Reconcile,
            ],
        ),
        into(Node::PaymentResults, &[Node::ReceiveCallback]),
        into(
            Node::ReconcileWork,
            &[Node::Console, Node::Scheduler, Node::Reconcile],
        ),
        out_of(Node::PaymentRequests, Node::ProcessPayment),
        out_of(Node::PaymentResults, Node::ProcessPayment),
        out_of(Node::ReconcileWork, Node::Reconcile),
        Edge {
            from: vec![Node::Scheduler],
            to: Node::Reconcile,
            counted: "checks of the sweep",
            calls: vec![Metric::ours("ChecksDone", Statistic::Sum)],
            failed: Failed::Among(vec![Metric::ours("ChecksFailed", Statistic::Sum)]),
            times: Some(Times::oldest(Metric::of_merchant(
                "OldestOverdue",
                Statistic::Maximum,
            ))),
        },
    ]
}

fn out_of(queue: Node, to: Node) -> Edge {
    Edge {
        from: vec![queue],
        to,
        counted: "messages received",
        calls: vec![Metric::queue(
            "NumberOfMessagesReceived",
            queue.name(),
            Statistic::Sum,
        )],
        failed: Failed::NotMeasured,
        times: Some(Times::oldest(Metric::queue(
            "ApproximateAgeOfOldestMessage",
            queue.name(),
            Statistic::Maximum,
        ))),
    }
}

fn aws() -> Vec<Edge> {
    let each_call = |statistic| {
        TABLE_CALLS
            .map(|call| Metric::table_call("SuccessfulRequestLatency", call, statistic))
            .to_vec()
    };
    vec![
        Edge {
            from: vec![
                Node::CreateOrder,
                Node::ManageOrder,
                Node::ProcessPayment,
                Node::Reconcile,
                Node::Console,
            ],
            to: Node::Orders,
            counted: "calls",
            calls: each_call(Statistic::SampleCount),
            failed: Failed::Beside(vec![
                Metric::table("ReadThrottleEvents", Statistic::Sum),
                Metric::table("WriteThrottleEvents", Statistic::Sum),
            ]),
            times: Some(Times {
                kind: TimesKind::AverageAndLongest,
                unit: Unit::Milliseconds,
                usual: each_call(Statistic::Average),
                long: each_call(Statistic::Maximum),
            }),
        },
        Edge {
            from: vec![
                Node::CreateOrder,
                Node::ManageOrder,
                Node::ReceiveCallback,
                Node::ProcessPayment,
                Node::Reconcile,
                Node::SendWebhook,
            ],
            to: Node::Kms,
            counted: "calls",
            calls: vec![Metric::ours("KmsCalls", Statistic::Sum)],
            failed: Failed::Among(vec![Metric::ours("KmsThrottles", Statistic::Sum)]),
            times: None,
        },
    ]
}

fn wechat_pay() -> Vec<Edge> {
    let groups = [
        (
            Node::Prepay,
            PREPAY,
            vec![Node::CreateOrder, Node::ProcessPayment],
        ),
        (
            Node::Queries,
            QUERIES,
            vec![Node::ManageOrder, Node::ProcessPayment, Node::Reconcile],
        ),
        (
            Node::Refunds,
            REFUNDS,
            vec![Node::ManageOrder, Node::ProcessPayment, Node::Reconcile],
        ),
        (Node::Bills, BILLS, vec![Node::Reconcile]),
    ];
    let hosts = [(Node::MainHost, "main"), (Node::BackupHost, "backup")];
    let by_host = hosts.map(|(node, host)| {
        let from = groups.iter().map(|(group, ..)| *group).collect();
        calls_of("host", &[host], from, node)
    });
    let by_interface = groups
        .iter()
        .map(|(node, interfaces, from)| calls_of("interface", interfaces, from.clone(), *node));
    by_interface.chain(by_host).collect()
}

/// Calls to WeChat Pay with one of these values of a dimension.
fn calls_of(field: &'static str, values: &[&'static str], from: Vec<Node>, to: Node) -> Edge {
    let with = |outcomes: &[&'static str], statistic| -> Vec<Metric> {
        let each = values.iter().flat_map(|value| {
            outcomes.iter().map(|outcome| {
                let by = [(field, *value), ("outcome", *outcome)];
                Metric::ours_by("WechatCallMs", &by, statistic)
            })
        });
        each.collect()
    };
    Edge {
        from,
        to,
        counted: "calls",
        calls: with(&OUTCOMES, Statistic::SampleCount),
        failed: Failed::AllBut(with(&GOOD_OUTCOMES, Statistic::SampleCount)),
        times: Some(Times::percentiles(Unit::Milliseconds, |statistic| {
            with(&["done"], statistic)
        })),
    }
}

fn webhooks() -> Vec<Edge> {
    let not_taken = Metric::of_merchant("WebhooksNotTaken", Statistic::Sum);
    vec![
        Edge {
            from: vec![Node::Orders],
            to: Node::Pipe,
            // Batches of events: a run that fails is counted as one, whatever it had.
            counted: "runs",
            calls: vec![Metric::pipe("Invocations", Statistic::Sum)],
            failed: Failed::Among(vec![
                Metric::pipe("ExecutionFailed", Statistic::Sum),
                Metric::pipe("ExecutionPartiallyFailed", Statistic::Sum),
            ]),
            times: Some(Times {
                kind: TimesKind::AverageAndLongest,
                unit: Unit::Milliseconds,
                usual: vec![Metric::pipe("Duration", Statistic::Average)],
                long: vec![Metric::pipe("Duration", Statistic::Maximum)],
            }),
        },
        Edge {
            from: vec![Node::Pipe],
            to: Node::Bus,
            counted: "events",
            calls: vec![Metric::rule("MatchedEvents", Statistic::Sum)],
            failed: Failed::NotMeasured,
            times: None,
        },
        Edge {
            from: vec![Node::Bus],
            to: Node::Webhooks,
            counted: "events",
            calls: vec![Metric::rule("Invocations", Statistic::Sum)],
            failed: Failed::Among(vec![Metric::rule("FailedInvocations", Statistic::Sum)]),
            times: None,
        },
        // From the change to the first attempt: what came before the receivers.
        Edge {
            times: Some(Times::percentiles(Unit::Seconds, |statistic| {
                vec![Metric::ours("WebhookDelay", statistic)]
            })),
            ..out_of(Node::Webhooks, Node::SendWebhook)
        },
        Edge {
            from: vec![Node::SendWebhook],
            to: Node::Receivers,
            counted: "attempts",
            calls: vec![
                Metric::of_merchant("WebhooksDelivered", Statistic::Sum),
                not_taken.clone(),
            ],
            failed: Failed::Among(vec![not_taken]),
            times: None,
        },
    ]
}

impl Times {
    fn percentiles(unit: Unit, metrics: impl Fn(Statistic) -> Vec<Metric>) -> Self {
        Self {
            kind: TimesKind::Percentiles,
            unit,
            usual: metrics(Statistic::P50),
            long: metrics(Statistic::P95),
        }
    }

    fn oldest(metric: Metric) -> Self {
        Self {
            kind: TimesKind::Oldest,
            unit: Unit::Seconds,
            usual: Vec::new(),
            long: vec![metric],
        }
    }
}

impl Edge {
    /// All that CloudWatch is asked for it.
    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        let failed = match &self.failed {
            Failed::NotMeasured => &[][..],
            Failed::Among(metrics) | Failed::Beside(metrics) | Failed::AllBut(metrics) => metrics,
        };
        let times = self.times.iter();
        let times = times.flat_map(|times| times.usual.iter().chain(&times.long));
        self.calls.iter().chain(failed).chain(times)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_part_has_an_arrow_and_none_is_drawn_twice() {
        let mut arrows = BTreeSet::new();
        let mut touched = BTreeSet::new();
        for edge in edges() {
            touched.insert(edge.to);
            for from in edge.from {
                assert_ne!(from, edge.to);
                assert!(arrows.insert((from, edge.to)), "{from:?} to {:?}", edge.to);
                touched.insert(from);
            }
        }
        assert_eq!(touched, Node::ALL.into_iter().collect());
    }
}
