//! The SNS topic by which people on call get mail, and SMS where it exists.

use aws_sdk_sns::Client;
use runtime::aws::AwsError;

/// A topic by its ARN. It is never the one that alarms come from: what is published there would
/// come back.
#[derive(Clone, Debug)]
pub struct Topic {
    client: Client,
    arn: String,
}

/// SNS did not take a message, or its answer was lost.
#[derive(Debug, thiserror::Error)]
#[error("the topic did not take the message")]
pub struct TopicError(#[source] AwsError);

/// The longest subject of a mail, in characters. A subject is ASCII without line breaks.
const SUBJECT_MAX: usize = 100;

impl Topic {
    /// The topic.
    pub fn new(client: Client, arn: impl Into<String>) -> Self {
        Self {
            client,
            arn: arn.into(),
        }
    }

    /// Publishes a text; the beginning of its first line is the subject of mails.
    ///
    /// # Errors
    /// [`TopicError`].
    pub async fn publish(&self, text: &str) -> Result<(), TopicError> {
        let subject: String = text
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .filter(|letter| letter.is_ascii_graphic() || *letter == ' ')
            .take(SUBJECT_MAX)
            .collect();
        self.client
            .publish()
            .topic_arn(&self.arn)
            .subject(subject)
            .message(text)
            .send()
            .await
            .map_err(|error| TopicError(AwsError::new("Publish", error)))?;
        Ok(())
    }
}

impl TopicError {
    /// The code that AWS gave, or a word for what happened, for people.
    pub fn name(&self) -> &str {
        self.0.code().unwrap_or("no answer")
    }
}
