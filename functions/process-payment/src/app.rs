//! What `process-payment` works with; built once per sandbox.

use adapters::{
    aws::Aws, clock::Clock, fields::FieldSeal, keys_table::KeysTable, kms::Kms, notices::Notices,
    order_table::OrderTable, queues::Queue, random::Random,
};
use flows::{
    issue_prepay::IssueFlow, process_refund::RefundFlow, services::Services,
    settle_payment::SettleFlow, stored_body::StoredBodies,
};

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
    pub fn open(settings: Settings, aws: &Aws, clock: Clock, random: Random) -> Self {
        let kms = Kms::new(aws.kms());
        let parts = Services::open(settings.core, aws, &kms, &clock, &random);
        let fields = FieldSeal::new(kms, settings.fields_key_id, clock.clone(), random.clone());
        Self {
            refund_flow: parts.refund_flow(),
            issue_flow: IssueFlow::new(
                parts.orders.clone(),
                parts.wechat,
                StoredBodies::new(fields),
                parts.query_flow,
                clock.clone(),
                random.clone(),
            ),
            keys: parts.keys,
            orders: parts.orders,
            settling: parts.settling,
            notices: parts.notices,
            payment_requests: parts.payment_requests,
            payment_results: Queue::new(aws.sqs(), settings.payment_results_url),
            clock,
            random,
        }
    }
}
