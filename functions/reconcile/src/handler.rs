//! Schedule -> what is due -> each order read again, claimed, asked about, settled -> a report.

use std::time::Duration;

use adapters::{
    order_table::{Applied, TableError},
    queues::{PaymentRequest, QueueError},
};
use flows::{
    ask::{AskError, Asked},
    problem::Chain,
    settle::Settled,
    trace::Trace,
};
use futures_util::{StreamExt, stream};
use payments::{
    due::{self, SHARDS},
    ids::OrderNo,
    journal::Cause,
    order::{Order, OrderState},
    settle::Change,
};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use wechatpay::UnixSeconds;

use crate::desk::Desk;

/// What the schedule asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// Look at whatever is due.
    Sweep,
}

/// What a run did.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Report {
    /// Orders that were due and claimed by this run.
    pub claimed: u32,
    /// Orders that this run brought to another state.
    pub settled: u32,
    /// Orders that are still to be paid.
    pub open: u32,
    /// Reserved orders handed to the queue, since nobody had got them a prepay value.
    pub resumed: u32,
    /// Payments parked for a person.
    pub parked: u32,
    /// Orders that could not be looked at; they are due again.
    pub failed: u32,
    /// Reserved orders that WeChat Pay never got and that can no longer be paid.
    pub expired: u32,
    /// Parts of the index that hold more than one run takes.
    pub parts_with_more: u32,
    /// Parts of the index that could not be read.
    pub parts_unreadable: u32,
}

/// Orders taken from each part of the index in one run: with 16 parts some 800 a minute and run, under WeChat Pay's limits.
const PER_SHARD: i32 = 50;
/// How many are asked about at once.
const SIDE_BY_SIDE: usize = 8;
/// One question's time.
const ASK_WITHIN: Duration = Duration::from_secs(3);
/// Nothing is begun with less time left than this, in milliseconds.
const BEGIN_BEFORE_DEADLINE_MS: i64 = 5_000;

/// How long after its expiry a reserved order that WeChat Pay does not know is given up, in seconds.
const NEVER_ARRIVED_AFTER_S: i64 = 300;

/// What looking at one order came to.
enum Look {
    NotOurs,
    Settled,
    Open,
    Resumed,
    Expired,
    Parked,
    Failed,
}

/// Why one order could not be looked at.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Runs one task. `deadline_ms` is when Lambda stops this invocation (Unix milliseconds).
///
/// # Errors
/// When the index itself cannot be read; single orders that fail are counted in the report and come due again.
pub async fn run(desk: &Desk, task: Task, deadline_ms: i64) -> Result<Report, TableError> {
    match task {
        Task::Sweep => sweep(desk, deadline_ms).await,
    }
}

/// Looks at what is due, a bounded piece of it. Safe to run twice at once: each order is claimed by a conditional write.
async fn sweep(desk: &Desk, deadline_ms: i64) -> Result<Report, TableError> {
    let trace = Trace::from_header(None, &desk.random);
    let cause = Cause::Sweep(desk.random.id());
    let mut report = Report::default();
    let (cause, trace) = (&cause, &trace);
    let mut unreadable = None;
    for shard in shards_from(desk.clock.now()) {
        if no_time_left(desk, deadline_ms) {
            report.parts_with_more = report.parts_with_more.saturating_add(1);
            continue;
        }
        let page = match desk.orders.due(shard, desk.clock.now(), PER_SHARD).await {
            Ok(page) => page,
            Err(error) => {
                warn!(shard, error = %Chain(&error), "a part of the index could not be read");
                report.parts_unreadable = report.parts_unreadable.saturating_add(1);
                unreadable = Some(error);
                continue;
            }
        };
        report.parts_with_more = report.parts_with_more.saturating_add(u32::from(page.more));
        let looks = stream::iter(page.orders).map(|order_no| async move {
            if no_time_left(desk, deadline_ms) {
                return Look::NotOurs;
            }
            look(desk, &order_no, cause, trace).await.unwrap_or_else(|error| {
                warn!(order_no = order_no.as_str(), error = %Chain(&error), "order could not be looked at");
                Look::Failed
            })
        });
        let mut looks = looks.buffer_unordered(SIDE_BY_SIDE);
        while let Some(look) = looks.next().await {
            report.count(&look);
        }
    }
    if let Some(error) = unreadable.filter(|_| report.parts_unreadable == u32::from(SHARDS)) {
        return Err(error);
    }
    info!(?report, trace_id = trace.id(), "sweep done");
    Ok(report)
}

/// All parts of the index, each minute beginning at another one: when WeChat Pay is slow and a run does not get through, none
/// is always the last.
fn shards_from(now: UnixSeconds) -> impl Iterator<Item = u8> {
    let first =
        u8::try_from(now.0.div_euclid(60).rem_euclid(i64::from(SHARDS))).unwrap_or_default();
    (0..SHARDS).map(move |step| first.saturating_add(step) % SHARDS)
}

fn no_time_left(desk: &Desk, deadline_ms: i64) -> bool {
    deadline_ms.saturating_sub(desk.clock.now_ms()) < BEGIN_BEFORE_DEADLINE_MS
}

/// One order: read again, since the index lags; claimed, since another run may be at it; asked about, settled.
async fn look(
    desk: &Desk,
    order_no: &OrderNo,
    cause: &Cause,
    trace: &Trace,
) -> Result<Look, LookError> {
    let now = desk.clock.now();
    let Some(order) = desk.orders.read(order_no).await? else {
        return Ok(Look::NotOurs);
    };
    if order.due.is_none_or(|due| due.at > now) {
        return Ok(Look::NotOurs);
    }
    if !desk
        .orders
        .claim(&order, due::next_look(order_no, order.created_at, now))
        .await?
    {
        return Ok(Look::NotOurs);
    }
    match desk
        .asking
        .ask(order_no, ASK_WITHIN, cause, trace.id())
        .await?
    {
        Asked::Settled(Settled::Changed) => Ok(Look::Settled),
        Asked::Settled(Settled::AlreadyDone) => Ok(Look::Open),
        Asked::Settled(Settled::Parked) => Ok(Look::Parked),
        Asked::NotThere if never_arrived(&order, now) => expire(desk, &order, cause, trace).await,
        // WeChat Pay has the order or has it not: either way nobody holds a prepay value yet, and the same bytes get one.
        Asked::Settled(Settled::StillOpen) | Asked::NotThere => resume(desk, &order, trace).await,
        Asked::Refused(_) | Asked::Unknown(_) => Ok(Look::Failed),
    }
}

/// Whether an order that WeChat Pay does not know will never be there: nobody is calling for it, and nobody will, since it can
/// no longer be paid.
fn never_arrived(order: &Order, now: UnixSeconds) -> bool {
    let over_since_s = now.0.saturating_sub(order.expires_at.0);
    order.state == OrderState::Reserved
        && order.attempt.held_for_s(now).is_none()
        && over_since_s >= NEVER_ARRIVED_AFTER_S
}

/// Ends an order that never came to WeChat Pay. Should money come for it all the same, it is booked as paid after close.
async fn expire(
    desk: &Desk,
    order: &Order,
    cause: &Cause,
    trace: &Trace,
) -> Result<Look, LookError> {
    let change = Change::new(
        order,
        OrderState::Closed,
        cause.clone(),
        trace.id(),
        desk.clock.now(),
    );
    match desk.orders.apply(&change, None).await? {
        Applied::Yes => Ok(Look::Expired),
        Applied::Stale => Ok(Look::Open),
    }
}

async fn resume(desk: &Desk, order: &Order, trace: &Trace) -> Result<Look, LookError> {
    if order.state != OrderState::Reserved || order.expires_at <= desk.clock.now() {
        return Ok(Look::Open);
    }
    let message = PaymentRequest::IssueV1 {
        order_no: order.order_no.clone(),
    };
    desk.payment_requests
        .send_request(&message, 0, &trace.traceparent())
        .await?;
    Ok(Look::Resumed)
}

impl Report {
    fn count(&mut self, look: &Look) {
        let counter = match look {
            Look::NotOurs => return,
            Look::Settled => &mut self.settled,
            Look::Open => &mut self.open,
            Look::Resumed => &mut self.resumed,
            Look::Expired => &mut self.expired,
            Look::Parked => &mut self.parked,
            Look::Failed => &mut self.failed,
        };
        *counter = counter.saturating_add(1);
        self.claimed = self.claimed.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_minute_a_run_begins_at_the_next_part_and_reads_all() {
        for minute in 0..40 {
            let parts: Vec<u8> = shards_from(UnixSeconds(minute * 60 + 7)).collect();
            let mut sorted = parts.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..SHARDS).collect::<Vec<u8>>());
            assert_eq!(i64::from(parts[0]), minute % i64::from(SHARDS));
        }
    }
}
