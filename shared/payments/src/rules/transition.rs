//! What a new state of a refund does to its order: money, events and the next check.

use wechatpay::UnixSeconds;

use crate::{
    model::{
        decision::{OperatorDecision, Redirection},
        ids::RefundNo,
        journal::{ChangeContext, Subject},
        order::{Order, OrderState, Payment, RefundTally},
        parked::ParkedState,
        refund::{NewRefund, PaymentKind, Refund, RefundState, RefundTerms, SLOT_S},
    },
    news::refund::RefundNews,
    rules::{
        change::{OrderChange, ParkedPaymentChange, RefundChange},
        schedule,
    },
};

/// The refund that returns a late payment, created in the same change that books that payment
/// (shared/payments/STATES.md, I5).
pub(crate) fn add_late_refund(
    change: OrderChange,
    payment: &Payment,
    notify_url: &str,
    context: &ChangeContext,
) -> OrderChange {
    let refund_no = RefundNo::of_late_money(&payment.transaction_id);
    let order = &change.from;
    let terms = RefundTerms {
        amount: order.amount,
        reason: None,
        transaction_id: None,
    };
    let refund = Refund::new(NewRefund {
        order_no: &order.order_no,
        refund_no: &refund_no,
        transaction_id: &payment.transaction_id,
        of: PaymentKind::Booked,
        total: order.amount,
        terms: &terms,
        notify_url,
        at: context.at,
        slot_at: context.at,
    });
    add_refund(change, refund, context)
}

/// Adds a new refund to a change: its reserved money, its slot among the order's refunds, its next
/// check, its event.
pub(crate) fn add_refund(
    change: OrderChange,
    mut refund: Refund,
    context: &ChangeContext,
) -> OrderChange {
    refund.due = match &refund.state {
        RefundState::Reserved => Some(schedule::refund_check_at(&refund.order_no, refund.slot_at)),
        RefundState::Processing
        | RefundState::Succeeded(_)
        | RefundState::Closed
        | RefundState::Refused(_)
        | RefundState::Abnormal => schedule::next_refund_check(&refund, &refund.state, context.at),
    };
    let committed_fen = match refund.of {
        PaymentKind::Booked => refund.amount.get(),
        PaymentKind::Parked => 0,
    };
    let parked_payment = match refund.of {
        PaymentKind::Booked => None,
        PaymentKind::Parked => Some(ParkedPaymentChange {
            transaction_id: refund.transaction_id.clone(),
            from: ParkedState::Parked,
            to: match &refund.state {
                RefundState::Succeeded(_) if refund.is_with_merchant() => ParkedState::WithMerchant,
                RefundState::Succeeded(_) => ParkedState::Refunded,
                RefundState::Reserved
                | RefundState::Processing
                | RefundState::Closed
                | RefundState::Refused(_)
                | RefundState::Abnormal => ParkedState::Refunding,
            },
        }),
    };
    let tally = change.refunds;
    let mut change = change.with_event(
        Subject::Refund(refund.refund_no.clone()),
        None,
        refund.state.name(),
        context,
    );
    if let Some(event) = change.events.last_mut() {
        event.next_try_at = refund.next_try_at(None);
    }
    change.refunds = RefundTally {
        committed_fen: tally.committed_fen.saturating_add(committed_fen),
        count: tally.count.saturating_add(1),
        next_at: after_slot(&tally, refund.slot_at),
        ..tally
    };
    if let Some(parked) = &parked_payment {
        change = parked.noted(change, context);
    }
    change.parked_payment = parked_payment;
    change.refund = Some(RefundChange::New(Box::new(refund)));
    change
}

/// The earliest time for the order's next refund after one at `slot_at`. Never earlier than before.
pub(crate) fn after_slot(tally: &RefundTally, slot_at: UnixSeconds) -> UnixSeconds {
    slot_at.plus_s(SLOT_S).max(tally.next_at)
}

/// The change of an order and one of its refunds when the refund goes to `state`; `news` is WeChat
/// Pay's, if any. The money follows: a success counts as refunded, a closed refund is no longer
/// reserved.
pub fn transition(
    order: &Order,
    refund: &Refund,
    state: RefundState,
    news: Option<&RefundNews>,
    context: &ChangeContext,
) -> OrderChange {
    let amount_fen = match refund.of {
        PaymentKind::Booked => refund.amount.get(),
        PaymentKind::Parked => 0,
    };
    // Our record of where it went is not enough: it may have been redirected in WeChat Pay's
    // console.
    let sent_elsewhere = news.is_some_and(RefundNews::went_to_merchant) && !refund.is_to_merchant();
    let redirected = if sent_elsewhere {
        Some(Redirection::in_the_console(context.at))
    } else {
        refund.redirected.clone()
    };
    let received_by = match &state {
        RefundState::Succeeded(_) => news.and_then(|news| news.received_by),
        RefundState::Reserved
        | RefundState::Processing
        | RefundState::Closed
        | RefundState::Refused(_)
        | RefundState::Abnormal => None,
    };
    let sent = Refund {
        redirected,
        received_by,
        ..refund.clone()
    };
    let mut refunds = order.refunds;
    let parked = match &state {
        RefundState::Succeeded(_) => {
            refunds.refunded_fen = refunds.refunded_fen.saturating_add(amount_fen);
            Some(if sent.is_with_merchant() {
                ParkedState::WithMerchant
            } else {
                ParkedState::Refunded
            })
        }
        RefundState::Closed => {
            refunds.committed_fen = refunds.committed_fen.saturating_sub(amount_fen);
            Some(match &refund.decided {
                Some(_) => ParkedState::Released,
                None => ParkedState::Parked,
            })
        }
        RefundState::Reserved
        | RefundState::Processing
        | RefundState::Refused(_)
        | RefundState::Abnormal => None,
    };
    let parked_payment = match refund.of {
        PaymentKind::Booked => None,
        PaymentKind::Parked => parked.map(|to| ParkedPaymentChange {
            transaction_id: refund.transaction_id.clone(),
            from: ParkedState::Refunding,
            to,
        }),
    };
    let order_state = match (&state, refund.of) {
        (RefundState::Succeeded(_), PaymentKind::Booked) => {
            after_refund(order, refunds.refunded_fen)
        }
        (
            RefundState::Succeeded(_)
            | RefundState::Reserved
            | RefundState::Processing
            | RefundState::Closed
            | RefundState::Refused(_)
            | RefundState::Abnormal,
            _,
        ) => order.state.clone(),
    };
    let trouble = match &state {
        RefundState::Refused(code) => Some(code.clone()),
        RefundState::Reserved
        | RefundState::Processing
        | RefundState::Succeeded(_)
        | RefundState::Closed
        | RefundState::Abnormal => None,
    };
    let moved = Refund {
        due: schedule::next_refund_check(&sent, &state, context.at),
        refund_id: news
            .map(|news| &news.refund_id)
            .or(refund.refund_id.as_ref())
            .cloned(),
        accepted_at: refund
            .accepted_at
            .or(news.and_then(|news| news.accepted_at)),
        trouble,
        trouble_since: None,
        overdue_since: None,
        state,
        ..sent
    };
    let mut change = OrderChange::new(order, order_state, context).with_event(
        Subject::Refund(refund.refund_no.clone()),
        Some(refund.state.name()),
        moved.state.name(),
        context,
    );
    if let Some(parked) = &parked_payment {
        change = parked.noted(change, context);
    }
    change.refunds = refunds;
    change.parked_payment = parked_payment;
    // Without this, the success alone would mean that the payer has the money. If WeChat Pay says
    // that the payer has it, this would mean that the payer must be paid.
    if let (RefundState::Succeeded(_), Some(sent)) = (&moved.state, &moved.redirected)
        && moved.is_with_merchant()
    {
        change = change.decided(&OperatorDecision::of_redirecting(sent));
    }
    change.refund = Some(RefundChange::Updated(
        Box::new(refund.clone()),
        Box::new(moved),
    ));
    change
}

/// The change when something other than the state of a refund changes: the event has the same state
/// before and after.
pub(crate) fn update_in_state(
    order: &Order,
    refund: &Refund,
    then: Refund,
    context: &ChangeContext,
) -> OrderChange {
    let state = refund.state.name();
    let subject = Subject::Refund(refund.refund_no.clone());
    let change = OrderChange::new(order, order.state.clone(), context);
    let mut change = change.with_event(subject, Some(state), state, context);
    change.refund = Some(RefundChange::Updated(
        Box::new(refund.clone()),
        Box::new(then),
    ));
    change
}

/// The state of an order once this much of its payment is refunded.
pub(crate) fn after_refund(order: &Order, refunded_fen: i64) -> OrderState {
    match &order.state {
        OrderState::Paid(payment)
        | OrderState::PartiallyRefunded(payment)
        | OrderState::PaidAfterClose(payment)
        | OrderState::Refunded(payment)
            if refunded_fen >= order.amount.get() =>
        {
            OrderState::Refunded(payment.clone())
        }
        OrderState::Paid(payment) | OrderState::PartiallyRefunded(payment) => {
            OrderState::PartiallyRefunded(payment.clone())
        }
        OrderState::PaidAfterClose(_)
        | OrderState::Refunded(_)
        | OrderState::Reserved
        | OrderState::AwaitingPayment(_)
        | OrderState::Closing
        | OrderState::Closed
        | OrderState::Rejected(_) => order.state.clone(),
    }
}
