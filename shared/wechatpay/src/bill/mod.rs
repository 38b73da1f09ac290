//! Bills (账单): reading the files. Uncompressed bytes in, rows out, in one pass and without
//! holding the file.
//!
//! [`api::TradeBill`](crate::api::TradeBill) requests the link to a file; unpacking it, and
//! comparing its SHA-1 with [`BillLink::hash_value`](crate::BillLink::hash_value), is the caller's
//! task. This module reads a text of four parts: a header, the rows, the header of the summary, and
//! one summary row (manual pages 4013071246 and 4013071249).
//!
//! ```
//! use wechatpay::bill::{TradeBillReader, TradeKind, yuan_of_fen};
//!
//! # let file = include_str!("../../tests/bills/all.csv");
//! let mut orders = Vec::new();
//! let mut each = |row: &wechatpay::bill::TradeRow<'_>| {
//!     if row.kind == TradeKind::Payment {
//!         orders.push((row.out_trade_no().to_owned(), yuan_of_fen(row.total_fen)));
//!     }
//! };
//! let mut reader = TradeBillReader::new();
//! for chunk in file.as_bytes().chunks(100) {
//!     reader.feed(chunk, &mut each)?; // as it comes off the wire
//! }
//! let proved = reader.finish(&mut each)?; // only now may the rows be believed
//! assert_eq!(proved.rows, 3);
//! assert_eq!(proved.fee.to_string(), "0.07");
//! assert_eq!(orders[0], ("ORDER-1001".to_owned(), "12.00".to_owned()));
//! # Ok::<(), wechatpay::bill::BillError>(())
//! ```
//!
//! # What is accepted
//!
//! - A byte order mark or none; lines that end in LF or CR LF; a last line without an end.
//! - Columns in any order, since they are found by name, and more of them than are known:
//!   `unknown()` of a row has those.
//! - A comma and a backtick separate two fields. A comma alone, or a backtick after anything else,
//!   is text: merchants' commas come escaped, their backticks as `` \` `` in rows of payments.
//!
//! # What is proved
//!
//! The summary row must say the number of rows and the sum of each amount that both have; a column
//! of rows whose sum the summary should have and has not is refused. Coupons (代金券金额) and
//! balances (账户结余) have no sum. Fees of five decimals are summed up to two by WeChat Pay:
//! there, less than a fen of difference passes.
//!
//! A bill that was cut anywhere is refused. Only the line end after the summary row may be missing;
//! then the row's last value must have all its decimals (a summary that ended in a column unknown
//! here could still have lost a part of that).
//!
//! Bytes of any kind give an error, never a panic, and no line longer than [`LINE_BYTES_MAX`] is
//! kept in memory.

mod columns;
mod error;
mod escape;
mod fund;
mod kind;
mod limits;
mod marks;
mod moment;
mod money;
mod reader;
mod record;
mod row;
mod sums;
#[cfg(test)]
mod tests;
mod trade;

pub use error::{BillError, Column};
pub use escape::unescape;
pub use fund::{Direction, FundBillReader, FundRow, FundSummary};
pub use kind::TradeKind;
pub use limits::LINE_BYTES_MAX;
pub use moment::beijing_time;
pub use money::{Fee, fen_of_yuan, yuan_of_fen};
pub use row::TradeRow;
pub use trade::{TradeBillReader, TradeSummary};
