//! One message as SQS gives it to Lambda (the fields in use).

use std::collections::HashMap;

use runtime::{
    random::Random,
    spans::{Span, SpanContext, SpanKind},
};
use serde::Deserialize;

use crate::trace::Trace;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsRecord {
    /// SQS's id of the message. Required: an empty id in the answer would mean "the whole batch
    /// failed".
    pub message_id: String,
    /// Identifies this receipt of it, for [`stores::queues::Queue::come_back_in`].
    pub receipt_handle: String,
    /// The ARN of its queue.
    #[serde(default, rename = "eventSourceARN")]
    pub queue_arn: Option<String>,
    pub body: String,
    /// What SQS says about it.
    #[serde(default)]
    pub attributes: SystemAttributes,
    /// The sender's own attributes.
    #[serde(default)]
    pub message_attributes: HashMap<String, MessageAttribute>,
}

/// SQS's attributes of a message (those in use).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SystemAttributes {
    /// How often it was received, as SQS writes it. See [`SqsRecord::receive_count`].
    pub approximate_receive_count: Option<String>,
    /// When it was sent, as SQS writes it. See [`SqsRecord::sent_at_ms`].
    pub sent_timestamp: Option<String>,
}

/// One attribute that the sender set.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageAttribute {
    /// Its value, if it is a text.
    pub string_value: Option<String>,
}

/// What a message follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Follows {
    /// Nothing that is known: its work begins a trace, which is recorded. A schedule's message.
    Nothing,
    /// A trace whose spans nobody wants kept.
    Unrecorded,
    Span(SpanContext),
}

impl Follows {
    /// By the sender's trace, if there is one.
    pub fn of(sender: Option<&Trace>) -> Self {
        sender.map_or(Self::Nothing, |sender| {
            sender.context().map_or(Self::Unrecorded, Self::Span)
        })
    }
}

impl SqsRecord {
    /// The sender's trace, or one that begins here.
    pub fn trace(&self, random: &Random) -> Trace {
        let (parent, state) = (self.text("traceparent"), self.text("tracestate"));
        Trace::from_headers(parent, state, random)
    }

    /// What the message follows, as its sender wrote it.
    pub fn follows(&self) -> Follows {
        Follows::of(self.text("traceparent").and_then(Trace::sent).as_ref())
    }

    /// The queue's name.
    pub(crate) fn queue(&self) -> &str {
        let arn = self.queue_arn.as_deref().unwrap_or_default();
        arn.rsplit(':').next().unwrap_or_default()
    }

    /// The span of the work on this message: under its sender's, with whose trace the journal and
    /// all that follows go on, and linked to the batch's. Its ids are this trace's until the work
    /// has its own.
    pub fn span(&self, trace: &Trace, batch: Option<SpanContext>, at_ms: i64) -> Span {
        let (ids, sender) = (trace.context(), trace.parents_context());
        let name = || "process message".to_owned();
        let span = Span::with_ids(SpanKind::Consumer, name, ids, sender, at_ms);
        let mut span = span.with_trace_state(trace.state());
        self.describe_one(&mut span, sender.into_iter().chain(batch));
        span
    }

    /// Says on a span that it is of this message, and what it is linked to.
    pub fn describe_one(&self, span: &mut Span, links: impl Iterator<Item = SpanContext>) {
        if !span.is_recorded() {
            return;
        }
        self.describe(span);
        span.set("messaging.message.id", self.message_id.as_str());
        span.set("messaging.message.delivery_count", self.receive_count());
        for other in links {
            span.link_to(other);
        }
    }

    pub(crate) fn describe(&self, span: &mut Span) {
        span.set("messaging.system", "aws_sqs");
        span.set("messaging.destination.name", self.queue());
        span.set("messaging.operation.type", "process");
        span.set("messaging.operation.name", "process");
    }

    /// An attribute of the sender's, if it is a text.
    fn text(&self, name: &str) -> Option<&str> {
        self.message_attributes.get(name)?.string_value.as_deref()
    }

    /// When the message was sent, by SQS's clock (Unix milliseconds).
    pub fn sent_at_ms(&self) -> Option<i64> {
        self.attributes.sent_timestamp.as_deref()?.parse().ok()
    }

    /// How often the message was received, including this time. SQS counts approximately, and it
    /// also counts receipts whose record was never processed.
    pub fn receive_count(&self) -> u32 {
        let received = self.attributes.approximate_receive_count.as_deref();
        received.and_then(|count| count.parse().ok()).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_a_count_was_received_once() {
        let mut record: SqsRecord =
            serde_json::from_str(r#"{"messageId":"m","receiptHandle":"r","body":""}"#).unwrap();
        assert_eq!(record.receive_count(), 1);
        record.attributes.approximate_receive_count = Some("many".to_owned());
        assert_eq!(record.receive_count(), 1);
    }
}
