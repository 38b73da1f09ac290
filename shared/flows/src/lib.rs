//! Control flow that more than one function needs: authenticating an API request, getting a prepay
//! value, settling news, asking WeChat Pay, closing, giving money back. A function's own flow
//! stands in its `handler.rs`; these are the stretches that several share.
//!
//! A flow reads and writes through `adapters` and lets `payments` decide. Nothing here runs in
//! Lambda's runtime; what SQS hands to a function there, and the answer it expects, is
//! [`sqs_event`].
//!
//! [`problem`] is the one place where an error becomes an HTTP answer, [`verdict`] the one where it
//! becomes the fate of a queue message.

pub mod authenticate;
pub mod close_order;
pub mod incoming;
pub mod issue_prepay;
pub mod open_callback;
pub mod order_store;
pub mod problem;
pub mod process_refund;
pub mod query_order;
pub mod services;
pub mod settle_payment;
pub mod sqs_event;
pub mod trace;
pub mod verdict;
pub mod view;
