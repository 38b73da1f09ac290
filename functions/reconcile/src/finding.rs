//! The findings of one side of a run, before they are stored. Too many of one kind are aggregated.

use std::collections::{BTreeMap, BTreeSet};

use matching::{
    bill_line::BillLine,
    matcher::Overflow,
    totals::{Gap, Gaps},
};
use payments::{
    model::bill_date::{BillDate, BillName},
    reconcile::{
        carried::{CarriedKind, CarriedTrade, Trade},
        classify::{NearMidnight, gap_of_row, near},
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
    /// What is judged with the next day.
    pub(crate) carried: Vec<CarriedTrade>,
    /// What that makes of the sums, by the names that it is carried under.
    pub(crate) left: BTreeMap<String, Gaps>,
    /// Payments and refunds in the bill, among those that were examined.
    pub(crate) named: BTreeSet<String>,
    /// Those whose line of our books was already compared with a row: another row with the same
    /// number has no line left.
    held: BTreeSet<String>,
    at_most: usize,
}

/// What was found of a kind.
#[derive(Debug, Default)]
struct OfKind {
    /// By id, so that what is found twice is one.
    told: BTreeMap<String, Difference>,
    /// The effect of each on the sums, if any.
    gaps: BTreeMap<String, Gaps>,
    /// More than those.
    more: Overflow,
    /// What these make of the sums, as far as that is known.
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

    /// Notes a difference of a trade of this product, and what it makes of the sums.
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
        if of_kind.told.contains_key(&id) {
            // Found twice it is one, and both are in the sums.
            of_kind.gaps.entry(id).or_default().add(product, gap);
            return;
        }
        if of_kind.told.len() < self.at_most {
            of_kind.told.insert(id.clone(), difference);
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
    /// effect here: it is also reported as repeated ([`crate::confirm::repeated`]).
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
        trade: Trade,
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
                    "it may be in the bill of the day before, which was not there to look into ({why})"
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
        trade: Trade,
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

    fn carry(&mut self, trade: Trade, product: &str) {
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
            let told = of_kind.told.values();
            if of_kind.more.count == 0 {
                all.extend(told.cloned());
                continue;
            }
            let mut count = of_kind.more;
            match kind.remedy() {
                Remedy::Settle(_) | Remedy::Refund(_) => all.extend(told.cloned()),
                Remedy::Operator => told.for_each(|one| count.add(amount_fen(one))),
            }
            let abouts = of_kind.told.values().map(|one| &one.about);
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
            let told = of_kind.gaps.iter().map(|(id, gaps)| (id.clone(), gaps));
            if of_kind.more.count == 0 {
                all.extend(told.map(|(id, gaps)| (id, gaps.clone())));
                continue;
            }
            let mut together = of_kind.more_gaps.clone();
            match kind.remedy() {
                Remedy::Settle(_) | Remedy::Refund(_) => {
                    all.extend(told.map(|(id, gaps)| (id, gaps.clone())));
                }
                Remedy::Operator => told.for_each(|(_, gaps)| together.add_all(gaps)),
            }
            all.insert(Difference::id_of_many(*kind, self.part.number), together);
        }
        all.retain(|_, gaps| !gaps.0.is_empty());
        all
    }

    /// Whether the absence of a difference from this finding shows that it is over: not if it may
    /// be among those that were only counted.
    pub(crate) fn tells_that_it_is_over(&self, known: &Difference) -> bool {
        let of_kind = self.kinds.get(&known.kind);
        let is_told = of_kind.is_none_or(|of_kind| of_kind.more.count == 0);
        is_told && !self.has_unchecked_rows()
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

/// What a trade makes of the sums that only our books have.
fn only_here(trade: &Trade) -> Gap {
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
mod tests {
    use matching::bill_line::LineKind;
    use payments::reconcile::classify::about_row;

    use super::*;

    fn finding(at_most: usize) -> Findings {
        let date = BillDate::parse("2026-08-01").unwrap();
        let run = Run::begun(date, "run-1", false, UnixSeconds(1_785_643_200));
        Findings {
            at_most,
            ..Findings::new(&run, DayPart { number: 5, of: 8 }, run.started_at)
        }
    }

    fn add(finding: &mut Findings, kind: DifferenceKind, order_no: &str, fen: i64) {
        let about = DifferenceSubject {
            order_no: Some(order_no.to_owned()),
            ..DifferenceSubject::default()
        };
        let there = SideView {
            amount_fen: Some(fen),
            ..SideView::default()
        };
        finding.add(kind, about, Some(there), None);
    }

    fn told(finding: &Findings) -> Vec<(DifferenceKind, Option<u64>, i64)> {
        let all = finding.differences();
        let told = all.iter().map(|one| {
            let count = one.aggregate.as_ref().map(|many| many.count);
            (one.kind, count, amount_fen(one))
        });
        told.collect()
    }

    #[test]
    fn more_of_a_kind_than_there_is_room_for_are_told_as_one() {
        let mut finding = finding(2);
        let kind = DifferenceKind::TradeWithoutFundFlow;
        for (order_no, fen) in [("A", 1), ("B", 20), ("B", 20)] {
            add(&mut finding, kind, order_no, fen);
        }
        assert_eq!(finding.differences().len(), 2, "found twice, it is one");
        add(&mut finding, kind, "C", 300);
        add(&mut finding, DifferenceKind::AmountDiffers, "D", 4_000);
        let more = Overflow {
            count: 10,
            amount_fen: 50_000,
        };
        finding.more(kind, more);
        assert_eq!(
            told(&finding),
            [
                (DifferenceKind::AmountDiffers, None, 4_000),
                (kind, Some(13), 50_321)
            ]
        );
        let many = finding.differences().pop().unwrap();
        let many = many.aggregate.unwrap();
        assert_eq!((many.part, many.examples.len()), (5, 3));
    }

    #[test]
    fn what_a_run_settles_one_by_one_is_told_one_by_one_and_only_the_rest_as_one() {
        let mut finding = finding(2);
        let kind = DifferenceKind::PaidThereUnpaidHere;
        for (order_no, fen) in [("A", 1), ("B", 20), ("C", 300), ("D", 4_000)] {
            add(&mut finding, kind, order_no, fen);
        }
        let told = told(&finding);
        assert_eq!(told.len(), 3);
        assert_eq!(told.last(), Some(&(kind, Some(2), 4_300)));
    }

    /// The bill has a refund twice whose state is not ours: one row more, once, in the sums.
    #[test]
    fn a_row_that_the_bill_has_twice_makes_of_the_sums_one_more() {
        let mut finding = finding(9);
        let row = |line| BillLine {
            line,
            kind: LineKind::Refund,
            at: "2026-08-01 10:00:05".into(),
            appid: String::new(),
            mchid: String::new(),
            transaction_id: "420001".into(),
            order_no: "ORDER-1".into(),
            refund_id: "500001".into(),
            out_refund_no: "R-1".into(),
            trade_type: "NATIVE".into(),
            currency: "CNY".into(),
            refund_state: "SUCCESS".into(),
            total_fen: 0,
            settlement_fen: 0,
            requested_refund_fen: 70,
            refund_fen: 70,
            fee: 0,
            rate: String::new(),
        };
        for (line, is_repeated) in [(2, false), (3, true)] {
            let row = row(line);
            let gap = finding.gap_of_row(&row, "refund#R-1", Some(70), is_repeated);
            let kind = DifferenceKind::RefundStateDiffers;
            finding.add_with_gap(kind, about_row(&row), (None, None), ("NATIVE", gap));
        }
        crate::confirm::repeated(&[row(3)], &mut finding);
        let mut told = Gaps::default();
        finding.gaps().values().for_each(|gaps| told.add_all(gaps));
        assert_eq!(told.all(), Gap::of_refund(70));
    }

    #[test]
    fn what_is_told_as_one_makes_of_the_sums_what_its_many_make() {
        let mut finding = finding(2);
        let add = |finding: &mut Findings, kind, order_no: &str, gap| {
            let about = DifferenceSubject {
                order_no: Some(order_no.to_owned()),
                ..DifferenceSubject::default()
            };
            finding.add_with_gap(kind, about, (None, None), ("NATIVE", gap));
        };
        for (order_no, fen) in [("A", 1), ("B", 20), ("C", 300)] {
            let gap = Gap::of_payment(fen);
            add(&mut finding, DifferenceKind::AmountDiffers, order_no, gap);
            add(
                &mut finding,
                DifferenceKind::PaidThereUnpaidHere,
                order_no,
                gap,
            );
        }
        add(
            &mut finding,
            DifferenceKind::FeeOffTheRate,
            "A",
            Gap::default(),
        );
        let gaps = finding.gaps();
        let ids: BTreeSet<String> = finding
            .differences()
            .into_iter()
            .map(|one| one.id)
            .collect();
        assert!(gaps.keys().all(|id| ids.contains(id)), "{gaps:?} {ids:?}");
        let fen = |id: &str| gaps.get(id).map(|gaps| gaps.all().net_fen());
        assert_eq!(fen("amount-differs-all-5"), Some(321), "all as one");
        assert_eq!(fen("paid-there-unpaid-here-all-5"), Some(300), "the rest");
        let mut all = Gaps::default();
        gaps.values().for_each(|gaps| all.add_all(gaps));
        assert_eq!(all.all().net_fen(), 642);
        assert_eq!(gaps.len(), 4, "a fee is in no sum");
    }

    #[test]
    fn nothing_is_said_to_be_over_that_may_be_among_those_that_were_only_counted() {
        let known = |kind| {
            let about = DifferenceSubject::default();
            let date = finding(1).date;
            Difference::found(date, kind, about, None, None, "run-0", UnixSeconds(0))
        };
        let mut finding = finding(1);
        for order_no in ["A", "B"] {
            add(&mut finding, DifferenceKind::FeeOffTheRate, order_no, 1);
        }
        assert!(!finding.tells_that_it_is_over(&known(DifferenceKind::FeeOffTheRate)));
        assert!(finding.tells_that_it_is_over(&known(DifferenceKind::AmountDiffers)));
        let more = Overflow {
            count: 1,
            amount_fen: 1,
        };
        finding.more(DifferenceKind::UncheckedRows, more);
        assert!(!finding.tells_that_it_is_over(&known(DifferenceKind::AmountDiffers)));
    }
}
