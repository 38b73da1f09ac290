//! Opening resources: `AEAD_AES_256_GCM` under the APIv3 key (manual pages 4012071382 and
//! 4013053274).
//!
//! Callbacks and `GET /v3/certificates` carry them. The key is the 32 characters of the APIv3 key
//! as bytes; the nonce has 12 bytes as a rule, and any length that AES-GCM allows opens, since the
//! manual allows up to 32; the associated data may be given, empty or absent, and the last two mean
//! the same; the ciphertext is Base64 of ciphertext and 16-byte tag.

use std::fmt;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use base64_simd::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::gcm;
use crate::keys::KeyError;
use crate::names::names;

/// The only algorithm of resources that is supported.
pub const ALGORITHM: &str = "AEAD_AES_256_GCM";

const KEY_LENGTH: usize = 32;
/// The nonce's usual length, in bytes. Others are rare, and go their own way.
const NONCE_LENGTH: usize = 12;

/// The merchant's APIv3 key. It is wiped from memory when dropped, and never shown.
#[derive(Clone)]
pub struct ApiV3Key(Zeroizing<[u8; KEY_LENGTH]>);

impl ApiV3Key {
    /// From the 32 characters set in the merchant console, as bytes. No hashing, no decoding.
    ///
    /// # Errors
    /// [`KeyError::ApiV3KeyLength`] for any other length.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        let key: [u8; KEY_LENGTH] = bytes
            .try_into()
            .map_err(|_| KeyError::ApiV3KeyLength(bytes.len()))?;
        Ok(Self(Zeroizing::new(key)))
    }
}

impl fmt::Debug for ApiV3Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiV3Key(redacted)")
    }
}

/// A resource as in the JSON of a callback or of a certificate download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// `AEAD_AES_256_GCM`
    pub algorithm: String,
    /// Base64 of the ciphertext followed by its 16-byte tag.
    pub ciphertext: String,
    /// Authenticated with the ciphertext; absent and empty mean the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub associated_data: Option<String>,
    /// 12 characters as a rule; any text but an empty one.
    pub nonce: String,
}

/// Why a resource did not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another algorithm, such as the SM4 of 国密 merchants.
    #[error("the resource's algorithm is not AEAD_AES_256_GCM, the only one supported")]
    UnsupportedAlgorithm,
    /// The ciphertext is not Base64.
    #[error("the resource's ciphertext is not Base64: it was changed on the way")]
    NotBase64,
    /// A nonce of a length that AES-GCM has not: it is empty.
    #[error("the resource's nonce has {length} bytes: AES-GCM needs one at least")]
    NonceLength {
        /// Its length in bytes.
        length: usize,
    },
    /// No APIv3 key was given.
    #[error("no APIv3 key is loaded")]
    NoKey,
    /// No given key opens it.
    #[error(
        "none of the {tried} APIv3 keys opens the resource: the key was changed in the merchant console, is the v2 key or another merchant's, or the ciphertext was cut"
    )]
    WrongKeyOrChanged {
        /// How many keys were tried.
        tried: usize,
    },
}

names!(OpenError {
    UnsupportedAlgorithm = "unsupported_algorithm",
    NotBase64 = "ciphertext_not_base64",
    NonceLength = "nonce_length",
    NoKey = "no_apiv3_key",
    WrongKeyOrChanged = "does_not_open",
});

/// Opens a resource with the first of `keys` that fits: give the current APIv3 key, then the one
/// before it, so that a change in the merchant console loses no callback.
///
/// # Errors
/// [`OpenError`]; the ciphertext is authenticated, so a single changed bit anywhere ends here.
pub fn open(sealed: &Sealed, keys: &[ApiV3Key]) -> Result<Vec<u8>, OpenError> {
    open_parts(
        &SealedRef {
            algorithm: &sealed.algorithm,
            ciphertext: &sealed.ciphertext,
            associated_data: sealed.associated_data.as_deref(),
            nonce: &sealed.nonce,
        },
        keys,
    )
}

/// [`Sealed`], borrowed from the message it came in.
pub(crate) struct SealedRef<'a> {
    pub(crate) algorithm: &'a str,
    pub(crate) ciphertext: &'a str,
    pub(crate) associated_data: Option<&'a str>,
    pub(crate) nonce: &'a str,
}

pub(crate) fn open_parts(parts: &SealedRef<'_>, keys: &[ApiV3Key]) -> Result<Vec<u8>, OpenError> {
    if parts.algorithm != ALGORITHM {
        return Err(OpenError::UnsupportedAlgorithm);
    }
    let nonce = parts.nonce.as_bytes();
    if nonce.is_empty() {
        return Err(OpenError::NonceLength { length: 0 });
    }
    let usual: Option<[u8; NONCE_LENGTH]> = nonce.try_into().ok();
    if keys.is_empty() {
        return Err(OpenError::NoKey);
    }
    let associated_data = parts.associated_data.unwrap_or_default().as_bytes();
    let mut buffer = BASE64
        .decode_to_vec(parts.ciphertext)
        .map_err(|_| OpenError::NotBase64)?;
    for key in keys {
        // The tag is checked before a byte is decrypted, so after a wrong key the buffer is still
        // the ciphertext.
        let opened = match usual {
            Some(nonce) => Aes256Gcm::new((&*key.0).into())
                .decrypt_in_place(&Nonce::from(nonce), associated_data, &mut buffer)
                .is_ok(),
            None => gcm::open_in_place(&key.0, nonce, associated_data, &mut buffer),
        };
        if opened {
            return Ok(buffer);
        }
    }
    Err(OpenError::WrongKeyOrChanged { tried: keys.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_apiv3_key_has_32_bytes_and_is_not_shown() {
        assert!(matches!(
            ApiV3Key::new(&[b'k'; 31]),
            Err(KeyError::ApiV3KeyLength(31))
        ));
        assert!(matches!(
            ApiV3Key::new(&[b'k'; 33]),
            Err(KeyError::ApiV3KeyLength(33))
        ));
        let key = ApiV3Key::new(&[b'k'; 32]).expect("32 bytes");
        assert_eq!(format!("{key:?}"), "ApiV3Key(redacted)");
    }
}
