//! The runs of a day, and which one counts. A stalled run may come back late, so the latest request
//! counts, not the last write.
//!
//! The latest real run and the latest preview are stored separately. A real run is replaced by a
//! later requested one. A preview is replaced by any later requested run, since what it read may be
//! repaired by now; a preview never replaces a real run.

use std::collections::BTreeMap;

use wechatpay::UnixSeconds;

use crate::{
    model::bill_date::{BillDate, BillName},
    reconcile::run::{BillFacts, FundSide, FundTerms, Run, RunState},
};

/// A run that is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunRequest {
    pub date: BillDate,
    /// The run's id: the same each time its message comes.
    pub run_id: String,
    /// Whether it is a preview.
    pub dry_run: bool,
    /// Time of the request, in Unix milliseconds.
    pub requested_at_ms: i64,
    /// The contract's terms about the account.
    pub terms: FundTerms,
}

/// The result of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BeginOutcome {
    /// The run to be written; it starts or continues.
    Begun(Box<Run>),
    /// Its trade side is done: the message was delivered again.
    Done(Box<Run>),
    /// A later requested run has taken over the day.
    Superseded,
}

/// The runs of a day, as stored.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DayRuns {
    run: Option<Run>,
    preview: Option<Run>,
    /// The version that the next real run replaces.
    version: u64,
}

impl DayRuns {
    /// The runs from the two stored places. Earlier versions stored previews in the place of real
    /// runs: such a run is still a preview, and moves to its own place with its next write.
    pub fn new(run: Option<Run>, preview: Option<Run>) -> Self {
        let version = run.as_ref().map_or(0, |run| run.version);
        match run {
            Some(old) if old.dry_run => Self {
                run: None,
                preview: preview.or(Some(Run { version: 0, ..old })),
                version,
            },
            run => Self {
                run,
                preview,
                version,
            },
        }
    }

    /// The latest real run.
    pub fn run(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    /// The latest preview.
    pub fn preview(&self) -> Option<&Run> {
        self.preview.as_ref()
    }

    /// The run that represents the day: the real one, otherwise the preview.
    pub fn shown(&self) -> Option<&Run> {
        self.run().or(self.preview())
    }

    /// The latest preview beside a real run, unless the real run replaced it before its end.
    pub fn preview_beside(&self) -> Option<&Run> {
        let preview = self.preview().filter(|_| self.run.is_some())?;
        let counts = preview.state == RunState::Done || self.current(&preview.id).is_some();
        counts.then_some(preview)
    }

    /// Whether the day was reconciled: by a real run, or by any run if the daily run is a preview.
    /// This stays true while the day is run again.
    pub fn was_reconciled(&self, repairs: bool) -> bool {
        let preview = self.preview().filter(|_| !repairs);
        let mut runs = self.run().into_iter().chain(preview);
        runs.any(Run::was_ever_done)
    }

    /// Whether a run of the day began in time, so that the system ran by then. A run of an old day
    /// that a person starts by hand says nothing of the days after that one, however often it is
    /// repeated.
    fn shows_that_the_system_ran(&self) -> bool {
        let mut runs = self.run().into_iter().chain(self.preview());
        runs.any(|run| {
            let in_time = run.date.ends_at().plus_s(IN_TIME_S);
            run.first_began_at() < in_time
        })
    }

    /// Whether a run that counts has found any difference.
    pub fn has_found_any(&self) -> bool {
        let runs = self.run().into_iter().chain(self.preview());
        let mut counts = runs.flat_map(|run| run.differences().into_values());
        counts.any(|count| count > 0)
    }

    /// The run with this id, unless another has taken over the day.
    pub fn current(&self, id: &str) -> Option<&Run> {
        let is_it = |run: &&Run| run.id == id;
        if let Some(run) = self.run().filter(is_it) {
            return Some(run);
        }
        let preview = self.preview().filter(is_it)?;
        let is_later = |run: &Run| run.requested_at_ms() > preview.requested_at_ms();
        (!self.run().is_some_and(is_later)).then_some(preview)
    }

    /// The result of a request, now.
    pub fn begin(&self, request: &RunRequest, now: UnixSeconds) -> BeginOutcome {
        let (place, version) = if request.dry_run {
            let version = self.preview().map_or(0, |preview| preview.version);
            (self.preview(), version)
        } else {
            (self.run(), self.version)
        };
        if let Some(known) = place.filter(|known| known.id == request.run_id) {
            return self.come_again(known, &request.terms, now);
        }
        let is_later = |run: &&Run| run.requested_at_ms() > request.requested_at_ms;
        if place
            .into_iter()
            .chain(self.run())
            .any(|run| is_later(&run))
        {
            return BeginOutcome::Superseded;
        }
        BeginOutcome::Begun(Box::new(Run {
            version: version.saturating_add(1),
            requested_at_ms: Some(request.requested_at_ms),
            bills: self.whole_bills(),
            was_done_before: place.is_some_and(Run::was_ever_done),
            first_began_at: {
                let known = self.run().into_iter().chain(self.preview());
                known.map(Run::first_began_at).min()
            },
            funds: Some(FundSide::begun(&request.terms)),
            ..Run::begun(request.date, &request.run_id, request.dry_run, now)
        }))
    }

    /// The message of a run was delivered again: finished parts stay finished.
    fn come_again(&self, known: &Run, terms: &FundTerms, now: UnixSeconds) -> BeginOutcome {
        if known.state == RunState::Done {
            return BeginOutcome::Done(Box::new(known.clone()));
        }
        if self.current(&known.id).is_none() {
            return BeginOutcome::Superseded;
        }
        let funds = known.funds.clone();
        BeginOutcome::Begun(Box::new(Run {
            state: RunState::Running,
            version: known.version.saturating_add(1),
            updated_at: now,
            // A run of an earlier version continues in this one.
            funds: funds.or_else(|| Some(FundSide::begun(terms))),
            ..known.clone()
        }))
    }

    /// What earlier runs found about the day's bills, if the day was over then.
    fn whole_bills(&self) -> BTreeMap<BillName, BillFacts> {
        let named = |name| Some((name, self.whole_bill(name)?.clone()));
        BillName::ALL.into_iter().filter_map(named).collect()
    }

    /// What is known about a bill of a day that was over: a stored bill takes precedence over "no
    /// bill".
    pub fn whole_bill(&self, name: BillName) -> Option<&BillFacts> {
        let known = || {
            let runs = self.run().into_iter().chain(self.preview());
            let whole = runs.filter(|run| run.has_whole_bills());
            whole.filter_map(|run| run.bills.get(&name))
        };
        known()
            .find(|facts| facts.kept_as.is_some())
            .or_else(|| known().next())
    }
}

/// How long after its day's end a run begins that is no run of an old day, in seconds.
const IN_TIME_S: i64 = 48 * 3600;

/// Those of these days up to `last` that were not reconciled. `last` is the latest day that should
/// be by now. `runs` are the runs of these days and, so that a gap at their beginning is found, of
/// some days before. Days before the first run that began in time are not missing: the system may
/// not have been there. Only `last` is missing without that.
pub fn missing_days(
    runs: &[(BillDate, DayRuns)],
    days: &[BillDate],
    last: BillDate,
    repairs: bool,
) -> Vec<BillDate> {
    let known = runs
        .iter()
        .filter(|(_, runs)| runs.shows_that_the_system_ran());
    let first = known.map(|(day, _)| *day).min().unwrap_or(last).min(last);
    let was_reconciled = |day: BillDate| {
        let mut of_day = runs.iter().filter(|(date, _)| *date == day);
        of_day.any(|(_, runs)| runs.was_reconciled(repairs))
    };
    let due = days.iter().filter(|day| (first..=last).contains(*day));
    due.copied().filter(|day| !was_reconciled(*day)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let is_reconciled =
            |runs: &DayRuns| (runs.was_reconciled(true), runs.was_reconciled(false));
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
}
