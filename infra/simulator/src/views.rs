//! What the admin is shown, and what the admin asks for and is refused.

use serde::{Deserialize, Serialize};

use crate::{
    books::Store,
    order::{Order, Payment, TradeState},
    refund::RefundStatus,
};

/// An order and what follows from it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct OrderView {
    /// The order.
    #[serde(flatten)]
    pub order: Order,
    /// Where it stands.
    pub trade_state: TradeState,
    /// Whether a payer could pay it now.
    pub payable: bool,
    /// The one prepay value that pays it now; `None` if none would.
    pub live_value: Option<String>,
    /// Every payment of it, the first first. There is more than one only if it was paid again.
    pub payments: Vec<PaymentView>,
    /// What came in for it, in fen, coupons included.
    pub received_fen: i64,
    /// What is promised to go back, or went back: refunds that are not `CLOSED`.
    pub refund_committed_fen: i64,
    /// What went back: refunds that are `SUCCESS`.
    pub refunded_fen: i64,
}

/// A payment and what was refunded of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PaymentView {
    /// The payment.
    #[serde(flatten)]
    pub payment: Payment,
    /// What a query by its `transaction_id` answers.
    pub trade_state: TradeState,
    /// Refunds of it that are not `CLOSED`, in fen.
    pub refund_committed_fen: i64,
    /// Refunds of it that are `SUCCESS`, in fen.
    pub refunded_fen: i64,
}

impl OrderView {
    pub(crate) fn of(books: &Store, order: &Order, now_ms: i64) -> Self {
        let trade_state = books.state(order, now_ms);
        let payable = trade_state == TradeState::NotPay
            && now_ms < order.expires_ms.min(order.prepay.expires_ms);
        let payments: Vec<PaymentView> = order
            .payments()
            .map(|payment| PaymentView::of(books, payment))
            .collect();
        let sum = |fen: fn(&PaymentView) -> i64| payments.iter().map(fen).sum();
        Self {
            trade_state,
            payable,
            live_value: payable.then(|| order.prepay.value.clone()),
            received_fen: order.payments().map(|_| order.total_fen).sum(),
            refund_committed_fen: sum(|payment| payment.refund_committed_fen),
            refunded_fen: sum(|payment| payment.refunded_fen),
            payments,
            order: order.clone(),
        }
    }
}

impl PaymentView {
    fn of(books: &Store, payment: &Payment) -> Self {
        let sum = |counts: fn(RefundStatus) -> bool| {
            let refunds = books.refunds.of(&payment.transaction_id);
            refunds
                .filter(|refund| counts(refund.status))
                .map(|refund| refund.refund_fen)
                .sum()
        };
        Self {
            payment: payment.clone(),
            trade_state: books.payment_state(payment),
            refund_committed_fen: sum(|status| status != RefundStatus::Closed),
            refunded_fen: sum(|status| status == RefundStatus::Success),
        }
    }
}

/// Why a refund cannot be settled by the admin.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SettleError {
    /// There is none.
    #[error("there is no refund with this number")]
    Unknown,
    /// It has ended.
    #[error(
        "only a refund that is PROCESSING can be settled, and not as PROCESSING; one that is ABNORMAL only as SUCCESS"
    )]
    NotProcessing,
}

/// A refund that the merchant's staff make in WeChat Pay's console: the merchant's API never asked
/// for it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleRefund {
    /// The order, by its number or a prepay value.
    pub order: String,
    /// How much.
    pub refund_fen: i64,
    /// Its `out_refund_no`; one is made up unless told.
    pub out_refund_no: Option<String>,
    /// Which payment, for an order that was paid again; the first unless told.
    pub transaction_id: Option<String>,
    /// Sends a v3 notice there, as for a refund that another system of the same merchant asked for
    /// over the API. Without it the notice is WeChat Pay's own for the console: v2, to
    /// [`Settings::console_refund_url`](crate::Settings), if that is set.
    pub notify_url: Option<String>,
}

/// Why the console refuses a refund.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConsoleRefundError {
    /// There is no such order.
    #[error("no paid order has the number or prepay value {0}")]
    Unknown(String),
    /// Its number is another refund's, or cannot be one.
    #[error("out_refund_no is used already, or not 1 to 64 digits, letters, or _-|*@")]
    Number,
    /// The amount.
    #[error("refund_fen must be at least 1")]
    Amount,
    /// It breaks a rule of refunds.
    #[error("{code}: {message}")]
    Refused {
        /// The code that the API would answer.
        code: String,
        /// The reason.
        message: String,
    },
}
