//! The matching engine of the reconciliation: a day's bills of WeChat Pay against its books.
//!
//! It finds what differs, fast and in little memory. The crates above decide what a difference
//! means and what is done about it: this crate has no order states, no cloud tables and no clock.
//!
//! [`books`] is our side of a day. [`matcher`] lays the rows of the trade bill against it, and
//! [`funds`] the movements of the account against those rows. [`bill_line`] and [`fund_line`] are
//! rows that are kept because they must be examined; [`totals`] has the sums of each side.
//!
//! # Why not a `HashMap` of texts
//!
//! A run has a million rows and more, each about another line of the books, in another order. With
//! texts as keys and values, each lookup hashes a text, waits for the memory of the entry, then for
//! that of each text. Here a line is 16 bytes of fingerprints (the private module `fingerprint`
//! says how sure they are) in an open table (`table`), and 64 rows are looked up together, so that
//! the processor waits for all of their entries at once.
//!
//! Payments in an order of their own, then looked up in another; nanoseconds of CPU and bytes for
//! each:
//!
//! | 10 million payments | to enter | to look up | memory |
//! |---|---|---|---|
//! | `HashMap<String, Line>`, all as texts | 1,020 ns | 1,190 ns | 304 bytes |
//! | `HashMap<String, u64>`, the line as a fingerprint | 760 ns | 1,130 ns | 103 bytes |
//! | `HashMap<u64, u64>`, both as fingerprints | 280 ns | 370 ns | 28 bytes |
//! | the same, 64 read before they are looked up | 280 ns | 83 ns | 28 bytes |
//! | [`DayBooks`](books::DayBooks), a line at a time | 370 ns | 370 ns | 32 bytes |
//! | [`DayBooks`](books::DayBooks), in batches as a run uses it | 140 ns | 94 ns | 32 bytes |
//! | the two fingerprints alone, without any table | | 38 ns | |
//!
//! | 1 million payments | to enter | to look up | memory |
//! |---|---|---|---|
//! | `HashMap<String, Line>` | 820 ns | 840 ns | 348 bytes |
//! | `HashMap<String, u64>` | 550 ns | 700 ns | 117 bytes |
//! | `HashMap<u64, u64>` | 160 ns | 240 ns | 36 bytes |
//! | the same, 64 read first | 160 ns | 73 ns | 36 bytes |
//! | `DayBooks`, a line at a time | 260 ns | 210 ns | 32 bytes |
//! | `DayBooks`, in batches | 110 ns | 75 ns | 32 bytes |
//!
//! So a map of texts takes ten times the memory and the time. The largest part of a day of 100
//! million orders has 6 million of them: as texts 1.9 GB, more than the function has. What saves
//! that are the fingerprints and the batches. The table alone saves little: a `HashMap` of the same
//! fingerprints, read in the same batches, looks up as fast. It has no way to bring an entry into
//! the cache but a whole lookup, and none of its entries is sure to lie in one line of the cache;
//! against that it fills up to seven eighths and takes 19 to 39 bytes an entry, where the table
//! takes 32 to 64.
//!
//! Conditions: Rust 1.95 with the release profile of this repository for this crate (`opt-level` 3,
//! fat LTO); medians of three runs or more, each a process of its own on one of the two processors
//! of a virtual machine (Intel Xeon, 2 MiB of second-level and 300 MiB of third-level cache, other
//! work beside it, therefore CPU time); transaction ids of 28 characters, order numbers of 32, one
//! appid of 18; all tables made with room for all; memory as the growth of `VmRSS`. Texts are
//! hashed by `std`'s own hash, and a fingerprint is its own hash. A `Line` has the texts of order
//! number and appid, the amount and a mark. `DayBooks` counts sums and unnamed lines besides, which
//! the maps did not. Figures compare within a table only. `cargo measure reconcile` measures the
//! engine as a whole.

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
