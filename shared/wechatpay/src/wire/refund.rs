//! Refunds: the answer of the refund calls (manual page 4012791862), and the plaintext of a refund notice (page
//! 4012791865), which has fewer fields and calls the state `refund_status`.

use serde::{Deserialize, Serialize};

use crate::open_enum::open_enum;

open_enum! {
    /// The state of a refund (page 4013071031).
    RefundStatus {
        /// The money is back.
        Success = "SUCCESS",
        /// Failed for good; another try needs a new refund number.
        Closed = "CLOSED",
        /// Accepted, on its way.
        Processing = "PROCESSING",
        /// The user's card is dead: `ApplyAbnormalRefund`, or by hand in the console.
        Abnormal = "ABNORMAL",
    }
}

/// A refund, as the create, query and abnormal-refund calls answer it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// WeChat Pay's number of the refund.
    pub refund_id: String,
    /// The merchant's number of the refund.
    pub out_refund_no: String,
    /// WeChat Pay's number of the payment.
    pub transaction_id: String,
    /// The merchant's order number.
    pub out_trade_no: String,
    /// The state.
    pub status: RefundStatus,
    /// Where the money goes: `ORIGINAL`, `BALANCE`, `OTHER_BALANCE`, `OTHER_BANKCARD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The receiving account in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_received_account: Option<String>,
    /// When it was accepted, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_time: Option<String>,
    /// When the money was back, RFC 3339; only with `SUCCESS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_time: Option<String>,
    /// The merchant's account it is taken from, such as `AVAILABLE` or `UNSETTLED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funds_account: Option<String>,
    /// The amounts.
    pub amount: RefundAmount,
    /// The coupons that are given back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub promotion_detail: Vec<RefundPromotion>,
}

/// The amounts of a refund, in fen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundAmount {
    /// The order's total.
    pub total: i64,
    /// This refund.
    pub refund: i64,
    /// What the user had paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer_total: Option<i64>,
    /// What the user gets back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer_refund: Option<i64>,
    /// The order's total less non-cash coupons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settlement_total: Option<i64>,
    /// This refund less non-cash coupons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settlement_refund: Option<i64>,
    /// The part of coupons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_refund: Option<i64>,
    /// `CNY`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Which accounts it is taken from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<RefundSource>,
    /// The fee that is given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_fee: Option<i64>,
}

/// A part of a refund and the merchant's account it is taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundSource {
    /// `AVAILABLE` or `UNAVAILABLE`.
    pub account: String,
    /// Fen.
    pub amount: i64,
}

/// A coupon that is given back. Amounts are in fen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundPromotion {
    /// The coupon's number.
    pub promotion_id: String,
    /// `GLOBAL` or `SINGLE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// `CASH` or `NOCASH`; older texts say `COUPON` or `DISCOUNT`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The coupon's value.
    pub amount: i64,
    /// The part given back.
    pub refund_amount: i64,
    /// The goods it was for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goods_detail: Vec<RefundGoods>,
}

/// Goods of a refund, in requests and answers. Amounts are in fen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundGoods {
    /// The merchant's number of the goods.
    pub merchant_goods_id: String,
    /// WeChat Pay's number of the goods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wechatpay_goods_id: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goods_name: Option<String>,
    /// The price of one.
    pub unit_price: i64,
    /// What is refunded for them.
    pub refund_amount: i64,
    /// How many are refunded.
    pub refund_quantity: i64,
}

/// The plaintext of a refund notice (`original_type` `refund`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundNotice {
    /// The merchant number.
    pub mchid: String,
    /// WeChat Pay's number of the payment.
    pub transaction_id: String,
    /// The merchant's order number.
    pub out_trade_no: String,
    /// WeChat Pay's number of the refund.
    pub refund_id: String,
    /// The merchant's number of the refund.
    pub out_refund_no: String,
    /// The state. Here it is called `refund_status`.
    pub refund_status: RefundStatus,
    /// When the money was back, RFC 3339; only with `SUCCESS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_time: Option<String>,
    /// The receiving account in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_received_account: Option<String>,
    /// The amounts.
    pub amount: RefundNoticeAmount,
}

/// The amounts of a refund notice, in fen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundNoticeAmount {
    /// The order's total.
    pub total: i64,
    /// This refund.
    pub refund: i64,
    /// What the user had paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer_total: Option<i64>,
    /// What the user gets back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer_refund: Option<i64>,
}
