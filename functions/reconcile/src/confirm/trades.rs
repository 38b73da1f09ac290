//! The trade that a line of our books is about.

use matching::{books::ParkedLine, totals::OTHERS};
use payments::{
    model::order::Product,
    reconcile::{
        carried::{CarriedKind, TradeIdentity},
        difference::DifferenceKind,
    },
};
use stores::order_table::day_index::DayLine;

/// The trade of a line, and its kind of difference if the bill does not have it. Parked payments
/// are handled separately ([`trade_of_parked`]).
pub(super) fn trade_of(line: &DayLine) -> Option<(TradeIdentity, DifferenceKind)> {
    match line {
        DayLine::Payment {
            order_no,
            transaction_id,
            amount_fen,
            at,
            ..
        } => {
            let trade = TradeIdentity {
                kind: CarriedKind::Payment,
                order_no: order_no.as_str().to_owned(),
                transaction_id: Some(transaction_id.as_str().to_owned()),
                out_refund_no: None,
                refund_id: None,
                amount_fen: *amount_fen,
                at: *at,
            };
            Some((trade, DifferenceKind::PaidHereAbsentThere))
        }
        DayLine::Refund {
            order_no,
            out_refund_no,
            refund_id,
            transaction_id,
            amount_fen,
            at,
            ..
        } => {
            let trade = TradeIdentity {
                kind: CarriedKind::Refund,
                order_no: order_no.as_str().to_owned(),
                transaction_id: Some(transaction_id.as_str().to_owned()),
                out_refund_no: Some(out_refund_no.as_str().to_owned()),
                refund_id: refund_id.as_ref().map(|id| id.as_str().to_owned()),
                amount_fen: *amount_fen,
                at: *at,
            };
            Some((trade, DifferenceKind::RefundHereAbsentThere))
        }
        DayLine::Parked { .. } => None,
    }
}

/// The trade of a parked payment.
pub(super) fn trade_of_parked(parked: &ParkedLine<'_>) -> TradeIdentity {
    TradeIdentity {
        kind: CarriedKind::Payment,
        order_no: parked.order_no.to_owned(),
        transaction_id: Some(parked.transaction_id.to_owned()),
        out_refund_no: None,
        refund_id: None,
        amount_fen: parked.amount_fen,
        at: parked.at,
    }
}

/// The product that a line is counted under.
pub(super) fn product_of(line: &DayLine) -> &'static str {
    let product = match line {
        DayLine::Payment { product, .. } => Some(*product),
        DayLine::Refund { product, .. } => *product,
        DayLine::Parked { .. } => None,
    };
    product.map_or(OTHERS, Product::trade_type)
}
