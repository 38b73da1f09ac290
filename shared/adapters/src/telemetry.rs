//! Log lines: one JSON object a line on standard output, which Lambda carries to CloudWatch.
//!
//! No colours, and no filter language: matching its patterns costs start-up time and size for a choice that one word
//! (`LOG_LEVEL`) makes. Standard output is line-buffered, so each line has left the process before the function is
//! frozen. Other people's crates are kept to `info`, whatever is asked: at `debug` the AWS SDK prints requests and
//! answers, and those hold what must never be in a log.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::env::Vars;

/// Our crates: only these may say more than `info`.
const OURS: [&str; 10] = [
    "adapters",
    "create_order",
    "flows",
    "manage_order",
    "message_signatures",
    "payments",
    "process_payment",
    "receive_callback",
    "reconcile",
    "wechatpay",
];

/// Starts logging at the level named by `LOG_LEVEL` (`error`, `warn`, `info`, `debug`, `trace` or `off`; `info` if it is
/// left out or not one of these). Only the first call in a process counts.
pub fn init(vars: &dyn Vars) {
    let asked = vars.get("LOG_LEVEL").filter(|word| !word.is_empty());
    let level = asked.as_deref().map(str::parse::<LevelFilter>);
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_ansi(false).with_span_list(false);
    let started = tracing_subscriber::registry()
        .with(lines)
        .with(filter(level.as_ref().and_then(|level| level.as_ref().ok()).copied().unwrap_or(LevelFilter::INFO)))
        .try_init();
    if started.is_ok() && matches!(level, Some(Err(_))) {
        tracing::warn!("LOG_LEVEL is none of error, warn, info, debug, trace, off; logging at info");
    }
}

fn filter(level: LevelFilter) -> Targets {
    OURS.iter().fold(Targets::new().with_default(level.min(LevelFilter::INFO)), |filter, name| {
        filter.with_target(*name, level)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn only_our_crates_say_more_than_info() {
        let filter = filter(LevelFilter::DEBUG);
        assert!(filter.would_enable("adapters::kms", &Level::DEBUG));
        assert!(filter.would_enable("receive_callback", &Level::DEBUG));
        assert!(filter.would_enable("aws_smithy_runtime", &Level::INFO));
        assert!(!filter.would_enable("aws_smithy_runtime", &Level::DEBUG));
        assert!(!filter.would_enable("adapters::kms", &Level::TRACE));
    }

    #[test]
    fn a_level_below_info_holds_for_everybody() {
        let filter = filter(LevelFilter::ERROR);
        assert!(!filter.would_enable("adapters", &Level::WARN));
        assert!(!filter.would_enable("hyper", &Level::WARN));
        assert!(filter.would_enable("hyper", &Level::ERROR));
    }
}
