//! A trade near midnight that one side has on one day and the other side on the next: it is not
//! decided before the next day's bill was read.
//!
//! Bills and our books both use WeChat Pay's days. Still a trade can be on two different days,
//! since a bill may count by another moment of the trade than the one reported to us.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wechatpay::UnixSeconds;

use crate::{
    model::bill_date::BillDate,
    reconcile::difference::{Difference, DifferenceKind, PaymentOrRefund},
};

/// A trade in our books that is not in its day's bill: the next day's bill should have it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CarriedTrade {
    /// Its id within its day: the same for the same trade in every run.
    pub id: String,
    /// The day that decides about it: the one after the day that was read.
    pub date: BillDate,
    pub trade: TradeIdentity,
    /// Whether the day's run has decided about it. When the day is run again, the decision is made
    /// again in the same way.
    #[serde(default)]
    pub settled: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CarriedKind {
    Payment,
    Refund,
}

/// A payment or refund, as the side that has it names it. The numbers are texts, as in
/// [`DifferenceSubject`](super::difference::DifferenceSubject).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TradeIdentity {
    /// Which of the two.
    pub kind: CarriedKind,
    /// `out_trade_no`
    pub order_no: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// `out_refund_no`; refunds only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_refund_no: Option<String>,
    /// `refund_id`, if known; refunds only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<String>,
    /// The amount paid or refunded, in fen.
    pub amount_fen: i64,
    /// When, by WeChat Pay's clock.
    pub at: UnixSeconds,
}

impl CarriedTrade {
    /// A trade of the day before `date` that is decided with `date`.
    pub fn to(date: BillDate, trade: TradeIdentity) -> Self {
        Self {
            id: Self::id_of(&trade),
            date,
            trade,
            settled: false,
        }
    }

    /// The id of a carried trade within its day.
    pub fn id_of(trade: &TradeIdentity) -> String {
        let own_number = match trade.kind {
            CarriedKind::Payment => &trade.transaction_id,
            CarriedKind::Refund => &trade.out_refund_no,
        };
        id(trade.kind, &trade.order_no, own_number.as_deref())
    }

    /// The id of the carried trade that a difference may be about: a trade that was left to this
    /// day, whose bill does not have it either.
    pub fn id_of_absent(difference: &Difference) -> Option<String> {
        let kind = CarriedKind::of_absent(difference.kind)?;
        let about = &difference.about;
        let own_number = match kind {
            CarriedKind::Payment => &about.transaction_id,
            CarriedKind::Refund => &about.out_refund_no,
        };
        Some(id(kind, about.order_no.as_deref()?, own_number.as_deref()))
    }
}

impl CarriedKind {
    /// The subject of a difference that only our books have.
    pub const fn of_absent(kind: DifferenceKind) -> Option<Self> {
        match kind.only_here() {
            Some(PaymentOrRefund::Payment) => Some(Self::Payment),
            Some(PaymentOrRefund::Refund) => Some(Self::Refund),
            None => None,
        }
    }

    /// The name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Refund => "refund",
        }
    }
}

/// The id of a carried trade within its day: its kind, and a hash of its numbers. A refund's own
/// number is enough; its other numbers may become known later.
fn id(kind: CarriedKind, order_no: &str, own_number: Option<&str>) -> String {
    let mut hash = Sha256::new();
    for part in [order_no, own_number.unwrap_or_default()] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let hash: String = hash
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}-{hash}", kind.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade(kind: CarriedKind) -> TradeIdentity {
        TradeIdentity {
            kind,
            order_no: "ORDER-1".into(),
            transaction_id: Some("4200001".into()),
            out_refund_no: (kind == CarriedKind::Refund).then(|| "REFUND-1".into()),
            refund_id: None,
            amount_fen: 100,
            at: UnixSeconds(1_785_556_799),
        }
    }

    fn carried(trade: TradeIdentity) -> CarriedTrade {
        CarriedTrade::to(BillDate::parse("2026-08-02").unwrap(), trade)
    }

    #[test]
    fn the_same_trade_has_the_same_name_in_every_run() {
        let first = carried(trade(CarriedKind::Refund));
        let later = carried(TradeIdentity {
            refund_id: Some("50000001".into()),
            ..trade(CarriedKind::Refund)
        });
        assert_eq!(first.id, later.id);
    }

    #[test]
    fn another_trade_has_another_name() {
        let other = TradeIdentity {
            transaction_id: Some("4200002".into()),
            ..trade(CarriedKind::Payment)
        };
        let mut ids: Vec<String> = [
            carried(trade(CarriedKind::Payment)),
            carried(trade(CarriedKind::Refund)),
            carried(other),
        ]
        .map(|carried| carried.id)
        .into();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3);
    }
}
