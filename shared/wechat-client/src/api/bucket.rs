//! A token bucket: a number of calls a second, and some at once when there were few before.

/// How many seconds' worth of tokens a full bucket holds. Traffic comes in bursts (a batch, a
/// sweep), and a sandbox should be limited by its share of a quota, not by bursts.
const BURST_S: i64 = 2;

/// Gives out tokens at a steady rate. Takes the time from its caller, so it can be tested with
/// literals.
///
/// It stores no count of tokens but the time at which it is full again: taking a token moves that
/// time forward, and a caller that finds it too far ahead must wait. So every token is assigned to
/// one caller, in order of arrival, without polling.
#[derive(Debug)]
pub struct Bucket {
    interval_us: i64,
    /// How far `full_at_us` may be ahead of the clock for a token without waiting.
    ahead_us_max: i64,
    full_at_us: i64,
    seen_us: i64,
}

impl Bucket {
    /// A full bucket with `per_s` tokens a second (at least one).
    pub fn new(per_s: u32) -> Self {
        let per_s = i64::from(per_s.max(1));
        // Rounded up: rather a little too slow than over the quota.
        let interval_us = (1_000_000 + per_s - 1) / per_s;
        Self {
            interval_us,
            ahead_us_max: interval_us * (BURST_S * per_s - 1),
            full_at_us: i64::MIN,
            seen_us: i64::MIN,
        }
    }

    /// How long a caller at `now_ms` would wait for a token, in milliseconds. Takes none.
    pub fn wait_ms(&mut self, now_ms: i64) -> i64 {
        let full_at_us = self.at(now_ms);
        self.wait_ms_at(full_at_us)
    }

    /// The time at which the bucket is full again, seen at `now_ms`.
    fn at(&mut self, now_ms: i64) -> i64 {
        let now_us = now_ms.saturating_mul(1000);
        if now_us < self.seen_us {
            // The clock was set back: that must not make callers wait.
            let by_us = self.seen_us.saturating_sub(now_us);
            self.full_at_us = self.full_at_us.saturating_sub(by_us);
        }
        self.seen_us = now_us;
        self.full_at_us.max(now_us)
    }

    fn wait_ms_at(&self, full_at_us: i64) -> i64 {
        let wait_us = full_at_us
            .saturating_sub(self.seen_us)
            .saturating_sub(self.ahead_us_max)
            .max(0);
        wait_us.saturating_add(999) / 1000
    }

    /// Takes a token at `now_ms`. Returns the milliseconds to wait until it is valid, or takes none
    /// and returns `None` if that would be more than `wait_ms_max`.
    pub fn take(&mut self, now_ms: i64, wait_ms_max: i64) -> Option<i64> {
        let full_at_us = self.at(now_ms);
        let wait_ms = self.wait_ms_at(full_at_us);
        if wait_ms > wait_ms_max {
            return None;
        }
        self.full_at_us = full_at_us.saturating_add(self.interval_us);
        Some(wait_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_785_556_800_000;

    #[test]
    fn a_full_bucket_gives_two_seconds_worth_at_once_and_then_one_token_for_each_interval() {
        let mut bucket = Bucket::new(10);
        for n in 0..20 {
            assert_eq!(bucket.take(NOW_MS, 0), Some(0), "token {n}");
        }
        assert_eq!(bucket.take(NOW_MS, 99), None, "100 ms off");
        assert_eq!(
            bucket.take(NOW_MS, 100),
            Some(100),
            "what was refused took nothing"
        );
        assert_eq!(bucket.take(NOW_MS, 1000), Some(200), "the next in line");
        assert_eq!(bucket.take(NOW_MS + 250, 1000), Some(50));
    }

    #[test]
    fn asking_for_the_wait_takes_no_token() {
        let mut bucket = Bucket::new(10);
        for _ in 0..21 {
            bucket.take(NOW_MS, 1000);
        }
        assert_eq!([bucket.wait_ms(NOW_MS), bucket.wait_ms(NOW_MS)], [200, 200]);
        assert_eq!(bucket.wait_ms(NOW_MS + 150), 50);
        assert_eq!(bucket.take(NOW_MS + 150, 1000), Some(50));
    }

    #[test]
    fn unused_tokens_are_kept_up_to_the_size_of_the_bucket() {
        let mut bucket = Bucket::new(10);
        let burst = |bucket: &mut Bucket, now_ms| {
            (0..100)
                .take_while(|_| bucket.take(now_ms, 0).is_some())
                .count()
        };
        assert_eq!(burst(&mut bucket, NOW_MS), 20);
        assert_eq!(burst(&mut bucket, NOW_MS + 500), 5);
        assert_eq!(burst(&mut bucket, NOW_MS + 3_600_000), 20);
    }

    #[test]
    fn over_a_minute_no_more_than_rate_and_burst_get_through() {
        for per_s in [1, 3, 50, 150, 999] {
            let mut bucket = Bucket::new(per_s);
            let taken = (0..60_000)
                .filter(|ms| bucket.take(NOW_MS + ms, 0).is_some())
                .count();
            let rate = usize::try_from(per_s).unwrap();
            assert!(
                (60 * rate..=62 * rate).contains(&taken),
                "{taken} at {per_s} a second"
            );
        }
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_wait_longer() {
        let mut bucket = Bucket::new(10);
        for _ in 0..20 {
            bucket.take(NOW_MS, 0);
        }
        assert_eq!(bucket.take(NOW_MS - 3_600_000, 1000), Some(100));
        assert_eq!(bucket.take(NOW_MS - 3_599_000, 1000), Some(0));
    }
}
