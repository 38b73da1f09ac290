//! The findings of one side of a run, before they are stored. Too many of one kind are aggregated.

use std::collections::{BTreeMap, BTreeSet};

use matching::{
    bill_line::{BillLine, LineKind},
    matcher::Overflow,
    totals::{Gap, Gaps},
};
use payments::{
    model::bill_date::{BillDate, BillName},
    reconcile::{
        carried::{CarriedKind, CarriedTrade, TradeIdentity},
        classify::{NearMidnight, about_row, gap_of_row, near, side_of_row, sides_of_fee},
        difference::{Aggregate, Difference, DifferenceKind, DifferenceSubject, Remedy, SideView},
        run::Run,
    },
};
use wechatpay::UnixSeconds;

use crate::{
    day_part::DayPart,
    last_minutes::LastMinutes,
    trade_identity::{about_trade, number_of_trade},
};

/// Maximum number of one kind that are listed one by one.
pub(crate) const DIFFERENCES_MAX: usize = 20_000;

/// What a pass finds.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) date: BillDate,
    run_id: String,
    part: DayPart,
    at: UnixSeconds,
    kinds: BTreeMap<DifferenceKind, OfKind>,
    /// The trades that are compared with the next day.
    pub(crate) carried: Vec<CarriedTrade>,
    /// The effect of those on the sums, by the id of the carried trade.
    pub(crate) left: BTreeMap<String, Gaps>,
    /// Payments and refunds in the bill, among those that were examined.
    pub(crate) named: BTreeSet<String>,
    /// Those whose line of our books was already compared with a row: another row with the same
    /// number has no line left.
    held: BTreeSet<String>,
    at_most: usize,
}

#[derive(Debug, Default)]
struct OfKind {
    /// By id, so that what is found twice is one.
    differences: BTreeMap<String, Difference>,
    /// The effect of each on the sums, if any.
    gaps: BTreeMap<String, Gaps>,
    /// More than those.
    more: Overflow,
    /// Their effect on the sums, as far as that is known.
    more_gaps: Gaps,
    /// Some of them.
    examples: Vec<DifferenceSubject>,
}

impl Findings {
    pub(crate) fn new(run: &Run, part: DayPart, at: UnixSeconds) -> Self {
        Self {
            date: run.date,
            run_id: run.id.clone(),
            part,
            at,
            kinds: BTreeMap::new(),
            carried: Vec::new(),
            left: BTreeMap::new(),
            named: BTreeSet::new(),
            held: BTreeSet::new(),
            at_most: DIFFERENCES_MAX,
        }
    }

    /// Adds a difference without an effect on the sums.
    pub(crate) fn add(
        &mut self,
        kind: DifferenceKind,
        about: DifferenceSubject,
        there: Option<SideView>,
        here: Option<SideView>,
    ) {
        self.add_with_gap(kind, about, (there, here), ("", Gap::default()));
    }

    /// Notes a difference of a trade of this product, and its effect on the sums.
    pub(crate) fn add_with_gap(
        &mut self,
        kind: DifferenceKind,
        about: DifferenceSubject,
        (there, here): (Option<SideView>, Option<SideView>),
        (product, gap): (&str, Gap),
    ) {
        let difference =
            Difference::found(self.date, kind, about, there, here, &self.run_id, self.at);
        let id = difference.id.clone();
        let of_kind = self.kinds.entry(kind).or_default();
        if of_kind.differences.contains_key(&id) {
            // Found twice it is one, and both are in the sums.
            of_kind.gaps.entry(id).or_default().add(product, gap);
            return;
        }
        if of_kind.differences.len() < self.at_most {
            of_kind.differences.insert(id.clone(), difference);
            if !gap.is_none() {
                of_kind.gaps.entry(id).or_default().add(product, gap);
            }
        } else {
            let amount_fen = amount_fen(&difference);
            of_kind.more_gaps.add(product, gap);
            of_kind.one_more(amount_fen, difference.about);
        }
    }

    /// The effect of a row on the sums; `counted_fen` is the amount in our sums under its number.
    /// The first row of a number is compared with that. A row that is in the bill twice has no
    /// effect here: it is also reported as repeated ([`Self::repeated`]).
    pub(crate) fn gap_of_row(
        &mut self,
        row: &BillLine,
        number: &str,
        counted_fen: Option<i64>,
        is_repeated: bool,
    ) -> Gap {
        if is_repeated {
            return Gap::default();
        }
        let held = counted_fen.filter(|_| self.held.insert(number.to_owned()));
        gap_of_row(row, held)
    }

    /// Adds this many more of a kind, without other data.
    pub(crate) fn more(&mut self, kind: DifferenceKind, more: Overflow) {
        if more.count > 0 {
            let all = &mut self.kinds.entry(kind).or_default().more;
            all.count = all.count.saturating_add(more.count);
            all.amount_fen = all.amount_fen.saturating_add(more.amount_fen);
        }
    }

    /// Rows that are in the bill twice. Each makes the bill's sum too high.
    pub(crate) fn repeated(&mut self, rows: &[BillLine]) {
        for row in rows {
            let kind = match row.kind {
                LineKind::Payment | LineKind::Revoked => DifferenceKind::AmountDiffers,
                LineKind::Refund => DifferenceKind::RefundAmountDiffers,
            };
            let there = SideView {
                note: Some("the bill has this row more than once".to_owned()),
                ..side_of_row(row)
            };
            let of_sums = (row.trade_type.as_str(), gap_of_row(row, None));
            self.add_with_gap(kind, about_row(row), (Some(there), None), of_sums);
        }
    }

    /// Rows whose fee differs from the fee that their own rate gives.
    pub(crate) fn off_rate(&mut self, rows: &[BillLine]) {
        for row in rows {
            let (there, here) = sides_of_fee(row);
            let about = about_row(row);
            self.add(
                DifferenceKind::FeeOffTheRate,
                about,
                Some(there),
                Some(here),
            );
        }
    }

    /// Notes that a bill's last row is not the sum of its rows.
    pub(crate) fn summary(&mut self, bill: BillName, what: &str) {
        let about = DifferenceSubject {
            bill: Some(bill),
            ..DifferenceSubject::default()
        };
        let there = SideView {
            note: Some(what.to_owned()),
            ..SideView::default()
        };
        self.add(DifferenceKind::SummaryDiffers, about, Some(there), None);
    }

    /// Notes a line that the bill has not, unless a row among the candidates names it, or one of
    /// the day before's last minutes. One of this day's last minutes may be in the next day's bill.
    pub(crate) fn absent(
        &mut self,
        trade: TradeIdentity,
        product: &str,
        (kind, here): (DifferenceKind, SideView),
        before: &LastMinutes,
    ) {
        let number = number_of_trade(&trade);
        if self.named.contains(&number) || before.numbers.contains(&number) {
            return;
        }
        let about = about_trade(&trade);
        let of_sums = (product, only_here(&trade));
        match (near(self.date, trade.at), &before.unread) {
            (NearMidnight::DayAfter, _) => self.carry(trade, product),
            (NearMidnight::DayBefore, Some(why)) => {
                let note = format!(
                    "it may be in the bill of the day before, which was not available ({why})"
                );
                let notes: Vec<String> = [here.note, Some(note)].into_iter().flatten().collect();
                let here = SideView {
                    note: Some(notes.join("; ")),
                    ..here
                };
                self.add_with_gap(kind, about, (None, Some(here)), of_sums);
            }
            (NearMidnight::DayBefore, None) | (NearMidnight::Neither, _) => {
                self.add_with_gap(kind, about, (None, Some(here)), of_sums);
            }
        }
    }

    /// The same of a line that was not read again, since there are too many: it is counted.
    pub(crate) fn absent_unread(
        &mut self,
        trade: TradeIdentity,
        product: &str,
        kind: DifferenceKind,
        before: &LastMinutes,
    ) {
        let number = number_of_trade(&trade);
        if self.named.contains(&number) || before.numbers.contains(&number) {
            return;
        }
        match near(self.date, trade.at) {
            NearMidnight::DayAfter => self.carry(trade, product),
            NearMidnight::DayBefore | NearMidnight::Neither => {
                let about = about_trade(&trade);
                let of_kind = self.kinds.entry(kind).or_default();
                of_kind.more_gaps.add(product, only_here(&trade));
                of_kind.one_more(trade.amount_fen, about);
            }
        }
    }

    fn carry(&mut self, trade: TradeIdentity, product: &str) {
        let gap = only_here(&trade);
        let carried = CarriedTrade::to(self.date.plus_days(1), trade);
        let left = self.left.entry(carried.id.clone()).or_default();
        left.add(product, gap);
        self.carried.push(carried);
    }

    /// Whether rows of the bill were only counted.
    pub(crate) fn has_unchecked_rows(&self) -> bool {
        self.kinds.contains_key(&DifferenceKind::UncheckedRows)
    }

    /// The differences to be stored. When there are too many of a kind: kinds that are settled one
    /// by one are listed up to the limit and the rest is aggregated; all other kinds are aggregated
    /// whole.
    pub(crate) fn differences(&self) -> Vec<Difference> {
        let mut all = Vec::new();
        for (kind, of_kind) in &self.kinds {
            let differences = of_kind.differences.values();
            if of_kind.more.count == 0 {
                all.extend(differences.cloned());
                continue;
            }
            let mut count = of_kind.more;
            match kind.remedy() {
                Remedy::Settle(_) | Remedy::Refund(_) => all.extend(differences.cloned()),
                Remedy::Operator => differences.for_each(|one| count.add(amount_fen(one))),
            }
            let abouts = of_kind.differences.values().map(|one| &one.about);
            let examples = of_kind.examples.iter().chain(abouts);
            let aggregate = Aggregate {
                count: count.count,
                amount_fen: count.amount_fen,
                examples: examples.take(Aggregate::EXAMPLES).cloned().collect(),
                part: self.part.number,
            };
            let (run, at) = (&self.run_id, self.at);
            let one = Difference::of_many(self.date, *kind, aggregate, run, at);
            all.push(one);
        }
        all
    }

    /// The effects of the differences on the sums, by their ids, without those that have none. An
    /// aggregated difference has the total effect.
    pub(crate) fn gaps(&self) -> BTreeMap<String, Gaps> {
        let mut all = BTreeMap::new();
        for (kind, of_kind) in &self.kinds {
            let effects = of_kind.gaps.iter().map(|(id, gaps)| (id.clone(), gaps));
            if of_kind.more.count == 0 {
                all.extend(effects.map(|(id, gaps)| (id, gaps.clone())));
                continue;
            }
            let mut together = of_kind.more_gaps.clone();
            match kind.remedy() {
                Remedy::Settle(_) | Remedy::Refund(_) => {
                    all.extend(effects.map(|(id, gaps)| (id, gaps.clone())));
                }
                Remedy::Operator => effects.for_each(|(_, gaps)| together.add_all(gaps)),
            }
            all.insert(Difference::id_of_many(*kind, self.part.number), together);
        }
        all.retain(|_, gaps| !gaps.0.is_empty());
        all
    }

    /// Whether the absence of a difference from this finding shows that it is over: not if it may
    /// be among those that were only counted.
    pub(crate) fn proves_resolved(&self, known: &Difference) -> bool {
        let of_kind = self.kinds.get(&known.kind);
        let is_complete = of_kind.is_none_or(|of_kind| of_kind.more.count == 0);
        is_complete && !self.has_unchecked_rows()
    }
}

impl OfKind {
    fn one_more(&mut self, amount_fen: i64, about: DifferenceSubject) {
        self.more.add(amount_fen);
        if self.examples.len() < Aggregate::EXAMPLES {
            self.examples.push(about);
        }
    }
}

/// The effect on the sums of a trade that only our books have.
fn only_here(trade: &TradeIdentity) -> Gap {
    let gap = match trade.kind {
        CarriedKind::Payment => Gap::of_payment(trade.amount_fen),
        CarriedKind::Refund => Gap::of_refund(trade.amount_fen),
    };
    Gap::default().less(gap)
}

/// What a difference is about, in fen.
fn amount_fen(difference: &Difference) -> i64 {
    let mut sides = [&difference.there, &difference.here].into_iter().flatten();
    sides.find_map(|side| side.amount_fen).unwrap_or_default()
}

#[cfg(test)]
mod tests;
