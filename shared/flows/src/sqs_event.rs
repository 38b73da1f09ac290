//! The event that SQS gives to Lambda (the fields in use), the answer that it expects, and the
//! processing of a batch.
//!
//! Bodies stay text here: one body that cannot be read must not fail the batch it came in.

use futures_util::{StreamExt, stream};
use runtime::{
    clock::Clock,
    spans::{Span, SpanKind, has_place},
};
use serde::{Deserialize, Serialize};
use tracing::{debug, info, warn};

use crate::verdict::Verdict;

pub use crate::sqs_record::{Follows, MessageAttribute, SqsRecord, SystemAttributes};

#[derive(Clone, Debug, Deserialize)]
pub struct SqsBatch {
    /// Its messages, all of one queue.
    #[serde(rename = "Records")]
    pub records: Vec<SqsRecord>,
}

/// The messages to be delivered again (`ReportBatchItemFailures`).
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// The failed ones. An empty list means that all are done.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// One message to be delivered again.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    pub item_identifier: String,
}

impl SqsBatch {
    /// The span of the work on a batch: a trace of its own with a link to what each message
    /// follows, since the messages have nothing else in common. There is none if nobody wants the
    /// spans of any of them.
    pub fn span(&self, clock: &Clock, follows: impl Fn(&SqsRecord) -> Follows) -> Span {
        if !has_place() {
            return Span::none();
        }
        let follows: Vec<Follows> = self.records.iter().map(follows).collect();
        if !follows.is_empty() && follows.iter().all(|one| *one == Follows::Unrecorded) {
            return Span::none();
        }
        let name = || match self.records.first() {
            Some(record) => format!("process {}", record.queue()),
            None => "process".to_owned(),
        };
        let mut span = Span::root(SpanKind::Consumer, name, clock.now_ms());
        if let Some(record) = self.records.first() {
            record.describe(&mut span);
        }
        span.set("messaging.batch.message_count", self.records.len());
        for one in follows {
            match one {
                Follows::Span(context) => span.link_to(context),
                Follows::Nothing | Follows::Unrecorded => {}
            }
        }
        span
    }
}

/// Ends the span of the work on a message.
pub fn end_message_span(mut span: Span, verdict: Verdict, at_ms: i64) {
    match verdict {
        Verdict::Done => {}
        Verdict::Retry => span.fails("retry"),
    }
    span.end(at_ms);
}

/// Processes a batch: each record on its own, `side_by_side` at a time, with a verdict for each. No
/// record is started with less than `least_ms` left before `deadline_ms` (Unix milliseconds): it
/// would be cut off in the middle, and its message would be delivered again anyway.
pub async fn work_off(
    batch: SqsBatch,
    clock: &Clock,
    deadline_ms: i64,
    least_ms: i64,
    side_by_side: usize,
    work: impl AsyncFn(&SqsRecord) -> Verdict,
) -> BatchResponse {
    let count = batch.records.len();
    let work = &work;
    let verdicts = stream::iter(batch.records).map(|record| async move {
        let verdict = if deadline_ms.saturating_sub(clock.now_ms()) < least_ms {
            warn!(
                message_id = record.message_id,
                "no time left in this invocation: the message comes again"
            );
            Verdict::Retry
        } else {
            work(&record).await
        };
        (record.message_id, verdict)
    });
    let verdicts: Vec<(String, Verdict)> = verdicts.buffer_unordered(side_by_side).collect().await;
    let batch_item_failures: Vec<BatchItemFailure> = verdicts
        .into_iter()
        .filter_map(|(item_identifier, verdict)| match verdict {
            Verdict::Done => None,
            Verdict::Retry => Some(BatchItemFailure { item_identifier }),
        })
        .collect();
    // Each message has a line of its own. The batch gets one where some of it comes again.
    if batch_item_failures.is_empty() {
        debug!(count, "batch done");
    } else {
        info!(count, failed = batch_item_failures.len(), "batch done");
    }
    BatchResponse {
        batch_item_failures,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_as_lambda_hands_it_over() {
        let event = include_str!("../../../tests/fixtures/events/process-payment.json");
        let batch: SqsBatch = serde_json::from_str(&event.replace(
            r#""ApproximateReceiveCount": "1""#,
            r#""ApproximateReceiveCount": "3""#,
        ))
        .unwrap();
        let record = &batch.records[0];
        assert_eq!(record.message_id, "11111111-1111-4111-8111-111111111111");
        assert_eq!(record.receipt_handle, "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a");
        assert_eq!(record.body, "not a message of ours");
        assert_eq!(record.receive_count(), 3);
        assert!(record.message_attributes.is_empty());
    }

    #[test]
    fn an_answer_has_the_shape_that_lambda_expects() {
        let failed = BatchResponse {
            batch_item_failures: vec![BatchItemFailure {
                item_identifier: "m".to_owned(),
            }],
        };
        assert_eq!(
            serde_json::to_string(&failed).unwrap(),
            r#"{"batchItemFailures":[{"itemIdentifier":"m"}]}"#
        );
    }
}
