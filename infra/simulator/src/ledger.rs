//! The merchant's account at WeChat Pay: every movement of money, with the balance after it.

use serde::{Deserialize, Serialize};

use crate::ids::Ids;

/// Fee of 0.60 %, in hundredths of a percent.
const FEE_RATE: i128 = 60;

/// Fen on the account at the start: refunds work from the first minute.
const FIRST_BALANCE_FEN: i64 = 10_000_000;

#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Ledger {
    pub(crate) balance_fen: i64,
    pub(crate) movements: Vec<Movement>,
}

/// One row of a fund bill.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Movement {
    pub(crate) at_ms: i64,
    /// `transaction_id` or `refund_id`.
    pub(crate) business_id: String,
    pub(crate) flow_id: String,
    pub(crate) reason: Reason,
    /// Above 0 in, below 0 out.
    pub(crate) amount_fen: i64,
    pub(crate) balance_fen: i64,
    /// The merchant's own number.
    pub(crate) voucher: String,
}

/// Why money moved.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    Payment,
    Fee,
    Refund,
    RefundedFee,
    RefundClosed,
    /// The admin set the balance.
    Adjustment,
}

impl Reason {
    /// 业务名称 and 业务类型.
    pub(crate) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Payment => ("交易", "交易"),
            Self::Fee => ("交易", "扣除交易手续费"),
            Self::Refund => ("退款", "退款"),
            Self::RefundedFee => ("退款", "退还交易手续费"),
            Self::RefundClosed => ("退款", "退款关闭"),
            Self::Adjustment => ("充值/提现", "充值/提现"),
        }
    }
}

/// What a movement is about.
pub(crate) struct Occasion<'a> {
    pub(crate) at_ms: i64,
    pub(crate) business_id: &'a str,
    pub(crate) voucher: &'a str,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            balance_fen: FIRST_BALANCE_FEN,
            movements: Vec::new(),
        }
    }
}

impl Ledger {
    /// Moves `amount_fen` in (or out, below 0); 0 is no movement.
    pub(crate) fn book(
        &mut self,
        ids: &mut Ids,
        occasion: &Occasion<'_>,
        reason: Reason,
        amount_fen: i64,
    ) {
        if amount_fen == 0 {
            return;
        }
        self.balance_fen = self.balance_fen.saturating_add(amount_fen);
        self.movements.push(Movement {
            at_ms: occasion.at_ms,
            business_id: occasion.business_id.to_owned(),
            flow_id: ids.flow_id(occasion.at_ms),
            reason,
            amount_fen,
            balance_fen: self.balance_fen,
            voucher: occasion.voucher.to_owned(),
        });
    }
}

/// WeChat Pay's fee on `amount_fen`, rounded half up to a fen.
pub(crate) fn fee_fen(amount_fen: i64) -> i64 {
    share(amount_fen, FEE_RATE, 10_000)
}

/// `amount * part / whole`, rounded half up; 0 if `whole` is 0. Amounts are not negative.
pub(crate) fn share(amount_fen: i64, part: i128, whole: i128) -> i64 {
    i128::from(amount_fen)
        .saturating_mul(part)
        .saturating_mul(2)
        .saturating_add(whole)
        .checked_div(whole.saturating_mul(2))
        .and_then(|fen| i64::try_from(fen).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_half_up() {
        assert_eq!(fee_fen(1200), 7);
        assert_eq!(fee_fen(300), 2);
        assert_eq!(fee_fen(1), 0);
        assert_eq!(share(1, 1, 2), 1);
        assert_eq!(
            share(9_999_999_999, 9_999_999_999, 9_999_999_999),
            9_999_999_999
        );
        assert_eq!(share(5, 1, 0), 0);
    }
}
