//! What `reconcile` works with; built once per sandbox.

use adapters::{
    aws::Aws, clock::Clock, keys_table::KeysTable, kms::Kms, order_table::OrderTable,
    queues::Queue, random::Random, wechat_api::WechatApi,
};
use flows::{ask::Asking, settle::Settling};

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct Desk {
    pub(crate) orders: OrderTable,
    pub(crate) asking: Asking,
    pub(crate) payment_requests: Queue,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

impl Desk {
    /// Puts the parts together.
    pub fn open(settings: Settings, aws: &Aws, clock: Clock, random: Random) -> Self {
        let Settings {
            keys,
            wechat,
            mchid,
            ..
        } = settings;
        let keys = KeysTable::new(
            aws.dynamodb(),
            keys.table,
            &mchid,
            Kms::new(aws.kms()),
            keys.secrets_key_id,
            clock.clone(),
        );
        let orders = OrderTable::new(aws.dynamodb(), settings.orders_table, &mchid);
        let wechat = WechatApi::new(wechat, &mchid, keys, clock.clone(), random.clone());
        Self {
            asking: Asking::new(
                wechat,
                Settling::new(orders.clone(), &mchid, clock.clone(), random.clone()),
            ),
            orders,
            payment_requests: Queue::new(aws.sqs(), settings.payment_requests_url),
            clock,
            random,
        }
    }
}
