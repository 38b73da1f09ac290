//! SQS and what Lambda does with it: receives a batch, calls the function, deletes what did not
//! fail.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_sqs::{
    Client,
    types::{Message, MessageSystemAttributeName, QueueAttributeName},
};
use flows::sqs_event::{MessageAttribute, SqsBatch, SqsRecord, SystemAttributes};
use process_payment::{app::App, handler};
use runtime::{
    aws::{Aws, AwsSettings},
    clock::Clock,
};
use serde_json::{Value, json};

use super::LocalAws;

/// How often a message is received before it goes to the dead-letter queue, as in `template.yaml`.
pub(crate) const MAX_RECEIVE_COUNT: usize = 8;

/// The two queues of one scene, each with its dead-letter queue.
pub(crate) struct Queues {
    pub(crate) requests_url: String,
    pub(crate) results_url: String,
    pub(crate) webhooks_url: String,
    pub(crate) work_url: String,
    /// Where bills are stored. It is not a queue, but is created and used like one: by the local
    /// engine, for one test.
    pub(crate) bucket: String,
    client: Client,
}

impl Queues {
    pub(crate) async fn create(local: &LocalAws, id: &str) -> Self {
        let aws = Aws::new(&AwsSettings::local(&local.endpoint), &Clock::system());
        let client = aws.sqs();
        let bucket = format!("evidence-{id}");
        aws.s3()
            .create_bucket()
            .bucket(&bucket)
            .send()
            .await
            .expect("a bucket");
        Self {
            bucket,
            requests_url: create(&client, &format!("payment-requests-{id}")).await,
            results_url: create(&client, &format!("payment-results-{id}")).await,
            webhooks_url: create(&client, &format!("webhooks-{id}")).await,
            work_url: create(&client, &format!("reconcile-work-{id}")).await,
            client,
        }
    }

    /// SQS, past the wire.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Puts a message into one of the queues.
    pub(crate) async fn send(&self, url: &str, body: &str) {
        self.client
            .send_message()
            .queue_url(url)
            .message_body(body)
            .send()
            .await
            .expect("a message");
    }

    /// What a queue holds, as JSON. It stays there, unseen for a while.
    pub(crate) async fn bodies(&self, url: &str) -> Vec<Value> {
        let messages = self.receive(url).await;
        let bodies = messages
            .iter()
            .filter_map(|message| message.body.as_deref());
        bodies
            .map(|body| serde_json::from_str(body).expect("JSON"))
            .collect()
    }

    /// The bodies in the dead-letter queue of one of the queues, sorted. They stay there.
    pub(crate) async fn dead_letters(&self, url: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        loop {
            let messages = self.receive(&format!("{url}{DEAD_LETTERS}")).await;
            if messages.is_empty() {
                bodies.sort();
                return bodies;
            }
            bodies.extend(messages.into_iter().filter_map(|message| message.body));
        }
    }

    /// Works off both queues, in batches side by side, until nothing is left that is visible.
    /// Delayed messages are seen at once: the test's clock is not SQS's. Failed ones go back for
    /// the next call.
    pub(crate) async fn work_off(&self, app: &Arc<App>, clock: &Clock) -> usize {
        let mut failed = 0;
        for url in [&self.requests_url, &self.results_url] {
            let mut batches = Vec::new();
            loop {
                let messages = self.receive(url).await;
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
        let messages = self.receive(url).await;
        let records = messages.iter().map(record).collect();
        function(SqsBatch { records }).await;
        for message in &messages {
            let shown = self.client.change_message_visibility().queue_url(url);
            let receipt = message.receipt_handle().expect("a receipt");
            let shown = shown.receipt_handle(receipt).visibility_timeout(0);
            shown.send().await.expect("visible again");
        }
        messages.len()
    }

    /// Works off the queue of days, one message at a time, as the template has it, until nothing is
    /// left that is visible. Gives how often each message was hidden for a later try: it is left
    /// hidden.
    pub(crate) async fn work_off_days(&self, app: &reconcile::app::App, clock: &Clock) -> usize {
        let mut failed = 0;
        loop {
            let received = self
                .client
                .receive_message()
                .queue_url(&self.work_url)
                .max_number_of_messages(1)
                .message_attribute_names("All")
                .message_system_attribute_names(MessageSystemAttributeName::All)
                .send()
                .await;
            let messages = received.expect("messages").messages.unwrap_or_default();
            let [message] = messages.as_slice() else {
                return failed;
            };
            let event = reconcile::handler::Input::Work(SqsBatch {
                records: vec![record(message)],
            });
            let answer = reconcile::handler::run(app, event, clock.now_ms() + 900_000).await;
            let Ok(reconcile::handler::Output::Work(answer)) = answer else {
                panic!("not work: {answer:?}");
            };
            if answer.batch_item_failures.is_empty() {
                self.client
                    .delete_message()
                    .queue_url(&self.work_url)
                    .receipt_handle(message.receipt_handle().expect("a receipt"))
                    .send()
                    .await
                    .expect("deleted");
            } else {
                failed += 1;
            }
        }
    }

    /// Everything in the bucket: name and size.
    pub(crate) async fn evidence(&self, local: &LocalAws) -> Vec<String> {
        let aws = Aws::new(&AwsSettings::local(&local.endpoint), &Clock::system());
        let listed = aws.s3().list_objects_v2().bucket(&self.bucket).send().await;
        listed
            .expect("a bucket")
            .contents()
            .iter()
            .filter_map(|object| object.key().map(str::to_owned))
            .collect()
    }

    async fn receive(&self, url: &str) -> Vec<Message> {
        let received = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(10)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await;
        received.expect("messages").messages.unwrap_or_default()
    }

    async fn work(&self, url: &str, messages: Vec<Message>, app: &App, clock: &Clock) -> usize {
        let records = messages.iter().map(record).collect();
        let answer = handler::process(app, SqsBatch { records }, clock.now_ms() + 30_000).await;
        let failed: Vec<&str> = answer
            .batch_item_failures
            .iter()
            .map(|failure| failure.item_identifier.as_str())
            .collect();
        for message in &messages {
            let receipt = message.receipt_handle().expect("a receipt");
            if failed.contains(&message.message_id().expect("an id")) {
                self.client
                    .change_message_visibility()
                    .queue_url(url)
                    .receipt_handle(receipt)
                    .visibility_timeout(0)
                    .send()
                    .await
                    .expect("visible again");
            } else {
                self.client
                    .delete_message()
                    .queue_url(url)
                    .receipt_handle(receipt)
                    .send()
                    .await
                    .expect("deleted");
            }
        }
        failed.len()
    }
}

/// What a dead-letter queue is called, after its queue's name.
const DEAD_LETTERS: &str = "-dlq";

/// Makes a queue and its dead-letter queue. Gives the queue's URL.
async fn create(client: &Client, name: &str) -> String {
    let dead_letters = client
        .create_queue()
        .queue_name(format!("{name}{DEAD_LETTERS}"))
        .send()
        .await
        .expect("a dead-letter queue");
    let described = client
        .get_queue_attributes()
        .set_queue_url(dead_letters.queue_url)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await
        .expect("its attributes");
    let arn = described
        .attributes()
        .and_then(|attributes| attributes.get(&QueueAttributeName::QueueArn))
        .expect("its ARN");
    let redrive = json!({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVE_COUNT});
    let made = client
        .create_queue()
        .queue_name(name)
        .attributes(QueueAttributeName::RedrivePolicy, redrive.to_string())
        .send()
        .await
        .expect("a queue");
    made.queue_url.expect("a URL")
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

/// A message as Lambda hands it over.
fn record(message: &Message) -> SqsRecord {
    let attributes = message.message_attributes().into_iter().flatten();
    let message_attributes: HashMap<String, MessageAttribute> = attributes
        .map(|(name, value)| {
            (
                name.clone(),
                MessageAttribute {
                    string_value: value.string_value().map(str::to_owned),
                },
            )
        })
        .collect();
    SqsRecord {
        message_id: message.message_id().expect("an id").to_owned(),
        receipt_handle: message.receipt_handle().expect("a receipt").to_owned(),
        body: message.body().expect("a body").to_owned(),
        attributes: SystemAttributes {
            approximate_receive_count: message
                .attributes()
                .and_then(|told| told.get(&MessageSystemAttributeName::ApproximateReceiveCount))
                .cloned(),
            sent_timestamp: message
                .attributes()
                .and_then(|told| told.get(&MessageSystemAttributeName::SentTimestamp))
                .cloned(),
        },
        message_attributes,
    }
}
