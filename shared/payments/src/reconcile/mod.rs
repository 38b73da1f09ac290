//! Reconciliation: the day's bills of WeChat Pay against our books, and what is done about each
//! difference.
//!
//! A day is a Beijing day, by WeChat Pay's own times. Its bills are a snapshot from the next
//! morning, ours are the books as they are when the run reads them; so what the run finds different
//! at first is only a candidate, and [`judge`] decides about it once its order was read
//! consistently.
//!
//! The way of a row: [`bill_line`] is what is kept of it, [`books`] what our side of the day is
//! found by, [`matcher`] lays one against the other, [`funds`] both against the movements of the
//! account. [`difference`] says which kinds of differences there are, what each means, and who may
//! do what about it; [`carried`] is what is judged with the next day; [`adopt`] is how money of
//! nobody's is given back; [`run`] is what is kept of a run, with its [`totals`]; [`day_runs`]
//! which of a day's runs has the say.

pub mod adopt;
pub mod bill_line;
pub mod books;
pub mod carried;
pub mod day_runs;
pub mod difference;
mod fee;
mod fingerprint;
pub mod fund_line;
pub mod funds;
pub mod judge;
pub mod matcher;
pub mod run;
mod short;
mod table;
pub mod totals;
