//! A fund bill row that is kept.

use serde::{Deserialize, Serialize};
use wechatpay::bill::{Direction, FundRow};

/// The direction of a movement (收支类型).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowDirection {
    /// 收入: to the merchant.
    In,
    /// 支出: from the merchant.
    Out,
}

impl From<Direction> for FlowDirection {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::In => Self::In,
            Direction::Out => Self::Out,
        }
    }
}

/// A movement of money with the fields that an operator needs (shared/wechatpay/PROTOCOL.md, 8.5).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct FundLine {
    /// Its line in the file, from 1 on.
    pub line: u64,
    /// When the balance changed, as written in the bill, in Beijing time (记账时间).
    pub at: String,
    /// 微信支付业务单号: for example of a payment, a refund or a transfer.
    pub business_id: String,
    /// 资金流水单号.
    pub flow_id: String,
    /// 业务名称.
    pub business_name: String,
    /// 业务类型.
    pub business_type: String,
    pub flow: FlowDirection,
    /// 收支金额, in fen.
    pub amount_fen: i64,
    /// 业务凭证号, mostly the merchant's own number.
    pub voucher: String,
}

impl From<&FundRow<'_>> for FundLine {
    fn from(row: &FundRow<'_>) -> Self {
        Self {
            line: row.line,
            at: row.at().to_owned(),
            business_id: row.business_id().to_owned(),
            flow_id: row.flow_id().to_owned(),
            business_name: row.business_name().to_owned(),
            business_type: row.business_type().to_owned(),
            flow: row.direction.into(),
            amount_fen: row.amount_fen,
            voucher: row.voucher().to_owned(),
        }
    }
}
