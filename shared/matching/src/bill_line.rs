//! A bill row that is kept. The bill is streamed; only rows that need a decision are kept.

use serde::{Deserialize, Serialize};
use wechatpay::bill::{TradeKind, TradeRow};

/// A bill's value for a refund that failed (退款状态): it was accepted, and its money came back to
/// the merchant.
pub const FAILED: &str = "FAIL";

/// What a row is about (交易状态).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    Payment,
    /// A refund, in the day it was accepted.
    Refund,
    /// A payment that was reversed.
    Revoked,
}

impl From<TradeKind> for LineKind {
    fn from(kind: TradeKind) -> Self {
        match kind {
            TradeKind::Payment => Self::Payment,
            TradeKind::Refund => Self::Refund,
            TradeKind::Revoked => Self::Revoked,
        }
    }
}

/// A row of the trade bill with the fields that decisions and operators need
/// (shared/wechatpay/PROTOCOL.md, 8.4).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct BillLine {
    /// Its line in the file, from 1 on.
    pub line: u64,
    pub kind: LineKind,
    /// When it was paid or accepted, as written in the bill, in Beijing time (交易时间).
    pub at: String,
    /// 公众账号ID.
    pub appid: String,
    /// 商户号.
    pub mchid: String,
    /// 微信订单号; for a refund, that of the payment.
    pub transaction_id: String,
    /// 商户订单号.
    pub order_no: String,
    /// 微信退款单号.
    pub refund_id: String,
    /// 商户退款单号.
    pub out_refund_no: String,
    /// 交易类型.
    pub trade_type: String,
    /// 货币种类.
    pub currency: String,
    /// 退款状态; empty for a payment.
    pub refund_state: String,
    /// 订单金额, in fen.
    pub total_fen: i64,
    /// 应结订单金额, in fen.
    pub settlement_fen: i64,
    /// 申请退款金额, in fen.
    pub requested_refund_fen: i64,
    /// 退款金额, in fen.
    pub refund_fen: i64,
    /// 手续费, in 1/100000 yuan; negative if it is returned.
    pub fee: i64,
    /// 费率, such as `0.60%`.
    pub rate: String,
}

impl From<&TradeRow<'_>> for BillLine {
    fn from(row: &TradeRow<'_>) -> Self {
        Self {
            line: row.line,
            kind: row.kind.into(),
            at: row.at().to_owned(),
            appid: row.appid().to_owned(),
            mchid: row.mchid().to_owned(),
            transaction_id: row.transaction_id().to_owned(),
            order_no: row.out_trade_no().to_owned(),
            refund_id: row.refund_id().to_owned(),
            out_refund_no: row.out_refund_no().to_owned(),
            trade_type: row.trade_type().to_owned(),
            currency: row.currency().to_owned(),
            refund_state: row.refund_state().to_owned(),
            total_fen: row.total_fen,
            settlement_fen: row.settlement_fen,
            requested_refund_fen: row.requested_refund_fen,
            refund_fen: row.refund_fen,
            fee: row.fee.units(),
            rate: row.rate().to_owned(),
        }
    }
}
