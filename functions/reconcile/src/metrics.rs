//! What a day comes to, as metrics: on-call is told of any open difference, and of a day that was not reconciled.

use adapters::telemetry::emf::{Metrics, Unit};
use payments::reconcile::run::Run;

use crate::desk::Desk;

/// The namespace that the template's alarms look at.
const NAMESPACE: &str = "WechatPayOnLambda";

/// A day is done, with so many differences that need somebody.
pub(crate) fn day_done(desk: &Desk, run: &Run, open: u64) {
    let there = run.there().all();
    let found: u32 = run.differences().values().sum();
    of(desk)
        .metric("DaysReconciled", Unit::Count, 1)
        .metric(
            "BillRows",
            Unit::Count,
            whole(there.payments.saturating_add(there.refunds)),
        )
        .metric("Differences", Unit::Count, i64::from(found))
        .metric("OpenDifferences", Unit::Count, whole(open))
        .metric("CarriedTrades", Unit::Count, whole(run.carried()))
        .print(desk.clock.now_ms());
}

/// A day could not be judged.
pub(crate) fn day_failed(desk: &Desk) {
    of(desk)
        .metric("DaysFailed", Unit::Count, 1)
        .print(desk.clock.now_ms());
}

fn of(desk: &Desk) -> Metrics {
    Metrics::new(NAMESPACE).dimension("Mchid", desk.mchid.clone())
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
