//! Batch -> each record on its own, in parallel -> a verdict for each. A failed message is
//! delivered again after a growing pause, and is recorded in the notices table meanwhile.

use std::{error::Error, time::Duration};

use flows::{
    issue_prepay::IssueOutcome,
    open_callback::{OpenCallbackError, reopen_callback},
    origin::Origin,
    problem::ErrorChain,
    settle_payment::SettleOutcome,
    sqs_event::{BatchResponse, SqsBatch, SqsRecord, end_message_span, work_off},
    trace::Trace,
    verdict::Verdict,
};
use payments::{
    model::{
        ids::{OrderNo, RefundNo},
        journal::Cause,
    },
    news::{refund::RefundNews, trade::TradeNotice},
    rules::{issue_order::BUDGET_MS, retry::retry_after_s},
};
use runtime::{
    spans::{Span, SpanContext},
    telemetry::emf::end_of_run,
};
use stores::{
    order_table::WriteOutcome,
    queues::{PaymentRequest, PaymentResult, Queue},
};
use strict_json::Wrong;
use tracing::{error, info, warn};
use wechatpay::{
    RequestId,
    callback::{Callback, Plaintext},
    verify::SignedHeaders,
};

use crate::{
    app::App,
    ledger::{self, LedgerEntry},
};

/// How many records of a batch are worked on at once: all of a usual batch. One that had to wait
/// for another would wait for WeChat Pay too, and have used up an attempt if it then was too late
/// to begin it.
const SIDE_BY_SIDE: usize = 10;

/// No record is begun with less time left than this, in milliseconds: as much as one may take where
/// every call takes as long as it may (`tests/it/time_limits.rs`). A function that is stopped
/// brings back its whole batch.
pub const BEGIN_BEFORE_DEADLINE_MS: i64 = 28_000;

/// Time in milliseconds that is reserved for the work after WeChat Pay's answer: storing it and
/// hiding the message, each with a retry.
const AFTERWARDS_MS: i64 = 6_000;

/// Any message of either queue.
enum Message {
    Request(PaymentRequest),
    Result(PaymentResult),
}

impl Message {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let request = PaymentRequest::parse(text).map(Self::Request);
        request.or_else(|not_a_request| {
            PaymentResult::parse(text)
                .map(Self::Result)
                .map_err(|_| not_a_request)
        })
    }
}

/// A message as it was received.
struct Receipt<'a> {
    record: &'a SqsRecord,
    trace: Trace,
    /// When the work on it began (Unix milliseconds).
    began_at_ms: i64,
    /// Of the work on it.
    span: &'a Span,
}

impl Receipt<'_> {
    /// What is done because of it, for this cause.
    fn origin(&self, cause: Cause) -> Origin {
        let origin = Origin::of_message(cause, &self.trace, self.record, self.began_at_ms);
        self.span.identify(origin.trace.context());
        origin
    }

    /// What is done because of a request in it.
    fn of_message(&self) -> Origin {
        self.origin(Cause::Message(self.record.message_id.clone()))
    }
}

/// The outcome of a verified callback.
enum CallbackOutcome {
    /// It changed the books, which has a line of its own.
    Changed,
    /// It is dealt with, and nothing changed.
    Settled,
    /// Nothing is applied; an operator must do this. A payment has its own id in the notices table,
    /// whatever reported it.
    Parked {
        what_to_do: String,
        money: Option<String>,
    },
    /// It must be delivered again, for this reason.
    Failed { problem: String },
}

impl CallbackOutcome {
    /// Whether the line of the change names this notice already.
    fn is_logged_with_its_change(&self) -> bool {
        match self {
            Self::Changed => true,
            Self::Settled | Self::Parked { .. } | Self::Failed { .. } => false,
        }
    }
}

/// Works off a batch. `deadline_ms` is when Lambda stops this invocation (Unix milliseconds).
pub async fn process(app: &App, batch: SqsBatch, deadline_ms: i64) -> BatchResponse {
    let span = batch.span(&app.clock, SqsRecord::follows);
    let batch_span = span.context();
    let work = async |record: &SqsRecord| recorded(app, record, batch_span, deadline_ms).await;
    let worked_off = work_off(
        batch,
        &app.clock,
        deadline_ms,
        BEGIN_BEFORE_DEADLINE_MS,
        SIDE_BY_SIDE,
        work,
    );
    let answer = span.around(worked_off).await;
    span.end(app.clock.now_ms());
    end_of_run();
    answer
}

/// One record, with its span.
async fn recorded(
    app: &App,
    record: &SqsRecord,
    batch: Option<SpanContext>,
    deadline_ms: i64,
) -> Verdict {
    let (trace, began_at_ms) = (record.trace(&app.random), app.clock.now_ms());
    let span = record.span(&trace, batch, began_at_ms);
    let receipt = Receipt {
        record,
        trace,
        began_at_ms,
        span: &span,
    };
    let verdict = span.around(process_one(app, receipt, deadline_ms)).await;
    end_message_span(span, verdict, app.clock.now_ms());
    verdict
}

async fn process_one(app: &App, receipt: Receipt<'_>, deadline_ms: i64) -> Verdict {
    let record = receipt.record;
    let (verdict, queue) = match Message::parse(&record.body) {
        Ok(Message::Result(PaymentResult::CallbackV1 {
            headers,
            body,
            request_id,
        })) => {
            let request_id = request_id.as_deref().and_then(RequestId::read);
            let body = body.as_bytes();
            (
                callback(app, &receipt, &headers, body, request_id).await,
                &app.payment_results,
            )
        }
        Ok(Message::Request(PaymentRequest::IssueV1 { order_no })) => (
            issue(app, &receipt, &order_no, deadline_ms).await,
            &app.payment_requests,
        ),
        Ok(Message::Request(PaymentRequest::RefundV1 {
            order_no,
            refund_no,
        })) => (
            refund(app, &receipt, &order_no, &refund_no, deadline_ms).await,
            &app.payment_requests,
        ),
        Err(error) => {
            error!(
                message_id = record.message_id,
                length = record.body.len(),
                "unknown message"
            );
            return Verdict::needs_operator(&error);
        }
    };
    if verdict == Verdict::Retry {
        come_again(queue, record).await;
    }
    verdict
}

/// Hides a message that failed for a while that grows with its failures. If that fails, the message
/// returns after the queue's own time.
async fn come_again(queue: &Queue, record: &SqsRecord) {
    let after_s = retry_after_s(record.receive_count());
    if let Err(error) = queue.come_back_in(&record.receipt_handle, after_s).await {
        warn!(message_id = record.message_id, %error, "the pause before the next try could not be set");
    }
}

/// A callback: opened again, since the queue is not trusted, then settled.
async fn callback(
    app: &App,
    receipt: &Receipt<'_>,
    headers: &SignedHeaders,
    body: &[u8],
    request_id: Option<RequestId>,
) -> Verdict {
    let record = receipt.record;
    let callback = match reopen_callback(&app.keys, headers, body).await {
        Ok(callback) => callback,
        // It is signed by WeChat Pay, and retrying does not make it readable. An operator must read
        // it.
        Err(OpenCallbackError::Callback(unreadable)) if unreadable.is_unreadable() => {
            let what_to_do = format!(
                "WeChat Pay signed this notice and it cannot be read ({unreadable}): find the order or refund in its console by the time of the notice, and tell the developers what its notices have come to look like"
            );
            return ledger::parked(app, &LedgerEntry::unopened(record), None, &what_to_do).await;
        }
        Err(error) => {
            ledger::failed(
                app,
                &LedgerEntry::unopened(record),
                &ErrorChain(&error).to_string(),
            )
            .await;
            return error.into();
        }
    };
    let entry = LedgerEntry::of(record, &callback);
    let settled = settle(app, &entry, &callback, request_id.clone(), receipt).await;
    if !settled.is_logged_with_its_change() {
        info!(
            notice_id = callback.id,
            event_type = callback.event_type,
            trace_id = receipt.trace.id(),
            wechat_request_id = request_id.as_ref().map(RequestId::as_str),
            "notice taken from the queue"
        );
    }
    match settled {
        CallbackOutcome::Changed | CallbackOutcome::Settled => {
            ledger::settled(app, &entry).await;
            Verdict::Done
        }
        CallbackOutcome::Parked { what_to_do, money } => {
            ledger::parked(app, &entry, money.as_deref(), &what_to_do).await
        }
        CallbackOutcome::Failed { problem } => {
            ledger::failed(app, &entry, &problem).await;
            Verdict::Retry
        }
    }
}

/// Settles a callback, by its kind of news: `TRANSACTION.SUCCESS` alone does not make it a payment
/// (shared/wechatpay/PROTOCOL.md, 7.5).
async fn settle(
    app: &App,
    entry: &LedgerEntry<'_>,
    callback: &Callback,
    request_id: Option<RequestId>,
    receipt: &Receipt<'_>,
) -> CallbackOutcome {
    let origin = receipt.origin(Cause::Notice(callback.id.clone()));
    let settled = match &callback.plaintext {
        Plaintext::Transaction(transaction) => match TradeNotice::try_from(transaction.clone()) {
            Ok(notice) => app
                .settling
                .settle(&notice.with_request_id(request_id), &origin)
                .await
                .map_err(failed),
            Err(unreadable) => return parked(unreadable.to_string()),
        },
        Plaintext::Refund(refund) => match RefundNews::try_from(refund.clone()) {
            Ok(news) => app
                .refund_flow
                .settle(&news.with_request_id(request_id), &origin)
                .await
                .map_err(failed),
            Err(unreadable) => return parked(unreadable.to_string()),
        },
        Plaintext::SecurityEcho(echo) => {
            let message = echo.echo_message.as_deref().unwrap_or_default();
            return match ledger::echoed(app, entry, message).await {
                Ok(()) => CallbackOutcome::Settled,
                Err(error) => failed(error),
            };
        }
        Plaintext::CombinedTransaction(_) | Plaintext::ProfitSharing(_) | Plaintext::Unknown(_) => {
            return parked(format!(
                "a notice about `{}` is not handled here: find out what WeChat Pay reports with it",
                callback.original_type
            ));
        }
    };
    match settled {
        Ok(SettleOutcome::Changed) => CallbackOutcome::Changed,
        Ok(SettleOutcome::AlreadyDone | SettleOutcome::StillOpen) => CallbackOutcome::Settled,
        Ok(SettleOutcome::Parked {
            what_to_do,
            notice_id,
        }) => CallbackOutcome::Parked {
            what_to_do,
            money: Some(notice_id),
        },
        Err(outcome) => outcome,
    }
}

fn parked(what_to_do: String) -> CallbackOutcome {
    CallbackOutcome::Parked {
        what_to_do,
        money: None,
    }
}

/// Says what went wrong, for the log and for the ledger.
fn failed(error: impl Error + Into<Verdict> + 'static) -> CallbackOutcome {
    let problem = ErrorChain(&error).to_string();
    let _: Verdict = error.into(); // which logs it
    CallbackOutcome::Failed { problem }
}

/// A payment request: take the attempt and get a prepay value.
async fn issue(app: &App, receipt: &Receipt<'_>, order_no: &OrderNo, deadline_ms: i64) -> Verdict {
    let order = match app.orders.read(order_no).await {
        Ok(Some(order)) => order,
        Ok(None) => {
            warn!(
                order_no = order_no.as_str(),
                "a payment request names an order that does not exist"
            );
            return Verdict::Done;
        }
        Err(error) => return error.into(),
    };
    if !order.needs_prepay(app.clock.now()) {
        return Verdict::Done;
    }
    let order = match app
        .orders
        .take_issue_lease(&order, &app.random.id(), app.clock.now())
        .await
    {
        Ok(WriteOutcome::Written(order)) => order,
        Ok(WriteOutcome::Superseded(found)) => {
            return if found.needs_prepay(app.clock.now()) {
                Verdict::Retry
            } else {
                Verdict::Done
            };
        }
        Err(error) => return error.into(),
    };
    let within = time_left(app, deadline_ms);
    let origin = receipt.of_message();
    match app.issue_flow.issue(*order, None, within, &origin).await {
        Ok(IssueOutcome::Issued(issued)) => {
            info!(
                order_no = order_no.as_str(),
                product = issued.order.product.name(),
                renewed = issued.is_renewed,
                trace_id = receipt.trace.id(),
                wechat_request_id = issued.request_id.as_ref().map(RequestId::as_str),
                PrepaysIssued = 1,
                PrepaysPutOff = 0,
                "prepay value stored"
            );
            Verdict::Done
        }
        Ok(IssueOutcome::Order(_) | IssueOutcome::Rejected(_)) => Verdict::Done,
        Ok(IssueOutcome::Later(_)) => Verdict::Retry,
        Err(error) => error.into(),
    }
}

/// A refund whose money is reserved. Whatever WeChat Pay answers, the refund is due again unless it
/// is final: so the message is done after one check.
async fn refund(
    app: &App,
    receipt: &Receipt<'_>,
    order_no: &OrderNo,
    refund_no: &RefundNo,
    deadline_ms: i64,
) -> Verdict {
    let origin = receipt.of_message();
    let within = time_left(app, deadline_ms);
    match app
        .refund_flow
        .advance(order_no, refund_no, within, &origin)
        .await
    {
        Ok(advanced) => {
            info!(
                order_no = order_no.as_str(),
                refund_no = refund_no.as_str(),
                driven = ?advanced,
                trace_id = receipt.trace.id(),
                "refund checked"
            );
            Verdict::Done
        }
        Err(error) => error.into(),
    }
}

/// What WeChat Pay may take of the time that is left for this invocation.
fn time_left(app: &App, deadline_ms: i64) -> Duration {
    let left_ms = deadline_ms
        .saturating_sub(app.clock.now_ms())
        .saturating_sub(AFTERWARDS_MS);
    Duration::from_millis(u64::try_from(left_ms).unwrap_or_default().min(BUDGET_MS))
}
