//! The merchant's own key and certificate, as files: `apiclient_key.pem` and `apiclient_cert.pem`
//! of WeChat Pay's certificate tool (page 4024350132), in every shape that people have them in.
//! What cannot be used is named, with what to do about it.
//!
//! ```
//! # use wechatpay::merchant_files::{MerchantCertificate, MerchantKey};
//! # let key_file = include_bytes!("../tests/merchant_files/apiclient_key.pem");
//! # let certificate_file = include_bytes!("../tests/merchant_files/apiclient_cert.pem");
//! let key = MerchantKey::read(key_file)?;
//! let certificate = MerchantCertificate::read(certificate_file)?;
//! certificate.belongs_to(key.public_key())?;
//! assert_eq!(certificate.serial_no().len(), 40);
//! # Ok::<(), wechatpay::merchant_files::MerchantFileError>(())
//! ```

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair};
use lenient_pem::{CERTIFICATE, Kind, NotPem, PRIVATE_KEY, RSA_PRIVATE_KEY};
use rsa::PublicKey;
use rsa::pkcs1::RsaPrivateKeyRef;
use rsa::pkcs8::{DecodePublicKey, EncodePublicKey, PrivateKeyInfoRef};
use rsa::traits::PublicKeyParts;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use zeroize::Zeroizing;

use crate::keys::{self, KeyError};
use crate::time::UnixSeconds;

/// The size that WeChat Pay takes (`WECHATPAY2-SHA256-RSA2048`, page 4012365334).
const BITS: usize = 2048;

/// Why a file is not the merchant's key or certificate, and what to do. Holds nothing of the file.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MerchantFileError {
    /// The file is no PEM that can be read.
    #[error(transparent)]
    Pem(NotPem),
    /// The file is neither text nor DER.
    #[error("this is no text: save it as UTF-8, or copy the whole file again")]
    NotText,
    /// The bytes are there without the PEM around them.
    #[error("this is {0} as DER, and PEM is needed: {advice}", advice = .0.advice())]
    Der(Der),
    /// A file of another kind where the private key belongs.
    #[error("this is {0}, not the merchant's private key: that is in apiclient_key.pem")]
    NotTheKey(Kind),
    /// A file of another kind where the certificate belongs.
    #[error("this is {0}, not the merchant's certificate: that is in apiclient_cert.pem")]
    NotTheCertificate(Kind),
    /// A key of another algorithm.
    #[error(
        "this is {0}, and WeChat Pay takes RSA of 2048 bits only: give the apiclient_key.pem of its certificate \
         tool, or make a key with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out NEW_FILE` and \
         have a certificate made for it"
    )]
    OtherAlgorithm(&'static str),
    /// An RSA key of another size.
    #[error(
        "this RSA key has {0} bits, and WeChat Pay takes 2048 only: make a key with `openssl genpkey -algorithm RSA \
         -pkeyopt rsa_keygen_bits:2048 -out NEW_FILE` and have a certificate made for it"
    )]
    OtherSize(usize),
    /// The numbers of a private key that contradict each other.
    #[error("the numbers of this private key do not fit together: copy the whole file again")]
    DamagedKey,
    /// A key and a certificate of two pairs.
    #[error(
        "certificate {serial_no} does not belong to this key: give the two files that were made together, or look up \
         the key's certificate in the merchant platform"
    )]
    OtherKey {
        /// The serial number of the certificate.
        serial_no: String,
    },
    /// A certificate of another merchant.
    #[error(
        "certificate {serial_no} is of {found}, not of merchant {mchid}: take that merchant's file"
    )]
    OtherMerchant {
        /// The serial number of the certificate.
        serial_no: String,
        /// Its common name.
        found: String,
        /// The merchant that it should belong to.
        mchid: String,
    },
}

/// What a DER file holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Der {
    /// PKCS#8 or PKCS#1.
    PrivateKey,
    /// SPKI.
    PublicKey,
    /// X.509.
    Certificate,
    /// PKCS#12: `apiclient_cert.p12`, which holds both.
    Pkcs12,
    /// Anything else, an encrypted key too.
    Other,
}

impl Der {
    fn of(bytes: &[u8]) -> Option<Self> {
        let content = der_content(bytes)?;
        Some(
            if PrivateKeyInfoRef::try_from(bytes).is_ok()
                || RsaPrivateKeyRef::try_from(bytes).is_ok()
            {
                Self::PrivateKey
            } else if PublicKey::from_public_key_der(bytes).is_ok() {
                Self::PublicKey
            } else if Certificate::from_der(bytes).is_ok() {
                Self::Certificate
            } else if content.starts_with(&[2, 1, 3]) {
                Self::Pkcs12
            } else {
                Self::Other
            },
        )
    }

    /// How to convert it to the right form.
    const fn advice(self) -> &'static str {
        match self {
            Self::PrivateKey => "`openssl pkey -inform DER -in FILE -out NEW_FILE` converts it",
            Self::PublicKey => "the private key is in apiclient_key.pem",
            Self::Certificate => "`openssl x509 -inform DER -in FILE -out NEW_FILE` converts it",
            Self::Pkcs12 => "take apiclient_key.pem and apiclient_cert.pem, which come with it",
            Self::Other => "take apiclient_key.pem or apiclient_cert.pem",
        }
    }
}

impl fmt::Display for Der {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrivateKey => "a private key",
            Self::PublicKey => "a public key",
            Self::Certificate => "a certificate",
            Self::Pkcs12 => "a key store (PKCS#12)",
            Self::Other => "something",
        })
    }
}

/// The content of the DER sequence that `bytes` is, as a whole.
fn der_content(bytes: &[u8]) -> Option<&[u8]> {
    let [0x30, first, rest @ ..] = bytes else {
        return None;
    };
    let (length, content) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (length, content) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = length.iter().try_fold(0_usize, |sum, byte| {
                sum.checked_mul(256)?.checked_add(usize::from(*byte))
            });
            (length?, content)
        }
        0x80 | 0x85..=0xff => return None,
    };
    (length == content.len()).then_some(content)
}

/// The merchant's private key: RSA-2048, its numbers checked.
pub struct MerchantKey {
    pkcs8: Zeroizing<Vec<u8>>,
    public: MerchantPublicKey,
}

/// Does not show the key.
impl fmt::Debug for MerchantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MerchantKey").finish_non_exhaustive()
    }
}

impl MerchantKey {
    /// Reads `apiclient_key.pem`: PKCS#8, or PKCS#1 as older tools write it.
    ///
    /// # Errors
    /// [`MerchantFileError`] names what the file is instead.
    pub fn read(file: &[u8]) -> Result<Self, MerchantFileError> {
        let text = text(file)?;
        let pkcs8 = match lenient_pem::one(text, PRIVATE_KEY) {
            Ok(der) => der,
            Err(NotPem::Other { found, .. }) => match found {
                Kind::RsaPrivateKey => {
                    let pkcs1 =
                        lenient_pem::one(text, RSA_PRIVATE_KEY).map_err(MerchantFileError::Pem)?;
                    right_size(&pkcs1)?;
                    keys::pkcs8_from_pkcs1(&pkcs1).map_err(|_| MerchantFileError::DamagedKey)?
                }
                Kind::EcPrivateKey => return Err(MerchantFileError::OtherAlgorithm(ELLIPTIC)),
                Kind::OpensshKey => {
                    return Err(MerchantFileError::OtherAlgorithm("a key of OpenSSH's"));
                }
                Kind::EncryptedKey => {
                    return Err(MerchantFileError::Pem(NotPem::Other {
                        found,
                        wanted: PRIVATE_KEY,
                    }));
                }
                Kind::PrivateKey
                | Kind::PublicKey
                | Kind::RsaPublicKey
                | Kind::Certificate
                | Kind::CertificateRequest
                | Kind::Unknown => return Err(MerchantFileError::NotTheKey(found)),
            },
            Err(other) => return Err(MerchantFileError::Pem(other)),
        };
        Self::from_pkcs8(pkcs8)
    }

    fn from_pkcs8(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, MerchantFileError> {
        let info = PrivateKeyInfoRef::try_from(pkcs8.as_slice())
            .map_err(|_| MerchantFileError::DamagedKey)?;
        match info.algorithm.oid.to_string().as_str() {
            "1.2.840.113549.1.1.1" => {}
            "1.2.840.10045.2.1" => return Err(MerchantFileError::OtherAlgorithm(ELLIPTIC)),
            "1.2.840.113549.1.1.10" => {
                return Err(MerchantFileError::OtherAlgorithm(
                    "a key for RSASSA-PSS alone",
                ));
            }
            _ => {
                return Err(MerchantFileError::OtherAlgorithm(
                    "a key of another algorithm",
                ));
            }
        }
        right_size(info.private_key.as_bytes())?;
        let pair = RsaKeyPair::from_pkcs8(&pkcs8).map_err(|_| MerchantFileError::DamagedKey)?;
        let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())
            .map_err(|_| MerchantFileError::DamagedKey)?;
        let public = MerchantPublicKey::from_der(public.as_ref())?;
        Ok(Self { pkcs8, public })
    }

    /// The key as PKCS#8 DER, which KMS takes and which is sealed.
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Its public half.
    pub fn public_key(&self) -> &MerchantPublicKey {
        &self.public
    }
}

const ELLIPTIC: &str = "an elliptic-curve key";

/// Checks the modulus of a PKCS#1 key.
fn right_size(pkcs1: &[u8]) -> Result<(), MerchantFileError> {
    let key = RsaPrivateKeyRef::try_from(pkcs1).map_err(|_| MerchantFileError::DamagedKey)?;
    let modulus = key.modulus.as_bytes();
    let unused = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let unused = usize::try_from(unused).unwrap_or_default();
    match modulus.len().saturating_mul(8).saturating_sub(unused) {
        BITS => Ok(()),
        other => Err(MerchantFileError::OtherSize(other)),
    }
}

/// The public half of a merchant's key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MerchantPublicKey(PublicKey);

impl MerchantPublicKey {
    /// From SPKI DER, as KMS gives it.
    ///
    /// # Errors
    /// [`MerchantFileError`] where it is not RSA of 2048 bits.
    pub fn from_der(der: &[u8]) -> Result<Self, MerchantFileError> {
        let key = PublicKey::from_public_key_der(der)
            .map_err(|_| MerchantFileError::OtherAlgorithm("a public key of another algorithm"))?;
        Self::of(key)
    }

    fn of(key: PublicKey) -> Result<Self, MerchantFileError> {
        let bits = usize::try_from(key.n().bit_width()).unwrap_or(usize::MAX);
        if bits == BITS {
            Ok(Self(key))
        } else {
            Err(MerchantFileError::OtherSize(bits))
        }
    }

    /// Whether `signature` is this key's over `text`, as WeChat Pay checks it.
    pub fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        let Ok(der) = self.0.to_public_key_der() else {
            return false;
        };
        ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_bytes())
            .is_ok_and(|key| key.verify_sig(text, signature).is_ok())
    }
}

/// The merchant's certificate. WeChat Pay has it already and needs only its number: its chain is
/// not checked.
#[derive(Clone, Debug)]
pub struct MerchantCertificate {
    serial_no: String,
    key: MerchantPublicKey,
    common_name: Option<String>,
    not_before: UnixSeconds,
    not_after: UnixSeconds,
}

impl MerchantCertificate {
    /// Reads `apiclient_cert.pem`.
    ///
    /// # Errors
    /// [`MerchantFileError`] names what the file is instead.
    pub fn read(file: &[u8]) -> Result<Self, MerchantFileError> {
        let read = keys::certificate(text(file)?).map_err(|error| match error {
            KeyError::Pem(NotPem::Other { found, wanted }) if wanted == CERTIFICATE => {
                MerchantFileError::NotTheCertificate(found)
            }
            KeyError::Pem(other) => MerchantFileError::Pem(other),
            KeyError::NotAPublicKey | KeyError::NotAPrivateKey | KeyError::ApiV3KeyLength(_) => {
                MerchantFileError::OtherAlgorithm(
                    "a certificate for a weak key or another algorithm",
                )
            }
        })?;
        Ok(Self {
            serial_no: read.serial_no,
            key: MerchantPublicKey::of(read.key)?,
            common_name: read.common_name,
            not_before: read.not_before,
            not_after: read.not_after,
        })
    }

    /// Its number: what requests name as `serial_no`.
    pub fn serial_no(&self) -> &str {
        &self.serial_no
    }

    /// The key that it certifies.
    pub fn public_key(&self) -> &MerchantPublicKey {
        &self.key
    }

    /// When it begins by its own words.
    pub fn not_before(&self) -> UnixSeconds {
        self.not_before
    }

    /// When it ends by its own words.
    pub fn not_after(&self) -> UnixSeconds {
        self.not_after
    }

    /// Checks that it certifies this key.
    ///
    /// # Errors
    /// [`MerchantFileError::OtherKey`].
    pub fn belongs_to(&self, key: &MerchantPublicKey) -> Result<(), MerchantFileError> {
        if self.key == *key {
            return Ok(());
        }
        Err(MerchantFileError::OtherKey {
            serial_no: self.serial_no.clone(),
        })
    }

    /// Checks that it was made for this merchant: its number is the common name (page
    /// 4024350132).
    ///
    /// # Errors
    /// [`MerchantFileError::OtherMerchant`].
    pub fn is_of(&self, mchid: &str) -> Result<(), MerchantFileError> {
        if self.common_name.as_deref() == Some(mchid) {
            return Ok(());
        }
        Err(MerchantFileError::OtherMerchant {
            serial_no: self.serial_no.clone(),
            found: self.common_name.clone().unwrap_or("nobody".to_owned()),
            mchid: mchid.to_owned(),
        })
    }
}

/// The text of a file, or what it holds if it is none.
fn text(file: &[u8]) -> Result<&str, MerchantFileError> {
    if let Some(der) = Der::of(file) {
        return Err(MerchantFileError::Der(der));
    }
    std::str::from_utf8(file).map_err(|_| MerchantFileError::NotText)
}

#[cfg(test)]
mod tests;
