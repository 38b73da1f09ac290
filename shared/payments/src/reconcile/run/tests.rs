use super::*;

const NOW: UnixSeconds = UnixSeconds(1_785_643_200);

fn date() -> BillDate {
    BillDate::parse("2026-08-01").unwrap()
}

fn run() -> Run {
    Run::begun(date(), "run-1", false, NOW)
}

fn sums(payments: u64, payments_fen: i64) -> Totals {
    let sums = Sums {
        payments,
        payments_fen,
        ..Sums::default()
    };
    Totals(BTreeMap::from([("NATIVE".to_owned(), sums)]))
}

fn gaps(paid_fen: i64) -> Gaps {
    let gap = Gap {
        payments: 1,
        paid_fen,
        ..Gap::default()
    };
    Gaps(BTreeMap::from([("NATIVE".to_owned(), gap)]))
}

/// A run of two parts, of which these are done.
fn of_parts(parts: [Option<PartDone>; 2]) -> Run {
    let done = (0..).zip(parts);
    Run {
        parts: 2,
        parts_done: done
            .filter_map(|(part, done)| Some((part, done?)))
            .collect(),
        ..run()
    }
}

#[test]
fn a_fund_side_is_over_when_it_is_done_or_has_failed() {
    for (state, is_over) in [
        (FundState::Pending, false),
        (FundState::Waiting, false),
        (FundState::Running, false),
        (FundState::Done, true),
        (FundState::Failed, true),
    ] {
        assert_eq!(state.is_over(), is_over, "{state:?}");
    }
}

#[test]
fn a_run_is_through_when_both_its_sides_are_done_and_owes_its_fund_side_while_that_goes_on() {
    for (trades, funds, is_through, owes) in [
        (RunState::Running, Some(FundState::Pending), false, false),
        (RunState::Running, Some(FundState::Done), false, false),
        (RunState::Running, None, false, false),
        (RunState::Done, Some(FundState::Running), false, true),
        (RunState::Done, Some(FundState::Failed), false, false),
        (RunState::Done, Some(FundState::Done), true, false),
        // An earlier version decided about both together.
        (RunState::Done, None, true, false),
    ] {
        let run = Run {
            state: trades,
            funds: funds.map(|state| FundSide {
                state,
                ..FundSide::begun(&FundTerms::default())
            }),
            ..run()
        };
        assert_eq!(run.is_through(), is_through, "{trades:?} {funds:?}");
        assert_eq!(run.owes_its_fund_side(), owes, "{trades:?} {funds:?}");
    }
}

#[test]
fn a_side_is_whole_once_each_part_is_done() {
    let done = || Some(PartDone::default());
    assert!(!of_parts([None, None]).is_whole());
    assert!(!of_parts([done(), None]).is_whole());
    assert!(of_parts([done(), done()]).is_whole());
    let mut funds = FundSide {
        parts: 2,
        ..FundSide::begun(&FundTerms::default())
    };
    for (part, is_whole) in [(0, false), (1, true)] {
        funds.parts_done.insert(part, FundsDone::default());
        assert_eq!(funds.is_whole(), is_whole);
    }
}

#[test]
fn a_bill_is_whole_when_it_was_read_after_its_days_end() {
    for (age_s, is_whole) in [(-1, false), (0, true), (1, true)] {
        let run = Run::begun(date(), "run", false, date().ends_at().plus_s(age_s));
        assert_eq!(run.has_whole_bills(), is_whole, "{age_s}");
    }
}

#[test]
fn a_run_counts_what_all_its_parts_and_both_sides_found() {
    let part = |count, carried| PartDone {
        differences: BTreeMap::from([(DifferenceKind::AmountDiffers, count)]),
        carried,
        ..PartDone::default()
    };
    let mut run = of_parts([Some(part(2, 5)), Some(part(3, 7))]);
    let mut funds = FundSide::begun(&FundTerms::default());
    for (number, count, carried) in [(0, 4, 11), (1, 6, 13)] {
        let done = FundsDone {
            differences: BTreeMap::from([(DifferenceKind::FundFlowWithoutTrade, count)]),
            carried,
        };
        funds.parts_done.insert(number, done);
    }
    assert_eq!(funds.carried(), 24);
    run.funds = Some(funds);
    assert_eq!(run.carried(), 36);
    let found = BTreeMap::from([
        (DifferenceKind::AmountDiffers, 5),
        (DifferenceKind::FundFlowWithoutTrade, 10),
    ]);
    assert_eq!(run.differences(), found);
}

#[test]
fn the_sums_of_both_sides_and_what_lies_between_them_are_those_of_all_parts() {
    let part = |there, here| PartDone {
        there,
        here,
        accounted_for: Some(gaps(10)),
        ..PartDone::default()
    };
    let run = of_parts([
        Some(part(sums(3, 300), sums(2, 200))),
        Some(part(sums(4, 400), sums(4, 350))),
    ]);
    assert_eq!(run.there().all(), sums(7, 700).all());
    assert_eq!(run.here().all(), sums(6, 550).all());
    assert_eq!(run.gaps(), gaps(150));
    let mut both = gaps(20);
    if let Some(gap) = both.0.get_mut("NATIVE") {
        gap.payments = 2;
    }
    assert_eq!(run.accounted_for(), Some(both));
    // Sums that agree leave nothing between them, and a part of an earlier version counted nothing.
    let equal = of_parts([Some(part(sums(3, 300), sums(3, 300))), None]);
    assert_eq!(equal.gaps(), Gaps::default());
    let uncounted = PartDone {
        accounted_for: None,
        ..part(sums(1, 1), sums(1, 1))
    };
    assert_eq!(of_parts([Some(uncounted), None]).accounted_for(), None);
}

#[test]
fn a_run_that_left_trades_to_the_next_day_says_so_and_names_that_days_run_alike_each_time() {
    let left = PartDone {
        left_of: Some("attempt".to_owned()),
        ..PartDone::default()
    };
    assert!(!of_parts([Some(PartDone::default()), None]).has_left_any());
    let run = of_parts([Some(PartDone::default()), Some(left)]);
    assert!(run.has_left_any());
    // The release before this one asks for the run by the same id.
    assert_eq!(
        run.id_of_the_day_after(0),
        "after-2026-08-01-f3eddab59f9d2362"
    );
    assert_eq!(
        run.id_of_the_day_after(1),
        "after-2026-08-01-d8dcfdbb1c0e3b0f"
    );
}
