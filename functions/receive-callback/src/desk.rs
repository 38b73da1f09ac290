//! What `receive-callback` works with; built once per sandbox.

use adapters::{
    aws::Aws, clock::Clock, keys_table::KeysTable, kms::Kms, queues::Queue, random::Random,
};

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct Desk {
    pub(crate) keys: KeysTable,
    pub(crate) payment_results: Queue,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

impl Desk {
    /// Puts the parts together.
    pub fn open(settings: Settings, aws: &Aws, clock: Clock, random: Random) -> Self {
        let Settings {
            keys,
            mchid,
            payment_results_url,
            ..
        } = settings;
        Self {
            keys: KeysTable::new(
                aws.dynamodb(),
                keys.table,
                mchid,
                Kms::new(aws.kms()),
                keys.secrets_key_id,
                clock.clone(),
            ),
            payment_results: Queue::new(aws.sqs(), payment_results_url),
            clock,
            random,
        }
    }
}
