//! Opening callbacks (回调, notifications): verify, read the envelope, decrypt, parse, in that
//! order.
//!
//! The envelope is described on manual page 4012075420. `event_type` alone does not say what the
//! plaintext is: a combined payment and a profit sharing come as `TRANSACTION.SUCCESS` too.
//! `original_type` decides, then the fields that are found. Only the envelope's members that are
//! needed to decrypt the resource must have the documented form: the rest decides nothing, and if
//! `original_type` is absent or not a text the fields decide alone.
//!
//! Answer WeChat with 200 or 204 once the message is stored, and with 4xx or 5xx when [`open`]
//! fails or it could not be stored; then it comes again, with a fresh timestamp and signature. An
//! authentic callback that no repeat can make readable ([`CallbackError::is_unreadable`]) is stored
//! for an operator and acknowledged like any other.

use std::borrow::Cow;
use std::fmt::Write;

use aws_lc_rs::digest;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::loose;
use crate::names::names;
use crate::resource::{self, ApiV3Key, OpenError};
use crate::time::UnixSeconds;
use crate::verify::{SignedHeaders, VerificationKeys, VerifyError, verify};
use crate::wire;

/// A callback that WeChat Pay signed, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// The notification's id. Whether it stays the same over repeats is not promised: deduplicate
    /// by business number. One that came without a usable id has one of ours, `unnamed-` and a hash
    /// of the body.
    pub id: String,
    /// When the event happened, RFC 3339; empty when it does not say.
    pub create_time: String,
    /// Such as `TRANSACTION.SUCCESS`; empty when it does not say. Not enough to know the plaintext
    /// by.
    pub event_type: String,
    /// A few words for people; empty when there are none.
    pub summary: String,
    /// What kind of plaintext WeChat says it is; where it does not say, what it was taken for, if
    /// anything.
    pub original_type: String,
    /// What was in it.
    pub plaintext: Plaintext,
}

/// The content of a callback, by `original_type` and fields.
#[derive(Clone, PartialEq, Eq)]
pub enum Plaintext {
    /// `transaction`: an order was paid. Check `trade_state` all the same.
    Transaction(wire::Transaction),
    /// `transaction` with `combine_mchid`: the orders of a combined payment.
    CombinedTransaction(wire::CombinedTransaction),
    /// `profitsharing`: a share of a payment was received or returned.
    ProfitSharing(wire::ProfitSharing),
    /// `refund`: a refund came to an end.
    Refund(wire::RefundNotice),
    /// `security`: the echo of the self-test.
    SecurityEcho(wire::SecurityEchoNotice),
    /// Any other `original_type`, and the notices to service providers (`sp_mchid`): the decrypted
    /// bytes.
    Unknown(Vec<u8>),
}

/// Shows which kind it is and the numbers to find it by; an unknown plaintext may hold anything, so
/// only its length.
impl std::fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Transaction(it) => f.debug_tuple("Transaction").field(it).finish(),
            Self::CombinedTransaction(it) => {
                f.debug_tuple("CombinedTransaction").field(it).finish()
            }
            Self::ProfitSharing(it) => f.debug_tuple("ProfitSharing").field(&it.order_id).finish(),
            Self::Refund(it) => f.debug_tuple("Refund").field(&it.out_refund_no).finish(),
            Self::SecurityEcho(_) => f.write_str("SecurityEcho(..)"),
            Self::Unknown(bytes) => write!(f, "Unknown({} bytes)", bytes.len()),
        }
    }
}

/// Why a callback is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// It is not proved to come from WeChat Pay.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// WeChat Pay signed it, but it is not the JSON of a callback.
    #[error("the callback's envelope is not as documented (line {line}, column {column})")]
    Envelope {
        /// Line of the body, from 1; 0 when a required key is absent.
        line: usize,
        /// Column of the line.
        column: usize,
    },
    /// Its resource does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its resource opened to something that does not fit its `original_type`.
    #[error(
        "the callback's plaintext is not as documented for its original_type (line {line}, column {column})"
    )]
    Plaintext {
        /// Line of the plaintext, from 1; 0 when a required key is absent.
        line: usize,
        /// Column of the line.
        column: usize,
    },
}

names!(CallbackError {
    Envelope = "envelope",
    Plaintext = "plaintext",
} of Verify | Open);

impl CallbackError {
    /// Whether WeChat Pay signed it, and neither a repeat nor another APIv3 key would make it
    /// readable: then only an operator can find out its content.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        match self {
            Self::Verify(_)
            | Self::Open(OpenError::NoKey | OpenError::WrongKeyOrChanged { .. }) => false,
            Self::Envelope { .. }
            | Self::Plaintext { .. }
            | Self::Open(
                OpenError::UnsupportedAlgorithm
                | OpenError::NotBase64
                | OpenError::NonceLength { .. },
            ) => true,
        }
    }
}

/// Opens a callback: `body` is the raw bytes as received, `apiv3_keys` are tried in order.
///
/// # Errors
/// [`CallbackError`] says which step failed.
pub fn open(
    headers: &SignedHeaders,
    body: &[u8],
    keys: &VerificationKeys,
    apiv3_keys: &[ApiV3Key],
    now: UnixSeconds,
) -> Result<Callback, CallbackError> {
    verify(headers, body, keys, now)?;
    let envelope = envelope(body)?;
    let bytes = unseal(&envelope.resource, apiv3_keys)?;
    let sealed = envelope.resource;
    let original_type = match sealed.original_type.filter(|kind| !kind.is_empty()) {
        Some(kind) => kind,
        None => kind_by_fields(&bytes)?.to_owned(),
    };
    let plaintext = plaintext(&original_type, bytes)?;
    Ok(Callback {
        id: envelope
            .id
            .filter(|id| is_usable(id))
            .unwrap_or_else(|| id_of_ours(body)),
        create_time: envelope.create_time.unwrap_or_default(),
        event_type: envelope.event_type.unwrap_or_default(),
        summary: envelope.summary.unwrap_or_default(),
        original_type,
        plaintext,
    })
}

/// Whether one of `apiv3_keys` opens the resource of a callback whose signature did not verify.
/// Then its sender has that key: normally WeChat Pay, and our keys for its signatures are wrong. An
/// attacker who only has the callback URL, or another merchant that directs its callbacks here,
/// cannot create one.
///
/// It only decides who is alerted: the callback's content is not used, and the callback is refused.
/// A replay of an intercepted callback decrypts too.
#[must_use]
pub fn is_sealed_by(apiv3_keys: &[ApiV3Key], body: &[u8]) -> bool {
    envelope(body).is_ok_and(|envelope| unseal(&envelope.resource, apiv3_keys).is_ok())
}

fn envelope(body: &[u8]) -> Result<Envelope<'_>, CallbackError> {
    loose::read_borrowed(body).map_err(|error| CallbackError::Envelope {
        line: error.line(),
        column: error.column(),
    })
}

fn unseal(sealed: &SealedResource<'_>, apiv3_keys: &[ApiV3Key]) -> Result<Vec<u8>, OpenError> {
    resource::open_parts(
        &resource::SealedRef {
            // If it is not given, only one is possible: the tag shows whether it was that.
            algorithm: sealed.algorithm.as_deref().unwrap_or(resource::ALGORITHM),
            ciphertext: &sealed.ciphertext,
            associated_data: sealed.associated_data.as_deref(),
            nonce: &sealed.nonce,
        },
        apiv3_keys,
    )
}

/// The longest id that is used as it came, in bytes. Documented are 36 characters; tables have
/// limits on keys.
const ID_MAX: usize = 128;

fn is_usable(id: &str) -> bool {
    !id.is_empty() && id.len() <= ID_MAX && !id.chars().any(char::is_control)
}

/// The same callback has the same one, also when it is read again out of a queue.
fn id_of_ours(body: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, body);
    let mut id = "unnamed-".to_owned();
    for byte in hash.as_ref().iter().take(16) {
        // Writing to a String does not fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// The body of a callback; what opens the resource is borrowed from it, since the ciphertext may be
/// a megabyte.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default, deserialize_with = "loose::text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "loose::text")]
    create_time: Option<String>,
    #[serde(default, deserialize_with = "loose::text")]
    event_type: Option<String>,
    #[serde(default, deserialize_with = "loose::text")]
    summary: Option<String>,
    #[serde(borrow, deserialize_with = "loose::object")]
    resource: SealedResource<'a>,
}

#[derive(Deserialize)]
struct SealedResource<'a> {
    #[serde(default, deserialize_with = "loose::text")]
    original_type: Option<String>,
    #[serde(default, deserialize_with = "loose::text")]
    algorithm: Option<String>,
    #[serde(borrow)]
    ciphertext: Cow<'a, str>,
    #[serde(borrow, default)]
    associated_data: Option<Cow<'a, str>>,
    #[serde(borrow)]
    nonce: Cow<'a, str>,
}

fn plaintext(original_type: &str, bytes: Vec<u8>) -> Result<Plaintext, CallbackError> {
    match original_type {
        TRANSACTION => transaction(bytes),
        REFUND => refund(bytes),
        PROFIT_SHARING => parse(&bytes).map(Plaintext::ProfitSharing),
        SECURITY => parse(&bytes).map(Plaintext::SecurityEcho),
        _ => Ok(Plaintext::Unknown(bytes)),
    }
}

const TRANSACTION: &str = "transaction";
const REFUND: &str = "refund";
const PROFIT_SHARING: &str = "profitsharing";
const SECURITY: &str = "security";

/// What kind of plaintext it is by its fields alone; empty for one that is of no known kind. WeChat
/// Pay sealed it, so they are as good as the envelope's word.
fn kind_by_fields(bytes: &[u8]) -> Result<&'static str, CallbackError> {
    let marks: OtherNoticeKeys = parse(bytes)?;
    Ok(if marks.receiver.is_some() && marks.order_id.is_some() {
        PROFIT_SHARING
    } else if marks.out_refund_no.is_some() && marks.refund_id.is_some() {
        REFUND
    } else if marks.trade_state.is_some() || marks.combine_mchid.is_some() {
        TRANSACTION
    } else if marks.echo_message.is_some() {
        SECURITY
    } else {
        ""
    })
}

/// A single payment is the usual case and is parsed once. It needs keys that a combined payment, a
/// profit sharing and a service provider's notice do not have, so none of them can pass for it.
fn transaction(bytes: Vec<u8>) -> Result<Plaintext, CallbackError> {
    let not_single = match parse(&bytes) {
        Ok(transaction) => return Ok(Plaintext::Transaction(transaction)),
        Err(error) => error,
    };
    let marks: OtherNoticeKeys = parse(&bytes)?;
    if marks.combine_mchid.is_some() {
        parse(&bytes).map(Plaintext::CombinedTransaction)
    } else if marks.receiver.is_some() && marks.order_id.is_some() {
        parse(&bytes).map(Plaintext::ProfitSharing)
    } else if marks.sp_mchid.is_some() {
        Ok(Plaintext::Unknown(bytes))
    } else {
        Err(not_single)
    }
}

fn refund(bytes: Vec<u8>) -> Result<Plaintext, CallbackError> {
    let not_direct = match parse(&bytes) {
        Ok(notice) => return Ok(Plaintext::Refund(notice)),
        Err(error) => error,
    };
    let marks: OtherNoticeKeys = parse(&bytes)?;
    if marks.sp_mchid.is_some() {
        Ok(Plaintext::Unknown(bytes))
    } else {
        Err(not_direct)
    }
}

/// The keys that distinguish the other kinds of notices.
#[derive(Deserialize)]
struct OtherNoticeKeys {
    combine_mchid: Option<IgnoredAny>,
    sp_mchid: Option<IgnoredAny>,
    receiver: Option<IgnoredAny>,
    order_id: Option<IgnoredAny>,
    out_refund_no: Option<IgnoredAny>,
    refund_id: Option<IgnoredAny>,
    trade_state: Option<IgnoredAny>,
    echo_message: Option<IgnoredAny>,
}

/// serde's own message may quote the text, which must not reach a log: only the place is kept.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CallbackError> {
    loose::read(bytes).map_err(|error| CallbackError::Plaintext {
        line: error.line(),
        column: error.column(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plaintext_of_unknown_kind_is_not_shown() {
        let shown = format!("{:?}", Plaintext::Unknown(b"phone 13800000000".to_vec()));
        assert_eq!(shown, "Unknown(17 bytes)");
    }

    #[test]
    fn the_sealer_of_a_callback_is_known_by_the_key_that_opens_it_and_by_nothing_else() {
        let key = |text: &[u8; 32]| ApiV3Key::new(text).expect("a key");
        let new = key(b"vutsrqponmlkjihgfedcba9876543210");
        let both = [new.clone(), key(b"0123456789abcdefghijklmnopqrstuv")];
        let payment = include_bytes!("../vectors/callback-payment/body").as_slice();
        assert!(is_sealed_by(&both, payment), "whatever its signature is");
        for body in [&payment[1..], b"{}", b""] {
            assert!(!is_sealed_by(&both, body));
        }
        assert!(!is_sealed_by(&[new], payment));
        assert!(!is_sealed_by(&[], payment));
    }

    #[test]
    fn a_combined_payment_is_never_taken_for_a_single_one() {
        let combined = include_bytes!("../vectors/callback-combined/plaintext").to_vec();
        let Ok(Plaintext::CombinedTransaction(combined)) = plaintext("transaction", combined)
        else {
            panic!("not a combined payment");
        };
        let totals: Vec<i64> = combined
            .sub_orders
            .iter()
            .map(|order| order.amount.total_amount)
            .collect();
        assert_eq!(totals, [10, 20]);
    }
}
