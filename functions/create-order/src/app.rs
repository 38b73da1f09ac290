//! What `create-order` works with; built once per sandbox.

use std::time::Duration;

use flows::{
    authenticate::Authenticator, client_limits::ClientLimits, issue_prepay::IssueFlow,
    replay_guard::ReplayGuard, sandbox::Sandbox, services::Services, stored_body::StoredBodies,
};
use payments::model::merchant::MerchantProfile;
use runtime::{clock::Clock, random::Random};
use stores::{guards::Guards, order_table::OrderTable, queues::Queue};

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct App {
    pub(crate) authenticator: Authenticator,
    pub(crate) client_limits: ClientLimits,
    pub(crate) nonces: ReplayGuard,
    pub(crate) guards: Guards,
    pub(crate) orders: OrderTable,
    pub(crate) issue_flow: IssueFlow,
    pub(crate) bodies: StoredBodies,
    pub(crate) payment_requests: Queue,
    pub(crate) merchant: MerchantProfile,
    pub(crate) prepay_budget: Duration,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

impl App {
    /// Puts the parts together.
    pub fn open(settings: Settings, sandbox: &Sandbox) -> Self {
        let merchant = MerchantProfile {
            mchid: settings.core.facts.mchid.clone(),
            appids: settings.appids,
            notify_url: settings.core.facts.notify_url.clone(),
        };
        let services = Services::open(settings.core, sandbox);
        let bodies = services.stored_bodies(settings.fields_key_id);
        Self {
            authenticator: services.authenticator(),
            client_limits: services.client_limits("create-order", settings.client_requests_per_s),
            nonces: services.replay_guard(),
            issue_flow: services.issue_flow(bodies.clone()),
            bodies,
            guards: services.guards,
            orders: services.orders,
            payment_requests: services.payment_requests,
            merchant,
            prepay_budget: settings.prepay_budget,
            clock: sandbox.clock.clone(),
            random: sandbox.random.clone(),
        }
    }
}
