//! The lines of our books, as they are read from the index of a day.

use wechatpay::UnixSeconds;

use super::refund_state::BookedRefund;

/// One booked payment or refund from the index of a day.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BookLine<'a> {
    /// A payment that is booked.
    Payment {
        /// WeChat Pay's number of it.
        transaction_id: &'a str,
        order_no: &'a str,
        /// What was paid, in fen.
        amount_fen: i64,
        /// The appid of the order.
        appid: &'a str,
        /// WeChat Pay's value for the product (交易类型), for the totals.
        trade_type: &'static str,
    },
    Refund {
        /// The number that we gave to WeChat Pay.
        out_refund_no: &'a str,
        /// WeChat Pay's number of it, if known.
        refund_id: Option<&'a str>,
        /// The payment that it refunds.
        transaction_id: &'a str,
        order_no: &'a str,
        amount_fen: i64,
        state: BookedRefund,
        /// WeChat Pay's value for the product of the order, for the totals. If unknown, it is
        /// counted under the product in its bill row, or without a row under
        /// [`OTHERS`](crate::totals::OTHERS).
        trade_type: Option<&'static str>,
    },
}

/// A payment from the index of a day that is not its order's booked one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParkedLine<'a> {
    /// WeChat Pay's number of it.
    pub transaction_id: &'a str,
    /// The order that it names.
    pub order_no: &'a str,
    /// What was paid, in fen.
    pub amount_fen: i64,
    /// When, by WeChat Pay's clock.
    pub at: UnixSeconds,
    /// WeChat Pay's value for the product of that order, if there is one.
    pub trade_type: Option<&'static str>,
}
