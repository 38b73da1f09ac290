//! A delivery of log lines -> the sinks that are set up -> taken, or all of it again from Lambda,
//! or what a sink will never take into the dead-letter queue.
//!
//! Lambda calls this function asynchronously, and twice more if it fails. So a failure that may
//! pass fails the invocation, if the sink has nothing of the delivery yet; the repeat may send
//! lines again that the other sink has, and both know a line that they have. What a sink refuses
//! for good, or did not take after it took others, is put away at once, in the form of the event
//! that brings it, and stops nothing else.

mod send;

use std::collections::BTreeMap;

use flows::problem::ErrorChain;
use futures_util::future::{join_all, try_join_all};
use log_sinks::{BadDelivery, CALL_MAX_MS, Delivery, Line, LogBatch, LogEvent, pack, read};
use runtime::{
    spans::{Span, SpanKind},
    telemetry::emf::end_of_run,
};
use serde_json::Value;
use stores::{
    keys_table::{KeysError, log_sinks::StoredSink},
    queues::QueueError,
};
use tracing::warn;

use crate::app::App;
use send::{Sent, send};

/// How long one call to AWS may take with its repeats, in milliseconds
/// (`runtime::aws::CallLimits::PROMPT`).
const AWS_CALL_MS: i64 = 1_500;

/// Before the first request to a sink, in milliseconds: the sinks are read, and unsealed side by
/// side.
pub const BEFORE_MS: i64 = 2 * AWS_CALL_MS;

/// After the last one: what is refused for good is put away, side by side.
pub const AFTERWARDS_MS: i64 = AWS_CALL_MS;

/// What one request to a sink needs at most, with what comes after it.
pub const REQUEST_MS: i64 = CALL_MAX_MS + AFTERWARDS_MS;

/// So many bytes of lines are put away in one message, unpacked: packed and in Base64 they are
/// shorter than the 256 KB that SQS takes in each Region.
const LETTER_MAX: usize = 180_000;

/// Why a delivery comes again. Its text is kept with the event, and holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum NotForwarded {
    #[error("no log sink is set up (`cargo client setup log-sink add`)")]
    NoSink,
    #[error("the log sinks cannot be read")]
    Keys(#[from] KeysError),
    #[error("{0}")]
    Sink(String),
    #[error("what no sink takes could not be put away")]
    PutAway(#[source] QueueError),
    #[error("what no sink takes could not be packed")]
    Pack(#[source] std::io::Error),
}

/// Forwards a delivery. `deadline_ms` is when Lambda stops this invocation (Unix milliseconds).
///
/// # Errors
/// [`NotForwarded`]: Lambda delivers it again, and after the third time leaves it in the
/// dead-letter queue.
pub async fn forward(app: &App, event: &Value, deadline_ms: i64) -> Result<(), NotForwarded> {
    // A delivery has lines of many traces.
    let mut span = Span::root(
        SpanKind::Consumer,
        || "forward log lines".to_owned(),
        app.clock.now_ms(),
    );
    let done = span.around(deliver(app, event, deadline_ms)).await;
    if let Err(error) = &done {
        // No one is called for what passes; what does not is in the queue by then, whose alarm
        // calls.
        warn!(error = %ErrorChain(error), "log lines were not forwarded: they come again");
        span.fails("not_forwarded");
    }
    span.end(app.clock.now_ms());
    end_of_run();
    done
}

async fn deliver(app: &App, event: &Value, deadline_ms: i64) -> Result<(), NotForwarded> {
    match read(event) {
        Ok(Delivery::Control) => Ok(()),
        // Nothing is logged here: each line would come back as a delivery.
        Ok(Delivery::Lines(batch)) if app.own_log_group.as_ref() == Some(&batch.log_group) => {
            Ok(())
        }
        Ok(Delivery::Lines(batch)) => forward_lines(app, &batch, deadline_ms).await,
        Err(error) => put_away_unread(app, event, &error).await,
    }
}

async fn forward_lines(app: &App, batch: &LogBatch, deadline_ms: i64) -> Result<(), NotForwarded> {
    let stored = app.keys.log_sinks().await?;
    if stored.is_empty() {
        return Err(NotForwarded::NoSink);
    }
    let lines = Line::all(batch, &app.stack);
    let sent = stored.iter().map(async |sink: &StoredSink| {
        let opened = app.keys.open_log_sink(sink).await?;
        Ok::<_, KeysError>(send(app, &opened, batch, &lines, deadline_ms).await)
    });
    // All of them: one that fails takes no lines from another.
    let mut not_taken: BTreeMap<usize, String> = BTreeMap::new();
    let mut failed = Vec::new();
    for (sink, sent) in stored.iter().zip(join_all(sent).await) {
        let sink = sink.kind.name();
        match sent {
            Ok(Sent::Done { put_away }) => {
                for (place, why) in put_away {
                    not_taken.insert(place, format!("{sink}: {why}"));
                }
            }
            Ok(Sent::ComesAgain { why }) => failed.push(format!("{sink}: {why}")),
            Err(error) => failed.push(format!("{sink}: {}", ErrorChain(&error))),
        }
    }
    if !failed.is_empty() {
        return Err(NotForwarded::Sink(failed.join("; ")));
    }
    put_away(app, batch, &not_taken).await
}

/// Puts away what no repeat can make readable, as it came.
async fn put_away_unread(
    app: &App,
    event: &Value,
    error: &BadDelivery,
) -> Result<(), NotForwarded> {
    let error = ErrorChain(error).to_string();
    warn!(
        error,
        "a delivery of log lines cannot be read: it is put away"
    );
    let put = app.dlq.put_away(event.to_string(), &error).await;
    put.map_err(NotForwarded::PutAway)
}

/// Puts away the lines that a sink did not take, as events that bring them again.
async fn put_away(
    app: &App,
    batch: &LogBatch,
    not_taken: &BTreeMap<usize, String>,
) -> Result<(), NotForwarded> {
    let Some(why) = not_taken.values().next() else {
        return Ok(());
    };
    warn!(
        count = not_taken.len(),
        error = why,
        "a log sink did not take these lines: they are put away"
    );
    let events = not_taken
        .keys()
        .filter_map(|place| batch.log_events.get(*place));
    let mut letters = Vec::new();
    for part in parts(events) {
        letters.push(pack(batch, &part).map_err(NotForwarded::Pack)?);
    }
    let put = letters
        .into_iter()
        .map(|letter| app.dlq.put_away(letter, why));
    try_join_all(put).await.map_err(NotForwarded::PutAway)?;
    Ok(())
}

/// Parts of which each fits into one message.
fn parts<'a>(events: impl Iterator<Item = &'a LogEvent>) -> Vec<Vec<&'a LogEvent>> {
    let mut parts: Vec<Vec<&LogEvent>> = Vec::new();
    let mut bytes = 0_usize;
    for event in events {
        let size = event.message.len().saturating_add(event.id.len());
        let size = size.saturating_add(100);
        let whole = bytes.saturating_add(size);
        match parts.last_mut() {
            Some(last) if whole <= LETTER_MAX => {
                last.push(event);
                bytes = whole;
            }
            Some(_) | None => {
                parts.push(vec![event]);
                bytes = size;
            }
        }
    }
    parts
}
