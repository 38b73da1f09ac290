//! The end of the day before a run's day.

use std::collections::BTreeSet;

/// The trades of the last minutes of the day before: our books may have them on the day itself.
#[derive(Debug, Default)]
pub(crate) struct LastMinutes {
    /// Their numbers, as [`number_of`](crate::trade_identity::number_of) gives them.
    pub(crate) numbers: BTreeSet<String>,
    /// Why that day's bill could not be read.
    pub(crate) unread: Option<String>,
}
