//! What `create-order` works with; built once per sandbox.

use std::time::Duration;

use adapters::{
    aws::Aws, clock::Clock, fields::FieldSeal, guards::Guards, kms::Kms, order_table::OrderTable,
    queues::Queue, random::Random,
};
use flows::{
    authenticate::{Authenticator, ReplayGuard},
    issue_prepay::IssueFlow,
    services::Services,
    stored_body::StoredBodies,
};
use payments::model::merchant::MerchantProfile;

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct App {
    pub(crate) authenticator: Authenticator,
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
    pub fn open(settings: Settings, aws: &Aws, clock: Clock, random: Random) -> Self {
        let kms = Kms::new(aws.kms());
        let merchant = MerchantProfile {
            mchid: settings.core.facts.mchid.clone(),
            appids: settings.appids,
            notify_url: settings.core.facts.notify_url.clone(),
        };
        let parts = Services::open(settings.core, aws, &kms, &clock, &random);
        let fields = FieldSeal::new(kms, settings.fields_key_id, clock.clone(), random.clone());
        let bodies = StoredBodies::new(fields);
        Self {
            authenticator: Authenticator::new(parts.keys, clock.clone()),
            nonces: ReplayGuard::new(parts.guards.clone(), clock.clone(), random.clone()),
            guards: parts.guards,
            issue_flow: IssueFlow::new(
                parts.orders.clone(),
                parts.wechat,
                bodies.clone(),
                parts.query_flow,
                clock.clone(),
                random.clone(),
            ),
            orders: parts.orders,
            bodies,
            payment_requests: parts.payment_requests,
            merchant,
            prepay_budget: settings.prepay_budget,
            clock,
            random,
        }
    }
}
