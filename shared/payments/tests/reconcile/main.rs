//! Reconciliation from the bytes of a bill to what differs.

mod bills;
mod funds;
mod matching;
