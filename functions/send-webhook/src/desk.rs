//! What `send-webhook` works with; built once per sandbox.

use adapters::{
    aws::Aws, clock::Clock, keys_table::KeysTable, kms::Kms, queues::Queue,
    webhook_http::WebhookHttp,
};

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct Desk {
    pub(crate) keys: KeysTable,
    pub(crate) webhooks: Queue,
    pub(crate) http: WebhookHttp,
    pub(crate) clock: Clock,
}

impl Desk {
    /// Puts the parts together.
    pub fn open(settings: Settings, aws: &Aws, clock: Clock) -> Self {
        let keys = KeysTable::new(
            aws.dynamodb(),
            settings.keys.table,
            settings.mchid,
            Kms::new(aws.kms()),
            settings.keys.secrets_key_id,
            clock.clone(),
        );
        Self {
            keys,
            webhooks: Queue::new(aws.sqs(), settings.webhooks_url),
            http: WebhookHttp::new(settings.reach),
            clock,
        }
    }
}
