//! A callback ready to be posted, and the ways in which it can be wrong.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A callback ready to be posted: give it to a handler, or post it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SignedCallback {
    /// Where it would be posted.
    pub url: String,
    pub headers: Vec<(String, String)>,
    /// The exact bytes that were signed; always UTF-8.
    pub body: String,
}

/// Ways in which a callback can be wrong, for
/// [`Admin::signed_callback`](crate::Admin::signed_callback).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// Nothing is wrong.
    #[default]
    None,
    /// The signature is one over another body.
    WrongSignature,
    /// `Wechatpay-Timestamp` is so many seconds old (below 0: in the future); the signature covers
    /// it.
    Stale(i64),
    /// `Wechatpay-Serial` names an unknown key.
    UnknownSerial,
    /// The signature is a probe (`WECHATPAY/SIGNTEST/...`, not Base64).
    Probe,
    /// The ciphertext lacks its last bytes; rightly signed.
    CutCiphertext,
    /// Sealed under another APIv3 key; rightly signed.
    ForeignApiv3Key,
    /// The plaintext is changed by this JSON merge patch (RFC 7396), then rightly sealed and
    /// signed: news that does not fit its order.
    Altered(Value),
    /// The envelope is changed by this JSON merge patch, then rightly signed.
    AlteredEnvelope(Value),
    /// Sealed under a nonce of 16 bytes, as the manual allows.
    LongNonce,
    /// The ciphertext is one of the plaintext changed by this JSON merge patch, but the tag is
    /// still that of the true one; rightly signed. A party that has the plaintext can do so without
    /// the key, and only a receiver that checks the tag notices.
    ForgedTag(Value),
}
