//! A trade near midnight that one side has on one day and the other side on the next: nothing is
//! said of it before the next day's bill was read.
//!
//! A bill's days are WeChat Pay's own, and so are ours; still a trade can lie on two sides of
//! midnight, since a bill may count by another moment of the trade than the one that we were told.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wechatpay::UnixSeconds;

use super::{
    difference::{Difference, DifferenceKind},
    run::BillDate,
};

/// A trade that our books have and its day's bill has not: the next day's bill should.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CarriedTrade {
    /// Its name under its day: the same for the same trade, whichever run carries it.
    pub id: String,
    /// The day to be judged with: the one after the day that was read.
    pub date: BillDate,
    /// What it is.
    pub trade: Trade,
    /// Whether the day's run has judged it. What is judged already is judged the same way when the
    /// day is run again.
    #[serde(default)]
    pub settled: bool,
}

/// What a trade is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CarriedKind {
    /// A payment.
    Payment,
    /// A refund.
    Refund,
}

/// A payment or refund, as the side that has it names it. The numbers are texts, as they are in
/// [`About`](super::difference::About).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Trade {
    /// Which of the two.
    pub kind: CarriedKind,
    /// `out_trade_no`
    pub order_no: String,
    /// `transaction_id`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// `out_refund_no`; refunds only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_refund_no: Option<String>,
    /// `refund_id`, as far as it is known; refunds only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<String>,
    /// What was paid or given back, in fen.
    pub amount_fen: i64,
    /// When, by WeChat Pay's clock.
    pub at: UnixSeconds,
}

impl CarriedTrade {
    /// A trade of the day before `date` that is judged with `date`.
    pub fn to(date: BillDate, trade: Trade) -> Self {
        Self {
            id: Self::id_of(&trade),
            date,
            trade,
            settled: false,
        }
    }

    /// The name of a carried trade under its day.
    pub fn id_of(trade: &Trade) -> String {
        let own_number = match trade.kind {
            CarriedKind::Payment => &trade.transaction_id,
            CarriedKind::Refund => &trade.out_refund_no,
        };
        id(trade.kind, &trade.order_no, own_number.as_deref())
    }

    /// The name of the carried trade that a difference may be about: one that was left to its day,
    /// whose bill has it not either.
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
    /// What a difference is about that only our books have.
    pub const fn of_absent(kind: DifferenceKind) -> Option<Self> {
        match kind {
            DifferenceKind::PaidHereAbsentThere => Some(Self::Payment),
            DifferenceKind::RefundHereAbsentThere => Some(Self::Refund),
            DifferenceKind::PaidThereUnpaidHere
            | DifferenceKind::AmountDiffers
            | DifferenceKind::StatusDiffers
            | DifferenceKind::IdentityDiffers
            | DifferenceKind::UnknownOrderThere
            | DifferenceKind::DuplicatePayment
            | DifferenceKind::RefundThereUnknownHere
            | DifferenceKind::RefundAmountDiffers
            | DifferenceKind::RefundStateDiffers
            | DifferenceKind::FeeOffTheRate
            | DifferenceKind::FundFlowWithoutTrade
            | DifferenceKind::TradeWithoutFundFlow
            | DifferenceKind::SummaryDiffers
            | DifferenceKind::UncheckedRows => None,
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

/// The name of a carried trade under its day: what it is, and a hash of its numbers. A refund's own
/// number is enough; what else is known of it may come later.
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

    fn trade(kind: CarriedKind) -> Trade {
        Trade {
            kind,
            order_no: "ORDER-1".into(),
            transaction_id: Some("4200001".into()),
            out_refund_no: (kind == CarriedKind::Refund).then(|| "REFUND-1".into()),
            refund_id: None,
            amount_fen: 100,
            at: UnixSeconds(1_785_556_799),
        }
    }

    fn carried(trade: Trade) -> CarriedTrade {
        CarriedTrade::to(BillDate::parse("2026-08-02").unwrap(), trade)
    }

    #[test]
    fn the_same_trade_has_the_same_name_in_every_run() {
        let first = carried(trade(CarriedKind::Refund));
        let later = carried(Trade {
            refund_id: Some("50000001".into()),
            ..trade(CarriedKind::Refund)
        });
        assert_eq!(first.id, later.id);
    }

    #[test]
    fn another_trade_has_another_name() {
        let other = Trade {
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
