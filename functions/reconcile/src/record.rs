//! The record of a run: it is written only as long as no other run has the day, and it says what
//! became of each side.

use flows::problem::ErrorChain;
use payments::{
    model::bill_date::BillDate,
    reconcile::{
        day_runs::{BeginOutcome, RunRequest},
        difference::RunSide,
        run::{FundState, Run, RunState},
    },
};
use tracing::warn;

use stores::reconciliation::SaveOutcome;

use crate::{app::App, day_part::DayPart, error::DayError};

/// How often a record is read and written again because others write it too.
const TRIES: u32 = 12;

/// The record of one run of a day.
#[derive(Clone, Copy)]
pub(crate) struct RunRecord<'a> {
    app: &'a App,
    date: BillDate,
    run_id: &'a str,
}

/// Starts or continues a run; a run whose trade side is done is left unchanged.
///
/// # Errors
/// [`DayError::Superseded`] when a run that was asked for later has the day; and others.
pub(crate) async fn begin(app: &App, request: &RunRequest) -> Result<Run, DayError> {
    for _ in 0..TRIES {
        let runs = app.reconciliations.day_runs(request.date).await?;
        let run = match runs.begin(request, app.clock.now()) {
            BeginOutcome::Begun(run) => run,
            BeginOutcome::Done(run) => return Ok(*run),
            BeginOutcome::Superseded => return Err(DayError::Superseded),
        };
        if app.reconciliations.save_run(&run).await? == SaveOutcome::Saved {
            return Ok(*run);
        }
    }
    Err(DayError::Passing(
        "the day's record kept changing while the run was to begin".into(),
    ))
}

impl<'a> RunRecord<'a> {
    pub(crate) const fn new(app: &'a App, date: BillDate, run_id: &'a str) -> Self {
        Self { app, date, run_id }
    }

    pub(crate) const fn of(app: &'a App, run: &'a Run) -> Self {
        Self::new(app, run.date, run.id.as_str())
    }

    /// The record of a run, as long as no other has taken the day over.
    ///
    /// # Errors
    /// [`DayError::Superseded`] when one has; and others.
    pub(crate) async fn current(self) -> Result<Run, DayError> {
        let runs = self.app.reconciliations.day_runs(self.date).await?;
        runs.current(self.run_id)
            .cloned()
            .ok_or(DayError::Superseded)
    }

    /// Changes the record of a run, as long as no other has taken the day over.
    ///
    /// # Errors
    /// As [`Self::current`].
    pub(crate) async fn save(self, change: impl Fn(&mut Run)) -> Result<Run, DayError> {
        for _ in 0..TRIES {
            let mut run = self.current().await?;
            run.version = run.version.saturating_add(1);
            run.updated_at = self.app.clock.now();
            change(&mut run);
            if self.app.reconciliations.save_run(&run).await? == SaveOutcome::Saved {
                return Ok(run);
            }
        }
        Err(DayError::Passing(
            "the day's record kept changing while a part was to be noted".into(),
        ))
    }

    /// Records why a side of a run is not done, for operators. The other side's result is
    /// unchanged.
    ///
    /// # Errors
    /// What `done` says.
    pub(crate) async fn note_trouble(
        self,
        (side, part): (RunSide, DayPart),
        done: Result<(), DayError>,
    ) -> Result<(), DayError> {
        let Err(error) = done else {
            return Ok(());
        };
        let tries = match &error {
            DayError::Bill(_) | DayError::BillAgain(_) => 1,
            DayError::Superseded => return Err(error),
            DayError::NotReady { .. } | DayError::Damaged(_) | DayError::Passing(_) => 0,
        };
        let trouble = ErrorChain(&error).to_string();
        let noted = self
            .save(|run| match side {
                // Every part is done: what went wrong since takes nothing back.
                RunSide::Trades if run.state == RunState::Done => {}
                RunSide::Trades => {
                    let broken = run.broken.entry(part.number).or_default();
                    *broken = broken.saturating_add(tries);
                    let after = ErrorStep::of(&error, *broken);
                    // One abandoned part is enough: the day is incomplete.
                    if run.state != RunState::Failed {
                        run.state = after.of_trades();
                    }
                    run.waits_for_usable_bill = run.state == RunState::Waiting && tries > 0;
                    run.trouble = Some(trouble.clone());
                }
                RunSide::Funds => {
                    if let Some(funds) = &mut run.funds
                        && funds.state != FundState::Done
                    {
                        let broken = funds.broken.entry(part.number).or_default();
                        *broken = broken.saturating_add(tries);
                        let after = ErrorStep::of(&error, *broken);
                        if funds.state != FundState::Failed {
                            funds.state = after.of_funds();
                        }
                        funds.trouble = Some(trouble.clone());
                    }
                }
            })
            .await;
        let run = match noted {
            Ok(run) => run,
            Err(unnoted) => {
                let Self { date, run_id, .. } = self;
                warn!(%date, run_id, error = %ErrorChain(&unnoted), "the day's record does not say why it is not done");
                return Err(unnoted); // what passes is tried again, and noted then
            }
        };
        let (waits, failed) = match side {
            RunSide::Trades => (
                run.state == RunState::Waiting,
                run.state == RunState::Failed,
            ),
            RunSide::Funds => {
                let is = |state| run.funds.as_ref().is_some_and(|funds| funds.state == state);
                (is(FundState::Waiting), is(FundState::Failed))
            }
        };
        if failed {
            report_failed(&run, side);
        }
        Err(match (error, waits) {
            (DayError::Bill(bill), true) => DayError::BillAgain(bill),
            (error, _) => error,
        })
    }
}

/// A side of a day could not be reconciled.
fn report_failed(run: &Run, side: RunSide) {
    let of = |wanted| (side == wanted).then_some(1);
    warn!(
        date = %run.date,
        run_id = run.id,
        DaysFailed = of(RunSide::Trades),
        FundSidesFailed = of(RunSide::Funds),
        "a side of the day could not be compared"
    );
}

/// How often an unusable bill is fetched before it is left to an operator.
const BROKEN_TRIES: u32 = 4;

/// The state of a side after an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ErrorStep {
    /// It comes back for a bill.
    WaitForBill,
    /// It comes back for what passes.
    Retry,
    /// It is left to an operator.
    Fail,
}

impl ErrorStep {
    /// After an error, with this many unusable bills.
    fn of(error: &DayError, broken: u32) -> Self {
        match error {
            DayError::NotReady { .. } => Self::WaitForBill,
            DayError::Bill(_) | DayError::BillAgain(_) if broken < BROKEN_TRIES => {
                Self::WaitForBill
            }
            DayError::Bill(_) | DayError::BillAgain(_) | DayError::Damaged(_) => Self::Fail,
            DayError::Passing(_) | DayError::Superseded => Self::Retry,
        }
    }

    const fn of_trades(self) -> RunState {
        match self {
            Self::WaitForBill => RunState::Waiting,
            Self::Retry => RunState::Running,
            Self::Fail => RunState::Failed,
        }
    }

    const fn of_funds(self) -> FundState {
        match self {
            Self::WaitForBill => FundState::Waiting,
            Self::Retry => FundState::Running,
            Self::Fail => FundState::Failed,
        }
    }
}
