//! Metric filters of groups of logs, over lines of JSON.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>

use serde_json::Value;

use crate::{Unreadable, number::Number, pattern::Pattern, store::Metric};

/// A metric filter: what a line has to have, and the metric that then has a value.
#[derive(Clone, Debug)]
pub struct Filter {
    pub group: String,
    pattern: Pattern,
    namespace: String,
    name: String,
    /// Names of dimensions, and the fields that have their values.
    by: Vec<(String, String)>,
    value: Number,
    /// What a line puts that does not match; `None`: nothing.
    default: Option<Number>,
}

impl Filter {
    /// # Errors
    /// It has what is not known here, or what CloudWatch would refuse.
    pub fn read(properties: &Value) -> Result<Self, Unreadable> {
        let unreadable = || Unreadable::Filter(properties.to_string());
        let text = |value: &Value| Some(value.as_str()?.to_owned());
        let read = || {
            let pattern = Pattern::parse(properties.get("FilterPattern")?.as_str()?)?;
            let counted = properties.get("MetricTransformations")?.as_array()?;
            let [counted] = counted.as_slice() else {
                return None;
            };
            let value = Number::parse(counted.get("MetricValue")?.as_str()?)?;
            let by = counted.get("Dimensions").and_then(Value::as_array);
            let by = by.into_iter().flatten().map(|one| {
                let field = one.get("Value")?.as_str()?.strip_prefix("$.")?;
                // CloudWatch takes for a dimension what the pattern has matched.
                pattern.has(field).then_some(())?;
                Some((text(one.get("Key")?)?, field.to_owned()))
            });
            let by: Vec<_> = by.collect::<Option<_>>()?;
            let default = counted.get("DefaultValue").and_then(Value::as_i64);
            // A filter with dimensions has no default value.
            if default.is_some() && !by.is_empty() {
                return None;
            }
            Some(Self {
                group: text(properties.get("LogGroupName")?)?,
                pattern,
                namespace: text(counted.get("MetricNamespace")?)?,
                name: text(counted.get("MetricName")?)?,
                by,
                value,
                default: default.map(Number::whole),
            })
        };
        read().ok_or_else(unreadable)
    }

    /// What this line puts: the metric, and the value. `None`: nothing, as where the line lacks a
    /// field of a dimension.
    pub fn put(&self, line: &Value) -> Option<(Metric, Number)> {
        let value = self.pattern.matches(line).then_some(self.value);
        let value = value.or(self.default)?;
        let dimensions = self.by.iter().map(|(key, field)| {
            let value = line.get(field)?.as_str()?;
            Some((key.as_str(), value))
        });
        let dimensions: Vec<_> = dimensions.collect::<Option<_>>()?;
        let metric = Metric::new(&self.namespace, &self.name, &dimensions);
        Some((metric, value))
    }

    /// The metric that it counts, without the values of its dimensions.
    pub fn metric(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filter(pattern: &str, transformation: Value) -> Result<Filter, Unreadable> {
        let mut counted = json!({
            "MetricNamespace": "N", "MetricName": "Lines", "MetricValue": "1",
        });
        for (key, value) in transformation.as_object().unwrap() {
            counted[key] = value.clone();
        }
        Filter::read(&json!({
            "LogGroupName": "G", "FilterPattern": pattern, "MetricTransformations": [counted],
        }))
    }

    #[test]
    fn a_line_counts_when_each_condition_holds_and_as_the_default_otherwise() {
        let pattern = r#"{ ($.route = "POST /x") && (($.status = "5*") || ($.status = "429")) && ($.error != "-") && ($.Own NOT EXISTS) }"#;
        let filter = filter(pattern, json!({"DefaultValue": 0})).unwrap();
        let line = |status: &str, error: &str| json!({"route": "POST /x", "status": status, "error": error});
        for (line, value) in [
            (line("500", "Internal Server Error"), 1),
            (line("429", "Too Many Requests"), 1),
            (line("500", "-"), 0),
            (line("401", "-"), 0),
            (json!({"route": "POST /x", "status": "500"}), 0),
            (
                json!({"route": "POST /x", "status": "500", "error": "e", "Own": 1}),
                0,
            ),
        ] {
            let (metric, put) = filter.put(&line).unwrap();
            assert_eq!(metric, Metric::new("N", "Lines", &[]));
            assert_eq!(put, Number::whole(value), "{line}");
        }
    }

    #[test]
    fn a_dimension_is_a_field_that_the_pattern_has_and_the_line_too() {
        let by = json!({"Dimensions": [{"Key": "Release", "Value": "$.release"}]});
        let filter_by = filter(
            r#"{ ($.release = "*") && ($.level = "ERROR") }"#,
            by.clone(),
        );
        let filter_by = filter_by.unwrap();
        let put = filter_by.put(&json!({"release": "r1", "level": "ERROR"}));
        let metric = Metric::new("N", "Lines", &[("Release", "r1")]);
        assert_eq!(put, Some((metric, Number::whole(1))));
        assert_eq!(filter_by.put(&json!({"level": "ERROR"})), None);
        assert!(filter(r#"{ $.level = "ERROR" }"#, by).is_err());
        assert!(filter("ERROR", json!({})).is_err());
    }
}
