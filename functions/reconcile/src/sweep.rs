//! The minute's sweep: what is due, a page at a time from each part of the index -> each order and refund read again, claimed, asked
//! about, settled, closed or sent -> a report.

use std::{collections::VecDeque, time::Duration};

use adapters::{
    order_table::{DueFrom, DueItem, TableError},
    queues::{PaymentRequest, QueueError},
};
use flows::{
    ask::{AskError, Asked},
    books::BooksError,
    close::CloseError,
    problem::Chain,
    refund::{Driven, RefundError},
    settle::Settled,
    trace::Trace,
};
use futures_util::{StreamExt, stream};
use payments::{
    due::{self, SHARDS},
    ids::{OrderNo, RefundNo},
    journal::Cause,
    order::{Order, OrderState},
};
use serde::Serialize;
use tracing::{error, info, warn};
use wechatpay::UnixSeconds;

use crate::desk::Desk;

/// What a run did, how far it got, and what is left.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Report {
    /// Orders and refunds that were due and claimed by this run.
    pub claimed: u32,
    /// Orders that this run settled by WeChat Pay's word.
    pub settled: u32,
    /// Orders that are still to be paid.
    pub open: u32,
    /// Reserved orders handed to the queue, since nobody had got them a prepay value.
    pub resumed: u32,
    /// Orders that were being closed or could no longer be paid, and are closed now.
    pub closed: u32,
    /// Orders that WeChat Pay has not closed yet.
    pub closing: u32,
    /// Refunds that this run brought to another state.
    pub refunds_moved: u32,
    /// Refunds that are on their way.
    pub refunds_open: u32,
    /// Payments and refunds parked for a person.
    pub parked: u32,
    /// Orders and refunds that could not be looked at; they are due again.
    pub failed: u32,
    /// Pages of the index that were read.
    pub pages: u32,
    /// Orders and refunds that were due and that this run read of and did not come to. They keep their places.
    pub left: u32,
    /// Parts of the index that hold more than this run got to.
    pub parts_with_more: u32,
    /// Parts of the index that this run did not come to at all. What they hold is not known.
    pub parts_unread: u32,
    /// Parts of the index that could not be read.
    pub parts_unreadable: u32,
    /// The run ended early, since neither host of WeChat Pay answers: what is due keeps its place for a run that can ask.
    pub wechat_down: bool,
}

/// Taken from a part of the index at a time, so that no part waits for another that is full.
const PAGE: i32 = 50;
/// What one run looks at, at most: a minute's share of what WeChat Pay takes from this function.
const RUN_MAX: u32 = 4_000;
/// How many are asked about at once.
const SIDE_BY_SIDE: usize = 8;
/// One look's time with WeChat Pay.
const LOOK_WITHIN: Duration = Duration::from_secs(6);
/// Nothing is begun with less time left than this, in milliseconds.
const BEGIN_BEFORE_DEADLINE_MS: i64 = 8_000;

/// What looking at something that is due came to.
enum Look {
    NotOurs,
    /// It was not begun: the time is over, or neither host of WeChat Pay answers.
    Left,
    Settled,
    Open,
    Resumed,
    Closed,
    Closing,
    RefundMoved,
    RefundOpen,
    Parked,
    Failed,
}

/// Why something could not be looked at.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Close(#[from] CloseError),
    #[error(transparent)]
    Refund(#[from] RefundError),
    #[error("the order could not be handed to the queue")]
    Queue(#[from] QueueError),
}

impl LookError {
    /// Whether it does not pass by itself: WeChat Pay's signed word cannot be read, or an item of ours cannot.
    fn needs_a_person(&self) -> bool {
        let of_table = |error: &TableError| matches!(error, TableError::Damaged { .. });
        let of_books = |error: &BooksError| match error {
            BooksError::Table(error) => of_table(error),
            BooksError::Contended => false,
        };
        let of_ask = |error: &AskError| match error {
            AskError::Unreadable(_) => true,
            AskError::Settle(error) => of_books(error),
            AskError::NotSent(_) => false,
        };
        match self {
            Self::Table(error) => of_table(error),
            Self::Ask(error) | Self::Close(CloseError::Ask(error)) => of_ask(error),
            Self::Close(CloseError::Books(error)) | Self::Refund(RefundError::Books(error)) => {
                of_books(error)
            }
            Self::Close(CloseError::NotSent(_))
            | Self::Refund(
                RefundError::Guards(_)
                | RefundError::NotSent(_)
                | RefundError::NotYet
                | RefundError::Field(_),
            )
            | Self::Queue(_) => false,
        }
    }
}

/// Looks at whatever is due. `deadline_ms` is when the run has to end (Unix milliseconds).
///
/// # Errors
/// When no part of the index could be read.
pub(crate) async fn sweep(desk: &Desk, deadline_ms: i64) -> Result<Report, TableError> {
    let trace = Trace::from_header(None, &desk.random);
    let cause = Cause::Sweep(desk.random.id());
    let began_at = desk.clock.now();
    let mut report = Report::default();
    let mut unreadable = None;
    let mut places: VecDeque<(u8, Option<DueFrom>)> =
        shards_from(began_at).map(|shard| (shard, None)).collect();
    while let Some((shard, from)) = places.pop_front() {
        report.wechat_down |= desk.wechat.is_down();
        let ends = report.wechat_down || report.claimed >= RUN_MAX;
        if ends || no_time_left(desk, deadline_ms) {
            let parts = match from {
                None => &mut report.parts_unread,
                Some(_) => &mut report.parts_with_more,
            };
            *parts = parts.saturating_add(1);
            continue;
        }
        // What becomes due while the run goes on is the next run's.
        let page = match desk.orders.due(shard, began_at, PAGE, from).await {
            Ok(page) => page,
            Err(error) => {
                warn!(shard, error = %Chain(&error), "a part of the index could not be read");
                report.parts_unreadable = report.parts_unreadable.saturating_add(1);
                unreadable = Some(error);
                continue;
            }
        };
        report.pages = report.pages.saturating_add(1);
        if let Some(next) = page.next {
            places.push_back((shard, Some(next)));
        }
        look_at(desk, page.items, &cause, &trace, deadline_ms, &mut report).await;
    }
    report.wechat_down |= desk.wechat.is_down(); // since the last page
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

/// Looks at one page, side by side up to a bound.
async fn look_at(
    desk: &Desk,
    items: Vec<DueItem>,
    cause: &Cause,
    trace: &Trace,
    deadline_ms: i64,
    report: &mut Report,
) {
    let looks = stream::iter(items).map(|item| async move {
        if no_time_left(desk, deadline_ms) || desk.wechat.is_down() {
            return Look::Left; // it was not claimed, so the next run finds it
        }
        let looked = match &item {
            DueItem::Order(order_no) => order(desk, order_no, cause, trace).await,
            DueItem::Refund(order_no, refund_no) => {
                refund(desk, order_no, refund_no, cause, trace).await
            }
        };
        looked.unwrap_or_else(|error| {
            let order_no = item.order_no().as_str();
            if error.needs_a_person() {
                error!(order_no, error = %Chain(&error), "what is due needs a person");
            } else {
                warn!(order_no, error = %Chain(&error), "what is due could not be looked at");
            }
            Look::Failed
        })
    });
    let mut looks = looks.buffer_unordered(SIDE_BY_SIDE);
    while let Some(look) = looks.next().await {
        report.count(&look);
    }
}

/// One order: read again, since the index lags; claimed, since another run may be at it; then asked about or closed.
async fn order(
    desk: &Desk,
    order_no: &OrderNo,
    cause: &Cause,
    trace: &Trace,
) -> Result<Look, LookError> {
    let now = desk.clock.now();
    let Some(order) = desk.orders.read(order_no).await? else {
        return Ok(Look::NotOurs);
    };
    let next = match (order.due, due::order_look(&order, &order.state, now)) {
        (Some(due), Some(next)) if due.at <= now => next,
        _ => return Ok(Look::NotOurs),
    };
    if !desk.orders.claim(&order, next).await? {
        return Ok(Look::NotOurs);
    }
    match &order.state {
        OrderState::Closing => close(desk, order, cause, trace).await,
        OrderState::Reserved | OrderState::AwaitingPayment(_) if due::is_over(&order, now) => {
            close(desk, order, cause, trace).await
        }
        OrderState::Reserved
        | OrderState::AwaitingPayment(_)
        | OrderState::Paid(_)
        | OrderState::PartiallyRefunded(_)
        | OrderState::Refunded(_)
        | OrderState::Closed
        | OrderState::Rejected(_)
        | OrderState::PaidAfterClose(_) => ask(desk, &order, cause, trace).await,
    }
}

/// Asks how an order stands that is still to be paid.
async fn ask(desk: &Desk, order: &Order, cause: &Cause, trace: &Trace) -> Result<Look, LookError> {
    let asked = desk
        .asking
        .ask(&order.order_no, LOOK_WITHIN, cause, trace.id())
        .await?;
    match asked {
        Asked::Settled(Settled::Changed) => Ok(Look::Settled),
        Asked::Settled(Settled::AlreadyDone) => Ok(Look::Open),
        Asked::Settled(Settled::Parked { .. }) => Ok(Look::Parked),
        // WeChat Pay has the order or has it not: either way nobody holds a prepay value yet, and the same bytes get one.
        Asked::Settled(Settled::StillOpen) | Asked::NotThere => resume(desk, order, trace).await,
        Asked::Refused(_) | Asked::Unknown(_) => Ok(Look::Failed),
    }
}

/// Closes an order that can no longer be paid, or whose closing was left half done.
async fn close(desk: &Desk, order: Order, cause: &Cause, trace: &Trace) -> Result<Look, LookError> {
    let order = desk
        .closing
        .close(order, LOOK_WITHIN, cause, trace.id())
        .await?;
    Ok(match &order.state {
        OrderState::Closed | OrderState::Rejected(_) => Look::Closed,
        OrderState::Closing | OrderState::Reserved | OrderState::AwaitingPayment(_) => {
            Look::Closing
        }
        OrderState::Paid(_)
        | OrderState::PartiallyRefunded(_)
        | OrderState::Refunded(_)
        | OrderState::PaidAfterClose(_) => Look::Settled,
    })
}

async fn resume(desk: &Desk, order: &Order, trace: &Trace) -> Result<Look, LookError> {
    if order.state != OrderState::Reserved {
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

/// One refund: the flow reads it again and claims it.
async fn refund(
    desk: &Desk,
    order_no: &OrderNo,
    refund_no: &RefundNo,
    cause: &Cause,
    trace: &Trace,
) -> Result<Look, LookError> {
    let driven = desk
        .refunding
        .drive(order_no, refund_no, LOOK_WITHIN, cause, trace.id())
        .await?;
    Ok(match driven {
        Driven::NotOurs => Look::NotOurs,
        Driven::Moved => Look::RefundMoved,
        Driven::Open => Look::RefundOpen,
        Driven::Parked => Look::Parked,
    })
}

impl Report {
    fn count(&mut self, look: &Look) {
        let counter = match look {
            Look::NotOurs => return,
            Look::Left => {
                self.left = self.left.saturating_add(1);
                return;
            }
            Look::Settled => &mut self.settled,
            Look::Open => &mut self.open,
            Look::Resumed => &mut self.resumed,
            Look::Closed => &mut self.closed,
            Look::Closing => &mut self.closing,
            Look::RefundMoved => &mut self.refunds_moved,
            Look::RefundOpen => &mut self.refunds_open,
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
    fn what_a_run_did_not_come_to_is_left_and_not_claimed() {
        let mut report = Report::default();
        for look in [Look::Left, Look::NotOurs, Look::Left, Look::Open] {
            report.count(&look);
        }
        assert_eq!((report.left, report.claimed, report.open), (2, 1, 1));
    }

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
