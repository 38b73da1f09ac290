//! Issues the platform certificates and the merchant's: X.509 v3, signed by their own key, since
//! there is no Tenpay root here.

use std::{str::FromStr, time::Duration};

use rsa::{PrivateKey, PublicKey, pkcs1v15, pkcs8::EncodePublicKey, sha2::Sha256};
use x509_cert::{
    Certificate, TbsCertificate,
    builder::{Builder, CertificateBuilder, profile::BuilderProfile},
    der::{DateTime, DecodePem, EncodePem, pem::LineEnding, referenced::OwnedToRef},
    ext::{Extension, ToExtension, pkix::BasicConstraints},
    name::Name,
    serial_number::SerialNumber,
    spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef},
    time::Validity,
};

/// The subject of a platform certificate.
pub(crate) const PLATFORM: &str =
    "CN=Tenpay.com sign (simulated),OU=wechatpay-simulator,O=Tenpay.com (simulated),C=CN";

/// Why no certificate could be issued, or read.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot issue a certificate")]
    Issue(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("this is no X.509 certificate of an RSA key in PEM")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The subject of a merchant's certificate: its number is the common name, as in real ones.
pub(crate) fn of_merchant(mchid: &str) -> String {
    format!("CN={mchid},OU=wechatpay-simulator,O=Tenpay.com merchant (simulated),L=Shenzhen,C=CN")
}

/// A certificate of `subject` over `key` as PEM, with the serial `serial_hex`, valid from `from_ms`
/// to `to_ms`.
pub(crate) fn issue(
    key: &PrivateKey,
    subject: &str,
    serial_hex: &str,
    from_ms: i64,
    to_ms: i64,
) -> Result<String, CertificateError> {
    try_issue(key, subject, serial_hex, from_ms, to_ms).map_err(CertificateError::Issue)
}

fn try_issue(
    key: &PrivateKey,
    subject: &str,
    serial_hex: &str,
    from_ms: i64,
    to_ms: i64,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let serial = SerialNumber::new(&from_hex(serial_hex).ok_or("the serial is not hex")?)?;
    let validity = Validity::new(moment(from_ms)?, moment(to_ms)?);
    let spki = SubjectPublicKeyInfo::from_key(&PublicKey::from(key))?;
    let profile = SelfIssued(Name::from_str(subject)?);
    let signer = pkcs1v15::SigningKey::<Sha256>::new(key.clone());
    let certificate = CertificateBuilder::new(profile, serial, validity, spki)?
        .build::<_, pkcs1v15::Signature>(&signer)?;
    Ok(certificate.to_pem(LineEnding::LF)?)
}

/// A certificate's number in upper-case hex, and its public key as SPKI PEM.
pub(crate) fn read(pem: &str) -> Result<(String, String), CertificateError> {
    try_read(pem).map_err(CertificateError::Read)
}

fn try_read(pem: &str) -> Result<(String, String), Box<dyn std::error::Error + Send + Sync>> {
    let certificate = Certificate::from_pem(pem.trim())?;
    let part = certificate.tbs_certificate();
    // A number that begins with a set bit stands behind a zero byte.
    let serial = part.serial_number().as_bytes();
    let serial = serial.strip_prefix(&[0]).unwrap_or(serial);
    let serial = serial.iter().map(|byte| format!("{byte:02X}")).collect();
    let spki = part.subject_public_key_info().owned_to_ref();
    let public_key = PublicKey::try_from(spki)?.to_public_key_pem(LineEnding::LF)?;
    Ok((serial, public_key))
}

fn moment(ms: i64) -> Result<x509_cert::time::Time, Box<dyn std::error::Error + Send + Sync>> {
    let since_epoch = Duration::from_millis(u64::try_from(ms)?);
    Ok(DateTime::from_unix_duration(since_epoch)?.into())
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    (0..hex.len())
        .step_by(2)
        .map(|at| {
            hex.get(at..at.checked_add(2)?)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect()
}

struct SelfIssued(Name);

impl BuilderProfile for SelfIssued {
    fn get_issuer(&self, subject: &Name) -> Name {
        subject.clone()
    }

    fn get_subject(&self) -> Name {
        self.0.clone()
    }

    fn build_extensions(
        &self,
        _: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let leaf = BasicConstraints {
            ca: false,
            path_len_constraint: None,
        };
        Ok(vec![leaf.to_extension(tbs.subject(), &[])?])
    }
}
