//! `redrive` as a program, against the local engine's queues. They are not the stack's own, which
//! its functions read: the front gives these out as the stack's.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::process::{Child, Command, Output, Stdio};
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    Message, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
};
use serde_json::{Value, json};
use stores::queues::Queue;

use crate::cloud::printed;
use crate::doctor::front::Change;
use crate::doctor::stage::{STACK, Stage, stage};
use crate::policies::actions;

const SEND: &str = "AmazonSQS.SendMessage";
const DELETE: &str = "AmazonSQS.DeleteMessage";

/// The stage, for as long as this lives.
struct Held(MutexGuard<'static, Stage>);

impl Deref for Held {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.0
    }
}

/// A queue and its dead-letter queue.
struct Pair {
    stage: Held,
    sqs: Client,
    source: String,
    dead: String,
    names: [String; 2],
}

impl Pair {
    async fn create(name: &str) -> Self {
        Self::create_with(name, "").await
    }

    /// Its messages die at the second receipt.
    async fn create_with(name: &str, ending: &str) -> Self {
        let stage = Held(stage());
        let sqs = stage.clients().sqs();
        let names = [
            format!("redrive-{name}{ending}"),
            format!("redrive-{name}-dead{ending}"),
        ];
        let [source, dead] = &names;
        let is_fifo = (!ending.is_empty()).then(|| "true".to_owned());
        let create = |queue: &str| {
            let create = sqs.create_queue().queue_name(queue);
            match &is_fifo {
                Some(yes) => create.attributes(QueueAttributeName::FifoQueue, yes),
                None => create,
            }
        };
        let made = create(dead).send().await.unwrap();
        let dead = made.queue_url.unwrap();
        let asked = sqs.get_queue_attributes().queue_url(&dead);
        let asked = asked.attribute_names(QueueAttributeName::QueueArn);
        let answer = asked.send().await.unwrap();
        let arn = &answer.attributes.unwrap()[&QueueAttributeName::QueueArn];
        let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 1 });
        let made = create(source)
            .attributes(QueueAttributeName::RedrivePolicy, policy.to_string())
            .send()
            .await
            .unwrap();
        Self {
            sqs,
            source: made.queue_url.unwrap(),
            dead,
            names,
            stage,
        }
    }

    /// These queues in place of the stack's, and `changes` too.
    fn changes(&self, changes: &[Change]) -> Vec<Change> {
        let asked = ["Action=DescribeStacks"];
        let [source, dead] = &self.names;
        let own = [
            Change::replace(&asked, "tea-webhooks-dlq", dead),
            Change::replace(&asked, "tea-webhooks", source),
        ];
        own.into_iter().chain(changes.iter().cloned()).collect()
    }

    #[track_caller]
    fn run_where(&self, changes: &[Change], arguments: &[&str]) -> Output {
        let arguments = [&["redrive", "webhooks", "--stack", STACK], arguments].concat();
        self.stage.plain_where(&self.changes(changes), &arguments)
    }

    /// The program goes well.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.run_where(&[], arguments);
        assert!(output.status.success(), "{}", printed(&output));
        printed(&output)
    }

    /// Starts it, and waits until every change was met.
    fn start_until_met(&self, changes: &[Change], arguments: &[&str]) -> Child {
        self.stage.front.set(&self.changes(changes), 0);
        let arguments = [&["redrive", "webhooks", "--stack", STACK], arguments].concat();
        let mut command = self.stage.command(&arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        wait_until(|| self.stage.front.all_are_met());
        child
    }

    /// Puts messages into the dead-letter queue by hand.
    async fn put_dead(&self, bodies: &[&str]) {
        for body in bodies {
            let send = self.sqs.send_message().queue_url(&self.dead);
            send.message_body(*body).send().await.unwrap();
        }
    }

    /// What a queue holds that can be seen. It is hidden from then on.
    async fn take(&self, queue: &str) -> Vec<Message> {
        let mut taken = Vec::new();
        loop {
            let received = self
                .sqs
                .receive_message()
                .queue_url(queue)
                .max_number_of_messages(10)
                .message_attribute_names("All")
                .message_system_attribute_names(MessageSystemAttributeName::All)
                .visibility_timeout(600)
                .send()
                .await
                .unwrap();
            let messages = received.messages.unwrap_or_default();
            if messages.is_empty() {
                return taken;
            }
            taken.extend(messages);
        }
    }

    async fn bodies(&self, queue: &str) -> Vec<String> {
        let taken = self.take(queue).await;
        let mut bodies: Vec<String> = taken.into_iter().filter_map(|one| one.body).collect();
        bodies.sort();
        bodies
    }

    /// How many messages of the dead-letter queue can be seen, and how many are hidden.
    async fn dead_count(&self) -> [String; 2] {
        let counted = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let answer = self
            .sqs
            .get_queue_attributes()
            .queue_url(&self.dead)
            .set_attribute_names(Some(counted.to_vec()))
            .send()
            .await
            .unwrap();
        let attributes = answer.attributes.unwrap();
        counted.map(|name| attributes[&name].clone())
    }
}

#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert!(Instant::now() < deadline, "it never comes to that");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn text(value: &str) -> MessageAttributeValue {
    let value = MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value);
    value.build().unwrap()
}

#[tokio::test]
async fn a_dead_letter_goes_back_as_it_was_with_a_mark_that_it_was_sent_again() {
    let pair = Pair::create("whole").await;
    let body = r#"{"v":"callback.v1", "body":"{\"id\":\"茶\"}"}"#;
    for number in 0..23 {
        let mut send = pair
            .sqs
            .send_message()
            .queue_url(&pair.source)
            .message_body(body)
            .message_attributes("traceparent", text("00-0af7-b7ad-01"));
        if number == 0 {
            send = send.message_group_id("shop");
        }
        send.send().await.unwrap();
    }
    // At their second receipt they die.
    for _ in 0..2 {
        loop {
            let receive = pair.sqs.receive_message().queue_url(&pair.source);
            let receive = receive.max_number_of_messages(10).visibility_timeout(0);
            let received = receive.send().await.unwrap();
            if pair.dead_count().await[0] == "23" || received.messages().is_empty() {
                break;
            }
        }
    }
    assert_eq!(pair.dead_count().await, ["23", "0"]);

    let text = pair.run(&["--rate", "300"]);
    assert!(text.contains("23 messages were moved back."), "{text}");
    assert_eq!(pair.dead_count().await, ["0", "0"]);
    let moved = pair.take(&pair.source).await;
    assert_eq!(moved.len(), 23);
    for message in &moved {
        assert_eq!(message.body(), Some(body));
        let attributes = message.message_attributes().unwrap();
        assert_eq!(attributes.len(), 2);
        assert_eq!(
            attributes["traceparent"].string_value(),
            Some("00-0af7-b7ad-01")
        );
        assert_eq!(attributes[Queue::REDRIVEN].string_value(), Some("true"));
    }
    let group = |message: &Message| {
        let attributes = message.attributes()?;
        attributes
            .get(&MessageSystemAttributeName::MessageGroupId)
            .cloned()
    };
    let groups: Vec<String> = moved.iter().filter_map(group).collect();
    assert_eq!(groups, ["shop"]);
}

#[tokio::test]
async fn a_queue_that_keeps_its_order_gets_its_messages_with_group_and_id() {
    let pair = Pair::create_with("ordered", ".fifo").await;
    for id in ["a", "b"] {
        pair.sqs
            .send_message()
            .queue_url(&pair.dead)
            .message_body(id)
            .message_group_id("shop")
            .message_deduplication_id(id)
            .send()
            .await
            .unwrap();
    }
    pair.run(&[]);
    let mut moved = Vec::new();
    for message in pair.take(&pair.source).await {
        let attributes = message.attributes().unwrap();
        let of = |name: &MessageSystemAttributeName| attributes[name].clone();
        moved.push((
            message.body().unwrap().to_owned(),
            of(&MessageSystemAttributeName::MessageGroupId),
            of(&MessageSystemAttributeName::MessageDeduplicationId),
        ));
    }
    let one = |id: &str| (id.to_owned(), "shop".to_owned(), id.to_owned());
    assert_eq!(moved, [one("a"), one("b")]);
}

#[tokio::test]
async fn a_dry_run_reports_how_many_how_old_and_why_and_leaves_all_ready_to_be_moved() {
    let pair = Pair::create("look").await;
    let event = r#"{"detail-type":"order.changed","detail":{}}"#;
    pair.put_dead(&[r#"{"v":"issue.v1","order_no":"tea-1"}"#, "no JSON"])
        .await;
    for _ in 0..11 {
        pair.sqs
            .send_message()
            .queue_url(&pair.dead)
            .message_body(event)
            .message_attributes("ERROR_CODE", text("NO_PERMISSIONS"))
            .message_attributes("ERROR_MESSAGE", text("may not send"))
            .send()
            .await
            .unwrap();
    }
    let output = pair.run_where(&[], &["--dry-run"]);
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(seen["messages"], 13, "{seen}");
    assert_eq!(seen["looked_at"], 13);
    assert_eq!(
        seen["kinds"],
        json!({ "issue.v1": 1, "order.changed": 11, "unknown": 1 })
    );
    assert_eq!(
        seen["reasons"],
        json!({ "NO_PERMISSIONS: may not send": 11, "unknown": 2 })
    );
    for time in ["oldest_sent_at", "newest_sent_at"] {
        assert!(seen[time].as_str().unwrap().ends_with("+08:00"), "{seen}");
    }
    assert!(!printed(&output).contains("tea-1"), "{}", printed(&output));
    assert_eq!(pair.dead_count().await, ["13", "0"]);
    let text = pair.run(&["--max", "12", "--rate", "300"]);
    assert!(text.contains("12 messages were moved back."), "{text}");
    assert!(text.contains("there may be more"), "{text}");
    assert_eq!(pair.dead_count().await, ["1", "0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_fails_again_meanwhile_is_left_and_the_program_ends() {
    let pair = Pair::create("tail").await;
    pair.put_dead(&["a", "b", "c"]).await;
    // A reader that never finishes a message.
    let (sqs, source) = (pair.sqs.clone(), pair.source.clone());
    let reader = tokio::spawn(async move {
        loop {
            let receive = sqs.receive_message().queue_url(&source);
            let receive = receive.max_number_of_messages(10).visibility_timeout(0);
            receive.send().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let text = pair.run(&[]);
    reader.abort();
    assert!(text.contains("3 messages were moved back."), "{text}");
    assert!(text.contains("3 messages died since this began"), "{text}");
    assert_eq!(pair.dead_count().await, ["3", "0"]);
}

#[tokio::test]
async fn a_run_that_is_killed_between_sending_and_deleting_loses_nothing() {
    let pair = Pair::create("killed").await;
    pair.put_dead(&["a"]).await;
    let changes = [
        // So that the message is soon seen again.
        Change::ask(
            &["AmazonSQS.ReceiveMessage"],
            r#""VisibilityTimeout":300"#,
            r#""VisibilityTimeout":1"#,
        ),
        Change::hold(&[DELETE]),
    ];
    let mut child = pair.start_until_met(&changes, &[]);
    child.kill().unwrap();
    child.wait().unwrap();
    pair.stage.front.end();
    while pair.dead_count().await != ["1", "0"] {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    pair.run(&[]);
    assert_eq!(pair.bodies(&pair.source).await, ["a", "a"]);
    assert_eq!(pair.dead_count().await, ["0", "0"]);
}

#[tokio::test]
async fn while_sqs_throttles_it_waits_and_goes_on() {
    let pair = Pair::create("throttled").await;
    pair.put_dead(&["a", "b"]).await;
    // Four times: the SDK itself makes a call three times.
    let throttled = Change::refuse(&[SEND], 400, "ThrottlingException").times(4);
    let output = pair.run_where(&[throttled], &[]);
    assert!(output.status.success(), "{}", printed(&output));
    let printed = printed(&output);
    assert!(printed.contains("going on in 1 s"), "{printed}");
    assert!(printed.contains("2 messages were moved back."), "{printed}");
    assert_eq!(pair.bodies(&pair.source).await, ["a", "b"]);
}

#[tokio::test]
async fn a_refused_send_names_the_role_it_takes_and_every_message_stays() {
    let pair = Pair::create("denied").await;
    pair.put_dead(&["a", "b", "c"]).await;
    let denied = Change::refuse(&[SEND], 403, "AccessDeniedException");
    let output = pair.run_where(&[denied], &[]);
    assert_eq!(output.status.code(), Some(1));
    let printed = printed(&output);
    for words in [
        "OperatorRoleArn",
        "RedrivePolicyArn",
        "0 messages were moved back.",
    ] {
        assert!(printed.contains(words), "{words}: {printed}");
    }
    assert_eq!(pair.dead_count().await, ["3", "0"]);
    assert!(pair.bodies(&pair.source).await.is_empty());
}

#[tokio::test]
async fn ctrl_c_ends_it_between_two_messages() {
    let pair = Pair::create("interrupted").await;
    pair.put_dead(&["a", "b", "c", "d"]).await;
    pair.stage.front.set(&pair.changes(&[]), 0);
    let arguments = ["redrive", "webhooks", "--stack", STACK, "--rate", "1"];
    let mut command = pair.stage.command(&arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_until(|| pair.stage.front.calls().contains("sqs:SendMessage"));
    let signal = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(signal.unwrap().success());
    let output = child.wait_with_output().unwrap();
    pair.stage.front.end();
    assert_eq!(output.status.code(), Some(130), "{}", printed(&output));
    assert!(
        printed(&output).contains("ended by hand"),
        "{}",
        printed(&output)
    );
    let moved = pair.bodies(&pair.source).await;
    let stayed = pair.bodies(&pair.dead).await;
    assert!(!stayed.is_empty(), "{moved:?}");
    let mut all = [moved, stayed].concat();
    all.sort();
    assert_eq!(all, ["a", "b", "c", "d"]);
}

#[test]
fn a_message_that_cannot_be_moved_is_refused_with_the_reason() {
    let stage = stage();
    for (arguments, status, reason) in [
        (vec![], 2, "QUEUE is missing"),
        (
            vec!["orders", "--stack", STACK],
            2,
            "QUEUE is payment-requests",
        ),
        (
            vec!["order-events", "--stack", STACK],
            2,
            "infra/runbooks/dead-letters.md",
        ),
        (
            vec!["forward-errors-dlq", "--stack", STACK],
            2,
            "infra/runbooks/logs.md",
        ),
        (
            vec!["webhooks", "--stack", STACK, "--max", "0"],
            2,
            "--max is at least 1",
        ),
        (vec!["webhooks"], 2, "the variable STACK"),
        (
            vec!["webhooks", "--stack", "coffee"],
            1,
            "There is no stack coffee",
        ),
    ] {
        let output = stage.plain_where(&[], &[&["redrive"], arguments.as_slice()].concat());
        assert_eq!(output.status.code(), Some(status), "{}", printed(&output));
        assert!(printed(&output).contains(reason), "{}", printed(&output));
    }
}

#[tokio::test]
async fn the_policy_for_it_has_the_calls_that_it_makes_and_those_of_its_page() {
    let pair = Pair::create("policy").await;
    pair.put_dead(&["a"]).await;
    let mut calls = BTreeSet::new();
    for arguments in [&["--dry-run"][..], &[]] {
        pair.stage.front.set(&pair.changes(&[]), 0);
        let all = [&["redrive", "webhooks", "--stack", STACK], arguments].concat();
        let output = pair.stage.plain(&all);
        assert!(output.status.success(), "{}", printed(&output));
        calls.extend(pair.stage.front.calls());
        pair.stage.front.end();
    }
    // What the page has people do by the AWS CLI.
    let page = include_str!("../../../runbooks/dead-letters.md");
    for (command, call) in [
        ("aws sqs receive-message", "sqs:ReceiveMessage"),
        ("aws sqs get-queue-attributes", "sqs:GetQueueAttributes"),
        ("aws sqs delete-message", "sqs:DeleteMessage"),
        (
            "dynamodbstreams get-shard-iterator",
            "dynamodb:GetShardIterator",
        ),
        ("dynamodbstreams get-records", "dynamodb:GetRecords"),
        ("aws pipes describe-pipe", "pipes:DescribePipe"),
    ] {
        assert!(page.contains(command), "{command}");
        calls.insert(call.to_owned());
    }
    assert_eq!(actions("RedrivePolicy"), calls);
}
