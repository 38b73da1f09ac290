//! SQS and what Lambda does with it: receives a batch, calls the function, deletes what did not
//! fail.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_sqs::Client;
use flows::sqs_event::{SqsBatch, SqsRecord, SystemAttributes};
use process_payment::{app::App, handler};
use runtime::clock::Clock;
use serde_json::Value;
use testbed::{
    AwsEngines, SqsMessage,
    environment::{REQUESTS, RESULTS, WORK},
};

/// How often a message is received before it goes to the dead-letter queue, as in `template.yaml`.
pub(crate) const MAX_RECEIVE_COUNT: usize = 8;

/// The queues of one testbed. Their own time stands still: a message that was received or hidden is
/// visible again when Lambda gives it back, and a delayed message is visible at once.
pub(crate) struct Queues(AwsEngines);

impl Queues {
    pub(crate) fn of(engines: &AwsEngines) -> Self {
        engines.queues().ignore_delays();
        Self(engines.clone())
    }

    /// SQS, past the wire.
    pub(crate) fn client(&self) -> Client {
        self.0.aws().sqs()
    }

    /// Puts a message into one of the queues.
    pub(crate) fn send(&self, url: &str, body: &str) {
        let now_ms = self.0.now_ms();
        self.0.queues().send(url, body.to_owned(), now_ms);
    }

    /// What a queue holds, as JSON. It stays there, unseen.
    pub(crate) fn bodies(&self, url: &str) -> Vec<Value> {
        let messages = self.receive(url, 10);
        let bodies = messages.iter().map(|message| &message.body);
        bodies
            .map(|body| serde_json::from_str(body).expect("JSON"))
            .collect()
    }

    /// The `traceparent` and `tracestate` of each message that a queue holds. It stays there.
    pub(crate) fn traces(&self, url: &str) -> Vec<(String, Option<String>)> {
        let messages = self.receive(url, 10);
        let traces = messages.iter().map(|message| {
            self.0.queues().show(url, &message.id);
            let parent = message.attribute("traceparent").expect("a trace");
            let state = message.attribute("tracestate").map(str::to_owned);
            (parent.to_owned(), state)
        });
        traces.collect()
    }

    /// Its messages are lost.
    pub(crate) fn purge(&self, url: &str) {
        self.0.queues().purge(url);
    }

    /// The bodies in the dead-letter queue of one of the queues, sorted.
    pub(crate) fn dead_letters(&self, url: &str) -> Vec<String> {
        let queues = self.0.queues();
        let dead = queues.dead().into_iter();
        let mut bodies: Vec<_> = dead
            .filter(|(of, _)| *of == url)
            .map(|(_, message)| message.body.clone())
            .collect();
        bodies.sort();
        bodies
    }

    /// Works off both queues, in batches side by side, until nothing is left that is visible.
    /// Delayed messages are seen at once: the test's clock is not SQS's. Failed ones go back for
    /// the next call.
    pub(crate) async fn work_off(&self, app: &Arc<App>, clock: &Clock) -> usize {
        let mut failed = 0;
        for url in [REQUESTS, RESULTS] {
            let mut batches = Vec::new();
            loop {
                let messages = self.receive(url, 10);
                if messages.is_empty() {
                    break;
                }
                batches.push(messages);
            }
            let works = batches
                .into_iter()
                .map(|messages| self.work(url, messages, app, clock));
            failed += futures_util::future::join_all(works)
                .await
                .into_iter()
                .sum::<usize>();
        }
        failed
    }

    /// Hands over what is visible, in one batch, to a function that never answers; then the queue's
    /// own time passes, and it is visible again. Says how many messages that are.
    pub(crate) async fn hand_over_and_leave(
        &self,
        url: &str,
        function: impl AsyncFnOnce(SqsBatch),
    ) -> usize {
        let messages = self.receive(url, 10);
        function(batch(url, &messages)).await;
        for message in &messages {
            self.0.queues().show(url, &message.id);
        }
        messages.len()
    }

    /// Works off the queue of days, one message at a time, as the template has it, until nothing is
    /// left that is visible. Gives how often each message was hidden for a later try: it is left
    /// hidden.
    pub(crate) async fn work_off_days(&self, app: &reconcile::app::App, clock: &Clock) -> usize {
        let mut failed = 0;
        loop {
            let messages = self.receive(WORK, 1);
            let [message] = messages.as_slice() else {
                return failed;
            };
            let event = reconcile::handler::Input::Work(batch(WORK, &messages));
            let answer = reconcile::handler::run(app, event, clock.now_ms() + 900_000).await;
            let Ok(reconcile::handler::Output::Work(answer)) = answer else {
                panic!("not work: {answer:?}");
            };
            if answer.batch_item_failures.is_empty() {
                self.0.queues().delete(WORK, &message.id);
            } else {
                failed += 1;
            }
        }
    }

    fn receive(&self, url: &str, most: usize) -> Vec<SqsMessage> {
        let now_ms = self.0.now_ms();
        self.0.queues().receive(url, most, false, now_ms)
    }

    async fn work(&self, url: &str, messages: Vec<SqsMessage>, app: &App, clock: &Clock) -> usize {
        let answer = handler::process(app, batch(url, &messages), clock.now_ms() + 30_000).await;
        let failed: Vec<&str> = answer
            .batch_item_failures
            .iter()
            .map(|failure| failure.item_identifier.as_str())
            .collect();
        for message in &messages {
            if failed.contains(&message.id.as_str()) {
                self.0.queues().show(url, &message.id);
            } else {
                self.0.queues().delete(url, &message.id);
            }
        }
        failed.len()
    }
}

/// Messages of a queue as Lambda hands them over.
pub(crate) fn batch(url: &str, messages: &[SqsMessage]) -> SqsBatch {
    let records = messages.iter().map(|message| message.record(url));
    let records = records.map(|record| serde_json::from_value(record).expect("a record"));
    SqsBatch {
        records: records.collect(),
    }
}

/// One batch, handed to the function directly; message ids are positions.
pub(crate) async fn process_batch(
    app: &App,
    clock: &Clock,
    bodies: &[String],
    left_ms: i64,
) -> Vec<usize> {
    let records = bodies.iter().enumerate().map(|(position, body)| SqsRecord {
        message_id: position.to_string(),
        receipt_handle: String::new(),
        queue_arn: None,
        body: body.clone(),
        attributes: SystemAttributes::default(),
        message_attributes: HashMap::new(),
    });
    let batch = SqsBatch {
        records: records.collect(),
    };
    let answer = handler::process(app, batch, clock.now_ms() + left_ms).await;
    let failed = answer.batch_item_failures.iter();
    failed
        .map(|failure| failure.item_identifier.parse().expect("a position"))
        .collect()
}

#[test]
fn the_template_has_a_message_tried_so_often() {
    let limits = testbed::template::queue_limits("payment-results").expect("a queue");
    assert_eq!(
        usize::try_from(limits.max_receive_count),
        Ok(MAX_RECEIVE_COUNT)
    );
}
