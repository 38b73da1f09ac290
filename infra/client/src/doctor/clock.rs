//! This machine's clock. Functions have AWS's own; but what is signed here, and what is judged by
//! age, goes by this one.

use super::aws_calls::AwsCalls;
use super::finding::Finding;

/// From here on, in seconds, something is wrong with the clock.
const WARN_FROM_S: u64 = 30;
/// AWS and WeChat Pay both refuse what was signed 300 s before or after their own time. The rest of
/// the checks takes a minute.
const FAIL_FROM_S: u64 = 240;

pub(crate) fn finding(calls: &AwsCalls) -> Option<Finding> {
    let ahead_s = calls.ahead_s()?;
    let off_s = ahead_s.unsigned_abs();
    let way = if ahead_s > 0 { "ahead" } else { "behind" };
    let evidence = format!("AWS's answers say that this clock is {off_s} s {way}");
    let next_step = "let this machine take the time from the network (`timedatectl set-ntp true`)";
    if off_s >= FAIL_FROM_S {
        Some(Finding::error(
            "clock-off",
            "This machine's clock is wrong: AWS and WeChat Pay refuse what is signed 300 s off their time.",
            evidence,
            next_step,
        ))
    } else if off_s >= WARN_FROM_S {
        Some(Finding::warning(
            "clock-off",
            "This machine's clock is wrong; nothing is refused yet.",
            evidence,
            next_step,
        ))
    } else {
        None
    }
}
