//! What a client may have refunded, and the money that is reserved before WeChat Pay is called.

use serde::Deserialize;
use strict_json::Null;

use crate::{
    model::{
        ids::{ClientId, IdempotencyKey, OrderNo, OutRefundNo, RefundNo, TransactionId},
        journal::ChangeContext,
        money::Fen,
        order::{Order, OrderState, Payment},
        parked::{ParkedPayment, ParkedState},
        refund::{NewRefund, PaymentKind, Refund, RefundTerms},
    },
    rules::{
        change::OrderChange,
        request::{BadRequest, bad_field, text_in_bytes},
        transition::add_refund,
    },
};

/// A client's refund request, with its form checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefundRequest {
    /// Its number: the caller's own, or derived from its `Idempotency-Key`.
    pub refund_no: RefundNo,
    /// The other terms. All of them go into the fingerprint.
    pub terms: RefundTerms,
    /// Who approved it. A repeat is a repeat, whoever approved it.
    pub approval: Approval,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Approval {
    /// The caller of the API alone.
    Caller,
    /// Two different persons, in the console.
    TwoPersons,
}

/// The JSON of the request, as received.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundRequestJson {
    refund_no: Option<String>,
    amount_fen: i64,
    reason: Option<String>,
    transaction_id: Option<String>,
}

/// Why a refund is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RefundRejected {
    /// There is no payment to refund.
    #[error("the order is not paid")]
    NotPaid,
    /// More than is left of the payment.
    #[error("{left_fen} fen are left of the payment")]
    Exceeds { left_fen: i64 },
    /// The order already had as many refunds as WeChat Pay accepts.
    #[error("the order had as many refunds as WeChat Pay takes")]
    TooMany,
    /// The payment is too long ago.
    #[error("WeChat Pay takes refunds for 365 days after the payment")]
    TooLate,
    /// No such parked payment, or we cannot refund it.
    #[error("the order has no such payment that could be given back by us")]
    NoSuchPayment,
    /// A second payment of a paid order: two persons must approve its refund.
    #[error("two persons approve that a second payment goes back")]
    NeedsTwoPersons,
    /// The money was owed back to its payer, and an operator released a refund of it: the payer is
    /// paid another way.
    #[error("a person released a refund of it, so its payer is paid another way")]
    Released,
}

/// WeChat Pay accepts this many refunds for an order (shared/wechatpay/PROTOCOL.md, 6.2).
pub const REFUNDS_MAX: u32 = 50;

/// WeChat Pay accepts refunds for this long after the payment, in seconds: 365 days.
pub const REFUNDABLE_S: i64 = 365 * 24 * 3600;

impl RefundRequest {
    /// Parses a request body and the `Idempotency-Key` header of one client, for one of its orders.
    ///
    /// # Errors
    /// [`BadRequest`] names the first thing that is wrong.
    pub fn read(
        body: &[u8],
        idempotency_key: Option<&str>,
        client: &ClientId,
        order_no: &OrderNo,
    ) -> Result<Self, BadRequest> {
        let wire: RefundRequestJson = strict_json::read(body, Null::Refused)?;
        let key = idempotency_key.map(IdempotencyKey::parse).transpose()?;
        let refund_no = match (&wire.refund_no, key) {
            (Some(number), _) => {
                RefundNo::chosen(number).map_err(|problem| bad_field("refund_no", problem))?
            }
            (None, Some(key)) => RefundNo::derived(client, order_no, &key),
            (None, None) => return Err(BadRequest::NoNumber { field: "refund_no" }),
        };
        let reason = wire
            .reason
            .map(|reason| text_in_bytes("reason", &reason, 80))
            .transpose()?;
        let transaction_id = wire
            .transaction_id
            .map(|id| TransactionId::parse(&id))
            .transpose()
            .map_err(|problem| bad_field("transaction_id", problem))?;
        Ok(Self {
            refund_no,
            terms: RefundTerms {
                amount: Fen::new(wire.amount_fen).ok_or_else(|| {
                    bad_field(
                        "amount_fen",
                        format!("must be a whole number from 1 to {}", Fen::MAX.get()),
                    )
                })?,
                reason,
                transaction_id,
            },
            approval: Approval::Caller,
        })
    }
}

/// Whether a requested refund returns money that is owed back (late or parked). Then earlier
/// refunds of that money count too.
pub fn asks_for_owed_money(order: &Order, wanted: &RefundRequest) -> bool {
    wanted.terms.transaction_id.is_some() || matches!(order.state, OrderState::PaidAfterClose(_))
}

/// The refund that a request asks for once more, although the books have none of its number: its
/// record was lost with a restore of the table, and WeChat Pay's bill or notice brought it back
/// under another. At WeChat Pay it has the number that the request would be sent under. `refunds`
/// are the order's, read after it.
pub fn taken_back<'a>(
    order_no: &OrderNo,
    wanted: &RefundRequest,
    refunds: &'a [Refund],
) -> Option<&'a Refund> {
    let number = OutRefundNo::of(order_no, &wanted.refund_no);
    refunds.iter().find(|refund| refund.out_refund_no == number)
}

/// How much of a payment operators released, in fen: its payer is paid another way. `refunds` are
/// those of its order.
pub fn released_fen(refunds: &[Refund], transaction_id: &TransactionId) -> i64 {
    refunds
        .iter()
        .filter(|refund| refund.is_released() && refund.transaction_id == *transaction_id)
        .fold(0_i64, |sum, refund| sum.saturating_add(refund.amount.get()))
}

/// How much of an order's late payment is owed to its payer and not being refunded, in fen.
/// `refunds` are the order's, read after it.
pub fn owed_fen(order: &Order, refunds: &[Refund]) -> i64 {
    late_fen(order, refunds).saturating_sub(order.refunds.committed_fen)
}

/// How much of it has not arrived yet, in fen. Refunds in progress count as not arrived: they may
/// still fail.
pub fn outstanding_fen(order: &Order, refunds: &[Refund]) -> i64 {
    late_fen(order, refunds).saturating_sub(order.refunds.refunded_fen)
}

/// The late payment of an order, in fen, without what operators released.
fn late_fen(order: &Order, refunds: &[Refund]) -> i64 {
    match &order.state {
        OrderState::PaidAfterClose(payment) => order
            .amount
            .get()
            .saturating_sub(released_fen(refunds, &payment.transaction_id)),
        OrderState::Reserved
        | OrderState::AwaitingPayment(_)
        | OrderState::Paid(_)
        | OrderState::PartiallyRefunded(_)
        | OrderState::Refunded(_)
        | OrderState::Closing
        | OrderState::Closed
        | OrderState::Rejected(_) => 0,
    }
}

/// Accepts a refund of an order: reserves its money before WeChat Pay is called. `parked` is the
/// payment that the terms name, as it was read; the write succeeds only if order and payment are
/// unchanged since then. `earlier` are the order's refunds, read after it, if
/// [`asks_for_owed_money`].
///
/// # Errors
/// [`RefundRejected`].
pub fn reserve(
    order: &Order,
    parked: Option<&ParkedPayment>,
    earlier: &[Refund],
    wanted: &RefundRequest,
    notify_url: &str,
    context: &ChangeContext,
) -> Result<OrderChange, RefundRejected> {
    let amount = wanted.terms.amount;
    let (payment, total, of) = if wanted.terms.transaction_id.is_some() {
        let parked = parked
            .filter(|parked| parked.refundable)
            .ok_or(RefundRejected::NoSuchPayment)?;
        // It is refunded whole or not at all: no part of it was ever owed to us.
        let left_fen = match parked.state {
            ParkedState::Released => return Err(RefundRejected::Released),
            // An earlier version of this code left a released payment `parked`.
            ParkedState::Parked if released_fen(earlier, &parked.transaction_id) > 0 => {
                return Err(RefundRejected::Released);
            }
            // The same rule in the API and in the console: two persons must approve.
            ParkedState::Parked
                if is_second(order, &parked.transaction_id)
                    && wanted.approval == Approval::Caller =>
            {
                return Err(RefundRejected::NeedsTwoPersons);
            }
            ParkedState::Parked => parked.amount.get(),
            ParkedState::Refunding
            | ParkedState::Refunded
            | ParkedState::WithMerchant
            | ParkedState::Booked => 0,
        };
        if amount.get() != left_fen {
            return Err(RefundRejected::Exceeds { left_fen });
        }
        let payment = Payment {
            transaction_id: parked.transaction_id.clone(),
            paid_at: parked.paid_at,
        };
        (payment, parked.amount, PaymentKind::Parked)
    } else {
        let payment = order.state.payment().ok_or(RefundRejected::NotPaid)?;
        let left_fen = order
            .amount
            .get()
            .saturating_sub(order.refunds.committed_fen);
        if amount.get() > left_fen {
            return Err(RefundRejected::Exceeds { left_fen });
        }
        if asks_for_owed_money(order, wanted) && amount.get() > owed_fen(order, earlier) {
            return Err(RefundRejected::Released);
        }
        (payment.clone(), order.amount, PaymentKind::Booked)
    };
    if order.refunds.count >= REFUNDS_MAX {
        return Err(RefundRejected::TooMany);
    }
    if context.at.since(payment.paid_at) > REFUNDABLE_S {
        return Err(RefundRejected::TooLate);
    }
    let refund = Refund::new(NewRefund {
        order_no: &order.order_no,
        refund_no: &wanted.refund_no,
        transaction_id: &payment.transaction_id,
        of,
        total,
        terms: &wanted.terms,
        notify_url,
        at: context.at,
        slot_at: context.at.max(order.refunds.next_at),
    });
    let change = OrderChange::new(order, order.state.clone(), context);
    Ok(add_refund(change, refund, context))
}

/// Whether a parked payment is a second payment of an order that is already paid. Reconciliation
/// calls it a duplicate payment, whatever the reason for parking.
fn is_second(order: &Order, parked: &TransactionId) -> bool {
    order
        .state
        .payment()
        .is_some_and(|booked| booked.transaction_id != *parked)
}

/// Whether a refund needs two persons in the console: an API caller alone cannot do any step of it.
pub fn needs_two_persons(order: &Order, refund: &Refund) -> bool {
    match refund.of {
        PaymentKind::Booked => false,
        PaymentKind::Parked => is_second(order, &refund.transaction_id),
    }
}

#[cfg(test)]
pub(crate) mod tests;
