//! A difference whose refund is tracked.

use payments::model::bill_date::BillDate;

/// A difference in the list of those that are tracked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrackedDifference {
    /// Its day.
    pub date: BillDate,
    /// Its name under the day.
    pub id: String,
    /// The version of the step that added it.
    pub(super) version: u64,
}

impl TrackedDifference {
    pub(super) fn new(date: BillDate, id: String, version: u64) -> Self {
        Self { date, id, version }
    }
}
