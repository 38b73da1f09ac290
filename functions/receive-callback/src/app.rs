//! What `receive-callback` works with; built once per sandbox.

use flows::{sandbox::Sandbox, services::keys_table};
use runtime::{aws::CallLimits, clock::Clock, random::Random};
use stores::{
    guards::Guards,
    keys_table::{KeysTable, UnknownSerials},
    queues::Queue,
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
    pub fn open(settings: Settings, sandbox: &Sandbox) -> Self {
        let Settings {
            keys,
            mchid,
            guards_table,
            payment_results_url,
        } = settings;
        let sandbox = sandbox.within(CallLimits::CALLBACK);
        let keys = keys_table(keys, &mchid, &sandbox);
        let Sandbox { aws, clock, random } = sandbox;
        let guards = Guards::new(aws.dynamodb(), guards_table);
        Self {
            keys: keys
                .for_callbacks(CallLimits::CALLBACK.call())
                .reporting_to(UnknownSerials::new(guards)),
            payment_results: Queue::new(aws.sqs(), payment_results_url),
            clock,
            random,
        }
    }
}
