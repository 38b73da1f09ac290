//! Why a webhook is not believed.

use crate::limits::ID_MAX;

/// Why a webhook is not believed. Each has a stable [`name`](Self::name) for logs and metrics. None
/// holds a secret, a signature or a body.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// A header field is missing or not readable.
    #[error("the header {name} is missing or is not text")]
    HeaderMissing {
        /// Its name.
        name: &'static str,
    },
    /// The id is empty, too long, or holds what no id does.
    #[error("webhook-id is not 1 to {ID_MAX} visible ASCII characters without a full stop")]
    BadId,
    /// The time is not a number of seconds.
    #[error("webhook-timestamp is not a number of seconds since 1970")]
    BadTimestamp,
    /// It was sent too long ago.
    #[error(
        "the webhook is {age_s} s old, the limit is {limit_s} s: check the clock; an old one is a replay"
    )]
    Stale {
        /// Its age in seconds.
        age_s: i64,
        /// The limit in seconds.
        limit_s: i64,
    },
    /// It was sent too far ahead.
    #[error(
        "the webhook is from {ahead_s} s in the future, the limit is {limit_s} s: check the clock"
    )]
    FromTheFuture {
        /// Seconds ahead of our clock.
        ahead_s: i64,
        /// The limit in seconds.
        limit_s: i64,
    },
    /// There are more signatures than anybody needs.
    #[error("webhook-signature is over the limit of {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// No signature is of the kind that is verified here.
    #[error("webhook-signature holds no signature `v1,<Base64>`")]
    NoSignature,
    /// None of the signatures is by one of the secrets.
    #[error(
        "no signature fits: check that the body is taken byte for byte as it came, and that the secret is this endpoint's"
    )]
    WrongSignature,
}

impl Refusal {
    /// A stable name in `snake_case`, for logs and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::HeaderMissing { .. } => "header_missing",
            Self::BadId => "bad_id",
            Self::BadTimestamp => "bad_timestamp",
            Self::Stale { .. } => "stale",
            Self::FromTheFuture { .. } => "from_the_future",
            Self::TooLong { .. } => "signature_too_long",
            Self::NoSignature => "no_signature",
            Self::WrongSignature => "wrong_signature",
        }
    }
}
