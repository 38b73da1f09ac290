//! What most tests work with: one merchant, one set of tables and queues, one WeChat Pay, and the
//! functions over them.

pub(crate) mod api;
mod aws;
mod callbacks;
mod console;
mod days;
mod lines;
mod queues;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use flows::sqs_event::SqsBatch;
use payments::model::{ids::OrderNo, journal::Event, order::Order};
use reconcile::handler;
use runtime::{
    aws::{Aws, AwsSettings},
    clock::Clock,
    kms::Kms,
    random::Random,
};
use serde_json::{Value, json};
use stores::{
    keys_table::{KeysTable, VerificationKind},
    notices::Notices,
    order_table::{OrderTable, TableError},
    queues::Queue,
    reconciliation::ReconciliationTable,
};
use testbed::{
    AwsEngines, Fault, FaultyTransport, Match, Service, Tables,
    environment::{
        AWS_IN_PROCESS, Environment, FIELDS_KEY_ID, REQUESTS, RESULTS, SECRETS_KEY_ID, WEBHOOKS,
        WORK, environment,
    },
    kms_key, sealed_key, simulator_config, write_merchant,
};
use wechatpay::UnixSeconds;
use wechatpay_simulator::{Config, PayOptions, Running, SigningMode, Simulator};

pub(crate) use api::{ApiAnswer, Client};
pub(crate) use aws::HiddenTimes;
pub(crate) use console::answer_to_event;
pub(crate) use days::native_for;
pub(crate) use lines::Lines;
pub(crate) use queues::{MAX_RECEIVE_COUNT, batch};
pub(crate) use testbed::{APPIDS, MCHID, open};

/// An appid in our settings that WeChat Pay does not know.
pub(crate) const FOREIGN_APPID: &str = "wx00000000000000zz";

/// One merchant with everything that its functions need.
pub(crate) struct Testbed {
    /// The clock of everything but the simulator, whose clock [`Testbed::advance`] moves too.
    pub(crate) clock: Clock,
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

/// Settings that a test may change.
pub(crate) struct TestbedOptions {
    /// `MERCHANT_SIGNER`.
    pub(crate) signer: &'static str,
    /// `PREPAY_BUDGET_MS`.
    pub(crate) prepay_budget_ms: u32,
    /// `CLIENT_REQUESTS_PER_S`.
    pub(crate) client_requests_per_s: u32,
    /// Nothing listens at the main host's address.
    pub(crate) main_host_is_down: bool,
    /// Nothing listens at the backup host's address.
    pub(crate) both_hosts_are_down: bool,
    /// `RECONCILE_LINES_MAX`.
    pub(crate) lines_max: u64,
    /// WeChat Pay signs with a platform certificate, and the merchant has nothing else.
    pub(crate) by_certificate: bool,
    /// The merchant has no platform certificate.
    pub(crate) without_certificates: bool,
    /// `RECONCILE_FUND_ACCOUNTS`.
    pub(crate) fund_accounts: &'static str,
    /// `RECONCILE_SETTLEMENT_DAYS`.
    pub(crate) settlement_days: u8,
}

impl Default for TestbedOptions {
    fn default() -> Self {
        Self {
            signer: "kms",
            prepay_budget_ms: 4500,
            client_requests_per_s: 100,
            main_host_is_down: false,
            both_hosts_are_down: false,
            lines_max: 1_000_000,
            by_certificate: false,
            without_certificates: false,
            fund_accounts: "BASIC,OPERATION,FEES",
            settlement_days: 1,
        }
    }
}

impl Testbed {
    /// With the usual settings.
    pub(crate) async fn start() -> Self {
        Self::with(TestbedOptions::default()).await
    }

    /// With these settings.
    pub(crate) async fn with(options: TestbedOptions) -> Self {
        let start_s = Clock::system().now();
        let clock = Clock::manual(start_s);
        let random = Random::system();
        // The queues have a clock that stands still.
        let engines = AwsEngines::new(Clock::manual(start_s));
        let tables = testbed::create_tables(&engines.aws().dynamodb(), "").await;
        let wire = FaultyTransport::around(engines.http_client(), clock.clone());
        let settings = AwsSettings::local(AWS_IN_PROCESS);
        let aws = Aws::with_http_client(&settings, &clock, wire.http_client());
        let queues = queues::Queues::of(&engines);
        let callbacks = callbacks::Listener::bind().await;
        let key = if options.signer == "kms" {
            kms_key()
        } else {
            sealed_key()
        };
        let config = Config {
            signing_mode: if options.by_certificate {
                SigningMode::Certificate
            } else {
                SigningMode::PublicKey
            },
            platform_certificates: !options.without_certificates,
            ..simulator_config(key.public_pem(), start_s)
        };
        let wechat = Simulator::start(config).expect("a simulator");
        let keys = KeysTable::new(
            aws.dynamodb(),
            &tables.keys,
            MCHID,
            Kms::new(aws.kms()),
            SECRETS_KEY_ID,
            clock.clone(),
        );
        let (public_key, certificate) =
            (VerificationKind::PublicKey, VerificationKind::Certificate);
        let kinds = match (options.by_certificate, options.without_certificates) {
            (true, _) => vec![certificate],
            (false, true) => vec![public_key],
            (false, false) => vec![public_key, certificate],
        };
        write_merchant(&keys, wechat.admin(), &kinds).await;
        let client = Client::register(&keys, "shop", &random).await;
        let vars = vars(&options, &tables, &wechat, &callbacks.url);
        let notify_url = callbacks.url.clone();
        let receive_callback = Arc::new(open!(receive_callback, &vars, &aws, &clock, &random));
        callbacks.serve(Arc::clone(&receive_callback));
        Self {
            create_order: Arc::new(open!(create_order, &vars, &aws, &clock, &random)),
            manage_order: Arc::new(open!(manage_order, &vars, &aws, &clock, &random)),
            process_payment: Arc::new(open!(process_payment, &vars, &aws, &clock, &random)),
            reconcile: open!(reconcile, &vars, &aws, &clock, &random),
            console: console::Consoles::open(&vars, &aws, &clock, &random),
            reconciliation: ReconciliationTable::new(aws.dynamodb(), &tables.reconciliation, MCHID)
                .with_ledger(Notices::new(aws.dynamodb(), &tables.notices, MCHID)),
            receive_callback,
            orders: OrderTable::new(aws.dynamodb(), &tables.orders, MCHID),
            clock,
            wire,
            wechat,
            tables,
            keys,
            client,
            notify_url,
            hidden: HiddenTimes(engines.clone()),
            queues,
            random,
            engines,
            aws,
            vars,
        }
    }

    /// Deploys `reconcile` again with another setting.
    pub(crate) fn set_reconcile(&mut self, name: &str, value: &str) {
        self.vars.insert(name.to_owned(), value.to_owned());
        let Self {
            vars,
            aws,
            clock,
            random,
            ..
        } = self;
        self.reconcile = open!(reconcile, &*vars, aws, clock, random);
    }

    /// The next version of all functions that call WeChat Pay, with other settings. It works once it
    /// is let in.
    pub(crate) fn next_version(&self, settings: &[(&str, &str)]) -> NextVersion {
        let mut vars = self.vars.clone();
        let settings = settings.iter();
        vars.extend(settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let (aws, clock, random) = (&self.aws, &self.clock, &self.random);
        NextVersion {
            create_order: Arc::new(open!(create_order, &vars, aws, clock, random)),
            manage_order: Arc::new(open!(manage_order, &vars, aws, clock, random)),
            process_payment: Arc::new(open!(process_payment, &vars, aws, clock, random)),
            reconcile: open!(reconcile, &vars, aws, clock, random),
            vars,
        }
    }

    /// Clients' requests go to the other version, and the one that they went to stands by.
    pub(crate) fn let_requests_in(&mut self, other: &mut NextVersion) {
        std::mem::swap(&mut self.create_order, &mut other.create_order);
        std::mem::swap(&mut self.manage_order, &mut other.manage_order);
    }

    /// The same for queues and schedules.
    pub(crate) fn let_work_in(&mut self, other: &mut NextVersion) {
        std::mem::swap(&mut self.process_payment, &mut other.process_payment);
        std::mem::swap(&mut self.reconcile, &mut other.reconcile);
        std::mem::swap(&mut self.vars, &mut other.vars);
    }

    /// The function that sends webhooks, for receivers on this machine.
    pub(crate) fn send_webhook(&self) -> send_webhook::app::App {
        let mut vars = self.vars.clone();
        let local = [
            ("WEBHOOK_ALLOW_LOOPBACK", "true"),
            ("AWS_ENDPOINT_URL", "http://localhost"),
        ];
        vars.extend(local.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let (aws, clock, random) = (&self.aws, &self.clock, &self.random);
        open!(send_webhook, &vars, aws, clock, random)
    }

    /// From now on clients' requests go to new sandboxes with empty caches.
    pub(crate) fn start_new_sandboxes(&mut self) {
        let Self {
            vars,
            aws,
            clock,
            random,
            ..
        } = self;
        self.create_order = Arc::new(open!(create_order, &*vars, aws, clock, random));
        self.manage_order = Arc::new(open!(manage_order, &*vars, aws, clock, random));
    }

    /// Deploys the console again with another setting.
    pub(crate) async fn set_console(&mut self, name: &str, value: &str) {
        let mut vars = self.vars.clone();
        vars.insert(name.to_owned(), value.to_owned());
        self.console = console::Consoles::open(&vars, &self.aws, &self.clock, &self.random);
        self.vars = vars;
    }

    /// Another client of the API, with a key of its own.
    pub(crate) async fn another_client(&self, name: &str) -> Client {
        Client::register(&self.keys, name, &self.random).await
    }

    /// Time passes, here and at WeChat Pay. Callbacks that are due go out.
    pub(crate) async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.wechat.admin().advance(by).await;
    }

    /// WeChat Pay sends what is due.
    pub(crate) async fn deliver(&self) {
        self.advance(Duration::ZERO).await;
    }

    /// The payer pays, and the callback goes out.
    pub(crate) async fn pay(&self, order: &str) {
        self.wechat
            .admin()
            .pay(order, &PayOptions::default())
            .expect("an order that can be paid");
        self.deliver().await;
    }

    /// The payer pays, and the callback that goes out says something else in these places (JSON
    /// merge patch).
    pub(crate) async fn pay_altered(&self, order: &str, alter: Value) {
        let options = PayOptions {
            alter: Some(alter),
            ..PayOptions::default()
        };
        self.wechat
            .admin()
            .pay(order, &options)
            .expect("an order that can be paid");
        self.deliver().await;
    }

    /// A request of the usual client.
    pub(crate) async fn post_order(&self, body: &Value) -> ApiAnswer {
        self.send(self.client.post("/v1/orders", body, self)).await
    }

    /// The same, which the queue is to go on with.
    pub(crate) async fn post_order_async(&self, body: &Value) -> ApiAnswer {
        let prefer = [("prefer", "respond-async")];
        let request = self.client.post_with("/v1/orders", body, &prefer, self);
        self.send(request).await
    }

    /// Writes of changes of orders alone, and of their leases and next checks.
    pub(crate) fn order_changes(&self) -> Match {
        Match::operation(Service::DynamoDb, "UpdateItem").on(&self.tables.orders)
    }

    /// The usual client reads an order.
    pub(crate) async fn get_order(&self, order_no: &str) -> ApiAnswer {
        self.send(self.client.get(&format!("/v1/orders/{order_no}"), self))
            .await
    }

    /// A request of the usual client to change something under an order.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> ApiAnswer {
        self.send(self.client.post(path, body, self)).await
    }

    /// The usual client reads this path.
    pub(crate) async fn get(&self, path: &str) -> ApiAnswer {
        self.send(self.client.get(path, self)).await
    }

    /// The usual client closes an order.
    pub(crate) async fn close(&self, order_no: &str) -> ApiAnswer {
        self.post(&format!("/v1/orders/{order_no}/close"), &json!({}))
            .await
    }

    /// The usual client asks for a refund.
    pub(crate) async fn refund(&self, order_no: &str, refund_no: &str, fen: i64) -> ApiAnswer {
        let body = json!({"refund_no": refund_no, "amount_fen": fen});
        self.post(&format!("/v1/orders/{order_no}/refunds"), &body)
            .await
    }

    /// The usual client reads a refund.
    pub(crate) async fn get_refund(&self, order_no: &str, refund_no: &str) -> ApiAnswer {
        self.get(&format!("/v1/orders/{order_no}/refunds/{refund_no}"))
            .await
    }

    /// Hands a request to the function that its route belongs to.
    pub(crate) async fn send(&self, request: http::Request<Vec<u8>>) -> ApiAnswer {
        let (parts, body) = request.into_parts();
        ApiAnswer::of(
            if parts.method == http::Method::POST && parts.uri.path() == "/v1/orders" {
                create_order::handler::create(&self.create_order, parts, body).await
            } else {
                manage_order::handler::manage(&self.manage_order, parts, body).await
            },
        )
    }

    /// Hands a callback to its function, without the network in between.
    pub(crate) async fn receive(
        &self,
        callback: &wechatpay_simulator::SignedCallback,
    ) -> ApiAnswer {
        let headers = callback.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
        self.receive_event(callbacks::event(headers, callback.body.as_bytes()))
            .await
    }

    /// Hands an event of the gateway to the function that takes callbacks.
    pub(crate) async fn receive_event(
        &self,
        event: receive_callback::event::GatewayRequest,
    ) -> ApiAnswer {
        ApiAnswer::of(receive_callback::handler::receive(&self.receive_callback, event).await)
    }

    /// Sends a message of the results queue again, as `cargo client notices redrive` does.
    pub(crate) async fn redrive(&self, message: &str) {
        Queue::new(self.queues.client(), RESULTS)
            .redrive(
                message,
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
            .await
            .expect("a message");
    }

    /// Processes both queues until they are empty or every message left has failed. Returns how
    /// many failed.
    pub(crate) async fn work_off(&self) -> usize {
        self.queues
            .work_off(&self.process_payment, &self.clock)
            .await
    }

    /// Lambda hands over what the results queue holds, and the function crashes at its first call.
    /// Later the queue shows it again. Returns the number of these messages.
    pub(crate) async fn crash_over_results(&self) -> usize {
        let app = &self.process_payment;
        self.wire.break_next(Match::any(), Fault::DieBefore);
        let crashes = async |batch| {
            let deadline_ms = self.clock.now_ms() + 30_000;
            let works = process_payment::handler::process(app, batch, deadline_ms);
            let lived = self.wire.run_until_crash(works).await;
            assert!(lived.is_none(), "no call was made");
        };
        let count = self.queues.hand_over_and_leave(RESULTS, crashes).await;
        self.wire.mend();
        count
    }

    /// The queue's ids of the messages that the results queue holds.
    pub(crate) async fn result_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let inspect = async |batch: SqsBatch| {
            ids.extend(batch.records.into_iter().map(|record| record.message_id));
        };
        self.queues.hand_over_and_leave(RESULTS, inspect).await;
        ids
    }

    /// The function that works off the queues.
    pub(crate) fn process_payment(&self) -> Arc<process_payment::app::App> {
        Arc::clone(&self.process_payment)
    }

    /// Hands one batch of these bodies to `process-payment`, with this much time left. Returns the
    /// positions that failed.
    pub(crate) async fn process_batch(&self, bodies: &[String], left_ms: i64) -> Vec<usize> {
        queues::process_batch(&self.process_payment, &self.clock, bodies, left_ms).await
    }

    /// Puts a message into the results queue, as an attacker with access to it could.
    pub(crate) async fn forge_result(&self, body: &str) {
        self.queues.send(RESULTS, body);
    }

    /// The same for the requests queue.
    pub(crate) async fn forge_request(&self, body: &str) {
        self.queues.send(REQUESTS, body);
    }

    /// The same for the queue of days.
    pub(crate) async fn forge_work(&self, body: &str) {
        self.queues.send(WORK, body);
    }

    /// What the dead-letter queues hold: of requests and of results, each sorted.
    pub(crate) async fn dead_letters(&self) -> [Vec<String>; 2] {
        [
            self.queues.dead_letters(REQUESTS),
            self.queues.dead_letters(RESULTS),
        ]
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

    /// One run of the sweep, as Lambda sees its result.
    pub(crate) async fn try_sweep(&self) -> Result<handler::Output, TableError> {
        let deadline_ms = self.clock.now_ms() + 60_000;
        let event = handler::Input::Task(handler::Task::Sweep);
        handler::run(&self.reconcile, event, deadline_ms).await
    }

    /// One run of the sweep.
    pub(crate) async fn sweep(&self) -> reconcile::SweepReport {
        match self.try_sweep().await {
            Ok(handler::Output::Sweep(report)) => report,
            other => panic!("not a sweep: {other:?}"),
        }
    }

    /// One run of the certificate check.
    pub(crate) async fn certificates(&self) -> reconcile::RefreshOutcome {
        let deadline_ms = self.clock.now_ms() + 60_000;
        let event = handler::Input::Task(handler::Task::Certificates);
        match handler::run(&self.reconcile, event, deadline_ms).await {
            Ok(handler::Output::Certificates(refreshed)) => refreshed,
            other => panic!("not a look at certificates: {other:?}"),
        }
    }

    /// The order as the table has it.
    pub(crate) async fn order(&self, order_no: &str) -> Order {
        self.orders
            .read(&number(order_no))
            .await
            .expect("a table")
            .expect("an order")
    }

    /// The order's journal.
    pub(crate) async fn journal(&self, order_no: &str) -> Vec<Event> {
        self.orders
            .journal(&number(order_no))
            .await
            .expect("a table")
    }

    /// The tables' engine, for changes that no function makes.
    pub(crate) fn dynamo(&self) -> aws_sdk_dynamodb::Client {
        self.engines.aws().dynamodb()
    }

    /// Deletes an order here, so that WeChat Pay has it as another system's would be.
    pub(crate) async fn forget(&self, order_no: &str) {
        let deleted = self
            .dynamo()
            .delete_item()
            .table_name(&self.tables.orders)
            .key("pk", AttributeValue::S(format!("order#{MCHID}#{order_no}")))
            .key("sk", AttributeValue::S("order".to_owned()))
            .send()
            .await;
        deleted.expect("a table");
    }

    /// Removes an attribute from an order's item.
    pub(crate) async fn damage(&self, order_no: &str, attribute: &str) {
        let damaged = self
            .dynamo()
            .update_item()
            .table_name(&self.tables.orders)
            .key("pk", AttributeValue::S(format!("order#{MCHID}#{order_no}")))
            .key("sk", AttributeValue::S("order".to_owned()))
            .update_expression("REMOVE #a")
            .expression_attribute_names("#a", attribute)
            .send()
            .await;
        damaged.expect("a table");
    }

    /// Imports this merchant key into KMS as an operator does. Returns the new key's id.
    pub(crate) fn import_signing_key(&self, pkcs8: &[u8]) -> String {
        self.engines.keys().import_signing_key(pkcs8)
    }

    /// KMS rotates the keys that seal secrets and fields, as it does each year.
    pub(crate) fn rotate_kms_keys(&self) {
        for key_id in [SECRETS_KEY_ID, FIELDS_KEY_ID] {
            self.engines.keys().rotate(key_id);
        }
    }

    /// Everything in the ledger of notices.
    pub(crate) async fn notices(&self) -> Vec<BTreeMap<String, String>> {
        aws::items(&self.dynamo(), &self.tables.notices, "pk", "").await
    }

    /// What the queue of requests holds. It stays there, hidden for a while.
    pub(crate) async fn requests(&self) -> Vec<String> {
        let bodies = self.queues.bodies(REQUESTS);
        bodies.iter().map(Value::to_string).collect()
    }

    /// What went into the queue of webhooks.
    pub(crate) async fn webhooks(&self) -> Vec<Value> {
        self.queues.bodies(WEBHOOKS)
    }

    /// Deletes everything about an order, as a restore from before it does.
    pub(crate) async fn restore_from_before(&self, order_no: &str) {
        let client = self.dynamo();
        for item in self.items("").await {
            if item["pk"].ends_with(&format!("#{order_no}")) {
                let key = |name: &str| AttributeValue::S(item[name].clone());
                let gone = client
                    .delete_item()
                    .table_name(&self.tables.orders)
                    .key("pk", key("pk"))
                    .key("sk", key("sk"))
                    .send();
                gone.await.expect("a table");
            }
        }
    }

    /// All items of the orders table whose sort key begins like this.
    pub(crate) async fn items(&self, sk_prefix: &str) -> Vec<BTreeMap<String, String>> {
        aws::items(&self.dynamo(), &self.tables.orders, "sk", sk_prefix).await
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

/// The environment of all functions; each reads its share.
fn vars(
    options: &TestbedOptions,
    tables: &Tables,
    wechat: &Running,
    notify_url: &str,
) -> Environment {
    let appids = [APPIDS[0], APPIDS[1], FOREIGN_APPID].join(",");
    let host = |is_down: bool| {
        if is_down {
            "http://127.0.0.1:9"
        } else {
            wechat.base_url.as_str()
        }
    };
    let more = [
        ("RECONCILE_LINES_MAX", &*options.lines_max.to_string()),
        ("RECONCILE_FUND_ACCOUNTS", options.fund_accounts),
        (
            "RECONCILE_SETTLEMENT_DAYS",
            &options.settlement_days.to_string(),
        ),
        ("MERCHANT_SIGNER", options.signer),
        ("WECHATPAY_APPIDS", &appids),
        (
            "WECHATPAY_BASE_URL",
            host(options.main_host_is_down || options.both_hosts_are_down),
        ),
        ("WECHATPAY_BACKUP_URL", host(options.both_hosts_are_down)),
        ("NOTIFY_URL", notify_url),
        ("PREPAY_BUDGET_MS", &options.prepay_budget_ms.to_string()),
        (
            "CLIENT_REQUESTS_PER_S",
            &options.client_requests_per_s.to_string(),
        ),
    ];
    environment(tables, AWS_IN_PROCESS, &more)
}
