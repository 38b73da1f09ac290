//! Batch -> each record on its own, side by side -> a verdict for each.

use std::time::Duration;

use adapters::{
    order_table::{Kept, Written},
    queues::{PaymentRequest, PaymentResult},
};
use flows::{
    issue::Issued,
    open_callback::reopen_callback,
    settle::Settled,
    sqs_event::{Answer, Batch, Failure, Record},
    trace::Trace,
    verdict::Verdict,
};
use futures_util::{StreamExt, stream};
use payments::{ids::OrderNo, issue::BUDGET_MS, journal::Cause, notice::TradeNotice};
use serde::Deserialize;
use tracing::{error, info, warn};
use wechatpay::{callback::Plaintext, verify::SignedHeaders};

use crate::desk::Desk;

/// How many records of a batch are worked on at once. More would only queue up behind the connections to DynamoDB.
const SIDE_BY_SIDE: usize = 8;

/// No record is begun with less time left than this, in milliseconds: one that is cut off in the middle helps nobody, and
/// its message comes again all the same.
const BEGIN_BEFORE_DEADLINE_MS: i64 = 3_000;

/// Any message of either queue.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Request(PaymentRequest),
    Result(PaymentResult),
}

/// Works off a batch. `deadline_ms` is when Lambda stops this invocation (Unix milliseconds).
pub async fn process(desk: &Desk, batch: Batch, deadline_ms: i64) -> Answer {
    let count = batch.records.len();
    let verdicts = stream::iter(batch.records).map(|record| async move {
        let verdict = if deadline_ms.saturating_sub(desk.clock.now_ms()) < BEGIN_BEFORE_DEADLINE_MS
        {
            warn!(
                message_id = record.message_id,
                "no time left in this invocation: the message comes again"
            );
            Verdict::Retry
        } else {
            process_one(desk, &record, deadline_ms).await
        };
        (record.message_id, verdict)
    });
    let verdicts: Vec<(String, Verdict)> = verdicts.buffer_unordered(SIDE_BY_SIDE).collect().await;
    let batch_item_failures: Vec<Failure> = verdicts
        .into_iter()
        .filter_map(|(item_identifier, verdict)| match verdict {
            Verdict::Done => None,
            Verdict::Retry => Some(Failure { item_identifier }),
        })
        .collect();
    info!(count, failed = batch_item_failures.len(), "batch done");
    Answer {
        batch_item_failures,
    }
}

async fn process_one(desk: &Desk, record: &Record, deadline_ms: i64) -> Verdict {
    let trace = Trace::from_header(record.traceparent(), &desk.random);
    match serde_json::from_str(&record.body) {
        Ok(Message::Result(PaymentResult::CallbackV1 { headers, body })) => {
            callback(desk, record, &headers, body.as_bytes(), &trace).await
        }
        Ok(Message::Request(PaymentRequest::IssueV1 { order_no })) => {
            issue(desk, record, &order_no, deadline_ms, &trace).await
        }
        Err(error) => {
            error!(
                message_id = record.message_id,
                length = record.body.len(),
                "unknown message"
            );
            Verdict::for_a_person(&error)
        }
    }
}

/// A callback: opened again, since the queue is not trusted, then settled.
async fn callback(
    desk: &Desk,
    record: &Record,
    headers: &SignedHeaders,
    body: &[u8],
    trace: &Trace,
) -> Verdict {
    let callback = match reopen_callback(&desk.keys, headers, body).await {
        Ok(callback) => callback,
        Err(error) => return error.into(),
    };
    info!(
        notice_id = callback.id,
        event_type = callback.event_type,
        trace_id = trace.id(),
        "notice taken from the queue"
    );
    let transaction = match callback.plaintext {
        Plaintext::Transaction(transaction) => transaction,
        Plaintext::SecurityEcho(_) => return Verdict::Done,
        Plaintext::CombinedTransaction(_)
        | Plaintext::ProfitSharing(_)
        | Plaintext::Refund(_)
        | Plaintext::Unknown(_) => {
            let problem = format!(
                "a notice about `{}` is not handled here: find out what WeChat Pay tells with it",
                callback.original_type
            );
            return park(desk, record, &callback.id, &callback.event_type, &problem).await;
        }
    };
    match TradeNotice::try_from(transaction) {
        Ok(notice) => match desk
            .settling
            .settle(&notice, &Cause::Notice(callback.id), trace.id())
            .await
        {
            Ok(Settled::Changed | Settled::AlreadyDone | Settled::StillOpen | Settled::Parked) => {
                Verdict::Done
            }
            Err(error) => error.into(),
        },
        Err(unreadable) => {
            park(
                desk,
                record,
                &callback.id,
                &callback.event_type,
                &unreadable.to_string(),
            )
            .await
        }
    }
}

async fn park(
    desk: &Desk,
    record: &Record,
    notice_id: &str,
    event_type: &str,
    problem: &str,
) -> Verdict {
    match desk
        .orders
        .park_unreadable(
            notice_id,
            event_type,
            problem,
            &record.body,
            desk.clock.now(),
        )
        .await
    {
        Ok(Kept::Waiting) => {
            error!(
                notice_id,
                event_type,
                what_to_do = problem,
                "notice parked for a person"
            );
            Verdict::Done
        }
        Ok(Kept::Decided) => Verdict::Done,
        Err(error) => error.into(),
    }
}

/// A payment request: take the attempt and get a prepay value.
async fn issue(
    desk: &Desk,
    record: &Record,
    order_no: &OrderNo,
    deadline_ms: i64,
    trace: &Trace,
) -> Verdict {
    let order = match desk.orders.read(order_no).await {
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
    if !order.needs_prepay(desk.clock.now()) {
        return Verdict::Done;
    }
    let order = match desk
        .orders
        .take_attempt(&order, &desk.random.id(), desk.clock.now())
        .await
    {
        Ok(Written::Yes(order)) => order,
        Ok(Written::No(found)) => {
            return if found.needs_prepay(desk.clock.now()) {
                Verdict::Retry
            } else {
                Verdict::Done
            };
        }
        Err(error) => return error.into(),
    };
    let left_ms = deadline_ms
        .saturating_sub(desk.clock.now_ms())
        .saturating_sub(BEGIN_BEFORE_DEADLINE_MS / 2);
    let within = Duration::from_millis(u64::try_from(left_ms).unwrap_or_default().min(BUDGET_MS));
    let cause = Cause::Message(record.message_id.clone());
    match desk
        .issuing
        .issue(*order, None, within, &cause, trace.id())
        .await
    {
        Ok(Issued::Order(order)) if order.needs_prepay(desk.clock.now()) => Verdict::Retry,
        Ok(Issued::Order(_) | Issued::Rejected(_)) => Verdict::Done,
        Ok(Issued::Later(_)) => Verdict::Retry,
        Err(error) => error.into(),
    }
}
