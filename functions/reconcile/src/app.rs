//! What `reconcile` works with; built once per sandbox.

use flows::{
    close_order::CloseFlow, process_refund::RefundFlow, query_order::QueryFlow, sandbox::Sandbox,
    services::Services, settle_payment::SettleFlow,
};
use payments::reconcile::run::FundTerms;
use runtime::{clock::Clock, random::Random};
use stores::{
    evidence::Evidence, guards::Guards, keys_table::KeysTable, notices::Notices,
    order_table::OrderTable, queues::Queue, reconciliation::ReconciliationTable,
};
use wechat_client::api::WechatApi;

use crate::{days_unread::DaysUnread, settings::Settings};

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct App {
    pub(crate) keys: KeysTable,
    pub(crate) guards: Guards,
    pub(crate) orders: OrderTable,
    pub(crate) notices: Notices,
    pub(crate) query_flow: QueryFlow,
    pub(crate) settling: SettleFlow,
    pub(crate) close_flow: CloseFlow,
    pub(crate) refund_flow: RefundFlow,
    pub(crate) wechat: WechatApi,
    pub(crate) payment_requests: Queue,
    pub(crate) reconciliations: ReconciliationTable,
    pub(crate) evidence: Evidence,
    /// Its own queue: days and parts of days.
    pub(crate) work: Queue,
    /// Whether the daily run repairs, or only reports.
    pub(crate) repairs: bool,
    /// What the merchant's contract says of the account.
    pub(crate) fund_terms: FundTerms,
    /// Lines of a day that one run holds; a bigger day is split.
    pub(crate) lines_max: u64,
    pub(crate) days_unread: DaysUnread,
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
        let table = &settings.reconciliation_table;
        Self {
            close_flow: services.close_flow(),
            refund_flow: services.refund_flow(),
            keys: services.keys,
            guards: services.guards,
            orders: services.orders,
            notices: services.notices.clone(),
            query_flow: services.query_flow,
            settling: services.settling,
            wechat: services.wechat,
            payment_requests: services.payment_requests,
            reconciliations: ReconciliationTable::new(aws.dynamodb(), table, &mchid)
                .with_ledger(services.notices),
            evidence: Evidence::new(aws.s3(), settings.evidence_bucket, ""),
            work: Queue::new(aws.sqs(), settings.work_queue_url),
            repairs: settings.repairs,
            fund_terms: settings.fund_terms,
            lines_max: settings.lines_max,
            days_unread: DaysUnread::default(),
            mchid,
            clock: clock.clone(),
            random: random.clone(),
        }
    }

    /// A random key for the fingerprints of one pass, so that colliding numbers cannot be
    /// constructed.
    pub(crate) fn hash_key(&self) -> [u64; 2] {
        [
            u64::from_be_bytes(self.random.bytes()),
            u64::from_be_bytes(self.random.bytes()),
        ]
    }
}
