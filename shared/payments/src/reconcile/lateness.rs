//! When a day is late, and how many days are watched for that. On-call is called and the console
//! shows red by the same rules.

use wechatpay::UnixSeconds;

use crate::model::bill_date::BillDate;

/// How many days are watched. A day that was not run within a week is assumed to be left out on
/// purpose.
pub const WATCHED_DAYS: i64 = 7;
/// How many days before them are read too, to detect a gap at their beginning.
pub const EARLIER_DAYS: i64 = 7;

/// How long after its end a day is late, in seconds.
const LATE_AFTER_S: i64 = 13 * 3600;

/// When a day is late whose bill is not there or that was not reconciled: at 13:00 of the next one,
/// in Beijing. WeChat Pay makes bills by 10:00.
pub fn late_at(date: BillDate) -> UnixSeconds {
    date.ends_at().plus_s(LATE_AFTER_S)
}

/// When a day's money has to be explained, by the objective of `infra/runbooks/slo.md`: at 11:00 of
/// the next one, in Beijing.
pub fn explained_by(date: BillDate) -> UnixSeconds {
    date.ends_at().plus_s(11 * 3600)
}

/// The latest day that should be reconciled by now, unless it is.
pub fn last_late(now: UnixSeconds) -> BillDate {
    yesterday(now.plus_s(-LATE_AFTER_S))
}

/// The day before the present one, in Beijing.
pub fn yesterday(now: UnixSeconds) -> BillDate {
    BillDate::of(now).plus_days(-1)
}

#[cfg(test)]
mod tests {
    use wechatpay::time::parse_rfc3339;

    use super::*;

    #[test]
    fn a_day_is_explained_by_eleven_and_late_at_one_of_the_next_day_in_beijing() {
        let day = |text| BillDate::parse(text).unwrap();
        let at = |text| parse_rfc3339(text).unwrap();
        let date = day("2026-08-01");
        assert_eq!(explained_by(date), at("2026-08-02T11:00:00+08:00"));
        assert_eq!(late_at(date), at("2026-08-02T13:00:00+08:00"));
        for (now, last) in [
            ("2026-08-02T12:59:59+08:00", "2026-07-31"),
            ("2026-08-02T13:00:00+08:00", "2026-08-01"),
        ] {
            assert_eq!(last_late(at(now)), day(last), "{now}");
        }
        assert_eq!(yesterday(at("2026-08-02T00:00:00+08:00")), date);
        assert_eq!(yesterday(at("2026-08-02T23:59:59+08:00")), date);
    }
}
