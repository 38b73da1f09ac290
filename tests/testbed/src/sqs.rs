//! SQS in this process, on a clock of the test's.
//!
//! Real queues follow the machine's clock, so a message that is delivered again after an hour would
//! take an hour, and a run could not be repeated step by step. Here delays, visibility time-outs
//! and the dead-letter queue do what they do at AWS, in milliseconds that pass when the test moves
//! the clock. The queues are those of the template.

#![expect(
    clippy::expect_used,
    reason = "what a test cannot do without ends the test, with what it was"
)]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::reply::Reply;
use crate::template::{QueueLimits, queue_limits};

/// A message that was received may be hidden until so long after, in milliseconds: 12 hours.
const HIDDEN_MS_MAX: i64 = 43_200_000;

/// A message in a queue.
#[derive(Clone, Debug)]
pub struct SqsMessage {
    /// Its id.
    pub id: String,
    /// What it says.
    pub body: String,
    /// Whose it is, for queues that are fair.
    pub group_id: Option<String>,
    /// As they were sent: `{"traceparent": {"StringValue": ..., "DataType": "String"}}`.
    pub attributes: Value,
    /// When it was sent.
    pub sent_ms: i64,
    /// When it is seen (again).
    pub visible_ms: i64,
    /// When it was received last.
    pub received_ms: i64,
    /// How often it was received.
    pub receive_count: u32,
    /// Names this receipt of it; empty before the first.
    pub receipt: String,
}

impl SqsMessage {
    /// The text of one of its attributes.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.get("StringValue")?.as_str()
    }

    /// The message as Lambda hands it to a function, out of the queue at `url`.
    pub fn record(&self, url: &str) -> Value {
        let attributes = self.attributes.as_object().into_iter().flatten();
        let attributes = attributes.map(|(name, value)| {
            let value = json!({
                "stringValue": value.get("StringValue"),
                "dataType": value.get("DataType"),
            });
            (name.clone(), value)
        });
        json!({
            "messageId": self.id,
            "receiptHandle": self.receipt,
            "body": self.body,
            "attributes": {
                "ApproximateReceiveCount": self.receive_count.to_string(),
                "SentTimestamp": self.sent_ms.to_string(),
            },
            "messageAttributes": attributes.collect::<Map<_, _>>(),
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:{}", name_in(url)),
            "awsRegion": "us-east-1",
        })
    }
}

/// All queues of one test, by their URLs.
#[derive(Default)]
pub struct SqsEngine {
    queues: BTreeMap<String, Queue>,
    made: u64,
    ignores_delays: bool,
    hidden_s: Vec<i64>,
}

struct Queue {
    limits: QueueLimits,
    messages: Vec<SqsMessage>,
    dead: Vec<SqsMessage>,
    /// The bodies of all messages that were ever taken.
    taken: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    queue_url: String,
    #[serde(default)]
    message_body: String,
    #[serde(default)]
    delay_seconds: i64,
    #[serde(default)]
    message_attributes: Value,
    #[serde(default)]
    message_group_id: Option<String>,
    #[serde(default)]
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: i64,
}

impl SqsEngine {
    /// From now on a message that is to wait is seen at once: for a test whose queues stand still.
    pub fn ignore_delays(&mut self) {
        self.ignores_delays = true;
    }

    /// Does what a request asks for, at `now_ms`.
    pub(crate) fn answer(&mut self, operation: &str, body: &str, now_ms: i64) -> Reply {
        let request: Request = serde_json::from_str(body).expect("a request of the SDK's");
        if queue_limits(name_in(&request.queue_url)).is_none() {
            return Reply::bad("AWS.SimpleQueueService.NonExistentQueue");
        }
        // SendMessage takes 1 to 128 letters, digits and punctuation marks, all of ASCII.
        if request.message_group_id.as_ref().is_some_and(|id| {
            !(1..=128).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_graphic())
        }) {
            return Reply::bad("InvalidParameterValue");
        }
        match operation {
            "SendMessage" => Reply::good(json!({"MessageId": self.take(request, now_ms)})),
            "ChangeMessageVisibility" => self.hide(&request, now_ms),
            _ => Reply::bad("AWS.SimpleQueueService.UnsupportedOperation"),
        }
    }

    fn hide(&mut self, request: &Request, now_ms: i64) -> Reply {
        self.hidden_s.push(request.visibility_timeout);
        let mut messages = self.queue(&request.queue_url).messages.iter_mut();
        let message = messages.find(|message| {
            !message.receipt.is_empty() && message.receipt == request.receipt_handle
        });
        let Some(message) = message else {
            return Reply::bad("ReceiptHandleIsInvalid");
        };
        let visible_ms = now_ms + request.visibility_timeout * 1000;
        if visible_ms - message.received_ms > HIDDEN_MS_MAX {
            return Reply::bad("InvalidParameterValue");
        }
        message.visible_ms = visible_ms;
        Reply::good(json!({}))
    }

    /// For how long the functions asked for messages to be hidden, in seconds, in order.
    pub fn hidden_s(&self) -> Vec<i64> {
        self.hidden_s.clone()
    }

    /// Takes a message that is sent by AWS itself, as a schedule does, or by a person.
    pub fn send(&mut self, url: &str, body: String, now_ms: i64) {
        let request = Request {
            queue_url: url.to_owned(),
            message_body: body,
            delay_seconds: 0,
            message_attributes: Value::Null,
            message_group_id: None,
            receipt_handle: String::new(),
            visibility_timeout: 0,
        };
        self.take(request, now_ms);
    }

    /// Takes a message; its id.
    fn take(&mut self, request: Request, now_ms: i64) -> String {
        self.made += 1;
        let id = format!("message-{}", self.made);
        let delay_s = if self.ignores_delays {
            0
        } else {
            request.delay_seconds
        };
        let queue = self.queue(&request.queue_url);
        queue.taken.push(request.message_body.clone());
        queue.messages.push(SqsMessage {
            id: id.clone(),
            body: request.message_body,
            group_id: request.message_group_id,
            attributes: request.message_attributes,
            sent_ms: now_ms,
            visible_ms: now_ms + delay_s * 1000,
            received_ms: now_ms,
            receive_count: 0,
            receipt: String::new(),
        });
        id
    }

    /// Receives up to `most` messages that are to be seen at `now_ms`, the oldest first. One that
    /// was received too often goes to the dead-letter queue instead. If `again`, all of them can be
    /// received once more at once: SQS delivers at least once.
    pub fn receive(&mut self, url: &str, most: usize, again: bool, now_ms: i64) -> Vec<SqsMessage> {
        let mut made = self.made;
        let Queue {
            limits,
            messages,
            dead,
            ..
        } = self.queue(url);
        let mut received = Vec::new();
        let mut left = Vec::with_capacity(messages.len());
        for mut message in std::mem::take(messages) {
            if message.visible_ms > now_ms || received.len() == most {
                left.push(message);
            } else if message.receive_count >= limits.max_receive_count {
                dead.push(message);
            } else {
                made += 1;
                message.receive_count += 1;
                message.received_ms = now_ms;
                let hidden_s = if again { 0 } else { limits.visibility_s };
                message.visible_ms = now_ms + hidden_s * 1000;
                message.receipt = format!("receipt-{made}");
                received.push(message.clone());
                left.push(message);
            }
        }
        *messages = left;
        self.made = made;
        received
    }

    /// Moves every message of a queue's dead-letter queue back: they are new messages there.
    pub fn move_back(&mut self, url: &str, now_ms: i64) {
        for message in std::mem::take(&mut self.queue(url).dead) {
            self.send(url, message.body, now_ms);
        }
    }

    /// Deletes a message, whatever received it last.
    pub fn delete(&mut self, url: &str, id: &str) {
        self.queue(url).messages.retain(|message| message.id != id);
    }

    /// A message that was received is seen again at once.
    pub fn show(&mut self, url: &str, id: &str) {
        let mut messages = self.queue(url).messages.iter_mut();
        if let Some(message) = messages.find(|message| message.id == id) {
            message.visible_ms = message.received_ms;
        }
    }

    /// Deletes every message of a queue.
    pub fn purge(&mut self, url: &str) {
        self.queue(url).messages.clear();
    }

    /// Changes the body of every message of a queue.
    pub fn rewrite(&mut self, url: &str, change: impl Fn(&str) -> String) {
        for message in &mut self.queue(url).messages {
            message.body = change(&message.body);
        }
    }

    /// The messages in all queues, with their queues' URLs.
    pub fn waiting(&self) -> Vec<(&str, &SqsMessage)> {
        self.each(|queue| &queue.messages)
    }

    /// The messages in all dead-letter queues, with the URLs of the queues they come from.
    pub fn dead(&self) -> Vec<(&str, &SqsMessage)> {
        self.each(|queue| &queue.dead)
    }

    /// The bodies of all messages that were ever taken into any queue, with the queues' URLs.
    pub fn taken(&self) -> Vec<(&str, &str)> {
        let bodies = self.each(|queue| &queue.taken).into_iter();
        bodies.map(|(url, body)| (url, body.as_str())).collect()
    }

    fn each<T>(&self, of: impl Fn(&Queue) -> &Vec<T>) -> Vec<(&str, &T)> {
        let queues = self.queues.iter();
        queues
            .flat_map(|(url, queue)| of(queue).iter().map(move |one| (url.as_str(), one)))
            .collect()
    }

    fn queue(&mut self, url: &str) -> &mut Queue {
        self.queues.entry(url.to_owned()).or_insert_with(|| Queue {
            limits: queue_limits(name_in(url)).expect("a queue of the template"),
            messages: Vec::new(),
            dead: Vec::new(),
            taken: Vec::new(),
        })
    }
}

/// A queue's name, with which its URL ends.
fn name_in(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::REQUESTS;

    fn ask(engine: &mut SqsEngine, operation: &str, request: &Value, now_ms: i64) -> Value {
        let reply = engine.answer(operation, &request.to_string(), now_ms);
        serde_json::from_str(&reply.body).expect("JSON")
    }

    #[test]
    fn a_message_waits_is_hidden_while_it_is_worked_on_and_dies_after_its_last_try() {
        let mut engine = SqsEngine::default();
        let late = json!({"QueueUrl": REQUESTS, "MessageBody": "{}", "DelaySeconds": 2});
        ask(&mut engine, "SendMessage", &late, 0);
        assert!(engine.receive(REQUESTS, 10, false, 1_999).is_empty());
        let limits = queue_limits("payment-requests").expect("a queue");
        let mut now_ms = 2_000;
        for count in 1..=limits.max_receive_count {
            let received = engine.receive(REQUESTS, 10, false, now_ms);
            assert_eq!(received.len(), 1);
            assert_eq!(received[0].receive_count, count);
            assert!(engine.receive(REQUESTS, 10, false, now_ms).is_empty());
            now_ms += limits.visibility_s * 1000;
        }
        assert!(engine.dead().is_empty());
        assert!(engine.receive(REQUESTS, 10, false, now_ms).is_empty());
        assert_eq!(engine.dead().len(), 1);
    }

    #[test]
    fn only_the_last_receipt_of_a_message_hides_it_and_for_twelve_hours_at_most() {
        let mut engine = SqsEngine::default();
        engine.send(REQUESTS, "{}".to_owned(), 0);
        let hide = |receipt: &str, s: i64| json!({"QueueUrl": REQUESTS, "ReceiptHandle": receipt, "VisibilityTimeout": s});
        let never = ask(&mut engine, "ChangeMessageVisibility", &hide("", 5), 0);
        assert_eq!(never["__type"], "ReceiptHandleIsInvalid");
        let first = engine.receive(REQUESTS, 1, true, 0)[0].receipt.clone();
        let second = engine.receive(REQUESTS, 1, false, 0)[0].receipt.clone();
        let old = ask(&mut engine, "ChangeMessageVisibility", &hide(&first, 5), 0);
        assert_eq!(old["__type"], "ReceiptHandleIsInvalid");
        let longest = hide(&second, 43_200);
        let late = ask(&mut engine, "ChangeMessageVisibility", &longest, 1);
        assert_eq!(late["__type"], "InvalidParameterValue");
        assert_eq!(
            ask(&mut engine, "ChangeMessageVisibility", &longest, 0),
            json!({})
        );
        assert!(engine.receive(REQUESTS, 1, false, 43_199_999).is_empty());
        assert_eq!(engine.receive(REQUESTS, 1, false, 43_200_000).len(), 1);
    }

    #[test]
    fn a_queue_that_the_template_does_not_have_takes_nothing() {
        let mut engine = SqsEngine::default();
        let lost = json!({"QueueUrl": "http://aws.invalid/0/lost", "MessageBody": "{}"});
        assert_eq!(
            ask(&mut engine, "SendMessage", &lost, 0)["__type"],
            "AWS.SimpleQueueService.NonExistentQueue"
        );
    }
}
