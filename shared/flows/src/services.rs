//! The services that functions share which change orders and call WeChat Pay; built once per
//! sandbox.

use runtime::kms::Kms;
use stores::{
    fields::FieldSeal,
    guards::Guards,
    keys_table::{KeysTable, UnknownSerials},
    notices::Notices,
    order_table::OrderTable,
    queues::Queue,
    settings::KeysSettings,
};
use wechat_client::api::WechatApi;

use crate::{
    authenticate::Authenticator, client_limits::ClientLimits, close_order::CloseFlow,
    issue_prepay::IssueFlow, order_store::OrderStore, process_refund::RefundFlow,
    query_order::QueryFlow, replay_guard::ReplayGuard, sandbox::Sandbox, settings::CoreSettings,
    settle_payment::SettleFlow, stored_body::StoredBodies,
};

/// The keys of one merchant.
pub fn keys_table(settings: KeysSettings, mchid: &str, sandbox: &Sandbox) -> KeysTable {
    KeysTable::new(
        sandbox.aws.dynamodb(),
        settings.table,
        mchid,
        Kms::new(sandbox.aws.kms()),
        settings.secrets_key_id,
        sandbox.clock.clone(),
    )
}

/// The services. Building them makes no call.
#[derive(Debug)]
pub struct Services {
    /// Keys of the merchant, of WeChat Pay and of the API's clients.
    pub keys: KeysTable,
    /// Orders, to be read.
    pub orders: OrderTable,
    /// The ledger of notices.
    pub notices: Notices,
    /// Leases, nonces and pauses.
    pub guards: Guards,
    /// WeChat Pay.
    pub wechat: WechatApi,
    /// Orders, to be changed.
    pub books: OrderStore,
    /// Settles news about payments.
    pub settling: SettleFlow,
    /// Queries orders at WeChat Pay.
    pub query_flow: QueryFlow,
    /// The queue for prepay values and refunds.
    pub payment_requests: Queue,
    sandbox: Sandbox,
}

impl Services {
    /// Puts the parts together.
    pub fn open(settings: CoreSettings, sandbox: &Sandbox) -> Self {
        let Sandbox { aws, clock, random } = sandbox;
        let mchid = settings.facts.mchid.clone();
        let guards = Guards::new(aws.dynamodb(), settings.guards_table);
        let keys = keys_table(settings.keys, &mchid, sandbox)
            .reporting_to(UnknownSerials::new(guards.clone()));
        let notices = Notices::new(aws.dynamodb(), settings.notices_table, &mchid);
        let orders = OrderTable::new(aws.dynamodb(), settings.orders_table, &mchid)
            .with_ledger(notices.clone());
        let wechat = WechatApi::new(
            settings.wechat,
            &mchid,
            keys.clone(),
            clock.clone(),
            random.clone(),
        );
        let payment_requests = Queue::new(aws.sqs(), settings.payment_requests_url);
        let books = OrderStore::new(
            orders.clone(),
            settings.facts,
            payment_requests.clone(),
            clock.clone(),
            random.clone(),
        );
        let settling = SettleFlow::new(books.clone());
        Self {
            guards,
            query_flow: QueryFlow::new(wechat.clone(), settling.clone()),
            keys,
            orders,
            notices,
            wechat,
            books,
            settling,
            payment_requests,
            sandbox: sandbox.clone(),
        }
    }

    /// Authenticates requests of the API.
    pub fn authenticator(&self) -> Authenticator {
        Authenticator::new(self.keys.clone(), self.sandbox.clock.clone())
    }

    /// Holds each client to its limit at `function`, by its name in the template.
    pub fn client_limits(&self, function: &'static str, requests_per_s: u32) -> ClientLimits {
        let clock = self.sandbox.clock.clone();
        ClientLimits::new(self.guards.clone(), clock, function, requests_per_s)
    }

    /// Lets each signed request take effect once.
    pub fn replay_guard(&self) -> ReplayGuard {
        let Sandbox { clock, random, .. } = self.sandbox.clone();
        ReplayGuard::new(self.guards.clone(), clock, random)
    }

    /// Seals and opens WeChat Pay's request bodies under this KMS key.
    pub fn stored_bodies(&self, fields_key_id: String) -> StoredBodies {
        let Sandbox { aws, clock, random } = self.sandbox.clone();
        let kms = Kms::new(aws.kms());
        StoredBodies::new(FieldSeal::new(kms, fields_key_id, clock, random))
    }

    /// Gets prepay values.
    pub fn issue_flow(&self, bodies: StoredBodies) -> IssueFlow {
        let Sandbox { clock, random, .. } = self.sandbox.clone();
        IssueFlow::new(
            self.orders.clone(),
            self.wechat.clone(),
            bodies,
            self.query_flow.clone(),
            clock,
            random,
        )
    }

    pub fn close_flow(&self) -> CloseFlow {
        CloseFlow::new(
            self.books.clone(),
            self.wechat.clone(),
            self.query_flow.clone(),
        )
    }

    /// Gets refunds done.
    pub fn refund_flow(&self) -> RefundFlow {
        RefundFlow::new(self.books.clone(), self.wechat.clone(), self.guards.clone())
    }
}
