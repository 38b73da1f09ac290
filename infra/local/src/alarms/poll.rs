//! Asks the engine for what functions logged and what queues hold, for as long as the stack runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cloudwatch::number::Number;
use http::Request;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::Alarms;
use crate::deploy::STACK;
use crate::functions::PACKAGES;
use crate::http::Http;

/// How often the engine is asked.
const EACH: Duration = Duration::from_secs(5);

/// The account of everything on the engine.
const ACCOUNT: &str = "000000000000";

/// Which lines of a group were taken: up to which time, and the ids of those of that time.
#[derive(Debug, Default)]
struct Taken {
    until_ms: i64,
    ids: BTreeSet<String>,
}

impl Alarms {
    /// Watches until it is dropped. What somebody would be told is printed.
    pub(crate) async fn watch_engine(self, http: Http, engine_url: String) {
        let mut taken: BTreeMap<&str, Taken> = BTreeMap::new();
        let since_ms = self.0.clock.now_ms();
        loop {
            for package in PACKAGES {
                let of_group = taken.entry(package).or_insert_with(|| Taken {
                    until_ms: since_ms,
                    ids: BTreeSet::new(),
                });
                self.take_new(&http, &engine_url, package, of_group).await;
            }
            self.take_queues(&http, &engine_url).await;
            for told in self.evaluate() {
                eprintln!("CloudWatch would tell: {told}");
            }
            tokio::time::sleep(EACH).await;
        }
    }

    /// The lines that a function logged since.
    async fn take_new(&self, http: &Http, engine_url: &str, package: &str, taken: &mut Taken) {
        let group = format!("/aws/lambda/{STACK}-{package}");
        let asked = json!({ "logGroupName": group, "startTime": taken.until_ms });
        let target = "Logs_20140328.FilterLogEvents";
        let Some(answer) = ask(http, engine_url, target, "1.1", &asked).await else {
            return;
        };
        let events = answer.get("events").and_then(Value::as_array);
        for event in events.into_iter().flatten() {
            self.take_event(&group, event, taken);
        }
    }

    fn take_event(&self, group: &str, event: &Value, taken: &mut Taken) {
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        let at_ms = event.get("timestamp").and_then(Value::as_i64);
        let at_ms = at_ms.unwrap_or(taken.until_ms);
        // An id where there is one, else the line: both are the same each time.
        let id = format!("{}{}", text("eventId"), text("message"));
        if at_ms < taken.until_ms || (at_ms == taken.until_ms && taken.ids.contains(&id)) {
            return;
        }
        if at_ms > taken.until_ms {
            taken.until_ms = at_ms;
            taken.ids.clear();
        }
        taken.ids.insert(id);
        self.take_line(group, text("message"), at_ms);
    }

    /// How many messages are in the queues that alarms watch.
    async fn take_queues(&self, http: &Http, engine_url: &str) {
        for metric in self.metrics_of("AWS/SQS", "ApproximateNumberOfMessagesVisible") {
            let Some((_, queue)) = metric.dimensions.first() else {
                continue;
            };
            let asked = json!({
                "QueueUrl": format!("{engine_url}/{ACCOUNT}/{queue}"),
                "AttributeNames": ["ApproximateNumberOfMessages"],
            });
            let target = "AmazonSQS.GetQueueAttributes";
            let answer = ask(http, engine_url, target, "1.0", &asked).await;
            let count = answer.as_ref().and_then(|answer| {
                let count = answer.pointer("/Attributes/ApproximateNumberOfMessages")?;
                Number::parse(count.as_str()?)
            });
            if let Some(count) = count {
                self.put(metric, count);
            }
        }
    }
}

/// A call of the engine. `None`: it did not answer, which the next round makes up for.
async fn ask(
    http: &Http,
    engine_url: &str,
    target: &str,
    json_version: &str,
    asked: &Value,
) -> Option<Value> {
    let request = Request::post(engine_url)
        .header("x-amz-target", target)
        .header(
            "content-type",
            format!("application/x-amz-json-{json_version}"),
        )
        .body(Bytes::from(asked.to_string()))
        .ok()?;
    let answer = http.send(request).await.ok()?;
    let answer = answer.status().is_success().then_some(answer)?;
    serde_json::from_slice(answer.body()).ok()
}

#[cfg(test)]
mod tests {
    use runtime::clock::Clock;

    use super::super::Watched;
    use super::*;

    #[test]
    fn a_line_is_taken_once_however_often_the_engine_gives_it() {
        let alarms = Alarms::over(Watched::default(), Clock::system()).unwrap();
        let mut taken = Taken::default();
        let line = |number: i64| {
            let metrics =
                json!([{"Namespace": "N", "Dimensions": [[]], "Metrics": [{"Name": "Runs"}]}]);
            let line =
                json!({"Runs": number, "_aws": {"Timestamp": 5, "CloudWatchMetrics": metrics}});
            json!({"timestamp": 5, "eventId": number.to_string(), "message": line.to_string()})
        };
        for number in [1, 2, 1, 2, 4] {
            alarms.take_event("group", &line(number), &mut taken);
        }
        let earlier = json!({"timestamp": 4, "eventId": "9", "message": line(64)["message"]});
        alarms.take_event("group", &earlier, &mut taken);
        let watch = alarms.watch();
        let runs = cloudwatch::store::Metric::new("N", "Runs", &[]);
        let sum = watch
            .cloud
            .store()
            .point(&runs, cloudwatch::store::Statistic::Sum, 0, 10);
        assert_eq!(sum, Some(Number::whole(7)));
    }
}
