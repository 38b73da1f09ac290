//! Refunds: what a client may request, what is reserved before WeChat Pay is called, and what its
//! answers and notices do.
//!
//! ```text
//! reserved -> processing -> succeeded
//!    |   |        |  \-> closed          (a new refund may be asked for)
//!    |   |        \-> abnormal -> succeeded   (a person says where the money goes)
//!    |   \-> refused -> reserved         (a person tries again, under the same number)
//!    |          \-> closed               (a person gives the reserved money free)
//!    \-> succeeded | closed | abnormal   (an answer that skips a step)
//! ```
//!
//! If an operator redirected the money to the merchant's own account, WeChat Pay reports success
//! although the payer has received nothing. The payer is owed until an operator records how it was
//! paid ([`crate::refund_decision`]).

use serde::{Deserialize, Serialize};
use strict_json::Null;
use wechatpay::{
    UnixSeconds,
    api::{CreateRefund, RefundBody, RefundBodyAmount},
};

use crate::{
    due::{self, NextCheck},
    ids::{ClientId, IdempotencyKey, OrderNo, OutRefundNo, RefundId, RefundNo, TransactionId},
    journal::{ChangeContext, Subject},
    money::Fen,
    order::{Fingerprint, Order, OrderState, Payment, RefundTally},
    refund_decision::{
        DecidedBy, Destination, OperatorDecision, PayerPaid, Redirection, RefundDecision,
    },
    refund_news::RefundNews,
    request::{BadRequest, bad_field, fingerprint, text_in_bytes},
    settle::OrderChange,
};

/// A refund as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refund {
    /// The order.
    pub order_no: OrderNo,
    /// Its number under the order.
    pub refund_no: RefundNo,
    /// Its number at WeChat Pay. It never changes.
    pub out_refund_no: OutRefundNo,
    /// The payment that it refunds.
    pub transaction_id: TransactionId,
    /// Whether that is the order's booked payment or another one.
    pub of: PaymentKind,
    /// How much.
    pub amount: Fen,
    /// The whole of the payment.
    pub total: Fen,
    /// The text for the payer.
    pub reason: Option<String>,
    /// Where WeChat Pay sends its notice. Kept, since a repeat sends the same request.
    pub notify_url: String,
    /// Fingerprint of the request, to detect a number that is reused for something else.
    pub fingerprint: Fingerprint,
    /// Its state.
    pub state: RefundState,
    /// WeChat Pay's number of it, once it has one.
    pub refund_id: Option<RefundId>,
    /// Why it makes no progress, as WeChat Pay's code or one of [`crate::overdue`]: for example a
    /// balance that is too low.
    pub trouble: Option<String>,
    /// Since when, if that decides when an operator is notified.
    pub trouble_since: Option<UnixSeconds>,
    /// Since when it is overdue, so that an operator must act ([`crate::overdue`]).
    pub overdue_since: Option<UnixSeconds>,
    /// Who released its money, if an operator did.
    pub decided: Option<DecidedBy>,
    /// Where an operator last redirected its money, if WeChat Pay could not pay it out.
    pub redirected: Option<Redirection>,
    /// Who recorded that its payer was paid by other means, after its money went to the merchant.
    pub payer_paid: Option<PayerPaid>,
    /// When WeChat Pay accepted it, by WeChat Pay's clock: this decides which day's bill has it.
    /// Only answers to calls contain it; notices do not.
    pub accepted_at: Option<UnixSeconds>,
    /// When it was asked for.
    pub created_at: UnixSeconds,
    /// The earliest time to send it to WeChat Pay.
    pub slot_at: UnixSeconds,
    /// Number of attempts to send it. From the second attempt on, WeChat Pay is queried first.
    pub tries: u32,
    /// When the sweep checks it next. A non-final state always has one.
    pub due: Option<NextCheck>,
}

impl Refund {
    /// The earliest time at which it is sent to WeChat Pay (again); `None` if it was accepted there
    /// or waits for an operator. An order's refunds are sent a minute apart, and none while the
    /// merchant's refunds are paused (`paused_until`).
    pub fn next_try_at(&self, paused_until: Option<UnixSeconds>) -> Option<UnixSeconds> {
        let is_to_go = self.state == RefundState::Reserved;
        is_to_go.then(|| {
            let due = self.due.map_or(self.slot_at, |due| due.at);
            self.slot_at
                .max(due)
                .max(paused_until.unwrap_or(UnixSeconds(0)))
        })
    }
}

/// Which payment of an order a refund returns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PaymentKind {
    /// The one that is booked.
    Booked,
    /// Another one, which is parked.
    Parked,
}

/// The state of a refund.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RefundState {
    /// The money is reserved; WeChat Pay was not called yet, or its answer is unknown. Not final.
    Reserved,
    /// WeChat Pay accepted it. Not final.
    Processing,
    /// The money has arrived, at this time by WeChat Pay's clock. Final.
    Succeeded(UnixSeconds),
    /// It failed for good and its money is no longer reserved. Final; a new attempt is a new
    /// refund.
    Closed,
    /// WeChat Pay refused it with this code. The money stays reserved until an operator decides.
    Refused(String),
    /// WeChat Pay could not pay it out: an operator must redirect the money. Only a success ends
    /// this state.
    Abnormal,
}

impl RefundState {
    /// The name in our API, table and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Processing => "processing",
            Self::Succeeded(_) => "succeeded",
            Self::Closed => "closed",
            Self::Refused(_) => "refused",
            Self::Abnormal => "abnormal",
        }
    }
}

/// A parked payment: one for an order that is not its booked payment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParkedPayment {
    /// The payment.
    pub transaction_id: TransactionId,
    /// What was paid.
    pub amount: Fen,
    /// When it was paid.
    pub paid_at: UnixSeconds,
    /// Whether it belongs to this merchant and is in our currency, so that our refund can work.
    pub refundable: bool,
    /// Its state.
    pub state: ParkedState,
}

/// The state of a parked payment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ParkedState {
    /// It waits for an operator.
    Parked,
    /// A refund gives it back.
    Refunding,
    /// It was refunded. Final.
    Refunded,
    /// It was the order's own payment after all, and is booked as that. Final.
    Booked,
    /// Its refund went to the merchant's own account: the payer is still owed.
    WithMerchant,
    /// The payer is paid another way: an operator released its refund, or recorded it for money
    /// that went to the merchant. Final.
    Released,
}

impl ParkedState {
    const ALL: [Self; 6] = [
        Self::Parked,
        Self::Refunding,
        Self::Refunded,
        Self::Booked,
        Self::WithMerchant,
        Self::Released,
    ];

    /// The name in tables and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
            Self::Booked => "booked",
            Self::WithMerchant => "with_merchant",
            Self::Released => "released",
        }
    }

    /// The state by its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// The effect of a change on a refund.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RefundChange {
    /// It comes into being.
    New(Box<Refund>),
    /// It goes from the first to the second.
    Updated(Box<Refund>, Box<Refund>),
}

/// The effect of a change on a parked payment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParkedPaymentChange {
    /// Which.
    pub transaction_id: TransactionId,
    /// The state that it must still have.
    pub from: ParkedState,
    /// The state that it has then.
    pub to: ParkedState,
}

impl ParkedPaymentChange {
    /// The change of an order with the event of this one.
    pub(crate) fn noted(&self, change: OrderChange, context: &ChangeContext) -> OrderChange {
        change.with_event(
            Subject::Payment(self.transaction_id.clone()),
            Some(self.from.name()),
            self.to.name(),
            context,
        )
    }
}

/// A client's refund request, with its form checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefundRequest {
    /// Its number: the caller's own, or derived from its `Idempotency-Key`.
    pub refund_no: RefundNo,
    /// The other terms. All of them go into the fingerprint.
    pub terms: RefundTerms,
    /// Who approved it. A repeat is a repeat whoever sends it.
    pub approval: Approval,
}

/// Who approved a refund.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Approval {
    /// The caller of the API alone.
    Caller,
    /// Two different persons, in the console.
    TwoPersons,
}

/// The terms of a refund: a repeat must have the same ones.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RefundTerms {
    /// How much.
    pub amount: Fen,
    /// The text for the payer, up to 80 bytes.
    pub reason: Option<String>,
    /// A parked payment; the booked one if absent.
    pub transaction_id: Option<TransactionId>,
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

/// Why a refund is not taken on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RefundRejected {
    /// There is no payment to refund.
    #[error("the order is not paid")]
    NotPaid,
    /// More than is left of the payment.
    #[error("{left_fen} fen are left of the payment")]
    Exceeds {
        /// What is left, in fen.
        left_fen: i64,
    },
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
/// WeChat Pay accepts one refund a minute for each order, in seconds. Each new refund gets its own
/// slot. Since a slot may be missed, sending a refund also blocks the order for this time.
pub const SLOT_S: i64 = 60;

/// Value of [`Refund::trouble`] while an abnormal refund is being redirected.
pub const REDIRECTED: &str = "REDIRECTED";
/// Its value once the refund became abnormal again.
pub const ABNORMAL_AGAIN: &str = "ABNORMAL_AGAIN";

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

impl RefundTerms {
    /// The digest that distinguishes a repeat from another refund under the same number.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(self)
    }
}

impl Refund {
    /// Whether WeChat Pay has accepted it, as far as is known: then the bill of that day has it.
    pub fn is_accepted(&self) -> bool {
        match &self.state {
            RefundState::Reserved | RefundState::Refused(_) => false,
            RefundState::Processing | RefundState::Succeeded(_) | RefundState::Abnormal => true,
            // Unless an operator released its money because WeChat Pay has no such refund.
            RefundState::Closed => self.decided.is_none(),
        }
    }

    /// Whether it returns money that is owed back: a late payment, or a payment that is not its
    /// order's. When WeChat Pay closes it, that money is still owed. An operator's release settles
    /// it.
    pub fn returns_owed_money(&self) -> bool {
        let is_owed = match self.of {
            PaymentKind::Booked => self.refund_no.is_of_late_money(),
            PaymentKind::Parked => true,
        };
        is_owed && self.decided.is_none()
    }

    /// Whether an operator gave it up, after paying the payer another way or finding that nothing
    /// must be paid.
    pub fn is_released(&self) -> bool {
        self.state == RefundState::Closed && self.decided.is_some()
    }

    /// Whether an abnormal refund was redirected, and WeChat Pay has not reported it as abnormal
    /// again.
    pub fn is_redirected(&self) -> bool {
        self.trouble.as_deref() == Some(REDIRECTED)
    }

    /// Whether an operator redirected its money to the merchant's own account.
    pub fn is_to_merchant(&self) -> bool {
        self.redirected
            .as_ref()
            .is_some_and(|redirected| redirected.to == Destination::Merchant)
    }

    /// Whether its money is on the merchant's own account and it is not recorded yet how the payer
    /// was paid.
    pub fn owes_its_payer(&self) -> bool {
        matches!(self.state, RefundState::Succeeded(_))
            && self.is_to_merchant()
            && self.payer_paid.is_none()
    }

    /// The request for WeChat Pay. The same refund always gives the same bytes.
    pub fn request(&self) -> CreateRefund {
        CreateRefund::new(&RefundBody {
            transaction_id: Some(self.transaction_id.as_str().to_owned()),
            out_refund_no: self.out_refund_no.as_str().to_owned(),
            reason: self.reason.clone(),
            notify_url: Some(self.notify_url.clone()),
            amount: RefundBodyAmount {
                refund: self.amount.get(),
                total: self.total.get(),
                currency: "CNY".to_owned(),
                ..RefundBodyAmount::default()
            },
            ..RefundBody::default()
        })
    }
}

/// Whether a requested refund returns money that is owed back (late or parked). Then earlier
/// refunds of that money count too.
pub fn asks_for_owed_money(order: &Order, wanted: &RefundRequest) -> bool {
    wanted.terms.transaction_id.is_some() || matches!(order.state, OrderState::PaidAfterClose(_))
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
/// unchanged since then. `earlier` are the order's refunds, read after it, if [`asks_for_owed_money`].
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
    if context.at.0.saturating_sub(payment.paid_at.0) > REFUNDABLE_S {
        return Err(RefundRejected::TooLate);
    }
    let slot_at = UnixSeconds(context.at.0.max(order.refunds.next_at.0));
    let refund = Refund {
        order_no: order.order_no.clone(),
        out_refund_no: OutRefundNo::of(&order.order_no, &wanted.refund_no),
        refund_no: wanted.refund_no.clone(),
        transaction_id: payment.transaction_id,
        of,
        amount,
        total,
        reason: wanted.terms.reason.clone(),
        notify_url: notify_url.to_owned(),
        fingerprint: wanted.terms.fingerprint(),
        state: RefundState::Reserved,
        refund_id: None,
        trouble: None,
        trouble_since: None,
        overdue_since: None,
        decided: None,
        redirected: None,
        payer_paid: None,
        accepted_at: None,
        created_at: context.at,
        slot_at,
        tries: 0,
        due: Some(due::refund_check_at(&order.order_no, slot_at.0)),
    };
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
    let refund = Refund {
        order_no: order.order_no.clone(),
        out_refund_no: OutRefundNo::of(&order.order_no, &refund_no),
        refund_no,
        transaction_id: payment.transaction_id.clone(),
        of: PaymentKind::Booked,
        amount: order.amount,
        total: order.amount,
        reason: None,
        notify_url: notify_url.to_owned(),
        fingerprint: terms.fingerprint(),
        state: RefundState::Reserved,
        refund_id: None,
        trouble: None,
        trouble_since: None,
        overdue_since: None,
        decided: None,
        redirected: None,
        payer_paid: None,
        accepted_at: None,
        created_at: context.at,
        slot_at: context.at,
        tries: 0,
        due: Some(due::refund_check_at(&order.order_no, context.at.0)),
    };
    add_refund(change, refund, context)
}

/// Adds a new refund to a change: its reserved money, its slot among the order's refunds, its
/// event.
pub(crate) fn add_refund(
    change: OrderChange,
    refund: Refund,
    context: &ChangeContext,
) -> OrderChange {
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
                RefundState::Succeeded(_) if refund.is_to_merchant() => ParkedState::WithMerchant,
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
fn after_slot(tally: &RefundTally, slot_at: UnixSeconds) -> UnixSeconds {
    UnixSeconds(slot_at.0.saturating_add(SLOT_S).max(tally.next_at.0))
}

/// The change of an order and one of its refunds when the refund goes to `state`; `told` is WeChat
/// Pay's news, if any. The money follows: a success counts as refunded, a closed refund is no
/// longer reserved.
pub fn transition(
    order: &Order,
    refund: &Refund,
    state: RefundState,
    told: Option<&RefundNews>,
    context: &ChangeContext,
) -> OrderChange {
    let amount_fen = match refund.of {
        PaymentKind::Booked => refund.amount.get(),
        PaymentKind::Parked => 0,
    };
    // Our record of where it went is not enough: it may have been redirected in WeChat Pay's
    // console.
    let sent_elsewhere = told.is_some_and(RefundNews::went_to_merchant) && !refund.is_to_merchant();
    let redirected = if sent_elsewhere {
        Some(Redirection::in_the_console(context.at))
    } else {
        refund.redirected.clone()
    };
    let sent = Refund {
        redirected,
        ..refund.clone()
    };
    let mut refunds = order.refunds;
    let parked = match &state {
        RefundState::Succeeded(_) => {
            refunds.refunded_fen = refunds.refunded_fen.saturating_add(amount_fen);
            Some(if sent.is_to_merchant() {
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
        due: due::next_refund_check(&sent, &state, context.at),
        refund_id: told
            .map(|news| &news.refund_id)
            .or(refund.refund_id.as_ref())
            .cloned(),
        accepted_at: refund
            .accepted_at
            .or(told.and_then(|news| news.accepted_at)),
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
    // Without this, the success alone would look as if the payer had the money.
    if let (RefundState::Succeeded(_), Some(sent)) = (&moved.state, &moved.redirected)
        && sent.to == Destination::Merchant
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
                to.due = Some(due::refund_check_at(&order.order_no, slot_at.0));
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        journal::Cause,
        order::Rejection,
        settle::tests::{order, payment},
    };

    const NOW: UnixSeconds = UnixSeconds(1_000_000);

    pub(crate) fn context() -> ChangeContext {
        ChangeContext {
            cause: Cause::Request("req-1".into()),
            trace: "t".into(),
            at: NOW,
            request_id: None,
        }
    }

    fn wanted(refund_no: &str, fen: i64) -> RefundRequest {
        RefundRequest {
            refund_no: RefundNo::parse(refund_no).unwrap(),
            terms: RefundTerms {
                amount: Fen::new(fen).unwrap(),
                reason: None,
                transaction_id: None,
            },
            approval: Approval::Caller,
        }
    }

    fn paid() -> Order {
        order(OrderState::Paid(payment("420001")))
    }

    /// The stored order after a change.
    fn after(change: &OrderChange) -> Order {
        Order {
            state: change.to.clone(),
            refunds: change.refunds,
            version: change.version(),
            ..change.from.clone()
        }
    }

    pub(crate) fn new_refund(change: &OrderChange) -> Refund {
        match &change.refund {
            Some(RefundChange::New(refund)) => (**refund).clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn refund(state: RefundState) -> Refund {
        let change = reserve(
            &paid(),
            None,
            &[],
            &wanted("R1", 40),
            "https://n",
            &context(),
        )
        .unwrap();
        Refund {
            state,
            ..new_refund(&change)
        }
    }

    fn reserve_on(order: &Order, refund_no: &str, fen: i64) -> Result<OrderChange, RefundRejected> {
        reserve(
            order,
            None,
            &[],
            &wanted(refund_no, fen),
            "https://n",
            &context(),
        )
    }

    #[test]
    fn a_second_payment_is_given_back_by_two_persons_and_by_no_caller_alone() {
        let parked = |state| ParkedPayment {
            transaction_id: TransactionId::parse("420002").unwrap(),
            amount: Fen::new(100).unwrap(),
            paid_at: NOW,
            refundable: true,
            state,
        };
        let asked = |order: &Order, approval, state| {
            let mut wanted = wanted("R1", 100);
            wanted.terms.transaction_id = Some(TransactionId::parse("420002").unwrap());
            wanted.approval = approval;
            let parked = parked(state);
            reserve(order, Some(&parked), &[], &wanted, "https://n", &context()).map(drop)
        };
        let waits = ParkedState::Parked;
        let alone = asked(&paid(), Approval::Caller, waits);
        assert_eq!(alone, Err(RefundRejected::NeedsTwoPersons));
        assert_eq!(asked(&paid(), Approval::TwoPersons, waits), Ok(()));
        // Nothing is owed any more: every caller gets this answer.
        let gone = asked(&paid(), Approval::Caller, ParkedState::Refunded);
        assert_eq!(gone, Err(RefundRejected::Exceeds { left_fen: 0 }));
        // A payment of a wrong amount is not a second payment while the order is unpaid: it needs
        // no approval in the console.
        let unpaid = order(OrderState::Closed);
        assert_eq!(asked(&unpaid, Approval::Caller, waits), Ok(()));
    }

    #[test]
    fn refunds_never_pass_the_payment_and_take_slots_a_minute_apart() {
        let first = reserve_on(&paid(), "R1", 40).unwrap();
        assert_eq!(new_refund(&first).slot_at, NOW);
        let order = after(&first);
        let second = reserve_on(&order, "R2", 60).unwrap();
        assert_eq!(new_refund(&second).slot_at.0, NOW.0 + 60);
        assert_eq!(second.refunds.committed_fen, 100);
        assert_eq!(
            reserve_on(&order, "R2", 61),
            Err(RefundRejected::Exceeds { left_fen: 60 })
        );
        assert_eq!(
            reserve_on(&after(&second), "R3", 1),
            Err(RefundRejected::Exceeds { left_fen: 0 })
        );
    }

    #[test]
    fn only_a_paid_order_gives_back_for_a_year_and_fifty_times() {
        for state in [
            OrderState::Reserved,
            OrderState::Closing,
            OrderState::Closed,
            OrderState::Rejected(Rejection::Refused(None)),
        ] {
            assert_eq!(
                reserve_on(&order(state), "R1", 1),
                Err(RefundRejected::NotPaid)
            );
        }
        let mut old = paid();
        old.state = OrderState::Paid(Payment {
            paid_at: UnixSeconds(NOW.0 - REFUNDABLE_S),
            ..payment("420001")
        });
        assert!(reserve_on(&old, "R1", 1).is_ok());
        old.state = OrderState::Paid(Payment {
            paid_at: UnixSeconds(NOW.0 - REFUNDABLE_S - 1),
            ..payment("420001")
        });
        assert_eq!(reserve_on(&old, "R1", 1), Err(RefundRejected::TooLate));
        let mut often = paid();
        often.refunds.count = 49;
        let fiftieth = reserve_on(&often, "R1", 1).unwrap();
        assert_eq!(
            reserve_on(&after(&fiftieth), "R2", 1),
            Err(RefundRejected::TooMany)
        );
    }

    #[test]
    fn a_parked_payment_is_given_back_whole_and_once_and_touches_no_other_money() {
        let parked = ParkedPayment {
            transaction_id: TransactionId::parse("420002").unwrap(),
            amount: Fen::new(70).unwrap(),
            paid_at: NOW,
            refundable: true,
            state: ParkedState::Parked,
        };
        let mut asked = wanted("R1", 70);
        asked.approval = Approval::TwoPersons;
        asked.terms.transaction_id = Some(parked.transaction_id.clone());
        let change = reserve(&paid(), Some(&parked), &[], &asked, "https://n", &context()).unwrap();
        assert_eq!(change.refunds.committed_fen, 0);
        let refund = new_refund(&change);
        assert_eq!((refund.total.get(), refund.of), (70, PaymentKind::Parked));
        let done = transition(
            &after(&change),
            &refund,
            RefundState::Succeeded(NOW),
            None,
            &context(),
        );
        assert_eq!(done.to, OrderState::Paid(payment("420001")));
        assert_eq!(done.refunds.refunded_fen, 0);
        assert_eq!(
            done.parked_payment.map(|change| (change.from, change.to)),
            Some((ParkedState::Refunding, ParkedState::Refunded))
        );
        let refused = |parked: Option<&ParkedPayment>, fen| {
            let mut asked = wanted("R2", fen);
            asked.approval = Approval::TwoPersons;
            asked.terms.transaction_id = Some(TransactionId::parse("420002").unwrap());
            reserve(&paid(), parked, &[], &asked, "https://n", &context()).unwrap_err()
        };
        assert_eq!(
            refused(Some(&parked), 69),
            RefundRejected::Exceeds { left_fen: 70 }
        );
        assert_eq!(
            refused(Some(&parked), 71),
            RefundRejected::Exceeds { left_fen: 70 }
        );
        for state in [
            ParkedState::Refunding,
            ParkedState::Refunded,
            ParkedState::Booked,
        ] {
            let taken = ParkedPayment {
                state,
                ..parked.clone()
            };
            assert_eq!(
                refused(Some(&taken), 70),
                RefundRejected::Exceeds { left_fen: 0 },
                "{state:?}"
            );
        }
        let old = ParkedPayment {
            paid_at: UnixSeconds(NOW.0 - REFUNDABLE_S - 1),
            ..parked.clone()
        };
        assert_eq!(refused(Some(&old), 70), RefundRejected::TooLate);
        let foreign = ParkedPayment {
            refundable: false,
            ..parked
        };
        assert_eq!(refused(Some(&foreign), 70), RefundRejected::NoSuchPayment);
        assert_eq!(refused(None, 70), RefundRejected::NoSuchPayment);
    }

    #[test]
    fn money_follows_the_refund_that_moves_it() {
        let reserved = reserve_on(&paid(), "R1", 40).unwrap();
        let (order, refund) = (after(&reserved), new_refund(&reserved));
        let to = |state| transition(&order, &refund, state, None, &context());
        let done = to(RefundState::Succeeded(NOW));
        assert_eq!(done.to.name(), "partially_refunded");
        assert_eq!(
            (done.refunds.committed_fen, done.refunds.refunded_fen),
            (40, 40)
        );
        let names: Vec<_> = done
            .events
            .iter()
            .map(|event| (event.version, event.subject.kind(), event.to.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                (7, "order", "partially_refunded"),
                (8, "refund", "succeeded")
            ]
        );
        let closed = to(RefundState::Closed);
        assert_eq!(
            (closed.to.name(), closed.refunds.committed_fen),
            ("paid", 0)
        );
        for waiting in [
            RefundState::Processing,
            RefundState::Abnormal,
            RefundState::Refused("NO_AUTH".into()),
        ] {
            let change = to(waiting);
            assert_eq!(
                (change.to.name(), change.refunds.committed_fen),
                ("paid", 40)
            );
        }
        let rest = reserve_on(&after(&done), "R2", 60).unwrap();
        let all = transition(
            &after(&rest),
            &new_refund(&rest),
            RefundState::Succeeded(NOW),
            None,
            &context(),
        );
        assert_eq!(all.to.name(), "refunded");
    }

    #[test]
    fn a_refused_refund_goes_out_again_under_the_same_number_and_no_other_does() {
        let refused = refund(RefundState::Refused("NO_AUTH".into()));
        let change = retry(&paid(), &refused, None, &context()).unwrap();
        let Some(RefundChange::Updated(from, to)) = change.refund else {
            panic!()
        };
        assert_eq!(*from, refused);
        assert_eq!(to.out_refund_no, refused.out_refund_no);
        assert_eq!(
            (to.state.clone(), to.due.unwrap().at),
            (RefundState::Reserved, NOW)
        );
        for state in [
            RefundState::Reserved,
            RefundState::Processing,
            RefundState::Succeeded(NOW),
            RefundState::Closed,
            RefundState::Abnormal,
        ] {
            assert_eq!(retry(&paid(), &refund(state), None, &context()), None);
        }
    }

    #[test]
    fn only_a_persons_word_frees_the_money_of_a_refused_refund() {
        let mut order = paid();
        order.refunds.committed_fen = 40;
        let decided = || DecidedBy {
            who: "Li".into(),
            why: "paid in cash".into(),
        };
        let refused = refund(RefundState::Refused("NO_AUTH".into()));
        let change = release(&order, &refused, decided(), &context()).unwrap();
        assert_eq!(change.refunds.committed_fen, 0);
        let Some(RefundChange::Updated(_, to)) = change.refund else {
            panic!()
        };
        assert_eq!(
            (to.state, to.decided),
            (RefundState::Closed, Some(decided()))
        );
        for state in [
            RefundState::Reserved,
            RefundState::Processing,
            RefundState::Succeeded(NOW),
            RefundState::Closed,
            RefundState::Abnormal,
        ] {
            assert_eq!(release(&order, &refund(state), decided(), &context()), None);
        }
    }

    /// A late payment of 100 fen; `refund_no` was for this much of it, and an operator released
    /// that.
    fn late_and_released(refund_no: &RefundNo, fen: i64) -> (Order, Refund) {
        let mut late = order(OrderState::PaidAfterClose(payment("420001")));
        let mut refund = refund(RefundState::Refused("NO_AUTH".into()));
        refund.refund_no = refund_no.clone();
        refund.amount = Fen::new(fen).unwrap();
        late.refunds.committed_fen = fen;
        let decided = DecidedBy {
            who: "Li".into(),
            why: "paid by bank transfer".into(),
        };
        let change = release(&late, &refund, decided, &context()).unwrap();
        let Some(RefundChange::Updated(_, released)) = &change.refund else {
            panic!("{change:?}")
        };
        assert_eq!(released.due, None, "nobody is told of it any more");
        (after(&change), (**released).clone())
    }

    #[test]
    fn late_money_that_a_person_paid_back_another_way_is_not_given_back_again() {
        let of_ours = RefundNo::of_late_money(&payment("420001").transaction_id);
        let of_a_person = RefundNo::parse("R1").unwrap();
        let again = |order: &Order, earlier: &[Refund], fen| {
            let wanted = wanted("R2", fen);
            reserve(order, None, earlier, &wanted, "https://n", &context())
        };
        for refund_no in [of_ours, of_a_person] {
            let (late, released) = late_and_released(&refund_no, 100);
            let earlier = [released.clone()];
            assert_eq!(owed_fen(&late, &earlier), 0);
            for fen in [100, 1] {
                assert_eq!(again(&late, &earlier, fen), Err(RefundRejected::Released));
            }
            assert_eq!(
                again(&late, &earlier, 101),
                Err(RefundRejected::Exceeds { left_fen: 100 })
            );
            // If WeChat Pay closes it, the money is owed as before.
            let closed = Refund {
                decided: None,
                ..released
            };
            assert_eq!(owed_fen(&late, std::slice::from_ref(&closed)), 100);
            assert!(again(&late, &[closed], 100).is_ok());
        }
        let (late, released) = late_and_released(&RefundNo::parse("R1").unwrap(), 60);
        let earlier = [released];
        assert_eq!(owed_fen(&late, &earlier), 40);
        assert!(again(&late, &earlier, 40).is_ok());
        assert_eq!(again(&late, &earlier, 41), Err(RefundRejected::Released));
    }

    #[test]
    fn the_released_refund_of_an_ordinary_payment_leaves_its_money_to_be_refunded() {
        let mut order = paid();
        order.refunds.committed_fen = 40;
        let refused = refund(RefundState::Refused("NO_AUTH".into()));
        let decided = DecidedBy {
            who: "Li".into(),
            why: "wrong amount".into(),
        };
        let change = release(&order, &refused, decided, &context()).unwrap();
        assert!(reserve_on(&after(&change), "R2", 100).is_ok());
    }

    #[test]
    fn a_second_payment_whose_refund_a_person_released_is_done_with() {
        let parked = ParkedPayment {
            transaction_id: TransactionId::parse("420002").unwrap(),
            amount: Fen::new(70).unwrap(),
            paid_at: NOW,
            refundable: true,
            state: ParkedState::Parked,
        };
        let asked = |refund_no: &str| {
            let mut asked = wanted(refund_no, 70);
            asked.terms.transaction_id = Some(parked.transaction_id.clone());
            asked.approval = Approval::TwoPersons;
            asked
        };
        let reserve = |parked: &ParkedPayment, earlier: &[Refund], refund_no: &str| {
            let wanted = asked(refund_no);
            reserve(
                &paid(),
                Some(parked),
                earlier,
                &wanted,
                "https://n",
                &context(),
            )
        };
        let taken = reserve(&parked, &[], "R1").unwrap();
        let refused = Refund {
            state: RefundState::Refused("NO_AUTH".into()),
            ..new_refund(&taken)
        };
        let decided = DecidedBy {
            who: "Li".into(),
            why: "paid by bank transfer".into(),
        };
        let change = release(&after(&taken), &refused, decided, &context()).unwrap();
        assert_eq!(
            change
                .parked_payment
                .as_ref()
                .map(|change| (change.from, change.to)),
            Some((ParkedState::Refunding, ParkedState::Released))
        );
        let Some(RefundChange::Updated(_, released)) = change.refund else {
            panic!()
        };
        assert_eq!(released.due, None);
        let done = ParkedPayment {
            state: ParkedState::Released,
            ..parked.clone()
        };
        let again = reserve(&done, &[], "R2");
        assert_eq!(again, Err(RefundRejected::Released));
        // As an earlier version wrote it.
        let again = reserve(&parked, std::slice::from_ref(released.as_ref()), "R2");
        assert_eq!(again, Err(RefundRejected::Released));
        let closed = Refund {
            decided: None,
            ..*released
        };
        assert!(reserve(&parked, &[closed], "R2").is_ok());
    }

    #[test]
    fn a_refund_always_goes_out_as_the_same_bytes_and_names_where_its_notice_goes() {
        let one = refund(RefundState::Reserved);
        let later = Refund {
            tries: 7,
            refund_id: RefundId::parse("500001").ok(),
            ..refund(RefundState::Processing)
        };
        assert_eq!(one.request(), later.request());
        let sent = |refund: &Refund| -> serde_json::Value {
            serde_json::from_slice(refund.request().body()).unwrap()
        };
        let expected = serde_json::json!({
            "transaction_id": "420001", "out_refund_no": one.out_refund_no.as_str(), "notify_url": "https://n",
            "amount": {"refund": 40, "total": 100, "currency": "CNY"},
        });
        assert_eq!(sent(&one), expected);
        let with_reason = Refund {
            reason: Some("broken".into()),
            ..one
        };
        let mut expected = expected;
        expected["reason"] = "broken".into();
        assert_eq!(sent(&with_reason), expected);
    }

    #[test]
    fn no_refund_takes_a_slot_before_the_one_that_is_taken_already() {
        let mut order = paid();
        for (next_at, slot_at) in [(NOW.0 - 1, NOW.0), (NOW.0, NOW.0), (NOW.0 + 30, NOW.0 + 30)] {
            order.refunds.next_at = UnixSeconds(next_at);
            let change = reserve_on(&order, "R1", 1).unwrap();
            assert_eq!(new_refund(&change).slot_at.0, slot_at);
            assert_eq!(change.refunds.next_at.0, slot_at + SLOT_S);
            let refused = refund(RefundState::Refused("NO_AUTH".into()));
            let again = retry(&order, &refused, None, &context()).unwrap();
            assert_eq!(again.refunds.next_at.0, slot_at + SLOT_S);
        }
        let tally = RefundTally {
            next_at: UnixSeconds(NOW.0 + 600),
            ..RefundTally::NONE
        };
        assert_eq!(after_slot(&tally, NOW).0, NOW.0 + 600, "never earlier");
    }

    #[test]
    fn a_request_for_a_refund_is_checked_field_by_field() {
        let read = |body: &str, key| {
            RefundRequest::read(
                body.as_bytes(),
                key,
                &ClientId::new("shop"),
                &OrderNo::parse("ORDER-1").unwrap(),
            )
        };
        let good = read(
            r#"{"refund_no":"R1","amount_fen":40,"reason":"broken"}"#,
            None,
        )
        .unwrap();
        assert_eq!(good.refund_no.as_str(), "R1");
        assert_eq!(
            read(r#"{"amount_fen":40}"#, None),
            Err(BadRequest::NoNumber { field: "refund_no" })
        );
        let by_key = |key| read(r#"{"amount_fen":40}"#, Some(key)).unwrap().refund_no;
        assert_eq!(by_key("k1"), by_key("k1"));
        assert_ne!(by_key("k1"), by_key("k2"));
        for (body, field) in [
            (r#"{"refund_no":"R1","amount_fen":0}"#, "amount_fen"),
            (r#"{"refund_no":"R 1","amount_fen":1}"#, "refund_no"),
            (r#"{"refund_no":"auto-1","amount_fen":1}"#, "refund_no"),
            (r#"{"refund_no":"R1","amount_fen":1,"reason":""}"#, "reason"),
            (
                r#"{"refund_no":"R1","amount_fen":1,"reason":"一二三四五六七八九十一二三四五六七八九十一二三四五六七"}"#,
                "reason",
            ),
            (
                r#"{"refund_no":"R1","amount_fen":1,"transaction_id":"a b"}"#,
                "transaction_id",
            ),
        ] {
            assert!(
                matches!(read(body, None), Err(BadRequest::Field { field: named, .. }) if named == field),
                "{body}"
            );
        }
        assert!(matches!(
            read(r#"{"refund_no":"R1","amount_fen":1.5}"#, None),
            Err(BadRequest::Json(_))
        ));
    }
}
