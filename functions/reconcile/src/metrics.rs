//! What a day and a sweep come to, as metrics: on-call is told of any open difference, of a day that was not reconciled, and of what
//! is due and not looked at.

use adapters::telemetry::emf::{Metrics, Unit};
use payments::{
    due::Reason,
    reconcile::{difference::RunSide, run::Run},
};

use crate::{desk::Desk, sweep::Report};

/// The namespace that the template's alarms look at.
const NAMESPACE: &str = "WechatPayOnLambda";

/// The trade side of a day is done, with so many differences of the last days that need somebody. A preview reconciles nothing, so
/// it is counted apart.
pub(crate) fn trades_done(desk: &Desk, run: &Run, open: u64) {
    let there = run.there().all();
    let done = if run.dry_run {
        "DaysPreviewed"
    } else {
        "DaysReconciled"
    };
    let rows = whole(there.payments.saturating_add(there.refunds));
    found(desk, run, open)
        .metric(done, Unit::Count, 1)
        .metric("BillRows", Unit::Count, rows)
        .print(desk.clock.now_ms());
}

/// The fund side of a day is done too.
pub(crate) fn funds_done(desk: &Desk, run: &Run, open: u64) {
    let found = found(desk, run, open);
    if run.dry_run {
        found.print(desk.clock.now_ms());
    } else {
        found
            .metric("FundSidesReconciled", Unit::Count, 1)
            .print(desk.clock.now_ms());
    }
}

/// A side of a day could not be judged.
pub(crate) fn failed(desk: &Desk, side: RunSide) {
    let name = match side {
        RunSide::Trades => "DaysFailed",
        RunSide::Funds => "FundSidesFailed",
    };
    of(desk)
        .metric(name, Unit::Count, 1)
        .print(desk.clock.now_ms());
}

/// What a run has found so far.
fn found(desk: &Desk, run: &Run, open: u64) -> Metrics {
    let found: u32 = run.differences().values().sum();
    of(desk)
        .metric("Differences", Unit::Count, i64::from(found))
        .metric("OpenDifferences", Unit::Count, whole(open))
        .metric("CarriedTrades", Unit::Count, whole(run.carried()))
}

/// A run of the sweep is over: how long what was due longest had been due when it began, for each reason and in all.
pub(crate) fn swept(desk: &Desk, report: &Report) {
    let overdue_s = |reason: Reason| {
        let overdue_s = report.overdue_s.get(reason.name());
        overdue_s.copied().unwrap_or_default()
    };
    let oldest_s = report.overdue_s.values().max().copied();
    of(desk)
        .metric("OldestOverdue", Unit::Seconds, oldest_s.unwrap_or_default())
        .metric("OverdueRefund", Unit::Seconds, overdue_s(Reason::Refund))
        .metric(
            "OverdueRecovery",
            Unit::Seconds,
            overdue_s(Reason::Recovery),
        )
        .metric("OverdueClosing", Unit::Seconds, overdue_s(Reason::Closing))
        .metric("OverdueLook", Unit::Seconds, overdue_s(Reason::Look))
        .print(desk.clock.now_ms());
}

fn of(desk: &Desk) -> Metrics {
    Metrics::new(NAMESPACE).dimension("Mchid", desk.mchid.clone())
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
