//! What `manage-order` works with; built once per sandbox.

use flows::{
    authenticate::Authenticator, client_limits::ClientLimits, close_order::CloseFlow,
    process_refund::RefundFlow, query_order::QueryFlow, replay_guard::ReplayGuard,
    sandbox::Sandbox, services::Services,
};
use runtime::{clock::Clock, random::Random};
use stores::{
    guards::Guards, keys_table::KeysTable, order_table::OrderTable, queues::Queue,
    undelivered::UndeliveredEvents,
};

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct App {
    pub(crate) authenticator: Authenticator,
    pub(crate) client_limits: ClientLimits,
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
    pub fn open(settings: Settings, sandbox: &Sandbox) -> Self {
        let Sandbox { aws, clock, random } = sandbox;
        let mchid = settings.core.facts.mchid.clone();
        let services = Services::open(settings.core, sandbox);
        Self {
            authenticator: services.authenticator(),
            client_limits: services.client_limits("manage-order", settings.client_requests_per_s),
            nonces: services.replay_guard(),
            close_flow: services.close_flow(),
            refund_flow: services.refund_flow(),
            keys: services.keys,
            guards: services.guards,
            orders: services.orders,
            query_flow: services.query_flow,
            webhooks: Queue::new(aws.sqs(), settings.webhooks_url),
            undelivered: UndeliveredEvents::new(
                aws.dynamodb(),
                settings.undelivered_events_table,
                mchid.as_str(),
            ),
            mchid,
            clock: clock.clone(),
            random: random.clone(),
        }
    }
}
