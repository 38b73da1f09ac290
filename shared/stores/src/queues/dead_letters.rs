//! Dead letters: an operator reads them and moves them back.

use std::collections::HashMap;
use std::error::Error;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageAttributeValue,
    MessageSystemAttributeName, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    QueueAttributeName,
};

use super::{Queue, QueueError};

/// How long SQS waits for a message. With any wait it asks all of its servers, so that an empty
/// answer means an empty queue.
const WAIT_S: i32 = 2;
/// The most messages of one call.
const BATCH_MAX: usize = 10;
/// The most attributes that a message may have.
const ATTRIBUTES_MAX: usize = 10;
/// How the names of FIFO queues end.
const FIFO: &str = ".fifo";

/// The approximate number of messages in a queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeadLetterCounts {
    /// Those that can be received.
    pub visible: u64,
    /// Those that are hidden, since they were received a moment ago.
    pub hidden: u64,
}

/// A dead letter, as it was received.
#[derive(Clone, Debug)]
pub struct DeadLetter(Message);

impl DeadLetter {
    /// SQS's id of it, which it had in the queue before, too.
    pub fn id(&self) -> &str {
        self.0.message_id().unwrap_or_default()
    }

    /// Its text.
    pub fn body(&self) -> &str {
        self.0.body().unwrap_or_default()
    }

    /// An attribute that its sender set.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let attributes = self.0.message_attributes()?;
        attributes.get(name)?.string_value()
    }

    /// When it was first sent, in Unix milliseconds. SQS keeps this time when it moves a message
    /// here.
    pub fn sent_at_ms(&self) -> Option<i64> {
        self.system(&MessageSystemAttributeName::SentTimestamp)?
            .parse()
            .ok()
    }

    /// Whether SQS put it here because it was received too often, and no other service or person.
    pub fn was_received_too_often(&self) -> bool {
        self.system(&MessageSystemAttributeName::DeadLetterQueueSourceArn)
            .is_some()
    }

    fn system(&self, name: &MessageSystemAttributeName) -> Option<&str> {
        self.0.attributes()?.get(name).map(String::as_str)
    }

    /// Its attributes, and one that says that it was sent again: the ledger of notices then settles
    /// it.
    fn attributes_to_send(&self) -> HashMap<String, MessageAttributeValue> {
        let mut attributes = self.0.message_attributes.clone().unwrap_or_default();
        let again = MessageAttributeValue::builder()
            .data_type("String")
            .string_value("true")
            .build();
        if attributes.len() < ATTRIBUTES_MAX
            && let Ok(again) = again
        {
            attributes
                .entry(Queue::REDRIVEN.to_owned())
                .or_insert(again);
        }
        attributes
    }
}

/// A dead-letter queue, and the queue before it. A message is moved by sending it back and then
/// deleting it. After a crash in between, it is in both.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    client: Client,
    dead: String,
    source: String,
}

impl DeadLetters {
    /// How long a received message is hidden: enough for a batch with slow calls, at a second for
    /// each message. A message that another process sees earlier is moved twice, which does no
    /// harm.
    pub const HIDDEN_S: i32 = 300;

    /// Both by their URLs.
    pub fn new(client: Client, dead: impl Into<String>, source: impl Into<String>) -> Self {
        Self {
            client,
            dead: dead.into(),
            source: source.into(),
        }
    }

    /// The dead-letter queue.
    pub fn dead_url(&self) -> &str {
        &self.dead
    }

    /// The queue before it.
    pub fn source_url(&self) -> &str {
        &self.source
    }

    /// The approximate number of dead letters.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn counts(&self) -> Result<DeadLetterCounts, QueueError> {
        let (visible, hidden) = (
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        );
        let asked = self.client.get_queue_attributes().queue_url(&self.dead);
        let asked = asked
            .attribute_names(visible.clone())
            .attribute_names(hidden.clone());
        let answer = asked.send().await;
        let answer = answer.map_err(|error| refused(&self.dead, error))?;
        let count = |name: &QueueAttributeName| {
            let text = answer.attributes().and_then(|answer| answer.get(name));
            text.and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        Ok(DeadLetterCounts {
            visible: count(&visible),
            hidden: count(&hidden),
        })
    }

    /// Some of the dead letters, hidden for [`Self::HIDDEN_S`]; none if the queue has none to be
    /// seen.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn receive(&self, most: i32) -> Result<Vec<DeadLetter>, QueueError> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.dead)
            .max_number_of_messages(most)
            .visibility_timeout(Self::HIDDEN_S)
            .wait_time_seconds(WAIT_S)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await;
        let received = received.map_err(|error| refused(&self.dead, error))?;
        let messages = received.messages.unwrap_or_default();
        Ok(messages.into_iter().map(DeadLetter).collect())
    }

    /// Sends a message unchanged to the queue that it came from. Returns its id there.
    ///
    /// # Errors
    /// [`QueueError`]: it may be there nevertheless.
    pub async fn send_back(&self, letter: &DeadLetter) -> Result<String, QueueError> {
        let system = |name| letter.system(&name).map(ToOwned::to_owned);
        let mut send = self
            .client
            .send_message()
            .queue_url(&self.source)
            .set_message_body(letter.0.body.clone())
            .set_message_attributes(Some(letter.attributes_to_send()))
            .set_message_group_id(system(MessageSystemAttributeName::MessageGroupId));
        if self.source.ends_with(FIFO) {
            // If a run sent it and crashed, SQS recognises the repeat by this id for five minutes.
            let id = system(MessageSystemAttributeName::MessageDeduplicationId);
            send = send.set_message_deduplication_id(id);
        }
        if let Some(trace) = system(MessageSystemAttributeName::AwsTraceHeader) {
            let value = MessageSystemAttributeValue::builder()
                .data_type("String")
                .string_value(trace)
                .build()
                .map_err(|error| failed(&self.source, None, error.into()))?;
            send = send.message_system_attributes(
                MessageSystemAttributeNameForSends::AwsTraceHeader,
                value,
            );
        }
        let sent = send.send().await;
        let sent = sent.map_err(|error| refused(&self.source, error))?;
        Ok(sent.message_id.unwrap_or_default())
    }

    /// Deletes a message that was received.
    ///
    /// # Errors
    /// [`QueueError`]: it is seen again when its time is over.
    pub async fn delete(&self, letter: &DeadLetter) -> Result<(), QueueError> {
        let deleted = self
            .client
            .delete_message()
            .queue_url(&self.dead)
            .set_receipt_handle(letter.0.receipt_handle.clone())
            .send()
            .await;
        deleted.map_err(|error| refused(&self.dead, error))?;
        Ok(())
    }

    /// Makes received messages visible again.
    ///
    /// # Errors
    /// [`QueueError`]: they are seen when their time is over.
    pub async fn show_again(&self, letters: &[DeadLetter]) -> Result<(), QueueError> {
        for batch in letters.chunks(BATCH_MAX) {
            let entries = batch.iter().enumerate().map(|(position, letter)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(position.to_string())
                    .set_receipt_handle(letter.0.receipt_handle.clone())
                    .visibility_timeout(0)
                    .build()
            });
            let changed = self
                .client
                .change_message_visibility_batch()
                .queue_url(&self.dead)
                .set_entries(Some(entries.filter_map(Result::ok).collect()))
                .send()
                .await;
            changed.map_err(|error| refused(&self.dead, error))?;
        }
        Ok(())
    }
}

fn refused<E>(queue: &str, error: E) -> QueueError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let code = error.code().map(ToOwned::to_owned);
    failed(queue, code, error.into())
}

fn failed(queue: &str, code: Option<String>, source: Box<dyn Error + Send + Sync>) -> QueueError {
    QueueError {
        queue: queue.to_owned(),
        code,
        source,
    }
}
