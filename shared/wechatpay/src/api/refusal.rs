//! Error answers: their codes, and whether the same request may be repeated.
//!
//! The body is `{"code","message","detail"?}` (manual pages 4012081709, 4012081717). Codes are stable names that are
//! spelled with and without underscores; messages are for people and one code has many, so nothing branches on them.

use std::fmt;

use serde::Deserialize;

/// An answer that is no 2xx. It is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("WeChat Pay refused: HTTP {status} {raw_code}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The code.
    pub code: ErrorCode,
    /// The code as it was spelled; empty if the body had none.
    pub raw_code: String,
    /// For people. May hold unchecked text: escape it before showing, and do not log it with personal data.
    pub message: String,
    /// With `PARAM_ERROR` and `INVALID_REQUEST`: which field.
    pub detail: Option<RefusalDetail>,
}

/// Which field is wrong.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RefusalDetail {
    /// A JSON pointer such as `/amount/currency`, or a name.
    pub field: Option<String>,
    /// The value WeChat saw. May be personal, so `Debug` leaves it out.
    pub value: Option<String>,
    /// What is wrong with it.
    pub issue: Option<String>,
    /// `body`, `url` or `query`.
    pub location: Option<String>,
}

impl fmt::Debug for RefusalDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusalDetail")
            .field("field", &self.field)
            .field("issue", &self.issue)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

impl Refusal {
    /// Reads an error answer. Whatever the body is, there is a result: gateways answer in HTML too.
    #[must_use]
    pub fn read(status: u16, body: &[u8]) -> Self {
        let body: Body = serde_json::from_slice(body).unwrap_or_default();
        let raw_code = body.code.unwrap_or_default();
        Self {
            status,
            code: ErrorCode::parse(&raw_code),
            raw_code,
            message: body.message.unwrap_or_default(),
            detail: body.detail.as_ref().and_then(RefusalDetail::read),
        }
    }

    /// Whether the same request may be sent again: by code, and for codes nobody knows by status (page 4012081717).
    #[must_use]
    pub fn repeat(&self) -> Repeat {
        if let Some(by_code) = self.code.repeat() {
            return by_code;
        }
        match self.status {
            429 => Repeat::Later,
            500.. => Repeat::Yes,
            _ => Repeat::AfterChange,
        }
    }
}

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    detail: Option<serde_json::Value>,
}

impl RefusalDetail {
    /// Values are texts as a rule, but numbers were seen; objects with other keys (`SIGN_ERROR`) say nothing here.
    fn read(detail: &serde_json::Value) -> Option<Self> {
        let text = |key: &str| match detail.get(key)? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Null => None,
            other @ (serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_)) => Some(other.to_string()),
        };
        let read = Self {
            field: text("field"),
            value: text("value"),
            issue: text("issue"),
            location: text("location"),
        };
        if read == Self::default() {
            None
        } else {
            Some(read)
        }
    }
}

/// May the *same* request, byte for byte, be sent again?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Yes, with growing pauses, best on the other host too. Where money moves, query first: [`Repeat::for_refund`].
    Yes,
    /// Yes, but later: a rate limit (from 1 s; refunds about 1 min), or a bill that is being made (30 min).
    Later,
    /// Ask for the order or refund first; its state decides.
    AfterQuery,
    /// When the merchant's balance has been filled up, under the same number.
    AfterTopUp,
    /// A person has to read the message: the code stands for limits that pass and for ones that do not.
    AfterReview,
    /// Not before the request, the number or the merchant's set-up is changed.
    AfterChange,
    /// Never; there is nothing more to get.
    No,
}

impl Repeat {
    /// The same for refunds, where an error may hide an accepted refund: query first (page 4014959631).
    #[must_use]
    pub fn for_refund(self) -> Self {
        match self {
            Self::Yes | Self::Later => Self::AfterQuery,
            Self::AfterQuery
            | Self::AfterTopUp
            | Self::AfterReview
            | Self::AfterChange
            | Self::No => self,
        }
    }
}

/// Declares the codes: variant, spelling without underscores, further spellings, and whether to repeat.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal $(| $alias:literal)* => $repeat:expr,)+) => {
        /// A code of the manual's error tables, or another as it came.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)+
            /// A code this version does not know, as it came.
            Unknown(String),
        }

        impl ErrorCode {
            /// Reads a code. Underscores and case do not count: `ORDERNOTEXIST` is `ORDER_NOT_EXIST`.
            #[must_use]
            pub fn parse(raw: &str) -> Self {
                let plain: String = raw.chars().filter(|c| *c != '_').map(|c| c.to_ascii_uppercase()).collect();
                match plain.as_str() {
                    $($text $(| $alias)* => Self::$variant,)+
                    _ => Self::Unknown(raw.to_owned()),
                }
            }

            /// Whether the same request may be sent again; `None` for unknown codes, where the HTTP status decides.
            #[must_use]
            pub fn repeat(&self) -> Option<Repeat> {
                match self {
                    $(Self::$variant => Some($repeat),)+
                    Self::Unknown(_) => None,
                }
            }

            /// All codes that are known, for tests and tables.
            #[cfg(test)]
            fn all() -> Vec<Self> {
                vec![$(Self::$variant,)+]
            }
        }
    };
}

error_codes! {
    /// WeChat's side failed; the outcome is unknown.
    SystemError = "SYSTEMERROR" => Repeat::Yes,
    /// The bank's side failed; the outcome is unknown.
    BankError = "BANKERROR" => Repeat::Yes,
    /// Overload; try the other host.
    ServiceUnavailable = "SERVICEUNAVAILABLE" => Repeat::Yes,
    /// Refunds, older texts: the same refund number again.
    BizErrNeedRetry = "BIZERRNEEDRETRY" => Repeat::Yes,
    /// Rate limit, in all its spellings, a misspelt one among them.
    FrequencyLimited = "FREQUENCYLIMITED" | "FREQUENCYLIMIT" | "FREQUENCYLIMITEXCEED" | "RATELIMITEXCEEDED"
        | "RATELIMITEXCEED" | "RATELIMITED" | "FREQENCYLIMIT" => Repeat::Later,
    /// A field is wrong: see `detail`.
    ParamError = "PARAMERROR" => Repeat::AfterChange,
    /// The form is right, a rule is broken: changed parameters of a known number, amounts, a state. Query the order.
    InvalidRequest = "INVALIDREQUEST" => Repeat::AfterQuery,
    /// Key, serial, mchid, text, clock, or certificate: alert someone.
    SignError = "SIGNERROR" => Repeat::AfterChange,
    /// The product is not enabled, or the merchant not yours.
    NoAuth = "NOAUTH" => Repeat::AfterChange,
    /// Blocked for risk or permission: see the console.
    RequestBlocked = "REQUESTBLOCKED" => Repeat::AfterChange,
    /// Some rule; frequency kinds pass, others do not.
    RuleLimit = "RULELIMIT" => Repeat::AfterReview,
    /// The order's state forbids it.
    TradeError = "TRADEERROR" => Repeat::AfterQuery,
    /// The appid is not bound to the merchant.
    AppidMchidNotMatch = "APPIDMCHIDNOTMATCH" => Repeat::AfterChange,
    /// The merchant number is wrong.
    MchNotExists = "MCHNOTEXISTS" => Repeat::AfterChange,
    /// The openid belongs to another appid.
    OpenidMismatch = "OPENIDMISMATCH" => Repeat::AfterChange,
    /// The order is closed: a new order number is needed.
    OrderClosed = "ORDERCLOSED" => Repeat::AfterChange,
    /// The order is paid: query it.
    OrderPaid = "ORDERPAID" => Repeat::AfterQuery,
    /// The order was reversed: a new order number is needed.
    OrderReversed = "ORDERREVERSED" => Repeat::AfterChange,
    /// The number was used with other data: query it, then go on with it or take another.
    OutTradeNoUsed = "OUTTRADENOUSED" => Repeat::AfterQuery,
    /// No such order. Right after a time-out of its creation: not created, create the *same* again.
    OrderNotExist = "ORDERNOTEXIST" => Repeat::Later,
    /// The payment's number is wrong.
    InvalidTransactionId = "INVALIDTRANSACTIONID" => Repeat::AfterChange,
    /// The merchant's balance is too low.
    NotEnough = "NOTENOUGH" => Repeat::AfterTopUp,
    /// The user's account has a fault; nothing to be done.
    AccountError = "ACCOUNTERROR" => Repeat::No,
    /// The user's account is gone: refund by other means.
    UserAccountAbnormal = "USERACCOUNTABNORMAL" => Repeat::No,
    /// Refund query: not accepted, create it again under the same number. Refund create: the order is unpaid or wrong.
    /// Certificates: there is no platform certificate.
    ResourceNotExists = "RESOURCENOTEXISTS" => Repeat::AfterQuery,
    /// No such thing.
    NotFound = "NOTFOUND" => Repeat::AfterChange,
    /// A refund over a year after the payment.
    TradeOverdue = "TRADEOVERDUE" => Repeat::No,
    /// Other amounts under the same refund number.
    RefundFeeMismatch = "REFUNDFEEMISMATCH" => Repeat::AfterChange,
    /// Transfers: it is final already, query it.
    AlreadyExists = "ALREADYEXISTS" => Repeat::AfterQuery,
    /// Bills: an empty day.
    NoStatementExist = "NOSTATEMENTEXIST" => Repeat::No,
    /// Bills: it is being made.
    StatementCreating = "STATEMENTCREATING" => Repeat::Later,
    /// Scan-code payments: the user is typing the password; query after 5 s.
    UserPaying = "USERPAYING" => Repeat::AfterQuery,
}
