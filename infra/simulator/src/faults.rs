//! Faults: what goes wrong on purpose. How often and where is said by the [rules](crate::rules).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{endpoint::Endpoint, refund::RefundOutcome};

/// Something that goes wrong on purpose.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// A 2xx answer carries `WECHATPAY/SIGNTEST/...` for a signature. The operation was done. The
    /// repeat of a probed request is not probed.
    ProbeResponse,
    /// The answer comes late; the operation was done at once.
    SlowAnswer {
        /// Real milliseconds, whatever the clock.
        delay_ms: u64,
    },
    /// The operation is done and no answer comes; the connection is cut after `hold_ms`.
    TimeOutAfterOperation {
        /// Real milliseconds, 30 s by default.
        #[serde(default = "half_a_minute_ms")]
        hold_ms: u64,
    },
    /// Refused with any code; nothing was done.
    Refuse {
        /// 400 to 599; 403 by default.
        #[serde(default = "four_hundred_and_three")]
        status: u16,
        /// Such as `NO_AUTH`.
        code: String,
    },
    /// 429 `FREQUENCY_LIMITED`; nothing was done.
    TooManyRequests,
    /// 429 `FREQUENCY_LIMITED` although the operation was done, as WeChat Pay's refund pages warn.
    TooManyRequestsAfter,
    /// A 5xx; nothing was done.
    ServerErrorBefore {
        /// 500, 502 or 503; 500 by default.
        #[serde(default = "five_hundred")]
        status: u16,
    },
    /// A 5xx although the operation was done.
    ServerErrorAfter {
        /// 500, 502 or 503; 500 by default.
        #[serde(default = "five_hundred")]
        status: u16,
    },
    /// The connection is reset (RST); nothing was done.
    ResetBefore,
    /// The operation is done, then the connection is reset (RST).
    ResetAfter,
    /// The operation is done, and its answer is changed by this JSON merge patch (RFC 7396), then
    /// rightly signed: WeChat Pay's word in a shape that is not documented.
    AlteredAnswer {
        /// What is different. An answer that is no object then becomes the patch itself.
        patch: Value,
    },
    /// The answer comes and promises to keep the connection alive; the next request on it meets a
    /// closed one.
    StaleKeepAlive,
    /// WeChat Pay has a new public key from this answer on, which it signs with.
    RotatePublicKey,
    /// WeChat Pay has a new platform certificate from this answer on, which it signs with.
    RotateCertificate,
    /// The payer pays just before the merchant's close arrives: it is refused with `TRADE_ERROR`.
    PayBeforeClose,
    /// The close succeeds, and yet the payer's money arrives just after it.
    PayAfterClose,
    /// A new refund has another result than
    /// [`Admin::set_refund_outcome`](crate::Admin::set_refund_outcome) says.
    RefundComesTo {
        /// What it comes to.
        outcome: RefundOutcome,
    },
    /// A callback's first try carries a probe for a signature.
    ProbeCallback,
    /// A callback is never sent, not even repeated.
    LostCallback,
    /// A callback is sent several times at once, each time with a new signature.
    DuplicateCallback {
        /// Copies besides the first; 1 by default.
        #[serde(default = "one")]
        copies: u32,
    },
    /// A callback is held back until a later one went out (or for a minute of the simulator's
    /// time).
    OutOfOrderCallback,
    /// Each try of a callback carries another `id`: WeChat Pay does not promise that it stays the
    /// same.
    RenamedCallback,
    /// A callback starts late.
    SlowCallback {
        /// Milliseconds of the simulator's time.
        delay_ms: i64,
    },
    /// The `hash_value` of a bill is that of another text.
    WrongHash,
    /// The `download_url` of a bill leads to another host.
    ForeignHost {
        /// Scheme and host, to which path and query are added; by default `https://bills.example`.
        #[serde(default = "a_foreign_host")]
        base_url: String,
    },
    /// 400 `STATEMENT_CREATING`, whatever the hour.
    StatementCreating,
    /// 400 `NO_STATEMENT_EXIST`, whatever happened on the day.
    NoStatement,
    /// One byte of a bill's file is another one.
    AlteredByte {
        /// Whether it is a byte of the gzip stream. By default it is a digit of the text, so that
        /// the file can be unzipped and read, and only its hash shows it. A file that is not zipped
        /// has only its text.
        #[serde(default)]
        zipped: bool,
    },
    /// A bill's file ends early.
    CutFile {
        /// The bytes that are sent; half of them by default.
        #[serde(default)]
        keep_bytes: Option<usize>,
        /// Whether the connection breaks then, so that less arrives than `Content-Length` says. By
        /// default `Content-Length` is that of the bytes sent.
        #[serde(default)]
        dies: bool,
    },
    /// A bill's link is dead: 403 `NO_AUTH`.
    ExpiredLink,
}

fn a_foreign_host() -> String {
    "https://bills.example".to_owned()
}

fn half_a_minute_ms() -> u64 {
    30_000
}

fn four_hundred_and_three() -> u16 {
    403
}

fn five_hundred() -> u16 {
    500
}

fn one() -> u32 {
    1
}

impl Fault {
    /// Whether it strikes callbacks; the others strike requests.
    pub(crate) fn is_of_callbacks(&self) -> bool {
        match self {
            Self::ProbeCallback
            | Self::LostCallback
            | Self::DuplicateCallback { .. }
            | Self::OutOfOrderCallback
            | Self::RenamedCallback
            | Self::SlowCallback { .. } => true,
            Self::ProbeResponse
            | Self::SlowAnswer { .. }
            | Self::TimeOutAfterOperation { .. }
            | Self::Refuse { .. }
            | Self::TooManyRequests
            | Self::TooManyRequestsAfter
            | Self::ServerErrorBefore { .. }
            | Self::ServerErrorAfter { .. }
            | Self::ResetBefore
            | Self::ResetAfter
            | Self::AlteredAnswer { .. }
            | Self::StaleKeepAlive
            | Self::RotatePublicKey
            | Self::RotateCertificate
            | Self::PayBeforeClose
            | Self::PayAfterClose
            | Self::RefundComesTo { .. }
            | Self::WrongHash
            | Self::ForeignHost { .. }
            | Self::StatementCreating
            | Self::NoStatement
            | Self::AlteredByte { .. }
            | Self::CutFile { .. }
            | Self::ExpiredLink => false,
        }
    }

    /// Whether it can happen at `endpoint` at all. A draw elsewhere would be wasted.
    pub(crate) fn fits(&self, endpoint: Endpoint) -> bool {
        match self {
            Self::PayBeforeClose | Self::PayAfterClose => endpoint == Endpoint::Close,
            Self::RefundComesTo { .. } => endpoint == Endpoint::CreateRefund,
            Self::WrongHash
            | Self::ForeignHost { .. }
            | Self::StatementCreating
            | Self::NoStatement => {
                matches!(endpoint, Endpoint::TradeBill | Endpoint::FundFlowBill)
            }
            Self::AlteredByte { .. } | Self::CutFile { .. } | Self::ExpiredLink => {
                endpoint == Endpoint::BillFile
            }
            Self::ProbeResponse | Self::AlteredAnswer { .. } => {
                endpoint != Endpoint::BillFile && endpoint != Endpoint::Unknown
            }
            Self::SlowAnswer { .. }
            | Self::TimeOutAfterOperation { .. }
            | Self::Refuse { .. }
            | Self::TooManyRequests
            | Self::TooManyRequestsAfter
            | Self::ServerErrorBefore { .. }
            | Self::ServerErrorAfter { .. }
            | Self::ResetBefore
            | Self::ResetAfter
            | Self::StaleKeepAlive
            | Self::RotatePublicKey
            | Self::RotateCertificate => true,
            Self::ProbeCallback
            | Self::LostCallback
            | Self::DuplicateCallback { .. }
            | Self::OutOfOrderCallback
            | Self::RenamedCallback
            | Self::SlowCallback { .. } => false,
        }
    }
}
