//! Reconciliation from the bytes of a bill to what differs.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and these helpers have none"
)]

mod bills;
mod books;
mod funds;
mod matcher;
