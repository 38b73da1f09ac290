//! When the daily run begins, as the stack's schedule has it.

use std::fmt;

use payments::model::bill_date::BillDate;
use wechatpay::UnixSeconds;

/// How long after its time a daily run has begun, in seconds.
const BEGINS_WITHIN_S: i64 = 900;

/// The time of the daily run, in Beijing on the day after the one that it reconciles.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DailyRun {
    minute_of_day: i64,
}

impl DailyRun {
    /// Reads the schedule's expression, `cron(30 10 * * ? *)`. The first of several minutes counts.
    /// For a range it is the end of the hour, so that no run is called late too early.
    pub fn parse(schedule: &str) -> Option<Self> {
        let fields = schedule.strip_prefix("cron(")?.strip_suffix(')')?;
        let mut fields = fields.split_whitespace();
        let (minutes, hour) = (fields.next()?, fields.next()?);
        let hour: i64 = hour.parse().ok().filter(|hour| (0..24).contains(hour))?;
        let minutes = minutes.split(',').map(|minute| {
            let minute: i64 = minute.parse().ok()?;
            (0..60).contains(&minute).then_some(minute)
        });
        let minutes: Option<Vec<i64>> = minutes.collect();
        let minute = minutes.and_then(|minutes| minutes.into_iter().min());
        Some(Self {
            minute_of_day: hour * 60 + minute.unwrap_or(59),
        })
    }

    /// Whether the run of this day should have begun by now.
    pub(crate) fn is_overdue(self, date: BillDate, now: UnixSeconds) -> bool {
        let due = date.ends_at().plus_s(self.minute_of_day * 60);
        now >= due.plus_s(BEGINS_WITHIN_S)
    }
}

impl Default for DailyRun {
    /// 10:30, the schedule of a stack that says nothing else.
    fn default() -> Self {
        Self {
            minute_of_day: 10 * 60 + 30,
        }
    }
}

/// The time, as `10:30`.
impl fmt::Display for DailyRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute) = (self.minute_of_day / 60, self.minute_of_day % 60);
        write!(f, "{hour:02}:{minute:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_read_from_every_expression_that_the_template_takes() {
        for (schedule, time) in [
            ("cron(30 10 * * ? *)", "10:30"),
            ("cron(5 09 * * ? *)", "09:05"),
            ("cron(0 00 * * ? *)", "00:00"),
            ("cron(0 12 * * ? *)", "12:00"),
            ("cron(45,15 12 * * ? *)", "12:15"),
            ("cron(0/20 12 * * ? *)", "12:59"),
            ("cron(* 10 * * ? *)", "10:59"),
        ] {
            let read = DailyRun::parse(schedule).map(|run| run.to_string());
            assert_eq!(read.as_deref(), Some(time), "{schedule}");
        }
        let usual = DailyRun::parse("cron(30 10 * * ? *)");
        assert_eq!(usual, Some(DailyRun::default()));
        for none in [
            "",
            "rate(1 day)",
            "cron(30)",
            "cron(30 24 * * ? *)",
            "cron(30 x * * ? *)",
        ] {
            assert_eq!(DailyRun::parse(none), None, "{none}");
        }
    }
}
