//! What the merchant can change on WeChat Pay's merchant platform, and why that refuses a change.

use crate::{
    config::SigningMode,
    keys::{KeyError, MerchantKey},
};

/// How many certificates are valid at once (page 4024350132).
pub(crate) const CERTIFICATES_MAX: usize = 3;

/// A valid certificate of the merchant's.
#[derive(Clone)]
pub(crate) struct MerchantCertificate {
    pub(crate) serial: String,
    pub(crate) key: MerchantKey,
}

/// What counts at the moment.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// The newest last.
    pub(crate) certificates: Vec<MerchantCertificate>,
    pub(crate) apiv3_key: String,
    pub(crate) signing_mode: SigningMode,
}

/// Why the merchant platform refuses a change.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The public key cannot be read.
    #[error("the certificate's public key is none")]
    Key(#[from] KeyError),
    /// One more than WeChat Pay takes.
    #[error("{CERTIFICATES_MAX} certificates are valid already")]
    TooMany,
    /// The number is taken.
    #[error("there is a certificate {0} already")]
    SerialTaken(String),
    /// There is no such certificate.
    #[error("there is no certificate {0}")]
    NoSuchCertificate(String),
    /// The key has another form.
    #[error("an APIv3 key is 32 characters of [0-9A-Za-z]")]
    NoApiv3Key,
}

/// Whether a text has the form of an APIv3 key.
pub(crate) fn is_apiv3_key(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
