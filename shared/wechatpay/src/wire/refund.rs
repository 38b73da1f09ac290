//! Refunds: the answer of the refund calls (manual page 4012791862), and the plaintext of a refund
//! notice (page 4012791865), which has fewer fields and calls the state `refund_status`.

use serde::{Deserialize, Serialize};

use crate::loose::{self, Json};
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
    /// The state; read it by [`Refund::state`].
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub status: Option<RefundStatus>,
    /// The state under the name that notices have for it: some answers carry this one.
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub refund_status: Option<RefundStatus>,
    /// Where the money goes: `ORIGINAL`, `BALANCE`, `OTHER_BALANCE`, `OTHER_BANKCARD`.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub channel: Option<String>,
    /// The receiving account in words.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub user_received_account: Option<String>,
    /// When it was accepted, RFC 3339.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub create_time: Option<String>,
    /// When the money was back, RFC 3339; only with `SUCCESS`.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub success_time: Option<String>,
    /// The merchant's account it is taken from, such as `AVAILABLE` or `UNSETTLED`.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub funds_account: Option<String>,
    /// The amounts.
    #[serde(deserialize_with = "loose::object")]
    pub amount: RefundAmount,
    /// The coupons that are given back, as they came: nothing in them decides how the refund
    /// stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion_detail: Option<Json>,
}

impl Refund {
    /// The state, by its documented name or else by the one of notices.
    #[must_use]
    pub fn state(&self) -> Option<&RefundStatus> {
        self.status.as_ref().or(self.refund_status.as_ref())
    }
}

/// The amounts of a refund, in fen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundAmount {
    /// The order's total.
    pub total: i64,
    /// This refund.
    pub refund: i64,
    /// What the user had paid.
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub payer_total: Option<i64>,
    /// What the user gets back.
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub payer_refund: Option<i64>,
    /// The order's total less non-cash coupons.
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub settlement_total: Option<i64>,
    /// This refund less non-cash coupons.
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub settlement_refund: Option<i64>,
    /// The part of coupons.
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub discount_refund: Option<i64>,
    /// `CNY`
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub currency: Option<String>,
    /// Which accounts it is taken from, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Json>,
    /// The fee that is given back.
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub refund_fee: Option<i64>,
}

/// A part of a requested refund, and the merchant's account to take it from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundSource {
    /// `AVAILABLE` or `UNAVAILABLE`.
    pub account: String,
    /// Fen.
    pub amount: i64,
}

/// Goods of a refund that is asked for. Amounts are in fen.
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
    /// The state. Here it is called `refund_status`; read it by [`RefundNotice::state`].
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub refund_status: Option<RefundStatus>,
    /// The state under the name that answers have for it.
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub status: Option<RefundStatus>,
    /// When the money was back, RFC 3339; only with `SUCCESS`.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub success_time: Option<String>,
    /// The receiving account in words.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub user_received_account: Option<String>,
    /// The amounts.
    #[serde(deserialize_with = "loose::object")]
    pub amount: RefundNoticeAmount,
}

impl RefundNotice {
    /// The state, by its documented name or else by the one of answers.
    #[must_use]
    pub fn state(&self) -> Option<&RefundStatus> {
        self.refund_status.as_ref().or(self.status.as_ref())
    }
}

/// The amounts of a refund notice, in fen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundNoticeAmount {
    /// The order's total.
    pub total: i64,
    /// This refund.
    pub refund: i64,
    /// What the user had paid.
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub payer_total: Option<i64>,
    /// What the user gets back.
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub payer_refund: Option<i64>,
}
