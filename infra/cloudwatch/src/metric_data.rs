//! `GetMetricData` over the values that were put, as CloudWatch's JSON protocol has it. It refuses
//! what CloudWatch refuses; expressions are known to alarms alone here, and are refused too.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html>

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::store::{Metric, Statistic, Store};

/// How the operation is named in the header `x-amz-target`.
pub const TARGET: &str = "GraniteServiceVersion20100801.GetMetricData";

const QUERIES_MAX: usize = 500;
const POINTS_MAX: i64 = 100_800;
const DIMENSIONS_MAX: usize = 30;
const ID_MAX: usize = 255;

/// A request that CloudWatch would not take: the name of its error, and why.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refused {
    pub code: &'static str,
    pub message: String,
}

struct Query<'a> {
    id: &'a str,
    metric: Metric,
    statistic: Statistic,
    period_ms: i64,
}

/// The answer to this body.
///
/// # Errors
/// CloudWatch would refuse it.
pub fn answer(store: &Store, body: &Value) -> Result<Value, Refused> {
    let from_ms = time(body, "StartTime")?.div_euclid(60_000) * 60_000;
    let until_ms = time(body, "EndTime")?;
    if from_ms >= until_ms {
        return Err(invalid(
            "The parameter StartTime must be less than the parameter EndTime",
        ));
    }
    let newest_first = match body.get("ScanBy").and_then(Value::as_str) {
        None | Some("TimestampDescending") => true,
        Some("TimestampAscending") => false,
        Some(other) => return Err(invalid(format!("ScanBy is {other}"))),
    };
    if body.get("NextToken").is_some() {
        return Err(Refused {
            code: "InvalidNextToken",
            message: "no answer of mine had a next page".to_owned(),
        });
    }
    let queries = body.get("MetricDataQueries").and_then(Value::as_array);
    let queries = queries.ok_or_else(|| invalid("MetricDataQueries is missing"))?;
    if queries.is_empty() || queries.len() > QUERIES_MAX {
        return Err(invalid(format!("{} queries: from 1 to 500", queries.len())));
    }
    let queries: Vec<Query<'_>> = queries.iter().map(read).collect::<Result<_, _>>()?;
    let ids: BTreeSet<&str> = queries.iter().map(|query| query.id).collect();
    if ids.len() != queries.len() {
        return Err(invalid("two queries have the same Id"));
    }
    let points = queries.iter().map(|query| {
        let span = until_ms.saturating_sub(from_ms);
        span.div_euclid(query.period_ms).saturating_add(1)
    });
    if points.fold(0, i64::saturating_add) > POINTS_MAX {
        return Err(invalid("more than 100800 data points"));
    }
    let results = queries
        .iter()
        .map(|query| result(store, query, (from_ms, until_ms), newest_first));
    Ok(json!({ "MetricDataResults": results.collect::<Vec<Value>>(), "Messages": [] }))
}

fn result(
    store: &Store,
    query: &Query<'_>,
    (from_ms, until_ms): (i64, i64),
    newest_first: bool,
) -> Value {
    let (mut points, mut at_ms) = (Vec::new(), from_ms);
    while at_ms < until_ms {
        let end_ms = at_ms.saturating_add(query.period_ms);
        let point = store.point(&query.metric, query.statistic, at_ms, end_ms.min(until_ms));
        let value = point.and_then(|value| serde_json::from_str(&value.to_string()).ok());
        points.extend(value.map(|value: Value| (at_ms.div_euclid(1000), value)));
        at_ms = end_ms;
    }
    if newest_first {
        points.reverse();
    }
    let (timestamps, values): (Vec<i64>, Vec<Value>) = points.into_iter().unzip();
    json!({
        "Id": query.id, "Label": query.metric.name, "StatusCode": "Complete",
        "Timestamps": timestamps, "Values": values,
    })
}

/// A time in Unix seconds, which may have a fraction; in milliseconds.
fn time(body: &Value, name: &str) -> Result<i64, Refused> {
    let value = body.get(name).filter(|value| value.is_number());
    let text = value.map(ToString::to_string);
    let seconds = text.and_then(|text| text.split('.').next()?.parse::<i64>().ok());
    let seconds = seconds.ok_or_else(|| invalid(format!("{name} is no time")))?;
    Ok(seconds.saturating_mul(1000))
}

fn read(query: &Value) -> Result<Query<'_>, Refused> {
    let text = |value: &Value, name: &str| {
        let found = value.get(name).and_then(Value::as_str);
        let found = found.filter(|text| !text.is_empty()).map(str::to_owned);
        found.ok_or_else(|| invalid(format!("{name} is missing in {query}")))
    };
    let id = query.get("Id").and_then(Value::as_str).unwrap_or_default();
    let starts_well = id.starts_with(|first: char| first.is_ascii_lowercase());
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if !starts_well || !id.chars().all(is_word) || id.len() > ID_MAX {
        return Err(invalid(format!(
            "The value {id} for parameter Id must match ^[a-z][a-zA-Z0-9_]*$"
        )));
    }
    let Some(stat) = query.get("MetricStat") else {
        return Err(invalid(format!("{id} has no MetricStat")));
    };
    if query.get("Expression").is_some() {
        return Err(invalid(format!("{id} has both MetricStat and Expression")));
    }
    let statistic = text(stat, "Stat")?;
    let statistic = Statistic::parse(&statistic).ok_or_else(|| {
        invalid(format!(
            "The value {statistic} for parameter Stat is not supported"
        ))
    })?;
    let period_s = stat
        .get("Period")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    if period_s <= 0 || (period_s % 60 != 0 && ![1, 5, 10, 30].contains(&period_s)) {
        return Err(invalid(format!(
            "Period {period_s} must be 1, 5, 10, 30 or a multiple of 60"
        )));
    }
    let metric = stat.get("Metric").unwrap_or(&Value::Null);
    let (namespace, name) = (text(metric, "Namespace")?, text(metric, "MetricName")?);
    let dimensions = metric.get("Dimensions").and_then(Value::as_array);
    let dimensions = dimensions.into_iter().flatten();
    let dimensions: Vec<(String, String)> = dimensions
        .map(|one| Ok((text(one, "Name")?, text(one, "Value")?)))
        .collect::<Result<_, _>>()?;
    if dimensions.len() > DIMENSIONS_MAX {
        return Err(invalid(format!("{id} has more than 30 dimensions")));
    }
    let dimensions: Vec<(&str, &str)> = dimensions
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    Ok(Query {
        id,
        metric: Metric::new(&namespace, &name, &dimensions),
        statistic,
        period_ms: period_s.saturating_mul(1000),
    })
}

fn invalid(message: impl Into<String>) -> Refused {
    Refused {
        code: "ValidationError",
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Number;

    fn query() -> Value {
        json!({"Id": "m0", "MetricStat": {
            "Metric": {"Namespace": "N", "MetricName": "Calls", "Dimensions": [{"Name": "host", "Value": "main"}]},
            "Period": 300, "Stat": "Sum",
        }})
    }

    fn body() -> Value {
        json!({
            "MetricDataQueries": [query()], "StartTime": 30, "EndTime": 900,
            "ScanBy": "TimestampAscending",
        })
    }

    #[test]
    fn each_period_with_values_has_a_point() {
        let mut store = Store::default();
        let metric = Metric::new("N", "Calls", &[("host", "main")]);
        for at_ms in [0, 299_999, 600_000, 899_999, 900_000] {
            store.put(metric.clone(), at_ms, Number::whole(2));
        }
        let answered = answer(&store, &body()).unwrap();
        let result = &answered["MetricDataResults"][0];
        assert_eq!(result["Timestamps"], json!([0, 600]));
        assert_eq!(result["Values"], json!([4, 4]));
        assert_eq!(result["StatusCode"], "Complete");
        let mut newest_first = body();
        newest_first["ScanBy"] = json!("TimestampDescending");
        let answered = answer(&store, &newest_first).unwrap();
        assert_eq!(
            answered["MetricDataResults"][0]["Timestamps"],
            json!([600, 0])
        );
    }

    #[test]
    fn what_cloudwatch_refuses_is_refused() {
        let store = Store::default();
        assert!(answer(&store, &body()).is_ok());
        for (path, value) in [
            ("/MetricDataQueries/0/Id", json!("M0")),
            ("/MetricDataQueries/0/Id", json!("0m")),
            ("/MetricDataQueries/0/Id", json!("m-0")),
            ("/MetricDataQueries/0/Id", json!("")),
            ("/MetricDataQueries/0/MetricStat", Value::Null),
            ("/MetricDataQueries/0/MetricStat/Period", json!(90)),
            ("/MetricDataQueries/0/MetricStat/Period", json!(0)),
            ("/MetricDataQueries/0/MetricStat/Stat", json!("Median")),
            (
                "/MetricDataQueries/0/MetricStat/Metric/Namespace",
                json!(""),
            ),
            (
                "/MetricDataQueries/0/MetricStat/Metric/Dimensions/0/Value",
                json!(""),
            ),
            ("/MetricDataQueries", json!([])),
            ("/MetricDataQueries", json!(vec![query(); 2])),
            ("/StartTime", json!(900)),
            ("/StartTime", json!("2026-08-01T00:00:00Z")),
            ("/EndTime", json!(100_000_000)),
            ("/ScanBy", json!("Newest")),
        ] {
            let mut body = body();
            *body.pointer_mut(path).unwrap() = value.clone();
            let refused = answer(&store, &body).unwrap_err();
            assert_eq!(refused.code, "ValidationError", "{path} {value}");
        }
        let many: Vec<Value> = (0..501)
            .map(|number| {
                let mut query = query();
                query["Id"] = json!(format!("m{number}"));
                query
            })
            .collect();
        let mut body = body();
        body["MetricDataQueries"] = json!(many);
        assert!(answer(&store, &body).is_err());
        body["MetricDataQueries"] = json!(many[..500]);
        assert!(answer(&store, &body).is_ok());
        body["NextToken"] = json!("x");
        assert_eq!(answer(&store, &body).unwrap_err().code, "InvalidNextToken");
    }
}
