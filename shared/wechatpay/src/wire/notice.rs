//! Plaintexts of callbacks that are neither payments nor refunds.

use serde::{Deserialize, Serialize};

use super::transaction::{Payer, SceneInfo, TradeState};
use crate::loose;

/// One notice for all orders of a combined payment (manual page 4012556926). It comes as
/// `TRANSACTION.SUCCESS` with `original_type` `transaction`, like a single payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CombinedTransaction {
    /// The appid of the merchant that started the payment.
    pub combine_appid: String,
    /// The merchant number that started the payment.
    pub combine_mchid: String,
    /// The number of the whole.
    pub combine_out_trade_no: String,
    /// The orders in it.
    #[serde(deserialize_with = "loose::objects")]
    pub sub_orders: Vec<CombinedSubOrder>,
    /// Who paid.
    #[serde(
        default,
        deserialize_with = "loose::object_member",
        skip_serializing_if = "Option::is_none"
    )]
    pub combine_payer_info: Option<Payer>,
    /// The scene, as far as it is given back.
    #[serde(
        default,
        deserialize_with = "loose::object_member",
        skip_serializing_if = "Option::is_none"
    )]
    pub scene_info: Option<SceneInfo>,
}

/// One order of a combined payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CombinedSubOrder {
    /// The merchant number of this order.
    pub mchid: String,
    /// The merchant's number of this order.
    pub out_trade_no: String,
    /// The state.
    pub trade_state: TradeState,
    /// WeChat Pay's number of the payment.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub transaction_id: Option<String>,
    /// As in a single payment.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub trade_type: Option<String>,
    /// As in a single payment.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub bank_type: Option<String>,
    /// When it was paid, RFC 3339.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub success_time: Option<String>,
    /// The merchant's own text of the order.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub attach: Option<String>,
    /// How much was paid.
    #[serde(deserialize_with = "loose::object")]
    pub amount: CombinedAmount,
}

/// The amount of one order of a combined payment, in fen. The names differ from a single payment's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CombinedAmount {
    /// The order's total.
    pub total_amount: i64,
    /// What the user paid: the total less coupons.
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub payer_amount: Option<i64>,
    /// `CNY`
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub currency: Option<String>,
    /// `CNY`
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub payer_currency: Option<String>,
}

/// The notice to the *receiver* of a share of a payment, or of its return (page 4012289679). It
/// comes as `TRANSACTION.SUCCESS` too, with `original_type` `profitsharing`: not a payment, so no
/// member of it is required.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfitSharing {
    /// The merchant number.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub mchid: Option<String>,
    /// WeChat Pay's number of the payment that is shared.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub transaction_id: Option<String>,
    /// WeChat Pay's number of the sharing.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub order_id: Option<String>,
    /// The merchant's number of the sharing.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub out_order_no: Option<String>,
    /// Who gets how much.
    #[serde(
        default,
        deserialize_with = "loose::object_member",
        skip_serializing_if = "Option::is_none"
    )]
    pub receiver: Option<ProfitSharingReceiver>,
    /// When it was done, RFC 3339.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub success_time: Option<String>,
}

/// The receiver of a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfitSharingReceiver {
    /// `MERCHANT_ID` or a kind of openid.
    #[serde(
        default,
        rename = "type",
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub kind: Option<String>,
    /// The receiver's number.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub account: Option<String>,
    /// Fen.
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub amount: Option<i64>,
    /// What it is for.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub description: Option<String>,
}

/// The notice that follows `POST /v3/security/echo` (page 4015164042, `original_type` `security`).
/// Nothing is decided on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityEchoNotice {
    /// The text that was sent.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub echo_message: Option<String>,
    /// The text that was sent encrypted, now encrypted to the merchant certificate:
    /// `LocalKey::open_sensitive`.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub encrypt_echo_message: Option<String>,
}
