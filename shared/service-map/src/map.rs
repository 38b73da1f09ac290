//! The map with its figures.

use serde::Serialize;

use crate::answers::Answers;
use crate::edges::{Edge, Failed, Times, TimesKind, Unit, edges};
use crate::metric::Metric;
use crate::nodes::{Figure, Node};
use crate::question::Hour;

/// The parts and the arrows of one hour.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceMap {
    pub from_s: i64,
    pub until_s: i64,
    pub nodes: Vec<MapNode>,
    pub edges: Vec<MapEdge>,
    /// How many metrics CloudWatch did not give in full.
    pub unfinished: usize,
    pub messages: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct MapNode {
    pub node: Node,
    pub name: &'static str,
    pub kind: crate::nodes::NodeKind,
    pub figures: Vec<NodeFigure>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct NodeFigure {
    pub figure: Figure,
    /// `None`: CloudWatch did not say.
    pub value: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct MapEdge {
    pub from: Vec<Node>,
    pub to: Node,
    pub counted: &'static str,
    /// `None`: CloudWatch did not say.
    pub calls: Option<u64>,
    /// `None`: no metric says so, or CloudWatch did not.
    pub failed: Option<u64>,
    pub times: Option<MapTimes>,
    pub health: Health,
    /// Whether CloudWatch gave all that was asked for it.
    pub is_whole: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct MapTimes {
    #[serde(skip)]
    pub kind: TimesKind,
    /// The median, or the average; in milliseconds. The largest of the hour's periods.
    pub usual_ms: Option<u64>,
    /// The 95th percentile, or the longest; the same way.
    pub long_ms: u64,
}

/// How many of the calls failed, in steps.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// CloudWatch did not say how many calls there were, or how many failed.
    Unknown,
    /// There were no calls.
    Quiet,
    /// There were, and whether they failed is not measured here.
    NotMeasured,
    /// None failed.
    Good,
    /// Less than one in a hundred.
    Few,
    /// One in a hundred, or more.
    Many,
}

impl ServiceMap {
    pub fn of(hour: Hour, answers: &Answers) -> Self {
        let nodes = Node::ALL.into_iter().map(|node| MapNode {
            node,
            name: node.name(),
            kind: node.kind(),
            figures: node
                .figures()
                .into_iter()
                .map(|(figure, metric)| NodeFigure {
                    figure,
                    value: answers.sum(std::slice::from_ref(&metric)),
                })
                .collect(),
        });
        Self {
            from_s: hour.from_s,
            until_s: hour.until_s,
            nodes: nodes.collect(),
            edges: edges()
                .iter()
                .map(|edge| MapEdge::of(edge, answers))
                .collect(),
            unfinished: answers.unfinished(),
            messages: answers.messages().to_vec(),
        }
    }

    /// Whether nothing at all was counted: a stack without traffic, or one whose metrics have
    /// another name.
    pub fn is_empty(&self) -> bool {
        let is_quiet = |edge: &MapEdge| edge.health == Health::Quiet;
        let no_runs = |node: &MapNode| node.figures.iter().all(|one| one.value == Some(0));
        self.edges.iter().all(is_quiet) && self.nodes.iter().all(no_runs)
    }

    /// A part's arrows, those that lead to it.
    pub fn arrows_to(&self, node: Node) -> impl Iterator<Item = &MapEdge> {
        self.edges.iter().filter(move |edge| edge.to == node)
    }
}

impl MapNode {
    /// Whether a figure of it wants a person's look.
    pub fn is_bad(&self) -> bool {
        self.figures.iter().any(NodeFigure::is_bad)
    }
}

impl NodeFigure {
    /// Whether it wants a person's look.
    pub fn is_bad(&self) -> bool {
        self.value.is_some_and(|value| value > 0) && self.figure.is_bad()
    }
}

impl MapEdge {
    fn of(edge: &Edge, answers: &Answers) -> Self {
        let calls = answers.sum(&edge.calls);
        let (calls, failed) = match &edge.failed {
            Failed::NotMeasured => (calls, None),
            Failed::Among(metrics) => (calls, answers.sum(metrics)),
            Failed::Beside(metrics) => {
                let failed = answers.sum(metrics);
                let all = calls.map(|calls| calls.saturating_add(failed.unwrap_or_default()));
                (all, failed)
            }
            // Good ones that CloudWatch did not give would be taken for failures.
            Failed::AllBut(metrics) => {
                let is_whole = answers.are_whole(&edge.calls) && answers.are_whole(metrics);
                let good = answers.sum(metrics).filter(|_| is_whole);
                let failed = calls
                    .zip(good)
                    .map(|(calls, good)| calls.saturating_sub(good));
                (calls, failed)
            }
        };
        let health = match (&edge.failed, calls, failed) {
            (Failed::NotMeasured, Some(calls), _) => Health::unmeasured(calls),
            (
                Failed::Among(_) | Failed::Beside(_) | Failed::AllBut(_),
                Some(calls),
                Some(failed),
            ) => Health::of(calls, failed),
            (Failed::Among(_) | Failed::Beside(_) | Failed::AllBut(_), _, None) | (_, None, _) => {
                Health::Unknown
            }
        };
        Self {
            from: edge.from.clone(),
            to: edge.to,
            counted: edge.counted,
            calls,
            failed,
            times: edge
                .times
                .as_ref()
                .and_then(|times| MapTimes::of(times, answers)),
            health,
            is_whole: edge.metrics().all(|metric| answers.is_whole(metric)),
        }
    }

    /// Whether there are calls, and may be more of them.
    pub const fn is_at_least(&self) -> bool {
        self.calls.is_some() && !self.is_whole
    }

    /// The share of calls that failed, in words: `0.1 %`. `None` where it is not known, or there
    /// were no calls.
    pub fn share(&self) -> Option<String> {
        let (calls, failed) = (self.calls?, self.failed?);
        if calls == 0 && failed == 0 {
            return None;
        }
        let of = u128::from(calls.max(failed));
        let tenths = u128::from(failed).saturating_mul(1000).div_ceil(of);
        Some(format!("{}.{} %", tenths / 10, tenths % 10))
    }
}

impl MapTimes {
    fn of(times: &Times, answers: &Answers) -> Option<Self> {
        let in_ms = |value: u64| match times.unit {
            Unit::Milliseconds => value,
            Unit::Seconds => value.saturating_mul(1000),
        };
        let longest = |metrics: &[Metric]| {
            let values = metrics.iter().filter_map(|metric| answers.of(metric));
            values.max().map(in_ms)
        };
        Some(Self {
            kind: times.kind,
            usual_ms: longest(&times.usual),
            long_ms: longest(&times.long)?,
        })
    }

    /// In words: `p50 80 ms, p95 210 ms`.
    pub fn words(self) -> String {
        let long = duration(self.long_ms);
        let (first, second) = match self.kind {
            TimesKind::Percentiles => ("p50", "p95"),
            TimesKind::AverageAndLongest => ("average", "longest"),
            TimesKind::Oldest => return format!("oldest {long}"),
        };
        match self.usual_ms {
            Some(usual) => format!("{first} {}, {second} {long}", duration(usual)),
            None => format!("{second} {long}"),
        }
    }
}

impl Health {
    const fn unmeasured(calls: u64) -> Self {
        match calls {
            0 => Self::Quiet,
            1.. => Self::NotMeasured,
        }
    }

    fn of(calls: u64, failed: u64) -> Self {
        match failed {
            0 if calls == 0 => Self::Quiet,
            0 => Self::Good,
            failed if failed.saturating_mul(100) < calls => Self::Few,
            1.. => Self::Many,
        }
    }
}

/// `80 ms`, `1.2 s`, `3 min`.
fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min", ms / 60_000),
    }
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::metric::Statistic;
    use crate::question::{Question, id};

    /// The map of an hour in which these metrics had these values.
    fn map(values: &[(&str, Statistic, &[&str], &str)]) -> ServiceMap {
        let question = Question::at(3600);
        let results: Vec<_> = question
            .metrics()
            .iter()
            .enumerate()
            .map(|(place, metric)| {
                let all = values.iter().filter(|(name, statistic, texts, _)| {
                    let has = |text: &&str| {
                        metric
                            .dimensions
                            .iter()
                            .any(|(_, value)| format!("{value:?}").contains(&format!("\"{text}\"")))
                    };
                    metric.name == *name && metric.statistic == *statistic && texts.iter().all(has)
                });
                let all: Vec<serde_json::Value> = all
                    .map(|(.., value)| serde_json::from_str(value).unwrap())
                    .collect();
                json!({"Id": id(place), "Values": all, "StatusCode": "Complete"})
            })
            .collect();
        let mut answers = Answers::to(&question);
        answers
            .take(&json!({"MetricDataResults": results}))
            .unwrap();
        ServiceMap::of(question.hour(), &answers)
    }

    fn into(map: &ServiceMap, node: Node) -> MapEdge {
        map.arrows_to(node).next().unwrap().clone()
    }

    #[test]
    fn callbacks_that_were_not_good_failed() {
        let map = map(&[
            ("CallbacksGood", Statistic::SampleCount, &[], "1000"),
            ("CallbacksGood", Statistic::Sum, &[], "999"),
            ("CallbackAckMs", Statistic::P50, &[], "12"),
            ("CallbackAckMs", Statistic::P95, &[], "1345"),
        ]);
        let edge = into(&map, Node::ReceiveCallback);
        assert_eq!((edge.calls, edge.failed), (Some(1000), Some(1)));
        assert_eq!(edge.health, Health::Few);
        assert_eq!(edge.share().unwrap(), "0.1 %");
        assert_eq!(edge.times.unwrap().words(), "p50 12 ms, p95 1.3 s");
        assert!(!map.is_empty());
    }

    #[test]
    fn a_refusal_of_one_request_by_wechat_pay_is_no_failure_of_the_call() {
        let count = Statistic::SampleCount;
        let map = map(&[
            ("WechatCallMs", count, &["prepay_native", "done"], "90"),
            (
                "WechatCallMs",
                count,
                &["prepay_h5", "refused_request"],
                "8",
            ),
            ("WechatCallMs", count, &["prepay_app", "no_answer"], "2"),
            ("WechatCallMs", count, &["close", "refused_merchant"], "1"),
            ("WechatCallMs", count, &["main", "done"], "90"),
        ]);
        let prepay = into(&map, Node::Prepay);
        assert_eq!((prepay.calls, prepay.failed), (Some(100), Some(2)));
        assert_eq!(prepay.health, Health::Many);
        let queries = into(&map, Node::Queries);
        assert_eq!(queries.share().unwrap(), "100.0 %");
        assert_eq!(into(&map, Node::MainHost).health, Health::Good);
        assert_eq!(into(&map, Node::Refunds).health, Health::Quiet);
    }

    #[test]
    fn throttled_calls_of_a_table_are_calls_too_and_a_queue_measures_no_failures() {
        let map = map(&[
            (
                "SuccessfulRequestLatency",
                Statistic::SampleCount,
                &["GetItem"],
                "97",
            ),
            ("WriteThrottleEvents", Statistic::Sum, &[], "3"),
            (
                "NumberOfMessagesSent",
                Statistic::Sum,
                &["payment-results"],
                "5",
            ),
            (
                "ApproximateAgeOfOldestMessage",
                Statistic::Maximum,
                &["payment-results"],
                "190",
            ),
            (
                "ApproximateNumberOfMessagesVisible",
                Statistic::Maximum,
                &["payment-results-dlq"],
                "2",
            ),
        ]);
        let orders = into(&map, Node::Orders);
        assert_eq!((orders.calls, orders.failed), (Some(100), Some(3)));
        let results = into(&map, Node::PaymentResults);
        assert_eq!(results.health, Health::NotMeasured);
        assert_eq!(results.share(), None);
        let taken = map
            .arrows_to(Node::ProcessPayment)
            .find(|edge| edge.from == [Node::PaymentResults]);
        assert_eq!(taken.unwrap().times.unwrap().words(), "oldest 3 min");
        let node = map.nodes.iter().find(|it| it.node == Node::PaymentResults);
        assert!(node.unwrap().is_bad());
    }

    #[test]
    fn an_hour_without_values_is_quiet_everywhere() {
        let map = map(&[]);
        assert!(map.is_empty());
        assert!(map.edges.iter().all(|edge| edge.health == Health::Quiet));
        assert!(map.edges.iter().all(|edge| edge.share().is_none()));
    }

    #[test]
    fn what_cloudwatch_did_not_answer_is_unknown_and_no_failure_and_no_zero() {
        let question = Question::at(3600);
        let none = ServiceMap::of(question.hour(), &Answers::to(&question));
        assert!(!none.is_empty());
        let is_unknown = |edge: &MapEdge| {
            edge.health == Health::Unknown && edge.calls.is_none() && edge.share().is_none()
        };
        assert!(none.edges.iter().all(is_unknown));
        let mut figures = none.nodes.iter().flat_map(|node| &node.figures);
        assert!(figures.all(|one| one.value.is_none() && !one.is_bad()));
        // All calls are known, and of the good ones nothing.
        let results = question
            .metrics()
            .iter()
            .enumerate()
            .filter_map(|(place, metric)| {
                let is_it =
                    metric.name == "CallbacksGood" && metric.statistic == Statistic::SampleCount;
                is_it.then(|| json!({"Id": id(place), "Values": [9], "StatusCode": "Complete"}))
            });
        let page = json!({"MetricDataResults": results.collect::<Vec<_>>()});
        let mut answers = Answers::to(&question);
        answers.take(&page).unwrap();
        let edge = into(
            &ServiceMap::of(question.hour(), &answers),
            Node::ReceiveCallback,
        );
        assert_eq!((edge.calls, edge.failed), (Some(9), None));
        assert_eq!(edge.health, Health::Unknown);
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
