//! What the merchant changes on WeChat Pay's merchant platform while it runs: certificates, the
//! APIv3 key, and by which kind of key WeChat Pay signs callbacks.

use std::sync::Arc;

use crate::{
    admin::Admin,
    config::SigningMode,
    credentials::{
        CERTIFICATES_MAX, Credentials, CredentialsError, MerchantCertificate, is_apiv3_key,
    },
    keys::MerchantKey,
};

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
