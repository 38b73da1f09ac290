//! Reconciliation: the day's bills of WeChat Pay against our books, and what is done about each difference.
//!
//! A day is a Beijing day, by WeChat Pay's own times. Its bills are a snapshot from the next morning, ours are the books as they
//! are when the run reads them; so what the run finds different at first is only a candidate, and [`judge`] decides about it
//! once its order was read consistently. [`difference`] says which kinds there are, what each means, and who may do what about
//! it; [`run`] is what is kept of a day.

pub mod carried;
pub mod difference;
pub mod run;
pub mod totals;
