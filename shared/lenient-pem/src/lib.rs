//! Reads a key or certificate from a PEM text (RFC 7468) in the forms that common tools produce,
//! and names anything else.
//!
//! A file of WeChat Pay's or of OpenSSL's goes through editors, chat programs, password managers
//! and environment variables before it is read. On its way it gets a byte order mark, the line ends
//! of Windows, blanks behind its lines, one line for all of them, or the two characters `\n` in the
//! place of each line end. None of that changes the key, so all of it is read.
//!
//! ```
//! let text = "\u{feff}-----BEGIN PUBLIC KEY-----\\nAQID\\n-----END PUBLIC KEY-----";
//! assert_eq!(*lenient_pem::one(text, lenient_pem::PUBLIC_KEY).unwrap(), [1, 2, 3]);
//! let wrong = lenient_pem::one(text, lenient_pem::PRIVATE_KEY).unwrap_err();
//! assert!(wrong.to_string().starts_with("this is a public key, not a private key"));
//! ```

#![warn(missing_docs)] // it is usable alone, so its reader may have its documentation only

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// The label of an unencrypted PKCS#8 private key, as `apiclient_key.pem` has it.
pub const PRIVATE_KEY: &str = "PRIVATE KEY";
/// The label of a private key in PKCS#1, which older versions of OpenSSL write.
pub const RSA_PRIVATE_KEY: &str = "RSA PRIVATE KEY";
/// The label of a public key (SPKI), as `pub_key.pem` has it.
pub const PUBLIC_KEY: &str = "PUBLIC KEY";
/// The label of an X.509 certificate.
pub const CERTIFICATE: &str = "CERTIFICATE";

/// Why a text is not the PEM that was asked for, and what to do. Holds none of the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotPem {
    /// There is nothing.
    #[error("the file is empty")]
    Empty,
    /// There is no block at all.
    #[error(
        "this is no PEM text: give the whole file, from the line -----BEGIN {wanted}----- to the line -----END {wanted}-----"
    )]
    NoBlock {
        /// The label that was asked for.
        wanted: &'static str,
    },
    /// A block begins and does not end, or ends as another.
    #[error("the text is cut: its line -----END {wanted}----- is missing")]
    Cut {
        /// The label that was asked for.
        wanted: &'static str,
    },
    /// There are several blocks.
    #[error("the text holds more than one key or certificate: give the one that is meant")]
    Several,
    /// The text between the lines is not Base64.
    #[error("the text between its BEGIN and END lines is damaged: copy the whole file again")]
    Damaged,
    /// A block of another kind.
    #[error("this is {found}, not {}{}", name(.wanted), .found.advice())]
    Other {
        /// What it is.
        found: Kind,
        /// The label that was asked for.
        wanted: &'static str,
    },
}

/// What a PEM block holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `PRIVATE KEY`
    PrivateKey,
    /// `ENCRYPTED PRIVATE KEY`, or an older form with `Proc-Type: 4,ENCRYPTED`.
    EncryptedKey,
    /// `RSA PRIVATE KEY`
    RsaPrivateKey,
    /// `EC PRIVATE KEY`
    EcPrivateKey,
    /// `OPENSSH PRIVATE KEY`
    OpensshKey,
    /// `PUBLIC KEY`
    PublicKey,
    /// `RSA PUBLIC KEY`
    RsaPublicKey,
    /// `CERTIFICATE`, in any of its names
    Certificate,
    /// `CERTIFICATE REQUEST`
    CertificateRequest,
    /// Anything else.
    Unknown,
}

impl Kind {
    fn of(label: &str) -> Self {
        match label {
            PRIVATE_KEY => Self::PrivateKey,
            "ENCRYPTED PRIVATE KEY" => Self::EncryptedKey,
            RSA_PRIVATE_KEY => Self::RsaPrivateKey,
            "EC PRIVATE KEY" => Self::EcPrivateKey,
            "OPENSSH PRIVATE KEY" => Self::OpensshKey,
            PUBLIC_KEY => Self::PublicKey,
            "RSA PUBLIC KEY" => Self::RsaPublicKey,
            CERTIFICATE | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => Self::Certificate,
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Self::CertificateRequest,
            _ => Self::Unknown,
        }
    }

    /// What to do with it, where a tool makes the right thing of it.
    const fn advice(self) -> &'static str {
        match self {
            Self::EncryptedKey => {
                ": take its password off with `openssl pkcs8 -in FILE -out NEW_FILE`"
            }
            Self::RsaPrivateKey | Self::EcPrivateKey => {
                ": `openssl pkcs8 -topk8 -nocrypt -in FILE -out NEW_FILE` converts it"
            }
            Self::OpensshKey => ": make a key with `openssl genpkey`",
            Self::RsaPublicKey => {
                ": `openssl rsa -RSAPublicKey_in -in FILE -pubout -out NEW_FILE` converts it"
            }
            Self::Certificate => {
                "; `openssl x509 -in FILE -noout -pubkey` prints the public key in a certificate"
            }
            Self::PrivateKey => "; keep it secret",
            Self::PublicKey | Self::CertificateRequest | Self::Unknown => "",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::PrivateKey => "a private key",
            Self::EncryptedKey => "an encrypted private key",
            Self::RsaPrivateKey => "a private key in the old form PKCS#1",
            Self::EcPrivateKey => "an elliptic-curve key in the old form SEC1",
            Self::OpensshKey => "a key of OpenSSH's",
            Self::PublicKey => "a public key",
            Self::RsaPublicKey => "a public key in the old form PKCS#1",
            Self::Certificate => "a certificate",
            Self::CertificateRequest => "a request for a certificate",
            Self::Unknown => "a PEM text of another kind",
        })
    }
}

/// The meaning of a label, in words.
fn name(wanted: &str) -> &'static str {
    match Kind::of(wanted) {
        Kind::PrivateKey => "a private key (PKCS#8)",
        Kind::RsaPrivateKey => "a private key in the old form PKCS#1",
        Kind::PublicKey => "a public key",
        Kind::Certificate => "a certificate",
        Kind::EncryptedKey
        | Kind::EcPrivateKey
        | Kind::OpensshKey
        | Kind::RsaPublicKey
        | Kind::CertificateRequest
        | Kind::Unknown => "what is needed here",
    }
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Some tools leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of the one block in a text, which has to have this label.
///
/// # Errors
/// [`NotPem`] names what the text is instead.
pub fn one(text: &str, wanted: &'static str) -> Result<Zeroizing<Vec<u8>>, NotPem> {
    let plain = plain(text);
    if plain.trim().is_empty() {
        return Err(NotPem::Empty);
    }
    let (_, rest) = plain.split_once(BEGIN).ok_or(NotPem::NoBlock { wanted })?;
    let (label, rest) = rest.split_once(DASHES).ok_or(NotPem::Cut { wanted })?;
    let found = Kind::of(label.trim());
    let (body, rest) = rest.split_once(END).ok_or(NotPem::Cut { wanted })?;
    let (end, rest) = rest.split_once(DASHES).ok_or(NotPem::Cut { wanted })?;
    if rest.contains(BEGIN) {
        return Err(NotPem::Several);
    }
    // Headers before the Base64 mark the old form of an encrypted key.
    if body.contains("ENCRYPTED") && body.contains("Proc-Type") {
        let found = Kind::EncryptedKey;
        return Err(NotPem::Other { found, wanted });
    }
    if found != Kind::of(wanted) || found == Kind::Unknown {
        return Err(NotPem::Other { found, wanted });
    }
    if end.trim() != label.trim() {
        return Err(NotPem::Cut { wanted });
    }
    let packed: Zeroizing<Vec<u8>> = Zeroizing::new(
        body.bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect(),
    );
    match BASE64.decode(&*packed) {
        Ok(bytes) if !bytes.is_empty() => Ok(Zeroizing::new(bytes)),
        Ok(_) | Err(_) => Err(NotPem::Damaged),
    }
}

/// The same block as everybody reads it: lines of 64 characters between BEGIN and END. For what is
/// kept.
///
/// # Errors
/// [`NotPem`] names what the text is instead.
pub fn canonical(text: &str, wanted: &'static str) -> Result<Zeroizing<String>, NotPem> {
    let packed = Zeroizing::new(BASE64.encode(&*one(text, wanted)?));
    let mut whole = Zeroizing::new(format!("{BEGIN}{wanted}{DASHES}\n"));
    for (position, character) in packed.chars().enumerate() {
        if position > 0 && position % LINE == 0 {
            whole.push('\n');
        }
        whole.push(character);
    }
    whole.push_str(&format!("\n{END}{wanted}{DASHES}\n"));
    Ok(whole)
}

/// The characters of a line (RFC 7468, section 2).
const LINE: usize = 64;

/// The text without what its way has added to it.
fn plain(text: &str) -> Zeroizing<String> {
    // `\r` and `\n` as two characters each: neither is in Base64, nor in a label.
    let lines = Zeroizing::new(text.replace("\\r", "\r").replace("\\n", "\n"));
    let kept = lines
        .chars()
        .filter(|c| !matches!(c, '\u{feff}' | '\u{200b}'))
        .map(|c| if c == '\u{a0}' { ' ' } else { c });
    Zeroizing::new(kept.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "-----BEGIN PUBLIC KEY-----\nAQID\nBAUG\n-----END PUBLIC KEY-----\n";
    const BYTES: [u8; 6] = [1, 2, 3, 4, 5, 6];

    #[test]
    fn a_text_is_read_in_every_shape_that_tools_leave_it_in() {
        for text in [
            TEXT.to_owned(),
            TEXT.trim_end().to_owned(),
            format!("\u{feff}{TEXT}"),
            format!("\r\n \t{TEXT}\r\n\r\n"),
            TEXT.replace('\n', "\r\n"),
            TEXT.replace('\n', "\r"),
            TEXT.replace('\n', "  \n"),
            TEXT.replace('\n', "\u{a0}\n"),
            TEXT.replace('\n', " "),
            TEXT.replace('\n', ""),
            TEXT.replace('\n', "\\n"),
            TEXT.replace('\n', "\\r\\n"),
            format!("\"{}\"", TEXT.replace('\n', "\\n")),
            TEXT.replace("AQID", "A\nQI D"),
            format!("subject=CN = shop\nissuer=CN = ca\n{TEXT}"),
        ] {
            let read = one(&text, PUBLIC_KEY);
            assert_eq!(read.as_deref(), Ok(&BYTES.to_vec()), "{text:?}");
        }
        let unpadded = TEXT.replace("BAUG", "BA");
        assert_eq!(*one(&unpadded, PUBLIC_KEY).unwrap(), [1, 2, 3, 4]);
    }

    #[test]
    fn another_kind_of_file_is_named_with_what_to_do() {
        let labelled = |label: &str| TEXT.replace("PUBLIC KEY", label);
        for (text, wanted, says) in [
            (
                labelled("CERTIFICATE"),
                PUBLIC_KEY,
                "this is a certificate, not a public key",
            ),
            (
                labelled("PRIVATE KEY"),
                PUBLIC_KEY,
                "this is a private key, not a public key",
            ),
            (
                labelled("PUBLIC KEY"),
                CERTIFICATE,
                "this is a public key, not a certificate",
            ),
            (
                labelled("ENCRYPTED PRIVATE KEY"),
                PRIVATE_KEY,
                "this is an encrypted private key, not a private key (PKCS#8): take its password off",
            ),
            (
                TEXT.replace("PUBLIC KEY", "RSA PRIVATE KEY").replace(
                    "AQID",
                    "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAQID",
                ),
                PRIVATE_KEY,
                "this is an encrypted private key",
            ),
            (
                labelled("RSA PRIVATE KEY"),
                PRIVATE_KEY,
                "this is a private key in the old form PKCS#1, not a private key (PKCS#8): `openssl pkcs8",
            ),
            (
                labelled("EC PRIVATE KEY"),
                PRIVATE_KEY,
                "this is an elliptic-curve key",
            ),
            (
                labelled("OPENSSH PRIVATE KEY"),
                PRIVATE_KEY,
                "this is a key of OpenSSH's",
            ),
            (
                labelled("RSA PUBLIC KEY"),
                PUBLIC_KEY,
                "this is a public key in the old form",
            ),
            (
                labelled("CERTIFICATE REQUEST"),
                CERTIFICATE,
                "this is a request for a certificate",
            ),
            (
                labelled("DH PARAMETERS"),
                PUBLIC_KEY,
                "this is a PEM text of another kind",
            ),
            (String::new(), PUBLIC_KEY, "the file is empty"),
            ("\u{feff}\r\n".to_owned(), PUBLIC_KEY, "the file is empty"),
            (
                "AQIDBAUG".to_owned(),
                PUBLIC_KEY,
                "this is no PEM text: give the whole file",
            ),
            (
                TEXT.replace("-----END PUBLIC KEY-----", ""),
                PUBLIC_KEY,
                "the text is cut",
            ),
            (
                TEXT.replace("END PUBLIC", "END PRIVATE"),
                PUBLIC_KEY,
                "the text is cut",
            ),
            (
                "-----BEGIN PUBLIC KEY".to_owned(),
                PUBLIC_KEY,
                "the text is cut",
            ),
            (
                format!("{TEXT}{TEXT}"),
                PUBLIC_KEY,
                "the text holds more than one",
            ),
            (
                TEXT.replace("AQID", "A!ID"),
                PUBLIC_KEY,
                "the text between its BEGIN and END lines",
            ),
            (
                TEXT.replace("AQID\nBAUG", ""),
                PUBLIC_KEY,
                "the text between its BEGIN and END lines",
            ),
        ] {
            let message = one(&text, wanted).unwrap_err().to_string();
            assert!(message.starts_with(says), "{text:?}: {message}");
            assert!(!message.contains("AQID"), "{message}");
        }
    }

    #[test]
    fn what_is_kept_is_the_same_whatever_shape_it_came_in() {
        let long = [7_u8; 100];
        let body = BASE64.encode(long);
        let text = format!("-----BEGIN CERTIFICATE-----\\n{body}\\n-----END CERTIFICATE-----");
        let kept = canonical(&text, CERTIFICATE).unwrap();
        assert_eq!(*one(&kept, CERTIFICATE).unwrap(), long);
        assert_eq!(kept, canonical(&kept, CERTIFICATE).unwrap());
        assert!(
            kept.lines().all(|line| line.len() <= 64) && kept.ends_with("-----\n"),
            "{:?}",
            *kept
        );
        assert!(canonical(TEXT, CERTIFICATE).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*", before in "[A-Z -]{0,20}", body in "[A-Za-z0-9+/=\\\\nr \r\n]{0,40}") {
            for text in [text, format!("-----BEGIN {before}-----{body}-----END {before}-----")] {
                for wanted in [PUBLIC_KEY, PRIVATE_KEY, CERTIFICATE] {
                    drop(one(&text, wanted));
                }
            }
        }
    }
}
