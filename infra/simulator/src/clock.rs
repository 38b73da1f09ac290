//! The simulator's clock and the ways in which WeChat Pay writes times.
//!
//! Times are Unix milliseconds (`_ms`) inside, so that a ladder that was sped up a hundredfold
//! still has its steps.

use std::sync::atomic::{AtomicI64, Ordering};

use time::{
    OffsetDateTime, UtcOffset, format_description::BorrowedFormatItem,
    format_description::well_known::Rfc3339, macros::format_description,
};

/// Milliseconds in a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

const BEIJING_S: i32 = 8 * 3600;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Time {
    /// The computer's. The waits before a callback is repeated and before a refund is done are
    /// divided by `speed`.
    System {
        /// 1 is real time.
        speed: u32,
    },
    /// Stands still until [`Admin::advance`](crate::Admin::advance) or
    /// [`Admin::set_time`](crate::Admin::set_time). Callbacks that became due are delivered then,
    /// and not before.
    Manual {
        /// Unix seconds at the start.
        start_s: i64,
    },
}

impl Time {
    /// The computer's time in Unix seconds, for [`Time::Manual`].
    pub fn now_s() -> i64 {
        seconds(system_ms())
    }
}

pub(crate) struct Clock {
    manual_ms: Option<AtomicI64>,
    speed: i64,
}

impl Clock {
    pub(crate) fn new(time: Time) -> Self {
        match time {
            Time::System { speed } => Self {
                manual_ms: None,
                speed: i64::from(speed.max(1)),
            },
            Time::Manual { start_s } => Self {
                manual_ms: Some(AtomicI64::new(start_s.saturating_mul(1000))),
                speed: 1,
            },
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        match &self.manual_ms {
            Some(now) => now.load(Ordering::SeqCst),
            None => system_ms(),
        }
    }

    pub(crate) fn is_manual(&self) -> bool {
        self.manual_ms.is_some()
    }

    /// Moves a manual clock; never backwards, since callbacks may have been delivered already.
    pub(crate) fn move_to(&self, now_ms: i64) {
        if let Some(now) = &self.manual_ms {
            now.fetch_max(now_ms, Ordering::SeqCst);
        }
    }

    /// `wait_ms` as it passes on this clock.
    pub(crate) fn sped_up(&self, wait_ms: i64) -> i64 {
        wait_ms.checked_div(self.speed).unwrap_or(wait_ms)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the simulator is a stranger to the product and has a clock of its own"
)]
pub(crate) fn system_ms() -> i64 {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Unix seconds, as in `Wechatpay-Timestamp`.
pub(crate) fn seconds(ms: i64) -> i64 {
    ms.div_euclid(1000)
}

/// `2026-08-01T12:00:01+08:00`
pub(crate) fn rfc3339(ms: i64) -> String {
    beijing(
        ms,
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+08:00"),
    )
}

/// `2026-08-01 12:00:01`, as in bills.
pub(crate) fn bill_time(ms: i64) -> String {
    beijing(
        ms,
        format_description!("[year]-[month]-[day] [hour]:[minute]:[second]"),
    )
}

/// `2026-08-01`: the Beijing day.
pub(crate) fn day(ms: i64) -> String {
    beijing(ms, format_description!("[year]-[month]-[day]"))
}

/// `20260801`
pub(crate) fn compact_day(ms: i64) -> String {
    beijing(ms, format_description!("[year][month][day]"))
}

/// `20260801120001`
pub(crate) fn compact_time(ms: i64) -> String {
    beijing(
        ms,
        format_description!("[year][month][day][hour][minute][second]"),
    )
}

/// Hour of the Beijing day, 0 to 23.
pub(crate) fn hour(ms: i64) -> u8 {
    in_beijing(ms).hour()
}

/// Reads the four forms of an RFC 3339 time that WeChat Pay takes.
pub(crate) fn parse_ms(text: &str) -> Option<i64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// The Beijing day of `text` (`2026-08-01`) as its first millisecond.
pub(crate) fn parse_day_ms(text: &str) -> Option<i64> {
    let day = time::Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
    let seconds = day.midnight().assume_utc().unix_timestamp();
    seconds.checked_sub(i64::from(BEIJING_S))?.checked_mul(1000)
}

/// The first millisecond of the Beijing day.
pub(crate) fn day_start_ms(ms: i64) -> i64 {
    let beijing_ms = i64::from(BEIJING_S).saturating_mul(1000);
    let into_the_day_ms = ms.saturating_add(beijing_ms).rem_euclid(DAY_MS);
    ms.saturating_sub(into_the_day_ms)
}

fn in_beijing(ms: i64) -> OffsetDateTime {
    let offset = UtcOffset::from_whole_seconds(BEIJING_S).unwrap_or(UtcOffset::UTC);
    OffsetDateTime::from_unix_timestamp(seconds(ms))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .to_offset(offset)
}

fn beijing(ms: i64, format: &[BorrowedFormatItem<'_>]) -> String {
    in_beijing(ms).format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_beijing_time_in_each_of_the_five_ways() {
        let ms = 1_785_556_801_234; // 2026-08-01T04:00:01.234Z
        assert_eq!(rfc3339(ms), "2026-08-01T12:00:01+08:00");
        assert_eq!(bill_time(ms), "2026-08-01 12:00:01");
        assert_eq!(day(ms), "2026-08-01");
        assert_eq!(compact_day(ms), "20260801");
        assert_eq!(compact_time(ms), "20260801120001");
        assert_eq!(hour(ms), 12);
    }

    #[test]
    fn all_four_forms_of_a_time_mean_the_same_moment() {
        for text in [
            "2026-08-01T04:00:01Z",
            "2026-08-01T04:00:01.000Z",
            "2026-08-01T12:00:01+08:00",
            "2026-08-01T12:00:01.000+08:00",
        ] {
            assert_eq!(parse_ms(text), Some(1_785_556_801_000), "{text}");
        }
        assert_eq!(parse_ms("2026-08-01 12:00:01"), None);
    }

    #[test]
    fn a_beijing_day_begins_sixteen_hours_into_the_day_before_in_utc() {
        assert_eq!(
            parse_day_ms("2026-08-01").map(rfc3339).as_deref(),
            Some("2026-08-01T00:00:00+08:00")
        );
        assert_eq!(parse_day_ms("2026-13-01"), None);
        let start_ms = parse_day_ms("2026-08-01").unwrap();
        for ms in [start_ms, start_ms + 1, start_ms + DAY_MS - 1] {
            assert_eq!(day_start_ms(ms), start_ms);
        }
    }
}
