//! Which client asks, and the key by which its repeats are recognised.

use serde::{Deserialize, Serialize};

/// A client of our API. It can see and change only its own orders.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(String);

/// An id that no client can have, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadClientId {
    /// It is empty, too long, or has a character that SQS refuses.
    #[error(
        "a client's id is 1 to 128 visible ASCII characters without blanks: it names the client's messages in the queue of webhooks, and SQS takes no others"
    )]
    Form,
    /// It is reserved for orders that belong to no client.
    #[error(
        "the client id `(nobody)` is kept for orders that belong to no client: take another one"
    )]
    Reserved,
}

impl ClientId {
    /// Client id of orders created by reconciliation for payments that are not ours, so that they
    /// can be refunded. No key can be registered for it: only finance staff see these orders.
    pub const UNATTRIBUTED: &str = "(nobody)";

    /// Parses an id for registering a client or for assigning an order. Each event names its client
    /// as `MessageGroupId`, which SQS takes of visible ASCII only: events of another id would never
    /// reach the queue.
    ///
    /// # Errors
    /// [`BadClientId`].
    pub fn chosen(text: &str) -> Result<Self, BadClientId> {
        let is_form =
            (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_form {
            Err(BadClientId::Form)
        } else if text == Self::UNATTRIBUTED {
            Err(BadClientId::Reserved)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The client that a verified key belongs to.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The value of an `Idempotency-Key` header: 1 to 255 visible ASCII characters, unquoted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdempotencyKey(String);

/// An invalid `Idempotency-Key`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("Idempotency-Key must hold 1 to 255 visible ASCII characters")]
pub struct BadIdempotencyKey;

impl IdempotencyKey {
    /// Reads the header. The draft defines a structured-field string (`"abc"`); most clients send
    /// the bare text (`abc`). Both mean the same key.
    ///
    /// # Errors
    /// When nothing is left, it is too long, or it holds a character that is not visible ASCII.
    pub fn parse(header: &str) -> Result<Self, BadIdempotencyKey> {
        let trimmed = header.trim();
        let bare = trimmed
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(trimmed);
        let fits =
            (1..=255).contains(&bare.len()) && bare.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            Ok(Self(bare.to_owned()))
        } else {
            Err(BadIdempotencyKey)
        }
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_no_key_may_be_registered_for_is_refused_with_the_reason() {
        let longest = "x".repeat(128);
        for id in ["shop", "shop-1", "a", "(nobody", "shop#1", &longest] {
            assert_eq!(ClientId::chosen(id), Ok(ClientId::new(id)), "{id}");
        }
        let too_long = "x".repeat(129);
        for id in ["", " ", "my shop", " shop", "shop\n", "茶店", &too_long] {
            assert_eq!(ClientId::chosen(id), Err(BadClientId::Form), "{id:?}");
        }
        assert_eq!(ClientId::chosen("(nobody)"), Err(BadClientId::Reserved));
    }
}
