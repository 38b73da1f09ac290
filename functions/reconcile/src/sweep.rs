//! The minute's sweep: what is due, by its urgency and age ([`schedule`]) -> each order and refund
//! read again, claimed, asked about, settled, closed or sent -> a report.

pub(crate) mod report;
mod schedule;

use std::time::Duration;

use flows::{
    close_order::CloseError,
    order_store::OrderStoreError,
    origin::Origin,
    problem::ErrorChain,
    process_refund::{Advanced, RefundError},
    query_order::{QueryError, QueryOutcome},
    settle_payment::SettleOutcome,
    trace::Trace,
};
use payments::{
    model::{
        ids::{OrderNo, RefundNo},
        journal::Cause,
        next_check::{CheckKind, PARTS},
        order::{Order, OrderState},
    },
    news::call_outcome::is_transient_refusal,
    rules::{
        close_order::{CloseEligibility, close_eligibility},
        schedule::{is_past_payment_time, next_order_check, sooner_order_check},
    },
};
use runtime::spans::{Span, SpanKind};
use stores::{
    order_table::{
        TableError,
        check_index::{CheckCursor, CheckItem},
    },
    queues::{PaymentRequest, QueueError},
};
use tracing::{error, warn};
use wechatpay::UnixSeconds;

use crate::{app::App, days_missing::days_missing, metrics};
use report::{CheckOutcome, SweepReport};
use schedule::{Bounds, IndexPage, Work};

/// Taken from a part of the index at a time, in keys of some 150 bytes.
const PAGE: i32 = 100;
/// One check's time with WeChat Pay.
const CHECK_WITHIN: Duration = Duration::from_secs(6);

/// Why something could not be checked.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Close(#[from] CloseError),
    #[error(transparent)]
    Refund(#[from] RefundError),
    #[error("the order could not be handed to the queue")]
    Queue(#[from] QueueError),
}

impl CheckError {
    /// Whether an operator is needed: a signed answer or a stored item cannot be parsed.
    fn needs_operator(&self) -> bool {
        let of_table = |error: &TableError| matches!(error, TableError::Damaged { .. });
        let of_books = |error: &OrderStoreError| match error {
            OrderStoreError::Table(error) => of_table(error),
            OrderStoreError::Contended => false,
        };
        let of_query = |error: &QueryError| match error {
            QueryError::Unreadable(_) => true,
            QueryError::Settle(error) => of_books(error),
            QueryError::NotSent(_) => false,
        };
        match self {
            Self::Table(error) => of_table(error),
            Self::Query(error) | Self::Close(CloseError::Query(error)) => of_query(error),
            Self::Close(CloseError::Books(error)) | Self::Refund(RefundError::Books(error)) => {
                of_books(error)
            }
            Self::Close(CloseError::NotSent(_))
            | Self::Refund(
                RefundError::Guards(_)
                | RefundError::NotSent(_)
                | RefundError::PaymentNotBooked
                | RefundError::Field(_),
            )
            | Self::Queue(_) => false,
        }
    }
}

/// A run's checks and what they need.
struct Checks<'a> {
    app: &'a App,
    began_at: UnixSeconds,
    origin: Origin,
}

/// Processes everything that is due. `deadline_ms` is when the run must end (Unix milliseconds).
///
/// # Errors
/// When no part of the index could be read.
pub(crate) async fn sweep(app: &App, deadline_ms: i64) -> Result<SweepReport, TableError> {
    let checks = Checks {
        app,
        began_at: app.clock.now(),
        origin: Origin::new(Cause::Sweep(app.random.id()), &Trace::new(&app.random)),
    };
    let bounds = Bounds {
        began_at: checks.began_at,
        deadline_ms,
        lanes: schedule::lanes(app.wechat.calls_per_s()),
    };
    let ids = checks.origin.trace.context();
    let name = || "sweep".to_owned();
    let span = Span::with_ids(SpanKind::Internal, name, ids, None, app.clock.now_ms());
    let mut report = SweepReport::default();
    let (missing, unreadable) = span
        .around(async {
            let missing = days_missing(app, checks.began_at).await;
            (missing, schedule::run(&checks, bounds, &mut report).await)
        })
        .await;
    span.end(app.clock.now_ms());
    if let Some(error) = unreadable.filter(|_| is_unreadable(&report)) {
        return Err(error);
    }
    metrics::swept(app, &report, missing, checks.origin.trace.id());
    Ok(report)
}

/// Whether no part of the index could be read.
fn is_unreadable(report: &SweepReport) -> bool {
    report.parts_unreadable == u32::from(PARTS)
}

impl Checks<'_> {
    /// Reschedules an order whose check had no result, so that the next run picks it up: its next
    /// step may be an hour away. If this process dies first, the order keeps that step.
    async fn check_sooner(&self, order_no: &OrderNo) {
        let moved = async {
            let order = self.app.orders.read(order_no).await?;
            let again = order.and_then(|order| {
                let next = sooner_order_check(&order, self.app.clock.now())?;
                Some((order, next))
            });
            match again {
                Some((order, next)) => self.app.orders.check_order_sooner(&order, next).await,
                None => Ok(false),
            }
        };
        if let Err(error) = moved.await {
            let order_no = order_no.as_str();
            warn!(order_no, error = %ErrorChain(&error), "an order that got no answer waits for its next step");
        }
    }

    /// One order: read again, since the index lags; claimed, since another run may be at it; then
    /// asked about or closed.
    async fn order(&self, order_no: &OrderNo) -> Result<CheckOutcome, CheckError> {
        let now = self.app.clock.now();
        let Some(order) = self.app.orders.read(order_no).await? else {
            return Ok(CheckOutcome::NotOurs);
        };
        let next = match (order.due, next_order_check(&order, &order.state, now)) {
            (Some(due), Some(next)) if due.at <= now => next,
            _ => return Ok(CheckOutcome::NotOurs),
        };
        if is_past_payment_time(&order, now) && close_eligibility(&order) == CloseEligibility::Open
        {
            return match self.app.close_flow.claim(&order, &self.origin).await? {
                Some(order) => self.close(order).await,
                None => Ok(CheckOutcome::NotOurs),
            };
        }
        if !self.app.orders.claim(&order, next).await? {
            return Ok(CheckOutcome::NotOurs);
        }
        match &order.state {
            OrderState::Closing => self.close(order).await,
            OrderState::Reserved
            | OrderState::AwaitingPayment(_)
            | OrderState::Paid(_)
            | OrderState::PartiallyRefunded(_)
            | OrderState::Refunded(_)
            | OrderState::Closed
            | OrderState::Rejected(_)
            | OrderState::PaidAfterClose(_) => self.ask(&order).await,
        }
    }

    /// Queries an unpaid order.
    async fn ask(&self, order: &Order) -> Result<CheckOutcome, CheckError> {
        let asked = self
            .app
            .query_flow
            .ask(&order.order_no, CHECK_WITHIN, &self.origin)
            .await?;
        match asked {
            QueryOutcome::Settled(SettleOutcome::Changed) => Ok(CheckOutcome::Settled),
            QueryOutcome::Settled(SettleOutcome::AlreadyDone) => Ok(CheckOutcome::Open),
            QueryOutcome::Settled(SettleOutcome::Parked { .. }) => Ok(CheckOutcome::Parked),
            // Whether or not WeChat Pay has the order, there is no prepay value yet, and the same
            // bytes get one.
            QueryOutcome::Settled(SettleOutcome::StillOpen) | QueryOutcome::NotThere => {
                self.resume(order).await
            }
            QueryOutcome::Refused(refusal) if !is_transient_refusal(&refusal) => {
                Ok(CheckOutcome::Failed)
            }
            QueryOutcome::Refused(_) | QueryOutcome::Unknown(_) => Ok(CheckOutcome::Unanswered),
        }
    }

    /// Closes an order that can no longer be paid, or whose closing was left half done.
    async fn close(&self, order: Order) -> Result<CheckOutcome, CheckError> {
        let after = self
            .app
            .close_flow
            .close(order, CHECK_WITHIN, &self.origin)
            .await?;
        Ok(match &after.order.state {
            _ if after.unanswered => CheckOutcome::Unanswered,
            OrderState::Closed | OrderState::Rejected(_) => CheckOutcome::Closed,
            OrderState::Closing | OrderState::Reserved | OrderState::AwaitingPayment(_) => {
                CheckOutcome::Closing
            }
            OrderState::Paid(_)
            | OrderState::PartiallyRefunded(_)
            | OrderState::Refunded(_)
            | OrderState::PaidAfterClose(_) => CheckOutcome::Settled,
        })
    }

    async fn resume(&self, order: &Order) -> Result<CheckOutcome, CheckError> {
        if order.state != OrderState::Reserved {
            return Ok(CheckOutcome::Open);
        }
        let message = PaymentRequest::IssueV1 {
            order_no: order.order_no.clone(),
        };
        // The order's own trace goes on: what comes of it follows the order's latest event.
        let trace = &self.origin.trace;
        let trace = match &order.latest_event {
            Some(event) => trace.of_event(&order.order_no, event),
            None => trace.clone(),
        };
        self.app
            .payment_requests
            .send_request(&message, 0, trace.headers())
            .await?;
        Ok(CheckOutcome::Resumed)
    }

    /// One refund: the flow reads it again and claims it.
    async fn refund(
        &self,
        order_no: &OrderNo,
        refund_no: &RefundNo,
    ) -> Result<CheckOutcome, CheckError> {
        let advanced = self
            .app
            .refund_flow
            .advance(order_no, refund_no, CHECK_WITHIN, &self.origin)
            .await?;
        Ok(match advanced {
            Advanced::NotOurs => CheckOutcome::NotOurs,
            Advanced::Moved => CheckOutcome::RefundMoved,
            Advanced::Open => CheckOutcome::RefundOpen,
            Advanced::Unanswered => CheckOutcome::Unanswered,
            Advanced::Parked => CheckOutcome::Parked,
        })
    }
}

impl Work for Checks<'_> {
    type Cursor = CheckCursor;
    type ReadError = TableError;

    fn now_ms(&self) -> i64 {
        self.app.clock.now_ms()
    }

    async fn sleep_ms(&self, ms: i64) {
        let pause = Duration::from_millis(u64::try_from(ms).unwrap_or_default());
        self.app.clock.sleep(pause).await;
    }

    async fn page(
        &self,
        part: u8,
        from: Option<CheckCursor>,
    ) -> Result<IndexPage<CheckCursor>, TableError> {
        let page = self.app.orders.due(part, self.began_at, PAGE, from).await;
        let page = page.inspect_err(|error| {
            warn!(part, error = %ErrorChain(error), "a part of the index could not be read");
        })?;
        Ok((page.items, page.next))
    }

    fn turn_in_ms(&self, reason: CheckKind) -> i64 {
        self.app.wechat.turn_in_ms(reason == CheckKind::Refund)
    }

    fn is_down(&self) -> bool {
        self.app.wechat.is_down()
    }

    fn report_overdue(&self, report: &SweepReport) {
        if !is_unreadable(report) {
            metrics::overdue(report);
        }
    }

    async fn check(&self, item: CheckItem) -> CheckOutcome {
        let checked = match &item {
            CheckItem::Order(order_no) => {
                let checked = Box::pin(self.order(order_no)).await;
                if comes_again_soon(&checked) {
                    self.check_sooner(order_no).await;
                }
                checked
            }
            CheckItem::Refund(order_no, refund_no) => self.refund(order_no, refund_no).await,
        };
        checked.unwrap_or_else(|error| {
            let order_no = item.order_no().as_str();
            if error.needs_operator() {
                error!(order_no, error = %ErrorChain(&error), "what is due needs a person");
                CheckOutcome::Failed
            } else {
                warn!(order_no, error = %ErrorChain(&error), "a due item could not be checked");
                CheckOutcome::Unanswered
            }
        })
    }
}

fn comes_again_soon(checked: &Result<CheckOutcome, CheckError>) -> bool {
    match checked {
        Ok(outcome) => matches!(outcome, CheckOutcome::Unanswered),
        Err(error) => !error.needs_operator(),
    }
}

impl SweepReport {
    /// Takes note of something that has been due for so long.
    fn saw(&mut self, reason: CheckKind, age_s: i64) {
        let oldest_s = self.overdue_s.entry(reason.name()).or_insert(age_s);
        *oldest_s = age_s.max(*oldest_s);
    }

    fn count(&mut self, outcome: &CheckOutcome) {
        let counter = match outcome {
            CheckOutcome::NotOurs => return,
            CheckOutcome::Settled => &mut self.settled,
            CheckOutcome::Open => &mut self.open,
            CheckOutcome::Resumed => &mut self.resumed,
            CheckOutcome::Closed => &mut self.closed,
            CheckOutcome::Closing => &mut self.closing,
            CheckOutcome::RefundMoved => &mut self.refunds_moved,
            CheckOutcome::RefundOpen => &mut self.refunds_open,
            CheckOutcome::Parked => &mut self.parked,
            CheckOutcome::Unanswered => {
                self.unanswered = self.unanswered.saturating_add(1);
                &mut self.failed
            }
            CheckOutcome::Failed => &mut self.failed,
        };
        *counter = counter.saturating_add(1);
        self.claimed = self.claimed.saturating_add(1);
    }
}

#[cfg(test)]
mod tests;
