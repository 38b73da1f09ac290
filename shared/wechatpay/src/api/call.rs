//! What every call of the API has: what to send, and how its answer reads.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::interface::Interface;
use crate::loose;
use crate::outgoing::Outgoing;

/// One of WeChat Pay's interfaces.
pub trait Call {
    /// What a success says.
    type Answer;

    /// Which of them.
    fn interface(&self) -> Interface;

    /// What to send. The same value always gives the same bytes.
    fn outgoing(&self) -> Outgoing;

    /// Reads the answer. Only ever called with a 2xx status and a body whose signature was
    /// verified.
    ///
    /// # Errors
    /// [`UnreadableAnswer`] when the answer is not as documented.
    fn answer(status: u16, body: &[u8]) -> Result<Self::Answer, UnreadableAnswer>;
}

/// A signed success that does not read as documented. The operation may have been executed: query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "WeChat Pay's signed answer (HTTP {status}) is not as documented (line {line}, column {column}): query to learn the outcome"
)]
pub struct UnreadableAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Line of the body, from 1; 0 when a required key is absent.
    pub line: usize,
    /// Column of the line.
    pub column: usize,
}

/// Reads a JSON answer, an object. serde's own message may quote the body, so only the place is
/// kept.
pub(super) fn read_json<T: DeserializeOwned>(
    status: u16,
    body: &[u8],
) -> Result<T, UnreadableAnswer> {
    loose::read(body).map_err(|error| UnreadableAnswer {
        status,
        line: error.line(),
        column: error.column(),
    })
}

/// Writes a request body, once: what is signed is what is sent (manual page 4012365336).
#[expect(
    clippy::expect_used,
    reason = "request bodies are plain structs; JSON fails only on maps with odd keys and on failing writers"
)]
pub(super) fn write_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("a plain struct is always JSON")
}
