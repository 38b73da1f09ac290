//! Refunds as WeChat Pay keeps them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    clock,
    order::{Order, Payment},
};

/// A refund. Times are Unix milliseconds, amounts are fen.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Refund {
    /// The merchant's number.
    pub out_refund_no: String,
    /// WeChat Pay's number.
    pub refund_id: String,
    /// The order it belongs to.
    pub out_trade_no: String,
    /// The payment it gives back.
    pub transaction_id: String,
    pub refund_fen: i64,
    /// The part of it that the payer gets (the rest was a coupon's).
    pub payer_refund_fen: i64,
    /// Where the callback goes. Without it a v2 notice goes to
    /// [`Settings::console_refund_url`](crate::Settings).
    pub notify_url: Option<String>,
    /// The request that created it; a repeat must be equal to it. `null` for one made in the
    /// console.
    pub request: Value,
    /// The request that said where its money goes, after it came to `Abnormal`; encrypted fields as
    /// they open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirected: Option<Value>,
    #[serde(default)]
    pub source: RefundSource,
    /// When it was accepted.
    pub created_ms: i64,
    pub status: RefundStatus,
    /// When it came to `Success`.
    pub success_ms: Option<i64>,
    /// When and how it ends, while it is `Processing`; `None` waits for the admin.
    pub ends: Option<RefundEnd>,
}

/// Who asked for a refund.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundSource {
    /// The merchant's back end, over the API.
    #[default]
    Api,
    /// The merchant's staff, in WeChat Pay's console: the back end has no record of it.
    Console,
}

/// When and how a refund ends.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RefundEnd {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// What it becomes.
    pub status: RefundStatus,
}

/// `status` of a refund.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RefundStatus {
    /// Accepted.
    Processing,
    /// The money is with the payer.
    Success,
    /// Failed for good; the money is with the merchant.
    Closed,
    /// The payer's account is gone; the merchant must say where the money goes.
    Abnormal,
}

impl RefundStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "PROCESSING",
            Self::Success => "SUCCESS",
            Self::Closed => "CLOSED",
            Self::Abnormal => "ABNORMAL",
        }
    }

    /// `event_type` and `summary` of its callback; `Processing` has none.
    pub(crate) fn event(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Processing => None,
            Self::Success => Some(("REFUND.SUCCESS", "退款成功")),
            Self::Closed => Some(("REFUND.CLOSED", "退款关闭")),
            Self::Abnormal => Some(("REFUND.ABNORMAL", "退款异常")),
        }
    }
}

/// Result of the next refunds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundOutcome {
    /// `SUCCESS`, after the time set in the configuration.
    #[default]
    Success,
    /// `ABNORMAL`, after the same time.
    Abnormal,
    /// `CLOSED`, after the same time.
    Closed,
    /// `PROCESSING` until [`Admin::settle_refund`](crate::Admin::settle_refund).
    Hold,
    /// Not accepted: 403 `USER_ACCOUNT_ABNORMAL`, the payer's account is gone for good.
    Refused,
}

impl RefundOutcome {
    pub(crate) fn end(self, at_ms: i64) -> Option<RefundEnd> {
        let status = match self {
            Self::Success => RefundStatus::Success,
            Self::Abnormal => RefundStatus::Abnormal,
            Self::Closed => RefundStatus::Closed,
            Self::Hold | Self::Refused => return None,
        };
        Some(RefundEnd { at_ms, status })
    }
}

impl Refund {
    /// `user_received_account`: the payer's wallet, unless it was sent on to somewhere else.
    fn received_account(&self) -> &'static str {
        let redirected = self.redirected.as_ref();
        match redirected
            .and_then(|to| to.get("type"))
            .and_then(Value::as_str)
        {
            Some("MERCHANT_BANK_CARD") => "商户结算银行账户",
            Some("USER_BANK_CARD") => "招商银行借记卡0403",
            Some(_) | None => "支付用户零钱",
        }
    }

    /// The refund as creation and query answer it.
    pub(crate) fn answer(&self, order: &Order, payment: &Payment) -> Value {
        let discount_fen = self.refund_fen.saturating_sub(self.payer_refund_fen);
        let payer_total_fen = order.payer_total_fen(payment);
        let mut answer = json!({
            "refund_id": self.refund_id,
            "out_refund_no": self.out_refund_no,
            "transaction_id": self.transaction_id,
            "out_trade_no": self.out_trade_no,
            "channel": "ORIGINAL",
            "user_received_account": self.received_account(),
            "create_time": clock::rfc3339(self.created_ms),
            "status": self.status.as_str(),
            "funds_account": "AVAILABLE",
            "amount": {
                "total": order.total_fen,
                "refund": self.refund_fen,
                "payer_total": payer_total_fen,
                "payer_refund": self.payer_refund_fen,
                "settlement_total": payer_total_fen,
                "settlement_refund": self.payer_refund_fen,
                "discount_refund": discount_fen,
                "currency": "CNY",
            },
        });
        if let (Some(success_ms), Some(answer)) = (self.success_ms, answer.as_object_mut()) {
            answer.insert("success_time".to_owned(), json!(clock::rfc3339(success_ms)));
        }
        answer
    }

    /// Content of the callback for `status`: `refund_status`, and fewer amounts than the query.
    pub(crate) fn notice(&self, order: &Order, payment: &Payment, status: RefundStatus) -> Value {
        let mut notice = json!({
            "mchid": order.mchid,
            "out_trade_no": self.out_trade_no,
            "transaction_id": self.transaction_id,
            "out_refund_no": self.out_refund_no,
            "refund_id": self.refund_id,
            "refund_status": status.as_str(),
            "user_received_account": self.received_account(),
            "amount": {
                "total": order.total_fen,
                "refund": self.refund_fen,
                "payer_total": order.payer_total_fen(payment),
                "payer_refund": self.payer_refund_fen,
            },
        });
        if let (RefundStatus::Success, Some(notice)) = (status, notice.as_object_mut()) {
            let success_ms = self.success_ms.unwrap_or(self.created_ms);
            notice.insert("success_time".to_owned(), json!(clock::rfc3339(success_ms)));
        }
        notice
    }
}
