//! What CloudWatch is asked: one `GetMetricData` for all metrics of the map.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html>

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::edges::edges;
use crate::metric::{Metric, StackNames};
use crate::nodes::Node;

/// The operation.
pub const OPERATION: &str = "GetMetricData";

/// The length of a data point. The hour is asked for in pieces since its end is no full hour, and
/// CloudWatch does not say how it cuts a longer period then. Five minutes are also what it reads
/// fastest where both ends are multiples of them.
pub const PERIOD_S: i64 = 300;

const HOUR_S: i64 = 3600;

/// As many metrics as one call takes.
pub const METRICS_MAX: usize = 500;

/// The hour that the map shows, in Unix seconds: from, and until just before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hour {
    pub from_s: i64,
    pub until_s: i64,
}

/// The question: its metrics, each once, and the hour.
#[derive(Clone, Debug)]
pub struct Question {
    metrics: Vec<Metric>,
    hour: Hour,
}

impl Hour {
    /// The last one that ends with a full period.
    pub const fn before(now_s: i64) -> Self {
        let until_s = now_s.div_euclid(PERIOD_S) * PERIOD_S;
        Self {
            from_s: until_s - HOUR_S,
            until_s,
        }
    }
}

impl Question {
    /// The map of the last hour.
    pub fn at(now_s: i64) -> Self {
        let edges = edges();
        let of_edges = edges.iter().flat_map(|edge| edge.metrics().cloned());
        let of_nodes = Node::ALL.into_iter().flat_map(|node| {
            let figures = node.figures().into_iter();
            figures.map(|(_, metric)| metric)
        });
        let metrics: BTreeSet<Metric> = of_edges.chain(of_nodes).collect();
        Self {
            metrics: metrics.into_iter().collect(),
            hour: Hour::before(now_s),
        }
    }

    pub const fn hour(&self) -> Hour {
        self.hour
    }

    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// The body of the call. `next_token` is that of the page before.
    pub fn body(&self, names: &StackNames, next_token: Option<&str>) -> Value {
        let queries = self.metrics.iter().enumerate().map(|(place, metric)| {
            let dimensions = metric
                .dimensions
                .iter()
                .map(|(name, value)| json!({ "Name": name, "Value": value.text(names) }));
            json!({
                "Id": id(place),
                "MetricStat": {
                    "Metric": {
                        "Namespace": metric.namespace.name(names),
                        "MetricName": metric.name,
                        "Dimensions": dimensions.collect::<Vec<Value>>(),
                    },
                    "Period": PERIOD_S,
                    "Stat": metric.statistic.name(),
                },
            })
        });
        let mut body = json!({
            "MetricDataQueries": queries.collect::<Vec<Value>>(),
            "StartTime": self.hour.from_s,
            "EndTime": self.hour.until_s,
            "ScanBy": "TimestampAscending",
        });
        if let (Some(token), Some(members)) = (next_token, body.as_object_mut()) {
            members.insert("NextToken".to_owned(), token.into());
        }
        body
    }
}

/// The id of the metric in this place: it begins with a small letter, as CloudWatch wants it.
pub(crate) fn id(place: usize) -> String {
    format!("m{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> StackNames {
        StackNames {
            stack: "live".to_owned(),
            mchid: "1900000001".to_owned(),
            api_id: "abc123".to_owned(),
        }
    }

    #[test]
    fn one_call_has_room_for_all_metrics_and_asks_for_each_once() {
        let question = Question::at(1_785_556_923);
        assert!(question.metrics().len() <= METRICS_MAX);
        let body = question.body(&names(), None);
        let queries = body["MetricDataQueries"].as_array().unwrap();
        assert_eq!(queries.len(), question.metrics().len());
        let asked: BTreeSet<String> = queries
            .iter()
            .map(|query| query["MetricStat"].to_string())
            .collect();
        assert_eq!(asked.len(), queries.len());
        let queue = queries
            .iter()
            .find(|query| query["MetricStat"]["Metric"]["MetricName"] == "NumberOfMessagesSent");
        let dimensions = &queue.unwrap()["MetricStat"]["Metric"]["Dimensions"];
        assert_eq!(dimensions[0]["Name"], "QueueName");
        assert!(
            dimensions[0]["Value"]
                .as_str()
                .unwrap()
                .starts_with("live-")
        );
        assert_eq!(body.get("NextToken"), None);
        let next = question.body(&names(), Some("more"));
        assert_eq!(next["NextToken"], "more");
    }

    #[test]
    fn the_hour_ends_with_the_last_full_five_minutes() {
        let hour = Hour::before(1_785_556_923);
        assert_eq!(hour.until_s, 1_785_556_800);
        assert_eq!(hour.from_s, 1_785_553_200);
    }
}
