//! Metrics on the lines of the log, in CloudWatch's Embedded Metric Format: CloudWatch makes
//! metrics of them, no call is made, and no line is written for them alone.
//!
//! A field with the name of a metric is a metric: `info!(CallbacksAccepted = 1, ...)`. The members
//! that CloudWatch needs are added to the line.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use serde_json::{Map, Value, json};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, Writer},
    },
    registry::LookupSpan,
};

use super::{
    line_metrics::{Held, Sample},
    metrics::named,
    our_crates::is_ours,
};
use crate::clock::Clock;

/// The namespace of metrics if none is set; deployed functions always have one set.
pub(super) const NO_STACK: &str = "WechatPayOnLambda";

/// The target of an event that is nothing but values: they go onto the next line that carries
/// metrics, or have one of their own at the end of the run.
pub const HELD: &str = "runtime::telemetry::held";

/// The target of the event that ends a run.
const END: &str = "runtime::telemetry::end";

/// A run of a function is over: values that found no line so far get one. Nothing is written where
/// there are none.
pub fn end_of_run() {
    tracing::info!(target: END, "measured in this run");
}

/// Whether lines of this kind may carry a metric: then they are written at any `LOG_LEVEL`, since
/// alarms wait for them.
pub(super) fn carries_metrics(metadata: &Metadata<'_>) -> bool {
    metadata.is_event()
        && (metadata.target() == END
            || metadata
                .fields()
                .iter()
                .any(|field| named(field.name()).is_some()))
}

/// A field that all ERROR lines have: the release that wrote them. By it an alarm separates a new
/// release's lines from the previous one's.
const RELEASE: &str = "release";

/// Writes events as lines of JSON, with the members that make metrics of them. ERROR is kept for
/// our own crates.
pub(super) struct WithMetrics {
    json: Format<Json>,
    /// The same without `target`, for our lines at INFO: their texts are found in the source, and
    /// most lines are such.
    brief: Format<Json>,
    namespace: String,
    mchid: Option<String>,
    release: Option<String>,
    clock: Clock,
    held: Mutex<Held>,
}

impl WithMetrics {
    /// Creates it over these lines. The metrics are in `namespace`, with `mchid` as dimension if
    /// there is one. ERROR lines name the `release`.
    pub(super) fn over(
        json: Format<Json>,
        namespace: String,
        mchid: Option<String>,
        release: Option<String>,
        clock: Clock,
    ) -> Self {
        Self {
            brief: json.clone().with_target(false),
            json,
            namespace,
            mchid,
            release,
            clock,
            held: Mutex::default(),
        }
    }

    /// What is added to a line with these values of its own.
    fn members(&self, own: &Sample) -> Map<String, Value> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (namespace, mchid) = (self.namespace.as_str(), self.mchid.as_deref());
        held.members(own, namespace, mchid, self.clock.now_ms())
    }

    fn holds_nothing(&self) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.is_empty()
    }

    fn hold(&self, sample: Sample) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.keep(sample);
    }
}

impl<S, N> FormatEvent<S, N> for WithMetrics
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let own = if carries_metrics(metadata) {
            Sample::of(event)
        } else {
            Sample::default()
        };
        if metadata.target() == HELD {
            self.hold(own);
            return Ok(());
        }
        if metadata.target() == END {
            while !self.holds_nothing() {
                let mut line = String::new();
                self.brief
                    .format_event(context, Writer::new(&mut line), event)?;
                write_with(&mut writer, &line, self.members(&Sample::default()))?;
            }
            return Ok(());
        }
        let (level, is_ours) = (
            *event.metadata().level(),
            is_ours(event.metadata().target()),
        );
        let is_error = level == Level::ERROR;
        let is_lowered = is_error && !is_ours;
        let json = if level == Level::INFO && is_ours {
            &self.brief
        } else {
            &self.json
        };
        let mut members = Map::new();
        if let Some(release) = self.release.as_deref().filter(|_| is_error && !is_lowered) {
            members.insert(RELEASE.to_owned(), json!(release));
        }
        if !own.is_empty() {
            members.extend(self.members(&own));
        }
        if members.is_empty() && !is_lowered {
            return json.format_event(context, writer, event);
        }
        let mut line = String::new();
        json.format_event(context, Writer::new(&mut line), event)?;
        if is_lowered {
            // Only a time is written before the level.
            line = line.replacen(r#""level":"ERROR""#, r#""level":"WARN""#, 1);
        }
        write_with(&mut writer, &line, members)
    }
}

/// Writes a line with these members at its end.
fn write_with(writer: &mut Writer<'_>, line: &str, members: Map<String, Value>) -> fmt::Result {
    if members.is_empty() {
        return writer.write_str(line);
    }
    let members = Value::Object(members).to_string();
    let (open, inside) = (line.trim_end().strip_suffix('}'), members.strip_prefix('{'));
    match open.zip(inside) {
        Some((open, inside)) => writeln!(writer, "{open},{inside}"),
        None => writer.write_str(line),
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter;
    use wechatpay::UnixSeconds;

    use super::super::tests::written;
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_785_556_800);

    fn one(level: LevelFilter, log: impl FnOnce()) -> Value {
        let lines = written(Clock::manual(NOW), level, log);
        let [line] = lines.as_slice() else {
            panic!("{lines:?}")
        };
        line.clone()
    }

    #[test]
    fn a_line_with_metrics_has_the_members_that_the_specification_requires() {
        let line = one(LevelFilter::INFO, || {
            tracing::warn!(
                cause = "timeout",
                host = "main",
                WechatCallsFailed = 1,
                HostsAvoided = 2_u32,
                OldestOverdue = None::<i64>,
                "WeChat Pay did not \"answer\""
            );
        });
        assert_eq!(
            line["_aws"],
            json!({
                "Timestamp": 1_785_556_800_000_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "live",
                    "Dimensions": [["Mchid"], ["Mchid", "cause"]],
                    "Metrics": [{"Name": "WechatCallsFailed", "Unit": "Count"}],
                }, {
                    "Namespace": "live",
                    "Dimensions": [["Mchid"]],
                    "Metrics": [{"Name": "HostsAvoided", "Unit": "Count"}],
                }],
            })
        );
        assert_eq!(
            (
                &line["Mchid"],
                &line["cause"],
                &line["WechatCallsFailed"],
                &line["HostsAvoided"]
            ),
            (
                &json!("1900000001"),
                &json!("timeout"),
                &json!(1),
                &json!(2)
            )
        );
        assert_eq!(
            (&line["level"], &line["host"], &line["message"]),
            (
                &json!("WARN"),
                &json!("main"),
                &json!("WeChat Pay did not \"answer\"")
            )
        );
        assert!(line.get("OldestOverdue").is_none(), "{line}");
    }

    #[test]
    fn a_line_without_a_cause_counts_for_the_merchant_alone_and_one_without_metrics_is_a_plain_line()
     {
        let line = one(LevelFilter::INFO, || {
            tracing::info!(SweepsFinished = 1_u64, "sweep done");
        });
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Dimensions"], json!([["Mchid"]]));
        for log in [
            || tracing::info!(cause = "timeout", "no metric"),
            || tracing::info!(SweepsFinished = None::<u64>, "none this time"),
            || tracing::info!(NoMetricOfThisName = 1, "none that is known"),
        ] {
            let line = one(LevelFilter::INFO, log);
            assert!(
                line.get("_aws").is_none() && line.get("Mchid").is_none(),
                "{line}"
            );
        }
    }

    #[test]
    fn a_value_that_is_not_on_its_metric_s_list_makes_no_dimension() {
        for cause in ["", "a text from outside", "stale"] {
            let line = one(LevelFilter::INFO, || {
                tracing::warn!(cause, MerchantRefusals = 1, "refused");
            });
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            assert_eq!(directive["Dimensions"], json!([["Mchid"]]), "{cause}");
        }
    }

    #[test]
    fn a_metric_of_the_stack_has_no_dimension_and_one_without_a_unit_names_none() {
        let line = one(LevelFilter::INFO, || {
            tracing::info!(OrdersAnswered = 1, "answered");
        });
        assert!(line.get("Mchid").is_none(), "{line}");
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"],
            json!([{"Namespace": "live", "Dimensions": [[]], "Metrics": [{"Name": "OrdersAnswered"}]}])
        );
    }

    #[test]
    fn values_without_a_line_go_onto_the_next_one_with_metrics_and_those_alike_into_one_list() {
        let lines = written(Clock::manual(NOW), LevelFilter::INFO, || {
            for took_ms in [3, 5] {
                tracing::info!(
                    target: HELD,
                    interface = "close",
                    host = "main",
                    outcome = "done",
                    WechatCallMs = took_ms,
                );
            }
            tracing::info!(order_no = "A-1", "no metric");
            tracing::info!(order_no = "A-1", SweepsFinished = 1, "sweep done");
            end_of_run();
        });
        let [plain, line] = lines.as_slice() else {
            panic!("{lines:?}")
        };
        assert!(plain.get("_aws").is_none(), "{plain}");
        assert_eq!(line["WechatCallMs"], json!([3, 5]));
        assert_eq!(
            (&line["host"], &line["order_no"]),
            (&json!("main"), &json!("A-1"))
        );
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"],
            json!([
                {
                    "Namespace": "live",
                    "Dimensions": [["Mchid"]],
                    "Metrics": [{"Name": "SweepsFinished", "Unit": "Count"}],
                },
                {
                    "Namespace": "live",
                    "Dimensions": [[], ["interface", "outcome"], ["host", "outcome"]],
                    "Metrics": [{"Name": "WechatCallMs", "Unit": "Milliseconds"}],
                },
            ])
        );
    }

    #[test]
    fn values_that_would_mean_another_thing_on_a_line_wait_and_have_one_when_the_run_ends() {
        let call = |outcome| {
            tracing::info!(
                target: HELD,
                interface = "close",
                host = "main",
                outcome,
                WechatCallMs = 3,
            );
        };
        let lines = written(Clock::manual(NOW), LevelFilter::INFO, || {
            call("done");
            call("no_answer");
            tracing::info!(target: HELD, operation = "Sign", KmsCalls = 1);
            tracing::info!(outcome = "stored", ColdStarts = 1, "one");
            end_of_run();
            end_of_run();
        });
        let [one, first, second] = lines.as_slice() else {
            panic!("{lines:?}")
        };
        assert_eq!(
            (&one["outcome"], &one["KmsCalls"]),
            (&json!("stored"), &json!(1))
        );
        assert!(one.get("WechatCallMs").is_none(), "{one}");
        for (line, outcome) in [(first, "done"), (second, "no_answer")] {
            assert_eq!(line["message"], "measured in this run");
            assert_eq!(
                (&line["outcome"], &line["WechatCallMs"]),
                (&json!(outcome), &json!(3))
            );
        }
    }

    #[test]
    fn a_list_has_as_many_values_as_cloudwatch_takes() {
        let lines = written(Clock::manual(NOW), LevelFilter::INFO, || {
            for _ in 0..101 {
                tracing::info!(target: HELD, KmsThrottles = 1);
            }
            end_of_run();
        });
        let lengths = lines
            .iter()
            .map(|line| match line["KmsThrottles"].as_array() {
                Some(values) => values.len(),
                None => 1,
            });
        assert_eq!(lengths.collect::<Vec<_>>(), [100, 1]);
    }

    #[test]
    fn a_run_without_values_ends_without_a_line() {
        for level in [LevelFilter::INFO, LevelFilter::OFF] {
            let lines = written(Clock::manual(NOW), level, end_of_run);
            assert!(lines.is_empty(), "{lines:?}");
        }
    }

    #[test]
    fn no_log_level_keeps_a_metric_back() {
        for level in [LevelFilter::OFF, LevelFilter::ERROR, LevelFilter::TRACE] {
            let line = one(level, || tracing::info!(SweepsFinished = 1, "sweep done"));
            assert_eq!(line["SweepsFinished"], 1, "{level}");
        }
    }
}
