//! Metrics on the lines of the log, in CloudWatch's Embedded Metric Format: CloudWatch makes
//! metrics of them, no call is made, and no line is written for them alone.
//!
//! A field with the name of a metric is a metric: `info!(CallbacksAccepted = 1, ...)`. The members
//! that CloudWatch needs are added to the line.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::fmt;

use serde_json::{Map, Value, json};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, Writer},
    },
    registry::LookupSpan,
};

use super::our_crates::is_ours;
use crate::clock::Clock;

/// The namespace of metrics if none is set; deployed functions always have one set.
pub(super) const NO_STACK: &str = "WechatPayOnLambda";

/// The dimension that separates merchants.
const MERCHANT: &str = "Mchid";

/// The one other dimension: if a line with a metric has a text in this field, the metric is also
/// stored for each of its values. These are names from our code, never a text from outside: each
/// value is a separate, billed metric.
const CAUSE: &str = "cause";

/// Every metric there is, with the unit that CloudWatch calls it by.
const METRICS: [(&str, &str); 41] = [
    // Result of getting a prepay value for an order. `PrepaysPutOff` is 1 or 0 for each, so that
    // its average is their share.
    ("PrepaysIssued", "Count"),
    ("PrepaysRejected", "Count"),
    ("PrepaysPutOff", "Count"),
    // Calls to WeChat Pay: those that changed something there, and those that failed, by cause.
    ("WechatCallsDone", "Count"),
    ("WechatCallsFailed", "Count"),
    // WeChat Pay refuses the merchant, or what answers is not proved to be WeChat Pay.
    ("MerchantRefusals", "Count"),
    ("AnswersUnverified", "Count"),
    // How many of WeChat Pay's two hosts this sandbox avoids since they do not answer.
    ("HostsAvoided", "Count"),
    // Callbacks; those that were refused also by cause.
    ("CallbacksAccepted", "Count"),
    ("CallbacksRefused", "Count"),
    ("CallbacksUnverified", "Count"),
    // How often a client has used up its limit: once for each window, however many requests follow.
    ("ClientsLimited", "Count"),
    // The sweep.
    ("SweepsFinished", "Count"),
    ("OldestOverdue", "Seconds"),
    ("OverdueRefund", "Seconds"),
    ("OverdueRecovery", "Seconds"),
    ("OverdueClosing", "Seconds"),
    ("OverdueLook", "Seconds"),
    // A day's reconciliation.
    ("YesterdaysReconciled", "Count"),
    // 1 or 0 from each sweep: whether the last day that had to be reconciled by 13:00 was not.
    ("DaysMissing", "Count"),
    // How many of the days of the week before it were not.
    ("EarlierDaysMissing", "Count"),
    ("DaysReconciled", "Count"),
    ("DaysPreviewed", "Count"),
    ("DaysFailed", "Count"),
    ("FundSidesReconciled", "Count"),
    ("FundSidesFailed", "Count"),
    ("BillsAwaited", "Count"),
    ("BillsLate", "Count"),
    ("BillRows", "Count"),
    ("CarriedTrades", "Count"),
    ("Differences", "Count"),
    ("DifferencesOpened", "Count"),
    ("OpenDifferences", "Count"),
    // How many notices wait for an operator.
    ("NoticesParked", "Count"),
    // Days until the merchant's certificate ends, and the last of WeChat Pay's.
    ("MerchantCertificateDaysLeft", "Count"),
    ("PlatformCertificateDaysLeft", "Count"),
    // Webhooks.
    ("WebhooksDelivered", "Count"),
    ("WebhooksNotTaken", "Count"),
    ("WebhooksNotTakenAgain", "Count"),
    ("WebhooksGivenUp", "Count"),
    // A receiver answered 410, or an event was stored for one that is disabled.
    ("WebhookReceiversGone", "Count"),
];

/// Whether lines of this kind may carry a metric: then they are written at any `LOG_LEVEL`, since
/// alarms wait for them.
pub(super) fn carries_metrics(metadata: &Metadata<'_>) -> bool {
    metadata.is_event()
        && metadata
            .fields()
            .iter()
            .any(|field| unit_of(&field).is_some())
}

/// The unit of the metric in a field; `None` if the field is not a metric.
fn unit_of(field: &Field) -> Option<&'static str> {
    // All other fields have lower-case names.
    if !field
        .name()
        .starts_with(|first: char| first.is_ascii_uppercase())
    {
        return None;
    }
    let known = METRICS.iter().find(|(name, _)| *name == field.name());
    known.map(|(_, unit)| *unit)
}

/// A field that all ERROR lines have: the release that wrote them. By it an alarm separates a new
/// release's lines from the previous one's.
const RELEASE: &str = "release";

/// Writes events as lines of JSON, with the members that make metrics of them. ERROR is kept for
/// our own crates.
pub(super) struct WithMetrics {
    json: Format<Json>,
    namespace: String,
    mchid: Option<String>,
    release: Option<String>,
    clock: Clock,
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
            json,
            namespace,
            mchid,
            release,
            clock,
        }
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
        let mut line_metrics = LineMetrics::default();
        if carries_metrics(event.metadata()) {
            event.record(&mut line_metrics);
        }
        let is_error = *event.metadata().level() == Level::ERROR;
        let is_lowered = is_error && !is_ours(event.metadata().target());
        let mut members = Map::new();
        if let Some(release) = self.release.as_deref().filter(|_| is_error && !is_lowered) {
            members.insert(RELEASE.to_owned(), json!(release));
        }
        if !line_metrics.metrics.is_empty() {
            let now_ms = self.clock.now_ms();
            members.extend(line_metrics.members(&self.namespace, self.mchid.as_deref(), now_ms));
        }
        if members.is_empty() && !is_lowered {
            return self.json.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.json
            .format_event(context, Writer::new(&mut line), event)?;
        if is_lowered {
            // Only a time is written before the level.
            line = line.replacen(r#""level":"ERROR""#, r#""level":"WARN""#, 1);
        }
        if members.is_empty() {
            return writer.write_str(&line);
        }
        let members = Value::Object(members).to_string();
        let (open, inside) = (line.trim_end().strip_suffix('}'), members.strip_prefix('{'));
        match open.zip(inside) {
            Some((open, inside)) => writeln!(writer, "{open},{inside}"),
            None => writer.write_str(&line),
        }
    }
}

#[derive(Default)]
struct LineMetrics {
    metrics: Vec<(&'static str, &'static str)>,
    has_cause: bool,
}

impl LineMetrics {
    /// What is added to the line: `Mchid` and `_aws`. The values are on it already.
    fn members(&self, namespace: &str, mchid: Option<&str>, at_ms: i64) -> Map<String, Value> {
        let merchant: Vec<&str> = mchid.map(|_| MERCHANT).into_iter().collect();
        let mut dimensions = vec![merchant.clone()];
        if self.has_cause {
            dimensions.push(merchant.into_iter().chain([CAUSE]).collect());
        }
        let described: Vec<Value> = self
            .metrics
            .iter()
            .map(|(name, unit)| json!({"Name": name, "Unit": unit}))
            .collect();
        let mut members = Map::new();
        if let Some(mchid) = mchid {
            members.insert(MERCHANT.to_owned(), json!(mchid));
        }
        members.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": at_ms,
                "CloudWatchMetrics": [{
                    "Namespace": namespace,
                    "Dimensions": dimensions,
                    "Metrics": described,
                }],
            }),
        );
        members
    }

    fn note(&mut self, field: &Field) {
        if let Some(unit) = unit_of(field) {
            self.metrics.push((field.name(), unit));
        }
    }
}

/// A metric is a whole number. An absent one (`None`) is never recorded, so that line does not have
/// it.
impl Visit for LineMetrics {
    fn record_i64(&mut self, field: &Field, _: i64) {
        self.note(field);
    }

    fn record_u64(&mut self, field: &Field, _: u64) {
        self.note(field);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.has_cause |= field.name() == CAUSE && !value.is_empty();
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
                    "Metrics": [
                        {"Name": "WechatCallsFailed", "Unit": "Count"},
                        {"Name": "HostsAvoided", "Unit": "Count"},
                    ],
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
    fn no_log_level_keeps_a_metric_back() {
        for level in [LevelFilter::OFF, LevelFilter::ERROR, LevelFilter::TRACE] {
            let line = one(level, || tracing::info!(SweepsFinished = 1, "sweep done"));
            assert_eq!(line["SweepsFinished"], 1, "{level}");
        }
    }

    #[test]
    fn a_line_takes_as_many_metrics_as_there_are_and_no_name_is_there_twice() {
        let names: BTreeSet<&str> = METRICS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), METRICS.len());
        assert!(names.len() <= 100, "CloudWatch takes 100 in a line");
        for (name, unit) in METRICS {
            assert!(
                name.starts_with(|first: char| first.is_ascii_uppercase()),
                "{name}"
            );
            assert!(["Count", "Seconds"].contains(&unit), "{name}");
        }
    }
}
