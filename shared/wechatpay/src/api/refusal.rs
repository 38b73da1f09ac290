//! Error answers: their codes, whose matter each is, and whether the same request may be repeated.
//!
//! The body is `{"code","message","detail"?}` (manual pages 4012081709, 4012081717). Codes are
//! stable names that are spelled with and without underscores; messages are for people and one code
//! has many, so no code depends on them.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::{loose, request_id::RequestId, shown::shown};

/// An answer that is no 2xx. It is not signed. Neither its text nor its `Debug` shows the free
/// texts, which may quote a personal value of the request.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("WeChat Pay refused with HTTP {status} {}: {}", shown(.raw_code), self.repeat())]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The code.
    pub code: ErrorCode,
    /// The code as it was spelled; empty if the body had none.
    pub raw_code: String,
    /// For people. May hold anything, personal values too: escape it before showing, and do not log
    /// it.
    pub message: String,
    /// With `PARAM_ERROR` and `INVALID_REQUEST`: which field.
    pub detail: Option<RefusalDetail>,
    /// What WeChat Pay calls the request that it refused.
    pub request_id: Option<RequestId>,
}

/// Which field is wrong.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RefusalDetail {
    /// A JSON pointer such as `/amount/currency`, or a name.
    pub field: Option<String>,
    /// The value WeChat saw. May be personal: do not log it.
    pub value: Option<String>,
    /// What is wrong with it, in free text that may quote the value.
    pub issue: Option<String>,
    /// `body`, `url` or `query`.
    pub location: Option<String>,
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("status", &self.status)
            .field("raw_code", &shown(&self.raw_code))
            .field("detail", &self.detail)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RefusalDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusalDetail")
            .field("field", &self.field.as_deref().map(shown))
            .field("location", &self.location.as_deref().map(shown))
            .finish_non_exhaustive()
    }
}

impl Refusal {
    /// Reads an error answer. Whatever the body is, there is a result: gateways answer in HTML too.
    #[must_use]
    pub fn read(status: u16, body: &[u8]) -> Self {
        let body: ErrorBody = loose::read(body).unwrap_or_default();
        let raw_code = body.code.as_ref().and_then(as_text).unwrap_or_default();
        Self {
            status,
            code: ErrorCode::parse(&raw_code),
            raw_code,
            message: body.message.as_ref().and_then(as_text).unwrap_or_default(),
            detail: body.detail.as_ref().and_then(RefusalDetail::read),
            request_id: None,
        }
    }

    /// The same with the `Request-ID` that it came with.
    #[must_use]
    pub fn with_request_id(mut self, request_id: Option<RequestId>) -> Self {
        self.request_id = request_id;
        self
    }

    /// Whether the same request may be sent again: by code, and for unknown codes by status (page
    /// 4012081717).
    #[must_use]
    pub fn repeat(&self) -> Repeat {
        if let Some(by_code) = self.code.repeat() {
            return by_code;
        }
        match self.status {
            429 => Repeat::Later,
            500.. => Repeat::WithBackoff,
            _ => Repeat::AfterChange,
        }
    }

    /// Who must act: by code, and for unknown codes by status. A `PARAM_ERROR` about a value that
    /// the merchant's settings put into every request is the merchant's problem.
    #[must_use]
    pub fn side(&self) -> Side {
        match self.code.side() {
            Some(Side::Request) if self.names_a_setting() => Side::Merchant,
            Some(by_code) => by_code,
            None if self.status == 429 || self.status >= 500 => Side::Passing,
            None => Side::Unknown,
        }
    }

    /// What an operator must do if nothing else helps: `None` if the refusal is only about the
    /// request, or is temporary.
    #[must_use]
    pub fn what_to_do(&self) -> Option<&'static str> {
        match self.side() {
            Side::Request | Side::Passing => None,
            Side::Unknown => {
                Some("look the code up in WeChat Pay's manual, or the proxy that answered for it")
            }
            Side::Merchant => Some(
                ADVICE
                    .iter()
                    .find(|(code, _)| *code == self.code)
                    .map_or(CORRECT_THE_SETTING, |(_, advice)| *advice),
            ),
        }
    }

    /// Whether a `PARAM_ERROR` names a value that every request takes from the merchant's settings.
    fn names_a_setting(&self) -> bool {
        let field = self
            .detail
            .as_ref()
            .and_then(|detail| detail.field.as_deref());
        let name = field.map(|field| field.trim_start_matches('/').trim_start_matches("body/"));
        self.code == ErrorCode::ParamError && matches!(name, Some("mchid" | "appid" | "notify_url"))
    }
}

impl RefusalDetail {
    /// An object with other keys, as `SIGN_ERROR` may have, says nothing here.
    fn read(detail: &Value) -> Option<Self> {
        let read = Self {
            field: text(detail, "field"),
            value: text(detail, "value"),
            issue: text(detail, "issue"),
            location: text(detail, "location"),
        };
        if read == Self::default() {
            None
        } else {
            Some(read)
        }
    }
}

/// An error answer. Each member is read on its own, so that none hides the code.
#[derive(Default, Deserialize)]
struct ErrorBody {
    #[serde(default, deserialize_with = "loose::member")]
    code: Option<Value>,
    #[serde(default, deserialize_with = "loose::member")]
    message: Option<Value>,
    #[serde(default, deserialize_with = "loose::member")]
    detail: Option<Value>,
}

fn text(object: &Value, key: &str) -> Option<String> {
    as_text(object.get(key)?)
}

/// Values are texts as a rule, but numbers were seen.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Some(other.to_string())
        }
    }
}

/// May the *same* request, byte for byte, be sent again?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Yes, with growing pauses, best on the other host too. Where money moves, query first:
    /// [`Repeat::for_refund`].
    WithBackoff,
    /// Yes, but later: a rate limit (from 1 s; refunds about 1 min), or a bill that is being made
    /// (30 min).
    Later,
    /// Ask for the order or refund first; its state decides.
    AfterQuery,
    /// When the merchant's balance has been filled up, under the same number.
    AfterTopUp,
    /// An operator must read the message: the code is used for temporary and for permanent limits.
    AfterReview,
    /// Not before the request, the number or the merchant's set-up is changed.
    AfterChange,
    /// Never; there is nothing more to get.
    Never,
}

impl Repeat {
    /// The same for refunds, where an error may hide an accepted refund: query first (page
    /// 4014959631).
    #[must_use]
    pub fn for_refund(self) -> Self {
        match self {
            Self::WithBackoff | Self::Later => Self::AfterQuery,
            Self::AfterQuery
            | Self::AfterTopUp
            | Self::AfterReview
            | Self::AfterChange
            | Self::Never => self,
        }
    }
}

/// The next step in words.
impl fmt::Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WithBackoff => "repeat the same request, with growing pauses",
            Self::Later => "repeat the same request later",
            Self::AfterQuery => "query before anything else",
            Self::AfterTopUp => "fill up the merchant's balance, then repeat the same request",
            Self::AfterReview => "a person has to read WeChat Pay's message",
            Self::AfterChange => {
                "the same request will be refused again, something has to change first"
            }
            Self::Never => "do not repeat it",
        })
    }
}

/// What an operator must do about each code that is the merchant's problem.
static ADVICE: [(ErrorCode, &str); 6] = [
    (
        ErrorCode::SignError,
        "check the merchant's key, its certificate's serial, the clock, and that an APIv3 key is set",
    ),
    (
        ErrorCode::NoAuth,
        "give the merchant the permission in WeChat Pay's console: the product, or for refunds the \
         list of addresses",
    ),
    (
        ErrorCode::RequestBlocked,
        "find out in WeChat Pay's console why the merchant is blocked, and have it lifted",
    ),
    (
        ErrorCode::AppidMchidNotMatch,
        "bind the appid to the merchant number at WeChat Pay, or take it out of the settings",
    ),
    (
        ErrorCode::MchNotExists,
        "correct the merchant number in the settings",
    ),
    (
        ErrorCode::NotEnough,
        "fill up the merchant's balance at WeChat Pay",
    ),
];

/// The same for `PARAM_ERROR` about a value that comes from the settings.
const CORRECT_THE_SETTING: &str =
    "correct the setting that WeChat Pay names: mchid, appid or notify_url";

/// Who must act on a refusal: what must change before such a request can be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The request's: one of its values, or the state of the order or refund that it names. Another
    /// request may be taken.
    Request,
    /// The merchant's: key, permission, binding, balance, or a block. Every such request is refused
    /// until an operator has fixed that; then this one may be accepted unchanged.
    Merchant,
    /// No one's: a fault or a limit at WeChat Pay, or something that is not ready yet. It passes.
    Passing,
    /// It is unknown: a code that is not in the manual, or none at all.
    Unknown,
}

/// Declares the codes: variant, spelling without underscores, further spellings, whose matter it
/// is, and whether to repeat.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal $(| $alias:literal)* => $side:ident, $repeat:expr,)+) => {
        /// A code of the manual's error tables, or another as it came.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)+
            /// A code this version does not know, as it came.
            Unknown(String),
        }

        impl ErrorCode {
            /// Reads a code. Underscores and case do not count: `ORDERNOTEXIST` is
            /// `ORDER_NOT_EXIST`.
            #[must_use]
            pub fn parse(raw: &str) -> Self {
                let plain: String = raw.chars().filter(|c| *c != '_').map(|c| c.to_ascii_uppercase()).collect();
                match plain.as_str() {
                    $($text $(| $alias)* => Self::$variant,)+
                    _ => Self::Unknown(raw.to_owned()),
                }
            }

            /// Whether the same request may be sent again; `None` for unknown codes, where the HTTP
            /// status decides.
            #[must_use]
            pub fn repeat(&self) -> Option<Repeat> {
                match self {
                    $(Self::$variant => Some($repeat),)+
                    Self::Unknown(_) => None,
                }
            }

            /// Whose matter it is; `None` for unknown codes, where the HTTP status decides:
            /// [`Refusal::side`].
            #[must_use]
            pub fn side(&self) -> Option<Side> {
                match self {
                    $(Self::$variant => Some(Side::$side),)+
                    Self::Unknown(_) => None,
                }
            }

            /// All codes that are known, for tables and their tests.
            #[must_use]
            pub fn all() -> Vec<Self> {
                vec![$(Self::$variant,)+]
            }
        }
    };
}

error_codes! {
    /// WeChat's side failed; the outcome is unknown.
    SystemError = "SYSTEMERROR" => Passing, Repeat::WithBackoff,
    /// The bank's side failed; the outcome is unknown.
    BankError = "BANKERROR" => Passing, Repeat::WithBackoff,
    /// Overload; try the other host.
    ServiceUnavailable = "SERVICEUNAVAILABLE" => Passing, Repeat::WithBackoff,
    /// Refunds, older texts: the same refund number again.
    BizErrNeedRetry = "BIZERRNEEDRETRY" => Passing, Repeat::WithBackoff,
    /// Rate limit, in all its spellings, a misspelt one among them.
    FrequencyLimited = "FREQUENCYLIMITED" | "FREQUENCYLIMIT" | "FREQUENCYLIMITEXCEED" | "RATELIMITEXCEEDED"
        | "RATELIMITEXCEED" | "RATELIMITED" | "FREQENCYLIMIT" => Passing, Repeat::Later,
    /// A field is wrong: see `detail`.
    ParamError = "PARAMERROR" => Request, Repeat::AfterChange,
    /// The form is right, a rule is broken: changed parameters of a known number, amounts, a state.
    /// Query the order.
    InvalidRequest = "INVALIDREQUEST" => Request, Repeat::AfterQuery,
    /// Key, serial, mchid, text, clock, or certificate: alert someone.
    SignError = "SIGNERROR" => Merchant, Repeat::AfterChange,
    /// The product is not enabled, or the merchant not yours.
    NoAuth = "NOAUTH" => Merchant, Repeat::AfterChange,
    /// Blocked for risk or permission: see the console.
    RequestBlocked = "REQUESTBLOCKED" => Merchant, Repeat::AfterChange,
    /// Some rule; frequency kinds pass, others do not.
    RuleLimit = "RULELIMIT" => Passing, Repeat::AfterReview,
    /// The order's state forbids it.
    TradeError = "TRADEERROR" => Request, Repeat::AfterQuery,
    /// The appid is not bound to the merchant.
    AppidMchidNotMatch = "APPIDMCHIDNOTMATCH" => Merchant, Repeat::AfterChange,
    /// The merchant number is wrong.
    MchNotExists = "MCHNOTEXISTS" => Merchant, Repeat::AfterChange,
    /// The openid belongs to another appid.
    OpenidMismatch = "OPENIDMISMATCH" => Request, Repeat::AfterChange,
    /// The order is closed: a new order number is needed.
    OrderClosed = "ORDERCLOSED" => Request, Repeat::AfterChange,
    /// The order is paid: query it.
    OrderPaid = "ORDERPAID" => Request, Repeat::AfterQuery,
    /// The order was reversed: a new order number is needed.
    OrderReversed = "ORDERREVERSED" => Request, Repeat::AfterChange,
    /// The number was used with other data: query it, then go on with it or take another.
    OutTradeNoUsed = "OUTTRADENOUSED" => Request, Repeat::AfterQuery,
    /// No such order. Right after a time-out of its creation: not created, create the *same* again.
    OrderNotExist = "ORDERNOTEXIST" => Request, Repeat::Later,
    /// The payment's number is wrong.
    InvalidTransactionId = "INVALIDTRANSACTIONID" => Request, Repeat::AfterChange,
    /// The merchant's balance is too low.
    NotEnough = "NOTENOUGH" => Merchant, Repeat::AfterTopUp,
    /// The user's account has a fault; nothing to be done.
    AccountError = "ACCOUNTERROR" => Request, Repeat::Never,
    /// The user's account is gone: refund by other means.
    UserAccountAbnormal = "USERACCOUNTABNORMAL" => Request, Repeat::Never,
    /// Refund query: not accepted, create it again under the same number. Refund create: the order
    /// is unpaid or wrong. Certificates: there is no platform certificate.
    ResourceNotExists = "RESOURCENOTEXISTS" => Request, Repeat::AfterQuery,
    /// No such thing.
    NotFound = "NOTFOUND" => Unknown, Repeat::AfterChange,
    /// A refund over a year after the payment.
    TradeOverdue = "TRADEOVERDUE" => Request, Repeat::Never,
    /// Other amounts under the same refund number.
    RefundFeeMismatch = "REFUNDFEEMISMATCH" => Request, Repeat::AfterChange,
    /// Transfers: it is final already, query it.
    AlreadyExists = "ALREADYEXISTS" => Request, Repeat::AfterQuery,
    /// Bills: an empty day.
    NoStatementExist = "NOSTATEMENTEXIST" => Request, Repeat::Never,
    /// Bills: it is being made.
    StatementCreating = "STATEMENTCREATING" => Passing, Repeat::Later,
    /// Scan-code payments: the user is typing the password; query after 5 s.
    UserPaying = "USERPAYING" => Passing, Repeat::AfterQuery,
}

#[cfg(test)]
mod tests;
