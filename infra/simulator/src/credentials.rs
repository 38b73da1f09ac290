//! What the merchant can change on WeChat Pay's merchant platform while it runs: certificates, the
//! APIv3 key, and by which kind of key WeChat Pay signs callbacks.

use std::sync::Arc;

use crate::{
    admin::Admin,
    config::SigningMode,
    keys::{KeyError, MerchantKey},
};

/// How many certificates are valid at once (page 4024350132).
const CERTIFICATES_MAX: usize = 3;

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

impl Admin {
    /// The merchant has one more certificate, which is valid at once. This and the changes below
    /// end with the process.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn add_merchant_certificate(
        &self,
        serial: &str,
        public_key_pem: &str,
    ) -> Result<(), CredentialsError> {
        let key = MerchantKey::from_public_pem(public_key_pem)?;
        self.change(|credentials| {
            if credentials.certificates.len() >= CERTIFICATES_MAX {
                return Err(CredentialsError::TooMany);
            }
            if find(credentials, serial).is_some() {
                return Err(CredentialsError::SerialTaken(serial.to_owned()));
            }
            let serial = serial.to_owned();
            credentials
                .certificates
                .push(MerchantCertificate { serial, key });
            Ok(())
        })
    }

    /// The merchant revokes a certificate: what names it is refused from now on.
    ///
    /// # Errors
    /// [`CredentialsError::NoSuchCertificate`].
    pub fn revoke_merchant_certificate(&self, serial: &str) -> Result<(), CredentialsError> {
        self.change(|credentials| {
            let at = find(credentials, serial)
                .ok_or_else(|| CredentialsError::NoSuchCertificate(serial.to_owned()))?;
            credentials.certificates.remove(at);
            Ok(())
        })
    }

    /// The merchant sets another APIv3 key: what is sealed from now on is sealed under it.
    ///
    /// # Errors
    /// [`CredentialsError::NoApiv3Key`].
    pub fn set_apiv3_key(&self, key: &str) -> Result<(), CredentialsError> {
        if !is_apiv3_key(key) {
            return Err(CredentialsError::NoApiv3Key);
        }
        self.change(|credentials| {
            key.clone_into(&mut credentials.apiv3_key);
            Ok(())
        })
    }

    /// WeChat Pay signs callbacks by this kind of key from now on, as it does when a merchant moves
    /// from certificates to its public key.
    pub fn set_signing_mode(&self, mode: SigningMode) {
        let mut credentials = self.sim.lock_credentials();
        Arc::make_mut(&mut credentials).signing_mode = mode;
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Credentials) -> Result<(), CredentialsError>,
    ) -> Result<(), CredentialsError> {
        let mut credentials = self.sim.lock_credentials();
        change(Arc::make_mut(&mut credentials))
    }
}

fn find(credentials: &Credentials, serial: &str) -> Option<usize> {
    credentials
        .certificates
        .iter()
        .position(|certificate| certificate.serial.eq_ignore_ascii_case(serial))
}
