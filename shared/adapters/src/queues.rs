//! The two queues in front of `process-payment`, and the messages in them.
//!
//! A message body is a tagged, versioned enum: an older message is still read after a deploy, and one that nobody knows is
//! told apart from one that is damaged. Nothing readable about a payer ever lies in a queue: a callback is carried as it
//! came, still encrypted, and a payment request is an order number.

use std::error::Error;

use aws_sdk_sqs::{Client, types::MessageAttributeValue};
use payments::ids::OrderNo;
use serde::{Deserialize, Serialize};
use wechatpay::verify::SignedHeaders;

/// A message in `payment-requests`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "v")]
pub enum PaymentRequest {
    /// Get a prepay value for this order.
    #[serde(rename = "issue.v1")]
    IssueV1 {
        /// The order.
        order_no: OrderNo,
    },
}

/// A message in `payment-results`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "v")]
pub enum PaymentResult {
    /// A callback as WeChat Pay sent it. It is verified again when it is taken out: who can write to the queue still cannot
    /// make an order paid.
    #[serde(rename = "callback.v1")]
    CallbackV1 {
        /// The four signed headers.
        headers: SignedHeaders,
        /// The body, byte for byte (it verified as JSON, so it is text).
        body: String,
    },
}

/// SQS did not take a message, or did not say so. It may be in the queue all the same.
#[derive(Debug, thiserror::Error)]
#[error("queue {queue} did not confirm the message")]
pub struct QueueError {
    queue: String,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

/// One queue, to be sent to.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
}

impl Queue {
    /// The attribute of a message that [`Queue::redrive`] sent: it has failed before, although SQS counts from 1 again.
    pub const REDRIVEN: &str = "redriven";

    /// SQS delays a message by 15 minutes at most.
    const DELAY_S_MAX: i64 = 900;

    /// The queue by its URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
        }
    }

    /// Sends a request for a prepay value, to be seen after `delay_s` seconds. Returns when SQS has it.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn send_request(
        &self,
        request: &PaymentRequest,
        delay_s: i64,
        traceparent: &str,
    ) -> Result<(), QueueError> {
        self.send(serde_json::to_string(request), delay_s, traceparent, None)
            .await
    }

    /// Sends a callback on. Returns when SQS has it: only then may WeChat Pay be told that it arrived.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn send_result(
        &self,
        result: &PaymentResult,
        traceparent: &str,
    ) -> Result<(), QueueError> {
        self.send(serde_json::to_string(result), 0, traceparent, None)
            .await
    }

    /// Sends a message that was kept, once more and byte for byte, because a person asks for it. For SQS it is a new message
    /// that has all its tries before it; its attribute [`Queue::REDRIVEN`] says what it is.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn redrive(&self, message: &str, traceparent: &str) -> Result<(), QueueError> {
        let again = (Self::REDRIVEN, "true");
        self.send(Ok(message.to_owned()), 0, traceparent, Some(again))
            .await
    }

    async fn send(
        &self,
        body: Result<String, serde_json::Error>,
        delay_s: i64,
        traceparent: &str,
        more: Option<(&str, &str)>,
    ) -> Result<(), QueueError> {
        let failed = |source: Box<dyn Error + Send + Sync>| QueueError {
            queue: self.url.clone(),
            source,
        };
        let body = body.map_err(|error| failed(error.into()))?;
        let delay_s = i32::try_from(delay_s.clamp(0, Self::DELAY_S_MAX)).unwrap_or_default();
        let mut message = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .delay_seconds(delay_s);
        for (name, value) in more.into_iter().chain([("traceparent", traceparent)]) {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .map_err(|error| failed(error.into()))?;
            message = message.message_attributes(name, value);
        }
        message.send().await.map_err(|error| failed(error.into()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_shape_on_the_wire() {
        let request = PaymentRequest::IssueV1 {
            order_no: OrderNo::parse("ORDER-1").unwrap(),
        };
        assert_eq!(
            serde_json::to_string(&request).unwrap(),
            r#"{"v":"issue.v1","order_no":"ORDER-1"}"#
        );
        assert!(serde_json::from_str::<PaymentRequest>(r#"{"v":"issue.v2"}"#).is_err());
        assert!(
            serde_json::from_str::<PaymentResult>(r#"{"v":"issue.v1","order_no":"ORDER-1"}"#)
                .is_err(),
            "a message of the other queue"
        );
    }
}
