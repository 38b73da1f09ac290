//! Settling: what a piece of news does to an order. There is one path for all sources: a callback,
//! a query, the sweep.

use crate::{
    model::{
        ids::ClientId,
        journal::ChangeContext,
        merchant::MerchantFacts,
        order::{Order, OrderState, Rejection},
        parked::{ParkReason, PaymentToPark},
    },
    news::trade::{ReportedPayment, TradeNotice, TradeOutcome},
    rules::{change::OrderChange, transition},
};

/// What news does to an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Settlement {
    /// Write this change.
    Change(Box<OrderChange>),
    /// The order already says so.
    AlreadyDone,
    /// The news changes nothing: the order is still unpaid.
    StillOpen,
    /// An operator must decide; the payment is parked in its own record and never applied.
    Park(PaymentToPark),
}

/// For an order we do not know: a payment is parked, anything else is ignored.
pub fn settle_unknown_trade(notice: &TradeNotice) -> Settlement {
    match &notice.outcome {
        TradeOutcome::Paid(money) => {
            Settlement::Park(parked(notice, money, ParkReason::UnknownOrder))
        }
        TradeOutcome::Unpaid | TradeOutcome::Closed => Settlement::StillOpen,
    }
}

/// Whether [`settle_trade`] and [`settle_unknown_trade`] change nothing by this news, whatever the
/// order: it is not paid yet.
pub fn is_still_open(notice: &TradeNotice) -> bool {
    match &notice.outcome {
        TradeOutcome::Unpaid => true,
        TradeOutcome::Paid(_) | TradeOutcome::Closed => false,
    }
}

/// A payment that is older than its order by this much, in seconds, is not the order's. A smaller
/// difference may be due to different clocks.
const OLDER_S: i64 = 60;

/// Decides what a notice does to the order as it was read.
pub fn settle_trade(
    order: &Order,
    facts: &MerchantFacts,
    notice: &TradeNotice,
    context: &ChangeContext,
) -> Settlement {
    match &notice.outcome {
        TradeOutcome::Paid(money) => {
            if let Some(reason) = of_another_system(order, &facts.mchid, notice, money) {
                return park_foreign(order, parked(notice, money, reason), context);
            }
            match first_mismatch(order, &facts.mchid, notice, money) {
                Some(field) => {
                    Settlement::Park(parked(notice, money, ParkReason::Differs { field }))
                }
                None => paid(order, notice, money, facts, context),
            }
        }
        TradeOutcome::Unpaid => Settlement::StillOpen,
        TradeOutcome::Closed => closed(order, context),
    }
}

/// Decides what a notice does to an order that was never sent to WeChat Pay: the order there under
/// this number is another system's, paid or not.
pub fn settle_foreign_trade(
    order: &Order,
    facts: &MerchantFacts,
    notice: &TradeNotice,
    context: &ChangeContext,
) -> Settlement {
    if order.state.payment().is_some() {
        return settle_trade(order, facts, notice, context);
    }
    match (&notice.outcome, &order.state) {
        (TradeOutcome::Paid(money), _) => {
            let parked = parked(notice, money, ParkReason::NumberUsedElsewhere);
            park_foreign(order, parked, context)
        }
        (TradeOutcome::Unpaid | TradeOutcome::Closed, OrderState::Reserved) => {
            Settlement::Change(Box::new(used_elsewhere(order, context)))
        }
        (TradeOutcome::Unpaid | TradeOutcome::Closed, _) => Settlement::AlreadyDone,
    }
}

/// Why a payment under an order's number cannot be for it: several systems may share one merchant
/// number, and each order number exists only once for all of them.
fn of_another_system(
    order: &Order,
    mchid: &str,
    notice: &TradeNotice,
    money: &ReportedPayment,
) -> Option<ParkReason> {
    if notice.order_no != order.order_no || notice.mchid != mchid {
        return None; // it came under another number
    }
    let age_s = order.created_at.since(money.payment.paid_at);
    match &order.state {
        OrderState::Rejected(Rejection::NumberUsedElsewhere) => {
            Some(ParkReason::NumberUsedElsewhere)
        }
        // The order was created for this earlier payment, so that it can be refunded.
        OrderState::Closed if order.client_id.as_str() == ClientId::UNATTRIBUTED => None,
        OrderState::Reserved
        | OrderState::AwaitingPayment(_)
        | OrderState::Closing
        | OrderState::Closed
        | OrderState::Rejected(Rejection::Refused(_)) => {
            (age_s >= OLDER_S).then_some(ParkReason::OlderThanOrder)
        }
        OrderState::Paid(_)
        | OrderState::PartiallyRefunded(_)
        | OrderState::Refunded(_)
        | OrderState::PaidAfterClose(_) => None,
    }
}

/// Another system's payment is parked. If the order has no prepay value yet, it can never get one
/// under this number.
fn park_foreign(order: &Order, parked: PaymentToPark, context: &ChangeContext) -> Settlement {
    if order.state == OrderState::Reserved {
        let change = used_elsewhere(order, context).with_parked_payment(parked, context);
        Settlement::Change(Box::new(change))
    } else {
        Settlement::Park(parked)
    }
}

fn used_elsewhere(order: &Order, context: &ChangeContext) -> OrderChange {
    let rejected = OrderState::Rejected(Rejection::NumberUsedElsewhere);
    OrderChange::new(order, rejected, context)
}

/// shared/payments/STATES.md, I4: booked means that all of these are equal to ours. Returns the
/// name of the first that differs.
fn first_mismatch(
    order: &Order,
    mchid: &str,
    notice: &TradeNotice,
    money: &ReportedPayment,
) -> Option<&'static str> {
    [
        (notice.order_no == order.order_no, "out_trade_no"),
        (notice.mchid == mchid, "mchid"),
        (notice.appid == order.appid, "appid"),
        (money.total == order.amount, "amount"),
        (money.currency == "CNY", "currency"),
    ]
    .into_iter()
    .find_map(|(equal, field)| (!equal).then_some(field))
}

fn paid(
    order: &Order,
    notice: &TradeNotice,
    money: &ReportedPayment,
    facts: &MerchantFacts,
    context: &ChangeContext,
) -> Settlement {
    // WeChat Pay says `REFUND` from the first refund on, also for ours.
    let refunded_elsewhere = (money.refunded && order.refunds.committed_fen == 0)
        .then(|| parked(notice, money, ParkReason::RefundedElsewhere));
    let change = match &order.state {
        OrderState::Reserved | OrderState::AwaitingPayment(_) | OrderState::Closing => {
            OrderChange::new(order, OrderState::Paid(money.payment.clone()), context)
        }
        // Owed back to the payer: the order was given up before the payment arrived. What others
        // refunded already is not refunded again.
        OrderState::Closed | OrderState::Rejected(_) => {
            let booked = OrderState::PaidAfterClose(money.payment.clone());
            let change = OrderChange::new(order, booked, context);
            if money.refunded {
                change
            } else {
                transition::add_late_refund(change, &money.payment, &facts.notify_url, context)
            }
        }
        OrderState::Paid(booked)
        | OrderState::PartiallyRefunded(booked)
        | OrderState::Refunded(booked)
        | OrderState::PaidAfterClose(booked) => {
            if booked.transaction_id != money.payment.transaction_id {
                let paid_by = booked.transaction_id.clone();
                return Settlement::Park(parked(
                    notice,
                    money,
                    ParkReason::SecondPayment { paid_by },
                ));
            }
            return match refunded_elsewhere {
                // Booked, and no refund is known. A parked payment stays parked.
                Some(parked)
                    if matches!(
                        order.state,
                        OrderState::Paid(_) | OrderState::PaidAfterClose(_)
                    ) =>
                {
                    Settlement::Park(parked)
                }
                Some(_) | None => Settlement::AlreadyDone,
            };
        }
    };
    Settlement::Change(Box::new(match refunded_elsewhere {
        Some(parked) => change.with_parked_payment(parked, context),
        None => change,
    }))
}

fn closed(order: &Order, context: &ChangeContext) -> Settlement {
    match &order.state {
        OrderState::Reserved | OrderState::AwaitingPayment(_) | OrderState::Closing => {
            Settlement::Change(Box::new(OrderChange::new(
                order,
                OrderState::Closed,
                context,
            )))
        }
        // An older message never changes a final state (shared/payments/STATES.md, I5).
        OrderState::Paid(_)
        | OrderState::PartiallyRefunded(_)
        | OrderState::Refunded(_)
        | OrderState::Closed
        | OrderState::Rejected(_)
        | OrderState::PaidAfterClose(_) => Settlement::AlreadyDone,
    }
}

fn parked(notice: &TradeNotice, money: &ReportedPayment, reason: ParkReason) -> PaymentToPark {
    PaymentToPark {
        order_no: notice.order_no.clone(),
        transaction_id: money.payment.transaction_id.clone(),
        amount: money.total,
        paid_at: money.payment.paid_at,
        reason,
    }
}

#[cfg(test)]
pub(crate) mod tests;
