//! What reached WeChat Pay and what it answered, whether or not the answer arrived.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// One request that the simulator worked on.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// By the caller's clock.
    pub(crate) at_ms: i64,
    /// `prepay`, `query`, `close`, `refund`, ...
    pub(crate) endpoint: &'static str,
    /// The request's body; `null` when there is none.
    pub(crate) asked: Value,
    /// The answer's body; `null` when there is none.
    pub(crate) answered: Value,
    /// The answer's `Request-ID`.
    pub(crate) request_id: String,
}

/// All of them, in the order in which WeChat Pay saw them.
#[derive(Debug, Default)]
pub(crate) struct Exchanges(Mutex<Vec<Exchange>>);

impl Exchanges {
    pub(crate) fn add(&self, exchange: Exchange) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(exchange);
    }

    pub(crate) fn all(&self) -> Vec<Exchange> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
