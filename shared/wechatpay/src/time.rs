//! Points in time as values. Nothing in this crate reads a clock: the caller says what time it is.
//!
//! WeChat Pay writes RFC 3339 times in four forms, with or without milliseconds, as `Z` or `+08:00`
//! (manual page 4012081709); all are read. Days, as in bills, are Beijing days: UTC+8 without
//! daylight saving (page 4013071215).

use ::time::format_description::well_known::Rfc3339;
use ::time::macros::offset;
use ::time::{OffsetDateTime, UtcOffset};
use serde::{Deserialize, Serialize};

/// Whole seconds since 1970-01-01T00:00:00Z, the unit of `Wechatpay-Timestamp` and of the
/// `Authorization` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixSeconds(pub i64);

impl UnixSeconds {
    /// The moment this many seconds later, or earlier if they are negative. It stops at the ends of
    /// the range.
    #[must_use]
    pub const fn plus_s(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this moment; negative if that one is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A text that is no RFC 3339 time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time such as 2026-08-01T12:00:01+08:00")]
pub struct NotATime;

const BEIJING: UtcOffset = offset!(+8);
/// 9999-12-31T15:59:59Z, the last second whose Beijing year has four digits.
const LAST_SECOND: i64 = 253_402_271_999;

/// Reads a time such as `2026-08-01T12:00:01+08:00`; fractions of a second are cut off.
///
/// # Errors
/// [`NotATime`] for everything RFC 3339 does not allow, a date without an offset among it.
pub fn parse_rfc3339(text: &str) -> Result<UnixSeconds, NotATime> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map(|at| UnixSeconds(at.unix_timestamp()))
        .map_err(|_| NotATime)
}

/// Writes a time as WeChat's own examples do: `2026-08-01T12:00:01+08:00`.
///
/// Times outside 1970..=9999 are moved to the nearest end, since RFC 3339 cannot say them.
#[must_use]
pub fn format_rfc3339_beijing(at: UnixSeconds) -> String {
    let there = in_beijing(at);
    format!(
        "{}T{:02}:{:02}:{:02}+08:00",
        beijing_day(at),
        there.hour(),
        there.minute(),
        there.second()
    )
}

/// The Beijing day that `at` falls into, as `bill_date` wants it: `2026-08-01`.
#[must_use]
pub fn beijing_day(at: UnixSeconds) -> String {
    let there = in_beijing(at);
    format!(
        "{:04}-{:02}-{:02}",
        there.year(),
        u8::from(there.month()),
        there.day()
    )
}

fn in_beijing(at: UnixSeconds) -> OffsetDateTime {
    let seconds = at.0.clamp(0, LAST_SECOND);
    OffsetDateTime::from_unix_timestamp(seconds)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .to_offset(BEIJING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_added_to_and_compared_without_overflow() {
        let at = UnixSeconds(1_000);
        assert_eq!(at.plus_s(60), UnixSeconds(1_060));
        assert_eq!(at.plus_s(-60).since(at), -60);
        assert_eq!(UnixSeconds(i64::MAX).plus_s(1), UnixSeconds(i64::MAX));
        assert_eq!(UnixSeconds(i64::MIN).since(at), i64::MIN);
    }

    #[test]
    fn all_four_forms_of_the_manual_are_read_as_the_same_second() {
        for text in [
            "2026-08-01T04:00:01Z",
            "2026-08-01T04:00:01.999Z",
            "2026-08-01T12:00:01+08:00",
            "2026-08-01T12:00:01.001+08:00",
        ] {
            assert_eq!(
                parse_rfc3339(text),
                Ok(UnixSeconds(1_785_556_801)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_time_without_offset_is_refused() {
        for text in [
            "2026-08-01T12:00:01",
            "2026-08-01",
            "",
            "yesterday",
            "2026-13-01T12:00:01Z",
        ] {
            assert_eq!(parse_rfc3339(text), Err(NotATime), "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for seconds in [0, 951_782_400, 1_785_556_801, LAST_SECOND] {
            let text = format_rfc3339_beijing(UnixSeconds(seconds));
            assert_eq!(parse_rfc3339(&text), Ok(UnixSeconds(seconds)), "{text}");
        }
    }

    #[test]
    fn the_day_turns_at_midnight_in_beijing() {
        assert_eq!(beijing_day(UnixSeconds(1_785_513_599)), "2026-07-31");
        assert_eq!(beijing_day(UnixSeconds(1_785_513_600)), "2026-08-01");
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        assert_eq!(
            format_rfc3339_beijing(UnixSeconds(i64::MIN)),
            "1970-01-01T08:00:00+08:00"
        );
        assert_eq!(
            format_rfc3339_beijing(UnixSeconds(i64::MAX)),
            "9999-12-31T23:59:59+08:00"
        );
    }
}
