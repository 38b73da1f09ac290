//! Metrics that a line of a log has embedded.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use serde_json::Value;

use crate::{Unreadable, number::Number, store::Metric};

/// How many values CloudWatch takes of one member.
const VALUES_MAX: usize = 100;

/// A value of a metric that a line has, and when it counts (Unix milliseconds).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Put {
    pub metric: Metric,
    pub at_ms: i64,
    pub value: Number,
}

/// What a line puts. A line without metrics puts nothing.
///
/// # Errors
/// It has metrics, and CloudWatch would drop one of them: a dimension or a value is not on the
/// line, or there are too many.
pub fn puts(line: &Value) -> Result<Vec<Put>, Unreadable> {
    let Some(described) = line.get("_aws") else {
        return Ok(vec![]);
    };
    embedded(line, described).ok_or_else(|| Unreadable::Line(line.to_string()))
}

fn embedded(line: &Value, described: &Value) -> Option<Vec<Put>> {
    let at_ms = described.get("Timestamp")?.as_i64()?;
    let mut puts = Vec::new();
    for directive in described.get("CloudWatchMetrics")?.as_array()? {
        let namespace = directive.get("Namespace")?.as_str()?;
        let metrics = directive.get("Metrics")?.as_array()?;
        if metrics.len() > 100 {
            return None;
        }
        for names in directive.get("Dimensions")?.as_array()? {
            let names = names.as_array().filter(|names| names.len() <= 30)?;
            let dimensions = names.iter().map(|name| {
                let name = name.as_str()?;
                Some((name, line.get(name)?.as_str()?))
            });
            let dimensions: Vec<_> = dimensions.collect::<Option<_>>()?;
            for described in metrics {
                let name = described.get("Name")?.as_str()?;
                let metric = Metric::new(namespace, name, &dimensions);
                for value in values(line.get(name)?)? {
                    let metric = metric.clone();
                    puts.push(Put {
                        metric,
                        at_ms,
                        value,
                    });
                }
            }
        }
    }
    Some(puts)
}

/// One number, or several.
fn values(member: &Value) -> Option<Vec<Number>> {
    match member.as_array() {
        Some(all) if all.len() > VALUES_MAX => None,
        Some(all) => all.iter().map(number).collect(),
        None => Some(vec![number(member)?]),
    }
}

fn number(value: &Value) -> Option<Number> {
    let is_number = value.is_number();
    is_number.then(|| Number::parse(&value.to_string()))?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line() -> Value {
        json!({
            "Mchid": "1900000001", "cause": "timeout", "CallsFailed": 1, "CallMs": [12, 7],
            "_aws": {"Timestamp": 5000, "CloudWatchMetrics": [{
                "Namespace": "live",
                "Dimensions": [["Mchid"], ["cause", "Mchid"]],
                "Metrics": [{"Name": "CallsFailed", "Unit": "Count"}, {"Name": "CallMs"}],
            }]},
        })
    }

    #[test]
    fn each_set_of_dimensions_has_each_value() {
        let puts = puts(&line()).unwrap();
        assert_eq!(puts.len(), 6);
        let by_cause = Metric::new(
            "live",
            "CallMs",
            &[("Mchid", "1900000001"), ("cause", "timeout")],
        );
        let of_cause: Vec<_> = puts.iter().filter(|put| put.metric == by_cause).collect();
        let values: Vec<_> = of_cause.iter().map(|put| put.value).collect();
        assert_eq!(values, [12, 7].map(Number::whole));
        assert_eq!(of_cause[0].at_ms, 5000);
        assert_eq!(super::puts(&json!({"level": "INFO"})), Ok(vec![]));
    }

    #[test]
    fn a_metric_that_cloudwatch_would_drop_is_an_error() {
        for (member, value) in [
            ("cause", json!(null)),
            ("CallsFailed", json!("1")),
            ("CallMs", json!(vec![1; 101])),
        ] {
            let mut line = line();
            line[member] = value;
            assert!(puts(&line).is_err(), "{member}");
        }
    }
}
