//! What `receive-callback` works with; built once per sandbox.

use adapters::{
    aws::{Aws, CallLimits},
    clock::Clock,
    guards::Guards,
    keys_table::{KeysTable, UnknownSerials},
    kms::Kms,
    queues::Queue,
    random::Random,
};

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct App {
    pub(crate) keys: KeysTable,
    pub(crate) payment_results: Queue,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

impl App {
    /// Puts the parts together.
    pub fn open(settings: Settings, aws: &Aws, clock: Clock, random: Random) -> Self {
        let Settings {
            keys,
            mchid,
            guards_table,
            payment_results_url,
            ..
        } = settings;
        let aws = &aws.within(CallLimits::CALLBACK);
        let guards = Guards::new(aws.dynamodb(), guards_table);
        Self {
            keys: KeysTable::new(
                aws.dynamodb(),
                keys.table,
                mchid,
                Kms::new(aws.kms()),
                keys.secrets_key_id,
                clock.clone(),
            )
            .for_callbacks(CallLimits::CALLBACK.call())
            .telling(UnknownSerials::new(guards)),
            payment_results: Queue::new(aws.sqs(), payment_results_url),
            clock,
            random,
        }
    }
}
