//! Spans of the function: what a message follows is in its body, since the bus passes no other
//! context on.

use flows::{
    sqs_event::{Follows, SqsRecord},
    trace::Trace,
};
use payments::rules::webhook::OutgoingEvent;
use runtime::{
    clock::Clock,
    spans::{Span, SpanContext, SpanKind, are_recorded},
};
use stores::queues::WebhookMessage;

/// What a message follows: the event in it.
pub(crate) fn event_of(record: &SqsRecord) -> Follows {
    match WebhookMessage::parse(&record.body) {
        Ok(message) => Follows::of(sender(&message.detail).as_ref()),
        Err(_) => Follows::Nothing,
    }
}

/// The span of one attempt: under the event's, as the receiver's own are.
pub(crate) fn span_of(
    clock: &Clock,
    record: &SqsRecord,
    event: &OutgoingEvent,
    batch: Option<SpanContext>,
) -> Span {
    if !are_recorded() {
        return Span::none();
    }
    let event = sender(event).as_ref().and_then(Trace::context);
    let name = || "send webhook".to_owned();
    let at_ms = clock.now_ms();
    let mut span = Span::under(SpanKind::Consumer, name, event, at_ms);
    record.describe_one(&mut span, event.into_iter().chain(batch));
    span
}

fn sender(event: &OutgoingEvent) -> Option<Trace> {
    Trace::sent(&event.traceparent())
}
