//! What changes in the books, piece by piece: one line of the journal that continues the state
//! file.
//!
//! Orders, refunds and callbacks track which of them changed; the ledger tracks how much of it was
//! written. So a line has the size of the change, however large the books are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    bills::{bill::Bill, differences::InjectedDifference},
    books::Store,
    callbacks::Callback,
    keys::{Keyring, StoredKey},
    ledger::LedgerChanges,
    order::Order,
    refund::{Refund, RefundOutcome},
    settings::Settings,
    stored::Stored,
};

/// What changed since the line before. Whatever did not is left out.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Changes {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    orders: Vec<Order>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refunds: Vec<Refund>,
    /// With their places in the list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    callbacks: Vec<(usize, Callback)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<LedgerChanges>,
    /// `None` is a bill that must be created again.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    bills: BTreeMap<String, Option<Bill>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    small: Option<SmallParts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<StoredKey>>,
}

/// The small parts of the books. If one changes, all are written.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
struct SmallParts {
    differences: Vec<InjectedDifference>,
    next_refunds: RefundOutcome,
    settings: Settings,
}

impl SmallParts {
    fn of(books: &Store) -> Self {
        Self {
            differences: books.differences.clone(),
            next_refunds: books.next_refunds,
            settings: books.settings.clone(),
        }
    }
}

/// What the files contain so far of the data that does not track this itself.
pub(crate) struct FileState {
    bills: BTreeMap<String, Bill>,
    small: SmallParts,
    /// Keys are only ever added.
    keys: usize,
}

impl FileState {
    /// Everything is written: the books are about to be, as a whole.
    pub(crate) fn whole(books: &mut Store, keys: &Keyring) -> Self {
        books.orders.forget_changes();
        books.refunds.forget_changes();
        books.callbacks.forget_changes();
        books.ledger.forget_changes();
        Self {
            bills: books.bills.clone(),
            small: SmallParts::of(books),
            keys: keys.len(),
        }
    }

    /// What changed since, which counts as written from now on.
    pub(crate) fn take_changes(&mut self, books: &mut Store, keys: &Keyring) -> Changes {
        let small = Some(SmallParts::of(books)).filter(|small| *small != self.small);
        if let Some(small) = &small {
            self.small.clone_from(small);
        }
        let more_keys = keys.len() != self.keys;
        self.keys = keys.len();
        Changes {
            orders: books.orders.take_changes(),
            refunds: books.refunds.take_changes(),
            callbacks: books.callbacks.take_changes(),
            ledger: books.ledger.take_changes(),
            bills: self.take_changed_bills(&books.bills),
            small,
            keys: more_keys.then(|| keys.store()),
        }
    }

    fn take_changed_bills(
        &mut self,
        now: &BTreeMap<String, Bill>,
    ) -> BTreeMap<String, Option<Bill>> {
        let is_written = |key: &String, bill: &Bill| {
            let written = self.bills.get(key);
            written.is_some_and(|written| written.is_same(bill))
        };
        let made = now.iter().filter(|(key, bill)| !is_written(key, bill));
        let made = made.map(|(key, bill)| (key.clone(), Some(bill.clone())));
        let gone = self.bills.keys().filter(|key| !now.contains_key(*key));
        let changed = made.chain(gone.map(|key| (key.clone(), None))).collect();
        self.bills.clone_from(now);
        changed
    }
}

/// A line that does not fit what was read before it.
#[derive(Debug, thiserror::Error)]
#[error("a change does not fit what was written before it")]
pub(crate) struct JournalMismatch;

impl Changes {
    /// Does to the stored state what was done to the books.
    pub(crate) fn apply(self, stored: &mut Stored) -> Result<(), JournalMismatch> {
        let books = &mut stored.books;
        for order in self.orders {
            books.orders.insert(order);
        }
        for refund in self.refunds {
            books.refunds.put(refund);
        }
        for (at, callback) in self.callbacks {
            books.callbacks.put(at, callback).ok_or(JournalMismatch)?;
        }
        if let Some(ledger) = self.ledger {
            books.ledger.apply(ledger).ok_or(JournalMismatch)?;
        }
        for (key, bill) in self.bills {
            match bill {
                Some(bill) => books.bills.insert(key, bill),
                None => books.bills.remove(&key),
            };
        }
        if let Some(small) = self.small {
            books.differences = small.differences;
            books.next_refunds = small.next_refunds;
            books.settings = small.settings;
        }
        if let Some(keys) = self.keys {
            stored.keys = keys;
        }
        Ok(())
    }
}
