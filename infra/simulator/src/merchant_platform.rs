//! What the merchant changes on WeChat Pay's merchant platform while it runs: certificates, the
//! APIv3 key, and by which kind of key WeChat Pay signs callbacks.

pub(crate) mod http;

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use crate::{
    admin::Admin,
    config::SigningMode,
    credentials::{
        CERTIFICATES_MAX, Credentials, CredentialsError, MerchantCertificate, is_apiv3_key,
    },
    keys::MerchantKey,
};

/// A certificate of the merchant's, and what was signed under it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CertificateUse {
    /// Its number.
    pub serial: String,
    /// Whether requests that name it are taken.
    pub is_valid: bool,
    /// Requests under a right signature since the start (or since [`Admin::reset_requests`]).
    pub requests: u64,
}

impl Admin {
    /// The merchant's certificates, and those that were revoked after a request.
    pub fn merchant_certificates(&self) -> Vec<CertificateUse> {
        let credentials = self.sim.credentials();
        let mut requests: BTreeMap<String, u64> = self.sim.world().signed_by.clone();
        let mut uses: Vec<CertificateUse> = credentials
            .certificates
            .iter()
            .map(|certificate| CertificateUse {
                serial: certificate.serial.clone(),
                is_valid: true,
                requests: requests.remove(&certificate.serial).unwrap_or_default(),
            })
            .collect();
        uses.extend(
            requests
                .into_iter()
                .map(|(serial, requests)| CertificateUse {
                    serial,
                    is_valid: false,
                    requests,
                }),
        );
        uses
    }

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
