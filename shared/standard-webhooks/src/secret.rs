//! Secrets: what sender and receiver share.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::limits::{SECRET_MAX, SECRET_MIN};

/// Base64 as the specification's own libraries read it: with padding or without.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A shared secret of 24 to 64 bytes. Its memory is wiped when it is dropped, and its `Debug` shows
/// nothing of it.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// Why a secret cannot be used. Never holds any of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SecretError {
    /// Too short or too long.
    #[error("a webhook secret has {SECRET_MIN} to {SECRET_MAX} bytes, this one has {length}")]
    Length {
        /// Its length in bytes.
        length: usize,
    },
    /// The text does not begin with [`Secret::PREFIX`].
    #[error("a webhook secret begins with `whsec_`")]
    Prefix,
    /// What follows the prefix is not Base64.
    #[error("what follows `whsec_` is not Base64")]
    NotBase64,
}

impl Secret {
    /// What the text of a secret begins with, so that it is known for one wherever it turns up.
    pub const PREFIX: &str = "whsec_";

    /// Takes random bytes.
    ///
    /// # Errors
    /// [`SecretError::Length`].
    pub fn new(bytes: &[u8]) -> Result<Self, SecretError> {
        if (SECRET_MIN..=SECRET_MAX).contains(&bytes.len()) {
            Ok(Self(Zeroizing::new(bytes.to_vec())))
        } else {
            Err(SecretError::Length {
                length: bytes.len(),
            })
        }
    }

    /// Reads the text that people and settings pass on: `whsec_` and Base64.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let packed = text.strip_prefix(Self::PREFIX).ok_or(SecretError::Prefix)?;
        let bytes = BASE64.decode(packed).map(Zeroizing::new);
        Self::new(&bytes.map_err(|_| SecretError::NotBase64)?)
    }

    /// The bytes, to be sealed and stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text to hand to the other side, once.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        // Grown at once to what is needed: a string that moves leaves its old place unwiped.
        let mut text = Zeroizing::new(String::with_capacity(
            Self::PREFIX.len() + SECRET_MAX.div_ceil(3) * 4,
        ));
        text.push_str(Self::PREFIX);
        BASE64.encode_string(self.0.as_slice(), &mut text);
        text
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
