//! The identity of a trade: its kind, its number, and the subject of a difference about it.

use matching::bill_line::LineKind;
use payments::reconcile::{
    carried::{CarriedKind, TradeIdentity},
    difference::DifferenceSubject,
};

/// What a row is about.
pub(crate) fn kind_of(row: impl Into<LineKind>) -> CarriedKind {
    match row.into() {
        LineKind::Payment | LineKind::Revoked => CarriedKind::Payment,
        LineKind::Refund => CarriedKind::Refund,
    }
}

/// The number that identifies a trade.
pub(crate) fn number_of(kind: CarriedKind, transaction_id: &str, out_refund_no: &str) -> String {
    match kind {
        CarriedKind::Payment => format!("payment#{transaction_id}"),
        CarriedKind::Refund => format!("refund#{out_refund_no}"),
    }
}

/// The number that identifies a trade.
pub(crate) fn number_of_trade(trade: &TradeIdentity) -> String {
    number_of(
        trade.kind,
        trade.transaction_id.as_deref().unwrap_or_default(),
        trade.out_refund_no.as_deref().unwrap_or_default(),
    )
}

/// The subject of a difference about a trade.
pub(crate) fn about_trade(trade: &TradeIdentity) -> DifferenceSubject {
    DifferenceSubject {
        order_no: Some(trade.order_no.clone()),
        transaction_id: trade.transaction_id.clone(),
        out_refund_no: trade.out_refund_no.clone(),
        refund_id: trade.refund_id.clone(),
        ..DifferenceSubject::default()
    }
}
