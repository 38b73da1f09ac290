//! What a day comes to, as metrics: on-call is told of any open difference, and of a day that was not reconciled.

use adapters::metrics::{Metrics, Unit};
use payments::reconcile::run::Run;

use crate::desk::Desk;

/// A day is done, with so many differences that need somebody.
pub(crate) fn day_done(desk: &Desk, run: &Run, open: u64) {
    let there = run.there().all();
    let rows = there.payments.saturating_add(there.refunds);
    let found = run.differences().values().fold(0_u64, |sum, count| sum.saturating_add(u64::from(*count)));
    Metrics::of(&desk.mchid)
        .put("DaysReconciled", Unit::Count, 1)
        .put("BillRows", Unit::Count, rows)
        .put("Differences", Unit::Count, found)
        .put("OpenDifferences", Unit::Count, open)
        .put("CarriedTrades", Unit::Count, run.carried())
        .print(desk.clock.now_ms());
}

/// A day could not be judged.
pub(crate) fn day_failed(desk: &Desk) {
    Metrics::of(&desk.mchid)
        .put("DaysFailed", Unit::Count, 1)
        .print(desk.clock.now_ms());
}
