//! Known bugs of other payment systems, on display: each can be switched on, so that the tests show that they would find it.
//!
//! Behind the feature `museum`, which only tests turn on; a release build with it does not compile. Where an exhibit stands, the
//! code asks [`shows`], and goes wrong as the original did. What is switched on counts for the thread that did so.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

#[cfg(not(debug_assertions))]
compile_error!(
    "the feature `museum` puts known bugs on display; it is for tests and never for what is deployed"
);

/// A bug.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exhibit {
    /// A success notice for a closed order is acknowledged, and the money is lost.
    ClosedOrderPaid,
    /// Two partial refunds are taken on at once, and the second write undoes what the first one counted.
    LostUpdate,
    /// What is "in progress" and has expired is done over again, without a look at what became of it.
    BlindRerun,
    /// A notice is marked as seen before it is in the queue.
    MarkedBeforeQueued,
    /// A refund is tried again under a new number.
    RefundRenumbered,
    /// What was paid is never compared with what was to be paid.
    AmountIgnored,
    /// The authentication tag of a ciphertext is never checked.
    TagUnchecked,
    /// The APIv3 key is hashed before it is used.
    KeyHashed,
    /// A callback is taken however old it is.
    LateCallback,
}

impl Exhibit {
    /// Every exhibit.
    pub const ALL: [Self; 9] = [
        Self::ClosedOrderPaid,
        Self::LostUpdate,
        Self::BlindRerun,
        Self::MarkedBeforeQueued,
        Self::RefundRenumbered,
        Self::AmountIgnored,
        Self::TagUnchecked,
        Self::KeyHashed,
        Self::LateCallback,
    ];

    /// What stands on its label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClosedOrderPaid => "closed-order-paid",
            Self::LostUpdate => "lost-update",
            Self::BlindRerun => "blind-rerun",
            Self::MarkedBeforeQueued => "marked-before-queued",
            Self::RefundRenumbered => "refund-renumbered",
            Self::AmountIgnored => "amount-ignored",
            Self::TagUnchecked => "tag-unchecked",
            Self::KeyHashed => "key-hashed",
            Self::LateCallback => "late-callback",
        }
    }
}

thread_local! {
    static SHOWN: Cell<Option<Exhibit>> = const { Cell::new(None) };
    static MARKS: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Switches an exhibit on for this thread, or all off.
pub fn show(exhibit: Option<Exhibit>) {
    SHOWN.set(exhibit);
    MARKS.with_borrow_mut(BTreeSet::clear);
}

/// Whether the exhibit is switched on in this thread.
pub fn shows(exhibit: Exhibit) -> bool {
    SHOWN.get() == Some(exhibit)
}

/// Marks something as seen, as long as the exhibit is on; whether it was not marked before.
pub fn mark(id: &str) -> bool {
    MARKS.with_borrow_mut(|marks| marks.insert(id.to_owned()))
}
