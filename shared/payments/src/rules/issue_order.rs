//! Prepay calls: what each answer of WeChat Pay means for the order.

use wechatpay::api::{ErrorCode, PrepayValue, Refusal, Repeat, Side};

use crate::{
    model::{
        journal::{ChangeContext, Event},
        next_check::NextCheck,
        order::{IssueLease, Order, OrderState, PayParams, Prepay},
    },
    news::call_outcome::CallOutcome,
    rules::{change::OrderChange, schedule},
};

/// Total time for calls to WeChat Pay under one lease, in milliseconds: two calls of up to 3 s and
/// a query. Shorter than [`IssueLease::LEASE_S`].
pub const BUDGET_MS: u64 = 9_000;

/// What to do after a prepay call.
#[derive(Clone, Debug, PartialEq)]
pub enum IssueStep {
    Store(PrepayValue),
    /// Send the same call again, to the other host.
    Repeat,
    /// Query the order. It carries the refusal that counts if the order does not exist there;
    /// `None` if WeChat Pay only gives this answer for orders that exist.
    Query(Option<Refusal>),
    /// WeChat Pay refuses the order: `rejected`.
    Reject(Refusal),
    /// The result stays unknown for now; the order is unchanged, and a later attempt or the sweep
    /// continues.
    GiveUp(IssueFailure),
}

/// Why an attempt ends without a result.
#[derive(Clone, PartialEq)]
pub enum IssueFailure {
    /// WeChat Pay gave no authentic answer, or asked us to retry later.
    Unknown(String),
    /// WeChat Pay refuses, but an earlier call may have succeeded, so the order must not become
    /// rejected.
    RefusedAfterUnknown(Refusal),
    /// WeChat Pay refuses for a reason that is not this order: it may accept the order once an
    /// operator has fixed that.
    NotOfTheOrder(Refusal),
}

/// Shows codes only: WeChat Pay's free text may repeat what a payer or client wrote.
impl std::fmt::Debug for IssueFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(cause) => write!(f, "unknown outcome: {cause}"),
            Self::RefusedAfterUnknown(refusal) => {
                write!(f, "after an unknown outcome: {refusal}")
            }
            Self::NotOfTheOrder(refusal) => write!(f, "not for the order's sake: {refusal}"),
        }
    }
}

/// A prepay value, and what is stored with it.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuedPrepay {
    /// The value.
    pub prepay: Prepay,
    /// The event of an order that was `reserved`. Renewing a value changes no state and has none.
    pub event: Option<Event>,
    /// The order's next check.
    pub next_check: Option<NextCheck>,
    /// Whether the value lasts as long as the order, so that none follows and WeChat Pay's request
    /// body is needed no more.
    pub is_last: bool,
}

impl IssuedPrepay {
    /// The value that the order got at the time of `context`, as the payer's device takes it.
    pub fn new(order: &Order, params: PayParams, context: &ChangeContext) -> Self {
        let prepay = Prepay::issued(params, order.product, context.at, order.expires_at);
        let awaiting = OrderState::AwaitingPayment(prepay.clone());
        Self {
            is_last: prepay.expires_at >= order.expires_at,
            prepay,
            next_check: schedule::next_order_check(order, &awaiting, context.at),
            event: OrderChange::new(order, awaiting, context).events.pop(),
        }
    }
}

/// Decides about the answer to a prepay call.
///
/// `tries_left` is how often the same call may still be sent in this attempt; `clean` says that no
/// earlier result is unknown: no earlier attempt, and no unanswered call in this one. Only a clean
/// refusal rejects an order (shared/payments/STATES.md, 3.2).
pub fn after_prepay_answer(
    answer: CallOutcome<PrepayValue>,
    tries_left: u32,
    clean: bool,
) -> IssueStep {
    let unanswered = |cause| {
        if tries_left > 0 {
            IssueStep::Repeat
        } else {
            IssueStep::GiveUp(IssueFailure::Unknown(cause))
        }
    };
    let refusal = match answer {
        CallOutcome::Done(value) => return IssueStep::Store(value),
        // The order probably exists, and a repeat of the same bytes returns the value again.
        CallOutcome::Unreadable(unreadable) => return unanswered(unreadable.to_string()),
        CallOutcome::Unknown(cause) => return unanswered(cause),
        CallOutcome::Refused(refusal) => refusal,
    };
    if exists_at_wechat(&refusal.code) {
        return IssueStep::Query(None);
    }
    match refusal.side() {
        // A blocked account, missing permission or wrong setting refuses every order, so no order
        // is rejected for it. Unknown codes are treated the same. The next attempt queries the
        // order before it sends it.
        Side::Merchant | Side::Unknown => IssueStep::GiveUp(IssueFailure::NotOfTheOrder(refusal)),
        Side::Passing if refusal.repeat() == Repeat::WithBackoff && tries_left > 0 => {
            IssueStep::Repeat
        }
        // `RULE_LIMIT` may be a rate limit. Only its free text says so
        // (shared/wechatpay/PROTOCOL.md, 9.3), and we decide nothing on free text. If it is
        // permanent, the order expires.
        Side::Passing => IssueStep::GiveUp(IssueFailure::Unknown(refusal.to_string())),
        Side::Request if needs_query_first(&refusal) => IssueStep::Query(Some(refusal)),
        Side::Request if clean => IssueStep::Reject(refusal),
        Side::Request => IssueStep::GiveUp(IssueFailure::RefusedAfterUnknown(refusal)),
    }
}

/// Refusals that reject the order only once a query confirms that WeChat Pay has no such order. A
/// `PARAM_ERROR` without a field may be about a header, such as a wrong `Wechatpay-Serial`: then
/// the query is refused as well, and nothing is decided.
fn needs_query_first(refusal: &Refusal) -> bool {
    let names_a_field = refusal
        .detail
        .as_ref()
        .is_some_and(|detail| detail.field.is_some());
    match refusal.repeat() {
        Repeat::AfterQuery | Repeat::WithBackoff | Repeat::Later => true,
        Repeat::AfterTopUp | Repeat::AfterReview | Repeat::AfterChange | Repeat::Never => {
            refusal.code == ErrorCode::ParamError && !names_a_field
        }
    }
}

/// Whether this is the first attempt, so that no earlier call can have an unknown result.
pub fn is_first_attempt(lease: &IssueLease) -> bool {
    lease.count <= 1
}

/// Whether the order at WeChat Pay under this number is not ours: every attempt sends the same
/// bytes, and a repeat of those returns a value (shared/wechatpay/PROTOCOL.md, 5.1), so
/// `OUT_TRADE_NO_USED` is about other data. If the order already has a prepay value nothing can be
/// concluded: that value may have been paid.
pub fn is_number_used_elsewhere(answer: &CallOutcome<PrepayValue>, order: &Order) -> bool {
    let used = match answer {
        CallOutcome::Refused(refusal) => refusal.code == ErrorCode::OutTradeNoUsed,
        CallOutcome::Done(_) | CallOutcome::Unreadable(_) | CallOutcome::Unknown(_) => false,
    };
    used && order.state == OrderState::Reserved
}

/// Answers that WeChat Pay gives when it already has the number: the order's state decides, and a
/// query returns it.
fn exists_at_wechat(code: &ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::OutTradeNoUsed | ErrorCode::OrderPaid | ErrorCode::OrderClosed
    )
}

#[cfg(test)]
mod tests;
