//! `create-order`: `POST /v1/orders`. Reserves the order's number, asks WeChat Pay for a prepay
//! value within a time budget, and answers with what the payer needs; or, when asked to or when
//! WeChat Pay is slow or down, hands the order to the queue.
//!
//! The way of a request: [`handler`].

mod answered;
pub mod app;
pub mod handler;
mod issue_or_enqueue;
mod payer_lease;
mod reserve;
pub mod settings;
