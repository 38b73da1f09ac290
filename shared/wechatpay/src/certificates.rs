//! Platform certificates: opening what `GET /v3/certificates` delivers, and the rules of their
//! rotation (manual pages 4012551764, 4012069411, 4012068829).
//!
//! | Rule | Here |
//! |---|---|
//! | Ask again at least every 12 hours | [`POLL_AT_LEAST_EVERY_S`] |
//! | Old and new certificates sign side by side, so load all | [`add_to`] |
//! | Encrypt sensitive fields to the one with the latest start | [`newest`] |
//! | The first download has no known key: decrypt, then verify with what came | [`open_download`] |
//!
//! A merchant in public-key mode has no platform certificate and is answered 404
//! `RESOURCE_NOT_EXISTS`.

use lenient_pem::NotPem;

use crate::api::{Call, Certificates, EncryptedCertificate, UnreadableAnswer};
use crate::keys::{self, KeyError};
use crate::names::names;
use crate::resource::{self, ApiV3Key, OpenError};
use crate::time::UnixSeconds;
use crate::time::{NotATime, parse_rfc3339};
use crate::verify::{SignedHeaders, VerificationKeys, VerifyError, verify};

/// The longest time between two downloads, in seconds (page 4012551764). WeChat's SDKs ask every
/// hour.
pub const POLL_AT_LEAST_EVERY_S: i64 = 12 * 60 * 60;

/// A platform certificate, decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformCertificate {
    /// What `Wechatpay-Serial` says when it signs: upper-case hexadecimal, read from the
    /// certificate itself.
    pub serial_no: String,
    /// When WeChat Pay begins to use it.
    pub effective: UnixSeconds,
    /// When WeChat Pay stops using it.
    pub expires: UnixSeconds,
    /// The certificate, PEM.
    pub pem: String,
}

/// Why a delivered certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It does not open under any APIv3 key.
    #[error("the platform certificate does not open: {0}")]
    Open(#[from] OpenError),
    /// It opened, but is no certificate with an RSA key.
    #[error("the platform certificate is unusable: {0}")]
    Read(#[from] KeyError),
    /// Its serial is not the one it was announced with.
    #[error("the platform certificate's own serial {own} is not the announced {announced}")]
    OtherSerial {
        /// The serial in the JSON.
        announced: String,
        /// The serial in the certificate.
        own: String,
    },
    /// Its times are no times.
    #[error("the platform certificate's effective_time or expire_time is {0}")]
    Time(#[from] NotATime),
    /// The answer is not as documented.
    #[error(transparent)]
    Unreadable(#[from] UnreadableAnswer),
    /// The answer is not signed by a known certificate, nor by one it delivers.
    #[error("the certificate download cannot be taken for WeChat Pay's: {0}")]
    Unverified(#[from] VerifyError),
}

names!(CertificateError {
    Read = "unusable_certificate",
    OtherSerial = "other_serial",
    Time = "bad_time",
    Unreadable = "unreadable",
} of Open | Unverified);

/// Whether a text has the form of a platform certificate's serial number: 40 hexadecimal digits. A
/// WeChat Pay public key has an id of another form (`PUB_KEY_ID_...`).
#[must_use]
pub fn is_serial(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// When a certificate ends by its own words. WeChat Pay may stop using it earlier.
///
/// # Errors
/// [`KeyError`] when it is no certificate.
pub fn ends(pem: &str) -> Result<UnixSeconds, KeyError> {
    Ok(keys::certificate(pem)?.not_after)
}

/// Decrypts one certificate of a verified answer.
///
/// # Errors
/// [`CertificateError`] says what is wrong with it.
pub fn decrypt(
    delivered: &EncryptedCertificate,
    apiv3_keys: &[ApiV3Key],
) -> Result<PlatformCertificate, CertificateError> {
    let bytes = resource::open(&delivered.encrypt_certificate, apiv3_keys)?;
    let no_text = |_| {
        KeyError::Pem(NotPem::NoBlock {
            wanted: lenient_pem::CERTIFICATE,
        })
    };
    let pem = String::from_utf8(bytes).map_err(no_text)?;
    let own = keys::certificate(&pem)?;
    let serial_no = own.serial_no;
    if !serial_no.eq_ignore_ascii_case(&delivered.serial_no) {
        return Err(CertificateError::OtherSerial {
            announced: delivered.serial_no.clone(),
            own: serial_no,
        });
    }
    Ok(PlatformCertificate {
        serial_no,
        effective: announced(delivered.effective_time.as_deref(), own.not_before)?,
        expires: announced(delivered.expire_time.as_deref(), own.not_after)?,
        pem,
    })
}

/// A time as it was announced, or the certificate's own where none was. A text that is no time is
/// wrong.
fn announced(text: Option<&str>, own: UnixSeconds) -> Result<UnixSeconds, NotATime> {
    text.map_or(Ok(own), parse_rfc3339)
}

/// Opens a whole download, the first one included: only who holds the APIv3 key can have encrypted
/// the certificates, so they are decrypted first, and the answer must then be signed by one of them
/// or by a key already in `known` (page 4012069411).
///
/// # Errors
/// [`CertificateError`]; then the whole download must not be used.
pub fn open_download(
    status: u16,
    headers: &SignedHeaders,
    body: &[u8],
    apiv3_keys: &[ApiV3Key],
    known: &VerificationKeys,
    now: UnixSeconds,
) -> Result<Vec<PlatformCertificate>, CertificateError> {
    let certificates = Certificates::answer(status, body)?
        .iter()
        .map(|delivered| decrypt(delivered, apiv3_keys))
        .collect::<Result<Vec<_>, _>>()?;
    let mut keys = known.clone();
    add_to(&mut keys, &certificates, now)?;
    verify(headers, body, &keys, now)?;
    Ok(certificates)
}

/// Loads all certificates that have not expired, those too whose start is yet to come: WeChat Pay
/// moves its traffic from the old to the new one little by little. Returns how many were loaded.
///
/// # Errors
/// [`KeyError`] when a PEM was changed since it was decrypted.
pub fn add_to(
    keys: &mut VerificationKeys,
    certificates: &[PlatformCertificate],
    now: UnixSeconds,
) -> Result<usize, KeyError> {
    let mut loaded = 0;
    for certificate in certificates.iter().filter(|it| now < it.expires) {
        keys.add_certificate(&certificate.pem)?;
        loaded += 1;
    }
    Ok(loaded)
}

/// The certificate to encrypt sensitive fields to, and to name in `Wechatpay-Serial`: of those in
/// force, the one with the latest start (page 4012551764).
#[must_use]
pub fn newest(
    certificates: &[PlatformCertificate],
    now: UnixSeconds,
) -> Option<&PlatformCertificate> {
    certificates
        .iter()
        .filter(|it| it.effective <= now && now < it.expires)
        .max_by_key(|it| it.effective)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = include_str!("../vectors/keys/platform-certificate.pem");
    const NEW: &str = include_str!("../vectors/keys/platform-next-certificate.pem");

    fn certificate(pem: &str, effective: i64, expires: i64) -> PlatformCertificate {
        PlatformCertificate {
            serial_no: keys::certificate(pem).expect("a certificate").serial_no,
            effective: UnixSeconds(effective),
            expires: UnixSeconds(expires),
            pem: pem.to_owned(),
        }
    }

    #[test]
    fn fields_are_encrypted_to_the_certificate_in_force_with_the_latest_start() {
        let both = [certificate(OLD, 100, 1000), certificate(NEW, 800, 2000)];
        let serial_at = |now| newest(&both, UnixSeconds(now)).map(|it| it.effective.0);
        assert_eq!(serial_at(99), None);
        assert_eq!(serial_at(799), Some(100));
        assert_eq!(serial_at(800), Some(800));
        assert_eq!(serial_at(1999), Some(800));
        assert_eq!(serial_at(2000), None);
    }

    #[test]
    fn all_certificates_that_have_not_expired_are_loaded() {
        let both = [certificate(OLD, 100, 1000), certificate(NEW, 800, 2000)];
        for (now, loaded) in [(500, 2), (999, 2), (1000, 1), (2000, 0)] {
            let mut keys = VerificationKeys::new();
            assert_eq!(
                add_to(&mut keys, &both, UnixSeconds(now)),
                Ok(loaded),
                "at {now}"
            );
            assert_eq!(keys.serials().count(), loaded, "at {now}");
        }
    }

    #[test]
    fn a_serial_has_forty_hexadecimal_digits() {
        for (text, is_one) in [
            ("5157F09EFDC096DE15EBE81A47057A7232F1B8E1", true),
            ("5157f09efdc096de15ebe81a47057a7232f1b8e1", true),
            ("5157F09EFDC096DE15EBE81A47057A7232F1B8E", false),
            ("PUB_KEY_ID_0114232134912410000000000000", false),
            ("5157F09EFDC096DE15EBE81A47057A7232F1B8EG", false),
            ("", false),
        ] {
            assert_eq!(is_serial(text), is_one, "{text}");
        }
    }

    #[test]
    fn a_certificate_says_when_it_ends() {
        assert_eq!(ends(OLD), Ok(UnixSeconds(1_798_675_200)), "by openssl");
        assert!(ends("no certificate").is_err());
    }

    #[test]
    fn loading_again_replaces() {
        let both = [certificate(OLD, 100, 1000), certificate(OLD, 100, 1000)];
        let mut keys = VerificationKeys::new();
        assert_eq!(add_to(&mut keys, &both, UnixSeconds(500)), Ok(2));
        assert_eq!(keys.serials().count(), 1);
    }
}
