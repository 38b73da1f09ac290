use super::*;
use crate::reconcile::{difference::DifferenceKind, run::PartDone};

const NOW: UnixSeconds = UnixSeconds(1_785_643_200);

fn request(run_id: &str, dry_run: bool, requested_at_ms: i64) -> RunRequest {
    RunRequest {
        date: BillDate::parse("2026-08-01").unwrap(),
        run_id: run_id.to_owned(),
        dry_run,
        requested_at_ms,
        terms: FundTerms::default(),
    }
}

/// The runs after a request, whether it started a run or not.
fn after(runs: &DayRuns, request: &RunRequest) -> DayRuns {
    let BeginOutcome::Begun(run) = runs.begin(request, NOW) else {
        return runs.clone();
    };
    let (old, preview) = (runs.run.clone(), runs.preview.clone());
    if run.dry_run {
        DayRuns::new(old, Some(*run))
    } else {
        DayRuns::new(Some(*run), preview)
    }
}

fn done(runs: DayRuns) -> DayRuns {
    let done = |run: Option<Run>| {
        run.map(|run| Run {
            state: RunState::Done,
            ..run
        })
    };
    DayRuns::new(done(runs.run), done(runs.preview))
}

fn shown(runs: &DayRuns) -> &str {
    runs.shown().map_or("none", |run| &run.id)
}

#[test]
fn a_preview_that_stalled_never_becomes_the_day_s_run_after_one_in_earnest() {
    let preview = request("preview", true, 1_000);
    let begun = after(&DayRuns::default(), &preview);
    assert_eq!(shown(&begun), "preview", "there is no other");
    let both = done(after(&begun, &request("run", false, 2_000)));
    assert_eq!(shown(&both), "run");
    // It resumes, or its message arrives only now.
    for runs in [
        both.clone(),
        done(after(&DayRuns::default(), &request("run", false, 2_000))),
    ] {
        let back = after(&runs, &preview);
        assert_eq!(shown(&back), "run");
        assert_eq!(back.run(), runs.run());
        assert_eq!(back.current("preview"), None, "it writes nothing any more");
    }
}

#[test]
fn a_later_preview_only_reports_and_the_run_stays_the_day_s() {
    let run = done(after(&DayRuns::default(), &request("run", false, 1_000)));
    let both = after(&run, &request("preview", true, 2_000));
    assert_eq!(shown(&both), "run");
    assert_eq!(both.preview().map(|run| run.id.as_str()), Some("preview"));
    assert!(both.current("preview").is_some() && both.current("run").is_some());
}

#[test]
fn a_day_that_was_reconciled_once_stays_so_while_it_is_run_again_and_a_preview_counts_where_nothing_is_repaired()
 {
    let is_reconciled = |runs: &DayRuns| (runs.was_reconciled(true), runs.was_reconciled(false));
    let mut runs = after(&DayRuns::default(), &request("preview", true, 1_000));
    assert_eq!(is_reconciled(&runs), (false, false), "it runs");
    runs = after(&done(runs), &request("another look", true, 2_000));
    assert_eq!(is_reconciled(&runs), (false, true));
    runs = after(&runs, &request("run", false, 3_000));
    assert_eq!(is_reconciled(&runs), (false, true));
    runs = done(runs);
    assert_eq!(is_reconciled(&runs), (true, true));
    for (again, at_ms) in [("again", 4_000), ("and again", 5_000)] {
        runs = after(&runs, &request(again, false, at_ms));
        assert_eq!(is_reconciled(&runs), (true, true), "{again}");
    }
}

#[test]
fn each_day_from_the_first_known_one_on_is_missing_until_a_run_of_it_is_done() {
    let day = |number: i64| request("", false, 0).date.plus_days(number);
    let run_after = |number: i64, state, days: i64| {
        let at = UnixSeconds(day(number).ends_at().0 + days * 86_400);
        let begun = Run::begun(day(number), "run", false, at);
        let runs = DayRuns::new(Some(Run { state, ..begun }), None);
        (day(number), runs)
    };
    let done = |number| run_after(number, RunState::Done, 0);
    let week: Vec<BillDate> = (1..=7).map(day).collect();
    let missing = |runs: &[(BillDate, DayRuns)], last| {
        let missing = missing_days(runs, &week, day(last), true);
        (1..=9)
            .filter(|number| missing.contains(&day(*number)))
            .collect::<Vec<_>>()
    };
    assert_eq!(missing(&[], 7), [7], "a new stack has only its last day");
    assert_eq!(missing(&[done(3), done(5)], 7), [4, 6, 7]);
    assert_eq!(missing(&[done(3), done(5)], 6), [4, 6], "7 is not due");
    assert_eq!(missing(&[done(7)], 7), [0_i64; 0]);
    assert_eq!(missing(&[done(7)], 6), [6]);
    // Known from the days before the week: no run followed.
    assert_eq!(missing(&[done(-2)], 7), [1, 2, 3, 4, 5, 6, 7]);
    for state in [RunState::Running, RunState::Waiting, RunState::Failed] {
        let runs = [done(4), run_after(5, state, 0), done(6), done(7)];
        assert_eq!(missing(&runs, 7), [5], "{state:?}");
    }
    // A person runs a day by hand on which there was no system here.
    let by_hand = run_after(2, RunState::Done, 4);
    assert_eq!(missing(&[by_hand.clone(), done(6), done(7)], 7), [0; 0]);
    // They run it a second time, in this version or an earlier one.
    let again = |(date, runs): &(BillDate, DayRuns)| {
        let late = UnixSeconds(date.ends_at().0 + 5 * 86_400);
        let at_ms = late.0 * 1000;
        let request = RunRequest {
            date: *date,
            ..request("again", false, at_ms)
        };
        let BeginOutcome::Begun(run) = runs.begin(&request, late) else {
            panic!("it begins");
        };
        assert!(run.was_done_before);
        (*date, DayRuns::new(Some(*run), None))
    };
    let twice = again(&by_hand);
    assert_eq!(missing(&[twice.clone(), done(6), done(7)], 7), [0; 0]);
    let mut of_an_earlier_version = twice;
    let run = of_an_earlier_version.1.run.as_mut().unwrap();
    run.first_began_at = None;
    assert_eq!(
        missing(&[of_an_earlier_version, done(6), done(7)], 7),
        [0; 0]
    );
    // A day that was first run in time stays one, however late it is run again.
    let twice = again(&again(&done(2)));
    assert_eq!(missing(&[twice, done(6), done(7)], 7), [3, 4, 5]);
}

#[test]
fn a_run_that_replaces_a_preview_of_an_earlier_version_keeps_when_the_day_was_first_run() {
    let date = request("", false, 0).date;
    let in_time = UnixSeconds(date.ends_at().0 + 3_600);
    let preview = Run::begun(date, "preview", true, in_time);
    // Earlier versions stored it in the place of real runs, where the next one overwrites it.
    let runs = DayRuns::new(Some(preview), None);
    let late = UnixSeconds(date.ends_at().0 + 5 * 86_400);
    let request = request("run", false, late.0 * 1000);
    let BeginOutcome::Begun(run) = runs.begin(&request, late) else {
        panic!("it begins");
    };
    assert!(DayRuns::new(Some(*run), None).shows_that_the_system_ran());
}

#[test]
fn the_later_requested_of_two_real_runs_counts_for_the_day() {
    let (older, newer) = (
        request("older", false, 1_000),
        request("newer", false, 2_000),
    );
    for order in [[&older, &newer], [&newer, &older]] {
        let mut runs = DayRuns::default();
        for request in order {
            runs = after(&runs, request);
        }
        // The older run stalled; its message is delivered again, before and after the other's
        // end.
        for runs in [runs.clone(), done(runs)] {
            let back = after(&runs, &older);
            assert_eq!(shown(&back), "newer");
            assert_eq!(back.current("older"), None);
            assert_eq!(back.run(), runs.run());
        }
    }
}

#[test]
fn a_message_that_comes_again_goes_on_and_one_whose_run_is_done_begins_nothing() {
    let asked = request("run", false, 1_000);
    let mut begun = after(&DayRuns::default(), &asked).run.unwrap();
    begun.parts_done.insert(3, Default::default());
    begun.state = RunState::Waiting;
    let waits = DayRuns::new(Some(begun), None);
    let BeginOutcome::Begun(again) = waits.begin(&asked, NOW) else {
        panic!("it goes on");
    };
    assert_eq!((again.version, again.state), (2, RunState::Running));
    assert!(again.parts_done.contains_key(&3));
    let BeginOutcome::Done(run) = done(waits).begin(&asked, NOW) else {
        panic!("it is done");
    };
    assert_eq!(run.id, "run");
}

#[test]
fn a_preview_of_an_earlier_version_is_no_run_in_earnest_wherever_it_stands() {
    let mut old = Run::begun(request("", true, 0).date, "old", true, NOW);
    (old.version, old.requested_at_ms, old.funds) = (7, None, None);
    let runs = DayRuns::new(Some(old), None);
    assert_eq!(runs.run(), None);
    assert_eq!(shown(&runs), "old");
    let at_ms = NOW.0 * 1000 + 1;
    let BeginOutcome::Begun(run) = runs.begin(&request("run", false, at_ms), NOW) else {
        panic!("it begins");
    };
    assert_eq!(run.version, 8, "it is written over the old preview");
    let BeginOutcome::Begun(preview) = runs.begin(&request("preview", true, at_ms), NOW) else {
        panic!("it begins");
    };
    assert_eq!(preview.version, 1, "in a place of its own");
}

#[test]
fn a_bill_that_is_kept_counts_more_than_that_there_was_none() {
    let at = UnixSeconds(NOW.0 + 86_400);
    let facts = |kept_as: Option<&str>| BillFacts {
        rows: 0,
        sha1: kept_as.map(str::to_owned),
        kept_as: kept_as.map(str::to_owned),
    };
    let run = |dry_run, kept_as| {
        let mut run = Run::begun(request("", true, 0).date, "r", dry_run, at);
        run.bills.insert(BillName::Trade, facts(kept_as));
        Some(run)
    };
    let kept = Some("bills/x");
    let runs = DayRuns::new(run(false, None), run(true, kept));
    assert_eq!(runs.whole_bill(BillName::Trade), Some(&facts(kept)));
    let runs = DayRuns::new(run(false, None), None);
    assert_eq!(runs.whole_bill(BillName::Trade), Some(&facts(None)));
    assert_eq!(runs.whole_bill(BillName::FundFees), None);
}

#[test]
fn of_two_runs_that_were_asked_for_at_once_neither_replaces_the_other() {
    let run = after(&DayRuns::default(), &request("run", false, 1_000));
    let both = after(&run, &request("preview", true, 1_000));
    assert!(both.current("preview").is_some() && both.current("run").is_some());
    let BeginOutcome::Begun(another) = both.begin(&request("another", false, 1_000), NOW) else {
        panic!("it was not asked for earlier");
    };
    assert_eq!(another.id, "another");
}

#[test]
fn a_preview_stands_beside_a_real_run_once_it_is_done_or_while_it_goes_on() {
    let beside = |runs: &DayRuns| runs.preview_beside().map(|run| run.id.clone());
    let alone = done(after(&DayRuns::default(), &request("preview", true, 1_000)));
    assert_eq!(beside(&alone), None, "there is no real run");
    let replaced = after(&DayRuns::default(), &request("preview", true, 1_000));
    let replaced = after(&replaced, &request("run", false, 2_000));
    assert_eq!(beside(&replaced), None, "it had no end");
    assert_eq!(beside(&done(replaced)).as_deref(), Some("preview"));
    let run = done(after(&DayRuns::default(), &request("run", false, 1_000)));
    let goes_on = after(&run, &request("preview", true, 2_000));
    assert_eq!(beside(&goes_on).as_deref(), Some("preview"));
}

#[test]
fn a_run_shows_that_the_system_ran_if_it_began_within_two_days_of_its_days_end() {
    let date = request("", false, 0).date;
    let began_after = |age_s: i64| {
        let run = Run::begun(date, "run", false, date.ends_at().plus_s(age_s));
        DayRuns::new(Some(run), None).shows_that_the_system_ran()
    };
    assert!(began_after(2 * 86_400 - 1));
    assert!(!began_after(2 * 86_400));
}

#[test]
fn a_difference_of_the_run_or_of_the_preview_is_found() {
    let run = |count: Option<u32>| {
        let mut run = Run::begun(request("", false, 0).date, "run", false, NOW);
        let kinds = count.map(|count| (DifferenceKind::AmountDiffers, count));
        let differences = kinds.into_iter().collect();
        run.parts_done.insert(
            0,
            PartDone {
                differences,
                ..PartDone::default()
            },
        );
        Some(run)
    };
    for (real, preview, has_found_any) in [
        (run(None), None, false),
        (run(Some(0)), None, false),
        (run(Some(1)), None, true),
        (run(None), run(Some(2)), true),
        (None, None, false),
    ] {
        assert_eq!(DayRuns::new(real, preview).has_found_any(), has_found_any);
    }
}

#[test]
fn a_new_run_has_the_bills_that_an_earlier_one_read_when_the_day_was_over() {
    let facts = BillFacts {
        rows: 3,
        sha1: None,
        kept_as: Some("bills/x".to_owned()),
    };
    let date = request("", false, 0).date;
    let begun_after = |at: UnixSeconds| {
        let mut earlier = Run::begun(date, "earlier", false, at);
        earlier.bills.insert(BillName::Trade, facts.clone());
        let runs = DayRuns::new(Some(earlier), None);
        let BeginOutcome::Begun(run) = runs.begin(&request("run", false, i64::MAX), NOW) else {
            panic!("it begins");
        };
        run.bills
    };
    let kept = BTreeMap::from([(BillName::Trade, facts.clone())]);
    assert_eq!(begun_after(date.ends_at()), kept);
    assert_eq!(
        begun_after(date.ends_at().plus_s(-1)),
        BTreeMap::new(),
        "the day went on"
    );
}

#[test]
fn a_run_begins_its_fund_side_under_the_terms_of_its_request() {
    let terms = FundTerms {
        accounts: vec![BillName::FundFees],
        settlement_days: 7,
    };
    let asked = RunRequest {
        terms: terms.clone(),
        ..request("run", false, 1_000)
    };
    let funds = Some(FundSide::begun(&terms));
    let BeginOutcome::Begun(run) = DayRuns::default().begin(&asked, NOW) else {
        panic!("it begins");
    };
    assert_eq!(run.funds, funds);
    // A run of an earlier version has none, and gets them when its message comes again.
    let old = Run {
        funds: None,
        ..*run
    };
    let later = NOW.plus_s(60);
    let BeginOutcome::Begun(again) = DayRuns::new(Some(old), None).begin(&asked, later) else {
        panic!("it goes on");
    };
    assert_eq!((again.funds, again.updated_at), (funds, later));
}
