//! One key with its state and its age.

use wechatpay::UnixSeconds;
use wechatpay::time::format_rfc3339_beijing;

use crate::doctor::finding::{Finding, KEYS_PAGE};

pub(super) const DAY_S: i64 = 86_400;
/// A secret that people changed longer ago is to be changed.
const OLD_AFTER_DAYS: i64 = 365;

/// One key.
#[derive(Debug)]
pub(super) struct KeyStatus {
    /// What it is for; programs may go by it.
    pub(super) kind: &'static str,
    /// Its name. No secret.
    pub(super) id: String,
    pub(super) state: String,
    pub(super) made: Option<UnixSeconds>,
    pub(super) ends: Option<UnixSeconds>,
    pub(super) finding: Option<Finding>,
}

pub(super) fn old(
    now: UnixSeconds,
    made: Option<UnixSeconds>,
    id: &'static str,
    what: &str,
    next_step: impl FnOnce() -> String,
) -> Option<Finding> {
    let age_days = days(now.since(made?));
    (age_days > OLD_AFTER_DAYS).then(|| {
        Finding::warning(
            id,
            format!("{what} is {age_days} days old, and {OLD_AFTER_DAYS} are enough for a secret that people handle."),
            format!("made {age_days} days ago"),
            format!("{} ({KEYS_PAGE})", next_step()),
        )
    })
}

pub(super) fn days(seconds: i64) -> i64 {
    seconds.div_euclid(DAY_S)
}

pub(super) fn time(at: UnixSeconds) -> String {
    format_rfc3339_beijing(at)
}
