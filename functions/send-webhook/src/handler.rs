//! Batch -> each event on its own, side by side -> delivered, or hidden in the queue until its next attempt.

use std::time::Duration;

use adapters::{
    keys_table::{KeysError, Webhook},
    queues::WebhookMessage,
    webhook_http::{BadUrl, NoAnswer, WebhookUrl},
};
use flows::{
    problem::Chain,
    sqs_event::{Answer, Batch, Record, work_off},
    verdict::Verdict,
};
use payments::webhook::{Answered, OutgoingEvent, next_attempt_after_s};
use standard_webhooks::{SignError, sign};
use tracing::{error, info, warn};

use crate::desk::Desk;

/// How many records of a batch are worked on at once: all of a usual batch, since each waits for a receiver of its own, and
/// one that is not begun for lack of time has used up an attempt.
const SIDE_BY_SIDE: usize = 10;

/// No record is begun with less time left than this, in milliseconds: a receiver that is cut off early looks like one that
/// failed.
const BEGIN_BEFORE_DEADLINE_MS: i64 = 8_000;

/// So much of the time left, in milliseconds, is kept from the receiver for what comes after its answer.
const AFTERWARDS_MS: i64 = 3_000;

/// Why an event is not delivered yet. Holds neither secret nor URL.
#[derive(Debug, thiserror::Error)]
enum NotDelivered {
    /// The keys table.
    #[error("where the webhook goes could not be read or changed")]
    Keys(#[from] KeysError),
    /// The URL that was set up is none that may be called.
    #[error("the webhook may not be sent there")]
    Url(#[from] BadUrl),
    /// It cannot be signed.
    #[error("the webhook could not be signed")]
    Sign(#[from] SignError),
    /// No answer came.
    #[error("no answer")]
    NoAnswer(#[from] NoAnswer),
    /// The receiver did not take it.
    #[error("the receiver answered {status}")]
    NotTaken {
        /// Its answer's status.
        status: u16,
    },
}

/// Works off a batch. `deadline_ms` is when Lambda stops this invocation (Unix milliseconds).
pub async fn process(desk: &Desk, batch: Batch, deadline_ms: i64) -> Answer {
    let work = async |record: &Record| process_one(desk, record, deadline_ms).await;
    work_off(
        batch,
        &desk.clock,
        deadline_ms,
        BEGIN_BEFORE_DEADLINE_MS,
        SIDE_BY_SIDE,
        work,
    )
    .await
}

async fn process_one(desk: &Desk, record: &Record, deadline_ms: i64) -> Verdict {
    let WebhookMessage {
        detail: event,
        replay,
        ..
    } = match WebhookMessage::parse(&record.body) {
        Ok(message) => message,
        Err(error) => {
            error!(
                message_id = record.message_id,
                length = record.body.len(),
                "unknown message"
            );
            return Verdict::for_a_person(&error);
        }
    };
    let attempt = record.receive_count();
    match deliver(desk, &event, attempt, replay, deadline_ms).await {
        Ok(()) => Verdict::Done,
        Err(failure) => try_later(desk, record, &event, attempt, &failure).await,
    }
}

/// One attempt. `Ok` also when nobody is to be told.
async fn deliver(
    desk: &Desk,
    event: &OutgoingEvent,
    attempt: u32,
    replay: bool,
    deadline_ms: i64,
) -> Result<(), NotDelivered> {
    let (order_no, client_id) = (event.order_no.as_str(), event.client_id.as_str());
    let (version, trace_id) = (event.version, event.trace.as_str());
    let webhook = desk.keys.webhook(client_id).await?;
    let endpoint = match webhook.as_deref() {
        Some(Webhook::Active(endpoint)) => endpoint,
        Some(Webhook::Disabled { why, since }) => {
            info!(
                order_no,
                version,
                client_id,
                trace_id,
                why,
                since_s = since.0,
                WebhookReceiversGone = 1,
                "the client's webhook is disabled: the event is not sent"
            );
            return Ok(());
        }
        None => {
            info!(
                order_no,
                version, client_id, trace_id, "the client has no webhook: the event is not sent"
            );
            return Ok(());
        }
    };
    let url = WebhookUrl::parse(endpoint.url.as_str(), desk.http.reach())?;
    let body = event.body();
    let headers = sign(
        &event.webhook_id(),
        desk.clock.now().0,
        body.as_bytes(),
        &endpoint.secrets,
    )?;
    let left_ms = deadline_ms
        .saturating_sub(desk.clock.now_ms())
        .saturating_sub(AFTERWARDS_MS);
    let within = Duration::from_millis(u64::try_from(left_ms).unwrap_or_default());
    let status = desk.http.post(&url, headers.iter(), body, within).await?;
    let host = url.host();
    match Answered::with(status) {
        Answered::Taken => {
            info!(
                order_no,
                version,
                client_id,
                trace_id,
                attempt,
                replay,
                host,
                status,
                WebhooksDelivered = 1,
                "webhook delivered"
            );
            Ok(())
        }
        Answered::Gone => {
            desk.keys
                .disable_webhook(
                    client_id,
                    &endpoint.url,
                    "the receiver answered 410 Gone",
                    desk.clock.now(),
                )
                .await?;
            warn!(
                order_no,
                version,
                client_id,
                trace_id,
                attempt,
                host,
                status,
                what_to_do =
                    "set the webhook up again when the receiver wants it; replay what it missed",
                WebhookReceiversGone = 1,
                "the receiver wants no more webhooks: disabled"
            );
            Ok(())
        }
        Answered::NotTaken => Err(NotDelivered::NotTaken { status }),
    }
}

/// Hides the message until its next attempt. After the last one it is shown at once: the queue then moves it to its
/// dead-letter queue. `Retry-After` is not heeded: the ladder is what a receiver's operator can count on.
async fn try_later(
    desk: &Desk,
    record: &Record,
    event: &OutgoingEvent,
    attempt: u32,
    failure: &NotDelivered,
) -> Verdict {
    let (order_no, client_id) = (event.order_no.as_str(), event.client_id.as_str());
    let (version, trace_id) = (event.version, event.trace.as_str());
    // One in some failures passes by the next attempt, a few seconds later; the next one tells more.
    let again = (attempt > 1).then_some(1);
    let next_s = next_attempt_after_s(attempt);
    match next_s {
        Some(next_s) => warn!(
            order_no,
            version,
            client_id,
            trace_id,
            attempt,
            next_s,
            error = %Chain(failure),
            WebhooksNotTaken = 1,
            WebhooksNotTakenAgain = again,
            "webhook not delivered"
        ),
        None => error!(
            order_no,
            version,
            client_id,
            trace_id,
            attempt,
            error = %Chain(failure),
            what_to_do = "find out why the receiver does not take it, then move the message back or replay the event",
            WebhooksNotTaken = 1,
            WebhooksNotTakenAgain = again,
            WebhooksGivenUp = 1,
            "webhook given up: it goes to the dead-letter queue"
        ),
    }
    let hidden = desk
        .webhooks
        .come_back_in(&record.receipt_handle, next_s.unwrap_or(0))
        .await;
    if let Err(error) = hidden {
        warn!(
            order_no,
            version,
            error = %Chain(&error),
            "the message was not hidden; it comes again after the queue's own time"
        );
    }
    Verdict::Retry
}
