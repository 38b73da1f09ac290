//! A client's webhook as it was read from the table.

use payments::rules::webhook::LastAnswer;
use standard_webhooks::Secret;
use wechatpay::UnixSeconds;

/// A client's webhook for changes of its orders.
#[derive(Debug)]
pub enum Webhook {
    /// By POST.
    Active(Endpoint),
    /// Disabled until it is set up again.
    Disabled {
        /// What put an end to it.
        why: String,
        /// When (Unix seconds).
        since: UnixSeconds,
    },
}

/// A receiver of webhooks.
#[derive(Debug)]
pub struct Endpoint {
    /// As it was set up.
    pub url: StoredUrl,
    /// The secrets to sign with, newest first.
    pub secrets: Vec<Secret>,
    /// Result of the last delivery there; `None` before the first one.
    pub last_answer: Option<LastAnswer>,
}

/// A URL as the table has it. Its `Debug` shows nothing: path and query may hold what lets one in.
#[derive(Clone, Eq, PartialEq)]
pub struct StoredUrl(pub(super) String);

impl StoredUrl {
    /// The URL's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for StoredUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredUrl(..)")
    }
}
