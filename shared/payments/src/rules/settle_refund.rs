//! What news about a refund does to it and to its order.

use wechatpay::api::{ErrorCode, Refusal, Repeat, Side};

use crate::{
    model::{
        decision::{OperatorDecision, Redirection},
        ids::RefundNo,
        journal::ChangeContext,
        merchant::MerchantFacts,
        order::Order,
        parked::{ParkedPayment, ParkedState, RefundParkReason, RefundToPark},
        refund::{NewRefund, PaymentKind, Refund, RefundState, RefundTerms},
    },
    news::refund::{RefundNews, ReportedRefundStatus},
    rules::{
        change::OrderChange,
        transition::{add_refund, transition},
    },
};

/// The effect of news on a refund and its order.
#[derive(Clone, Debug, PartialEq)]
pub enum RefundSettlement {
    /// Write this change.
    Change(Box<OrderChange>),
    /// The books already have this state or a later one.
    AlreadyDone,
    /// It is still in progress.
    StillOpen,
    /// It refunds a payment that the books do not have yet: it must be processed again after that.
    PaymentNotBooked,
    /// An operator must decide; nothing is applied.
    Park(RefundToPark),
}

/// Decides about news of a refund whose order we do not know.
pub fn settle_unknown_refund(news: &RefundNews) -> RefundSettlement {
    park(news, RefundParkReason::UnknownOrder)
}

/// Decides what news does to the order and the refund as they were read. `found` is our refund with
/// the number in the news; without one the refund was made outside this system.
pub fn settle_refund(
    order: &Order,
    found: Option<&Refund>,
    facts: &MerchantFacts,
    news: &RefundNews,
    context: &ChangeContext,
) -> RefundSettlement {
    match found {
        Some(refund) => match first_mismatch(order, refund, facts, news) {
            Some(field) => park(news, RefundParkReason::Differs { field }),
            None => settle_known(order, refund, news, context),
        },
        None => settle_external(order, facts, news, context),
    }
}

/// shared/payments/STATES.md, I7: a result applies only if all of these are equal to ours. Returns
/// the name of the first that differs.
fn first_mismatch(
    order: &Order,
    refund: &Refund,
    facts: &MerchantFacts,
    news: &RefundNews,
) -> Option<&'static str> {
    let same_id = refund
        .refund_id
        .as_ref()
        .is_none_or(|id| *id == news.refund_id);
    [
        (is_ours(facts, news), "mchid"),
        (news.order_no == order.order_no, "out_trade_no"),
        (news.out_refund_no == refund.out_refund_no, "out_refund_no"),
        (
            news.transaction_id == refund.transaction_id,
            "transaction_id",
        ),
        (same_id, "refund_id"),
        (news.amount == refund.amount, "amount.refund"),
        (news.total == refund.total, "amount.total"),
    ]
    .into_iter()
    .find_map(|(equal, field)| (!equal).then_some(field))
}

fn is_ours(facts: &MerchantFacts, news: &RefundNews) -> bool {
    news.mchid
        .as_ref()
        .is_none_or(|mchid| *mchid == facts.mchid)
}

fn settle_known(
    order: &Order,
    refund: &Refund,
    news: &RefundNews,
    context: &ChangeContext,
) -> RefundSettlement {
    // Its money was released because WeChat Pay had no such refund, and now WeChat Pay pays it.
    let moves = match news.status {
        ReportedRefundStatus::Processing
        | ReportedRefundStatus::Succeeded(_)
        | ReportedRefundStatus::Abnormal => true,
        ReportedRefundStatus::Closed => false,
    };
    if moves && refund.decided.is_some() {
        return park(news, RefundParkReason::PaidAfterClose);
    }
    let to = match (&refund.state, news.status) {
        // An older message never changes a final state (shared/payments/STATES.md, I5).
        (RefundState::Succeeded(_), _)
        | (
            RefundState::Closed,
            ReportedRefundStatus::Closed
            | ReportedRefundStatus::Processing
            | ReportedRefundStatus::Abnormal,
        )
        | (RefundState::Abnormal, ReportedRefundStatus::Abnormal) => {
            return RefundSettlement::AlreadyDone;
        }
        (RefundState::Closed, ReportedRefundStatus::Succeeded(_)) => {
            return park(news, RefundParkReason::PaidAfterClose);
        }
        (RefundState::Processing | RefundState::Abnormal, ReportedRefundStatus::Processing) => {
            return RefundSettlement::StillOpen;
        }
        (
            RefundState::Reserved
            | RefundState::Processing
            | RefundState::Refused(_)
            | RefundState::Abnormal,
            ReportedRefundStatus::Succeeded(at),
        ) => RefundState::Succeeded(at),
        (
            RefundState::Reserved
            | RefundState::Processing
            | RefundState::Refused(_)
            | RefundState::Abnormal,
            ReportedRefundStatus::Closed,
        ) => RefundState::Closed,
        (
            RefundState::Reserved | RefundState::Processing | RefundState::Refused(_),
            ReportedRefundStatus::Abnormal,
        ) => RefundState::Abnormal,
        (RefundState::Reserved | RefundState::Refused(_), ReportedRefundStatus::Processing) => {
            RefundState::Processing
        }
    };
    RefundSettlement::Change(Box::new(transition(order, refund, to, Some(news), context)))
}

/// A refund made in WeChat Pay's console: it is booked if it is of the booked payment and the money
/// is there; otherwise an operator must check it.
fn settle_external(
    order: &Order,
    facts: &MerchantFacts,
    news: &RefundNews,
    context: &ChangeContext,
) -> RefundSettlement {
    let stopped_by = not_of_booked(order, news);
    settle_made_elsewhere(order, PaymentKind::Booked, stopped_by, facts, news, context)
}

/// The outcome of a refund of the order's own payment that cannot be booked; `None` if it can.
fn not_of_booked(order: &Order, news: &RefundNews) -> Option<RefundSettlement> {
    let Some(payment) = order.state.payment() else {
        // the news of the payment arrives, or the sweep queries it
        return Some(RefundSettlement::PaymentNotBooked);
    };
    let left_fen = order
        .amount
        .get()
        .saturating_sub(order.refunds.committed_fen);
    let reason = if payment.transaction_id != news.transaction_id {
        RefundParkReason::OtherPayment
    } else if news.total != order.amount {
        OTHER_TOTAL
    } else if news.amount.get() > left_fen {
        RefundParkReason::ExceedsPayment
    } else {
        return None;
    };
    Some(park(news, reason))
}

/// The payment's amount is another one in the news.
const OTHER_TOTAL: RefundParkReason = RefundParkReason::Differs {
    field: "amount.total",
};

/// Decides about news of a refund that was made outside this system: one that moved money and is
/// this merchant's is booked, unless something stops that which its payment says.
fn settle_made_elsewhere(
    order: &Order,
    of: PaymentKind,
    stopped_by: Option<RefundSettlement>,
    facts: &MerchantFacts,
    news: &RefundNews,
    context: &ChangeContext,
) -> RefundSettlement {
    let Some(state) = state_elsewhere(news.status) else {
        return RefundSettlement::AlreadyDone;
    };
    if !is_ours(facts, news) {
        return park(news, RefundParkReason::Differs { field: "mchid" });
    }
    stopped_by.unwrap_or_else(|| {
        let imported = import_external(order, of, state, facts, news, context);
        RefundSettlement::Change(Box::new(imported))
    })
}

fn park(news: &RefundNews, reason: RefundParkReason) -> RefundSettlement {
    RefundSettlement::Park(RefundToPark {
        order_no: news.order_no.clone(),
        transaction_id: news.transaction_id.clone(),
        refund_id: news.refund_id.clone(),
        out_refund_no: news.out_refund_no.clone(),
        amount: news.amount,
        reason,
    })
}

/// Decides about news of a refund that was made outside this system and returns a payment that is
/// not its order's: `parked`, as it was read. A refund of the whole payment is booked, so that it
/// is not refunded here again.
pub fn settle_parked_refund(
    order: &Order,
    parked: &ParkedPayment,
    facts: &MerchantFacts,
    news: &RefundNews,
    context: &ChangeContext,
) -> RefundSettlement {
    let stopped_by = not_of_parked(parked, news);
    settle_made_elsewhere(order, PaymentKind::Parked, stopped_by, facts, news, context)
}

/// The outcome of a refund of a parked payment that cannot be booked; `None` if it can.
fn not_of_parked(parked: &ParkedPayment, news: &RefundNews) -> Option<RefundSettlement> {
    // Most likely another system's payment: its refunds are not ours.
    if !parked.refundable {
        return Some(park(news, RefundParkReason::OtherPayment));
    }
    let reason = match parked.state {
        // since the order was read
        ParkedState::Booked => return Some(RefundSettlement::PaymentNotBooked),
        ParkedState::Refunding
        | ParkedState::Refunded
        | ParkedState::WithMerchant
        | ParkedState::Released => RefundParkReason::ExceedsPayment,
        ParkedState::Parked if news.total != parked.amount => OTHER_TOTAL,
        ParkedState::Parked if news.amount != parked.amount => RefundParkReason::PartOfParked,
        ParkedState::Parked => return None,
    };
    Some(park(news, reason))
}

/// First state of a refund that was made outside this system. `None` if no money moved.
fn state_elsewhere(status: ReportedRefundStatus) -> Option<RefundState> {
    match status {
        ReportedRefundStatus::Closed => None,
        ReportedRefundStatus::Processing => Some(RefundState::Processing),
        ReportedRefundStatus::Succeeded(at) => Some(RefundState::Succeeded(at)),
        ReportedRefundStatus::Abnormal => Some(RefundState::Abnormal),
    }
}

fn import_external(
    order: &Order,
    of: PaymentKind,
    state: RefundState,
    facts: &MerchantFacts,
    news: &RefundNews,
    context: &ChangeContext,
) -> OrderChange {
    let terms = RefundTerms {
        amount: news.amount,
        reason: None,
        transaction_id: match of {
            PaymentKind::Booked => None,
            PaymentKind::Parked => Some(news.transaction_id.clone()),
        },
    };
    let refund = Refund {
        out_refund_no: news.out_refund_no.clone(),
        state: state.clone(),
        refund_id: Some(news.refund_id.clone()),
        redirected: news
            .went_to_merchant()
            .then(|| Redirection::in_the_console(context.at)),
        received_by: match &state {
            RefundState::Succeeded(_) => news.received_by,
            RefundState::Reserved
            | RefundState::Processing
            | RefundState::Closed
            | RefundState::Refused(_)
            | RefundState::Abnormal => None,
        },
        accepted_at: news.accepted_at,
        tries: 1, // it is at WeChat Pay: the next check queries it
        ..Refund::new(NewRefund {
            order_no: &order.order_no,
            refund_no: &RefundNo::of_console_refund(&news.refund_id),
            transaction_id: &news.transaction_id,
            of,
            total: news.total,
            terms: &terms,
            notify_url: &facts.notify_url,
            at: context.at,
            slot_at: context.at,
        })
    };
    let refunded_fen = match (state, of) {
        (RefundState::Succeeded(_), PaymentKind::Booked) => {
            order.refunds.refunded_fen.saturating_add(news.amount.get())
        }
        (
            RefundState::Succeeded(_)
            | RefundState::Reserved
            | RefundState::Processing
            | RefundState::Closed
            | RefundState::Refused(_)
            | RefundState::Abnormal,
            _,
        ) => order.refunds.refunded_fen,
    };
    let to = if refunded_fen > order.refunds.refunded_fen {
        crate::rules::transition::after_refund(order, refunded_fen)
    } else {
        order.state.clone()
    };
    let sent = refund.redirected.clone();
    let mut change = add_refund(OrderChange::new(order, to, context), refund, context);
    if let Some(sent) = &sent {
        change = change.decided(&OperatorDecision::of_redirecting(sent));
    }
    change.refunds.refunded_fen = refunded_fen;
    change
}

/// What to do after WeChat Pay refused a refund.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RefusalStep {
    /// It may have been accepted after all: query later, then repeat.
    Later,
    /// The merchant's balance is too low: all its refunds are paused for a while.
    Pause,
    /// WeChat Pay refuses it as it is, if a query confirms that it does not exist there.
    Refuse {
        /// WeChat Pay's code.
        code: String,
    },
}

/// How long a refund is retried that is refused because of the merchant's account or with an
/// unknown code, in seconds. After that an operator must act: the cause may never go away, and the
/// payer waits for the money.
const REPEATED_FOR_S: i64 = 24 * 3600;

/// Decides about a refusal of a refund that was due `waits_s` seconds ago. Error answers are not
/// signed, so none of them proves that no money moves: even the clearest only leads to a query
/// (shared/wechatpay/PROTOCOL.md, 3.2).
pub fn after_refusal(refusal: &Refusal, waits_s: i64) -> RefusalStep {
    let refuse = RefusalStep::Refuse {
        code: refusal.raw_code.clone(),
    };
    match refusal.side() {
        Side::Request => refuse,
        Side::Merchant if refusal.repeat() == Repeat::AfterTopUp => RefusalStep::Pause,
        // About our own clock, serial or certificate, or a proxy's page: not about the refund.
        Side::Merchant if refusal.code == ErrorCode::SignError => RefusalStep::Later,
        Side::Unknown if refusal.raw_code.is_empty() => RefusalStep::Later,
        Side::Passing if matches!(refusal.repeat(), Repeat::WithBackoff | Repeat::Later) => {
            RefusalStep::Later
        }
        // `RULE_LIMIT` is among them: it may be a rate limit or permanent.
        Side::Merchant | Side::Unknown | Side::Passing if waits_s < REPEATED_FOR_S => {
            RefusalStep::Later
        }
        Side::Merchant | Side::Unknown | Side::Passing => refuse,
    }
}

#[cfg(test)]
pub(crate) mod tests;
