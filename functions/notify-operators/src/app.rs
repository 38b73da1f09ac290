//! What `notify-operators` works with; built once per sandbox.

use flows::{sandbox::Sandbox, services::keys_table};
use runtime::{clock::Clock, random::Random};
use stores::{keys_table::KeysTable, notifications::Notifications, queues::Queue, topic::Topic};
use webhook_client::WebhookHttp;

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct App {
    pub(crate) keys: KeysTable,
    pub(crate) notifications: Notifications,
    pub(crate) queue: Queue,
    pub(crate) http: WebhookHttp,
    pub(crate) topic: Option<Topic>,
    pub(crate) random: Random,
    pub(crate) clock: Clock,
}

impl App {
    /// Puts the parts together.
    pub fn open(settings: Settings, sandbox: &Sandbox) -> Self {
        let Sandbox { aws, clock, random } = sandbox;
        let mchid = &settings.mchid;
        let topic = |arn| Topic::new(aws.sns(), arn);
        Self {
            notifications: Notifications::new(aws.dynamodb(), settings.guards_table, mchid),
            keys: keys_table(settings.keys, mchid, sandbox),
            queue: Queue::new(aws.sqs(), settings.notifications_url),
            http: WebhookHttp::new(settings.reach, clock.clone()),
            topic: settings.operators_topic.map(topic),
            random: random.clone(),
            clock: clock.clone(),
        }
    }
}
