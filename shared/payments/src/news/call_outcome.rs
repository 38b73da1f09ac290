//! The outcome of a call to WeChat Pay, as far as it decides something.

use wechatpay::{
    UnreadableAnswer,
    api::{ErrorCode, Refusal, Repeat},
};

/// Result of one call to WeChat Pay.
#[derive(Clone, Debug, PartialEq)]
pub enum CallOutcome<T> {
    /// A verified success.
    Done(T),
    /// An error answer. It is not signed, so it proves nothing about money that moved.
    Refused(Refusal),
    /// A verified success that cannot be parsed: WeChat Pay did what was requested, but the details
    /// are unknown.
    Unreadable(UnreadableAnswer),
    /// No answer that can be trusted: time-out, broken connection, or a signature that did not
    /// verify. The operation may have happened or may still happen.
    Unknown(String),
}

impl<T> CallOutcome<T> {
    /// Whether WeChat Pay could not answer for now, or gave no authentic answer: the same call is
    /// worth repeating soon.
    pub fn is_unavailable(&self) -> bool {
        match self {
            // An unreadable answer is not a temporary failure.
            Self::Done(_) | Self::Unreadable(_) => false,
            Self::Refused(refusal) => is_transient_refusal(refusal),
            Self::Unknown(_) => true,
        }
    }
}

/// Whether a refusal only says that WeChat Pay cannot answer for now: a server error or a rate
/// limit.
pub fn is_transient_refusal(refusal: &Refusal) -> bool {
    let by_status = refusal.status == 429 || refusal.status >= 500;
    by_status
        || refusal.repeat() == Repeat::WithBackoff
        || refusal.code == ErrorCode::FrequencyLimited
}
