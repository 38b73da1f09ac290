//! The day: how its orders are spread, and which faults it has when.

use std::time::Duration;

/// The share of each hour, in tenths of the mean: a quiet night, a busy noon, and an evening sale
/// whose hour has five times the mean.
const HOURS: [u64; 24] = [
    2, 1, 1, 1, 1, 2, 3, 5, 7, 9, 10, 12, 15, 10, 8, 7, 8, 10, 15, 22, 50, 24, 12, 5,
];

/// All of them: 24 times the mean.
const ALL_HOURS: u64 = 240;

/// Hours are compared in such parts of their tenths.
const FINE: u64 = 1_000;

/// A fault of the day.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// WeChat Pay answers every call with 502 and does nothing.
    WechatPayFails,
    /// The AWS engine stops and starts again; the API answers 503 meanwhile.
    EngineRestarts,
    /// Of the calls to DynamoDB, KMS and SQS each fifth is throttled.
    AwsThrottles,
    /// WeChat Pay's main host takes connections and answers nothing. The backup answers.
    MainHostSilent,
    /// WeChat Pay's main host refuses connections. The backup answers.
    MainHostRefuses,
}

/// A fault with its time of the day, in minutes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Staged {
    pub(crate) fault: Fault,
    pub(crate) from_min: u32,
    pub(crate) to_min: u32,
}

/// What goes wrong, in order. No two at once.
pub(crate) const FAULTS: [Staged; 5] = [
    Staged::at(Fault::WechatPayFails, 10 * 60, 11 * 60),
    // A restart ends by itself.
    Staged::at(Fault::EngineRestarts, 13 * 60, 13 * 60),
    Staged::at(Fault::AwsThrottles, 15 * 60, 16 * 60 + 30),
    Staged::at(Fault::MainHostSilent, 18 * 60, 20 * 60),
    Staged::at(Fault::MainHostRefuses, 20 * 60, 22 * 60),
];

impl Fault {
    /// The name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::WechatPayFails => "wechat-pay-fails",
            Self::EngineRestarts => "engine-restarts",
            Self::AwsThrottles => "aws-throttles",
            Self::MainHostSilent => "main-host-silent",
            Self::MainHostRefuses => "main-host-refuses",
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::WechatPayFails => "WeChat Pay answers 502 to everything",
            Self::EngineRestarts => "the AWS engine restarts",
            Self::AwsThrottles => "a fifth of the calls to DynamoDB, KMS and SQS is throttled",
            Self::MainHostSilent => "WeChat Pay's main host answers nothing",
            Self::MainHostRefuses => "WeChat Pay's main host refuses connections",
        }
    }
}

impl Staged {
    const fn at(fault: Fault, from_min: u32, to_min: u32) -> Self {
        Self {
            fault,
            from_min,
            to_min,
        }
    }

    /// Its time of the day, for people.
    pub(crate) fn time(&self) -> String {
        let (from, to) = (clock(self.from_min), clock(self.to_min));
        if from == to {
            from
        } else {
            format!("{from} to {to}")
        }
    }

    /// Whether a moment of the compressed day falls into it.
    pub(crate) fn holds(&self, at: Duration, day: Duration) -> bool {
        (offset(self.from_min, day)..offset(self.to_min, day)).contains(&at)
    }
}

fn clock(minutes: u32) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// When a minute of the day is, in a day of this length.
pub(crate) fn offset(minute: u32, day: Duration) -> Duration {
    day * minute / 1_440
}

/// When the orders of a day come: each hour has its share, and within an hour they are even.
pub(crate) fn arrivals(orders: u64, day: Duration) -> Vec<Duration> {
    (0..orders)
        .map(|order| arrival(order, orders, day))
        .collect()
}

fn arrival(order: u64, orders: u64, day: Duration) -> Duration {
    // The middle of its share of the day's load.
    let mut left = (2 * order + 1) * ALL_HOURS * FINE / (2 * orders);
    let hour_us = u64::try_from(day.as_micros() / 24).unwrap_or(u64::MAX);
    let mut begin_us = 0;
    for weight in HOURS.map(|weight| weight * FINE) {
        if left < weight {
            return Duration::from_micros(begin_us + left * hour_us / weight);
        }
        left -= weight;
        begin_us += hour_us;
    }
    day
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_hour_has_five_times_the_mean() {
        assert_eq!(HOURS.iter().sum::<u64>(), ALL_HOURS);
        assert_eq!(HOURS.iter().max(), Some(&50));
        let day = Duration::from_secs(24 * 60);
        let orders = arrivals(2_400, day);
        assert_eq!(orders.len(), 2_400);
        assert!(orders.is_sorted() && orders.last() < Some(&day));
        let hour = |hour: u64| {
            let of_hour = Duration::from_secs(hour * 60)..Duration::from_secs((hour + 1) * 60);
            orders.iter().filter(|at| of_hour.contains(*at)).count()
        };
        assert_eq!((hour(20), hour(10), hour(3)), (500, 100, 10));
    }

    #[test]
    fn a_day_of_few_orders_has_them_all() {
        for orders in [0, 1, 7] {
            let day = Duration::from_secs(24);
            assert_eq!(
                arrivals(orders, day).len(),
                usize::try_from(orders).expect("few")
            );
        }
    }

    #[test]
    fn faults_come_one_after_the_other_and_end_before_the_day_does() {
        let mut until = 0;
        for staged in FAULTS {
            assert!(staged.from_min >= until, "{staged:?}");
            assert!(staged.to_min >= staged.from_min, "{staged:?}");
            until = staged.to_min;
        }
        assert!(until < 24 * 60, "the last orders find all well");
    }

    #[test]
    fn a_fault_has_its_time_of_the_day_whatever_the_days_length() {
        let [_, restart, throttles, ..] = FAULTS;
        assert_eq!(
            (restart.time(), throttles.time()),
            ("13:00".to_owned(), "15:00 to 16:30".to_owned())
        );
        let (day, second) = (Duration::from_secs(24), Duration::from_secs(1));
        assert!(!throttles.holds(second * 14, day));
        assert!(throttles.holds(second * 16, day));
        assert!(!throttles.holds(second * 17, day));
        assert!(!restart.holds(second * 13, day), "it has no length");
    }
}
