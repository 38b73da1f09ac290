//! Days and moments as people say them.

use payments::model::bill_date::BillDate;
use wechatpay::{UnixSeconds, time::format_rfc3339_beijing};

/// `2026-08-01 12:00:01`, in Beijing.
pub(crate) fn moment(at: UnixSeconds) -> String {
    let text = format_rfc3339_beijing(at);
    let text = text.split('+').next().unwrap_or_default();
    text.replace('T', " ")
}

/// `Saturday, 1 August 2026`.
pub(crate) fn long_day(date: BillDate) -> String {
    const WEEKDAYS: [&str; 7] = [
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "Monday",
        "Tuesday",
        "Wednesday",
    ];
    // 1970-01-01 was a Thursday; Beijing is eight hours ahead.
    let days = date
        .starts_at()
        .0
        .saturating_add(8 * 3600)
        .div_euclid(86_400);
    let weekday = usize::try_from(days.rem_euclid(7)).unwrap_or_default();
    let weekday = WEEKDAYS.get(weekday).copied().unwrap_or_default();
    let text = date.to_string();
    let year = text.split('-').next().unwrap_or_default();
    format!("{weekday}, {} {year}", day_and_month(date, Month::Long))
}

/// How a month is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Month {
    Long,
    Short,
}

/// `1 August` or `1 Aug`.
pub(crate) fn day_and_month(date: BillDate, month: Month) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let text = date.to_string();
    let mut parts = text.split('-').skip(1);
    let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok());
    let (of_year, day) = (number().unwrap_or(1), number().unwrap_or_default());
    let name = MONTHS
        .get(of_year.wrapping_sub(1))
        .copied()
        .unwrap_or_default();
    let name = match month {
        Month::Long => name,
        Month::Short => name.get(..3).unwrap_or(name),
    };
    format!("{day} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_as_people_say_them() {
        for (date, long, short) in [
            ("2026-08-01", "Saturday, 1 August 2026", "1 Aug"),
            ("2026-11-26", "Thursday, 26 November 2026", "26 Nov"),
            ("2024-02-29", "Thursday, 29 February 2024", "29 Feb"),
        ] {
            let date = BillDate::parse(date).unwrap();
            assert_eq!(long_day(date), long);
            assert_eq!(day_and_month(date, Month::Short), short);
        }
        assert_eq!(moment(UnixSeconds(1_785_556_801)), "2026-08-01 12:00:01");
    }
}
