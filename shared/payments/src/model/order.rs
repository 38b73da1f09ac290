//! An order as it is stored, and its states.

mod prepay;
mod product;
mod rejection;

pub use prepay::{PayParams, Prepay, PrepayDelivery, WrongValue, prepay_delivery};
pub use product::Product;
pub use rejection::Rejection;

use serde::{Deserialize, Serialize};
use wechatpay::UnixSeconds;

use crate::model::{
    fingerprint::Fingerprint,
    ids::{ClientId, OrderNo, TransactionId},
    journal::Event,
    money::Fen,
    next_check::NextCheck,
};

/// An order under a merchant number.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The order's number, WeChat Pay's `out_trade_no`.
    pub order_no: OrderNo,
    pub client_id: ClientId,
    /// Where the payer pays.
    pub product: Product,
    /// The appid that the order was made for.
    pub appid: String,
    /// The amount to be paid.
    pub amount: Fen,
    /// SHA-256 of the client's request, to detect a number that is reused for something else.
    pub fingerprint: Fingerprint,
    /// The exact body for WeChat Pay's prepay call, encrypted. Every issue and renewal sends the
    /// same bytes: WeChat Pay refuses another body under the same number. `None` once no further
    /// call can come: it names a payer, so it is not kept for longer.
    pub sealed_body: Option<Vec<u8>>,
    /// When the order was reserved.
    pub created_at: UnixSeconds,
    /// The last moment of payment (`time_expire`).
    pub expires_at: UnixSeconds,
    /// The lease: which process may call WeChat Pay for this order now.
    pub issue_lease: IssueLease,
    /// Whether it ever had a prepay value: WeChat Pay said, signed, that it has the order.
    pub issued: bool,
    /// The order's state.
    pub state: OrderState,
    /// What was refunded of its payment, and what is reserved for refunds.
    pub refunds: RefundTally,
    /// Counts the changes of the order and of everything under it. Every change names the version
    /// that it was decided on.
    pub version: u64,
    /// The latest change of the order alone, which its item embeds. `None` for an order of an
    /// earlier version, all of whose later events are items of their own.
    pub latest_event: Option<Event>,
    /// When the sweep checks the order next. A non-final state always has one.
    pub due: Option<NextCheck>,
}

impl Order {
    /// Whether the order can still be paid at `now` but has no usable prepay value.
    pub fn needs_prepay(&self, now: UnixSeconds) -> bool {
        match &self.state {
            OrderState::Reserved | OrderState::AwaitingPayment(_) => {
                self.expires_at > now && self.live_prepay(now).is_none()
            }
            OrderState::Paid(_)
            | OrderState::PartiallyRefunded(_)
            | OrderState::Refunded(_)
            | OrderState::Closing
            | OrderState::Closed
            | OrderState::Rejected(_)
            | OrderState::PaidAfterClose(_) => false,
        }
    }

    /// The prepay value that a payer can still use at `now`.
    pub fn live_prepay(&self, now: UnixSeconds) -> Option<&Prepay> {
        match &self.state {
            OrderState::AwaitingPayment(prepay)
                if prepay.expires_at > now && self.expires_at > now =>
            {
                Some(prepay)
            }
            OrderState::AwaitingPayment(_)
            | OrderState::Reserved
            | OrderState::Paid(_)
            | OrderState::PartiallyRefunded(_)
            | OrderState::Refunded(_)
            | OrderState::Closing
            | OrderState::Closed
            | OrderState::Rejected(_)
            | OrderState::PaidAfterClose(_) => None,
        }
    }
}

/// What was refunded of an order's booked payment, and what is reserved for refunds. `refunded_fen
/// <= committed_fen <=` the payment, always (shared/payments/STATES.md, I6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RefundTally {
    /// Fen reserved by refunds, arrived or in progress.
    pub committed_fen: i64,
    /// Fen that have arrived back at the payer.
    pub refunded_fen: i64,
    /// How many refunds there were, failed ones too.
    pub count: u32,
    /// Before this time no further refund of the order is sent: WeChat Pay accepts one a minute for
    /// each order.
    pub next_at: UnixSeconds,
}

impl RefundTally {
    /// Tally of an order without refunds.
    pub const NONE: Self = Self {
        committed_fen: 0,
        refunded_fen: 0,
        count: 0,
        next_at: UnixSeconds(0),
    };
}

/// The lease under which WeChat Pay is called for an order. One holder at a time, so that only one
/// prepay value is created and no caller gets an invalid one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IssueLease {
    /// The present or last holder.
    pub id: String,
    /// End of the lease, by our clock; it is free from then on.
    pub until: UnixSeconds,
    /// Number of leases so far. Only the first may reject an order: later an earlier call may have
    /// an unknown result.
    pub count: u32,
}

impl IssueLease {
    /// Length of a lease in seconds. Longer than [`crate::rules::issue_order::BUDGET_MS`], so that
    /// a holder has given up before the next one starts.
    pub const LEASE_S: i64 = 15;

    /// The first lease, taken in the write that reserves the order.
    pub fn first(id: String, now: UnixSeconds) -> Self {
        Self {
            id,
            until: now.plus_s(Self::LEASE_S),
            count: 1,
        }
    }

    /// No lease yet: the queue takes the first one.
    pub fn none(id: String) -> Self {
        Self {
            id,
            until: UnixSeconds(0),
            count: 0,
        }
    }

    /// Seconds until it is free, at least one; `None` when it is free.
    pub fn held_for_s(&self, now: UnixSeconds) -> Option<i64> {
        let left = self.until.since(now);
        (left > 0).then_some(left)
    }
}

/// The state of an order.
///
/// ```text
/// reserved -> awaiting_payment -> paid -> partially_refunded -> refunded
///    |  \-> paid     |    \-> closing -> closed -> paid_after_close -> refunded
///    |  \-> closing  |           \-> paid
///    \-> rejected    \-> paid                 rejected -> paid_after_close
/// ```
///
/// An order that is rejected because its number was used elsewhere stays rejected, whatever payment
/// arrives under its number.
#[derive(Clone, Debug, PartialEq)]
pub enum OrderState {
    /// The number is ours; WeChat Pay was not called yet, or its answer is unknown. Not final.
    Reserved,
    /// WeChat Pay has the order, and a payer can pay with this value. Not final.
    AwaitingPayment(Prepay),
    /// Paid. Left only by refunds.
    Paid(Payment),
    /// Paid, and partly refunded.
    PartiallyRefunded(Payment),
    /// Paid, and fully refunded. Final.
    Refunded(Payment),
    /// It is being closed at WeChat Pay. Not final.
    Closing,
    /// Closed at WeChat Pay. Changes only if a payment arrives after all.
    Closed,
    /// It was never created at WeChat Pay, and will not be. Changes only if a payment arrives after
    /// all that may be for it.
    Rejected(Rejection),
    /// A payment arrived after the close or the refusal; it is owed back to the payer.
    PaidAfterClose(Payment),
}

impl OrderState {
    /// The name in our API, table and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::AwaitingPayment(_) => "awaiting_payment",
            Self::Paid(_) => "paid",
            Self::PartiallyRefunded(_) => "partially_refunded",
            Self::Refunded(_) => "refunded",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Rejected(_) => "rejected",
            Self::PaidAfterClose(_) => "paid_after_close",
        }
    }

    /// The payment that is booked as *the* payment of the order.
    pub const fn payment(&self) -> Option<&Payment> {
        match self {
            Self::Paid(payment)
            | Self::PartiallyRefunded(payment)
            | Self::Refunded(payment)
            | Self::PaidAfterClose(payment) => Some(payment),
            Self::Reserved
            | Self::AwaitingPayment(_)
            | Self::Closing
            | Self::Closed
            | Self::Rejected(_) => None,
        }
    }

    /// Why the order was rejected, if it was.
    pub const fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Rejected(why) => Some(why),
            Self::Reserved
            | Self::AwaitingPayment(_)
            | Self::Paid(_)
            | Self::PartiallyRefunded(_)
            | Self::Refunded(_)
            | Self::Closing
            | Self::Closed
            | Self::PaidAfterClose(_) => None,
        }
    }
}

/// A payment that arrived for an order.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Payment {
    /// WeChat Pay's number of the payment.
    pub transaction_id: TransactionId,
    /// When it was paid, by WeChat Pay's clock (`success_time`).
    pub paid_at: UnixSeconds,
}

#[cfg(test)]
mod tests {
    use super::{OrderState, Product, Rejection};

    #[test]
    fn a_rejected_order_says_why_and_no_other_does() {
        let why = Rejection::NumberUsedElsewhere;
        let rejected = OrderState::Rejected(why.clone());
        assert_eq!(rejected.rejection(), Some(&why));
        assert_eq!(OrderState::Closed.rejection(), None);
    }

    #[test]
    fn a_product_has_the_word_that_bills_have_for_it() {
        for (product, word) in [
            (Product::Native, "NATIVE"),
            (Product::Jsapi, "JSAPI"),
            (Product::MiniProgram, "JSAPI"),
            (Product::App, "APP"),
            (Product::H5, "MWEB"),
        ] {
            assert_eq!(product.trade_type(), word);
        }
    }
}
