//! What `process-payment` works with; built once per sandbox.

use flows::{
    issue_prepay::IssueFlow, process_refund::RefundFlow, sandbox::Sandbox, services::Services,
    settle_payment::SettleFlow,
};
use runtime::{clock::Clock, random::Random};
use stores::{keys_table::KeysTable, notices::Notices, order_table::OrderTable, queues::Queue};

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct App {
    pub(crate) keys: KeysTable,
    pub(crate) orders: OrderTable,
    pub(crate) issue_flow: IssueFlow,
    pub(crate) settling: SettleFlow,
    pub(crate) refund_flow: RefundFlow,
    pub(crate) notices: Notices,
    pub(crate) payment_requests: Queue,
    pub(crate) payment_results: Queue,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

impl App {
    /// Puts the parts together.
    pub fn open(settings: Settings, sandbox: &Sandbox) -> Self {
        let services = Services::open(settings.core, sandbox);
        Self {
            issue_flow: services.issue_flow(services.stored_bodies(settings.fields_key_id)),
            refund_flow: services.refund_flow(),
            keys: services.keys,
            orders: services.orders,
            settling: services.settling,
            notices: services.notices,
            payment_requests: services.payment_requests,
            payment_results: Queue::new(sandbox.aws.sqs(), settings.payment_results_url),
            clock: sandbox.clock.clone(),
            random: sandbox.random.clone(),
        }
    }
}
