//! A transaction: the answer of a query and, the same, the plaintext of a payment notice (manual
//! pages 4012791859, 4012791861).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::loose::{self, Json};
use crate::open_enum::open_enum;

open_enum! {
    /// The state of a trade (pages 4012791870, 4012791869).
    TradeState {
        /// Paid. May still become `Refund`.
        Success = "SUCCESS",
        /// At least one refund was accepted, even a partial one. The refund API has the details.
        Refund = "REFUND",
        /// Created and not paid; failed attempts stay here.
        NotPay = "NOTPAY",
        /// Closed, by the merchant or by WeChat after seven days.
        Closed = "CLOSED",
        /// Reversed; scan-code payments only.
        Revoked = "REVOKED",
        /// The user is typing the password; scan-code payments only.
        UserPaying = "USERPAYING",
        /// Failed; scan-code payments only.
        PayError = "PAYERROR",
    }
}

/// A transaction. The fields that identify it must have their shape. All else counts as absent when
/// it has not: what a paid one needs is for the reader to miss, and the rest decides nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// The appid of the order.
    pub appid: String,
    /// The merchant number.
    pub mchid: String,
    /// The merchant's order number.
    pub out_trade_no: String,
    /// The state.
    pub trade_state: TradeState,
    /// The state in words, for people.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub trade_state_desc: Option<String>,
    /// WeChat Pay's number of the payment. Paid ones only.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub transaction_id: Option<String>,
    /// `JSAPI`, `NATIVE`, `APP`, `MWEB` (H5), `MICROPAY`, `FACEPAY`. Paid ones only.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub trade_type: Option<String>,
    /// Such as `ICBC_DEBIT`, or `OTHERS` for the wallet. Paid ones only.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub bank_type: Option<String>,
    /// When it was paid, RFC 3339. Paid ones only.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub success_time: Option<String>,
    /// Who paid. Paid ones only.
    #[serde(
        default,
        deserialize_with = "loose::object_member",
        skip_serializing_if = "Option::is_none"
    )]
    pub payer: Option<Payer>,
    /// How much was paid. Paid ones only.
    #[serde(
        default,
        deserialize_with = "loose::object_member",
        skip_serializing_if = "Option::is_none"
    )]
    pub amount: Option<Amount>,
    /// The merchant's own text of the order.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub attach: Option<String>,
    /// The coupons that were used, as they came: nothing in them decides whether an order is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion_detail: Option<Json>,
    /// The scene, as far as it is given back.
    #[serde(
        default,
        deserialize_with = "loose::object_member",
        skip_serializing_if = "Option::is_none"
    )]
    pub scene_info: Option<SceneInfo>,
}

/// The user who pays. The openid is personal and stays out of `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payer {
    /// The user under the order's appid.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub openid: Option<String>,
}

impl fmt::Debug for Payer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.openid.is_some() {
            "Payer(redacted)"
        } else {
            "Payer(none)"
        })
    }
}

/// The amount of a transaction, in fen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// The order's total.
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub total: Option<i64>,
    /// What the user paid: the total less coupons.
    #[serde(
        default,
        deserialize_with = "loose::member",
        skip_serializing_if = "Option::is_none"
    )]
    pub payer_total: Option<i64>,
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

/// The scene of a payment, as it is given back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SceneInfo {
    /// The merchant's number of the device.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub device_id: Option<String>,
}
