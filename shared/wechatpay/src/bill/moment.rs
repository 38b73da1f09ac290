//! Times as bills write them.

use ::time::macros::offset;
use ::time::{Date, Month};

use crate::time::UnixSeconds;

/// Reads a time as bills write it: `2026-08-01 10:00:05`, in Beijing; none for everything else.
#[must_use]
pub fn beijing_time(text: &str) -> Option<UnixSeconds> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b' ', rest @ ..] = text.as_bytes() else {
        return None;
    };
    let [h0, h1, b':', n0, n1, b':', s0, s1] = rest else {
        return None;
    };
    let year = i32::from(two(*y0, *y1)?) * 100 + i32::from(two(*y2, *y3)?);
    let month = Month::try_from(two(*m0, *m1)?).ok()?;
    let at = Date::from_calendar_date(year, month, two(*d0, *d1)?)
        .ok()?
        .with_hms(two(*h0, *h1)?, two(*n0, *n1)?, two(*s0, *s1)?)
        .ok()?
        .assume_offset(offset!(+8));
    Some(UnixSeconds(at.unix_timestamp()))
}

fn two(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_one_in_beijing() {
        assert_eq!(
            beijing_time("2026-08-01 12:00:01"),
            Some(UnixSeconds(1_785_556_801))
        );
        assert_eq!(beijing_time("1970-01-01 08:00:00"), Some(UnixSeconds(0)));
    }

    #[test]
    fn what_no_clock_shows_is_none() {
        for text in [
            "",
            "2026-08-01",
            "2026-08-01T12:00:01",
            "2026-02-29 12:00:01",
            "2026-08-01 24:00:00",
            "2026-08-01 12:00:60",
            "2026-13-01 12:00:01",
            "2026-08-01 12:00:01 ",
            "2026-08-01 12:00:0x",
        ] {
            assert_eq!(beijing_time(text), None, "{text}");
        }
    }
}
