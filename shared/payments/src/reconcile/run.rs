//! The record of a reconciled day: its bills, both sides' totals, the number of differences of each
//! kind, and how the run ended.

use std::collections::BTreeMap;

use matching::totals::{Gap, Gaps, Sums, Totals};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wechatpay::UnixSeconds;

use crate::{
    model::bill_date::{BillDate, BillName},
    reconcile::{difference::DifferenceKind, written_later::WrittenLater},
};

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// WeChat Pay is still creating the bill; the run is retried automatically.
    Waiting,
    /// Bills are being read, or differences examined.
    Running,
    /// Every difference of the day is stored.
    Done,
    /// It ended without a result; [`Run::trouble`] says why and what to do.
    Failed,
}

impl RunState {
    /// The name in the API and the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// What is known about a bill that was read.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct BillFacts {
    /// Its rows; 0 for a day on which nothing happened.
    pub rows: u64,
    /// SHA-1 of the uncompressed text, in hexadecimal, as WeChat Pay gave it and as it was found;
    /// `None` for a bill that does not exist because nothing happened.
    pub sha1: Option<String>,
    /// The name of the stored file in the evidence bucket.
    pub kept_as: Option<String>,
}

/// The state of a run's fund side: the account's movements against the trades. It starts once the
/// trade side is done and never changes the trade side.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FundState {
    /// The trade side is not done yet.
    #[default]
    Pending,
    /// A fund bill does not exist yet, or was unusable; the run is retried automatically.
    Waiting,
    /// Fund bills are being read.
    Running,
    /// Every difference of the account's movements is stored.
    Done,
    /// It ended without a result; [`FundSide::trouble`] says why and what to do.
    Failed,
}

impl FundState {
    /// The name in the API and the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Whether it is final unless it is run again.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Done | Self::Failed => true,
            Self::Pending | Self::Waiting | Self::Running => false,
        }
    }
}

/// The terms about the account in a merchant's contract.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FundTerms {
    /// The fund bills to read: of the accounts that the merchant has.
    pub accounts: Vec<BillName>,
    /// The money moves at most this many days after its trade (T+N).
    pub settlement_days: u8,
}

impl FundTerms {
    /// The most days to settlement.
    pub const DAYS_MAX: u8 = 30;
}

impl Default for FundTerms {
    /// All accounts, settled the next day.
    fn default() -> Self {
        Self {
            accounts: BillName::FUNDS.to_vec(),
            settlement_days: 1,
        }
    }
}

/// The fund side of a run. It has its own result.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct FundSide {
    pub state: FundState,
    /// The fund bills that it reads.
    pub accounts: Vec<BillName>,
    /// The money moves at most this many days after its trade: the trades of the day this many days
    /// ago are decided.
    pub settlement_days: u8,
    /// Number of parts that the movements are split into.
    pub parts: u8,
    /// The parts whose differences are all stored.
    pub parts_done: BTreeMap<u8, FundsDone>,
    /// How often each part found an unusable bill.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub broken: BTreeMap<u8, u32>,
    /// Why it waits or failed, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Result of one part of the fund side.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct FundsDone {
    /// Differences of movements found in this part, by kind, including decided ones.
    pub differences: BTreeMap<DifferenceKind, u32>,
    /// Trades of the run's day whose money has not moved yet, or not all of it: a later day's run
    /// decides about them.
    pub carried: u64,
}

impl FundSide {
    /// One that begins once the trade side is done.
    pub fn begun(terms: &FundTerms) -> Self {
        Self {
            state: FundState::Pending,
            accounts: terms.accounts.clone(),
            settlement_days: terms.settlement_days,
            parts: 1,
            parts_done: BTreeMap::new(),
            broken: BTreeMap::new(),
            trouble: None,
        }
    }

    /// Whether every part is done.
    pub fn is_whole(&self) -> bool {
        self.parts_done.len() >= usize::from(self.parts)
    }

    /// How many trades of the day wait for a later day's movements.
    pub fn carried(&self) -> u64 {
        self.parts_done
            .values()
            .fold(0, |sum, part| sum.saturating_add(part.carried))
    }
}

/// A day's reconciliation as it is stored.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub date: BillDate,
    /// The run's id.
    pub id: String,
    /// The state of its trade side: the trade bill against our books.
    pub state: RunState,
    /// Whether it is a preview: differences are found and stored, but nothing is settled or
    /// proposed.
    pub dry_run: bool,
    /// Counts its writes; each names the version that it was decided on.
    pub version: u64,
    /// Time of the request (Unix ms). Of two runs, the later request counts. Runs of earlier
    /// versions do not have it ([`Run::requested_at_ms`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at_ms: Option<i64>,
    /// When it began.
    pub started_at: UnixSeconds,
    /// When this was last written.
    pub updated_at: UnixSeconds,
    /// The day's bills that were read, by this run or one before it.
    pub bills: BTreeMap<BillName, BillFacts>,
    /// What this run itself found about bills, of its own day and of earlier ones. Its parts use
    /// this and do not query WeChat Pay again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fetched: BTreeMap<BillDate, BTreeMap<BillName, BillFacts>>,
    /// Number of parts that the day's orders are split into.
    pub parts: u8,
    /// The parts whose differences are all stored, with the totals of each.
    pub parts_done: BTreeMap<u8, PartDone>,
    /// How often each part found an unusable bill.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub broken: BTreeMap<u8, u32>,
    /// Why it waits or failed, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Whether the run waits since the bill that came was of no use; else it waits for one that is
    /// not there yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_usable_bill: bool,
    /// Whether the trade side of a run of this kind was done before this run replaced it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_done_before: bool,
    /// When the earliest run of the day began, in earnest or as a preview, that was replaced since.
    /// `None` for a first run, and unknown where a run of an earlier version replaced another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_began_at: Option<UnixSeconds>,
    /// The account's movements. `None` for a run of an earlier version, which decided about them
    /// together with the trades.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funds: Option<FundSide>,
    /// What a later version stored besides.
    #[serde(skip)]
    pub later: WrittenLater,
}

/// Result of one part of a day.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct PartDone {
    /// The bill's totals, by WeChat Pay's name of the product (`NATIVE`, `JSAPI`, `APP`, `MWEB`,
    /// ...).
    pub there: Totals,
    /// Our books' totals, by the same names.
    pub here: Totals,
    /// Differences found in this part, by kind, including decided ones.
    pub differences: BTreeMap<DifferenceKind, u32>,
    /// Trades near midnight that are decided with the next day's bill.
    pub carried: u64,
    /// The effect of this part's differences on the sums, by product, at the time of counting.
    /// `None` for a run of an earlier version, which did not count it.
    #[serde(rename = "told", default, skip_serializing_if = "Option::is_none")]
    pub accounted_for: Option<Gaps>,
    /// The attempt under which each difference's effect on the sums is stored. `None` if none has
    /// an effect, and for a run of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gaps_of: Option<String>,
    /// The attempt under which the effect on the sums is stored for each trade that waits for the
    /// next day's bill. `None` if there is none, and for a run of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_of: Option<String>,
}

impl Run {
    /// A run that is requested and starts at `at`, under the usual terms.
    pub fn begun(date: BillDate, id: &str, dry_run: bool, at: UnixSeconds) -> Self {
        Self {
            date,
            id: id.to_owned(),
            state: RunState::Running,
            dry_run,
            version: 1,
            requested_at_ms: Some(at.0.saturating_mul(1000)),
            started_at: at,
            updated_at: at,
            bills: BTreeMap::new(),
            fetched: BTreeMap::new(),
            parts: 1,
            parts_done: BTreeMap::new(),
            broken: BTreeMap::new(),
            trouble: None,
            waits_for_usable_bill: false,
            was_done_before: false,
            first_began_at: None,
            funds: Some(FundSide::begun(&FundTerms::default())),
            later: WrittenLater::default(),
        }
    }

    /// Time of the request in Unix milliseconds; the start time if unknown.
    pub fn requested_at_ms(&self) -> i64 {
        let began_ms = self.started_at.0.saturating_mul(1000);
        self.requested_at_ms.unwrap_or(began_ms)
    }

    /// Whether its bills are of a day that was over. With a simulator the current day is reconciled
    /// too.
    pub fn has_whole_bills(&self) -> bool {
        self.started_at >= self.date.ends_at()
    }

    /// Whether the trade side of the day was done once: by this run, or by one that it replaced.
    pub fn was_ever_done(&self) -> bool {
        self.state == RunState::Done || self.was_done_before
    }

    /// When the first run of the day began, as far as this run has it.
    pub fn first_began_at(&self) -> UnixSeconds {
        let first = self.first_began_at.unwrap_or(self.started_at);
        first.min(self.started_at)
    }

    /// Whether both its sides are done.
    pub fn is_through(&self) -> bool {
        let funds = self.funds.as_ref();
        self.state == RunState::Done && funds.is_none_or(|funds| funds.state == FundState::Done)
    }

    /// Whether the trade side is done and the fund side is not.
    pub fn owes_its_fund_side(&self) -> bool {
        let funds = self.funds.as_ref();
        self.state == RunState::Done && funds.is_some_and(|funds| !funds.state.is_over())
    }

    /// Whether the effect on its sums is stored for trades that wait for the next day's bill.
    pub fn has_left_any(&self) -> bool {
        self.parts_done.values().any(|part| part.left_of.is_some())
    }

    /// The id of a run of the next day that must decide about trades carried over by a part of this
    /// one: the same each time.
    pub fn id_of_the_day_after(&self, part: u8) -> String {
        let hash = Sha256::digest(format!("{part}#{}", self.id));
        let hash: String = hash
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("after-{}-{hash}", self.date)
    }

    /// The bill's totals of all parts that are done.
    pub fn there(&self) -> Totals {
        self.sum(|part| &part.there)
    }

    /// Our books' totals of all parts that are done.
    pub fn here(&self) -> Totals {
        self.sum(|part| &part.here)
    }

    fn sum(&self, side: impl Fn(&PartDone) -> &Totals) -> Totals {
        let mut all = Totals::default();
        for part in self.parts_done.values() {
            all.add(side(part));
        }
        all
    }

    /// How much more the bill has than our books, by product, of all parts that are done.
    pub fn gaps(&self) -> Gaps {
        let (there, here) = (self.there(), self.here());
        let nothing = Sums::default();
        let mut gaps = Gaps::default();
        for product in there.0.keys().chain(here.0.keys()) {
            let (there, here) = (there.0.get(product), here.0.get(product));
            let gap = Gap::between(there.unwrap_or(&nothing), here.unwrap_or(&nothing));
            gaps.0.insert(product.clone(), gap);
        }
        gaps.0.retain(|_, gap| !gap.is_none());
        gaps
    }

    /// The effect of the differences found on it; `None` if a part did not count that.
    pub fn accounted_for(&self) -> Option<Gaps> {
        let mut all = Gaps::default();
        for part in self.parts_done.values() {
            all.add_all(part.accounted_for.as_ref()?);
        }
        Some(all)
    }

    /// How many differences were found, by kind, on both sides.
    pub fn differences(&self) -> BTreeMap<DifferenceKind, u32> {
        let mut all = BTreeMap::new();
        let trades = self.parts_done.values().map(|part| &part.differences);
        let funds = self
            .funds
            .iter()
            .flat_map(|funds| funds.parts_done.values());
        let of_parts = trades.chain(funds.map(|part| &part.differences));
        for (kind, count) in of_parts.flatten() {
            let sum: &mut u32 = all.entry(*kind).or_default();
            *sum = sum.saturating_add(*count);
        }
        all
    }

    /// How many trades wait for the bills of a later day.
    pub fn carried(&self) -> u64 {
        let funds = self.funds.as_ref().map_or(0, FundSide::carried);
        self.parts_done
            .values()
            .fold(funds, |sum, part| sum.saturating_add(part.carried))
    }

    /// Whether every part of the trade side is done.
    pub fn is_whole(&self) -> bool {
        self.parts_done.len() >= usize::from(self.parts)
    }
}

#[cfg(test)]
mod tests;
