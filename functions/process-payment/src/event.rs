//! The event that SQS gives to Lambda, as far as it is used, and the answer that it expects.
//!
//! Bodies stay text here: one body that cannot be read must not fail the batch it came in.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// A batch.
#[derive(Clone, Debug, Deserialize)]
pub struct Batch {
    /// Its messages, all of one queue.
    #[serde(rename = "Records")]
    pub records: Vec<Record>,
}

/// A message.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// SQS's id of the message. Required: an empty id in the answer would mean "the whole batch failed".
    pub message_id: String,
    /// What was sent.
    pub body: String,
    /// What the sender said besides.
    #[serde(default)]
    pub message_attributes: HashMap<String, MessageAttribute>,
}

/// One attribute that the sender set.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageAttribute {
    /// Its value, if it is a text.
    pub string_value: Option<String>,
}

/// Which messages come again (`ReportBatchItemFailures`).
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The failed ones. None means that all are done.
    pub batch_item_failures: Vec<Failure>,
}

/// One message that comes again.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Its id.
    pub item_identifier: String,
}

impl Record {
    /// The trace that the sender works under.
    pub fn traceparent(&self) -> Option<&str> {
        self.message_attributes
            .get("traceparent")?
            .string_value
            .as_deref()
    }
}
