//! The present state of the gap between bill and books that a run counted. The differences behind
//! it change after the run.
//!
//! ```text
//! counted = repaired + explained + rejected + on its way + open + other days
//! ```
//!
//! Each difference counts with its share of the run's own sums, in its present state. A trade that
//! was left to the next day's bill and is absent there too is a difference of that day: it counts
//! here in that difference's state. The rest is what no difference accounts for: usually a trade
//! near midnight that is on another day of one side, or one that agreed when it was read again. The
//! run has checked each row and line of it, so it counts neither as open nor as settled. If the run
//! left rows unread, the rest has the state of the difference about those rows.

use std::collections::{BTreeMap, BTreeSet};

use matching::totals::{Gap, Gaps};
use payments::reconcile::{
    carried::{CarriedKind, CarriedTrade},
    difference::{Difference, DifferenceKind, DifferenceState},
    run::Run,
};

/// The state of a part of the gap.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum GapStatus {
    /// Both sides agree since.
    Repaired,
    /// A person said why it is right.
    Explained,
    /// A person turned its refund down.
    Rejected,
    /// It is decided, and the money is not there yet.
    OnItsWay,
    /// An operator must decide.
    Open,
    /// No difference accounts for it: it is on another day of one side, near midnight, or agreed
    /// when it was read again.
    OtherDays,
}

impl GapStatus {
    /// All of them, in display order.
    pub(crate) const ALL: [Self; 6] = [
        Self::Repaired,
        Self::Explained,
        Self::Rejected,
        Self::OnItsWay,
        Self::Open,
        Self::OtherDays,
    ];

    /// The name in the API.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Repaired => "repaired",
            Self::Explained => "explained",
            Self::Rejected => "rejected",
            Self::OnItsWay => "on_its_way",
            Self::Open => "open",
            Self::OtherDays => "other_days",
        }
    }

    const fn of(state: DifferenceState) -> Self {
        match state {
            DifferenceState::Open | DifferenceState::Proposed => Self::Open,
            DifferenceState::Approved | DifferenceState::OnItsWay => Self::OnItsWay,
            DifferenceState::Repaired => Self::Repaired,
            DifferenceState::Rejected => Self::Rejected,
            DifferenceState::Explained => Self::Explained,
        }
    }
}

/// The breakdown of what one run counted.
#[derive(Debug, Default)]
pub(crate) struct Breakdown {
    counted: Gaps,
    /// The effect of all its differences on the sums, as the run says.
    accounted_for: Option<Gaps>,
    /// Each difference's effect on the sums, by its id.
    of_each: BTreeMap<String, Gaps>,
    ends: BTreeMap<GapStatus, Gaps>,
    met: Gaps,
    /// The effect of each trade that was left to the next day's bill, by the id of the carried
    /// trade, as long as no difference of that day covers it.
    left: BTreeMap<String, Gaps>,
    /// The part that differences of the next day cover.
    of_next_day: Gaps,
    /// Whether some of that is open.
    is_open_next_day: bool,
    /// Whether a difference of the day cannot be read.
    is_unreadable: bool,
    /// Whether one of the next day cannot be read, which may cover some of what was left to it.
    is_unreadable_next_day: bool,
    /// Products with open differences, even if those cancel out in the sum.
    open: BTreeSet<String>,
    /// The state of rows that were not examined, if there are any: of several differences, the one
    /// that is furthest from done.
    unread: Option<GapStatus>,
}

impl Breakdown {
    /// Begins with what a run counted, and the effect of each of its differences where it is known.
    pub(crate) fn begin(run: &Run, of_each: Option<BTreeMap<String, Gaps>>) -> Self {
        let is_known = of_each.is_some();
        Self {
            counted: run.gaps(),
            accounted_for: run.accounted_for().filter(|_| is_known),
            of_each: of_each.unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Counts a difference under its state.
    pub(crate) fn take(&mut self, one: &Difference) {
        let end = GapStatus::of(one.state);
        if one.kind == DifferenceKind::UncheckedRows && end != GapStatus::Repaired {
            // The rows were not examined: they account for the part that no other difference
            // covers.
            self.unread = self.unread.max(Some(end));
        }
        if let Some(gaps) = self.of_each.get(&one.id) {
            self.met.add_all(gaps);
            self.ends.entry(end).or_default().add_all(gaps);
            if end == GapStatus::Open {
                self.open.extend(gaps.0.keys().cloned());
            }
        }
    }

    /// Adds the effect of the trades that were left to the next day's bill.
    pub(crate) fn leave(&mut self, left: BTreeMap<String, Gaps>) {
        self.left = left;
    }

    /// Counts the next day's aggregated differences of one kind. It is not stored which trade
    /// belongs to which of them, so all count under the state that is furthest from done.
    pub(crate) fn take_aggregates_of_next_day(&mut self, all: &[Difference]) {
        let furthest = all.iter().max_by_key(|one| GapStatus::of(one.state));
        if let Some(one) = furthest {
            self.take_of_next_day(one);
        }
    }

    /// Counts a difference of the next day under its state, if it is about a trade that this day
    /// left to it.
    pub(crate) fn take_of_next_day(&mut self, one: &Difference) {
        let Some(kind) = CarriedKind::of_absent(one.kind) else {
            return;
        };
        let end = GapStatus::of(one.state);
        if end == GapStatus::Repaired {
            return; // that day's bill has it after all
        }
        if one.aggregate.is_some() {
            // Which of them these are was not stored.
            let (these, others) = std::mem::take(&mut self.left)
                .into_iter()
                .partition(|(id, _)| id.starts_with(kind.name()));
            self.left = others;
            let these: BTreeMap<String, Gaps> = these;
            these.values().for_each(|gaps| self.count_left(end, gaps));
        } else if let Some(gaps) =
            CarriedTrade::id_of_absent(one).and_then(|id| self.left.remove(&id))
        {
            self.count_left(end, &gaps);
        }
    }

    fn count_left(&mut self, end: GapStatus, gaps: &Gaps) {
        self.of_next_day.add_all(gaps);
        self.ends.entry(end).or_default().add_all(gaps);
        if end == GapStatus::Open {
            self.is_open_next_day = true;
            self.open.extend(gaps.0.keys().cloned());
        }
    }

    /// Gives up: the state of the whole is unknown.
    pub(crate) fn is_unknown(&mut self) {
        self.accounted_for = None;
    }

    /// A difference of the day cannot be read.
    pub(crate) fn misses_one(&mut self) {
        self.is_unreadable = true;
        self.is_unknown();
    }

    /// A difference of the next day cannot be read, which may cover some of what was left to it.
    pub(crate) fn misses_one_of_next_day(&mut self) {
        self.is_unreadable_next_day = true;
        self.is_unknown();
    }

    /// Whether each difference that may make some of it can be read. Otherwise something may be
    /// open, also where both sides' sums are the same.
    pub(crate) fn is_readable(&self) -> bool {
        !self.is_unreadable && !self.is_unreadable_next_day
    }

    /// Whether a difference of the next day cannot be read, which may cover some of it.
    pub(crate) fn is_unreadable_next_day(&self) -> bool {
        self.is_unreadable_next_day
    }

    /// Whether some of it is open among the differences of the next day.
    pub(crate) fn is_open_with_next_day(&self) -> bool {
        self.is_open_next_day
    }

    /// The part that the next day's differences explain.
    pub(crate) fn of_next_day(&self) -> Gap {
        self.of_next_day.all()
    }

    /// The part that no difference explains.
    fn rest(&self) -> Gaps {
        let mut rest = self.counted.clone();
        let accounted_for = self.accounted_for.iter().chain([&self.of_next_day]);
        for (product, gap) in accounted_for.flat_map(|accounted_for| &accounted_for.0) {
            rest.add(product, Gap::default().less(*gap));
        }
        rest
    }

    /// Whether all of it is accounted for: not of runs of earlier versions, nor while a run writes.
    pub(crate) fn is_whole(&self) -> bool {
        self.accounted_for.as_ref() == Some(&self.met)
    }

    /// What was counted, of all products.
    pub(crate) fn counted(&self) -> Gap {
        self.counted.all()
    }

    /// What was counted, of one product.
    pub(crate) fn counted_of(&self, product: &str) -> Gap {
        self.counted.0.get(product).copied().unwrap_or_default()
    }

    /// The part with one result, of all products.
    pub(crate) fn at(&self, end: GapStatus) -> Gap {
        self.gaps(end).all()
    }

    /// The part with one result, of one product.
    pub(crate) fn at_of(&self, end: GapStatus, product: &str) -> Gap {
        self.gaps(end).0.get(product).copied().unwrap_or_default()
    }

    fn gaps(&self, end: GapStatus) -> Gaps {
        let mut gaps = self.ends.get(&end).cloned().unwrap_or_default();
        if self.unread.unwrap_or(GapStatus::OtherDays) == end {
            gaps.add_all(&self.rest());
        }
        gaps
    }

    /// The gap that was counted, less what was repaired since. It is the whole gap while the effect
    /// of the repaired differences is unknown.
    pub(crate) fn now(&self) -> Gap {
        let repaired = self.at(GapStatus::Repaired);
        let repaired = self.is_whole().then_some(repaired);
        self.counted().less(repaired.unwrap_or_default())
    }

    /// The same of one product.
    pub(crate) fn now_of(&self, product: &str) -> Gap {
        let repaired = self.at_of(GapStatus::Repaired, product);
        let repaired = self.is_whole().then_some(repaired);
        self.counted_of(product).less(repaired.unwrap_or_default())
    }

    /// Whether something is open, even if it cancels out in the sums. While the open part is not
    /// known, all that was counted is.
    pub(crate) fn is_open(&self) -> bool {
        if self.is_whole() {
            !self.open.is_empty() || !self.gaps(GapStatus::Open).0.is_empty()
        } else {
            !self.counted.0.is_empty()
        }
    }

    /// The same of one product.
    pub(crate) fn is_open_of(&self, product: &str) -> bool {
        if self.is_whole() {
            self.open.contains(product) || !self.at_of(GapStatus::Open, product).is_none()
        } else {
            !self.counted_of(product).is_none()
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
