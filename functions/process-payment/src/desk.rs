//! What `process-payment` works with; built once per sandbox.

use adapters::{
    aws::Aws, clock::Clock, fields::FieldSeal, keys_table::KeysTable, kms::Kms,
    order_table::OrderTable, random::Random, wechat_api::WechatApi,
};
use flows::{ask::Asking, issue::Issuing, settle::Settling};

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct Desk {
    pub(crate) keys: KeysTable,
    pub(crate) orders: OrderTable,
    pub(crate) issuing: Issuing,
    pub(crate) settling: Settling,
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
        let kms = Kms::new(aws.kms());
        let keys = KeysTable::new(
            aws.dynamodb(),
            keys.table,
            &mchid,
            kms.clone(),
            keys.secrets_key_id,
            clock.clone(),
        );
        let orders = OrderTable::new(aws.dynamodb(), settings.orders_table, &mchid);
        let fields = FieldSeal::new(kms, settings.fields_key_id, clock.clone(), random.clone());
        let wechat = WechatApi::new(wechat, &mchid, keys.clone(), clock.clone(), random.clone());
        let settling = Settling::new(orders.clone(), &mchid, clock.clone(), random.clone());
        let asking = Asking::new(wechat.clone(), settling.clone());
        Self {
            keys,
            issuing: Issuing::new(
                orders.clone(),
                wechat,
                fields,
                asking,
                clock.clone(),
                random.clone(),
            ),
            orders,
            settling,
            clock,
            random,
        }
    }
}
