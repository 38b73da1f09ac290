//! Parked payments and refunds: what WeChat Pay reported and the books could not take, and why.

use wechatpay::UnixSeconds;

use crate::model::{
    ids::{OrderNo, OutRefundNo, RefundId, TransactionId},
    money::Fen,
    refund::{ReceivedBy, Refund},
};

/// The id of a parked payment in the notices table: one for each payment, however it was found and
/// however often WeChat Pay reports it.
pub fn payment_notice_id(transaction_id: &str) -> String {
    format!("payment#{transaction_id}")
}

/// The same for a parked refund, by WeChat Pay's number of it.
pub fn refund_notice_id(refund_id: &str) -> String {
    format!("refund#{refund_id}")
}

/// A parked payment: one for an order that is not its booked payment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParkedPayment {
    pub transaction_id: TransactionId,
    /// What was paid.
    pub amount: Fen,
    pub paid_at: UnixSeconds,
    /// Whether it belongs to this merchant and is in our currency, so that our refund can work.
    pub refundable: bool,
    pub state: ParkedState,
}

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

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// The id in the notices table of a refund whose payer is owed, by WeChat Pay's number of it.
pub fn owed_notice_id(refund: &Refund) -> Option<String> {
    let refund_id = refund.refund_id.as_ref()?;
    Some(format!("owed#{}", refund_id.as_str()))
}

/// The text in the notices table about a refund whose money went to the merchant's own account.
pub fn owed_what_to_do(refund: &Refund) -> &'static str {
    match refund.received_by {
        Some(ReceivedBy::Payer) => PAYER_HAS_IT,
        Some(ReceivedBy::Merchant) => OWED,
        None => NOT_KNOWN_WHO_HAS_IT,
    }
}

const PAYER_HAS_IT: &str = "a refund was sent to the merchant's own account, and WeChat Pay says that the payer has its money: do not pay the payer. Look the refund up in WeChat Pay's console, then say what you found with POST .../payer-paid, or in our console where a difference stands for it";
const NOT_KNOWN_WHO_HAS_IT: &str = "a refund was sent to the merchant's own account and is through, and it is not known here whose account has its money: look it up in WeChat Pay's console. If the payer has nothing of it, pay the payer by other means. Then say what you found with POST .../payer-paid, or in our console where a difference stands for it";
const OWED: &str = "a refund went to the merchant's own account, so the payer has nothing of it: make sure of that in WeChat Pay's console, pay the payer by other means, then say how with POST .../payer-paid, or in our console where a difference stands for it";

/// A refund that does not fit the books, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefundToPark {
    /// The order that WeChat Pay names.
    pub order_no: OrderNo,
    /// The payment that it names.
    pub transaction_id: TransactionId,
    /// Its own number of the refund.
    pub refund_id: RefundId,
    /// The number that it was given.
    pub out_refund_no: OutRefundNo,
    /// How much, as reported.
    pub amount: Fen,
    /// Why it was not applied.
    pub reason: RefundParkReason,
}

impl RefundToPark {
    /// Its id in the notices table.
    pub fn notice_id(&self) -> String {
        refund_notice_id(self.refund_id.as_str())
    }
}

/// Why a refund was parked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RefundParkReason {
    /// Nothing is known of the order.
    #[error(
        "no order has this number: find out who made the payment and the refund at WeChat Pay, then book both by hand"
    )]
    UnknownOrder,
    /// A value differs from ours.
    #[error("{field} differs from ours: compare both sides before anything is booked")]
    Differs { field: &'static str },
    /// A refund that was made elsewhere, of a payment that the books do not have.
    #[error(
        "a refund made outside this system gives back more than the books hold for this order: look it up in WeChat Pay's console and book it by hand"
    )]
    ExceedsPayment,
    /// A refund that was made elsewhere, of a payment that is not the booked one.
    #[error(
        "a refund made outside this system is of a payment that is not the order's booked one: look it up in WeChat Pay's console, and book it by hand unless another system made both"
    )]
    OtherPayment,
    /// A refund that was made elsewhere, of a part of a parked payment.
    #[error(
        "a refund made outside this system gives back a part of a payment that is parked here: give the rest back in WeChat Pay's console too, and nothing of it here"
    )]
    PartOfParked,
    /// It was released, its money is no longer reserved, and now WeChat Pay pays it after all.
    #[error(
        "the refund was closed here and its money set free, but WeChat Pay pays it: check whether the payer was refunded twice"
    )]
    PaidAfterClose,
}

impl RefundParkReason {
    /// A stable name for tables and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UnknownOrder => "unknown_order",
            Self::Differs { field } => field,
            Self::ExceedsPayment => "exceeds_payment",
            Self::OtherPayment => "other_payment",
            Self::PartOfParked => "part_of_parked",
            Self::PaidAfterClose => "paid_after_close",
        }
    }
}

impl PaymentToPark {
    /// Its id in the notices table.
    pub fn notice_id(&self) -> String {
        payment_notice_id(self.transaction_id.as_str())
    }
}

/// A payment that is not applied to an order, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PaymentToPark {
    /// The order that WeChat Pay names.
    pub order_no: OrderNo,
    pub transaction_id: TransactionId,
    /// What was paid, as reported.
    pub amount: Fen,
    pub paid_at: UnixSeconds,
    /// Why it was not applied.
    pub reason: ParkReason,
}

/// Why money was parked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParkReason {
    /// Nothing is known of the order.
    #[error(
        "no order has this number: find out who made it at WeChat Pay, then book or refund it by hand"
    )]
    UnknownOrder,
    /// A value differs from the order's.
    #[error("{field} differs from the order's: compare both sides, then book or refund it by hand")]
    Differs { field: &'static str },
    /// The order is paid by another payment.
    #[error("the order is already paid by {paid_by}: refund this second payment")]
    SecondPayment {
        /// The payment that is booked.
        paid_by: TransactionId,
    },
    /// WeChat Pay says that a part of this payment was refunded, but not by us.
    #[error(
        "the payment was refunded outside this system, in part or whole: look it up at WeChat Pay before anything is delivered"
    )]
    RefundedElsewhere,
    /// The order was never created at WeChat Pay, because another system had used its number there.
    #[error(
        "another system that shares this merchant number has used the order's number: leave the payment to that system and tell the order's client to take a new number; nothing is booked or given back here. If our own record of the order was lost, compare with a backup first"
    )]
    NumberUsedElsewhere,
    /// It was paid before the order was created here.
    #[error(
        "the payment is older than the order: another system that shares this merchant number was paid under its number; find out which, and book or refund it there. If our own record of the order was lost, compare with a backup first"
    )]
    OlderThanOrder,
}

impl ParkReason {
    /// A stable name for tables and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UnknownOrder => "unknown_order",
            Self::Differs { field } => field,
            Self::SecondPayment { .. } => "second_payment",
            Self::RefundedElsewhere => "refunded_elsewhere",
            Self::NumberUsedElsewhere => "number_used_elsewhere",
            Self::OlderThanOrder => "older_than_order",
        }
    }
}
