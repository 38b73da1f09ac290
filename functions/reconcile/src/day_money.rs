//! The objective of money (`infra/runbooks/slo.md`): how much of a day's fen is explained in time.

use matching::totals::Sums;
use payments::reconcile::{
    difference::Difference,
    lateness::{explained_by, yesterday},
    run::Run,
};

use crate::{app::App, differences::DifferenceStore, error::DayError};

/// The fen of a day, and those of them that were not explained by 11:00 of the next one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DayMoney {
    pub(crate) fen: i64,
    pub(crate) open_fen: i64,
}

impl DayMoney {
    /// Of a run whose trade side is done; `None` for one that is not the day's work, such as an
    /// earlier day's or the repeat of a day that was done, which says nothing of whether money was
    /// explained in time.
    ///
    /// # Errors
    /// [`DayError`] if the day's differences cannot be read.
    pub(crate) async fn of(
        app: &App,
        run: &Run,
        differences: DifferenceStore<'_>,
    ) -> Result<Option<Self>, DayError> {
        if !is_days_work(app, run) || run.was_done_before {
            return Ok(None);
        }
        let traded = |sums: Sums| sums.payments_fen.saturating_add(sums.refunds_fen);
        // What one side does not have is money, too.
        let fen = traded(run.there().all()).max(traded(run.here().all()));
        let is_late = app.clock.now() > explained_by(run.date);
        let open_fen = if is_late {
            fen
        } else {
            let all = differences.all(run.date).await?;
            open_fen(&all).min(fen)
        };
        Ok(Some(Self { fen, open_fen }))
    }
}

/// Whether a run is the one that the day waits for, and none of an earlier day. If the daily run is
/// a preview, the preview is the day's work too.
pub(crate) fn is_days_work(app: &App, run: &Run) -> bool {
    (!run.dry_run || !app.repairs) && run.date == yesterday(app.clock.now())
}

/// What needs a person. One without an amount has none to add.
fn open_fen(differences: &[Difference]) -> i64 {
    let open = differences.iter().filter(|one| one.state.needs_action());
    let fen = open.filter_map(Difference::amount_fen);
    fen.fold(0, |sum: i64, fen| sum.saturating_add(fen.saturating_abs()))
}
