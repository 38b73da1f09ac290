//! Stores what a side of a run found, and ends the differences of earlier runs that this one does
//! not find.

use std::collections::{BTreeMap, BTreeSet};

use payments::{
    model::bill_date::BillDate,
    reconcile::{
        difference::{Actor, Difference, DifferenceKind, DifferenceState, RunSide},
        run::Run,
    },
};
use stores::reconciliation::{FindOutcome, SaveOutcome};

use crate::{app::App, day_part::DayPart, error::DayError, record::RunRecord};

/// Reason written into a difference that a later run no longer finds.
pub(crate) const AGREE: &str = "a later run finds that both sides agree";

/// Differences that are read at a time.
const PAGE: i32 = 100;

/// The alarm is for open differences of this many days before the present one, whichever day the
/// run is about: an old day without differences says nothing about yesterday.
const OPEN_LAST_DAYS: i64 = 30;

/// At most this many pages (of 1 MB) of a day's differences are counted: a day with more needs no
/// exact count.
const COUNT_PAGES_MAX: usize = 200;

/// The differences of a day as a run writes them.
#[derive(Clone, Copy)]
pub(crate) struct DifferenceStore<'a> {
    app: &'a App,
    run: &'a Run,
}

impl<'a> DifferenceStore<'a> {
    pub(crate) const fn new(app: &'a App, run: &'a Run) -> Self {
        Self { app, run }
    }

    /// Stores differences. Known ones stay unchanged, except those that were repaired before this
    /// run started (the repair did not last) and those with other amounts now (earlier decisions do
    /// not hold). Values that an earlier version did not store are added. Returns all of them as
    /// stored.
    ///
    /// # Errors
    /// [`DayError::Superseded`] when another run has taken the day over: it may know better. And
    /// others.
    pub(crate) async fn save_all(
        self,
        finding: &[Difference],
    ) -> Result<Vec<Difference>, DayError> {
        RunRecord::of(self.app, self.run).current().await?;
        let mut found = Vec::with_capacity(finding.len());
        for difference in finding {
            found.push(match self.app.reconciliations.find(difference).await? {
                FindOutcome::New => difference.clone(),
                FindOutcome::Known(known) if is_counted_otherwise(&known, difference, self.run) => {
                    let again = known.counted_again(difference, &self.run.id, self.app.clock.now());
                    self.written(&known, again).await?
                }
                FindOutcome::Known(known) if has_other_amounts(&known, difference, self.run) => {
                    let again =
                        known.with_other_amounts(difference, &self.run.id, self.app.clock.now());
                    self.written(&known, again).await?
                }
                FindOutcome::Known(known) if was_repaired_before(&known, self.run) => {
                    let why = "a later run finds it again";
                    let completed = known.completed_by(difference);
                    let open = completed.as_ref().unwrap_or(&known).reopened(
                        &self.run.id,
                        why,
                        self.app.clock.now(),
                    );
                    self.written(&known, open).await?
                }
                FindOutcome::Known(known) => self.completed(*known, difference).await?,
            });
        }
        Ok(found)
    }

    /// A known difference completed with values that an earlier version did not store. If it is
    /// being decided at this moment, the next run adds them.
    async fn completed(
        self,
        known: Difference,
        found: &Difference,
    ) -> Result<Difference, DayError> {
        let Some(completed) = known.completed_by(found) else {
            return Ok(known);
        };
        match self
            .app
            .reconciliations
            .complete_difference(&completed)
            .await?
        {
            SaveOutcome::Saved => Ok(completed),
            SaveOutcome::VersionMoved => {
                let read = self.app.reconciliations.difference(known.date, &known.id);
                Ok(read.await?.unwrap_or(known))
            }
        }
    }

    /// Repairs differences of earlier runs that this run no longer finds. `why` gives the reason
    /// for one difference, or `None` if this run cannot know. Differences of the other side (trades
    /// or funds) are left alone.
    ///
    /// # Errors
    /// As [`Self::save_all`].
    pub(crate) async fn agree_again(
        self,
        (side, part): (RunSide, DayPart),
        found: &[Difference],
        why: impl Fn(&Difference) -> Option<String>,
    ) -> Result<(), DayError> {
        let found: BTreeSet<&str> = found
            .iter()
            .map(|difference| difference.id.as_str())
            .collect();
        // If a later run found it, the later run counts.
        RunRecord::of(self.app, self.run).current().await?;
        for difference in self.all(self.run.date).await? {
            let gone = difference.side() == side
                && !moved_since(&difference, self.run)
                && part.has_difference(&difference)
                && !found.contains(difference.id.as_str());
            // A difference that waits for a refund is repaired by the arrival of its money,
            // whatever the bills say.
            if !gone || !difference.state.needs_action() || difference.is_under_way() {
                continue;
            }
            if let Some(why) = why(&difference) {
                let repaired = difference.repaired(&self.run.id, &why, self.app.clock.now());
                // A person decided meanwhile: the next run checks it again.
                let _: SaveOutcome = self.app.reconciliations.save_difference(&repaired).await?;
            }
        }
        Ok(())
    }

    /// All differences of a day.
    ///
    /// # Errors
    /// [`DayError`].
    pub(crate) async fn all(self, date: BillDate) -> Result<Vec<Difference>, DayError> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self
                .app
                .reconciliations
                .differences(date, after.as_deref(), PAGE)
                .await?;
            all.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// How many differences of the last days and of a run's own day need an operator. They are
    /// counted in the table.
    ///
    /// # Errors
    /// [`DayError`].
    pub(crate) async fn open(self) -> Result<u64, DayError> {
        let today = BillDate::of(self.app.clock.now());
        let mut dates: BTreeSet<BillDate> = (0..=OPEN_LAST_DAYS)
            .map(|days| today.plus_days(-days))
            .collect();
        dates.insert(self.run.date);
        let needing = DifferenceState::ALL.into_iter();
        let needing: Vec<DifferenceState> = needing.filter(|state| state.needs_action()).collect();
        let mut open = 0_u64;
        for date in dates {
            let table = &self.app.reconciliations;
            let of_day = table.count_in(date, &needing, COUNT_PAGES_MAX).await?;
            open = open.saturating_add(of_day.count);
        }
        Ok(open)
    }

    /// Writes a step; if another write was faster, that one counts.
    pub(crate) async fn written(
        self,
        before: &Difference,
        next: Difference,
    ) -> Result<Difference, DayError> {
        match self.app.reconciliations.save_difference(&next).await? {
            SaveOutcome::Saved => Ok(next),
            SaveOutcome::VersionMoved => {
                let read = self
                    .app
                    .reconciliations
                    .difference(before.date, &before.id)
                    .await?;
                Ok(read.unwrap_or_else(|| before.clone()))
            }
        }
    }
}

/// Whether an aggregated difference has changed.
fn is_counted_otherwise(known: &Difference, found: &Difference, run: &Run) -> bool {
    let stands = known.state != DifferenceState::Repaired || was_repaired_before(known, run);
    found.aggregate.is_some() && known.aggregate != found.aggregate && stands
}

/// Whether one is found with other amounts than those that persons decided about.
fn has_other_amounts(known: &Difference, found: &Difference, run: &Run) -> bool {
    let stands = known.state != DifferenceState::Repaired || was_repaired_before(known, run);
    found.aggregate.is_none() && stands && known.has_other_amounts(found)
}

fn was_repaired_before(known: &Difference, run: &Run) -> bool {
    let last = known.history.last();
    known.state == DifferenceState::Repaired && last.is_some_and(|step| step.at < run.started_at)
}

/// Whether a difference was changed by another process or a person since the run started.
fn moved_since(difference: &Difference, run: &Run) -> bool {
    let last = difference.history.last();
    last.is_some_and(|step| step.at > run.started_at && step.who != Actor::Run(run.id.clone()))
}

/// How many there are of each kind.
pub(crate) fn count(differences: &[Difference]) -> BTreeMap<DifferenceKind, u32> {
    let mut counts = BTreeMap::new();
    for difference in differences {
        let count: &mut u32 = counts.entry(difference.kind).or_default();
        *count = count.saturating_add(1);
    }
    counts
}
