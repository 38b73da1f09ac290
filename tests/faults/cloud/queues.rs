//! SQS in this process, on the clock of the scene.
//!
//! The local engine's queues follow the machine's clock, so a message that is delivered again after
//! an hour would take an hour, and a run could not be repeated step by step. Here time is the
//! test's: delays, visibility time-outs and the dead-letter queue do what they do at AWS, in
//! milliseconds that pass when the test moves the clock.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Reply;

/// What holds for a queue, as in `template.yaml`.
struct Rules {
    /// How often a message is received before it goes to the dead-letter queue.
    max_receive_count: u32,
    /// How long a message that was received is not seen by others unless it is deleted: six times
    /// the function's time-out.
    visibility_ms: i64,
}

impl Rules {
    fn of(url: &str) -> Self {
        if url.ends_with("/reconcile-work") {
            Self {
                max_receive_count: 50,
                visibility_ms: 5_400_000,
            }
        } else {
            Self {
                max_receive_count: 8,
                visibility_ms: 180_000,
            }
        }
    }
}

/// A message that was received may be hidden until so long after, in milliseconds: 12 hours.
const HIDDEN_MS_MAX: i64 = 43_200_000;

/// A message in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    /// As they were sent: `{"traceparent": {"StringValue": ..., "DataType": "String"}}`.
    pub(crate) attributes: Value,
    pub(crate) sent_ms: i64,
    /// When it is seen (again).
    pub(crate) visible_ms: i64,
    /// When it was received last.
    pub(crate) received_ms: i64,
    pub(crate) receive_count: u32,
    /// Names this receipt of it.
    pub(crate) receipt: String,
}

/// All queues of one scene, by their URLs.
#[derive(Default)]
pub(crate) struct Queues {
    queues: BTreeMap<String, Queue>,
    made: u64,
}

#[derive(Default)]
struct Queue {
    messages: Vec<Message>,
    dead: Vec<Message>,
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
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: i64,
}

impl Queues {
    /// Does what a request asks for, at `now_ms`.
    pub(crate) fn answer(&mut self, operation: &str, body: &str, now_ms: i64) -> Reply {
        let request: Request = serde_json::from_str(body).expect("a request of the SDK's");
        match operation {
            "SendMessage" => Reply::good(json!({"MessageId": self.take(request, now_ms)})),
            "ChangeMessageVisibility" => {
                let queue = self.queues.entry(request.queue_url).or_default();
                let mut messages = queue.messages.iter_mut();
                match messages.find(|message| message.receipt == request.receipt_handle) {
                    Some(message) => {
                        let visible_ms = now_ms + request.visibility_timeout * 1000;
                        if visible_ms - message.received_ms > HIDDEN_MS_MAX {
                            return Reply::bad("InvalidParameterValue");
                        }
                        message.visible_ms = visible_ms;
                        Reply::good(json!({}))
                    }
                    None => Reply::bad("ReceiptHandleIsInvalid"),
                }
            }
            other => panic!("no function has called SQS's {other} so far: answer it here"),
        }
    }

    /// Takes a message that is sent by AWS itself, as a schedule does.
    pub(crate) fn send(&mut self, url: &str, body: String, now_ms: i64) {
        let request = Request {
            queue_url: url.to_owned(),
            message_body: body,
            delay_seconds: 0,
            message_attributes: Value::Null,
            receipt_handle: String::new(),
            visibility_timeout: 0,
        };
        self.take(request, now_ms);
    }

    /// Takes a message; its id.
    fn take(&mut self, request: Request, now_ms: i64) -> String {
        self.made += 1;
        let id = format!("message-{}", self.made);
        let queue = self.queues.entry(request.queue_url).or_default();
        queue.taken.push(request.message_body.clone());
        queue.messages.push(Message {
            id: id.clone(),
            body: request.message_body,
            attributes: request.message_attributes,
            sent_ms: now_ms,
            visible_ms: now_ms + request.delay_seconds * 1000,
            received_ms: now_ms,
            receive_count: 0,
            receipt: String::new(),
        });
        id
    }

    /// Receives up to `most` messages that are to be seen at `now_ms`, the oldest first. One that
    /// was received too often goes to the dead-letter queue instead. If `again`, all of them can be
    /// received once more at once: SQS delivers at least once.
    pub(crate) fn receive(
        &mut self,
        url: &str,
        most: usize,
        again: bool,
        now_ms: i64,
    ) -> Vec<Message> {
        let rules = Rules::of(url);
        let queue = self.queues.entry(url.to_owned()).or_default();
        let mut received = Vec::new();
        let mut at = 0;
        while at < queue.messages.len() && received.len() < most {
            if queue.messages[at].visible_ms > now_ms {
                at += 1;
            } else if queue.messages[at].receive_count >= rules.max_receive_count {
                queue.dead.push(queue.messages.remove(at));
            } else {
                self.made += 1;
                let message = &mut queue.messages[at];
                message.receive_count += 1;
                message.received_ms = now_ms;
                message.visible_ms = if again {
                    now_ms
                } else {
                    now_ms + rules.visibility_ms
                };
                message.receipt = format!("receipt-{}", self.made);
                received.push(message.clone());
                at += 1;
            }
        }
        received
    }

    /// Moves every message of a queue's dead-letter queue back: they are new messages there.
    pub(crate) fn move_back(&mut self, url: &str, now_ms: i64) {
        let queue = self.queues.entry(url.to_owned()).or_default();
        for message in std::mem::take(&mut queue.dead) {
            self.send(url, message.body, now_ms);
        }
    }

    /// Deletes a message, whoever received it last.
    pub(crate) fn delete(&mut self, url: &str, id: &str) {
        if let Some(queue) = self.queues.get_mut(url) {
            queue.messages.retain(|message| message.id != id);
        }
    }

    /// Deletes every message of a queue.
    pub(crate) fn purge(&mut self, url: &str) {
        if let Some(queue) = self.queues.get_mut(url) {
            queue.messages.clear();
        }
    }

    /// Changes the body of every message of a queue.
    pub(crate) fn rewrite(&mut self, url: &str, change: impl Fn(&str) -> String) {
        if let Some(queue) = self.queues.get_mut(url) {
            for message in &mut queue.messages {
                message.body = change(&message.body);
            }
        }
    }

    /// The messages in all queues, with their queues' URLs.
    pub(crate) fn waiting(&self) -> Vec<(&str, &Message)> {
        let queues = self.queues.iter();
        queues
            .flat_map(|(url, queue)| {
                queue
                    .messages
                    .iter()
                    .map(move |message| (url.as_str(), message))
            })
            .collect()
    }

    /// The messages in all dead-letter queues, with the URLs of the queues they come from.
    pub(crate) fn dead(&self) -> Vec<(&str, &Message)> {
        let queues = self.queues.iter();
        queues
            .flat_map(|(url, queue)| {
                queue
                    .dead
                    .iter()
                    .map(move |message| (url.as_str(), message))
            })
            .collect()
    }

    /// The bodies of all messages that were ever taken into any queue, with the queues' URLs.
    pub(crate) fn taken(&self) -> Vec<(&str, &str)> {
        let queues = self.queues.iter();
        queues
            .flat_map(|(url, queue)| {
                queue
                    .taken
                    .iter()
                    .map(move |body| (url.as_str(), body.as_str()))
            })
            .collect()
    }
}
