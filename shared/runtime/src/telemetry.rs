//! Log lines: one JSON object a line on standard output, which Lambda carries to CloudWatch.
//!
//! No colours, and no filter language: matching its patterns costs start-up time and size for a
//! choice that one word (`LOG_LEVEL`) makes. Standard output is line-buffered, so each line has
//! left the process before the function is frozen. Third-party crates are limited to `info`,
//! whatever the setting: at `debug` the AWS SDK prints requests and answers, which contain data
//! that must never be in a log. Lines that carry a metric ([`emf`]) are written at any level.
//!
//! Each ERROR line calls a person (`infra/runbooks/error-lines.md`). Third-party crates also use
//! that level for what a retry settles (the AWS SDK: a connection that was never made) or for what
//! has an alarm of its own (the Lambda runtime: a panic), so their ERROR is written as WARN.

pub mod emf;
mod line_metrics;
pub mod metrics;
mod our_crates;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{JsonFields, format};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::clock::Clock;
use crate::env::Vars;

use emf::WithMetrics;
use our_crates::OURS;

/// Starts logging at the level named by `LOG_LEVEL` (`error`, `warn`, `info`, `debug`, `trace` or
/// `off`; `info` if it is left out or not one of these), with metrics of the merchant
/// `WECHATPAY_MCHID` in the namespace `METRICS_NAMESPACE`, which is the stack's own. ERROR lines
/// name the `RELEASE`. Only the first call in a process counts.
pub fn init(vars: &dyn Vars) {
    let asked = vars.get("LOG_LEVEL").filter(|word| !word.is_empty());
    let level = asked.as_deref().map_or(Ok(LevelFilter::INFO), str::parse);
    let started = lines(
        std::io::stdout,
        level.as_ref().copied().unwrap_or(LevelFilter::INFO),
        named(vars, "METRICS_NAMESPACE").unwrap_or_else(|| emf::NO_STACK.to_owned()),
        named(vars, "WECHATPAY_MCHID"),
        named(vars, "RELEASE"),
        Clock::system(),
    )
    .try_init();
    if started.is_ok() && level.is_err() {
        tracing::warn!(
            "LOG_LEVEL is none of error, warn, info, debug, trace, off; logging at info"
        );
    }
}

/// A setting that is there and not empty.
fn named(vars: &dyn Vars, name: &str) -> Option<String> {
    vars.get(name).filter(|value| !value.is_empty())
}

/// What turns events into lines on `writer`, as [`init`] does where `LOG_LEVEL` names this level:
/// for a test that reads them.
#[cfg(any(test, feature = "testing"))]
pub fn lines_at<W>(
    level: LevelFilter,
    writer: W,
    namespace: &str,
    mchid: &str,
    release: &str,
    clock: Clock,
) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (mchid, release) = (Some(mchid.to_owned()), Some(release.to_owned()));
    lines(writer, level, namespace.to_owned(), mchid, release, clock)
}

/// What turns events into lines on `writer`.
fn lines<W>(
    writer: W,
    level: LevelFilter,
    namespace: String,
    mchid: Option<String>,
    release: Option<String>,
    clock: Clock,
) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let json = format()
        .json()
        .flatten_event(true)
        .with_ansi(false)
        .with_span_list(false);
    let layer = tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(WithMetrics::over(json, namespace, mchid, release, clock))
        .with_ansi(false)
        .with_writer(writer);
    let asked = filter(level);
    let wanted = filter_fn(move |metadata| {
        asked.would_enable(metadata.target(), metadata.level()) || emf::carries_metrics(metadata)
    });
    tracing_subscriber::registry()
        .with(layer)
        .with(wanted.with_max_level_hint(level.max(LevelFilter::INFO)))
}

fn filter(level: LevelFilter) -> Targets {
    OURS.iter().fold(
        Targets::new().with_default(level.min(LevelFilter::INFO)),
        |filter, name| filter.with_target(*name, level),
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing::Level;

    /// The lines that `log` writes at this level.
    pub(crate) fn written(
        clock: Clock,
        level: LevelFilter,
        log: impl FnOnce(),
    ) -> Vec<serde_json::Value> {
        let paper = Captured::default();
        let writer = paper.clone();
        let mchid = Some("1900000001".to_owned());
        let subscriber = lines(
            move || writer.clone(),
            level,
            "live".to_owned(),
            mchid,
            Some("0.4.0-2".to_owned()),
            clock,
        );
        tracing::subscriber::with_default(subscriber, log);
        let text = String::from_utf8(paper.0.lock().expect("not poisoned").clone()).expect("text");
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().expect("JSON")
    }

    /// Keeps what was written.
    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_of_json_with_its_fields_and_those_of_its_span() {
        let paper = Captured::default();
        let writer = paper.clone();
        let subscriber = lines(
            move || writer.clone(),
            LevelFilter::INFO,
            "live".to_owned(),
            None,
            None,
            Clock::system(),
        );
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("create", order_no = "A-1");
            let _inside = span.enter();
            tracing::info!(outcome = "stored", "order\nreserved");
            tracing::debug!("not asked for");
        });
        let written =
            String::from_utf8(paper.0.lock().expect("not poisoned").clone()).expect("text");
        assert_eq!(written.lines().count(), 1, "{written}");
        assert!(!written.contains('\u{1b}'), "{written}");
        let line: serde_json::Value = serde_json::from_str(&written).expect("JSON");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "order\nreserved");
        assert_eq!(line["outcome"], "stored");
        assert_eq!(line["span"]["order_no"], "A-1");
    }

    #[test]
    fn what_another_crate_calls_an_error_is_written_as_a_warning() {
        let lines = written(Clock::system(), LevelFilter::INFO, || {
            tracing::event!(target: "aws_smithy_runtime::client", Level::ERROR, "no \"level\":\"ERROR\"");
            tracing::event!(target: "runtime::kms", Level::ERROR, "ours");
            tracing::event!(target: "runtime_of_others", Level::ERROR, "not ours");
        });
        let values: Vec<_> = lines
            .iter()
            .map(|line| (line["level"].as_str(), line["message"].as_str()))
            .collect();
        let expected = [
            ("WARN", "no \"level\":\"ERROR\""),
            ("ERROR", "ours"),
            ("WARN", "not ours"),
        ];
        assert_eq!(
            values,
            expected.map(|(level, text)| (Some(level), Some(text)))
        );
    }

    #[test]
    fn an_error_of_ours_names_the_release_that_logged_it_and_no_other_line_does() {
        let lines = written(Clock::system(), LevelFilter::INFO, || {
            tracing::event!(target: "runtime::kms", Level::ERROR, "ours");
            tracing::event!(target: "runtime::kms", Level::ERROR, MerchantRefusals = 1, "ours, counted");
            tracing::event!(target: "runtime::kms", Level::WARN, MerchantRefusals = 1, "passes");
            tracing::event!(target: "aws_smithy_runtime::client", Level::ERROR, "not ours");
        });
        let releases: Vec<_> = lines.iter().map(|line| line["release"].as_str()).collect();
        assert_eq!(releases, [Some("0.4.0-2"), Some("0.4.0-2"), None, None]);
        assert_eq!(
            lines.iter().filter(|line| line["_aws"].is_object()).count(),
            2
        );
    }

    #[test]
    fn only_our_crates_say_more_than_info() {
        let filter = filter(LevelFilter::DEBUG);
        assert!(filter.would_enable("runtime::kms", &Level::DEBUG));
        assert!(filter.would_enable("receive_callback", &Level::DEBUG));
        assert!(filter.would_enable("aws_smithy_runtime", &Level::INFO));
        assert!(!filter.would_enable("aws_smithy_runtime", &Level::DEBUG));
        assert!(!filter.would_enable("runtime::kms", &Level::TRACE));
    }

    #[test]
    fn a_level_below_info_holds_for_everybody() {
        let filter = filter(LevelFilter::ERROR);
        assert!(!filter.would_enable("runtime", &Level::WARN));
        assert!(!filter.would_enable("hyper", &Level::WARN));
        assert!(filter.would_enable("hyper", &Level::ERROR));
    }
}
