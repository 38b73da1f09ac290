//! What `manage-order` works with; built once per sandbox.

use adapters::{
    aws::Aws, clock::Clock, keys_table::KeysTable, kms::Kms, order_table::OrderTable,
    random::Random,
};
use flows::gate::Gate;

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct Desk {
    pub(crate) gate: Gate,
    pub(crate) orders: OrderTable,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

impl Desk {
    /// Puts the parts together.
    pub fn open(settings: Settings, aws: &Aws, clock: Clock, random: Random) -> Self {
        let Settings { keys, mchid, .. } = settings;
        let keys = KeysTable::new(
            aws.dynamodb(),
            keys.table,
            &mchid,
            Kms::new(aws.kms()),
            keys.secrets_key_id,
            clock.clone(),
        );
        Self {
            gate: Gate::new(keys, clock.clone()),
            orders: OrderTable::new(aws.dynamodb(), settings.orders_table, mchid),
            clock,
            random,
        }
    }
}
