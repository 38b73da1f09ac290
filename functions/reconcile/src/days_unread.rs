//! Days whose records could not be read, from one sweep to the next.

use std::{
    collections::BTreeSet,
    mem,
    sync::{Mutex, PoisonError},
};

use payments::model::bill_date::BillDate;

/// The days whose records the last sweep of this sandbox could not read.
#[derive(Debug, Default)]
pub(crate) struct DaysUnread(Mutex<BTreeSet<BillDate>>);

impl DaysUnread {
    /// Notes those of this sweep. Gives those that the sweep before could not read either.
    pub(crate) fn note(&self, unread: &BTreeSet<BillDate>) -> BTreeSet<BillDate> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = mem::replace(&mut *known, unread.clone());
        before.intersection(unread).copied().collect()
    }
}
