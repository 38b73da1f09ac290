//! Which of the last days should be reconciled by now and are not. Each sweep checks this, so that
//! on-call is alerted at 13:00 and for as long as this lasts, whatever later days were reconciled.

use std::collections::BTreeSet;

use flows::problem::ErrorChain;
use payments::{
    model::bill_date::BillDate,
    reconcile::{
        day_runs::{DayRuns, missing_days},
        lateness::{EARLIER_DAYS, WATCHED_DAYS, last_late},
    },
};
use stores::reconciliation::ReconciliationError;
use tracing::{info, warn};
use wechatpay::UnixSeconds;

use crate::app::App;

/// Days that should be reconciled by now and are not. A day whose record could not be read for the
/// first time is unknown: that may pass. From the second time running on it counts as missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DaysMissing {
    /// Whether the latest one is among them; `None` if unknown.
    pub(crate) last: Option<bool>,
    /// How many of those before it; `None` if unknown.
    pub(crate) earlier: Option<usize>,
}

/// Which of the last days that should be reconciled by now are not.
pub(crate) async fn days_missing(app: &App, now: UnixSeconds) -> DaysMissing {
    let last = last_late(now);
    let before = |days: i64| (0..days).map(|back| last.plus_days(-back));
    let asked: Vec<BillDate> = before(WATCHED_DAYS + EARLIER_DAYS).collect();
    let of_each = match app.reconciliations.runs_of_each(&asked).await {
        Ok(of_each) => of_each,
        Err(error) => {
            log_unread(last, &error);
            let again = app.days_unread.note(&BTreeSet::from_iter(asked));
            return DaysMissing {
                last: again.contains(&last).then_some(true),
                // The alarm stays as it is. Calling for each day of the week would say no more than
                // the last day does.
                earlier: None,
            };
        }
    };
    let (mut runs, mut unread): (Vec<(BillDate, DayRuns)>, _) = (Vec::new(), BTreeSet::new());
    for (date, of_day) in of_each {
        match of_day {
            Ok(of_day) => runs.push((date, of_day)),
            Err(error) => {
                log_unread(date, &error);
                unread.insert(date);
            }
        }
    }
    let unread_again = app.days_unread.note(&unread);
    let (unknown, known): (Vec<BillDate>, Vec<BillDate>) =
        before(WATCHED_DAYS).partition(|day| unread.contains(day));
    let mut missing = missing_days(&runs, &known, last, app.repairs);
    if !missing.is_empty() {
        info!(days = %listed(&missing), "days that were not reconciled in time");
    }
    let (counted, unknown): (Vec<BillDate>, Vec<BillDate>) = unknown
        .into_iter()
        .partition(|day| unread_again.contains(day));
    missing.extend(counted);
    let earlier = missing.iter().filter(|day| **day != last).count();
    let is_unknown = unknown.iter().any(|day| *day != last);
    DaysMissing {
        last: (!unknown.contains(&last)).then(|| missing.contains(&last)),
        earlier: (earlier > 0 || !is_unknown).then_some(earlier),
    }
}

fn log_unread(date: BillDate, error: &ReconciliationError) {
    warn!(%date, error = %ErrorChain(error), "it is not known whether the day was reconciled");
}

fn listed(days: &[BillDate]) -> String {
    let days: Vec<String> = days.iter().map(BillDate::to_string).collect();
    days.join(", ")
}
