//! Actions for pages and programs: starts a run, takes a decision.

use flows::problem::{ErrorChain, Problem};
use payments::{
    model::bill_date::{BILLS_LAST_DAYS, BillDate},
    reconcile::difference::{DecisionContext, Difference, DifferenceState},
};
use stores::{queues::ReconcileWork, reconciliation::SaveOutcome};
use tracing::{error, info};

use super::Request;
use crate::{
    app::App,
    input::{DecisionRequest, RunForm, decision_name},
    person::Person,
};

/// For how long after an approval it is not checked whether its refund was started: the message is
/// under way.
const STARTING_S: i64 = 60;

impl App {
    /// Yesterday, in Beijing: the day whose run is due today.
    pub(crate) fn yesterday(&self) -> BillDate {
        BillDate::of(self.clock.now()).plus_days(-1)
    }

    /// The latest day that there may be a bill of.
    pub(crate) fn latest_day(&self) -> BillDate {
        let today = BillDate::of(self.clock.now());
        if self.today_too {
            today
        } else {
            today.plus_days(-1)
        }
    }

    /// The earliest day that there is a bill of.
    pub(crate) fn earliest_day(&self) -> BillDate {
        BillDate::of(self.clock.now()).plus_days(-BILLS_LAST_DAYS)
    }

    /// Whether a run of this day could find a bill.
    pub(crate) fn has_bill_of(&self, date: BillDate) -> bool {
        self.earliest_day() <= date && date <= self.latest_day()
    }
}

impl Request<'_> {
    /// Starts a run of a day in the background. Gives its id.
    pub(super) async fn start_run(
        &self,
        date: BillDate,
        asked: RunForm,
    ) -> Result<String, Problem> {
        if !self.app.has_bill_of(date) {
            return Err(Problem::no_bill(date, self.app.latest_day()));
        }
        let run_id = self.app.random.id();
        let work = ReconcileWork::DayV1 {
            date,
            dry_run: asked.dry_run,
            run_id: run_id.clone(),
            requested_at_ms: Some(self.app.clock.now_ms()),
        };
        let sent = self.send(&work).await;
        sent.map_err(|error| Problem::try_again(&error))?;
        info!(
            %date,
            run_id,
            dry_run = asked.dry_run,
            trace_id = self.trace.id(),
            "a person asked for a run"
        );
        Ok(run_id)
    }

    /// The difference, if the day has it. One that is approved is started again, in case that was
    /// lost.
    pub(super) async fn difference(&self, date: BillDate, id: &str) -> Result<Difference, Problem> {
        let found = self.app.table.difference(date, id).await?;
        let difference = found.ok_or_else(Problem::difference_not_found)?;
        let last = difference.history.last().map_or(0, |step| step.at.0);
        let age_s = self.app.clock.now().0.saturating_sub(last);
        if difference.state == DifferenceState::Approved && age_s > STARTING_S {
            // The difference is shown anyway; the next view tries again.
            if let Err(error) = self.start_refund(&difference).await {
                error!(error = %ErrorChain(&error), "an approved refund was not started again");
            }
        }
        Ok(difference)
    }

    /// Takes a person's decision. Returns the difference after it.
    pub(super) async fn decide(
        &self,
        date: BillDate,
        id: &str,
        asked: &DecisionRequest,
        person: &Person,
    ) -> Result<Difference, Problem> {
        let found = self.app.table.difference(date, id).await?;
        let difference = found.ok_or_else(Problem::difference_not_found)?;
        if difference.version != asked.version {
            return self.decided_before(difference, asked, person).await;
        }
        let now = self.app.clock.now();
        let client = asked.client()?;
        let deciding = DecisionContext {
            client: client.as_ref(),
            explain_alone: self.app.explain_alone,
        };
        let decided =
            difference.decided_by_rules(asked.decision, &deciding, person.name(), &asked.why, now);
        let decided = match decided {
            Ok(decided) => decided,
            Err(not) => {
                self.go_on(&difference).await?;
                return Err(not.into());
            }
        };
        let saved = self.app.table.save_difference(&decided).await?;
        match saved {
            SaveOutcome::Saved => {}
            SaveOutcome::VersionMoved => {
                let found = self.app.table.difference(date, id).await?;
                let stands = found.ok_or_else(Problem::difference_not_found)?;
                return self.decided_before(stands, asked, person).await;
            }
        }
        // The alarm on what is open counts the last days only: one that is opened again may be
        // older.
        let is_open_again =
            decided.state == DifferenceState::Open && !difference.state.needs_action();
        // Who decided is stored in the table and not logged.
        info!(
            %date,
            difference = id,
            decision = decision_name(asked.decision),
            state = decided.state.name(),
            DifferencesOpened = is_open_again.then_some(1),
            trace_id = self.trace.id(),
            "a person decided"
        );
        self.go_on(&decided).await?;
        Ok(decided)
    }

    /// The difference changed since the page was loaded: by the same decision (lost answer or
    /// double click), or by another one.
    async fn decided_before(
        &self,
        stands: Difference,
        asked: &DecisionRequest,
        person: &Person,
    ) -> Result<Difference, Problem> {
        self.go_on(&stands).await?;
        if stands.has_taken(asked.decision, asked.version, person.name(), &asked.why) {
            Ok(stands)
        } else {
            Err(Problem::stale_difference())
        }
    }

    /// Starts what a decision was for.
    async fn go_on(&self, difference: &Difference) -> Result<(), Problem> {
        if difference.state == DifferenceState::Approved {
            let started = self.start_refund(difference).await;
            started.map_err(|error| Problem::refund_not_started(&error))?;
        }
        Ok(())
    }

    async fn start_refund(
        &self,
        difference: &Difference,
    ) -> Result<(), stores::queues::QueueError> {
        self.send(&ReconcileWork::ApplyV1 {
            date: difference.date,
            id: difference.id.clone(),
        })
        .await
    }

    async fn send(&self, work: &ReconcileWork) -> Result<(), stores::queues::QueueError> {
        let trace = self.trace.headers();
        self.app.work.send_reconcile(work, 0, trace).await
    }
}
