//! What decisions, runs and refunds make of a difference.

mod decide;
mod found;
mod history;
mod kind;
mod progress;

use super::*;
use crate::model::ids::{ClientId, RefundNo};

const NOW: UnixSeconds = UnixSeconds(1_785_556_802);

fn difference(kind: DifferenceKind) -> Difference {
    let about = DifferenceSubject {
        order_no: Some("ORDER-1".into()),
        transaction_id: Some("4200001".into()),
        ..DifferenceSubject::default()
    };
    let date = BillDate::parse("2026-08-01").unwrap();
    let there = Some(SideView {
        amount_fen: Some(100),
        ..SideView::default()
    });
    Difference::found(date, kind, about, there, None, "run-1", NOW)
}

fn decide(
    difference: &Difference,
    decision: Decision,
    who: &str,
) -> Result<Difference, DecisionRejected> {
    difference.decided(decision, who, "looked at it", NOW)
}

fn approved(kind: DifferenceKind) -> Difference {
    let proposed = decide(&difference(kind), Decision::Propose, "li").unwrap();
    decide(&proposed, Decision::Approve, "wang").unwrap()
}

fn at(stage: RefundStage) -> TrackedRefund {
    TrackedRefund {
        refund_no: RefundNo::parse("second-4200001").unwrap(),
        stage,
        to_merchant: false,
        payer_has_it: false,
    }
}

fn with_stage(difference: &Difference, stage: RefundStage) -> Difference {
    difference.with_refund(&at(stage), "run-2", NOW).unwrap()
}

fn of_fen(there: Option<i64>, here: Option<i64>) -> Difference {
    let side = |amount_fen: Option<i64>| {
        amount_fen.map(|fen| SideView {
            amount_fen: Some(fen),
            ..SideView::default()
        })
    };
    Difference {
        there: side(there),
        here: side(here),
        ..difference(DifferenceKind::AmountDiffers)
    }
}

fn of_many(kind: DifferenceKind, count: u64) -> Difference {
    let about = DifferenceSubject {
        order_no: Some("ORDER-7".into()),
        ..DifferenceSubject::default()
    };
    let aggregate = Aggregate {
        count,
        amount_fen: 123_456,
        examples: vec![about],
        part: 3,
    };
    let date = BillDate::parse("2026-08-01").unwrap();
    Difference::of_many(date, kind, aggregate, "run-1", NOW)
}
