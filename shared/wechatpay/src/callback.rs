//! Opening callbacks (回调, notifications): verify, read the envelope, decrypt, parse, in that order.
//!
//! The envelope is described on manual page 4012075420. `event_type` alone does not say what the plaintext is:
//! a combined payment and a profit sharing come as `TRANSACTION.SUCCESS` too. `original_type` decides, then the
//! fields that are found.
//!
//! Answer WeChat with 200 or 204 once the message is stored, and with 4xx or 5xx when [`open`] fails or it could not
//! be stored; then it comes again, with a fresh timestamp and signature.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::names::names;
use crate::resource::{self, ApiV3Key, OpenError};
use crate::verify::{SignedHeaders, VerificationKeys, VerifyError, verify};
use crate::{UnixSeconds, wire};

/// A callback that WeChat Pay signed, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// The notification's id. Whether it stays the same over repeats is not promised: deduplicate by business number.
    pub id: String,
    /// When the event happened, RFC 3339.
    pub create_time: String,
    /// Such as `TRANSACTION.SUCCESS`. Not enough to know the plaintext by.
    pub event_type: String,
    /// A few words for people.
    pub summary: String,
    /// What kind of plaintext WeChat says it is.
    pub original_type: String,
    /// What was in it.
    pub plaintext: Plaintext,
}

/// What a callback tells, by `original_type` and fields.
#[derive(Clone, PartialEq, Eq)]
pub enum Plaintext {
    /// `transaction`: an order was paid. Check `trade_state` all the same.
    Transaction(wire::Transaction),
    /// `transaction` with `combine_mchid`: the orders of a combined payment.
    CombinedTransaction(wire::CombinedTransaction),
    /// `profitsharing`: a share in somebody's payment was received or returned.
    ProfitSharing(wire::ProfitSharing),
    /// `refund`: a refund came to an end.
    Refund(wire::RefundNotice),
    /// `security`: the echo of the self-test.
    SecurityEcho(wire::SecurityEchoNotice),
    /// Any other `original_type`, and the notices to service providers (`sp_mchid`): the decrypted bytes.
    Unknown(Vec<u8>),
}

/// Shows which kind it is and the numbers to find it by; an unknown plaintext may hold anything, so only its length.
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
    let envelope: Envelope<'_> =
        serde_json::from_slice(body).map_err(|error| CallbackError::Envelope {
            line: error.line(),
            column: error.column(),
        })?;
    let sealed = &envelope.resource;
    let bytes = resource::open_parts(
        &resource::Parts {
            algorithm: &sealed.algorithm,
            ciphertext: &sealed.ciphertext,
            associated_data: sealed.associated_data.as_deref(),
            nonce: &sealed.nonce,
        },
        apiv3_keys,
    )?;
    let plaintext = plaintext(&sealed.original_type, bytes)?;
    Ok(Callback {
        id: envelope.id.into_owned(),
        create_time: envelope.create_time.into_owned(),
        event_type: envelope.event_type.into_owned(),
        summary: envelope.summary.into_owned(),
        original_type: envelope.resource.original_type.into_owned(),
        plaintext,
    })
}

/// The body of a callback, borrowed from it: the ciphertext alone may be a megabyte.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    create_time: Cow<'a, str>,
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow, default)]
    summary: Cow<'a, str>,
    #[serde(borrow)]
    resource: Resource<'a>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow)]
    original_type: Cow<'a, str>,
    #[serde(borrow)]
    algorithm: Cow<'a, str>,
    #[serde(borrow)]
    ciphertext: Cow<'a, str>,
    #[serde(borrow, default)]
    associated_data: Option<Cow<'a, str>>,
    #[serde(borrow)]
    nonce: Cow<'a, str>,
}

fn plaintext(original_type: &str, bytes: Vec<u8>) -> Result<Plaintext, CallbackError> {
    match original_type {
        "transaction" => transaction(bytes),
        "refund" => refund(bytes),
        "profitsharing" => parse(&bytes).map(Plaintext::ProfitSharing),
        "security" => parse(&bytes).map(Plaintext::SecurityEcho),
        _ => Ok(Plaintext::Unknown(bytes)),
    }
}

/// A single payment is the usual case and is parsed once. It needs keys that a combined payment, a profit sharing and
/// a service provider's notice do not have, so none of them can pass for it.
fn transaction(bytes: Vec<u8>) -> Result<Plaintext, CallbackError> {
    let not_single = match parse(&bytes) {
        Ok(transaction) => return Ok(Plaintext::Transaction(transaction)),
        Err(error) => error,
    };
    let marks: Marks = parse(&bytes)?;
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
    let marks: Marks = parse(&bytes)?;
    if marks.sp_mchid.is_some() {
        Ok(Plaintext::Unknown(bytes))
    } else {
        Err(not_direct)
    }
}

/// The keys by which the other kinds of notices are told apart.
#[derive(Deserialize)]
struct Marks {
    combine_mchid: Option<IgnoredAny>,
    sp_mchid: Option<IgnoredAny>,
    receiver: Option<IgnoredAny>,
    order_id: Option<IgnoredAny>,
}

/// serde's own message may quote the text, which must not reach a log: only the place is kept.
fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CallbackError> {
    serde_json::from_slice(bytes).map_err(|error| CallbackError::Plaintext {
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
