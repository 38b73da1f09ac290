//! One order's way as a waterfall, worked out from its journal alone: who worked on it when, what
//! waited in which queue, how often a message came, and who brought the news of money.
//!
//! Spans that the journal does not hold are not guessed: what a function did before its first
//! change, and what it was told that changed nothing.

mod scale;

use serde::Serialize;

use crate::model::{
    ids::OrderNo,
    journal::{Cause, Delivery, Event, Subject},
    trace::{SpanOf, span_id},
};

pub use scale::Scale;

/// One order's way.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Waterfall {
    pub order_no: String,
    /// Unix milliseconds.
    pub from_ms: i64,
    pub until_ms: i64,
    /// In the order of their beginnings.
    pub spans: Vec<Span>,
}

/// One bar, or one moment.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Span {
    pub kind: SpanKind,
    /// The function, the queue or the subject.
    pub name: &'static str,
    /// What happened, in words.
    pub what: String,
    pub from_ms: i64,
    pub until_ms: i64,
    /// Whether the times are exact to the millisecond. Events of earlier versions are to the
    /// second.
    pub is_exact: bool,
    pub trace_id: String,
    /// `None` of a queue, where nobody works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<String>,
    /// The order's first event, where this is in another trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<SpanLink>,
    /// How often its message was received.
    pub received: u32,
    /// How long nothing of the order's had happened before it, in milliseconds.
    pub gap_ms: i64,
}

/// Another span, of another trace.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SpanLink {
    pub trace_id: String,
    pub span_id: String,
}

/// What a span is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// A callback was taken and put into its queue.
    Callback,
    /// A message waited.
    Queue,
    /// A function worked.
    Work,
    /// The order, or what lies under it, changed.
    Event,
}

impl SpanKind {
    /// Its name in pictures and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::Queue => "queue",
            Self::Work => "work",
            Self::Event => "event",
        }
    }
}

impl Span {
    pub fn took_ms(&self) -> i64 {
        self.until_ms.saturating_sub(self.from_ms)
    }
}

/// The way of an order with this journal, oldest event first; `None` for an empty one.
pub fn waterfall(order_no: &OrderNo, journal: &[Event]) -> Option<Waterfall> {
    let first = journal.first()?;
    let mut spans = Vec::new();
    let mut rest = journal;
    let mut parents: Vec<&Event> = Vec::new();
    while let Some(begins) = rest.first() {
        let is_same = |event: &&Event| {
            event.trace == begins.trace
                && event.parent_span_id() == begins.parent_span_id()
                && event.at_ms() >= begins.at_ms()
        };
        let count = rest.iter().take_while(is_same).count().max(1);
        let (events, others) = rest.split_at_checked(count)?;
        spans.extend(of_one_cause(order_no, first, &parents, events));
        parents.extend(events);
        rest = others;
    }
    // What begins at the same time stays in the order of cause and effect.
    spans.sort_by_key(|span| span.from_ms);
    let mut ended_ms = spans.first().map_or(0, |span| span.from_ms);
    for span in &mut spans {
        span.gap_ms = span.from_ms.saturating_sub(ended_ms).max(0);
        ended_ms = ended_ms.max(span.until_ms);
    }
    Some(Waterfall {
        order_no: order_no.as_str().to_owned(),
        from_ms: spans.first().map_or(0, |span| span.from_ms),
        until_ms: ended_ms,
        spans,
    })
}

/// The spans of all events that one cause led to: what came before it, the work, and the events.
fn of_one_cause(
    order_no: &OrderNo,
    first: &Event,
    before: &[&Event],
    events: &[Event],
) -> Vec<Span> {
    let (Some(begins), Some(ends)) = (events.first(), events.last()) else {
        return Vec::new();
    };
    let link = (begins.trace != first.trace).then(|| SpanLink {
        trace_id: first.trace.clone(),
        span_id: first.span_id(order_no),
    });
    let delivery = begins.delivery;
    let worked_ms = delivery.map_or(0, |delivery| i64::from(delivery.worked_ms));
    let began_ms = begins.at_ms().saturating_sub(worked_ms);
    let (work_id, callback_id) = (begins.parent_span_id(), callback_span(begins));
    // A message follows the event that led to it: the latest one before it in its trace.
    let sender = before
        .iter()
        .rev()
        .find(|event| event.trace == begins.trace)
        .map(|event| event.span_id(order_no));
    let span = |kind, name, what, from_ms, until_ms| Span {
        kind,
        name,
        what,
        from_ms,
        until_ms,
        is_exact: begins.millisecond.is_some(),
        trace_id: begins.trace.clone(),
        span_id: (kind != SpanKind::Queue).then(|| work_id.clone()),
        parent_span_id: callback_id.clone().or_else(|| sender.clone()),
        link: link.clone(),
        received: delivery.map_or(1, |delivery| delivery.received),
        gap_ms: 0,
    };
    let mut spans = Vec::new();
    if let Some(Delivery { queued_ms, .. }) = delivery {
        let sent_ms = began_ms.saturating_sub(i64::from(queued_ms));
        if let Some(span_id) = callback_id.clone() {
            let what = "WeChat Pay's callback is taken".to_owned();
            let taken = span(SpanKind::Callback, RECEIVE_CALLBACK, what, sent_ms, sent_ms);
            spans.push(Span {
                span_id: Some(span_id),
                parent_span_id: None,
                received: 1,
                ..taken
            });
        }
        let (queue, what) = (queue_of(begins), waits(delivery));
        spans.push(span(SpanKind::Queue, queue, what, sent_ms, began_ms));
    }
    spans.push(span(
        SpanKind::Work,
        function_of(begins),
        brought_by(begins).to_owned(),
        began_ms,
        ends.at_ms(),
    ));
    spans.extend(events.iter().map(|event| Span {
        is_exact: event.millisecond.is_some(),
        span_id: Some(event.span_id(order_no)),
        parent_span_id: Some(work_id.clone()),
        ..span(
            SpanKind::Event,
            event.subject.kind(),
            what(order_no, event),
            event.at_ms(),
            event.at_ms(),
        )
    }));
    spans
}

const CREATE_ORDER: &str = "create-order";
const MANAGE_ORDER: &str = "manage-order";
const RECEIVE_CALLBACK: &str = "receive-callback";
const PROCESS_PAYMENT: &str = "process-payment";
const RECONCILE: &str = "reconcile";

/// The function that this event's cause is the work of.
fn function_of(event: &Event) -> &'static str {
    match &event.cause {
        Cause::Request(_) if event.version == 1 => CREATE_ORDER,
        Cause::Request(_) if event.subject == Subject::Order && is_issue(event) => CREATE_ORDER,
        Cause::Request(_) => MANAGE_ORDER,
        Cause::Message(_) | Cause::Notice(_) => PROCESS_PAYMENT,
        Cause::Sweep(_) | Cause::Reconciliation(_) => RECONCILE,
    }
}

/// Whether an order gets its prepay value, or WeChat Pay's refusal.
fn is_issue(event: &Event) -> bool {
    event.from.as_deref() == Some("reserved")
        && ["awaiting_payment", "rejected"].contains(&event.to.as_str())
}

fn queue_of(event: &Event) -> &'static str {
    match event.cause {
        Cause::Notice(_) => "payment-results",
        Cause::Message(_) | Cause::Request(_) | Cause::Sweep(_) => "payment-requests",
        Cause::Reconciliation(_) => "reconcile-work",
    }
}

/// Who brought the news, or asked for the change.
const fn brought_by(event: &Event) -> &'static str {
    match event.cause {
        Cause::Request(_) => "the client's request",
        Cause::Message(_) => "a payment request from the queue",
        Cause::Notice(_) => "WeChat Pay's callback",
        Cause::Sweep(_) => "the sweep, which checks what is due",
        Cause::Reconciliation(_) => "the reconciliation of a day's bills",
    }
}

fn waits(delivery: Option<Delivery>) -> String {
    let received = delivery.map_or(1, |delivery| delivery.received);
    if received > 1 {
        let before = received.saturating_sub(1);
        let tries = if before == 1 { "try" } else { "tries" };
        format!("received {received} times: {before} {tries} came to nothing (the log says why)")
    } else {
        "waits for its reader".to_owned()
    }
}

/// The span of the callback that was the cause.
fn callback_span(event: &Event) -> Option<String> {
    match &event.cause {
        Cause::Notice(notice_id) => Some(span_id(&event.trace, SpanOf::Callback { notice_id })),
        Cause::Request(_) | Cause::Message(_) | Cause::Sweep(_) | Cause::Reconciliation(_) => None,
    }
}

/// What an event reports.
fn what(order_no: &OrderNo, event: &Event) -> String {
    let mut text = match event.subject {
        Subject::Order => String::new(),
        Subject::Refund(_) | Subject::Payment(_) => format!("{} ", event.subject.id(order_no)),
    };
    match event.from.as_deref() {
        Some(from) if from == event.to => text.push_str(&format!("stays {from}")),
        Some(from) => text.push_str(&format!("{from} -> {}", event.to)),
        None => text.push_str(&format!("-> {}", event.to)),
    }
    if let Some(refusal) = &event.refusal {
        text.push_str(&format!(", WeChat Pay says {}", refusal.code));
    }
    if let Some(at) = event.next_try_at {
        let after_s = at.since(event.at).max(0);
        text.push_str(&format!(", next try in {after_s} s"));
    }
    if event.decision.is_some() {
        text.push_str(", a person's decision");
    }
    text
}

/// A time for people: `85 ms`, `1.234 s`, `12 min 03 s`, `2 h 05 min`, `3 d 04 h`.
pub fn duration(ms: i64) -> String {
    let (s, min, h) = (ms / 1_000, ms / 60_000, ms / 3_600_000);
    match ms {
        ..1_000 => format!("{} ms", ms.max(0)),
        1_000..60_000 => format!("{s}.{:03} s", ms % 1_000),
        60_000..3_600_000 => format!("{min} min {:02} s", s % 60),
        3_600_000..86_400_000 => format!("{h} h {:02} min", min % 60),
        _ => format!("{} d {:02} h", h / 24, h % 24),
    }
}

#[cfg(test)]
mod tests;
