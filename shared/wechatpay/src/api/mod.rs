//! Requests to WeChat Pay and their answers, as values. Nothing is sent here.
//!
//! A [`Call`] says what to send ([`Outgoing`]) and how its answer reads. The caller sends it to
//! `https://api.mch.weixin.qq.com` (backup `https://api2.mch.weixin.qq.com`) with these headers
//! (manual pages 4012081709 and 4012154180):
//!
//! | Header | Value |
//! |---|---|
//! | `Authorization` | [`crate::sign::authorization`] |
//! | `Accept`, and `Content-Type` with a body | `application/json` |
//! | `User-Agent` | any; requests without it are refused as a rule |
//! | `Wechatpay-Serial` | the id of WeChat Pay's public key, or a platform certificate's serial: it chooses the key WeChat signs the answer with, and must name the key of encrypted fields |
//! | `Accept-Language` | optional: `en` for English error messages |
//!
//! What comes back goes through [`read_answer`], which lets nothing unsigned pass for an answer.

mod bill;
mod certificates;
mod echo;
mod path;
mod prepay;
mod query;
mod refund;
mod refusal;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::UnixSeconds;
use crate::loose;
use crate::verify::{SignedHeaders, VerificationKeys, VerifyError, verify};

pub use bill::{
    AccountType, BadDownloadUrl, BillDownload, BillLink, BillType, FundFlowBill, TradeBill,
};
pub use certificates::{Certificates, EncryptedCertificate};
pub use echo::{SecurityEcho, SecurityEchoAnswer, SecurityEchoBody};
pub use prepay::{
    GoodsDetail, H5Info, OrderDetail, Prepay, PrepayAmount, PrepayBody, PrepaySceneInfo,
    PrepayValue, Product, SettleInfo, StoreInfo,
};
pub use query::{Close, QueryByOutTradeNo, QueryByTransactionId};
pub use refund::{
    AbnormalRefundBody, AbnormalRefundTo, ApplyAbnormalRefund, CreateRefund, QueryRefund,
    RefundBody, RefundBodyAmount,
};
pub use refusal::{ErrorCode, Refusal, RefusalDetail, Repeat, Side};

/// The HTTP methods of the supported calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

impl Method {
    /// The method as it is sent and signed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// A request, ready to be signed and sent. Send exactly these bytes: they are what is signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// From the leading slash, escaped, without host.
    pub path_and_query: String,
    /// JSON; empty for a `GET`.
    pub body: Vec<u8>,
}

impl Outgoing {
    fn get(path_and_query: String) -> Self {
        Self {
            method: Method::Get,
            path_and_query,
            body: Vec::new(),
        }
    }

    fn post(path_and_query: impl Into<String>, body: Vec<u8>) -> Self {
        Self {
            method: Method::Post,
            path_and_query: path_and_query.into(),
            body,
        }
    }
}

/// The body may hold an openid: only its length is shown.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} ({} bytes)",
            self.method.as_str(),
            self.path_and_query,
            self.body.len()
        )
    }
}

/// One of WeChat Pay's interfaces.
pub trait Call {
    /// What a success says.
    type Answer;

    /// What to send. The same value always gives the same bytes.
    fn outgoing(&self) -> Outgoing;

    /// Reads the answer. Only ever called with a 2xx status and a body whose signature was
    /// verified.
    ///
    /// # Errors
    /// [`Unreadable`] when the answer is not as documented.
    fn answer(status: u16, body: &[u8]) -> Result<Self::Answer, Unreadable>;
}

/// A signed success that does not read as documented. The operation may have been executed: query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "WeChat Pay's signed answer (HTTP {status}) is not as documented (line {line}, column {column}): query to learn the outcome"
)]
pub struct Unreadable {
    /// The HTTP status.
    pub status: u16,
    /// Line of the body, from 1; 0 when a required key is absent.
    pub line: usize,
    /// Column of the line.
    pub column: usize,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// Not a 2xx. Error answers are not signed (manual page 4013053249; WeChat's own SDKs verify
    /// 2xx only), so this is never proof that money did not move.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// A 2xx without a valid signature: drop it. The outcome is unknown; repeat once (a repeat is
    /// not probed) or query.
    #[error("the answer cannot be taken for WeChat Pay's: {0}")]
    Unverified(#[source] VerifyError),
    /// A signed success that does not read.
    #[error(transparent)]
    Unreadable(Unreadable),
}

/// Takes what came back for a call of type `C`: its HTTP status, signature headers, and raw body.
///
/// # Errors
/// [`CallFailure`]. Of its kinds, none proves that the operation was not executed; for money,
/// query.
pub fn read_answer<C: Call>(
    status: u16,
    headers: Result<SignedHeaders, VerifyError>,
    body: &[u8],
    keys: &VerificationKeys,
    now: UnixSeconds,
) -> Result<C::Answer, CallFailure> {
    if !is_success(status) {
        return Err(CallFailure::Refused(Box::new(Refusal::read(status, body))));
    }
    headers
        .and_then(|headers| verify(&headers, body, keys, now))
        .map_err(CallFailure::Unverified)?;
    C::answer(status, body).map_err(CallFailure::Unreadable)
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Reads a JSON answer, an object. serde's own message may quote the body, so only the place is
/// kept.
fn read_json<T: DeserializeOwned>(status: u16, body: &[u8]) -> Result<T, Unreadable> {
    loose::read(body).map_err(|error| Unreadable {
        status,
        line: error.line(),
        column: error.column(),
    })
}

/// Writes a request body, once: what is signed is what is sent (manual page 4012365336).
#[expect(
    clippy::expect_used,
    reason = "request bodies are plain structs; JSON fails only on maps with odd keys and on failing writers"
)]
fn write_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("a plain struct is always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_722_850_421);
    const BODY: &[u8] = include_bytes!("../../vectors/message-manual-response/body");

    /// The manual's example of a Native prepay answer (page 4013053420).
    fn manual() -> (SignedHeaders, VerificationKeys) {
        let case: serde_json::Value = serde_json::from_str(include_str!(
            "../../vectors/message-manual-response/case.json"
        ))
        .expect("JSON");
        let headers =
            SignedHeaders::read(|name| case["headers"][name].as_str()).expect("four headers");
        let mut keys = VerificationKeys::new();
        keys.add_public_key(
            &headers.serial,
            include_str!("../../vectors/keys/manual-response-public.pem"),
        )
        .expect("the manual's key");
        (headers, keys)
    }

    #[test]
    fn a_signed_success_is_an_answer() {
        let (headers, keys) = manual();
        let answer = read_answer::<Prepay>(200, Ok(headers), BODY, &keys, NOW);
        assert_eq!(
            answer,
            Ok(PrepayValue::CodeUrl(
                "weixin://wxpay/bizpayurl?pr=JyC91EIz1".to_owned()
            ))
        );
    }

    #[test]
    fn a_success_without_signature_is_none() {
        let (_, keys) = manual();
        let missing = VerifyError::MissingHeader {
            name: "Wechatpay-Signature",
        };
        let answer = read_answer::<Prepay>(200, Err(missing.clone()), BODY, &keys, NOW);
        assert_eq!(answer, Err(CallFailure::Unverified(missing)));
    }

    #[test]
    fn a_changed_success_is_none() {
        let (headers, keys) = manual();
        let serial = headers.serial.clone();
        let answer = read_answer::<Prepay>(
            200,
            Ok(headers),
            br#"{"code_url":"weixin://else"}"#,
            &keys,
            NOW,
        );
        assert_eq!(
            answer,
            Err(CallFailure::Unverified(VerifyError::WrongSignature {
                serial
            }))
        );
    }

    #[test]
    fn an_error_is_a_refusal_signed_or_not() {
        let (headers, keys) = manual();
        let body = br#"{"code":"ORDERNOTEXIST","message":"m"}"#;
        for headers in [
            Ok(headers),
            Err(VerifyError::MissingHeader {
                name: "Wechatpay-Nonce",
            }),
        ] {
            let answer = read_answer::<QueryByOutTradeNo>(404, headers, body, &keys, NOW);
            let Err(CallFailure::Refused(refusal)) = answer else {
                panic!("{answer:?}")
            };
            assert_eq!(
                (refusal.status, refusal.code),
                (404, ErrorCode::OrderNotExist)
            );
        }
    }

    #[test]
    fn a_signed_success_of_another_shape_is_unreadable() {
        let (headers, keys) = manual();
        let answer = read_answer::<QueryByOutTradeNo>(200, Ok(headers), BODY, &keys, NOW);
        assert!(
            matches!(
                answer,
                Err(CallFailure::Unreadable(Unreadable { status: 200, .. }))
            ),
            "{answer:?}"
        );
    }

    #[test]
    fn redirects_are_no_success() {
        let (headers, keys) = manual();
        let answer = read_answer::<Prepay>(302, Ok(headers), BODY, &keys, NOW);
        assert!(matches!(answer, Err(CallFailure::Refused(_))), "{answer:?}");
    }
}
