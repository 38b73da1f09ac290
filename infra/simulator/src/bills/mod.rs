//! Bills: what happened on a Beijing day, as WeChat Pay writes it down, with the differences that
//! were put in on purpose.

pub(crate) mod admin;
pub(crate) mod bill;
pub(crate) mod day;
pub(crate) mod differences;
pub(crate) mod download;
pub(crate) mod fund;
pub(crate) mod http;
mod injected;
pub(crate) mod making;
pub(crate) mod planting;
mod rows;
mod sheet;
pub(crate) mod trade;
