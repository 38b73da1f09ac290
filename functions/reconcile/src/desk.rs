//! What `reconcile` works with; built once per sandbox.

use adapters::{
    aws::Aws, clock::Clock, kms::Kms, order_table::OrderTable, queues::Queue, random::Random,
    wechat_api::WechatApi,
};
use flows::{ask::Asking, close::Closing, parts::Parts, refund::Refunding};

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct Desk {
    pub(crate) orders: OrderTable,
    pub(crate) asking: Asking,
    pub(crate) closing: Closing,
    pub(crate) refunding: Refunding,
    pub(crate) wechat: WechatApi,
    pub(crate) payment_requests: Queue,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

impl Desk {
    /// Puts the parts together.
    pub fn open(settings: Settings, aws: &Aws, clock: Clock, random: Random) -> Self {
        let parts = Parts::open(settings.core, aws, &Kms::new(aws.kms()), &clock, &random);
        Self {
            closing: parts.closing(),
            refunding: parts.refunding(),
            orders: parts.orders,
            asking: parts.asking,
            wechat: parts.wechat,
            payment_requests: parts.payment_requests,
            clock,
            random,
        }
    }
}
