//! The journal: one event for every change of an order, written with the change itself.

use serde::{Deserialize, Serialize};
use wechatpay::UnixSeconds;

/// Why an order changed, and where that can be looked up.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Cause {
    /// A client's request: its request id.
    Request(String),
    /// A message in the queue of payment requests: its message id.
    Message(String),
    /// A callback from WeChat Pay: its notice id.
    Notice(String),
    /// A run of the sweep: its id.
    Sweep(String),
}

/// One change of an order.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The version that the order has after it.
    pub version: u64,
    /// The state before it; `None` for the first.
    pub from: Option<String>,
    /// The state after it.
    pub to: String,
    /// Why.
    pub cause: Cause,
    /// When, by our clock (Unix seconds).
    pub at: UnixSeconds,
    /// The trace it happened under.
    pub trace: String,
}
