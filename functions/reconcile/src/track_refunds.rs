//! Differences that wait for a refund. Each minute, and in each run of their day, the refund's
//! state is copied into them. So the code that settles a callback, a query or the sweep need not
//! know about differences.
//!
//! WeChat Pay is not called here. An update that is lost by a crash is made in the next minute.

use flows::problem::ErrorChain;
use futures_util::{StreamExt, stream};
use payments::{
    model::ids::OrderNo,
    reconcile::difference::{Difference, DifferenceState, TrackedRefund},
};
use stores::reconciliation::{ReconciliationError, SaveOutcome, TrackedDifference};
use tracing::{error, info, warn};

use crate::{app::App, error::DayError};

/// How many are checked at once.
const SIDE_BY_SIDE: usize = 8;
/// Time limit of one minute's run for them, in milliseconds: the sweep runs after it.
const WITHIN_MS: i64 = 10_000;

/// Checks all tracked refunds, from where the last check stopped. Those without time left come
/// first in the next minute.
pub(crate) async fn refunds(app: &App) {
    let ends_ms = app.clock.now_ms().saturating_add(WITHIN_MS);
    let began_at = match app.reconciliations.tracked_position().await {
        Ok(from) => from,
        Err(error) => {
            log_not_checked(&error);
            return;
        }
    };
    let mut from = began_at.clone();
    let stopped_at = loop {
        let page = match app.reconciliations.tracked_page(from).await {
            Ok(page) => page,
            Err(error) => {
                log_not_checked(&error);
                return;
            }
        };
        page.unreadable.iter().for_each(log_not_checked);
        let checks = stream::iter(&page.items).map(async |tracked| {
            if let Err(error) = check(app, tracked).await {
                log_failure(tracked, &error);
            }
        });
        checks.buffer_unordered(SIDE_BY_SIDE).collect::<()>().await;
        let Some(next) = page.next else {
            break None;
        };
        if app.clock.now_ms() >= ends_ms {
            warn!(
                "more differences wait for refunds than a minute's run checks: the next one continues"
            );
            break Some(next);
        }
        from = Some(next);
    };
    if stopped_at != began_at
        && let Err(error) = app
            .reconciliations
            .save_tracked_position(stopped_at.as_ref())
            .await
    {
        warn!(error = %ErrorChain(&error), "the next check of differences continues where this one did");
    }
}

/// A temporary error is only a warning: the next minute tries again. Any other error stops the
/// tracking of stuck refunds, and no other alarm would show it.
fn log_not_checked(error: &ReconciliationError) {
    if error.is_transient() {
        warn!(error = %ErrorChain(error), "differences that wait for refunds were not checked");
    } else {
        error!(
            error = %ErrorChain(error),
            what_to_do = "repair what the error names: until then no one is notified of a refund that does not finish",
            "differences that wait for refunds cannot be looked at"
        );
    }
}

/// As [`log_not_checked`], of one difference.
fn log_failure(tracked: &TrackedDifference, error: &DayError) {
    if error.needs_operator() {
        error!(
            date = %tracked.date,
            id = tracked.id,
            error = %ErrorChain(error),
            what_to_do = "repair what the error names: until then no one is notified that this difference's refund does not finish",
            "a difference cannot be told how its refund stands"
        );
    } else {
        warn!(
            date = %tracked.date,
            id = tracked.id,
            error = %ErrorChain(error),
            "the state of a difference's refund was not copied"
        );
    }
}

async fn check(app: &App, tracked: &TrackedDifference) -> Result<(), DayError> {
    let read = app
        .reconciliations
        .difference(tracked.date, &tracked.id)
        .await?;
    let still = match read {
        Some(difference) => match one(app, &difference).await? {
            Some(updated) => updated.is_tracked(),
            None => difference.is_tracked(),
        },
        None => false,
    };
    if !still {
        app.reconciliations.untrack(tracked).await?;
    }
    Ok(())
}

/// Copies the refund's state in our books into a difference. Returns the difference afterwards, if
/// it changed.
///
/// # Errors
/// [`DayError`].
pub(crate) async fn one(
    app: &App,
    difference: &Difference,
) -> Result<Option<Difference>, DayError> {
    let (Some(tracked), Some(order_no)) = (
        difference
            .refund
            .as_ref()
            .filter(|_| difference.is_tracked()),
        difference.about.order_no.as_deref(),
    ) else {
        return Ok(None);
    };
    let Ok(order_no) = OrderNo::parse(order_no) else {
        return Ok(None);
    };
    let (by, now) = (app.random.id(), app.clock.now());
    let refund = app.orders.refund(&order_no, &tracked.refund_no).await?;
    let updated = match &refund {
        Some(refund) => difference.with_refund(&TrackedRefund::of(refund), &by, now),
        None => Some(difference.without_its_refund(tracked, &by, now)),
    };
    let Some(updated) = updated else {
        return Ok(None);
    };
    match app.reconciliations.save_difference(&updated).await? {
        SaveOutcome::Saved => {
            log_change(&updated);
            Ok(Some(updated))
        }
        // A person decided meanwhile, or another run updated it.
        SaveOutcome::VersionMoved => Ok(None),
    }
}

/// An operator must act if the refund of an approved difference makes no progress.
pub(crate) fn log_change(changed: &Difference) {
    let why = changed.history.last().map(|step| step.why.as_str());
    if changed.state == DifferenceState::Open {
        error!(
            date = %changed.date,
            id = changed.id,
            refund = changed.refund.as_ref().map(|refund| refund.stage.name()),
            what_to_do = why,
            DifferencesOpened = 1,
            "a difference is open again: its refund does not get on"
        );
    } else {
        info!(date = %changed.date, id = changed.id, state = changed.state.name(), why, "the state of a difference's refund was copied");
    }
}
