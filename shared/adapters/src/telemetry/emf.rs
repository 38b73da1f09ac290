//! Metrics as log lines, in CloudWatch's Embedded Metric Format: CloudWatch makes metrics of them, and no call is made.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::io::Write;

use serde_json::{Map, Value, json};

/// What a metric counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// Things.
    Count,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Bytes.
    Bytes,
    /// What CloudWatch has no word for: fen, say.
    None,
}

/// Metrics of one moment, under one set of dimensions.
#[derive(Clone, Debug)]
pub struct Metrics {
    namespace: String,
    dimensions: Vec<(String, String)>,
    metrics: Vec<(String, Unit, i64)>,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Seconds => "Seconds",
            Self::Milliseconds => "Milliseconds",
            Self::Bytes => "Bytes",
            Self::None => "None",
        }
    }
}

impl Metrics {
    /// CloudWatch takes this many dimensions in one set.
    pub const DIMENSIONS_MAX: usize = 30;
    /// And this many metrics in one line.
    pub const METRICS_MAX: usize = 100;

    /// No metrics so far, under this namespace.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            dimensions: Vec::new(),
            metrics: Vec::new(),
        }
    }

    /// Adds a dimension. Each of its values makes a metric of its own, and is paid for as one. An empty value is none to
    /// CloudWatch, so it is left out; so are dimensions over [`Self::DIMENSIONS_MAX`].
    #[must_use]
    pub fn dimension(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() && self.dimensions.len() < Self::DIMENSIONS_MAX {
            self.dimensions.push((name.to_owned(), value));
        }
        self
    }

    /// Adds a metric, whose name is none of a dimension's. Those over [`Self::METRICS_MAX`] are left out.
    #[must_use]
    pub fn metric(mut self, name: &str, unit: Unit, value: i64) -> Self {
        if self.metrics.len() < Self::METRICS_MAX {
            self.metrics.push((name.to_owned(), unit, value));
        }
        self
    }

    /// The line, without its end; `at_ms` is the moment in Unix milliseconds.
    pub fn line(&self, at_ms: i64) -> String {
        let names: Vec<&str> = self
            .dimensions
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let described: Vec<Value> = self
            .metrics
            .iter()
            .map(|(name, unit, _)| json!({"Name": name, "Unit": unit.name()}))
            .collect();
        let mut line = Map::new();
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": at_ms,
                "CloudWatchMetrics": [{
                    "Namespace": self.namespace,
                    "Dimensions": [names],
                    "Metrics": described,
                }],
            }),
        );
        for (name, value) in &self.dimensions {
            line.insert(name.clone(), json!(value));
        }
        for (name, _, value) in &self.metrics {
            line.insert(name.clone(), json!(value));
        }
        Value::Object(line).to_string()
    }

    /// Prints the line to standard output, beside the lines of the log.
    pub fn print(&self, at_ms: i64) {
        #[cfg(any(test, feature = "testing"))]
        if KEPT_BACK.load(std::sync::atomic::Ordering::SeqCst) {
            return;
        }
        let line = self.line(at_ms);
        // In one write, so that no line of the log comes in between. Where standard output is gone, nobody counts.
        drop(
            std::io::stdout()
                .lock()
                .write_all(format!("{line}\n").as_bytes()),
        );
    }
}

/// Whether lines are kept back.
#[cfg(any(test, feature = "testing"))]
static KEPT_BACK: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// From now on nothing is printed by this process: for a program of tests whose output is read by people.
#[cfg(any(test, feature = "testing"))]
pub fn keep_back() {
    KEPT_BACK.store(true, std::sync::atomic::Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_MS: i64 = 1_785_556_800_123;

    fn read(metrics: &Metrics) -> Value {
        let line = metrics.line(AT_MS);
        assert_eq!(line.lines().count(), 1, "{line}");
        serde_json::from_str(&line).expect("JSON")
    }

    #[test]
    fn a_line_has_the_members_that_the_specification_requires_and_the_value_of_each() {
        let metrics = Metrics::new("wechatpay-on-lambda")
            .dimension("Kind", "amount_differs")
            .dimension("Bill", "trade")
            .metric("Differences", Unit::Count, 3)
            .metric("DifferenceFen", Unit::None, -1250);
        assert_eq!(
            read(&metrics),
            json!({
                "_aws": {
                    "Timestamp": AT_MS,
                    "CloudWatchMetrics": [{
                        "Namespace": "wechatpay-on-lambda",
                        "Dimensions": [["Kind", "Bill"]],
                        "Metrics": [
                            {"Name": "Differences", "Unit": "Count"},
                            {"Name": "DifferenceFen", "Unit": "None"},
                        ],
                    }],
                },
                "Kind": "amount_differs",
                "Bill": "trade",
                "Differences": 3,
                "DifferenceFen": -1250,
            })
        );
    }

    #[test]
    fn every_name_that_is_referred_to_is_a_member_of_the_line() {
        let line = read(
            &Metrics::new("ns")
                .dimension("Empty", "")
                .dimension("Account", "茶 \"and\" \n more")
                .metric("Lag", Unit::Seconds, 7)
                .metric("Took", Unit::Milliseconds, 8)
                .metric("Size", Unit::Bytes, 9),
        );
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        for name in directive["Dimensions"][0].as_array().expect("a set") {
            let value = &line[name.as_str().expect("a name")];
            assert!(
                value.as_str().is_some_and(|value| !value.is_empty()),
                "{name}"
            );
        }
        for metric in directive["Metrics"].as_array().expect("a list") {
            let name = metric["Name"].as_str().expect("a name");
            assert!(line[name].is_i64(), "{name}");
        }
        assert!(line.get("Empty").is_none());
    }

    #[test]
    fn without_dimensions_there_is_one_empty_set() {
        let line = read(&Metrics::new("ns").metric("Runs", Unit::Count, 1));
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            json!([[]])
        );
    }

    #[test]
    fn more_than_cloudwatch_takes_is_left_out() {
        let mut metrics = Metrics::new("ns");
        for count in 0..200 {
            metrics = metrics.dimension(&format!("D{count}"), "x").metric(
                &format!("M{count}"),
                Unit::Count,
                count,
            );
        }
        let directive = read(&metrics)["_aws"]["CloudWatchMetrics"][0].clone();
        assert_eq!(directive["Metrics"].as_array().expect("a list").len(), 100);
        let dimensions = directive["Dimensions"][0].as_array().expect("a set").len();
        assert_eq!(dimensions, 30);
    }
}
