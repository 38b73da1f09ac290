//! What CloudWatch would do with this stack: metrics out of the functions' lines, the states of
//! all alarms at `/alarms`, as a page to a browser, else as JSON, and the metrics by
//! `GetMetricData`, as AWS gives them. The engine makes no metrics of lines, and evaluates neither
//! metric math nor missing data.

mod metric_data;
mod poll;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Query, State as Shared};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cloudwatch::CloudWatch;
use cloudwatch::alarm::Alarm;
use cloudwatch::number::Number;
use cloudwatch::states::{State, States};
use cloudwatch::store::Metric;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_SECURITY_POLICY};
use runtime::clock::Clock;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::failure::Failure;

pub(crate) use metric_data::PATH as METRIC_DATA_PATH;

/// Where the states are. With `?ahead_s=1800`, as they would stand in half an hour if nothing more
/// came until then.
pub(crate) const PATH: &str = "/alarms";

/// Where the values of all metrics are, from `?from_ms=` on and before `to_ms=`.
const METRICS_PATH: &str = "/alarms/metrics";

const PAGE: &str = include_str!("alarms/page.html");

/// The page needs no external resources, and must not load any: it shows data from others.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";

/// Longer than any alarm evaluates, a week, with what it looks back over besides.
const KEPT_MS: i64 = 8 * 86_400_000;

/// So far ahead alarms can be seen, a day.
const AHEAD_S_MAX: i64 = 86_400;

/// What of the AWS figures that alarms watch is not measured here, for the reader.
const NOT_MEASURED: &str = "Lambda's errors and throttles, the age of messages, the Pipe's and the rule's failures are figures of AWS \
     that the engine does not make: their alarms stay OK here.";

/// What the deployed template says of metrics and alarms, with all values filled in.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Watched {
    alarms: Vec<Value>,
    composites: Vec<Value>,
    filters: Vec<Value>,
    access_log: String,
    access_log_group: String,
}

/// The watch over one stack. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Alarms(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    access_log: String,
    access_log_group: String,
    clock: Clock,
    watch: Mutex<Watch>,
}

#[derive(Clone, Debug)]
struct Watch {
    cloud: CloudWatch,
    states: States,
    evaluated_ms: i64,
}

/// An alarm as it stands.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    description: String,
    kind: &'static str,
    state: String,
    since_ms: i64,
    why: String,
    /// Whether it tells somebody by itself, where a topic is given.
    tells: bool,
}

impl Alarms {
    /// Over what the template says.
    ///
    /// # Errors
    /// An alarm or a filter of it is not known to these rules.
    pub(crate) fn over(watched: Watched, clock: Clock) -> Result<Self, Failure> {
        let cloud = CloudWatch::of(&watched.alarms, &watched.composites, &watched.filters)
            .map_err(|error| Failure::because("the template's alarms cannot be watched", &error))?;
        Ok(Self(Arc::new(Inner {
            access_log: watched.access_log,
            access_log_group: watched.access_log_group,
            clock,
            watch: Mutex::new(Watch {
                cloud,
                states: States::default(),
                evaluated_ms: 0,
            }),
        })))
    }

    /// The pages, to be added to the API.
    pub(crate) fn app(&self) -> Router {
        let app = Router::new()
            .route(PATH, get(show))
            .route(metric_data::ROUTE, post(metric_data::answer))
            .route(METRICS_PATH, get(show_metrics));
        app.with_state(self.clone())
    }

    /// A line of a group of logs. One that cannot be read is named on standard error.
    fn take_line(&self, group: &str, text: &str, at_ms: i64) {
        let Ok(line) = serde_json::from_str::<Value>(text) else {
            return;
        };
        let taken = self.watch().cloud.take_line(group, &line, at_ms);
        if let Err(error) = taken {
            eprintln!("alarms: {error}");
        }
    }

    /// The time by the watch's clock.
    pub(crate) fn now_ms(&self) -> i64 {
        self.0.clock.now_ms()
    }

    /// The API answered a call that came at this time: the function behind it, or the API in its
    /// place with these words.
    pub(crate) fn take_access(
        &self,
        route: &str,
        status: u16,
        in_its_place: Option<&str>,
        came_at_ms: i64,
    ) {
        let line = self
            .0
            .access_log
            .replace("$context.routeKey", route)
            .replace("$context.status", &status.to_string())
            .replace("$context.error.message", in_its_place.unwrap_or("-"));
        self.take_line(&self.0.access_log_group, &line, self.0.clock.now_ms());
        let took_ms = self.now_ms().saturating_sub(came_at_ms);
        // Which API it is, an alarm says.
        for metric in self.metrics_of("AWS/ApiGateway", "5xx") {
            for (name, value) in [
                ("Count", 1),
                ("4xx", i64::from((400..500).contains(&status))),
                ("5xx", i64::from(status >= 500)),
                ("Latency", took_ms),
            ] {
                let metric = Metric {
                    name: name.to_owned(),
                    ..metric.clone()
                };
                self.put(metric, Number::whole(value));
            }
        }
    }

    fn put(&self, metric: Metric, value: Number) {
        self.watch().cloud.put(metric, self.0.clock.now_ms(), value);
    }

    /// The metrics of this kind that alarms watch.
    fn metrics_of(&self, namespace: &str, name: &str) -> Vec<Metric> {
        let watch = self.watch();
        let watched = watch.cloud.alarms().iter().flat_map(Alarm::metrics);
        let of_kind = watched.filter(|it| it.namespace == namespace && it.name == name);
        let mut metrics: Vec<Metric> = of_kind.cloned().collect();
        metrics.sort();
        metrics.dedup();
        metrics
    }

    /// Evaluates all alarms, as CloudWatch does each minute. Gives who would be told of what.
    fn evaluate(&self) -> Vec<String> {
        let now_ms = self.0.clock.now_ms();
        let mut watch = self.watch();
        if now_ms.div_euclid(60_000) == watch.evaluated_ms.div_euclid(60_000) {
            return Vec::new();
        }
        let Watch {
            cloud,
            states,
            evaluated_ms,
        } = &mut *watch;
        *evaluated_ms = now_ms;
        cloud.forget_before(now_ms.saturating_sub(KEPT_MS));
        let told = states.evaluate(cloud, now_ms);
        told.into_iter()
            .map(|it| format!("{} is {}", it.alarm, it.state))
            .collect()
    }

    /// All alarms, those that are on first.
    pub(crate) fn shown(&self) -> Value {
        self.watch().shown()
    }

    /// The same after each minute of so many seconds in which nothing came.
    fn shown_ahead(&self, ahead_s: i64) -> Value {
        let mut watch = self.watch().clone();
        let now_ms = self.0.clock.now_ms();
        let minutes = ahead_s.clamp(0, AHEAD_S_MAX) / 60;
        for minute in 0..=minutes {
            watch.evaluated_ms = now_ms + minute * 60_000;
            watch.states.evaluate(&watch.cloud, watch.evaluated_ms);
        }
        watch.shown()
    }

    /// How often each metric had which value.
    fn metrics(&self, from_ms: i64, to_ms: i64) -> Value {
        let watch = self.watch();
        let store = watch.cloud.store();
        let metrics = store.metrics().filter_map(|metric| {
            let counts = store.counts(metric, from_ms, to_ms);
            let counts: Vec<(String, usize)> = counts
                .into_iter()
                .map(|(value, count)| (value.to_string(), count))
                .collect();
            let dimensions: BTreeMap<&str, &str> = metric
                .dimensions
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            (!counts.is_empty()).then(|| {
                json!({
                    "namespace": metric.namespace, "name": metric.name,
                    "dimensions": dimensions, "values": counts,
                })
            })
        });
        metrics.collect()
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        let watch = self.0.watch.lock();
        watch.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    fn shown(&self) -> Value {
        let standing = |name: &str| self.states.all().get(name);
        let shown = |name: &str, description: &str, kind, tells| {
            let standing = standing(name);
            Shown {
                name: name.to_owned(),
                description: description.to_owned(),
                kind,
                state: standing
                    .map_or(State::InsufficientData, |it| it.state)
                    .to_string(),
                since_ms: standing.map_or(0, |it| it.since_ms),
                why: standing.map_or_else(String::new, |it| it.why.clone()),
                tells,
            }
        };
        let composites = self.cloud.composites().iter();
        let mut all: Vec<Shown> = composites
            .map(|it| shown(&it.name, &it.description, "composite", it.notifies.of_alarm))
            .collect();
        let alarms = self.cloud.alarms().iter();
        all.extend(
            alarms.map(|it| shown(&it.name, &it.description, "metric", it.notifies.of_alarm)),
        );
        all.sort_by_key(|alarm| alarm.state != State::Alarm.to_string());
        json!({
            "evaluated_ms": self.evaluated_ms,
            "metrics": self.cloud.store().metrics().count(),
            "not_measured": NOT_MEASURED,
            "alarms": all,
        })
    }
}

/// How far ahead of now a caller wants to see.
#[derive(Debug, Deserialize)]
struct Ahead {
    ahead_s: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Between {
    from_ms: i64,
    to_ms: i64,
}

async fn show_metrics(
    Shared(alarms): Shared<Alarms>,
    Query(between): Query<Between>,
) -> Json<Value> {
    Json(alarms.metrics(between.from_ms, between.to_ms))
}

async fn show(
    Shared(alarms): Shared<Alarms>,
    Query(ahead): Query<Ahead>,
    headers: HeaderMap,
) -> Response {
    if let Some(ahead_s) = ahead.ahead_s {
        return Json(alarms.shown_ahead(ahead_s)).into_response();
    }
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        return ([(CONTENT_SECURITY_POLICY, PAGE_POLICY)], Html(PAGE)).into_response();
    }
    Json(alarms.shown()).into_response()
}

#[cfg(test)]
mod tests;
