//! When a day is late.

use payments::model::bill_date::BillDate;
use wechatpay::UnixSeconds;

/// When a day is late whose bill is not there or that was not reconciled: at 13:00 of the next one,
/// in Beijing.
pub(crate) fn late_at(date: BillDate) -> UnixSeconds {
    UnixSeconds(date.ends_at().0.saturating_add(LATE_AFTER_S))
}

/// The latest day that should be reconciled by now, unless it is.
pub(crate) fn last_late(now: UnixSeconds) -> BillDate {
    yesterday(UnixSeconds(now.0.saturating_sub(LATE_AFTER_S)))
}

/// How long after its end a day is late, in seconds.
const LATE_AFTER_S: i64 = 13 * 3600;

/// The day before the present one, in Beijing.
pub(crate) fn yesterday(now: UnixSeconds) -> BillDate {
    BillDate::of(now).plus_days(-1)
}
