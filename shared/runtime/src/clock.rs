//! The clock as a value: what time it is, and how to wait.
//!
//! Rules, signatures and SDK retries all take their time from one [`Clock`], so that a test can
//! choose the hour and a simulated day of retries takes milliseconds. This is the only module that
//! asks the operating system for the time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(any(test, feature = "testing"))]
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep, TokioSleep};
use aws_smithy_async::time::TimeSource;
use wechatpay::UnixSeconds;

/// Gives the time and waits. Clones share one clock.
#[derive(Clone, Debug)]
pub struct Clock(ClockKind);

#[derive(Clone, Debug)]
enum ClockKind {
    System,
    /// Milliseconds since 1970 that only `set`, `advance` and `sleep` move.
    #[cfg(any(test, feature = "testing"))]
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        Self(ClockKind::System)
    }

    /// Whole seconds since 1970.
    pub fn now(&self) -> UnixSeconds {
        UnixSeconds(self.now_ms().div_euclid(1000))
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            ClockKind::System => system_ms(),
            #[cfg(any(test, feature = "testing"))]
            ClockKind::Manual(now_ms) => now_ms.load(Ordering::SeqCst),
        }
    }

    /// Waits. A manual clock moves on by `duration` and returns at once.
    pub async fn sleep(&self, duration: Duration) {
        AsyncSleep::sleep(self, duration).await;
    }

    /// Ends when this much time has passed: the limit of something beside it. Unlike
    /// [`Clock::sleep`] it does not move a manual clock, which somebody else has to.
    pub async fn limit(&self, within: Duration) {
        match &self.0 {
            ClockKind::System => TokioSleep::new().sleep(within).await,
            #[cfg(any(test, feature = "testing"))]
            ClockKind::Manual(_) => {
                let deadline = self.deadline(within);
                while !deadline.left().is_zero() {
                    TokioSleep::new().sleep(Duration::from_millis(1)).await;
                }
            }
        }
    }

    /// The end of the time that work may take from now on.
    pub fn deadline(&self, within: Duration) -> Deadline {
        let within_ms = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
        Deadline {
            ends_ms: self.now_ms().saturating_add(within_ms),
            clock: self.clone(),
        }
    }

    /// Whether time passes by itself. Time limits must not be used on a clock that stands still:
    /// waiting for one ends at once, and would cut off every call.
    pub fn passes_by_itself(&self) -> bool {
        match &self.0 {
            ClockKind::System => true,
            #[cfg(any(test, feature = "testing"))]
            ClockKind::Manual(_) => false,
        }
    }
}

/// An instant until which work may run. Time that one piece of work leaves goes to the next.
#[derive(Clone, Debug)]
pub struct Deadline {
    /// Milliseconds since 1970.
    ends_ms: i64,
    clock: Clock,
}

impl Deadline {
    /// The same, or this instant if it comes first.
    #[must_use]
    pub fn no_later_than(self, until: UnixSeconds) -> Self {
        Self {
            ends_ms: self.ends_ms.min(until.0.saturating_mul(1000)),
            ..self
        }
    }

    /// The time that is left; zero once it is over.
    pub fn left(&self) -> Duration {
        let left_ms = self.ends_ms.saturating_sub(self.clock.now_ms());
        Duration::from_millis(u64::try_from(left_ms).unwrap_or_default())
    }

    /// The time for one piece of work: what is left, but at most `most`. `None` if that is less
    /// than `least`.
    pub fn part(&self, least: Duration, most: Duration) -> Option<Duration> {
        let left = self.left();
        (left >= least).then(|| left.min(most))
    }
}

#[cfg(any(test, feature = "testing"))]
impl Clock {
    /// A clock that stands still at `now` until it is moved.
    pub fn manual(now: UnixSeconds) -> Self {
        Self(ClockKind::Manual(Arc::new(AtomicI64::new(
            now.0.saturating_mul(1000),
        ))))
    }

    /// Moves a manual clock, and all its clones, to `now`. The machine's clock takes no notice.
    pub fn set(&self, now: UnixSeconds) {
        match &self.0 {
            ClockKind::System => {}
            ClockKind::Manual(now_ms) => now_ms.store(now.0.saturating_mul(1000), Ordering::SeqCst),
        }
    }

    /// Moves a manual clock, and all its clones, on by `duration`. The machine's clock takes no
    /// notice.
    pub fn advance(&self, duration: Duration) {
        match &self.0 {
            ClockKind::System => {}
            ClockKind::Manual(now_ms) => {
                now_ms.fetch_add(
                    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX),
                    Ordering::SeqCst,
                );
            }
        }
    }
}

/// The time that the AWS SDK signs requests with.
impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        let now_ms = self.now_ms();
        let distance = Duration::from_millis(now_ms.unsigned_abs());
        let moved = if now_ms < 0 {
            UNIX_EPOCH.checked_sub(distance)
        } else {
            UNIX_EPOCH.checked_add(distance)
        };
        moved.unwrap_or(UNIX_EPOCH)
    }
}

/// How the AWS SDK waits between its attempts.
impl AsyncSleep for Clock {
    fn sleep(&self, duration: Duration) -> Sleep {
        match &self.0 {
            ClockKind::System => TokioSleep::new().sleep(duration),
            #[cfg(any(test, feature = "testing"))]
            ClockKind::Manual(_) => {
                let clock = self.clone();
                Sleep::new(async move {
                    clock.advance(duration);
                    tokio::task::yield_now().await;
                })
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks the operating system for the time"
)]
fn system_ms() -> i64 {
    let now = SystemTime::now();
    match now.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixSeconds = UnixSeconds(1_785_556_800);

    #[tokio::test]
    async fn a_limit_on_a_manual_clock_ends_when_others_have_moved_it_far_enough() {
        let clock = Clock::manual(NOON);
        let (moved, limited) = (clock.clone(), clock.clone());
        let limit = tokio::spawn(async move {
            limited.limit(Duration::from_millis(300)).await;
            limited.now_ms()
        });
        for _ in 0..3 {
            tokio::task::yield_now().await;
            moved.advance(Duration::from_millis(100));
        }
        assert_eq!(limit.await.expect("a task"), NOON.0 * 1000 + 300);
    }

    #[tokio::test]
    async fn a_manual_clock_moves_only_when_it_is_moved() {
        let clock = Clock::manual(NOON);
        let twin = clock.clone();
        assert_eq!(clock.now(), NOON);
        clock.advance(Duration::from_millis(1500));
        assert_eq!(twin.now(), UnixSeconds(NOON.0 + 1));
        assert_eq!(twin.now_ms(), NOON.0 * 1000 + 1500);
        clock.set(UnixSeconds(7));
        assert_eq!(twin.now(), UnixSeconds(7));
    }

    #[tokio::test]
    async fn sleeping_on_a_manual_clock_takes_no_time_but_moves_it() {
        let clock = Clock::manual(NOON);
        let started = std::time::Instant::now();
        clock.sleep(Duration::from_secs(3600)).await;
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_eq!(clock.now(), UnixSeconds(NOON.0 + 3600));
    }

    #[tokio::test]
    async fn a_sleep_that_is_never_awaited_moves_nothing() {
        let clock = Clock::manual(NOON);
        drop(AsyncSleep::sleep(&clock, Duration::from_secs(9)));
        assert_eq!(clock.now(), NOON);
    }

    #[tokio::test]
    async fn the_machine_s_clock_agrees_with_itself_and_really_waits() {
        let clock = Clock::system();
        let before = clock.now_ms();
        clock.sleep(Duration::from_millis(20)).await;
        assert!(clock.now_ms() - before >= 19);
        assert!(clock.now().0 > 1_700_000_000);
        let sdk_time = TimeSource::now(&clock)
            .duration_since(UNIX_EPOCH)
            .expect("after 1970");
        assert!(
            sdk_time
                .as_secs()
                .abs_diff(u64::try_from(clock.now().0).expect("after 1970"))
                <= 1
        );
    }

    #[test]
    fn a_deadline_leaves_what_time_is_left_and_is_over_from_its_instant_on() {
        let clock = Clock::manual(NOON);
        let deadline = clock.deadline(Duration::from_millis(2500));
        clock.advance(Duration::from_millis(1000));
        assert_eq!(deadline.left(), Duration::from_millis(1500));
        assert!(!deadline.left().is_zero());
        let earlier = deadline.clone().no_later_than(UnixSeconds(NOON.0 + 2));
        assert_eq!(earlier.left(), Duration::from_millis(1000));
        let later = deadline.clone().no_later_than(UnixSeconds(NOON.0 + 60));
        assert_eq!(later.left(), deadline.left());
        clock.advance(Duration::from_millis(1500));
        assert!(deadline.left().is_zero() && earlier.left().is_zero());
        clock.advance(Duration::from_secs(9));
        assert_eq!(deadline.left(), Duration::ZERO);
        assert!(!clock.deadline(Duration::MAX).left().is_zero());
    }

    #[test]
    fn the_sdk_s_time_of_a_manual_clock_may_lie_before_1970() {
        let clock = Clock::manual(UnixSeconds(-10));
        assert_eq!(
            TimeSource::now(&clock),
            UNIX_EPOCH - Duration::from_secs(10)
        );
    }
}
