//! Spans of the function: what a message follows is in its body, since the bus passes no other
//! context on.

use flows::{sqs_event::SqsRecord, trace::Trace};
use payments::rules::webhook::OutgoingEvent;
use runtime::{
    clock::Clock,
    spans::{Span, SpanContext, SpanKind},
};
use stores::queues::WebhookMessage;

/// The span of the event in a message.
pub(crate) fn event_of(record: &SqsRecord) -> Option<SpanContext> {
    let message = WebhookMessage::parse(&record.body).ok()?;
    Trace::sent(&message.detail.traceparent())?.context()
}

/// The span of one attempt: under the event's, as the receiver's own are.
pub(crate) fn span_of(
    clock: &Clock,
    record: &SqsRecord,
    event: &OutgoingEvent,
    batch: Option<SpanContext>,
) -> Span {
    let event = Trace::sent(&event.traceparent());
    let event = event.as_ref().and_then(Trace::context);
    let name = || "send webhook".to_owned();
    let at_ms = clock.now_ms();
    let mut span = Span::under(SpanKind::Consumer, name, event, at_ms);
    record.describe_one(&mut span, event.into_iter().chain(batch));
    span
}
