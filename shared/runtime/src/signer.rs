//! The merchant's signature, by KMS or by a key in this process. Both are a [`wechatpay::Signer`]
//! and pass the same test suite.

use std::sync::Arc;

use aws_lc_rs::digest;
use wechatpay::sign::{LocalKey, SignError, Signer};

use crate::kms::Kms;

/// Signs with an RSA key that never leaves KMS. Only the digest goes there: a text may be longer
/// than the 4096 bytes that KMS takes.
#[derive(Clone, Debug)]
pub struct KmsSigner {
    kms: Kms,
    key_id: String,
    serial_no: String,
}

impl KmsSigner {
    /// Signs with `key_id`, whose certificate at WeChat Pay has the number `serial_no`.
    pub fn new(kms: Kms, key_id: impl Into<String>, serial_no: impl Into<String>) -> Self {
        Self {
            kms,
            key_id: key_id.into(),
            serial_no: serial_no.into(),
        }
    }
}

impl Signer for KmsSigner {
    fn serial_no(&self) -> &str {
        &self.serial_no
    }

    async fn sign(&self, text: &[u8]) -> Result<Vec<u8>, SignError> {
        let digest = digest::digest(&digest::SHA256, text);
        self.kms
            .sign_digest(&self.key_id, digest.as_ref())
            .await
            .map_err(SignError::new)
    }
}

/// Who signs for the merchant: the setting `MERCHANT_SIGNER`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SignWith {
    /// The KMS key `key_id`.
    Kms {
        /// `MERCHANT_SIGNING_KEY_ID`.
        key_id: String,
    },
    /// The sealed key in the merchant's item.
    Sealed,
}

/// Whichever signer the setting `MERCHANT_SIGNER` chose. Cheap to clone.
#[derive(Clone, Debug)]
pub enum MerchantSigner {
    /// `kms`: the private key is in no function.
    Kms(KmsSigner),
    /// `sealed`: the key was unsealed into this sandbox; no quota and no round trip.
    Sealed(Arc<LocalKey>),
}

impl Signer for MerchantSigner {
    fn serial_no(&self) -> &str {
        match self {
            Self::Kms(signer) => signer.serial_no(),
            Self::Sealed(key) => key.serial_no(),
        }
    }

    async fn sign(&self, text: &[u8]) -> Result<Vec<u8>, SignError> {
        match self {
            Self::Kms(signer) => signer.sign(text).await,
            Self::Sealed(key) => key.sign(text).await,
        }
    }
}
