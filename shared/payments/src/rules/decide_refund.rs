//! Operators' decisions about a refund that WeChat Pay could not pay out: where its money goes,
//! and, if that is the merchant's own account, that the payer was paid by other means.
//!
//! ```text
//! abnormal -> sent on -> succeeded                     to another card of the payer's
//!         |          \-> succeeded, the payer is owed -> the payer was paid    to the merchant
//!         |          \-> abnormal again                a person decides again
//!         \-> not taken by WeChat Pay                  a person decides again
//! ```
//!
//! The destination is stored before WeChat Pay is called. So it is on record even after a crash in
//! between, and a success is never mistaken for money that the payer has.

use wechatpay::UnixSeconds;

use crate::{
    model::{
        decision::{
            DecidedBy, Destination, OperatorDecision, PayerPaid, Redirection, RefundDecision,
        },
        journal::ChangeContext,
        order::Order,
        parked::ParkedState,
        refund::{PaymentKind, REDIRECTED, Refund, RefundState, SLOT_S},
    },
    rules::{
        change::{OrderChange, ParkedPaymentChange, RefundChange},
        schedule,
        transition::{after_slot, transition, update_in_state},
    },
};

/// An operator releases the money of a refused refund, after making sure that WeChat Pay has no
/// such refund; `None` if it is not refused.
pub fn release(
    order: &Order,
    refund: &Refund,
    decided: DecidedBy,
    context: &ChangeContext,
) -> Option<OrderChange> {
    match &refund.state {
        RefundState::Refused(_) => {
            let decision = OperatorDecision::of(RefundDecision::Release, &decided);
            let decided = Refund {
                decided: Some(decided),
                ..refund.clone()
            };
            let change = transition(order, &decided, RefundState::Closed, None, context);
            Some(change.decided(&decision))
        }
        RefundState::Reserved
        | RefundState::Processing
        | RefundState::Succeeded(_)
        | RefundState::Closed
        | RefundState::Abnormal => None,
    }
}

/// An operator retries a refused refund under the same number; `None` if it is not refused.
/// `decided` is who and why, if given.
pub fn retry(
    order: &Order,
    refund: &Refund,
    decided: Option<&DecidedBy>,
    context: &ChangeContext,
) -> Option<OrderChange> {
    match &refund.state {
        RefundState::Refused(_) => {
            let slot_at = UnixSeconds(context.at.0.max(order.refunds.next_at.0));
            let again = Refund {
                slot_at,
                ..refund.clone()
            };
            let mut change = transition(order, &again, RefundState::Reserved, None, context);
            change.refunds.next_at = after_slot(&order.refunds, slot_at);
            if let Some(RefundChange::Updated(from, to)) = &mut change.refund {
                **from = refund.clone();
                to.due = Some(schedule::refund_check_at(&order.order_no, slot_at));
            }
            if let Some(event) = change.events.last_mut() {
                event.next_try_at = Some(slot_at);
            }
            Some(match decided {
                Some(decided) => {
                    change.decided(&OperatorDecision::of(RefundDecision::Retry, decided))
                }
                None => change,
            })
        }
        RefundState::Reserved
        | RefundState::Processing
        | RefundState::Succeeded(_)
        | RefundState::Closed
        | RefundState::Abnormal => None,
    }
}

/// How long a redirect blocks another one, in seconds: the longest time a call to WeChat Pay can
/// take.
pub const UNDER_WAY_S: i64 = 60;

/// Whether another redirect of the refund may be under way at WeChat Pay: another operator's, or
/// one that may have named another card of the payer.
pub fn is_being_redirected(refund: &Refund, wanted: &Redirection) -> bool {
    refund.is_redirected()
        && refund.redirected.as_ref().is_some_and(|redirected| {
            let is_the_same =
                wanted.to == Destination::Merchant && redirected.is_the_same_as(wanted);
            let since = redirected.last_sent_at();
            !is_the_same && wanted.at.since(since) < UNDER_WAY_S
        })
}

/// Stores where the money of an abnormal refund goes, before WeChat Pay is called; `None` if it is
/// not abnormal. The sweep queries the result in a minute.
pub fn redirect(
    order: &Order,
    refund: &Refund,
    redirected: Redirection,
    context: &ChangeContext,
) -> Option<OrderChange> {
    match &refund.state {
        RefundState::Abnormal => {}
        RefundState::Reserved
        | RefundState::Processing
        | RefundState::Succeeded(_)
        | RefundState::Closed
        | RefundState::Refused(_) => return None,
    }
    let decision = OperatorDecision::of_redirecting(&redirected);
    let then = Refund {
        trouble: Some(REDIRECTED.to_owned()),
        trouble_since: Some(context.at),
        overdue_since: None,
        redirected: Some(redirected),
        due: Some(schedule::refund_check_at(
            &order.order_no,
            context.at.plus_s(SLOT_S),
        )),
        ..refund.clone()
    };
    Some(update_in_state(order, refund, then, context).decided(&decision))
}

/// Undoes a redirect that WeChat Pay refused or did not carry out, for the reason `code`, while the
/// refund stays abnormal. `None` if something else was decided since, if it is not abnormal, or if
/// another process has made the same call: that call may still be under way and succeed. The sweep
/// queries it in a minute.
pub fn undo_redirect(
    order: &Order,
    refund: &Refund,
    wanted: &Redirection,
    code: &str,
    context: &ChangeContext,
) -> Option<OrderChange> {
    let stands = refund.redirected.as_ref() == Some(wanted);
    if !stands || refund.state != RefundState::Abnormal {
        return None;
    }
    let then = Refund {
        trouble: Some(code.to_owned()),
        trouble_since: None,
        redirected: None,
        due: schedule::next_refund_check(refund, &refund.state, context.at),
        ..refund.clone()
    };
    Some(update_in_state(order, refund, then, context))
}

/// An operator records how the payer was paid whose money went to the merchant's own account;
/// `None` if it did not go there. This also settles a parked payment. A second statement replaces
/// the first.
pub fn confirm_payer_paid(
    order: &Order,
    refund: &Refund,
    decided: DecidedBy,
    context: &ChangeContext,
) -> Option<OrderChange> {
    match &refund.state {
        RefundState::Succeeded(_) if refund.is_to_merchant() => {}
        RefundState::Succeeded(_)
        | RefundState::Reserved
        | RefundState::Processing
        | RefundState::Closed
        | RefundState::Refused(_)
        | RefundState::Abnormal => return None,
    }
    let decision = OperatorDecision::of(RefundDecision::PayerPaid, &decided);
    let then = Refund {
        payer_paid: Some(PayerPaid {
            decided,
            at: context.at,
        }),
        due: None,
        ..refund.clone()
    };
    let mut change = update_in_state(order, refund, then, context);
    // If WeChat Pay says that the payer has the money, the payment is refunded already.
    let is_with_merchant = refund.is_with_merchant() && refund.payer_paid.is_none();
    if refund.of == PaymentKind::Parked && is_with_merchant {
        let parked = ParkedPaymentChange {
            transaction_id: refund.transaction_id.clone(),
            from: ParkedState::WithMerchant,
            to: ParkedState::Released,
        };
        change = parked.noted(change, context);
        change.parked_payment = Some(parked);
    }
    Some(change.decided(&decision))
}

#[cfg(test)]
mod tests;
