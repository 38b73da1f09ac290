use matching::totals::Totals;
use payments::{
    model::bill_date::BillDate,
    reconcile::{
        carried::TradeIdentity,
        difference::{Aggregate, Decision, DifferenceSubject, SideView},
        run::PartDone,
    },
};
use wechatpay::UnixSeconds;

use super::*;

const NOW: UnixSeconds = UnixSeconds(1_785_643_200);

/// A run that counted this much more in the bill, in fen, with the effect of its differences on
/// that.
pub(crate) fn run(counted_fen: i64, accounted_fen: Option<i64>) -> Run {
    let date = BillDate::parse("2026-08-01").unwrap();
    let mut run = Run::begun(date, "run-1", false, NOW);
    let mut part = PartDone {
        accounted_for: accounted_fen.map(gaps),
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

fn found(kind: DifferenceKind, order_no: &str) -> Difference {
    let date = BillDate::parse("2026-08-01").unwrap();
    let about = DifferenceSubject {
        order_no: Some(order_no.to_owned()),
        ..DifferenceSubject::default()
    };
    let there = SideView {
        amount_fen: Some(100),
        ..SideView::default()
    };
    Difference::found(date, kind, about, Some(there), None, "run-1", NOW)
}

#[test]
fn every_fen_that_was_counted_has_come_to_one_end() {
    let open = found(DifferenceKind::DuplicatePayment, "open");
    let proposed =
        found(DifferenceKind::DuplicatePayment, "proposed").proposed("run-1", "twice", NOW);
    let decide = |one: &Difference, decision, who| one.decided(decision, who, "x", NOW);
    let once = decide(&proposed, Decision::Approve, "li").unwrap();
    let mut on_its_way = decide(&once, Decision::Approve, "wang").unwrap();
    on_its_way.id = "on-its-way".to_owned();
    let mut rejected = decide(&proposed, Decision::Reject, "li").unwrap();
    rejected.id = "rejected".to_owned();
    let explained = found(DifferenceKind::AmountDiffers, "explained");
    let explained = decide(&explained, Decision::Explain, "li").unwrap();
    let repaired =
        found(DifferenceKind::PaidThereUnpaidHere, "repaired").repaired("run-1", "x", NOW);
    let all = [open, proposed, on_its_way, rejected, explained, repaired];
    let of_each: BTreeMap<String, Gaps> = all
        .iter()
        .zip([1, 20, 300, 4_000, 50_000, 600_000])
        .map(|(one, fen)| (one.id.clone(), gaps(fen)))
        .collect();
    let mut run = run(7_654_321, None);
    let mut accounted_for = Gaps::default();
    of_each
        .values()
        .for_each(|gaps| accounted_for.add_all(gaps));
    run.parts_done.get_mut(&0).unwrap().accounted_for = Some(accounted_for);
    let mut breakdown = Breakdown::begin(&run, Some(of_each));
    assert!(!breakdown.is_whole() && breakdown.is_open());
    all.iter().for_each(|one| breakdown.take(one));
    assert!(breakdown.is_whole());
    let fen = GapStatus::ALL.map(|end| breakdown.at(end).paid_fen);
    assert_eq!(fen, [600_000, 50_000, 4_000, 300, 21, 7_000_000]);
    assert_eq!(fen.iter().sum::<i64>(), breakdown.counted().paid_fen);
    assert_eq!(breakdown.now().paid_fen, 7_054_321);
}

#[test]
fn a_decided_difference_is_not_open_and_an_unchecked_row_is() {
    let explained = found(DifferenceKind::AmountDiffers, "A")
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
    assert_eq!(breakdown.at(GapStatus::OtherDays).paid_fen, 30);
    breakdown.take(&found(DifferenceKind::UncheckedRows, "rows"));
    assert!(breakdown.is_whole() && breakdown.is_open_of("NATIVE"));
    assert_eq!(breakdown.at(GapStatus::Open).paid_fen, 30);
    assert!(breakdown.at(GapStatus::OtherDays).is_none());
}

#[test]
fn open_differences_that_cancel_out_in_the_sum_are_still_open() {
    let explained = found(DifferenceKind::AmountDiffers, "C")
        .decided(Decision::Explain, "li", "a discount", NOW)
        .unwrap();
    let all = [
        (found(DifferenceKind::AmountDiffers, "A"), 5),
        (found(DifferenceKind::AmountDiffers, "B"), -5),
        (explained, 30),
    ];
    let of_each = all.iter().map(|(one, fen)| (one.id.clone(), gap_of(*fen)));
    let mut run = run(30, None);
    let mut accounted_for = Gaps::default();
    all.iter()
        .for_each(|(_, fen)| accounted_for.add_all(&gap_of(*fen)));
    run.parts_done.get_mut(&0).unwrap().accounted_for = Some(accounted_for);
    let mut breakdown = Breakdown::begin(&run, Some(of_each.collect()));
    all.iter().for_each(|(one, _)| breakdown.take(one));
    assert!(breakdown.is_whole() && breakdown.at(GapStatus::Open).is_none());
    assert!(breakdown.is_open() && breakdown.is_open_of("NATIVE"));
    assert!(!breakdown.is_open_of("APP"));
}

/// The effect on the sums of a difference of an amount.
fn gap_of(paid_fen: i64) -> Gaps {
    let mut gaps = Gaps::default();
    let gap = Gap {
        paid_fen,
        ..Gap::default()
    };
    gaps.add("NATIVE", gap);
    gaps
}

#[test]
fn a_trade_left_to_the_next_day_counts_under_the_state_of_that_day_s_difference() {
    let next = BillDate::parse("2026-08-02").unwrap();
    let number = |order_no: &str| format!("42-{order_no}");
    let absent = |order_no: &str| {
        let about = DifferenceSubject {
            order_no: Some(order_no.to_owned()),
            transaction_id: Some(number(order_no)),
            ..DifferenceSubject::default()
        };
        let kind = DifferenceKind::PaidHereAbsentThere;
        let here = SideView {
            amount_fen: Some(20),
            ..SideView::default()
        };
        Difference::found(next, kind, about, None, Some(here), "run-2", NOW)
    };
    let carried = |order_no: &str| {
        CarriedTrade::id_of(&TradeIdentity {
            kind: CarriedKind::Payment,
            order_no: order_no.to_owned(),
            transaction_id: Some(number(order_no)),
            out_refund_no: None,
            refund_id: None,
            amount_fen: 1,
            at: NOW,
        })
    };
    let left = [
        ("open", -1),
        ("explained", -20),
        ("there", -300),
        ("over", -4_000),
    ];
    let begin = || {
        let of_left = left.map(|(order_no, fen)| (carried(order_no), gap_of(fen)));
        let mut run = run(-4_321, None);
        run.parts_done.get_mut(&0).unwrap().accounted_for = Some(Gaps::default());
        let mut breakdown = Breakdown::begin(&run, Some(BTreeMap::new()));
        breakdown.leave(BTreeMap::from(of_left));
        breakdown
    };
    let at = |breakdown: &Breakdown| GapStatus::ALL.map(|end| breakdown.at(end).paid_fen);
    let mut breakdown = begin();
    assert_eq!(
        at(&breakdown),
        [0, 0, 0, 0, 0, -4_321],
        "not reconciled yet"
    );
    assert!(!breakdown.is_open());

    let explained = absent("explained").decided(Decision::Explain, "li", "x", NOW);
    let explained = explained.unwrap();
    let over = absent("over").repaired("run-3", "agrees", NOW);
    let others = found(DifferenceKind::AmountDiffers, "open");
    for one in [absent("open"), explained, over, others] {
        breakdown.take_of_next_day(&one);
    }
    assert!(breakdown.is_whole() && breakdown.is_open_of("NATIVE"));
    assert_eq!(breakdown.of_next_day().paid_fen, -21);
    let ends = at(&breakdown);
    assert_eq!(ends, [0, -20, 0, 0, -1, -4_300]);

    // An aggregated difference: these may be among it.
    let mut breakdown = begin();
    let many = Aggregate {
        count: 9,
        amount_fen: 9,
        examples: Vec::new(),
        part: 0,
    };
    let of = |kind| Difference::of_many(next, kind, many.clone(), "run-2", NOW);
    breakdown.take_of_next_day(&of(DifferenceKind::RefundHereAbsentThere));
    assert!(!breakdown.is_open(), "none of them is a refund");
    breakdown.take_of_next_day(&of(DifferenceKind::PaidHereAbsentThere));
    assert_eq!(at(&breakdown), [0, 0, 0, 0, -4_321, 0]);

    // A day in parts has several, and the first one is explained.
    let mut breakdown = begin();
    let open = of(DifferenceKind::PaidHereAbsentThere);
    let proposed = open.decided(Decision::Explain, "li", "x", NOW).unwrap();
    let explained = proposed.decided(Decision::Approve, "wang", "x", NOW);
    let explained = explained.unwrap();
    assert_eq!(explained.state, DifferenceState::Explained);
    let over = open.repaired("run-3", "agrees", NOW);
    breakdown.take_aggregates_of_next_day(&[explained, open, over]);
    assert_eq!(at(&breakdown), [0, 0, 0, 0, -4_321, 0]);
}

/// A try that died booked it, so that the one after it counted it on both sides.
#[test]
fn a_difference_that_the_run_did_not_count_is_not_subtracted_from_its_sums() {
    let repaired = found(DifferenceKind::PaidThereUnpaidHere, "A").repaired("run-1", "x", NOW);
    let of_each = BTreeMap::from([(repaired.id.clone(), gaps(100))]);
    let mut run = run(0, None);
    let part = run.parts_done.get_mut(&0).unwrap();
    (part.there, part.accounted_for) = (Totals::default(), Some(Gaps::default()));
    let mut breakdown = Breakdown::begin(&run, Some(of_each));
    breakdown.take(&repaired);
    assert!(!breakdown.is_whole());
    assert!(breakdown.now().is_none() && breakdown.now_of("NATIVE").is_none());
    assert!(!breakdown.is_open());
}

#[test]
fn unchecked_rows_count_under_the_state_of_their_differences_and_open_goes_first() {
    let open = found(DifferenceKind::UncheckedRows, "first part");
    let explained = found(DifferenceKind::UncheckedRows, "second part");
    let explain = |by, one: &Difference| one.decided(Decision::Explain, by, "one cause", NOW);
    let explained = explain("li", &explained).unwrap();
    let over = open.repaired("run-2", "agrees", NOW);
    let at = |all: &[&Difference]| {
        let mut run = run(30, None);
        run.parts_done.get_mut(&0).unwrap().accounted_for = Some(Gaps::default());
        let mut breakdown = Breakdown::begin(&run, Some(BTreeMap::new()));
        all.iter().for_each(|one| breakdown.take(one));
        assert!(breakdown.is_whole());
        let ends = GapStatus::ALL.into_iter();
        let mut ends = ends.filter(|end| !breakdown.at(*end).is_none());
        (ends.next(), ends.next())
    };
    assert_eq!(at(&[&explained]), (Some(GapStatus::Explained), None));
    assert_eq!(at(&[&explained, &open]), (Some(GapStatus::Open), None));
    assert_eq!(at(&[&open, &explained]), (Some(GapStatus::Open), None));
    assert_eq!(at(&[&over]), (Some(GapStatus::OtherDays), None));
}

#[test]
fn all_is_open_of_a_run_that_did_not_store_the_effect_of_its_differences() {
    for (accounted_for, of_each) in [(None, Some(BTreeMap::new())), (Some(50), None)] {
        let breakdown = Breakdown::begin(&run(50, accounted_for), of_each);
        assert!(!breakdown.is_whole() && breakdown.is_open());
        assert!(breakdown.is_open_of("NATIVE") && !breakdown.is_open_of("APP"));
    }
    assert!(!Breakdown::begin(&run(0, None), None).is_open_of("APP"));
}
