//! What most tests work with: one merchant, one set of tables and queues, one WeChat Pay, and the
//! functions over them.

pub(crate) mod api;
mod aws;
mod background;
mod callbacks;
pub(crate) mod cloudwatch;
mod collector;
mod console;
mod days;
mod lines;
mod queues;
mod records;
mod requests;
mod set_up;

use std::{sync::Arc, time::Duration};

use payments::model::ids::OrderNo;
use runtime::{aws::Aws, clock::Clock, random::Random};
use serde_json::{Value, json};
use stores::{keys_table::KeysTable, order_table::OrderTable, reconciliation::ReconciliationTable};
use testbed::{
    AwsEngines, FaultyTransport, Match, Service, Tables, environment::Environment, kms_key,
    simulator_config,
};
use wechatpay::UnixSeconds;
use wechatpay_simulator::{Config, Running, Simulator};

pub(crate) use api::{ApiAnswer, Client};
pub(crate) use aws::HiddenTimes;
pub(crate) use callbacks::event as callback_event;
pub(crate) use collector::{Collector, CollectorAnswers, Export, Got, invocation};
pub(crate) use console::{answer_to_event, serve_app};
pub(crate) use days::native_for;
pub(crate) use lines::Lines;
pub(crate) use queues::{MAX_RECEIVE_COUNT, batch};
pub(crate) use set_up::TestbedOptions;
pub(crate) use testbed::{APPIDS, MCHID, open};

/// An appid in our settings that WeChat Pay does not know.
pub(crate) const FOREIGN_APPID: &str = "wx00000000000000zz";

/// One merchant with everything that its functions need.
pub(crate) struct Testbed {
    /// The clock of everything but the simulator, whose clock [`Testbed::advance`] moves too.
    pub(crate) clock: Clock,
    /// The queues' own clock, which stands still unless a test moves it.
    pub(crate) sqs_clock: Clock,
    /// All calls to AWS go through it.
    pub(crate) wire: FaultyTransport,
    /// WeChat Pay.
    pub(crate) wechat: Running,
    /// The tables.
    pub(crate) tables: Tables,
    /// The keys table, for changes in the middle of a test.
    pub(crate) keys: KeysTable,
    /// The orders table.
    pub(crate) orders: OrderTable,
    /// The client that most tests use.
    pub(crate) client: Client,
    /// Where callbacks arrive.
    pub(crate) notify_url: String,
    /// How long failed messages were hidden.
    pub(crate) hidden: HiddenTimes,
    create_order: Arc<create_order::app::App>,
    manage_order: Arc<manage_order::app::App>,
    receive_callback: Arc<receive_callback::app::App>,
    process_payment: Arc<process_payment::app::App>,
    reconcile: reconcile::app::App,
    aws: Aws,
    vars: Environment,
    /// The reconciliation table.
    pub(crate) reconciliation: ReconciliationTable,
    console: console::Consoles,
    queues: queues::Queues,
    random: Random,
    engines: AwsEngines,
}

/// Functions that stand by while those of another version work, or the other way round.
pub(crate) struct NextVersion {
    create_order: Arc<create_order::app::App>,
    manage_order: Arc<manage_order::app::App>,
    process_payment: Arc<process_payment::app::App>,
    reconcile: reconcile::app::App,
    vars: Environment,
}

impl Testbed {
    /// With the usual settings.
    pub(crate) async fn start() -> Self {
        Self::with(TestbedOptions::default()).await
    }

    /// Time passes, here and at WeChat Pay. Callbacks that are due go out.
    pub(crate) async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.wechat.admin().advance(by).await;
    }

    /// The same, and at the queues.
    pub(crate) async fn advance_with_queues(&self, by: Duration) {
        self.sqs_clock.advance(by);
        self.advance(by).await;
    }

    /// Writes of changes of orders alone, and of their leases and next checks.
    pub(crate) fn order_changes(&self) -> Match {
        Match::operation(Service::DynamoDb, "UpdateItem").on(&self.tables.orders)
    }

    /// Waits in real time until `enough` matching calls were made, and a moment longer to see one
    /// too many. Returns their number.
    pub(crate) async fn on_the_wire(&self, which: &Match, enough: usize) -> usize {
        let is_enough = async {
            while self.wire.count(which) < enough {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // The count shows whether it took too long.
        drop(tokio::time::timeout(Duration::from_secs(20), is_enough).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.wire.count(which)
    }
}

/// An order number.
pub(crate) fn number(text: &str) -> OrderNo {
    OrderNo::parse(text).expect("an order number")
}

/// A valid request for a QR code.
pub(crate) fn native(order_no: &str) -> Value {
    json!({"order_no": order_no, "product": "native", "amount_fen": 100, "description": "Tea"})
}

/// A request that is valid by our rules and that WeChat Pay refuses: the openid belongs to another
/// appid.
pub(crate) fn refused_by_wechat(order_no: &str) -> Value {
    let mut body = native(order_no);
    body["product"] = json!("jsapi");
    body["openid"] = json!("other-appid-o1");
    body
}

/// WeChat Pay at this port, or at a free one for 0. All instances have the same keys.
pub(crate) fn start_wechat(start: UnixSeconds, port: u16) -> Running {
    let config = simulator_config(kms_key().public_pem(), start);
    Simulator::start(Config { port, ..config }).expect("a simulator")
}
