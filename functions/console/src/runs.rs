//! The runs of several days. A day whose record cannot be read says so itself, and nothing of the
//! others.

use flows::problem::ErrorChain;
use payments::{model::bill_date::BillDate, reconcile::day_runs::DayRuns};
use stores::reconciliation::{ReconciliationError, ReconciliationTable};
use tracing::warn;
use wechatpay::UnixSeconds;

use crate::{daily_run::DailyRun, text};

/// The stored runs of several days.
#[derive(Debug, Default)]
pub(crate) struct KnownRuns {
    /// Days that were run, the earliest first.
    runs: Vec<(BillDate, DayRuns)>,
    /// Days whose record cannot be read.
    unreadable: Vec<BillDate>,
}

/// Recent days with a problem that on-call is alerted about too.
#[derive(Debug, Default)]
pub(crate) struct DayAlerts {
    /// Their run is missing.
    pub(crate) missing: Vec<BillDate>,
    /// Their record cannot be read.
    pub(crate) unreadable: Vec<BillDate>,
}

impl KnownRuns {
    /// Reads the runs of these days.
    pub(crate) async fn read(
        table: &ReconciliationTable,
        days: &[BillDate],
    ) -> Result<Self, ReconciliationError> {
        let mut known = Self::default();
        for (date, runs) in table.runs_of_each(days).await? {
            match runs {
                Ok(runs) => known.runs.push((date, runs)),
                Err(error) => {
                    warn!(%date, error = %ErrorChain(&error), "a day is shown as one whose record cannot be read");
                    known.unreadable.push(date);
                }
            }
        }
        Ok(known)
    }

    /// The runs of a day; `None` if its record cannot be read, and empty if it was never run.
    pub(crate) fn of(&self, date: BillDate) -> Option<DayRuns> {
        if self.unreadable.contains(&date) {
            return None;
        }
        let mut runs = self.runs.iter();
        let of_day = runs.find(|(day, _)| *day == date);
        Some(of_day.map(|(_, runs)| runs.clone()).unwrap_or_default())
    }

    /// The runs of those of these days that were run.
    pub(crate) fn into_runs_of(self, days: &[BillDate]) -> Vec<(BillDate, DayRuns)> {
        let mut runs = self.runs;
        runs.retain(|(date, _)| days.contains(date));
        runs
    }

    /// Those of these days whose record cannot be read, and those whose run is missing: known by
    /// the runs of some days before them, too. `daily_run` says when it is due, and
    /// whether it repairs.
    pub(crate) fn alerts(
        &self,
        days: &[BillDate],
        daily_run: (DailyRun, bool),
        now: UnixSeconds,
    ) -> DayAlerts {
        let (unreadable, readable): (Vec<BillDate>, Vec<BillDate>) =
            days.iter().partition(|day| self.unreadable.contains(day));
        DayAlerts {
            missing: text::missing_days(&readable, &self.runs, daily_run, now),
            unreadable,
        }
    }
}
