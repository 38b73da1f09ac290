//! What WeChat Pay sends, as our own types: parsed once, strictly where it decides.

pub mod call_outcome;
pub mod refund;
pub mod trade;
pub mod unreadable;
