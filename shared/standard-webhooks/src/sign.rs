//! The sender's side.

use aws_lc_rs::hmac;
use base64::Engine;

use crate::header::{ID, SIGNATURE, TIMESTAMP, VERSION};
use crate::limits::ID_MAX;
use crate::secret::{BASE64, Secret};

/// The header fields of one attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedHeaders {
    /// The value of [`ID`].
    pub id: String,
    /// The value of [`TIMESTAMP`].
    pub timestamp: String,
    /// The value of [`SIGNATURE`].
    pub signature: String,
}

impl SignedHeaders {
    /// Names and values of the fields.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            (ID, self.id.as_str()),
            (TIMESTAMP, self.timestamp.as_str()),
            (SIGNATURE, self.signature.as_str()),
        ]
        .into_iter()
    }
}

/// Why an attempt could not be signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignError {
    /// The id cannot be sent, or would leave open where it ends.
    #[error("a webhook id has 1 to {ID_MAX} visible ASCII characters and no full stop")]
    Id,
    /// The time cannot be written as plain digits.
    #[error("the time of an attempt lies after 1970")]
    Time,
    /// There is no secret to sign with.
    #[error("there is no secret to sign with")]
    NoSecret,
}

/// Signs one attempt to deliver the event `id`, made at `now_s` (seconds since 1970), with every
/// secret given: one, or two while one replaces the other. The body must be sent byte for byte.
///
/// # Errors
/// [`SignError`].
pub fn sign(
    id: &str,
    now_s: i64,
    body: &[u8],
    secrets: &[Secret],
) -> Result<SignedHeaders, SignError> {
    if !is_id(id) {
        return Err(SignError::Id);
    }
    if now_s < 0 {
        return Err(SignError::Time);
    }
    if secrets.is_empty() {
        return Err(SignError::NoSecret);
    }
    let timestamp = now_s.to_string();
    let signatures: Vec<String> = secrets
        .iter()
        .map(|secret| {
            let tag = tag(secret, id, &timestamp, body);
            format!("{VERSION},{}", BASE64.encode(tag))
        })
        .collect();
    Ok(SignedHeaders {
        id: id.to_owned(),
        timestamp,
        signature: signatures.join(" "),
    })
}

/// A full stop would let an id, or a time before it, run into what follows: two messages with one
/// signature.
pub(crate) fn is_id(id: &str) -> bool {
    (1..=ID_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'.')
}

/// The HMAC of `id.timestamp.body`.
pub(crate) fn tag(secret: &Secret, id: &str, timestamp: &str, body: &[u8]) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut signing = hmac::Context::with_key(&key);
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        signing.update(part);
    }
    signing.sign()
}
