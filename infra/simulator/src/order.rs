//! Orders as WeChat Pay keeps them, and what a payer can do to one.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    clock::{self, DAY_MS},
    endpoint::Product,
};

/// Unpaid orders are closed by WeChat Pay after this long.
pub(crate) const CLOSED_AFTER_MS: i64 = 7 * DAY_MS;

/// An order. Times are Unix milliseconds, amounts are fen.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Order {
    /// The merchant's number.
    pub out_trade_no: String,
    /// How it is to be paid.
    pub product: Product,
    /// The appid it was created for.
    pub appid: String,
    pub mchid: String,
    /// What the payer reads.
    pub description: String,
    /// The amount in fen.
    pub total_fen: i64,
    /// Where the callback goes.
    pub notify_url: String,
    /// Returned in queries and callbacks once paid.
    pub attach: Option<String>,
    /// The payer that a JSAPI order names.
    pub openid: Option<String>,
    /// `scene_info.device_id`.
    pub device_id: Option<String>,
    /// The request that created it; a repeat must be equal to it.
    pub request: Value,
    /// The value that pays it. A repeat of the request replaces it.
    pub prepay: Prepay,
    /// Values that were replaced and are worth nothing now.
    pub dead_values: Vec<String>,
    pub created_ms: i64,
    /// The last moment of payment.
    pub expires_ms: i64,
    /// When the merchant closed it.
    pub closed_ms: Option<i64>,
    /// The payment, once there is one.
    pub payment: Option<Payment>,
    /// Money that came although the order was paid already; each has a number of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_payments: Vec<Payment>,
    /// Payers' attempts that came to nothing: what happened, and when.
    pub attempts: Vec<Attempt>,
}

/// What a prepay request gives: one of `prepay_id`, `code_url`, `h5_url`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Prepay {
    /// The value as it was answered.
    pub value: String,
    /// The id behind it; for JSAPI and APP the value itself.
    pub prepay_id: String,
    /// When it stops working: 2 hours, for H5 5 minutes.
    pub expires_ms: i64,
}

/// Money that arrived.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Payment {
    /// WeChat Pay's number, 28 digits.
    pub transaction_id: String,
    pub openid: String,
    pub paid_ms: i64,
    /// `OTHERS` is the wallet.
    pub bank_type: String,
    /// The part that a coupon paid, in fen.
    pub coupon_fen: i64,
}

/// An attempt to pay that came to nothing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Attempt {
    pub outcome: AttemptOutcome,
    pub at_ms: i64,
}

/// How an attempt to pay came to nothing. Neither changes the order: WeChat Pay says `NOTPAY` on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The payer turned away.
    Cancelled,
    /// The bank refused, or the wallet was empty.
    Failed,
}

/// `trade_state` of an order.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TradeState {
    /// Created and not paid.
    NotPay,
    /// Paid.
    Success,
    /// Paid, and a refund was accepted, even a partial one.
    Refund,
    /// Closed by the merchant, or by WeChat Pay after seven days.
    Closed,
}

impl TradeState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotPay => "NOTPAY",
            Self::Success => "SUCCESS",
            Self::Refund => "REFUND",
            Self::Closed => "CLOSED",
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::NotPay => "订单未支付",
            Self::Success => "支付成功",
            Self::Refund => "订单发生过退款",
            Self::Closed => "订单已关闭",
        }
    }
}

impl Order {
    /// The order's state. A payment takes precedence: an order paid after it was closed is paid.
    pub(crate) fn state(&self, has_refund: bool, now_ms: i64) -> TradeState {
        let old = now_ms
            >= self
                .created_ms
                .saturating_add(CLOSED_AFTER_MS.max(self.lifetime_ms()));
        match (&self.payment, self.closed_ms) {
            (Some(_), _) if has_refund => TradeState::Refund,
            (Some(_), _) => TradeState::Success,
            (None, Some(_)) => TradeState::Closed,
            (None, None) if old => TradeState::Closed,
            (None, None) => TradeState::NotPay,
        }
    }

    fn lifetime_ms(&self) -> i64 {
        self.expires_ms.saturating_sub(self.created_ms)
    }

    /// Whether `value` is its live prepay value, or the id behind that.
    pub(crate) fn is_paid_by(&self, value: &str) -> bool {
        value == self.prepay.value || value == self.prepay.prepay_id
    }

    /// Every payment, the first first.
    pub(crate) fn payments(&self) -> impl Iterator<Item = &Payment> {
        self.payment.iter().chain(&self.more_payments)
    }

    pub(crate) fn payment_with(&self, transaction_id: &str) -> Option<&Payment> {
        self.payments()
            .find(|payment| payment.transaction_id == transaction_id)
    }

    /// What the payer pays: the total less the coupon.
    pub(crate) fn payer_total_fen(&self, payment: &Payment) -> i64 {
        self.total_fen.saturating_sub(payment.coupon_fen)
    }

    /// The order as queries answer it and as the callback about `payment` carries it.
    pub(crate) fn transaction(&self, state: TradeState, payment: Option<&Payment>) -> Value {
        let mut answer = json!({
            "appid": self.appid,
            "mchid": self.mchid,
            "out_trade_no": self.out_trade_no,
            "trade_state": state.as_str(),
            "trade_state_desc": self.state_in_words(state),
            "amount": {"total": self.total_fen, "currency": "CNY"},
        });
        if let (Some(payment), Some(answer)) = (payment, answer.as_object_mut()) {
            let mut add = |key: &str, value: Value| answer.insert(key.to_owned(), value);
            add("transaction_id", json!(payment.transaction_id));
            add("trade_type", json!(trade_type(self.product)));
            add("bank_type", json!(payment.bank_type));
            add("success_time", json!(clock::rfc3339(payment.paid_ms)));
            add("payer", json!({"openid": payment.openid}));
            add(
                "amount",
                json!({
                    "total": self.total_fen,
                    "payer_total": self.payer_total_fen(payment),
                    "currency": "CNY",
                    "payer_currency": "CNY",
                }),
            );
            add("attach", json!(self.attach.as_deref().unwrap_or_default()));
            if let Some(device_id) = &self.device_id {
                add("scene_info", json!({"device_id": device_id}));
            }
            if payment.coupon_fen > 0 {
                add("promotion_detail", json!([promotion(payment)]));
            }
        }
        answer
    }

    fn state_in_words(&self, state: TradeState) -> &'static str {
        match self.attempts.last().map(|attempt| attempt.outcome) {
            Some(AttemptOutcome::Failed) if state == TradeState::NotPay => {
                "支付失败，请重新下单支付"
            }
            Some(AttemptOutcome::Failed | AttemptOutcome::Cancelled) | None => state.in_words(),
        }
    }
}

/// `trade_type`, and 交易类型 in bills.
pub(crate) fn trade_type(product: Product) -> &'static str {
    match product {
        Product::Jsapi => "JSAPI",
        Product::App => "APP",
        Product::H5 => "MWEB",
        Product::Native => "NATIVE",
    }
}

fn promotion(payment: &Payment) -> Value {
    json!({
        "coupon_id": "109519",
        "name": "simulated coupon",
        "scope": "GLOBAL",
        "type": "NOCASH",
        "amount": payment.coupon_fen,
        "stock_id": "931386",
        "wechatpay_contribute": 0,
        "merchant_contribute": payment.coupon_fen,
        "other_contribute": 0,
        "currency": "CNY",
    })
}
