//! What `manage-order` works with; built once per sandbox.

use adapters::{
    aws::Aws, clock::Clock, guards::Guards, keys_table::KeysTable, kms::Kms,
    order_table::OrderTable, queues::Queue, random::Random, undelivered::UndeliveredEvents,
};
use flows::{
    authenticate::{Authenticator, ReplayGuard},
    close_order::CloseFlow,
    process_refund::RefundFlow,
    query_order::QueryFlow,
    services::Services,
};

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct App {
    pub(crate) authenticator: Authenticator,
    pub(crate) nonces: ReplayGuard,
    pub(crate) keys: KeysTable,
    pub(crate) guards: Guards,
    pub(crate) orders: OrderTable,
    pub(crate) query_flow: QueryFlow,
    pub(crate) close_flow: CloseFlow,
    pub(crate) refund_flow: RefundFlow,
    pub(crate) webhooks: Queue,
    pub(crate) undelivered: UndeliveredEvents,
    pub(crate) mchid: String,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

impl App {
    /// Puts the parts together.
    pub fn open(settings: Settings, aws: &Aws, clock: Clock, random: Random) -> Self {
        let mchid = settings.core.facts.mchid.clone();
        let parts = Services::open(settings.core, aws, &Kms::new(aws.kms()), &clock, &random);
        Self {
            close_flow: parts.close_flow(),
            refund_flow: parts.refund_flow(),
            authenticator: Authenticator::new(parts.keys.clone(), clock.clone()),
            keys: parts.keys,
            nonces: ReplayGuard::new(parts.guards.clone(), clock.clone(), random.clone()),
            guards: parts.guards,
            orders: parts.orders,
            query_flow: parts.query_flow,
            webhooks: Queue::new(aws.sqs(), settings.webhooks_url),
            undelivered: UndeliveredEvents::new(
                aws.dynamodb(),
                settings.undelivered_events_table,
                mchid.as_str(),
            ),
            mchid,
            clock,
            random,
        }
    }
}
