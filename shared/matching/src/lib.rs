//! The matching engine of the reconciliation: a day's bills of WeChat Pay against its books.

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
