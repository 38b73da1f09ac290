//! `process-payment`: works off both queues. A callback becomes a settled payment or refund; a
//! payment request becomes a prepay value or a refund at WeChat Pay.
//!
//! The way of a batch: [`handler`].

pub mod app;
pub mod handler;
mod ledger;
pub mod settings;
