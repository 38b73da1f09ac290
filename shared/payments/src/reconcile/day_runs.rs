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
mod tests;
