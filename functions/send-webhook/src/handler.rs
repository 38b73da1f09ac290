//! Batch -> each event on its own, in parallel -> delivered, or hidden in the queue until its next
//! attempt, or stored so that its client can have it sent again.

use std::time::Duration;

use flows::{
    problem::ErrorChain,
    sqs_event::{BatchResponse, SqsBatch, SqsRecord, end_message_span, work_off},
    verdict::Verdict,
};
use payments::{
    model::ids::ClientId,
    rules::webhook::{
        CallTime, DeliveryResult, GoneRun, LastAnswer, OutgoingEvent, SLOW_MS, may_be_on_record,
        next_attempt_after_s,
    },
};
use runtime::{
    net::{BadUrl, WebhookUrl},
    spans::SpanContext,
    telemetry::emf::{HELD, end_of_run},
};
use standard_webhooks::{SignError, sign};
use stores::{
    keys_table::{Endpoint, KeysError, Webhook},
    queues::WebhookMessage,
    undelivered::{UndeliveredError, UndeliveredReason},
};
use tracing::{error, info, warn};
use webhook_client::NoAnswer;
use wechatpay::{UnixSeconds, time::format_rfc3339_beijing};

use crate::{
    app::{App, LOGGED_AGAIN_AFTER_S},
    recorded::{event_of, span_of},
};

/// How many records of a batch are processed at once: all of a usual batch, since each waits for
/// its own receiver, and a record that is not started in time has used up an attempt.
const SIDE_BY_SIDE: usize = 10;

/// No record is started with less time left than this, in milliseconds: a receiver that is cut off
/// early would count as one that failed.
const BEGIN_BEFORE_DEADLINE_MS: i64 = 14_000;

/// Time in milliseconds that is reserved for the work after the receiver's answer: five calls of
/// 1.5 s. At the last attempt the answer is stored, the webhook disabled, the event stored (with
/// one retry), and the message made visible.
const AFTERWARDS_MS: i64 = 7_500;

/// Why an event is not delivered yet. It contains neither secret nor URL.
#[derive(Debug, thiserror::Error)]
enum NotDelivered {
    /// The keys table.
    #[error("where the webhook goes could not be read or changed")]
    Keys(#[from] KeysError),
    /// The configured URL must not be called.
    #[error("the webhook may not be sent there")]
    Url(#[from] BadUrl),
    /// The event must be stored for its client, since its webhook is disabled.
    #[error("the event could not be kept")]
    Store(#[from] UndeliveredError),
    /// It cannot be signed.
    #[error("the webhook could not be signed")]
    Sign(#[from] SignError),
    /// It is a slow receiver in its pause, so that others are not blocked.
    #[error("the receiver is slow, and is left alone for now")]
    Paused,
    /// No answer came.
    #[error("no answer")]
    NoAnswer(#[from] NoAnswer),
    /// The receiver refused it.
    #[error("the receiver answered {status}")]
    Refused {
        /// Its answer's status.
        status: u16,
    },
}

impl NotDelivered {
    /// Its name in the client's view of the last delivery; `None` if the receiver is not the cause.
    fn answer(&self) -> Option<String> {
        match self {
            Self::Url(_) => Some("address_refused".to_owned()),
            Self::NoAnswer(none) => Some(none.name().to_owned()),
            Self::Refused { status } => Some(status.to_string()),
            Self::Keys(_) | Self::Store(_) | Self::Sign(_) | Self::Paused => None,
        }
    }

    /// Whether the cause is on our side.
    fn is_ours(&self) -> bool {
        match self {
            Self::Keys(_) | Self::Store(_) | Self::Sign(_) => true,
            Self::Url(_) | Self::Paused | Self::NoAnswer(_) | Self::Refused { .. } => false,
        }
    }

    /// Whether the receiver says that it wants no more events.
    fn says_gone(&self) -> bool {
        match self {
            Self::Refused { status } => DeliveryResult::with(*status) == DeliveryResult::Gone,
            Self::Keys(_)
            | Self::Url(_)
            | Self::Store(_)
            | Self::Sign(_)
            | Self::Paused
            | Self::NoAnswer(_) => false,
        }
    }
}

/// Processes a batch. `deadline_ms` is when Lambda stops this invocation (Unix milliseconds).
pub async fn process(app: &App, batch: SqsBatch, deadline_ms: i64) -> BatchResponse {
    let span = batch.span(&app.clock, event_of);
    let batch_span = span.context();
    let work = async |record: &SqsRecord| process_one(app, record, batch_span, deadline_ms).await;
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

async fn process_one(
    app: &App,
    record: &SqsRecord,
    batch: Option<SpanContext>,
    deadline_ms: i64,
) -> Verdict {
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
            return Verdict::needs_operator(&error);
        }
    };
    let attempt = record.receive_count();
    let span = span_of(&app.clock, record, &event, batch);
    let attempted = async {
        match deliver(app, &event, attempt, replay, deadline_ms).await {
            Ok(()) => Verdict::Done,
            Err(failure) => try_later(app, record, &event, attempt, &failure).await,
        }
    };
    let verdict = span.around(attempted).await;
    end_message_span(span, verdict, app.clock.now_ms());
    verdict
}

/// One attempt. `Ok` also if there is no webhook, or the event is stored because the webhook is
/// disabled.
async fn deliver(
    app: &App,
    event: &OutgoingEvent,
    attempt: u32,
    replay: bool,
    deadline_ms: i64,
) -> Result<(), NotDelivered> {
    let (order_no, client_id) = (event.order_no.as_str(), event.client_id.as_str());
    let (version, trace_id) = (event.version, event.trace_id());
    let webhook = app.keys.webhook(client_id).await?;
    let endpoint = match webhook.as_deref() {
        Some(Webhook::Active(endpoint)) => endpoint,
        Some(Webhook::Disabled { why, since }) => return keep(app, event, why, *since).await,
        None => {
            info!(
                order_no,
                version, client_id, trace_id, "the client has no webhook: the event is not sent"
            );
            return Ok(());
        }
    };
    let began_ms = app.clock.now_ms();
    let left_ms = deadline_ms
        .saturating_sub(began_ms)
        .saturating_sub(AFTERWARDS_MS);
    let is_last = next_attempt_after_s(attempt).is_none();
    let asking = app.lane().call_time(&event.client_id, began_ms);
    // The last attempt is always made. If earlier ones have used up the receiver's share of the
    // lane, its time-out is short, so that it does not block others for long.
    let within_ms = match asking {
        CallTime::Later { .. } if !is_last => return Err(NotDelivered::Paused),
        CallTime::Later {
            may_wait: false, ..
        } => left_ms.min(SLOW_MS),
        CallTime::Later { may_wait: true, .. } | CallTime::Now => left_ms,
    };
    if attempt == 1 && !replay {
        // Of the way through stream, Pipe, bus and queue.
        let delay_s = app.clock.now().since(event.at).max(0);
        info!(target: HELD, WebhookDelay = delay_s);
    }
    let posted = post(app, endpoint, event, within_ms).await;
    let now_ms = app.clock.now_ms();
    let timed_out = matches!(posted, Err(NotDelivered::NoAnswer(NoAnswer::TimedOut)));
    let took_ms = now_ms.saturating_sub(began_ms);
    app.lane()
        .waited_for(&event.client_id, took_ms, timed_out, asking, now_ms);
    let answer = match &posted {
        Ok((_, status)) => Some(status.to_string()),
        Err(failure) => failure.answer(),
    };
    let run = match answer {
        Some(answer) => note(app, &event.client_id, endpoint, &answer).await,
        None => None,
    };
    let (host, status) = posted?;
    match DeliveryResult::with(status) {
        DeliveryResult::Accepted => {
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
                WebhookAttempts = attempt,
                "webhook delivered"
            );
            if may_be_on_record(event, replay, attempt, app.clock.now())
                && let Err(error) = app.undelivered.delivered(event).await
            {
                warn!(
                    order_no,
                    version,
                    client_id,
                    error = %ErrorChain(&error),
                    "a delivered event stays on record as undelivered, and may be sent once more"
                );
            }
            Ok(())
        }
        DeliveryResult::Gone => match run.filter(|run| run.ends_the_webhook(app.clock.now())) {
            Some(run) => {
                let why = format!(
                    "the receiver answered 410 Gone since {}",
                    format_rfc3339_beijing(run.since)
                );
                let now = app.clock.now();
                app.keys
                    .disable_webhook(client_id, &endpoint.url, &run, &why, now)
                    .await?;
                info!(target: HELD, WebhooksDisabled = 1);
                keep(app, event, &why, now).await
            }
            None => Err(NotDelivered::Refused { status }),
        },
        DeliveryResult::Failed => Err(NotDelivered::Refused { status }),
    }
}

/// Signs and posts an event, and waits at most this long for the answer. Returns the receiver's
/// host and the answer's status.
async fn post(
    app: &App,
    endpoint: &Endpoint,
    event: &OutgoingEvent,
    within_ms: i64,
) -> Result<(String, u16), NotDelivered> {
    let url = WebhookUrl::parse(endpoint.url.as_str(), app.http.reach())?;
    let body = event.body();
    let headers = sign(
        &event.webhook_id(),
        app.clock.now().0,
        body.as_bytes(),
        &endpoint.secrets,
    )?;
    let within = Duration::from_millis(u64::try_from(within_ms).unwrap_or_default());
    // The receiver's work follows the event, however often it is sent.
    let traceparent = event.traceparent();
    let trace = ("traceparent", traceparent.as_str());
    let headers = headers.iter().chain([trace]);
    let status = app.http.post(&url, headers, body, within).await?;
    Ok((url.host().to_owned(), status))
}

/// Stores the result of an attempt, for the client to see. Returns the run of 410s that continues
/// with it, if any. A failed write is skipped: the next answer is stored.
async fn note(
    app: &App,
    client_id: &ClientId,
    endpoint: &Endpoint,
    answer: &str,
) -> Option<GoneRun> {
    let last = endpoint.last_answer.as_ref();
    let Some(next) = LastAnswer::after(last, answer, app.clock.now()) else {
        return last.and_then(|last| last.gone);
    };
    // Logged before the record says so: after a crash in between it is logged twice, not never.
    if let Some(run) = next.to_report()
        && app
            .failing
            .is_due(client_id, run.since, |reported| reported != run.since)
    {
        let since = format_rfc3339_beijing(run.since);
        error!(
            client_id = client_id.as_str(),
            answer,
            since,
            reason = format!(
                "it has taken nothing since {since}, and the last attempt's result is {answer}"
            ),
            what_to_do = "tell the people who run the receiver what it answers and since when; events are retried by themselves for 28 hours, and `cargo client resend` later sends those that were given up",
            "a receiver of webhooks has taken nothing for half an hour"
        );
    }
    let client_id = client_id.as_str();
    let noted = app
        .keys
        .note_answer(client_id, &endpoint.url, last, &next)
        .await;
    let noted = match noted {
        // Another sandbox was first, and may have got a 410: the different answer must still be
        // recorded.
        Ok(false) if next.ends_a_run() => {
            let next = LastAnswer {
                since: next.at,
                ..next.clone()
            };
            app.keys
                .note_answer_unconditionally(client_id, &endpoint.url, &next)
                .await
        }
        noted => noted,
    };
    match noted {
        Ok(true) => next.gone,
        Ok(false) => None,
        Err(error) => {
            warn!(
                client_id,
                answer,
                error = %ErrorChain(&error),
                "what a receiver answered could not be written down"
            );
            None
        }
    }
}

/// Stores an event of a client whose webhook is disabled, and logs that for an operator at
/// intervals.
async fn keep(
    app: &App,
    event: &OutgoingEvent,
    why: &str,
    since: UnixSeconds,
) -> Result<(), NotDelivered> {
    let now = app.clock.now();
    if app.disabled.is_due_again(&event.client_id, now) {
        let client_id = event.client_id.as_str();
        let what_to_do = "tell the people who run the receiver; set its webhook up again, then `cargo client resend` sends the kept events";
        // Every sandbox logs this while it is new: the one that disabled the webhook may have died.
        // The alarm of receivers that are gone stays on with each event.
        if now.since(since) < LOGGED_AGAIN_AFTER_S {
            error!(
                client_id,
                reason = why,
                why,
                since_s = since.0,
                what_to_do,
                "a webhook is disabled: its events are kept and not sent"
            );
        } else {
            warn!(
                client_id,
                why,
                since_s = since.0,
                what_to_do,
                "a webhook is still disabled: its events are kept and not sent"
            );
        }
    }
    app.undelivered
        .keep(event, UndeliveredReason::WebhookDisabled, now)
        .await?;
    info!(
        order_no = event.order_no.as_str(),
        version = event.version,
        client_id = event.client_id.as_str(),
        trace_id = event.trace_id(),
        WebhookReceiversGone = 1,
        "the client's webhook is disabled: the event is kept"
    );
    Ok(())
}

/// Hides the message until its next attempt. After the last one it is shown at once: the queue then
/// moves it to its dead-letter queue. `Retry-After` is not heeded: the ladder is what a receiver's
/// operator can count on.
async fn try_later(
    app: &App,
    record: &SqsRecord,
    event: &OutgoingEvent,
    attempt: u32,
    failure: &NotDelivered,
) -> Verdict {
    let (order_no, client_id) = (event.order_no.as_str(), event.client_id.as_str());
    let (version, trace_id) = (event.version, event.trace_id());
    // A single failure often passes by the next attempt, a few seconds later. Our own failures and
    // pauses say nothing about the receiver.
    let again = (attempt > 1 && failure.answer().is_some()).then_some(1);
    let gone = failure.says_gone().then_some(1);
    let now = app.clock.now();
    // A transient failure is over before the second attempt.
    if attempt > 1 && failure.is_ours() && app.ours.is_due_again(&event.client_id, now) {
        error!(
            client_id,
            error = %ErrorChain(failure),
            what_to_do = "repair what the error names; events are retried by themselves for 28 hours",
            "events cannot be sent, for a cause on our side"
        );
    }
    // No attempt is made during the receiver's pause, so an earlier time would waste one.
    let rests_s = match app.lane().call_time(&event.client_id, app.clock.now_ms()) {
        CallTime::Now => 0,
        CallTime::Later { left_ms, .. } => left_ms.saturating_add(999) / 1_000,
    };
    let rests_s = i32::try_from(rests_s).unwrap_or_default();
    let next_s = next_attempt_after_s(attempt).map(|next_s| next_s.max(rests_s));
    match next_s {
        Some(next_s) => warn!(
            order_no,
            version,
            client_id,
            trace_id,
            attempt,
            next_s,
            error = %ErrorChain(failure),
            WebhooksNotTaken = 1,
            WebhooksNotTakenAgain = again,
            WebhookReceiversGone = gone,
            "webhook not delivered"
        ),
        None => {
            error!(
                order_no,
                version,
                client_id,
                trace_id,
                attempt,
                error = %ErrorChain(failure),
                what_to_do = "find out why the receiver does not accept it, then move the message back or `cargo client resend` it",
                WebhooksNotTaken = 1,
                WebhooksNotTakenAgain = again,
                WebhooksGivenUp = 1,
                WebhookAttempts = attempt,
                WebhookReceiversGone = gone,
                "webhook given up: it goes to the dead-letter queue"
            );
            let kept = app
                .undelivered
                .keep(event, UndeliveredReason::GivenUp, app.clock.now())
                .await;
            if let Err(error) = kept {
                warn!(
                    order_no,
                    version,
                    client_id,
                    error = %ErrorChain(&error),
                    "the event is not on record as undelivered; the dead-letter queue has it"
                );
            }
        }
    }
    let hidden = app
        .webhooks
        .come_back_in(&record.receipt_handle, next_s.unwrap_or(0))
        .await;
    if let Err(error) = hidden {
        warn!(
            order_no,
            version,
            error = %ErrorChain(&error),
            "the message was not hidden; it comes again after the queue's own time"
        );
    }
    Verdict::Retry
}
