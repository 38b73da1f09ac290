//! A difference between a day's bills and our books: its kind, its state, and who may decide what.
//!
//! ```text
//! open -> repaired                    both sides agree again: by a run, or since a later one
//!                                     found nothing
//! open -> proposed -> approved -> on its way   a refund: two different persons stand behind it
//!            |           |                     before money moves
//!            |           |\-> repaired         an order was restored: no money to wait for
//!            |           \-> open              what was approved could not be done: people begin
//!            |                                 again
//!            |\-> rejected         up to an amount; above it one person alone leaves it open
//!            \-> open
//! on its way -> repaired              the refund's money has arrived
//! on its way -> open                  the refund is abnormal, refused or closed, or our books
//!                                     lost it
//! open -> approved | on its way       a person has it sent once more, or it goes on by itself
//! open -> proposed -> approved        two persons give it up, or send it to the merchant's account
//! open -> approved -> explained       the merchant has its money: a person says how the payer was
//!                                     paid
//! repaired -> open                    a later run finds it again
//! open | proposed | rejected -> explained      a person says why it is right as it is
//! open | rejected -> proposed -> explained     above an amount two different persons say so
//! explained -> open                   a person opens it again, or a later run counts others of
//!                                     many
//! ```
//!
//! `kind` has the properties of each kind, `state` the states. `found_again` says what a later run
//! adds, `history` what the steps say, `decide` what persons may decide, and `progress` what
//! becomes of it by runs and by its refund.

mod decide;
mod found_again;
mod history;
mod kind;
mod progress;
mod state;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wechatpay::{UnixSeconds, bill::yuan_of_fen};

pub use self::{
    decide::{DecisionContext, DecisionRejected, PERSONS, REASON_MAX, SoloExplainLimit},
    kind::{DifferenceKind, OurSide, PaymentOrRefund, RefundableMoney, Remedy, RunSide},
    state::{
        Actor, ApprovedAction, Decision, DifferenceState, HistoryEntry, NoticeStep, RefundStage,
        TrackedRefund,
    },
};
use crate::{
    model::bill_date::{BillDate, BillName},
    reconcile::written_later::WrittenLater,
};

/// What a difference is about. The numbers are kept as the bill writes them: a foreign order may
/// have a number in a form that ours cannot have.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct DifferenceSubject {
    /// `out_trade_no`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_no: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_refund_no: Option<String>,
    /// `refund_id`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<String>,
    /// The bill, if the difference is about the bill as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill: Option<BillName>,
    /// The row in the bill; 1 is its header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// More of one kind than are listed one by one.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    pub count: u64,
    /// Their sum, in fen; for movements, negative if money left the merchant.
    pub amount_fen: i64,
    /// Some of them.
    pub examples: Vec<DifferenceSubject>,
    /// The part of the day that found them, from 0; a day that is not split has one.
    #[serde(default)]
    pub part: u8,
}

impl Aggregate {
    /// This many examples are enough to see what they have in common.
    pub const EXAMPLES: usize = 10;
}

/// What one side says.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct SideView {
    /// In fen; of the whole payment or of the refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_fen: Option<i64>,
    /// The state, in that side's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// When it happened, by WeChat Pay's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<UnixSeconds>,
    /// Other data for this kind, such as the sum of the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The currency, if it matters: `CNY`. Amounts are in its hundredths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The appid that was paid, if it matters; on our side the expected one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appid: Option<String>,
    /// The merchant number that was paid, if it matters; on our side our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mchid: Option<String>,
    /// The fee, if it matters, in 1/100000 yuan; on our side the one that the row's rate gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_e5: Option<i64>,
    /// The rate of the fee as written in the bill: `0.60%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
}

impl SideView {
    /// The known values of a side; missing ones are taken from what a run finds.
    fn completed_by(&self, found: &Self) -> Self {
        let text = |known: &Option<String>, found: &Option<String>| {
            known.as_ref().or(found.as_ref()).cloned()
        };
        Self {
            amount_fen: self.amount_fen.or(found.amount_fen),
            state: text(&self.state, &found.state),
            at: self.at.or(found.at),
            note: text(&self.note, &found.note),
            currency: text(&self.currency, &found.currency),
            appid: text(&self.appid, &found.appid),
            mchid: text(&self.mchid, &found.mchid),
            fee_e5: self.fee_e5.or(found.fee_e5),
            rate: text(&self.rate, &found.rate),
        }
    }
}

/// A difference as it is stored.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Its id within its day: the same in every run.
    pub id: String,
    pub date: BillDate,
    pub kind: DifferenceKind,
    pub about: DifferenceSubject,
    /// WeChat Pay's side; `None` if it has nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub there: Option<SideView>,
    /// Our side; `None` if the books have nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub here: Option<SideView>,
    /// For an aggregated difference: number and sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregate>,
    pub state: DifferenceState,
    /// The action that is executed once it is approved.
    #[serde(default, skip_serializing_if = "ApprovedAction::is_refund")]
    pub wanted: ApprovedAction,
    /// The refund that it waits for, or last waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<TrackedRefund>,
    /// A person has decided that its money is not refunded: no run proposes that again unless a
    /// person reopens it. Earlier versions did not store it:
    /// [`with_mark_of_history`](Self::with_mark_of_history).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refund_rejected: bool,
    /// Counts its steps; each write names the version that it was decided on.
    pub version: u64,
    /// Its history; the first step is the finding.
    pub history: Vec<HistoryEntry>,
    /// What a later version stored besides.
    #[serde(skip)]
    pub later: WrittenLater,
}

impl Difference {
    /// A difference found by a run.
    pub fn found(
        date: BillDate,
        kind: DifferenceKind,
        about: DifferenceSubject,
        there: Option<SideView>,
        here: Option<SideView>,
        run: &str,
        at: UnixSeconds,
    ) -> Self {
        Self {
            id: id(kind, &about),
            date,
            kind,
            about,
            there,
            here,
            aggregate: None,
            state: DifferenceState::Open,
            wanted: ApprovedAction::Refund,
            refund: None,
            refund_rejected: false,
            version: 1,
            history: vec![HistoryEntry {
                at,
                who: Actor::Run(run.to_owned()),
                to: DifferenceState::Open,
                why: kind.meaning().to_owned(),
                decision: None,
            }],
            later: WrittenLater::default(),
        }
    }

    /// One aggregated difference for many of a kind.
    pub fn of_many(
        date: BillDate,
        kind: DifferenceKind,
        aggregate: Aggregate,
        run: &str,
        at: UnixSeconds,
    ) -> Self {
        let side = Some(SideView {
            amount_fen: Some(aggregate.amount_fen),
            note: Some(described(&aggregate)),
            ..SideView::default()
        });
        let (there, here) = if kind.only_here().is_some() {
            (None, side)
        } else {
            (side, None)
        };
        Self {
            id: Self::id_of_many(kind, aggregate.part),
            aggregate: Some(aggregate),
            ..Self::found(
                date,
                kind,
                DifferenceSubject::default(),
                there,
                here,
                run,
                at,
            )
        }
    }

    /// The id of the aggregated difference of a kind, for one part of the day.
    pub fn id_of_many(kind: DifferenceKind, part: u8) -> String {
        format!("{}-all-{part}", kind.name().replace('_', "-"))
    }

    /// The remedy; an aggregated difference can only be examined by a person.
    pub const fn remedy(&self) -> Remedy {
        if self.aggregate.is_some() {
            Remedy::Operator
        } else {
            self.kind.remedy()
        }
    }

    /// What is done, automatically or by an operator.
    pub const fn what_to_do(&self) -> &'static str {
        if self.aggregate.is_some() {
            self.kind.what_to_do_of_many()
        } else {
            self.kind.what_to_do()
        }
    }

    /// The side of a run that finds such a difference and may repair it.
    pub fn side(&self) -> RunSide {
        let of_fund_bill = match self.about.bill {
            Some(BillName::FundBasic | BillName::FundOperation | BillName::FundFees) => true,
            Some(BillName::Trade) | None => false,
        };
        if of_fund_bill || self.kind.is_of_movements() {
            RunSide::Funds
        } else {
            RunSide::Trades
        }
    }

    /// The amount of the difference in fen: the larger amount of both sides, without its sign; for
    /// a fee, the gap between both sides. `None` if no side has an amount or one is in another
    /// currency, and for an aggregated difference, whose sum does not show how large each one is.
    pub fn amount_fen(&self) -> Option<i64> {
        /// 1/100000 yuan in a fen.
        const E5_IN_A_FEN: i64 = 1_000;
        let is_foreign = |side: &SideView| side.currency.as_ref().is_some_and(|name| name != "CNY");
        let sides = || [&self.there, &self.here].into_iter().flatten();
        if self.aggregate.is_some() || sides().any(is_foreign) {
            return None;
        }
        let fee_e5 = |side: &Option<SideView>| side.as_ref().and_then(|side| side.fee_e5);
        if let (Some(there), Some(here)) = (fee_e5(&self.there), fee_e5(&self.here)) {
            let apart = there.saturating_sub(here).saturating_abs();
            let rounded_up = apart.saturating_add(E5_IN_A_FEN - 1);
            return Some(rounded_up.div_euclid(E5_IN_A_FEN));
        }
        sides()
            .filter_map(|side| side.amount_fen.map(i64::saturating_abs))
            .max()
    }

    fn stepping(&self, who: Actor, to: DifferenceState, why: &str, at: UnixSeconds) -> Self {
        let mut history = self.history.clone();
        history.push(HistoryEntry {
            at,
            who,
            to,
            why: why.to_owned(),
            decision: None,
        });
        Self {
            state: to,
            version: self.version.saturating_add(1),
            history,
            ..self.clone()
        }
    }
}

/// An aggregated difference, for readers.
fn described(aggregate: &Aggregate) -> String {
    let number = |about: &DifferenceSubject| {
        let numbers = [
            &about.order_no,
            &about.transaction_id,
            &about.out_refund_no,
            &about.refund_id,
        ];
        numbers.into_iter().flatten().next().cloned()
    };
    let examples: Vec<String> = aggregate.examples.iter().filter_map(number).collect();
    let among = if examples.is_empty() {
        String::new()
    } else {
        format!("; among them {}", examples.join(", "))
    };
    let (count, fen) = (aggregate.count, yuan_of_fen(aggregate.amount_fen));
    format!("{count} of this kind, {fen} yuan in all{among}")
}

/// The id of a difference within its day: its kind, and a hash of its subject without the bill's
/// line.
fn id(kind: DifferenceKind, about: &DifferenceSubject) -> String {
    let mut hash = Sha256::new();
    for part in [
        &about.order_no,
        &about.transaction_id,
        &about.out_refund_no,
        &about.refund_id,
    ] {
        let part = part.as_deref().unwrap_or_default();
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(about.bill.map_or("", BillName::name).as_bytes());
    let hash: String = hash
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}-{hash}", kind.name().replace('_', "-"))
}
