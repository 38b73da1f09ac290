//! Reading keys and certificates: PEM and DER in, the form the cryptography wants out.
//!
//! The forms are those of manual page 4024350132 and the pages on the single kinds (4012072428,
//! 4013053057, 4012072195):
//!
//! | Key | Its form | More on page |
//! |---|---|---|
//! | merchant's private key, `apiclient_key.pem` | PKCS#8, RSA-2048 | 4012365334 (an example) |
//! | WeChat Pay's public key, `pub_key.pem` | SPKI, has an id `PUB_KEY_ID_...` | 4013053420 (an example) |
//! | platform certificate | X.509 as PEM, out of `GET /v3/certificates` | 4012551764, 4012069411 |
//! | serial number | hexadecimal, upper case, as `openssl x509 -serial` prints it | |
//! | APIv3 key | 32 characters, used as 32 bytes | 4012071382 |
//!
//! `rsa` and `x509-cert` read and convert; no private-key operation of `rsa` runs here
//! (RUSTSEC-2023-0071).

use lenient_pem::{CERTIFICATE, NotPem, PRIVATE_KEY, PUBLIC_KEY, RSA_PRIVATE_KEY};
use rsa::PublicKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePublicKey, EncodePrivateKey};
use rsa::traits::PublicKeyParts;
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};
use zeroize::Zeroizing;

use crate::time::UnixSeconds;

/// Why a key or certificate cannot be used. The text says what was expected, never what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is no PEM of the kind that was asked for.
    #[error(transparent)]
    Pem(#[from] NotPem),
    /// The bytes are no PKCS#8 RSA private key.
    #[error("not a PKCS#8 RSA private key: WeChat Pay's apiclient_key.pem is one")]
    NotAPrivateKey,
    /// Not an RSA key, or one that is too weak to verify with (under 2048 bits).
    #[error("not an RSA public key of 2048 bits or more")]
    NotAPublicKey,
    /// An APIv3 key of another length.
    #[error(
        "an APIv3 key has 32 bytes, this one has {0}: set it in the merchant console, and take it as it is shown"
    )]
    ApiV3KeyLength(usize),
}

/// The smallest modulus, in bytes, that is accepted: RSA-2048, the only size WeChat Pay uses (pages
/// 4012365334 and 4013053249: `WECHATPAY2-SHA256-RSA2048`).
const SMALLEST_MODULUS: usize = 256;

/// A PKCS#8 private key (`apiclient_key.pem`) as DER. The PEM is decoded, its numbers are not
/// checked.
pub(crate) fn private_key_der(pem: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    Ok(lenient_pem::one(pem, PRIVATE_KEY)?)
}

/// A PKCS#1 private key (`BEGIN RSA PRIVATE KEY`, RFC 8017), converted to PKCS#8 DER. The manual
/// does not know this form; older versions of OpenSSL write it when a key is exported.
pub(crate) fn private_key_der_from_pkcs1(pem: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    pkcs8_from_pkcs1(&lenient_pem::one(pem, RSA_PRIVATE_KEY)?)
}

/// The same of DER.
pub(crate) fn pkcs8_from_pkcs1(der: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let key = rsa::PrivateKey::from_pkcs1_der(der).map_err(|_| KeyError::NotAPrivateKey)?;
    let document = key.to_pkcs8_der().map_err(|_| KeyError::NotAPrivateKey)?;
    Ok(Zeroizing::new(document.as_bytes().to_vec()))
}

/// An RSA public key from a `BEGIN PUBLIC KEY` PEM (SPKI), the form of WeChat Pay's `pub_key.pem`.
pub(crate) fn public_key(pem: &str) -> Result<PublicKey, KeyError> {
    let der = lenient_pem::one(pem, PUBLIC_KEY)?;
    strong(PublicKey::from_public_key_der(&der).map_err(|_| KeyError::NotAPublicKey)?)
}

/// What this crate needs of an X.509 certificate.
pub(crate) struct ReadCertificate {
    /// The serial number as `Wechatpay-Serial` has it: upper-case hexadecimal, no sign byte.
    pub(crate) serial_no: String,
    pub(crate) key: PublicKey,
    /// The common name of its subject, if it has one.
    pub(crate) common_name: Option<String>,
    /// When it begins by its own words.
    pub(crate) not_before: UnixSeconds,
    /// When it ends by its own words.
    pub(crate) not_after: UnixSeconds,
}

/// Reads a platform certificate. Its chain and its dates are not checked: it is trusted because it
/// came encrypted under the APIv3 key, or from the merchant console. (Page 4012069411 has the root
/// for those who check the chain.)
pub(crate) fn certificate(pem: &str) -> Result<ReadCertificate, KeyError> {
    let der = lenient_pem::one(pem, CERTIFICATE)?;
    let certificate = Certificate::from_der(&der).map_err(|_| NotPem::Damaged)?;
    let content = certificate.tbs_certificate();
    let spki = content
        .subject_public_key_info()
        .to_der()
        .map_err(|_| KeyError::NotAPublicKey)?;
    let key = strong(PublicKey::from_public_key_der(&spki).map_err(|_| KeyError::NotAPublicKey)?)?;
    let at = |time: &x509_cert::time::Time| {
        let seconds = time.to_unix_duration().as_secs();
        UnixSeconds(i64::try_from(seconds).unwrap_or(i64::MAX))
    };
    let validity = content.validity();
    let common_name = content.subject().common_name().ok().flatten();
    Ok(ReadCertificate {
        serial_no: serial_as_hex(content.serial_number().as_bytes()),
        key,
        common_name: common_name.map(|name| name.value().into_owned()),
        not_before: at(&validity.not_before),
        not_after: at(&validity.not_after),
    })
}

/// DER puts a zero byte before a number whose first bit is set; `openssl x509 -serial` and WeChat
/// leave it out.
fn serial_as_hex(bytes: &[u8]) -> String {
    let digits = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    digits.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn strong(key: PublicKey) -> Result<PublicKey, KeyError> {
    if key.size() < SMALLEST_MODULUS {
        Err(KeyError::NotAPublicKey)
    } else {
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsa::pkcs1::EncodeRsaPrivateKey;
    use rsa::pkcs8::{DecodePrivateKey, LineEnding};

    const PRIVATE: &str = include_str!("../vectors/keys/platform.pem");
    const PUBLIC: &str = include_str!("../vectors/keys/platform-public.pem");
    const CERTIFICATE_FILE: &str = include_str!("../vectors/keys/platform-certificate.pem");

    #[test]
    fn each_kind_of_file_is_distinguished_from_the_others() {
        let says = |error: KeyError| error.to_string();
        for (message, begins) in [
            (
                says(private_key_der(PUBLIC).expect_err("another kind")),
                "this is a public key, not a private key",
            ),
            (
                says(private_key_der("").expect_err("nothing")),
                "the file is empty",
            ),
            (
                says(public_key(CERTIFICATE_FILE).expect_err("another kind")),
                "this is a certificate, not a public key",
            ),
            (
                says(certificate(PUBLIC).map(|_| ()).expect_err("another kind")),
                "this is a public key, not a certificate",
            ),
        ] {
            assert!(message.starts_with(begins), "{message}");
        }
    }

    #[test]
    fn changes_that_tools_make_to_a_file_do_no_harm() {
        let mangled = |pem: &str| {
            [
                format!("\r\n{}\r\n\r\n", pem.trim().replace('\n', "\r\n")),
                format!("\u{feff}{pem}"),
                pem.replace('\n', "  \n"),
                pem.trim().replace('\n', " "),
                pem.replace('\n', "\\n"),
            ]
        };
        assert!(public_key(PUBLIC).is_ok());
        for text in mangled(PUBLIC) {
            assert_eq!(public_key(&text), public_key(PUBLIC), "{text:?}");
        }
        for text in mangled(PRIVATE) {
            assert_eq!(private_key_der(&text), private_key_der(PRIVATE), "{text:?}");
        }
        let serial = |pem: &str| certificate(pem).map(|read| read.serial_no);
        for text in mangled(CERTIFICATE_FILE) {
            assert_eq!(serial(&text), serial(CERTIFICATE_FILE), "{text:?}");
        }
    }

    #[test]
    fn an_old_pkcs1_file_gives_the_same_key() {
        let key = rsa::PrivateKey::from_pkcs8_pem(PRIVATE).expect("a key");
        let pkcs1 = key.to_pkcs1_pem(LineEnding::LF).expect("PEM");
        assert_eq!(private_key_der_from_pkcs1(&pkcs1), private_key_der(PRIVATE));
        assert!(private_key_der(&pkcs1).is_err());
    }

    #[test]
    fn a_short_key_is_refused() {
        // RSA-1024, made for this test.
        let weak = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDmqL7hFGz7Hm74tB9uGKMQwxIP
BJTSooSmTFJ4R7f42Bc3+gtUbrfz/IXWYGOhXk11PeO0WbzborIebJn5J2LEKU+S
f6RFWuW+Ni8c+6mbcm9zEVz9LmixwrZJBZXDGzkiQ0V8GE94lE5CmlHvZopyQG34
w4oj0K9g8z66cj550wIDAQAB
-----END PUBLIC KEY-----";
        assert_eq!(public_key(weak), Err(KeyError::NotAPublicKey));
    }

    #[test]
    fn the_sign_byte_of_der_is_no_part_of_a_serial() {
        let next = include_str!("../vectors/keys/platform-next-certificate.pem");
        let read = certificate(next).expect("a certificate");
        assert_eq!(read.serial_no, "E3A1F09EFDC096DE15EBE81A47057A72A4D0E1");
        assert_eq!(serial_as_hex(&[0]), "00");
    }
}
