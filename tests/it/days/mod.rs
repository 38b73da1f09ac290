//! Reconciliation: a day's bills of WeChat Pay against the books, and what is then done.

mod bills;
mod decisions;
mod funds;
mod kinds;
mod midnight;
mod parts;
mod stalled;
