//! Why a request is not authenticated. It has a file of its own since both sides use it: what
//! authenticates, and the one place that turns errors into answers.

use message_signatures::Refusal;
use stores::{guards::GuardsError, keys_table::KeysError};

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The request is not authentic.
    #[error("{0}")]
    Refused(Refusal),
    /// The clients' keys could not be read.
    #[error("the key of the client could not be read")]
    Keys(#[source] KeysError),
    /// The nonce could not be consumed, so a replay could not be detected.
    #[error("the nonce could not be burnt")]
    Guards(#[source] GuardsError),
}
