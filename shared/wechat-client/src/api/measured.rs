//! What each call to WeChat Pay took, and what came of it, for metrics.

use runtime::telemetry::emf::HELD;
use tracing::info;
use wechatpay::api::{Interface, Refusal, Side};

use super::{Host, causes};

/// A call that was sent, and how long it took until its answer was read or given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct MeasuredCall {
    pub(super) interface: Interface,
    pub(super) host: Host,
    pub(super) took_ms: i64,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CallResult {
    /// WeChat Pay did it, or answered the question.
    Done,
    /// A refusal because of the request.
    RefusedRequest,
    /// A refusal of the merchant as a whole.
    RefusedMerchant,
    /// A refusal for the moment: a server error, or too many calls.
    RefusedPassing,
    /// A refusal with a code that is not in the manual.
    RefusedUnknown,
    /// An answer that is not proved to be WeChat Pay's.
    Unverified,
    /// WeChat Pay's answer, which cannot be read.
    Unreadable,
    /// None in time, or the connection failed.
    NoAnswer,
}

impl CallResult {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::RefusedRequest,
        Self::RefusedMerchant,
        Self::RefusedPassing,
        Self::RefusedUnknown,
        Self::Unverified,
        Self::Unreadable,
        Self::NoAnswer,
    ];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::RefusedRequest => "refused_request",
            Self::RefusedMerchant => "refused_merchant",
            Self::RefusedPassing => "refused_passing",
            Self::RefusedUnknown => "refused_unknown",
            Self::Unverified => "unverified",
            Self::Unreadable => "unreadable",
            Self::NoAnswer => "no_answer",
        }
    }

    /// A refusal, by whose matter it is.
    pub(super) fn of_refusal(refusal: &Refusal) -> Self {
        if causes::of_passing(refusal).is_some() {
            return Self::RefusedPassing;
        }
        if causes::is_of_merchant(refusal) {
            return Self::RefusedMerchant;
        }
        match refusal.side() {
            Side::Request => Self::RefusedRequest,
            Side::Merchant => Self::RefusedMerchant,
            Side::Passing => Self::RefusedPassing,
            Side::Unknown => Self::RefusedUnknown,
        }
    }
}

impl MeasuredCall {
    /// For a call that has no line of its own: the next line takes the value along.
    pub(super) fn hold(self, result: CallResult) {
        info!(
            target: HELD,
            interface = self.interface.name(),
            host = self.host.name(),
            outcome = result.name(),
            WechatCallMs = self.took_ms,
        );
    }
}

/// What a call does at WeChat Pay, which says how its success is logged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Effect {
    /// It only asks.
    Nothing,
    /// It makes an order, or renews its prepay value: the most frequent call. Whoever stores the
    /// value logs WeChat Pay's `Request-ID` with it.
    Prepay,
    /// It changes something else.
    Change,
}

impl Effect {
    pub(super) const fn of(interface: Interface) -> Self {
        match interface {
            Interface::PrepayJsapi
            | Interface::PrepayApp
            | Interface::PrepayH5
            | Interface::PrepayNative => Self::Prepay,
            Interface::Close
            | Interface::CreateRefund
            | Interface::AbnormalRefund
            | Interface::SecurityEcho => Self::Change,
            Interface::QueryByOutTradeNo
            | Interface::QueryByTransactionId
            | Interface::QueryRefund
            | Interface::TradeBill
            | Interface::FundFlowBill
            | Interface::BillFile
            | Interface::Certificates => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_measured_by_whose_matter_it_is() {
        for (status, code, name) in [
            (400, "PARAM_ERROR", "refused_request"),
            (404, "ORDER_NOT_EXIST", "refused_request"),
            (401, "SIGN_ERROR", "refused_merchant"),
            (403, "NO_AUTH", "refused_merchant"),
            (429, "FREQUENCY_LIMITED", "refused_passing"),
            (500, "SYSTEM_ERROR", "refused_passing"),
            (403, "A_NEW_CODE", "refused_unknown"),
        ] {
            let refusal = Refusal::read(status, format!(r#"{{"code":"{code}"}}"#).as_bytes());
            assert_eq!(
                CallResult::of_refusal(&refusal).name(),
                name,
                "{status} {code}"
            );
        }
    }
}
