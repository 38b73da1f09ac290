//! Where that stands by now which a run counted more in the bill than in our books: the differences that make it go on after the
//! sums were counted.
//!
//! ```text
//! counted = repaired + explained + rejected + on its way + open + other days
//! ```
//!
//! Each difference counts with what it made of the run's own sums, in the state that it has now. What none of them makes stands on
//! another day of one side, near midnight, or agreed when it was read again: the run looked at each row and line of it. Only where
//! it left rows unread is that open too.

use std::collections::BTreeMap;

use payments::reconcile::{
    difference::{Difference, Kind, State},
    run::Run,
    totals::{Gap, Gaps},
};

/// Where a part of it has come to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum End {
    /// Both sides agree since.
    Repaired,
    /// A person said why it is right.
    Explained,
    /// A person turned its refund down.
    Rejected,
    /// It is decided, and the money is not there yet.
    OnItsWay,
    /// Somebody has to decide.
    Open,
    /// It stands on another day of one side, or agreed when it was read again.
    OtherDays,
}

impl End {
    /// All, in the order in which they are told.
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

    const fn of(state: State) -> Self {
        match state {
            State::Open | State::Proposed => Self::Open,
            State::Approved | State::OnItsWay => Self::OnItsWay,
            State::Repaired => Self::Repaired,
            State::Rejected => Self::Rejected,
            State::Explained => Self::Explained,
        }
    }
}

/// The breakdown of what one run counted.
#[derive(Debug, Default)]
pub(crate) struct Breakdown {
    /// What was counted.
    counted: Gaps,
    /// What the run says that its differences make of it.
    told: Option<Gaps>,
    /// What each difference made of it, by its id.
    of_each: BTreeMap<String, Gaps>,
    ends: BTreeMap<End, Gaps>,
    met: Gaps,
}

impl Breakdown {
    /// Begins with what a run counted, and what each of its differences made of that, where this is known.
    pub(crate) fn begin(run: &Run, of_each: Option<BTreeMap<String, Gaps>>) -> Self {
        let is_known = of_each.is_some();
        Self {
            counted: run.gaps(),
            told: run.told().filter(|_| is_known),
            of_each: of_each.unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Counts a difference where it stands.
    pub(crate) fn take(&mut self, one: &Difference) {
        if one.kind == Kind::UncheckedRows && one.state.needs_somebody() {
            // Nobody looked at the rows: what no other difference makes is theirs.
            let rest = self.rest();
            self.ends.entry(End::Open).or_default().add_all(&rest);
            self.met.add_all(&rest);
            self.told = self.told.take().map(|_| self.counted.clone());
            return;
        }
        if let Some(gaps) = self.of_each.get(&one.id) {
            self.met.add_all(gaps);
            let end = self.ends.entry(End::of(one.state)).or_default();
            end.add_all(gaps);
        }
    }

    /// What no difference makes.
    fn rest(&self) -> Gaps {
        let mut rest = self.counted.clone();
        for (product, gap) in self.told.iter().flat_map(|told| &told.0) {
            rest.add(product, Gap::default().less(*gap));
        }
        rest
    }

    /// Whether all of it is accounted for: not of runs of earlier versions, nor while a run writes.
    pub(crate) fn is_whole(&self) -> bool {
        self.told.as_ref() == Some(&self.met)
    }

    /// What was counted, of all products.
    pub(crate) fn counted(&self) -> Gap {
        self.counted.all()
    }

    /// What was counted, of one product.
    pub(crate) fn counted_of(&self, product: &str) -> Gap {
        self.counted.0.get(product).copied().unwrap_or_default()
    }

    /// What has come to one end, of all products.
    pub(crate) fn at(&self, end: End) -> Gap {
        self.gaps(end).all()
    }

    /// What has come to one end, of one product.
    pub(crate) fn at_of(&self, end: End, product: &str) -> Gap {
        self.gaps(end).0.get(product).copied().unwrap_or_default()
    }

    fn gaps(&self, end: End) -> Gaps {
        match end {
            End::OtherDays => self.rest(),
            End::Repaired | End::Explained | End::Rejected | End::OnItsWay | End::Open => {
                self.ends.get(&end).cloned().unwrap_or_default()
            }
        }
    }

    /// What is left of what was counted, without what is repaired since.
    pub(crate) fn now(&self) -> Gap {
        self.counted().less(self.at(End::Repaired))
    }

    /// The same of one product.
    pub(crate) fn now_of(&self, product: &str) -> Gap {
        self.counted_of(product)
            .less(self.at_of(End::Repaired, product))
    }

    /// Whether something is open: all that was counted, while it is not known what of it is.
    pub(crate) fn is_open(&self) -> bool {
        if self.is_whole() {
            !self.gaps(End::Open).0.is_empty()
        } else {
            !self.counted.0.is_empty()
        }
    }

    /// The same of one product.
    pub(crate) fn is_open_of(&self, product: &str) -> bool {
        if self.is_whole() {
            !self.at_of(End::Open, product).is_none()
        } else {
            !self.counted_of(product).is_none()
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use payments::reconcile::{
        difference::{About, Decision, Side},
        run::{BillDate, PartDone},
        totals::Totals,
    };
    use wechatpay::UnixSeconds;

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_785_643_200);

    /// A run that counted so much more in the bill, in fen, and what it says that its differences make of that.
    pub(crate) fn run(counted_fen: i64, told_fen: Option<i64>) -> Run {
        let date = BillDate::parse("2026-08-01").unwrap();
        let mut run = Run::begun(date, "run-1", false, NOW);
        let mut part = PartDone {
            told: told_fen.map(gaps),
            ..PartDone::default()
        };
        let mut there = Totals::default();
        let sums = there.0.entry("NATIVE".to_owned()).or_default();
        (sums.payments, sums.payments_fen) = (1, counted_fen);
        part.there = there;
        run.parts_done.insert(0, part);
        run
    }

    fn gaps(fen: i64) -> Gaps {
        let mut gaps = Gaps::default();
        gaps.add("NATIVE", Gap::of_payment(fen));
        gaps
    }

    fn found(kind: Kind, order_no: &str) -> Difference {
        let date = BillDate::parse("2026-08-01").unwrap();
        let about = About {
            order_no: Some(order_no.to_owned()),
            ..About::default()
        };
        let there = Side {
            amount_fen: Some(100),
            ..Side::default()
        };
        Difference::found(date, kind, about, Some(there), None, "run-1", NOW)
    }

    #[test]
    fn every_fen_that_was_counted_has_come_to_one_end() {
        let open = found(Kind::DuplicatePayment, "open");
        let proposed = found(Kind::DuplicatePayment, "proposed").proposed("run-1", "twice", NOW);
        let decide = |one: &Difference, decision, who| one.decided(decision, who, "x", NOW);
        let once = decide(&proposed, Decision::Approve, "li").unwrap();
        let mut on_its_way = decide(&once, Decision::Approve, "wang").unwrap();
        on_its_way.id = "on-its-way".to_owned();
        let mut rejected = decide(&proposed, Decision::Reject, "li").unwrap();
        rejected.id = "rejected".to_owned();
        let explained = found(Kind::AmountDiffers, "explained");
        let explained = decide(&explained, Decision::Explain, "li").unwrap();
        let repaired = found(Kind::PaidThereUnpaidHere, "repaired").repaired("run-1", "x", NOW);
        let all = [open, proposed, on_its_way, rejected, explained, repaired];
        let of_each: BTreeMap<String, Gaps> = all
            .iter()
            .zip([1, 20, 300, 4_000, 50_000, 600_000])
            .map(|(one, fen)| (one.id.clone(), gaps(fen)))
            .collect();
        let mut run = run(7_654_321, None);
        let mut told = Gaps::default();
        of_each.values().for_each(|gaps| told.add_all(gaps));
        run.parts_done.get_mut(&0).unwrap().told = Some(told);
        let mut breakdown = Breakdown::begin(&run, Some(of_each));
        assert!(!breakdown.is_whole() && breakdown.is_open());
        all.iter().for_each(|one| breakdown.take(one));
        assert!(breakdown.is_whole());
        let fen = End::ALL.map(|end| breakdown.at(end).paid_fen);
        assert_eq!(fen, [600_000, 50_000, 4_000, 300, 21, 7_000_000]);
        assert_eq!(fen.iter().sum::<i64>(), breakdown.counted().paid_fen);
        assert_eq!(breakdown.now().paid_fen, 7_054_321);
    }

    #[test]
    fn what_was_decided_about_is_not_open_and_what_nobody_looked_at_is() {
        let explained = found(Kind::AmountDiffers, "A")
            .decided(Decision::Explain, "li", "a discount", NOW)
            .unwrap();
        let of_each = BTreeMap::from([(explained.id.clone(), gaps(50))]);
        let mut breakdown = Breakdown::begin(&run(50, Some(50)), Some(of_each.clone()));
        breakdown.take(&explained);
        assert!(!breakdown.is_open() && !breakdown.is_open_of("NATIVE"));
        assert_eq!(breakdown.now().paid_fen, 50, "it is still apart");

        let mut breakdown = Breakdown::begin(&run(80, Some(50)), Some(of_each));
        breakdown.take(&explained);
        assert!(!breakdown.is_open());
        assert_eq!(breakdown.at(End::OtherDays).paid_fen, 30);
        breakdown.take(&found(Kind::UncheckedRows, "rows"));
        assert!(breakdown.is_whole() && breakdown.is_open_of("NATIVE"));
        assert_eq!(breakdown.at(End::Open).paid_fen, 30);
        assert!(breakdown.at(End::OtherDays).is_none());
    }

    #[test]
    fn of_a_run_that_did_not_say_what_its_differences_make_all_is_open() {
        for (told, of_each) in [(None, Some(BTreeMap::new())), (Some(50), None)] {
            let breakdown = Breakdown::begin(&run(50, told), of_each);
            assert!(!breakdown.is_whole() && breakdown.is_open());
            assert!(breakdown.is_open_of("NATIVE") && !breakdown.is_open_of("APP"));
        }
        assert!(!Breakdown::begin(&run(0, None), None).is_open_of("APP"));
    }
}
