//! What `create-order` works with; built once per sandbox.

use std::time::Duration;

use adapters::{
    aws::Aws, clock::Clock, fields::FieldSeal, guards::Guards, keys_table::KeysTable, kms::Kms,
    order_table::OrderTable, queues::Queue, random::Random, wechat_api::WechatApi,
};
use flows::{
    ask::Asking,
    gate::{Gate, Nonces},
    issue::Issuing,
    settle::Settling,
};
use payments::create::Merchant;

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct Desk {
    pub(crate) gate: Gate,
    pub(crate) nonces: Nonces,
    pub(crate) orders: OrderTable,
    pub(crate) issuing: Issuing,
    pub(crate) fields: FieldSeal,
    pub(crate) payment_requests: Queue,
    pub(crate) merchant: Merchant,
    pub(crate) prepay_budget: Duration,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

impl Desk {
    /// Puts the parts together.
    pub fn open(settings: Settings, aws: &Aws, clock: Clock, random: Random) -> Self {
        let Settings {
            keys,
            wechat,
            merchant,
            ..
        } = settings;
        let kms = Kms::new(aws.kms());
        let mchid = &merchant.mchid;
        let keys = KeysTable::new(
            aws.dynamodb(),
            keys.table,
            mchid,
            kms.clone(),
            keys.secrets_key_id,
            clock.clone(),
        );
        let orders = OrderTable::new(aws.dynamodb(), settings.orders_table, mchid);
        let guards = Guards::new(aws.dynamodb(), settings.guards_table);
        let fields = FieldSeal::new(kms, settings.fields_key_id, clock.clone(), random.clone());
        let wechat = WechatApi::new(wechat, mchid, keys.clone(), clock.clone(), random.clone());
        let settling = Settling::new(orders.clone(), mchid, clock.clone(), random.clone());
        let asking = Asking::new(wechat.clone(), settling);
        Self {
            gate: Gate::new(keys, clock.clone()),
            nonces: Nonces::new(guards, clock.clone(), random.clone()),
            issuing: Issuing::new(
                orders.clone(),
                wechat,
                fields.clone(),
                asking,
                clock.clone(),
                random.clone(),
            ),
            orders,
            fields,
            payment_requests: Queue::new(aws.sqs(), settings.payment_requests_url),
            merchant,
            prepay_budget: settings.prepay_budget,
            clock,
            random,
        }
    }
}
