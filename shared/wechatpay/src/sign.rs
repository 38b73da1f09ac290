//! Signing requests: `WECHATPAY2-SHA256-RSA2048` (manual pages 4012365334 to 4012365342).
//!
//! The private key may be in this process ([`LocalKey`]) or far away, in a key service: both are a
//! [`Signer`].

use std::error::Error;
use std::fmt;
use std::future::Future;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use crate::canonical;
use crate::keys::{self, KeyError};
use crate::outgoing::Outgoing;
use crate::sensitive::OpenFieldError;
use crate::time::UnixSeconds;

/// The scheme before the five fields of the `Authorization` header.
pub const SCHEME: &str = "WECHATPAY2-SHA256-RSA2048";

/// Signs with the merchant's private key.
pub trait Signer: Send + Sync {
    /// The serial number of the *merchant* certificate that belongs to the key: 40 upper-case
    /// hexadecimal digits. Not to be mistaken for the platform certificate's.
    fn serial_no(&self) -> &str;

    /// The raw RSASSA-PKCS1-v1_5 signature with SHA-256 over `text` (256 bytes for the RSA-2048 of
    /// WeChat Pay).
    fn sign(&self, text: &[u8]) -> impl Future<Output = Result<Vec<u8>, SignError>> + Send;
}

/// The signer could not sign. The cause, where there is one, is the `source`.
#[derive(Debug, thiserror::Error)]
#[error("the merchant key did not sign: see the cause, then check the key and the access to it")]
pub struct SignError(#[source] Box<dyn Error + Send + Sync>);

impl SignError {
    /// Wraps what the signer's own machinery said.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// The value of the `Authorization` header of `request`.
///
/// `nonce` must be fresh and random, 32 of `[0-9A-Za-z]` as a rule; `at` may differ from WeChat's
/// clock by at most five minutes, else the answer is 401 (page 4012072670). The host is not signed,
/// so the value is good on the main and on the backup host. The other headers a request needs are
/// listed at [`crate::api`].
///
/// # Errors
/// [`SignError`] when the signer fails.
pub async fn authorization(
    signer: &impl Signer,
    mchid: &str,
    request: &Outgoing,
    at: UnixSeconds,
    nonce: &str,
) -> Result<String, SignError> {
    let signature = BASE64.encode(signer.sign(&canonical::request(request, at, nonce)).await?);
    let serial_no = signer.serial_no();
    let timestamp = at.0;
    Ok(format!(
        "{SCHEME} mchid=\"{mchid}\",nonce_str=\"{nonce}\",signature=\"{signature}\",timestamp=\"{timestamp}\",serial_no=\"{serial_no}\""
    ))
}

/// A merchant key in this process. Signs, and opens sensitive fields, with aws-lc-rs.
pub struct LocalKey {
    serial_no: String,
    signing: RsaKeyPair,
    opening: OaepPrivateDecryptingKey,
}

impl LocalKey {
    /// From the `apiclient_key.pem` that WeChat's tool wrote (PKCS#8, `BEGIN PRIVATE KEY`).
    ///
    /// # Errors
    /// [`KeyError`] when `pem` is something else.
    pub fn from_pkcs8_pem(serial_no: impl Into<String>, pem: &str) -> Result<Self, KeyError> {
        Self::from_pkcs8_der(serial_no, &keys::private_key_der(pem)?)
    }

    /// From an older PEM file that says `BEGIN RSA PRIVATE KEY` (PKCS#1).
    ///
    /// # Errors
    /// [`KeyError`] when `pem` is something else.
    pub fn from_pkcs1_pem(serial_no: impl Into<String>, pem: &str) -> Result<Self, KeyError> {
        Self::from_pkcs8_der(serial_no, &keys::private_key_der_from_pkcs1(pem)?)
    }

    /// From PKCS#8 DER.
    ///
    /// # Errors
    /// [`KeyError::NotAPrivateKey`] when `der` is no RSA key.
    pub fn from_pkcs8_der(serial_no: impl Into<String>, der: &[u8]) -> Result<Self, KeyError> {
        let signing = RsaKeyPair::from_pkcs8(der).map_err(|_| KeyError::NotAPrivateKey)?;
        let opening = PrivateDecryptingKey::from_pkcs8(der)
            .and_then(|key| OaepPrivateDecryptingKey::new(key).map_err(Into::into))
            .map_err(|_| KeyError::NotAPrivateKey)?;
        Ok(Self {
            serial_no: serial_no.into(),
            signing,
            opening,
        })
    }

    /// Opens a sensitive field that WeChat Pay encrypted to the merchant certificate's key: Base64
    /// of RSA-OAEP with SHA-1 (page 4013053265). An empty text is an empty field.
    ///
    /// # Errors
    /// [`OpenFieldError`] when the text is no Base64, or was encrypted to another key.
    pub fn open_sensitive(&self, field: &str) -> Result<String, OpenFieldError> {
        if field.is_empty() {
            return Ok(String::new());
        }
        let sealed = BASE64
            .decode(field)
            .map_err(|_| OpenFieldError::NotBase64)?;
        let mut room = Zeroizing::new(vec![0; self.opening.min_output_size()]);
        let plain = self
            .opening
            .decrypt(&OAEP_SHA1_MGF1SHA1, &sealed, &mut room, None)
            .map_err(|_| OpenFieldError::WrongKey)?;
        std::str::from_utf8(plain)
            .map(str::to_owned)
            .map_err(|_| OpenFieldError::NotText)
    }
}

impl Signer for LocalKey {
    fn serial_no(&self) -> &str {
        &self.serial_no
    }

    async fn sign(&self, text: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut signature = vec![0; self.signing.public_modulus_len()];
        self.signing
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                text,
                &mut signature,
            )
            .map_err(|_| SignError::new("aws-lc-rs refused to sign with this key"))?;
        Ok(signature)
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey")
            .field("serial_no", &self.serial_no)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Call, Certificates};

    /// A signer that is far away and out of order.
    struct Unreachable;

    impl Signer for Unreachable {
        fn serial_no(&self) -> &str {
            "5157"
        }

        async fn sign(&self, _text: &[u8]) -> Result<Vec<u8>, SignError> {
            tokio::task::yield_now().await;
            Err(SignError::new("the key service is throttled"))
        }
    }

    #[tokio::test]
    async fn the_cause_of_a_remote_signers_failure_is_kept() {
        let at = UnixSeconds(0);
        let error = authorization(
            &Unreachable,
            "1900007291",
            &Certificates.outgoing(),
            at,
            "n",
        )
        .await;
        let error = error.expect_err("it is out of order");
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("the key service is throttled")
        );
    }

    #[test]
    fn a_key_shows_its_serial_only() {
        let key = LocalKey::from_pkcs8_pem("5157", include_str!("../vectors/keys/platform.pem"))
            .expect("a key");
        assert_eq!(format!("{key:?}"), "LocalKey { serial_no: \"5157\", .. }");
    }
}
