//! The services that functions share which change orders and call WeChat Pay; built once per
//! sandbox.

use adapters::{
    aws::Aws,
    clock::Clock,
    guards::Guards,
    keys_table::{KeysTable, UnknownSerials},
    kms::Kms,
    notices::Notices,
    order_table::OrderTable,
    queues::Queue,
    random::Random,
    settings::CoreSettings,
    wechat_api::WechatApi,
};

use crate::{
    close_order::CloseFlow, order_store::OrderStore, process_refund::RefundFlow,
    query_order::QueryFlow, settle_payment::SettleFlow,
};

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
}

impl Services {
    /// Puts the parts together.
    pub fn open(
        settings: CoreSettings,
        aws: &Aws,
        kms: &Kms,
        clock: &Clock,
        random: &Random,
    ) -> Self {
        let mchid = settings.facts.mchid.clone();
        let guards = Guards::new(aws.dynamodb(), settings.guards_table);
        let keys = KeysTable::new(
            aws.dynamodb(),
            settings.keys.table,
            &mchid,
            kms.clone(),
            settings.keys.secrets_key_id,
            clock.clone(),
        )
        .telling(UnknownSerials::new(guards.clone()));
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
        }
    }

    /// Closes orders.
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
