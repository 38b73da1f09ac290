//! Asking WeChat Pay for a prepay value: what each answer means for the order.

use wechatpay::api::{ErrorCode, PrepayValue, Refusal, Repeat};

use crate::order::{Attempt, Order, OrderState};

/// How long one holder of the attempt may spend on WeChat Pay in all, in milliseconds: two tries of up to 3 s and a query.
/// Shorter than [`Attempt::LEASE_S`].
pub const BUDGET_MS: u64 = 9_000;

/// What came of one call to WeChat Pay.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<T> {
    /// A verified success.
    Done(T),
    /// An error answer. It is not signed, so it proves nothing about money that moved.
    Refused(Refusal),
    /// No answer that can be trusted: time-out, broken connection, or a signature that did not verify. The operation may have
    /// happened or may happen yet.
    Unknown(String),
}

/// What to do after a prepay call.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Store this value.
    Store(PrepayValue),
    /// Send the very same call again, to the other host.
    Repeat,
    /// Ask WeChat Pay how the order stands. With the refusal that decides if the order does not exist there; without one
    /// when the answer is only given for orders that do exist.
    Query(Option<Refusal>),
    /// WeChat Pay will not take the order: `rejected`.
    Reject(Refusal),
    /// Nothing more can be learnt now; the order stays as it is, and a later attempt or the sweep goes on.
    GiveUp(GiveUp),
}

/// Why an attempt ends without a result.
#[derive(Clone, PartialEq)]
pub enum GiveUp {
    /// WeChat Pay did not answer, or not believably, or asked us to come later.
    Unknown(String),
    /// WeChat Pay refuses, but an earlier try may have gone through, so the order cannot be called rejected.
    RefusedAfterUnknown(Refusal),
}

/// Shows codes only: WeChat Pay's free text may repeat what a payer or client wrote.
impl std::fmt::Debug for GiveUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(cause) => write!(f, "unknown outcome: {cause}"),
            Self::RefusedAfterUnknown(refusal) => {
                write!(f, "after an unknown outcome: {refusal}")
            }
        }
    }
}

/// Judges the answer to a prepay call.
///
/// `tries_left` is how often the same call may still be sent in this attempt; `clean` says that nothing unknown came before:
/// no earlier attempt, and no unanswered try in this one. Only a clean refusal rejects an order (design, section 5).
pub fn judge(answer: Answer<PrepayValue>, tries_left: u32, clean: bool) -> Next {
    let refusal = match answer {
        Answer::Done(value) => return Next::Store(value),
        Answer::Unknown(cause) => {
            return if tries_left > 0 {
                Next::Repeat
            } else {
                Next::GiveUp(GiveUp::Unknown(cause))
            };
        }
        Answer::Refused(refusal) => refusal,
    };
    if exists_at_wechat(&refusal.code) {
        return Next::Query(None);
    }
    if says_nothing_about_the_order(&refusal) {
        return Next::GiveUp(GiveUp::Unknown(refusal.to_string()));
    }
    match refusal.repeat() {
        Repeat::Yes if tries_left > 0 => Next::Repeat,
        // `RULE_LIMIT` may be a limit on how often, which passes. Only its free text tells (section 9), and nothing is decided on
        // that: what does not pass ends with the order's time.
        Repeat::Yes | Repeat::Later | Repeat::AfterReview => {
            Next::GiveUp(GiveUp::Unknown(refusal.to_string()))
        }
        Repeat::AfterQuery => Next::Query(Some(refusal)),
        Repeat::AfterTopUp | Repeat::AfterChange | Repeat::No if clean => Next::Reject(refusal),
        Repeat::AfterTopUp | Repeat::AfterChange | Repeat::No => {
            Next::GiveUp(GiveUp::RefusedAfterUnknown(refusal))
        }
    }
}

/// Refusals that would burn a good order's number: a page of some proxy's, without any code of WeChat Pay's, and a signature
/// that is not taken, which is about our clock, serial or certificate and passes when that is mended.
fn says_nothing_about_the_order(refusal: &Refusal) -> bool {
    let no_code = refusal.raw_code.is_empty() && refusal.status < 500 && refusal.status != 429;
    no_code || refusal.code == ErrorCode::SignError
}

/// Whether nothing unknown came before this attempt: it is the first one.
pub fn starts_clean(attempt: &Attempt) -> bool {
    attempt.count <= 1
}

/// Whether what WeChat Pay has under the number is not ours: every try sends the very same bytes, and a repeat of those is given a
/// value (section 5.1), so `OUT_TRADE_NO_USED` is about other data. Of an order that has a value already nothing follows: that one
/// may be paid.
pub fn is_of_another_system(answer: &Answer<PrepayValue>, order: &Order) -> bool {
    let used = match answer {
        Answer::Refused(refusal) => refusal.code == ErrorCode::OutTradeNoUsed,
        Answer::Done(_) | Answer::Unknown(_) => false,
    };
    used && order.state == OrderState::Reserved
}

/// Answers that WeChat Pay gives when it already knows the number: the order's state decides, and a query tells it.
fn exists_at_wechat(code: &ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::OutTradeNoUsed | ErrorCode::OrderPaid | ErrorCode::OrderClosed
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> Answer<PrepayValue> {
        Answer::Refused(Refusal {
            status,
            code: ErrorCode::parse(code),
            raw_code: code.into(),
            message: String::new(),
            detail: None,
        })
    }

    #[test]
    fn each_answer_to_a_prepay_call_has_its_next_step() {
        let value = PrepayValue::CodeUrl("weixin://x".into());
        assert_eq!(
            judge(Answer::Done(value.clone()), 0, false),
            Next::Store(value)
        );
        assert_eq!(
            judge(Answer::Unknown("time-out".into()), 1, true),
            Next::Repeat
        );
        assert_eq!(
            judge(Answer::Unknown("time-out".into()), 0, true),
            Next::GiveUp(GiveUp::Unknown("time-out".into()))
        );
        for code in [
            "OUT_TRADE_NO_USED",
            "ORDERPAID",
            "ORDER_PAID",
            "ORDER_CLOSED",
            "OUTTRADENOUSED",
        ] {
            assert_eq!(
                judge(refused(403, code), 1, true),
                Next::Query(None),
                "{code}"
            );
        }
        assert_eq!(judge(refused(500, "SYSTEM_ERROR"), 1, true), Next::Repeat);
        assert!(matches!(
            judge(refused(500, "SYSTEM_ERROR"), 0, true),
            Next::GiveUp(GiveUp::Unknown(_))
        ));
        assert!(matches!(
            judge(refused(429, "FREQUENCY_LIMITED"), 1, true),
            Next::GiveUp(GiveUp::Unknown(_))
        ));
    }

    #[test]
    fn a_rule_that_may_be_a_limit_on_how_often_rejects_nothing() {
        for code in ["RULE_LIMIT", "RULELIMIT"] {
            for clean in [true, false] {
                assert!(
                    matches!(
                        judge(refused(403, code), 1, clean),
                        Next::GiveUp(GiveUp::Unknown(_))
                    ),
                    "{code}"
                );
            }
        }
    }

    #[test]
    fn an_answer_that_says_nothing_about_the_order_rejects_nothing() {
        for (status, code) in [(302, ""), (403, ""), (404, ""), (401, "SIGN_ERROR")] {
            let next = judge(refused(status, code), 1, true);
            assert!(
                matches!(next, Next::GiveUp(GiveUp::Unknown(_))),
                "{status} {code}: {next:?}"
            );
        }
    }

    #[test]
    fn an_invalid_request_is_decided_by_a_query() {
        let next = judge(refused(400, "INVALID_REQUEST"), 1, true);
        assert!(matches!(next, Next::Query(Some(_))), "{next:?}");
    }

    #[test]
    fn only_a_refusal_with_nothing_unknown_before_it_rejects_the_order() {
        for code in [
            "PARAM_ERROR",
            "APPID_MCHID_NOT_MATCH",
            "NO_AUTH",
            "MCH_NOT_EXISTS",
        ] {
            assert!(
                matches!(judge(refused(400, code), 1, true), Next::Reject(_)),
                "{code}"
            );
            assert!(
                matches!(
                    judge(refused(400, code), 1, false),
                    Next::GiveUp(GiveUp::RefusedAfterUnknown(_))
                ),
                "{code}"
            );
        }
    }
}
