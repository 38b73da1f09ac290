//! People on call: from the queue of the alarm topic to their channels over real HTTP, and what
//! becomes of a message that a channel does not take.

mod crashes;
mod limits;
mod robots;
mod topic;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use flows::sqs_event::{BatchResponse, SqsBatch};
use notify_operators::{app::App, handler};
use operator_channels::{Credentials, Kind};
use runtime::{
    aws::{Aws, AwsSettings},
    clock::Clock,
    kms::Kms,
    random::Random,
};
use serde_json::json;
use stores::keys_table::{KeysTable, channels::NewChannel};
use testbed::{
    AwsEngines, FaultyTransport, SqsMessage,
    environment::{AWS_IN_PROCESS, NOTIFICATIONS, SECRETS_KEY_ID, environment},
};

use crate::support::{Lines, MCHID, batch, open};
pub(crate) use robots::{Robot, State};
use topic::{TOPIC_ARN, Topic};

/// An invocation has so long, as in the template.
pub(crate) const TIMEOUT_MS: i64 = 60_000;

/// The function between its queue and the channels.
pub(crate) struct ChannelBench {
    app: App,
    pub(crate) clock: Clock,
    pub(crate) wire: FaultyTransport,
    keys: KeysTable,
    engines: AwsEngines,
    topic: Topic,
}

impl ChannelBench {
    pub(crate) async fn start() -> Self {
        let clock = Clock::manual(Clock::system().now());
        let engines = AwsEngines::new(clock.clone());
        let tables = testbed::create_tables(&engines.aws().dynamodb(), "").await;
        let wire = FaultyTransport::around(engines.http_client(), clock.clone());
        let topic = Topic::before(wire.http_client());
        let settings = AwsSettings::local(AWS_IN_PROCESS);
        let aws = Aws::with_http_client(&settings, &clock, topic.http_client());
        let more = [
            ("WEBHOOK_ALLOW_LOOPBACK", "true"),
            ("OPERATORS_TOPIC_ARN", TOPIC_ARN),
            // Which may be so on this machine only; the calls themselves go to the engines.
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ];
        let vars = environment(&tables, AWS_IN_PROCESS, &more);
        Self {
            app: open!(notify_operators, &vars, &aws, clock, Random::system()),
            keys: KeysTable::new(
                aws.dynamodb(),
                &tables.keys,
                MCHID,
                Kms::new(aws.kms()),
                SECRETS_KEY_ID,
                clock.clone(),
            ),
            engines,
            topic,
            clock,
            wire,
        }
    }

    /// What `cargo client setup channel add` does.
    pub(crate) async fn set_up(&self, name: &str, robot: &Robot, page: u32, ticket: Option<u32>) {
        let credentials =
            Credentials::new(robot.kind(), Some(&robot.url()), robot.secret()).expect("complete");
        self.put(name, robot.kind(), &credentials, Some(page), ticket)
            .await;
    }

    /// The topic of mails as a channel.
    async fn set_up_topic(&self, name: &str, page: Option<u32>, ticket: Option<u32>) {
        let credentials = Credentials::new(Kind::Sns, None, None).expect("complete");
        self.put(name, Kind::Sns, &credentials, page, ticket).await;
    }

    async fn put(
        &self,
        name: &str,
        kind: Kind,
        credentials: &Credentials,
        page: Option<u32>,
        ticket: Option<u32>,
    ) {
        let new = NewChannel {
            name,
            kind,
            credentials,
            page,
            ticket,
        };
        self.keys.put_channel(&new).await.expect("written");
    }

    /// CloudWatch publishes that an alarm went on, and SNS puts it into the queue.
    pub(crate) fn alarm(&self, name: &str, description: &str) {
        self.send(&published(name, description, "ALARM"));
    }

    pub(crate) fn send(&self, body: &str) {
        let now_ms = self.engines.now_ms();
        let mut queues = self.engines.queues();
        queues.send(NOTIFICATIONS, body.to_owned(), now_ms);
    }

    /// What is visible in the queue, as Lambda receives it.
    fn received(&self) -> Vec<SqsMessage> {
        let now_ms = self.engines.now_ms();
        let mut queues = self.engines.queues();
        queues.receive(NOTIFICATIONS, 10, false, now_ms)
    }

    /// Lambda takes what is visible, hands it over, and deletes what did not fail. Says how many
    /// failed; `None` after a crash, when nothing is deleted.
    pub(crate) async fn work_off(&self) -> Option<usize> {
        let messages = self.received();
        let records = batch(NOTIFICATIONS, &messages).records;
        let deadline_ms = self.clock.now_ms() + TIMEOUT_MS;
        let work = handler::process(&self.app, SqsBatch { records }, deadline_ms);
        let answer: BatchResponse = self.wire.run_until_crash(work).await?;
        let failed: Vec<&str> = answer
            .batch_item_failures
            .iter()
            .map(|failure| failure.item_identifier.as_str())
            .collect();
        for message in &messages {
            if !failed.contains(&message.id.as_str()) {
                self.engines.queues().delete(NOTIFICATIONS, &message.id);
            }
        }
        Some(failed.len())
    }

    /// Until the queue is empty, or for so many seconds by the clock that is moved by hand.
    pub(crate) async fn work_off_within(&self, most_s: u64) {
        for _ in 0..most_s {
            self.work_off().await;
            let waiting = self.engines.queues().waiting().is_empty();
            if waiting {
                return;
            }
            self.clock.advance(Duration::from_secs(1));
        }
    }

    fn is_empty(&self) -> bool {
        self.engines.queues().waiting().is_empty()
    }
}

/// The body that SNS puts into the queue, with an id of SNS's of its own.
fn published(name: &str, description: &str, state: &str) -> String {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let alarm = json!({
        "AlarmName": name,
        "AlarmDescription": description,
        "NewStateValue": state,
        "NewStateReason": "Threshold Crossed: 1 datapoint [1.0] was greater than the threshold (0.0).",
        "StateChangeTime": "2026-08-01T16:00:00.456+0000",
        "AlarmArn": format!("arn:aws:cloudwatch:eu-central-1:111122223333:alarm:{name}"),
    });
    json!({
        "Type": "Notification",
        "MessageId": format!("8c1b6a1c-0000-4000-8000-{number:012}"),
        "Subject": "ALARM",
        "Message": alarm.to_string(),
        "Timestamp": "2026-08-01T16:00:01.123Z",
    })
    .to_string()
}

const PAGE: &str = "Requests to WeChat Pay were given up (infra/runbooks/dead-letters.md)";
const TICKET: &str = "[ticket] A receiver of webhooks answered 410 (infra/runbooks/webhooks.md)";

#[tokio::test]
async fn an_alarm_reaches_each_kind_of_channel_signed_as_it_wants() {
    let bench = ChannelBench::start().await;
    for kind in [Kind::Wecom, Kind::Dingtalk, Kind::Feishu, Kind::Webhook] {
        let robot = Robot::start(kind, &bench.clock).await;
        bench.set_up("only", &robot, 1, None).await;
        // A channel that was changed counts within a minute.
        bench.clock.advance(Duration::from_secs(61));
        bench.alarm(&format!("shop-{}", kind.name()), PAGE);
        assert_eq!(bench.work_off().await, Some(0), "{kind:?}");
        let texts = robot.texts();
        assert_eq!(texts.len(), 1, "{kind:?}: {texts:?}");
        assert!(
            texts[0].contains(&format!("[ALARM] shop-{}", kind.name())),
            "{texts:?}"
        );
        assert!(texts[0].contains(PAGE), "{texts:?}");
        assert!(bench.is_empty());
    }
    bench.set_up_topic("only", Some(1), None).await;
    bench.clock.advance(Duration::from_secs(61));
    bench.alarm("shop-sns", PAGE);
    assert_eq!(bench.work_off().await, Some(0));
    let published = bench.topic.published();
    assert_eq!(published.len(), 1);
    assert!(published[0].contains("[ALARM] shop-sns"), "{published:?}");
}

#[tokio::test]
async fn one_state_change_is_told_once_however_often_it_comes() {
    let bench = ChannelBench::start().await;
    let robot = Robot::start(Kind::Wecom, &bench.clock).await;
    bench.set_up("ops", &robot, 1, None).await;
    // Twice in one batch, under two ids of SNS's, and once more later.
    bench.alarm("shop-webhooks-dlq", PAGE);
    bench.alarm("shop-webhooks-dlq", PAGE);
    assert_eq!(bench.work_off().await, Some(0));
    bench.clock.advance(Duration::from_secs(3_600));
    bench.alarm("shop-webhooks-dlq", PAGE);
    assert_eq!(bench.work_off().await, Some(0));
    assert_eq!(robot.texts().len(), 1);
    assert!(bench.is_empty());
    // Its end is another thing.
    bench.send(&published("shop-webhooks-dlq", PAGE, "OK"));
    bench.work_off().await;
    assert_eq!(robot.texts().len(), 2);
}

#[tokio::test]
async fn a_page_and_a_ticket_go_their_own_ways_and_what_has_no_way_goes_to_all() {
    let bench = ChannelBench::start().await;
    let (night, day) = (
        Robot::start(Kind::Dingtalk, &bench.clock).await,
        Robot::start(Kind::Feishu, &bench.clock).await,
    );
    bench.set_up("night", &night, 1, None).await;
    bench.alarm("urgent", PAGE);
    bench.alarm("can-wait", TICKET);
    assert_eq!(bench.work_off().await, Some(0));
    // No channel has a place for tickets: they go to those that are there, in a message of their
    // own.
    assert_eq!(night.texts().len(), 2);
    bench.set_up("day", &day, 2, Some(1)).await;
    bench.clock.advance(Duration::from_secs(61));
    bench.alarm("urgent-2", PAGE);
    bench.alarm("can-wait-2", TICKET);
    assert_eq!(bench.work_off().await, Some(0));
    assert_eq!(night.texts().len(), 3);
    let tickets = day.texts();
    assert_eq!(tickets.len(), 1);
    assert!(
        tickets[0].contains("can-wait-2") && !tickets[0].contains("[ticket]"),
        "{tickets:?}"
    );
}

#[tokio::test]
async fn with_the_first_channel_dead_a_page_arrives_within_a_minute_and_says_so() {
    for (state, why) in [
        (State::Refused, "the receiver could not be reached"),
        (State::Hangs, "the receiver did not answer in time"),
        (State::Status(500), "status 500"),
        (State::Status(302), "status 302"),
        (State::Code(93_000), "code 93000"),
        (State::Garbage, "an answer that is none of a robot"),
    ] {
        let bench = ChannelBench::start().await;
        let (dead, well) = (
            Robot::start(Kind::Wecom, &bench.clock).await,
            Robot::start(Kind::Dingtalk, &bench.clock).await,
        );
        bench.set_up("first", &dead, 1, None).await;
        bench.set_up("second", &well, 2, None).await;
        dead.turns(state);
        let began_ms = bench.clock.now_ms();
        bench.alarm("shop-webhooks-dlq", PAGE);
        assert_eq!(bench.work_off().await, Some(0), "{state:?}");
        let texts = well.texts();
        assert_eq!(texts.len(), 1, "{state:?}: {texts:?}");
        let says = format!("The channel first did not take this: {why}");
        assert!(texts[0].contains(&says), "{state:?}: {}", texts[0]);
        assert!(!texts[0].contains(&dead.url()), "{}", texts[0]);
        // The clock stands still while calls are made; what they may take is bounded by
        // `time_limits`.
        assert!(bench.clock.now_ms() - began_ms < 60_000);
        assert!(bench.is_empty(), "{state:?}");
    }
}

#[tokio::test]
async fn what_no_channel_takes_is_tried_again_for_hours_and_then_kept_as_it_came() {
    let bench = ChannelBench::start().await;
    let robot = Robot::start(Kind::Wecom, &bench.clock).await;
    bench.set_up("ops", &robot, 1, None).await;
    robot.turns(State::Status(503));
    bench.alarm("shop-webhooks-dlq", PAGE);
    let lines = Lines::by(bench.clock.clone());
    lines
        .of(async {
            assert_eq!(bench.work_off().await, Some(1));
            bench.clock.advance(Duration::from_secs(6));
            assert_eq!(bench.work_off().await, Some(1));
        })
        .await;
    let errors = lines.take("ERROR");
    assert_eq!(errors.len(), 1, "the first failure may pass: {errors:#?}");
    assert_eq!(errors[0]["message"], "people on call were not told");
    assert_eq!(errors[0]["alarms"], "shop-webhooks-dlq");
    assert_eq!(errors[0]["reason"], "ops: status 503");
    // It recovers: nothing was forgotten.
    robot.turns(State::Well);
    bench.clock.advance(Duration::from_secs(11));
    assert_eq!(bench.work_off().await, Some(0));
    assert_eq!(robot.texts().len(), 1);

    robot.turns(State::Status(503));
    bench.alarm("shop-another", PAGE);
    for _ in 0..17 {
        bench.work_off().await;
        bench.clock.advance(Duration::from_secs(3_601));
    }
    bench.work_off().await;
    let queues = bench.engines.queues();
    let dead: Vec<_> = queues.dead();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].1.body.contains("shop-another"));
}

#[tokio::test]
async fn without_a_channel_nothing_is_lost_and_one_that_is_set_up_then_counts_at_once() {
    let bench = ChannelBench::start().await;
    bench.alarm("shop-webhooks-dlq", PAGE);
    assert_eq!(bench.work_off().await, Some(1));
    let robot = Robot::start(Kind::Webhook, &bench.clock).await;
    bench.set_up("system", &robot, 1, None).await;
    bench.clock.advance(Duration::from_secs(6));
    assert_eq!(bench.work_off().await, Some(0));
    assert_eq!(robot.texts().len(), 1);
}

#[tokio::test]
async fn a_message_that_is_none_of_a_topic_ends_in_the_dead_letter_queue_and_stops_no_other() {
    let bench = ChannelBench::start().await;
    let robot = Robot::start(Kind::Wecom, &bench.clock).await;
    bench.set_up("ops", &robot, 1, None).await;
    bench.send("not of a topic");
    bench.alarm("shop-webhooks-dlq", PAGE);
    assert_eq!(bench.work_off().await, Some(1));
    assert_eq!(robot.texts().len(), 1);
    for _ in 0..17 {
        bench.clock.advance(Duration::from_secs(3_601));
        bench.work_off().await;
    }
    assert_eq!(bench.engines.queues().dead().len(), 1);
}

#[tokio::test]
async fn no_address_and_no_secret_is_in_any_line_or_text() {
    let bench = ChannelBench::start().await;
    let (first, second) = (
        Robot::start(Kind::Dingtalk, &bench.clock).await,
        Robot::start(Kind::Feishu, &bench.clock).await,
    );
    bench.set_up("first", &first, 1, None).await;
    bench.set_up("second", &second, 2, None).await;
    let lines = Lines::by(bench.clock.clone());
    for state in [State::Refused, State::Status(500), State::Code(310_000)] {
        first.turns(state);
        bench.alarm(&format!("alarm-{state:?}"), PAGE);
        lines.of(bench.work_off()).await;
    }
    second.turns(State::Refused);
    bench.alarm("nobody", PAGE);
    lines
        .of(async {
            bench.work_off().await;
            bench.clock.advance(Duration::from_secs(6));
            bench.work_off().await;
        })
        .await;
    let said = format!("{:?} {:?}", lines.take_all(), second.texts());
    for secret in ["access_token", robots::TOKEN, robots::SECRET] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}
