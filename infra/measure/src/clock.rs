//! The time of day for signatures, and CPU time of this thread for measuring.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wechatpay::UnixSeconds;

/// Milliseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark simulates the world outside the functions, which has a clock"
)]
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Seconds since 1970.
pub(crate) fn now() -> UnixSeconds {
    UnixSeconds(now_ms().div_euclid(1000))
}

/// What `work` takes: the shorter of wall time and CPU time of this thread. The two differ when
/// other programs want the processor as well, and then the wall says how busy the machine is.
pub(crate) fn time(work: impl FnOnce()) -> Duration {
    let (cpu, wall) = (thread_cpu(), Instant::now());
    work();
    let wall = wall.elapsed();
    match (cpu, thread_cpu()) {
        (Some(before), Some(after)) => after.saturating_sub(before).min(wall),
        _ => wall,
    }
}

/// CPU time of this thread so far; `None` if the kernel does not provide it.
pub(crate) fn thread_cpu() -> Option<Duration> {
    std::thread::yield_now(); // the kernel brings its account up to date when a thread yields
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace()
        .next()?
        .parse()
        .ok()
        .map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_takes_no_cpu_and_so_no_time() {
        if thread_cpu().is_some() {
            assert!(
                time(|| std::thread::sleep(Duration::from_millis(60))) < Duration::from_millis(30)
            );
        }
    }
}
