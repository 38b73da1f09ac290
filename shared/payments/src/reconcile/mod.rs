//! Reconciliation compares WeChat Pay's bills of a day with our books, and decides about each
//! difference.
//!
//! A day is a Beijing day, by WeChat Pay's own times. Its bills are a snapshot from the next
//! morning; our books are read while the run goes. So a first difference is only a candidate.
//! [`classify`] decides once the order was read consistently.
//!
//! How a bill row passes: [`matching`] compares it with our side of the day and with the account's
//! movements. [`classify`] decides after a consistent read. [`difference`] defines the kinds of
//! differences, what each means and who may decide what. [`carried`] holds trades that are decided
//! with the next day. [`unattributed`] creates orders for payments whose order our books do not
//! have, so that they can be refunded or the order restored. [`run`] is the record of a run.
//! [`day_runs`] says which run of a day counts.

mod booked_refund;
pub mod carried;
pub mod classify;
pub mod day_runs;
pub mod difference;
pub mod lateness;
pub mod run;
pub mod unattributed;
pub mod written_later;
