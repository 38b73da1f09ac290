//! Sensitive fields (names, bank accounts, phones): RSAES-OAEP with SHA-1, MGF1 with SHA-1 and an
//! empty label, as Base64 (manual pages 4013053257, 4013053264, 4013053265).
//!
//! Upwards they are encrypted to WeChat Pay's public key or to the newest platform certificate
//! ([`crate::certificates::newest`]), and the request must then carry `Wechatpay-Serial` with
//! [`FieldKey::serial`]. Downwards they are encrypted to the merchant certificate:
//! [`crate::LocalKey::open_sensitive`].

use std::fmt;

use aws_lc_rs::error::Unspecified;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::traits::{PaddingScheme, PublicKeyParts};
use rsa::{Oaep, PublicKey};
use serde::{Deserialize, Serialize};
use sha1::Sha1;

use crate::keys::{self, KeyError};
use crate::names::names;

/// A field that was encrypted for WeChat Pay: Base64, ready for the request body. Its plain text
/// cannot be had back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EncryptedField(String);

impl EncryptedField {
    /// The Base64 text that goes into the request.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The key sensitive fields are encrypted to, with the name it goes by in `Wechatpay-Serial`.
#[derive(Clone)]
pub struct FieldKey {
    serial: String,
    key: PublicKey,
}

/// A field could not be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptFieldError {
    /// OAEP with RSA-2048 takes 214 bytes at most.
    #[error(
        "a sensitive field of {length} bytes does not fit into the {most} that OAEP takes: shorten it"
    )]
    TooLong {
        /// Bytes of the field, as UTF-8.
        length: usize,
        /// The most that this key can take.
        most: usize,
    },
    /// No random numbers could be had, or the key is unusable.
    #[error("OAEP encryption failed: the random generator or the key is unusable")]
    Failed,
}

/// A field could not be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenFieldError {
    /// Not Base64.
    #[error("the sensitive field is not Base64: was it sent in plain?")]
    NotBase64,
    /// The key does not fit, or the padding is another.
    #[error(
        "the sensitive field does not open: WeChat Pay encrypts to the merchant certificate in use, by OAEP with SHA-1; is this that certificate's key?"
    )]
    WrongKey,
    /// It opened, but to something that is no UTF-8.
    #[error("the sensitive field opened to something that is not UTF-8")]
    NotText,
}

names!(OpenFieldError {
    NotBase64 = "not_base64",
    WrongKey = "wrong_key",
    NotText = "not_text",
});

impl FieldKey {
    /// From WeChat Pay's public key file (`pub_key.pem`) and its id (`PUB_KEY_ID_...`).
    ///
    /// # Errors
    /// [`KeyError`] when `pem` is no RSA public key.
    pub fn from_public_key(id: impl Into<String>, pem: &str) -> Result<Self, KeyError> {
        Ok(Self {
            serial: id.into(),
            key: keys::public_key(pem)?,
        })
    }

    /// From a platform certificate; the serial is read from it.
    ///
    /// # Errors
    /// [`KeyError`] when `pem` is no certificate with an RSA key.
    pub fn from_certificate(pem: &str) -> Result<Self, KeyError> {
        let read = keys::certificate(pem)?;
        Ok(Self {
            serial: read.serial_no,
            key: read.key,
        })
    }

    /// What `Wechatpay-Serial` of the request must say.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Encrypts one field. An empty field stays empty, as in WeChat's own SDK for Go.
    ///
    /// # Errors
    /// [`EncryptFieldError::TooLong`] over 214 bytes (for RSA-2048).
    pub fn encrypt(&self, plain: &str) -> Result<EncryptedField, EncryptFieldError> {
        if plain.is_empty() {
            return Ok(EncryptedField(String::new()));
        }
        let most = self.longest_field();
        if plain.len() > most {
            return Err(EncryptFieldError::TooLong {
                length: plain.len(),
                most,
            });
        }
        let sealed = Oaep::<Sha1>::new()
            .encrypt(&mut AwsLcRandom, &self.key, plain.as_bytes())
            .map_err(|_| EncryptFieldError::Failed)?;
        Ok(EncryptedField(BASE64.encode(sealed)))
    }

    /// OAEP needs two hashes (SHA-1: 20 bytes each) and two bytes of the modulus.
    fn longest_field(&self) -> usize {
        self.key.size().saturating_sub(2 * 20 + 2)
    }
}

impl fmt::Debug for FieldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldKey")
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

/// The random generator of aws-lc-rs behind the trait that `rsa` asks for, so that the process has
/// one generator.
struct AwsLcRandom;

impl TryRng for AwsLcRandom {
    type Error = RandomFailed;

    fn try_next_u32(&mut self) -> Result<u32, RandomFailed> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, RandomFailed> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, room: &mut [u8]) -> Result<(), RandomFailed> {
        aws_lc_rs::rand::fill(room).map_err(|Unspecified| RandomFailed)
    }
}

impl TryCryptoRng for AwsLcRandom {}

#[derive(Debug, thiserror::Error)]
#[error("no random numbers")]
struct RandomFailed;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LocalKey;

    fn keys() -> (FieldKey, LocalKey) {
        let public = include_str!("../vectors/keys/platform-public.pem");
        let private = include_str!("../vectors/keys/platform.pem");
        let field_key = FieldKey::from_public_key("PUB_KEY_ID_1", public).expect("a public key");
        (
            field_key,
            LocalKey::from_pkcs8_pem("5157", private).expect("a private key"),
        )
    }

    #[test]
    fn the_private_key_opens_the_field() {
        let (field_key, local_key) = keys();
        for plain in ["张三", "6222020200000000000", &"x".repeat(214)] {
            let field = field_key.encrypt(plain).expect("it fits");
            assert_eq!(
                local_key.open_sensitive(field.as_str()).as_deref(),
                Ok(plain)
            );
        }
    }

    #[test]
    fn the_same_field_never_looks_the_same() {
        let (field_key, _) = keys();
        assert_ne!(field_key.encrypt("张三"), field_key.encrypt("张三"));
    }

    #[test]
    fn an_empty_field_stays_empty() {
        let (field_key, local_key) = keys();
        assert_eq!(
            field_key.encrypt("").map(|field| field.as_str().to_owned()),
            Ok(String::new())
        );
        assert_eq!(local_key.open_sensitive(""), Ok(String::new()));
    }

    #[test]
    fn a_field_that_does_not_fit_is_refused() {
        let (field_key, _) = keys();
        let too_long = EncryptFieldError::TooLong {
            length: 215,
            most: 214,
        };
        assert_eq!(field_key.encrypt(&"x".repeat(215)), Err(too_long));
    }

    #[test]
    fn a_certificate_brings_its_own_serial() {
        let pem = include_str!("../vectors/keys/platform-certificate.pem");
        let field_key = FieldKey::from_certificate(pem).expect("a certificate");
        assert_eq!(
            field_key.serial(),
            "5157F09EFDC096DE15EBE81A47057A72A4D0E1B2"
        );
        let field = field_key.encrypt("李四").expect("it fits");
        assert_eq!(
            keys().1.open_sensitive(field.as_str()).as_deref(),
            Ok("李四")
        );
    }
}
