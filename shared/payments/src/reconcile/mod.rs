//! Reconciliation: WeChat Pay's bills of a day against the books.
//!
//! [`books`] is what the books say of the day, small enough for a million lines in memory; [`matcher`] lays the rows of the
//! trade bill against it, [`funds`] the movements of money against those rows, [`totals`] adds both sides up.

pub mod bill_line;
pub mod books;
mod fee;
mod fingerprint;
pub mod fund_line;
pub mod funds;
pub mod matcher;
mod short;
mod table;
pub mod totals;
