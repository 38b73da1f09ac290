//! The values that lines put into metrics.

use std::collections::BTreeMap;

use runtime::{
    clock::Clock,
    telemetry::metrics::{METRICS, Owner},
};
use serde_json::Value;

use crate::support::{Lines, MCHID, Testbed};

type Dimensions = BTreeMap<String, String>;

/// Values by metric and dimensions, in the order of their lines.
#[derive(Debug, Default)]
pub(crate) struct Values(Vec<(String, Dimensions, i64)>);

impl Values {
    /// Those of this work.
    pub(crate) async fn of<T>(testbed: &Testbed, work: impl Future<Output = T>) -> Self {
        Self::by(&testbed.clock, work).await
    }

    /// Those of this work, by another clock.
    pub(crate) async fn by<T>(clock: &Clock, work: impl Future<Output = T>) -> Self {
        let lines = Lines::by(clock.clone());
        lines.of(work).await;
        Self::read(&lines.take_all())
    }

    /// Those of these lines.
    pub(crate) fn read(lines: &[Value]) -> Self {
        let mut values = Self::default();
        for line in lines {
            let directives = line["_aws"]["CloudWatchMetrics"].as_array();
            for directive in directives.into_iter().flatten() {
                values.take(line, directive);
            }
        }
        values
    }

    fn take(&mut self, line: &Value, directive: &Value) {
        assert_eq!(directive["Namespace"], "AWS::StackName");
        let sets = directive["Dimensions"].as_array().expect("sets");
        let metrics = directive["Metrics"].as_array().expect("metrics");
        assert!(metrics.len() <= 100, "more than CloudWatch takes: {line}");
        for set in sets {
            let set = set.as_array().expect("a set").iter();
            let dimensions: Dimensions = set
                .map(|field| {
                    let field = field.as_str().expect("a name");
                    let value = line[field].as_str().expect("a text on the line");
                    (field.to_owned(), value.to_owned())
                })
                .collect();
            for metric in metrics {
                let name = metric["Name"].as_str().expect("a name");
                let one = || std::slice::from_ref(&line[name]);
                let values = line[name].as_array().map_or_else(one, Vec::as_slice);
                assert!((1..=100).contains(&values.len()), "{line}");
                for value in values {
                    let value = value.as_i64().expect("a whole number");
                    self.0.push((name.to_owned(), dimensions.clone(), value));
                }
            }
        }
    }

    /// The values of a metric with these dimensions, beside `Mchid` where the metric has it.
    pub(crate) fn of_metric(&self, name: &str, by: &[(&str, &str)]) -> Vec<i64> {
        let metric = METRICS.iter().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("no metric {name}"));
        let merchant = match metric.owner {
            Owner::Merchant => Some(("Mchid", MCHID)),
            Owner::Stack => None,
        };
        let dimensions: Dimensions = merchant
            .into_iter()
            .chain(by.iter().copied())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let found = self.0.iter();
        let found = found.filter(|(of, by, _)| of == name && *by == dimensions);
        found.map(|(_, _, value)| *value).collect()
    }

    /// The sum of the values of a metric over everything.
    pub(crate) fn sum(&self, name: &str) -> i64 {
        self.of_metric(name, &[]).into_iter().sum()
    }

    /// The values of a metric over everything.
    pub(crate) fn all(&self, name: &str) -> Vec<i64> {
        self.of_metric(name, &[])
    }
}
