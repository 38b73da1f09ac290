//! What a change comes from.

use payments::model::{
    ids::OrderNo,
    journal::{Cause, ChangeContext, Delivery, Event},
};
use runtime::spans::{Span, SpanContext, SpanKind, are_recorded};
use wechatpay::UnixSeconds;

use crate::{sqs_record::SqsRecord, trace::Trace};

/// Why something is done, and under which trace. The events of all its changes record both.
#[derive(Clone, Debug)]
pub struct Origin {
    pub cause: Cause,
    /// Its span is that of the work that the cause started.
    pub trace: Trace,
    received: Option<Received>,
}

/// The receipt of a message that is the cause.
#[derive(Clone, Copy, Debug)]
struct Received {
    sent_at_ms: i64,
    began_at_ms: i64,
    count: u32,
}

impl Origin {
    /// Work that no message started.
    pub fn new(cause: Cause, trace: &Trace) -> Self {
        let trace = trace.of_work(&cause, 1);
        Self {
            cause,
            trace,
            received: None,
        }
    }

    /// Work that a message started, whose processing began at this time.
    pub fn of_message(cause: Cause, trace: &Trace, record: &SqsRecord, began_at_ms: i64) -> Self {
        let count = record.receive_count();
        Self {
            trace: trace.of_work(&cause, count),
            cause,
            received: Some(Received {
                sent_at_ms: record.sent_at_ms().unwrap_or(began_at_ms),
                began_at_ms,
                count,
            }),
        }
    }

    /// What all events of a change that is decided at this time (Unix milliseconds) share.
    pub fn change_context(&self, at_ms: i64) -> ChangeContext {
        ChangeContext {
            cause: self.cause.clone(),
            trace: self.trace.id().to_owned(),
            is_sampled: self.trace.is_sampled(),
            at: UnixSeconds(at_ms.div_euclid(1000)),
            millisecond: u16::try_from(at_ms.rem_euclid(1000)).ok(),
            delivery: self.received.map(|received| Delivery {
                queued_ms: between(received.sent_at_ms, received.began_at_ms),
                worked_ms: between(received.began_at_ms, at_ms),
                received: received.count,
            }),
            request_id: None,
        }
    }
}

/// Records the span of an event that was written. Its id is the one that messages and webhooks name
/// as their parent. `before` is the order's latest event until then: if this one happened under
/// another trace, as a callback's does, it is linked to that one.
pub fn record_event(order_no: &OrderNo, event: &Event, before: Option<&Event>, origin: &Origin) {
    if !are_recorded() {
        return;
    }
    let at_ms = event.at_ms();
    let subject = event.subject.kind();
    let mut span = Span::child_with_ids(
        SpanKind::Internal,
        || format!("{subject} {}", event.to),
        origin.trace.of_event(order_no, event).context(),
        at_ms,
    );
    if let Some(from) = &event.from {
        span.set("wechatpay.state.from", from.as_str());
    }
    span.set("wechatpay.state.to", event.to.as_str());
    span.set("wechatpay.brought_by", event.cause.kind());
    let before = before.filter(|before| before.is_sampled && before.trace != event.trace);
    if let Some(before) = before.and_then(|before| context(order_no, before)) {
        span.link_to(before);
    }
    span.end(at_ms);
}

/// The ids of an event's span.
fn context(order_no: &OrderNo, event: &Event) -> Option<SpanContext> {
    SpanContext::parse(&event.trace, &event.span_id(order_no))
}

/// SQS's clock may be ahead of ours.
fn between(from_ms: i64, until_ms: i64) -> u32 {
    u32::try_from(until_ms.saturating_sub(from_ms).max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use runtime::random::Random;

    use super::*;

    fn record(sent_at_ms: i64) -> SqsRecord {
        let record = serde_json::json!({
            "messageId": "m-1",
            "receiptHandle": "r",
            "body": "",
            "attributes": {"ApproximateReceiveCount": "3", "SentTimestamp": sent_at_ms.to_string()},
        });
        serde_json::from_value(record).expect("a record")
    }

    #[test]
    fn an_event_of_a_message_says_how_long_it_waited_and_was_worked_on() {
        let (trace, cause) = (
            Trace::new(&Random::system()),
            Cause::Message("m-1".to_owned()),
        );
        let origin = Origin::of_message(cause.clone(), &trace, &record(1_000), 61_500);
        let context = origin.change_context(61_752);
        assert_eq!(
            (context.at, context.millisecond),
            (UnixSeconds(61), Some(752))
        );
        let delivery = Delivery {
            queued_ms: 60_500,
            worked_ms: 252,
            received: 3,
        };
        assert_eq!(context.delivery, Some(delivery));
        assert_eq!(origin.trace, trace.of_work(&cause, 3));
    }

    #[test]
    fn a_clock_of_sqs_that_is_ahead_gives_no_wait() {
        let trace = Trace::new(&Random::system());
        let cause = Cause::Message("m-1".to_owned());
        let origin = Origin::of_message(cause, &trace, &record(5_000), 4_990);
        let delivery = origin.change_context(4_991).delivery.expect("a message");
        assert_eq!((delivery.queued_ms, delivery.worked_ms), (0, 1));
    }
}
