//! What one row of a trade bill says, before it is written.

use super::differences::PlantedDifference;
use crate::{
    ledger,
    order::{Order, Payment, trade_type},
    refund::{Refund, RefundStatus},
};

/// A payment or a refund in the bill. Amounts are fen.
pub(crate) struct TradeRow<'a> {
    pub(crate) at_ms: i64,
    pub(crate) appid: &'a str,
    pub(crate) mchid: &'a str,
    pub(crate) transaction_id: &'a str,
    pub(crate) trade_type: &'static str,
    pub(crate) state: &'a str,
    pub(crate) currency: &'a str,
    /// What the payment brings: the order's total less the coupon. 0 in a refund's row, as the next
    /// two.
    pub(crate) settled_fen: i64,
    pub(crate) coupon_fen: i64,
    pub(crate) order_fen: i64,
    /// Below 0 in a refund's row: the fee comes back.
    pub(crate) fee_fen: i64,
    pub(crate) order: &'a Order,
    pub(crate) payment: &'a Payment,
    pub(crate) refund: Option<RefundPart<'a>>,
}

/// What only a refund's row says.
pub(crate) struct RefundPart<'a> {
    pub(crate) refund: &'a Refund,
    /// What was asked for.
    pub(crate) asked_fen: i64,
    /// What the payer gets of it.
    pub(crate) payer_fen: i64,
    pub(crate) status: &'a str,
}

impl<'a> TradeRow<'a> {
    pub(crate) fn of_payment(order: &'a Order, payment: &'a Payment) -> Self {
        let settled_fen = order.payer_total_fen(payment);
        Self {
            at_ms: payment.paid_ms,
            appid: &order.appid,
            mchid: &order.mchid,
            transaction_id: &payment.transaction_id,
            trade_type: trade_type(order.product),
            state: "SUCCESS",
            currency: "CNY",
            settled_fen,
            coupon_fen: payment.coupon_fen,
            order_fen: order.total_fen,
            fee_fen: ledger::fee_fen(settled_fen),
            order,
            payment,
            refund: None,
        }
    }

    pub(crate) fn of_refund(order: &'a Order, payment: &'a Payment, refund: &'a Refund) -> Self {
        Self {
            at_ms: refund.created_ms,
            state: "REFUND",
            settled_fen: 0,
            coupon_fen: 0,
            order_fen: 0,
            fee_fen: ledger::fee_fen(refund.payer_refund_fen).saturating_neg(),
            refund: Some(RefundPart {
                refund,
                asked_fen: refund.refund_fen,
                payer_fen: refund.payer_refund_fen,
                status: in_bills(refund.status),
            }),
            ..Self::of_payment(order, payment)
        }
    }

    /// The same with a difference; `None` if the row is left out.
    pub(crate) fn with(mut self, difference: &'a PlantedDifference) -> Option<Self> {
        match (difference, &mut self.refund) {
            (PlantedDifference::DropPayment, None) | (PlantedDifference::DropRefund, Some(_)) => {
                return None;
            }
            (PlantedDifference::AlterAmount { fen }, None) => {
                self.order_fen = fen.unwrap_or(self.order_fen.saturating_add(1));
                self.settled_fen = self.order_fen.saturating_sub(self.coupon_fen).max(0);
                self.fee_fen = ledger::fee_fen(self.settled_fen);
            }
            (PlantedDifference::AlterRefundAmount { fen }, Some(refund)) => {
                let asked_fen = fen.unwrap_or(refund.asked_fen.saturating_add(1));
                let more_fen = asked_fen.saturating_sub(refund.asked_fen);
                refund.asked_fen = asked_fen;
                refund.payer_fen = refund.payer_fen.saturating_add(more_fen).max(0);
                self.fee_fen = ledger::fee_fen(refund.payer_fen).saturating_neg();
            }
            (PlantedDifference::AlterFee { fen }, None) => {
                self.fee_fen = fen.unwrap_or(self.fee_fen.saturating_add(1));
            }
            (PlantedDifference::AlterFee { fen }, Some(_)) => {
                self.fee_fen = fen.map_or(self.fee_fen.saturating_sub(1), i64::saturating_neg);
            }
            (PlantedDifference::AlterRefundState { state: Some(state) }, Some(refund)) => {
                refund.status = state;
            }
            (PlantedDifference::AlterRefundState { state: None }, Some(refund)) => {
                refund.status = match refund.refund.status {
                    RefundStatus::Success => "FAIL",
                    RefundStatus::Processing | RefundStatus::Closed | RefundStatus::Abnormal => {
                        "SUCCESS"
                    }
                };
            }
            (PlantedDifference::AlterState { state }, _) => self.state = state,
            (PlantedDifference::AlterCurrency { currency }, _) => self.currency = currency,
            (PlantedDifference::AlterAppid { appid }, _) => self.appid = appid,
            (PlantedDifference::AlterMchid { mchid }, _) => self.mchid = mchid,
            (
                PlantedDifference::DropPayment
                | PlantedDifference::DropRefund
                | PlantedDifference::AlterAmount { .. }
                | PlantedDifference::AlterRefundAmount { .. }
                | PlantedDifference::AlterRefundState { .. }
                | PlantedDifference::UnknownOrder { .. }
                | PlantedDifference::FundWithoutTrade { .. }
                | PlantedDifference::TradeWithoutFund
                | PlantedDifference::SummaryOff { .. },
                _,
            ) => {}
        }
        Some(self)
    }
}

/// Refund states as bills write them, which is not how the API does.
fn in_bills(status: RefundStatus) -> &'static str {
    match status {
        RefundStatus::Processing => "PROCESSING",
        RefundStatus::Success => "SUCCESS",
        RefundStatus::Closed => "FAIL",
        RefundStatus::Abnormal => "CHANGE",
    }
}
