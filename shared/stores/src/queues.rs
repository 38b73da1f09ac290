//! The two queues in front of `process-payment`, the ones in front of `send-webhook` and of
//! `reconcile`, and the messages in them.
//!
//! A message body is a tagged, versioned enum: an older message can still be read after a deploy,
//! and an unknown kind is distinguished from a damaged message. A queue never contains readable
//! data about a payer: a callback stays encrypted as received, a payment request is an order
//! number, and an event has no such data.
//!
//! A message that failed comes again when it is visible again; [`Queue::come_back_in`] says when
//! that is.

mod dead_letters;
mod message;

use std::error::Error;

use aws_sdk_sqs::{
    Client, error::ProvideErrorMetadata,
    operation::send_message::builders::SendMessageFluentBuilder, types::MessageAttributeValue,
};
use payments::rules::webhook::OutgoingEvent;

pub use dead_letters::{DeadLetter, DeadLetterCounts, DeadLetters};
pub use message::{EventKind, PaymentRequest, PaymentResult, ReconcileWork, WebhookMessage};

/// The call to SQS failed, or its answer was lost. A message may still be in the queue.
#[derive(Debug, thiserror::Error)]
#[error("queue {queue} did not confirm what it was asked to do with a message")]
pub struct QueueError {
    queue: String,
    /// The service's error code, if it answered with one.
    code: Option<String>,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl QueueError {
    /// SQS's own code for its refusal, such as `AccessDenied`, if it answered with one.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
}

/// One queue: sends messages and sets when a message is delivered again.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
}

/// The trace that a message carries on, as W3C's headers name it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TraceHeaders {
    pub traceparent: String,
    pub tracestate: Option<String>,
}

impl From<&str> for TraceHeaders {
    fn from(traceparent: &str) -> Self {
        Self {
            traceparent: traceparent.to_owned(),
            tracestate: None,
        }
    }
}

impl Queue {
    /// The attribute of a message that [`Queue::redrive`] sent: it has failed before, although SQS
    /// counts from 1 again.
    pub const REDRIVEN: &str = "redriven";

    /// SQS delays a message by 15 minutes at most.
    const DELAY_S_MAX: i64 = 900;

    /// SQS hides a message at most until 12 hours after it was received, and refuses more. A
    /// function may have used up to a quarter of an hour of that, which is the longest that one
    /// runs.
    const HIDDEN_S_MAX: i32 = 43_200 - 900;

    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
        }
    }

    /// Sends a payment request, to be seen after `delay_s` seconds. Returns when SQS has it.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn send_request(
        &self,
        request: &PaymentRequest,
        delay_s: i64,
        trace: impl Into<TraceHeaders>,
    ) -> Result<(), QueueError> {
        self.send(serde_json::to_string(request), delay_s, trace, None)
            .await
    }

    /// Sends a piece of a reconciliation, to be seen after `delay_s` seconds. Returns when SQS has
    /// it.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn send_reconcile(
        &self,
        work: &ReconcileWork,
        delay_s: i64,
        trace: impl Into<TraceHeaders>,
    ) -> Result<(), QueueError> {
        self.send(serde_json::to_string(work), delay_s, trace, None)
            .await
    }

    /// Sends a callback to the queue. Returns when SQS has it: only then may WeChat Pay get a
    /// success answer.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn send_result(
        &self,
        result: &PaymentResult,
        trace: impl Into<TraceHeaders>,
    ) -> Result<(), QueueError> {
        self.send(serde_json::to_string(result), 0, trace, None)
            .await
    }

    /// Sends a stored message again byte for byte, because an operator asks for it. For SQS it is a
    /// new message with all its attempts; its attribute [`Queue::REDRIVEN`] marks it.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn redrive(
        &self,
        message: &str,
        trace: impl Into<TraceHeaders>,
    ) -> Result<(), QueueError> {
        let again = (Self::REDRIVEN, "true");
        self.send(Ok(message.to_owned()), 0, trace, Some(again))
            .await
    }

    /// Sends an event to its order's client again. Returns when SQS has it.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn send_webhook(
        &self,
        event: &OutgoingEvent,
        trace: impl Into<TraceHeaders>,
    ) -> Result<(), QueueError> {
        let message = WebhookMessage {
            kind: EventKind::OrderChanged,
            detail: event.clone(),
            replay: true,
        };
        let body = serde_json::to_string(&message).map_err(|error| self.failed(error.into()))?;
        // As the rule of the bus does: SQS lets no client's events fill all lanes.
        let message = self
            .message(body, 0, trace, None)?
            .message_group_id(event.client_id.as_str());
        self.hand_over(message).await
    }

    /// Puts away what a function that is called asynchronously will never be done with, in the form
    /// in which Lambda leaves an event there that failed three times: its bytes, and why. This is a
    /// dead-letter queue.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn put_away(&self, event: String, why: &str) -> Result<(), QueueError> {
        let why = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(why)
            .build()
            .map_err(|error| self.failed(error.into()))?;
        let message = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(within_xml(event))
            .message_attributes("ErrorMessage", why);
        self.hand_over(message).await
    }

    /// Hides a message that was received for `after_s` seconds from now; then it comes again,
    /// unless it was deleted, or has been received as often as the queue allows and goes to its
    /// dead-letter queue. `receipt_handle` is the one of its latest receipt.
    ///
    /// # Errors
    /// [`QueueError`]: it comes again after the queue's own visibility time-out.
    pub async fn come_back_in(&self, receipt_handle: &str, after_s: i32) -> Result<(), QueueError> {
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt_handle)
            .visibility_timeout(after_s.clamp(0, Self::HIDDEN_S_MAX))
            .send()
            .await
            .map_err(|error| self.failed(error.into()))?;
        Ok(())
    }

    async fn send(
        &self,
        body: Result<String, serde_json::Error>,
        delay_s: i64,
        trace: impl Into<TraceHeaders>,
        more: Option<(&str, &str)>,
    ) -> Result<(), QueueError> {
        let body = body.map_err(|error| self.failed(error.into()))?;
        self.hand_over(self.message(body, delay_s, trace, more)?)
            .await
    }

    fn message(
        &self,
        body: String,
        delay_s: i64,
        trace: impl Into<TraceHeaders>,
        more: Option<(&str, &str)>,
    ) -> Result<SendMessageFluentBuilder, QueueError> {
        let body = within_xml(body);
        let delay_s = i32::try_from(delay_s.clamp(0, Self::DELAY_S_MAX)).unwrap_or_default();
        let mut message = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .delay_seconds(delay_s);
        let TraceHeaders {
            traceparent,
            tracestate,
        } = trace.into();
        let tracestate = tracestate.as_deref().map(|state| ("tracestate", state));
        let trace = [("traceparent", traceparent.as_str())];
        for (name, value) in more.into_iter().chain(trace).chain(tracestate) {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .map_err(|error| self.failed(error.into()))?;
            message = message.message_attributes(name, value);
        }
        Ok(message)
    }

    async fn hand_over(&self, message: SendMessageFluentBuilder) -> Result<(), QueueError> {
        message.send().await.map_err(|error| {
            let code = error.code().map(str::to_owned);
            let failed = self.failed(error.into());
            QueueError { code, ..failed }
        })?;
        Ok(())
    }

    fn failed(&self, source: Box<dyn Error + Send + Sync>) -> QueueError {
        QueueError {
            queue: self.url.clone(),
            code: None,
            source,
        }
    }
}

/// The same JSON without the two characters that JSON does not escape and SQS does not allow. SQS
/// would silently replace them, and a callback would no longer match its signature. They can only
/// occur within a text, where an escape means the same.
fn within_xml(json: String) -> String {
    if json.contains(['\u{fffe}', '\u{ffff}']) {
        json.replace('\u{fffe}', "\\ufffe")
            .replace('\u{ffff}', "\\uffff")
    } else {
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wechatpay::verify::SignedHeaders;

    #[test]
    fn characters_that_sqs_would_change_are_escaped_and_read_as_they_were() {
        let result = PaymentResult::CallbackV1 {
            headers: SignedHeaders {
                timestamp: "1".to_owned(),
                nonce: "n\u{0}".to_owned(),
                serial: "S".to_owned(),
                signature: "s".to_owned(),
                signature_type: None,
            },
            body: "{\"a\":\"\u{fffe}\u{ffff}\u{1f375}\t\"}".to_owned(),
            request_id: Some("08E6B1A8-0".to_owned()),
        };
        let sent = within_xml(serde_json::to_string(&result).unwrap());
        let is_taken =
            |letter| matches!(letter, ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        assert!(sent.chars().all(is_taken), "{sent}");
        let read = PaymentResult::parse(&sent).unwrap();
        assert_eq!(read, result);
    }
}
