//! Control flow that several functions share: authenticating an API request, getting a prepay
//! value, settling news, querying WeChat Pay, closing orders, refunding. A function's own flow is
//! in its `handler.rs`.
//!
//! A flow reads and writes through the stores and clients and lets `payments` decide. Nothing here
//! depends on Lambda's runtime. [`sqs_event`] has the event that SQS gives to a function, and the
//! answer that it expects, [`sandbox`] what each function is built from.
//!
//! [`problem`] is the one place that turns an error into an HTTP answer. [`verdict`] is the one
//! place that decides whether a queue message is deleted or retried.

pub mod api_request;
pub mod auth_error;
pub mod authenticate;
pub mod client_limits;
pub mod close_order;
pub mod incoming;
pub mod issue_prepay;
pub mod open_callback;
pub mod order_store;
pub mod origin;
pub mod problem;
pub mod process_refund;
pub mod query_order;
pub mod replay_guard;
pub mod request_span;
pub mod sandbox;
pub mod services;
pub mod settings;
pub mod settle_payment;
pub mod sqs_event;
mod sqs_record;
pub mod stored_body;
pub mod trace;
pub mod verdict;
pub mod view;
