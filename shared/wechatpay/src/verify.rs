//! Verifying what claims to come from WeChat Pay: responses and callbacks alike.
//!
//! The order of the checks (manual pages 4013053249 and 4013053420): headers, kind of signature,
//! age, probe, serial, Base64, and only then RSA. Nothing of the body is parsed before all have
//! passed.
//!
//! The window is 300 seconds both ways: a message that is exactly 300 seconds old, or that much
//! ahead of our clock, still passes; 301 do not.

use std::fmt;

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64_simd::STANDARD as BASE64;
use rsa::PublicKey;
use rsa::pkcs8::EncodePublicKey;
use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::keys::{self, KeyError};
use crate::names::names;
use crate::shown::shown;
use crate::time::UnixSeconds;

/// How far a message's timestamp may be from now, in seconds, in both directions (page 4013053420).
pub const WINDOW_S: u64 = 300;

/// What the signature of a probe starts with (page 4013053249, section 5).
pub const PROBE_PREFIX: &str = "WECHATPAY/SIGNTEST/";

/// The kind of signature that is supported, and that is meant when the header is absent.
const RSA_TYPE: &str = "WECHATPAY2-SHA256-RSA2048";

/// Why a message is not taken for one of WeChat Pay's. Each says what to check next; none holds a
/// body or a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// One of the four signature headers is absent or empty.
    #[error(
        "header {name} is missing: not WeChat Pay's message, or a proxy in front strips Wechatpay-* headers"
    )]
    MissingHeader {
        /// The header's name as WeChat writes it.
        name: &'static str,
    },
    /// `Wechatpay-Timestamp` is no decimal number of seconds.
    #[error("Wechatpay-Timestamp is not a number of seconds: not WeChat Pay's message")]
    BadTimestamp,
    /// The message is older than the window: a replay, a delay on the way, or our clock runs ahead.
    #[error(
        "the message is {age_s} s old, the limit is {limit_s} s: a replay, a long delay, or this machine's clock is ahead"
    )]
    Stale {
        /// Seconds between the message's timestamp and now.
        age_s: u64,
        /// [`WINDOW_S`].
        limit_s: u64,
    },
    /// The message is from the future: our clock runs behind, or the message is forged.
    #[error(
        "the message is dated {ahead_s} s in the future, the limit is {limit_s} s: is this machine's clock behind?"
    )]
    FromTheFuture {
        /// Seconds between now and the message's timestamp.
        ahead_s: u64,
        /// [`WINDOW_S`].
        limit_s: u64,
    },
    /// `Wechatpay-Signature-Type` names a scheme other than RSA, such as SM2.
    #[error("Wechatpay-Signature-Type is \"{found}\", supported is WECHATPAY2-SHA256-RSA2048 only")]
    UnsupportedType {
        /// The header's value, cut to a sane length.
        found: String,
    },
    /// None of the loaded keys has this serial. In certificate mode: fetch `/v3/certificates` once
    /// and try again.
    #[error("no key is loaded for Wechatpay-Serial \"{serial}\" (loaded: {}): load the WeChat Pay public key of that id, or fetch /v3/certificates; the merchant certificate's serial does not belong here", list(.known))]
    UnknownSerial {
        /// The header's value, cut to a sane length.
        serial: String,
        /// The serials that are loaded.
        known: Vec<String>,
    },
    /// A deliberate wrong signature by which WeChat Pay tests its merchants. Refuse it like any
    /// other: a callback comes again with a right signature, a request may be repeated or queried
    /// (page 4013053249).
    #[error("a signature probe of WeChat Pay under serial \"{serial}\" ({}): nothing is wrong, refuse it with a 4xx or 5xx and the real message follows", if *.known { "a loaded key" } else { "no loaded key, which a real message would fail on" })]
    Probe {
        /// The header's value, cut to a sane length.
        serial: String,
        /// Whether a key of that serial is loaded. The probe is reported either way.
        known: bool,
    },
    /// The signature is not Base64.
    #[error("the signature under serial \"{serial}\" is not Base64: forged, or changed on the way")]
    NotBase64 {
        /// The serial whose key would have been used.
        serial: String,
    },
    /// The signature does not fit the body under this key.
    #[error(
        "the signature does not fit under serial \"{serial}\": the body was changed on the way (re-encoded, wrong charset, not the raw bytes), the loaded key is not the one of that serial, or it is forged"
    )]
    WrongSignature {
        /// The serial whose key was used.
        serial: String,
    },
}

names!(VerifyError {
    MissingHeader = "missing_header",
    BadTimestamp = "bad_timestamp",
    Stale = "stale",
    FromTheFuture = "from_the_future",
    UnsupportedType = "unsupported_signature_type",
    UnknownSerial = "unknown_serial",
    Probe = "probe",
    NotBase64 = "signature_not_base64",
    WrongSignature = "wrong_signature",
});

impl VerifyError {
    /// Whether it is about the keys that are loaded, if the message is WeChat Pay's: none of them
    /// has its serial, or its signature does not fit. Then WeChat Pay's next message fails on it
    /// too, until an operator has fixed it. Anyone can send such a message:
    /// [`crate::callback::is_sealed_by`] shows whether it is WeChat Pay's. A probe does not count.
    #[must_use]
    pub fn is_about_our_keys(&self) -> bool {
        match self {
            Self::UnknownSerial { .. } | Self::NotBase64 { .. } | Self::WrongSignature { .. } => {
                true
            }
            Self::MissingHeader { .. }
            | Self::BadTimestamp
            | Self::Stale { .. }
            | Self::FromTheFuture { .. }
            | Self::UnsupportedType { .. }
            | Self::Probe { .. } => false,
        }
    }
}

/// The signature headers of a response or a callback, as they came.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHeaders {
    /// `Wechatpay-Timestamp`: seconds since 1970, as text.
    pub timestamp: String,
    /// `Wechatpay-Nonce`: a random text; not the nonce of the body's encryption.
    pub nonce: String,
    /// `Wechatpay-Serial`: the id of the WeChat Pay public key, or the serial of a platform
    /// certificate.
    pub serial: String,
    /// `Wechatpay-Signature`: Base64, or a probe.
    pub signature: String,
    /// `Wechatpay-Signature-Type`; absent means RSA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_type: Option<String>,
}

impl SignedHeaders {
    /// Reads the headers through `lookup`, which is given each name in lower case.
    ///
    /// # Errors
    /// [`VerifyError::MissingHeader`] names the first one that is absent or empty.
    pub fn read<'a>(lookup: impl Fn(&str) -> Option<&'a str>) -> Result<Self, VerifyError> {
        let required = |lower: &str, name: &'static str| match lookup(lower) {
            Some(value) if !value.is_empty() => Ok(value.to_owned()),
            Some(_) | None => Err(VerifyError::MissingHeader { name }),
        };
        Ok(Self {
            timestamp: required("wechatpay-timestamp", "Wechatpay-Timestamp")?,
            nonce: required("wechatpay-nonce", "Wechatpay-Nonce")?,
            serial: required("wechatpay-serial", "Wechatpay-Serial")?,
            signature: required("wechatpay-signature", "Wechatpay-Signature")?,
            signature_type: lookup("wechatpay-signature-type").map(str::to_owned),
        })
    }
}

impl fmt::Debug for SignedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedHeaders")
            .field("timestamp", &self.timestamp)
            .field("serial", &self.serial)
            .field("signature_type", &self.signature_type)
            .finish_non_exhaustive()
    }
}

/// WeChat Pay's keys, by serial: its public keys and its platform certificates side by side, since
/// during the switch from one to the other messages of both kinds come (page 4012154180). Serials
/// are compared without case.
#[derive(Clone, Default)]
pub struct VerificationKeys {
    /// Two or three at most, so a search in line is the fastest map.
    keys: Vec<(String, ParsedPublicKey)>,
}

impl VerificationKeys {
    /// No keys yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads a WeChat Pay public key: its id (`PUB_KEY_ID_...`) and its `pub_key.pem`. A key of the
    /// same serial is replaced.
    ///
    /// # Errors
    /// [`KeyError`] when `pem` is no RSA public key.
    pub fn add_public_key(&mut self, id: &str, pem: &str) -> Result<(), KeyError> {
        self.add(id.to_owned(), &keys::public_key(pem)?)
    }

    /// Loads a platform certificate and returns its serial. A key of the same serial is replaced.
    ///
    /// # Errors
    /// [`KeyError`] when `pem` is no certificate with an RSA key.
    pub fn add_certificate(&mut self, pem: &str) -> Result<String, KeyError> {
        let read = keys::certificate(pem)?;
        self.add(read.serial_no.clone(), &read.key)?;
        Ok(read.serial_no)
    }

    /// The serials of all loaded keys, in the order of loading.
    pub fn serials(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(serial, _)| serial.as_str())
    }

    /// Whether no key is loaded at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn add(&mut self, serial: String, key: &PublicKey) -> Result<(), KeyError> {
        let der = key
            .to_public_key_der()
            .map_err(|_| KeyError::NotAPublicKey)?;
        let parsed = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_bytes())
            .map_err(|_| KeyError::NotAPublicKey)?;
        self.keys
            .retain(|(loaded, _)| !loaded.eq_ignore_ascii_case(&serial));
        self.keys.push((serial, parsed));
        Ok(())
    }

    fn find(&self, serial: &str) -> Option<&ParsedPublicKey> {
        self.keys
            .iter()
            .find(|(loaded, _)| loaded.eq_ignore_ascii_case(serial))
            .map(|(_, key)| key)
    }
}

impl fmt::Debug for VerificationKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.serials()).finish()
    }
}

/// Verifies that WeChat Pay signed `body`, not longer than [`WINDOW_S`] before or after `now`.
///
/// `body` is the raw bytes as received (for a 204: none).
///
/// # Errors
/// [`VerifyError`] names the first check that failed.
pub fn verify(
    headers: &SignedHeaders,
    body: &[u8],
    keys: &VerificationKeys,
    now: UnixSeconds,
) -> Result<(), VerifyError> {
    check_without_keys(headers, now)?;
    let key = keys.find(&headers.serial);
    check_probe(headers, key.is_some())?;
    let Some(key) = key else {
        return Err(VerifyError::UnknownSerial {
            serial: shown(&headers.serial),
            known: keys.serials().map(str::to_owned).collect(),
        });
    };
    let signature =
        BASE64
            .decode_to_vec(&headers.signature)
            .map_err(|_| VerifyError::NotBase64 {
                serial: shown(&headers.serial),
            })?;
    let text = canonical::answer(&headers.timestamp, &headers.nonce, body);
    key.verify_sig(&text, &signature)
        .map_err(|_| VerifyError::WrongSignature {
            serial: shown(&headers.serial),
        })
}

/// The part of [`verify`] that needs no keys: kind of signature and age. Call it first where
/// finding the keys costs something. It proves nothing: [`verify`] checks it again.
///
/// # Errors
/// [`VerifyError`] names the first check that failed.
pub fn check_without_keys(headers: &SignedHeaders, now: UnixSeconds) -> Result<(), VerifyError> {
    check_type(headers)?;
    check_age(headers, now)
}

fn check_type(headers: &SignedHeaders) -> Result<(), VerifyError> {
    match headers.signature_type.as_deref() {
        None | Some("" | RSA_TYPE) => Ok(()),
        Some(other) => Err(VerifyError::UnsupportedType {
            found: shown(other),
        }),
    }
}

fn check_age(headers: &SignedHeaders, now: UnixSeconds) -> Result<(), VerifyError> {
    if !headers.timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(VerifyError::BadTimestamp); // `parse` would also take a sign
    }
    let signed_at: i64 = headers
        .timestamp
        .parse()
        .map_err(|_| VerifyError::BadTimestamp)?;
    let distance = now.0.abs_diff(signed_at);
    if distance <= WINDOW_S {
        Ok(())
    } else if signed_at < now.0 {
        Err(VerifyError::Stale {
            age_s: distance,
            limit_s: WINDOW_S,
        })
    } else {
        Err(VerifyError::FromTheFuture {
            ahead_s: distance,
            limit_s: WINDOW_S,
        })
    }
}

fn check_probe(headers: &SignedHeaders, known: bool) -> Result<(), VerifyError> {
    if headers.signature.starts_with(PROBE_PREFIX) {
        Err(VerifyError::Probe {
            serial: shown(&headers.serial),
            known,
        })
    } else {
        Ok(())
    }
}

fn list(serials: &[String]) -> String {
    if serials.is_empty() {
        "none".to_owned()
    } else {
        serials.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_of_an_attacker_is_cut_and_escaped_before_it_is_shown() {
        let headers = SignedHeaders {
            timestamp: "0".to_owned(),
            nonce: "n".to_owned(),
            serial: format!("x\n\u{1b}[31m{}", "y".repeat(10_000)),
            signature: "AAAA".to_owned(),
            signature_type: None,
        };
        let error =
            verify(&headers, b"", &VerificationKeys::new(), UnixSeconds(0)).expect_err("no key");
        let says = error.to_string();
        assert!(
            says.len() < 500 && !says.contains(['\n', '\u{1b}']),
            "{says}"
        );
    }

    #[test]
    fn a_time_at_the_end_of_the_number_range_is_only_stale() {
        let headers = |timestamp: &str| SignedHeaders {
            timestamp: timestamp.to_owned(),
            nonce: "n".to_owned(),
            serial: "s".to_owned(),
            signature: "AAAA".to_owned(),
            signature_type: None,
        };
        let verdict = |timestamp: &str, now| {
            verify(
                &headers(timestamp),
                b"",
                &VerificationKeys::new(),
                UnixSeconds(now),
            )
            .expect_err("no key")
            .name()
        };
        assert_eq!(verdict("9223372036854775807", i64::MIN), "from_the_future");
        assert_eq!(verdict("0", i64::MAX), "stale");
    }

    #[test]
    fn an_unknown_serial_or_a_wrong_signature_is_about_our_keys_and_a_probe_is_not() {
        let of_serial = "5157F09EFDC096DE15EBE81A47057A72A4D0E1B2".to_owned();
        for (error, is_about_our_keys) in [
            (
                VerifyError::UnknownSerial {
                    serial: "a form of serials that is new".to_owned(),
                    known: vec![],
                },
                true,
            ),
            (
                VerifyError::WrongSignature {
                    serial: of_serial.clone(),
                },
                true,
            ),
            (
                VerifyError::NotBase64 {
                    serial: of_serial.clone(),
                },
                true,
            ),
            (
                VerifyError::Probe {
                    serial: of_serial,
                    known: false,
                },
                false,
            ),
            (VerifyError::BadTimestamp, false),
            (
                VerifyError::Stale {
                    age_s: 301,
                    limit_s: WINDOW_S,
                },
                false,
            ),
        ] {
            assert_eq!(error.is_about_our_keys(), is_about_our_keys, "{error}");
        }
    }

    #[test]
    fn signatures_are_not_shown() {
        let headers = SignedHeaders {
            timestamp: "0".to_owned(),
            nonce: "n".to_owned(),
            serial: "s".to_owned(),
            signature: "c2VjcmV0".to_owned(),
            signature_type: None,
        };
        assert!(!format!("{headers:?}").contains("c2VjcmV0"));
    }

    #[test]
    fn headers_survive_a_queue() {
        let headers = SignedHeaders {
            timestamp: "0".to_owned(),
            nonce: "n".to_owned(),
            serial: "s".to_owned(),
            signature: "AAAA".to_owned(),
            signature_type: None,
        };
        let text = serde_json::to_string(&headers).expect("JSON");
        assert_eq!(
            serde_json::from_str::<SignedHeaders>(&text).expect("JSON"),
            headers
        );
    }
}
