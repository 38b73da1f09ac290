//! Sets up a testbed, and deploys its functions with other settings.

use std::sync::Arc;

use runtime::{
    aws::{Aws, AwsSettings},
    clock::Clock,
    kms::Kms,
    random::Random,
};
use stores::{
    keys_table::{KeysTable, VerificationKind},
    notices::Notices,
    order_table::OrderTable,
    reconciliation::ReconciliationTable,
};
use testbed::{
    AwsEngines, FaultyTransport, Tables,
    environment::{AWS_IN_PROCESS, Environment, FIELDS_KEY_ID, SECRETS_KEY_ID, environment},
    kms_key, open, sealed_key, simulator_config, write_merchant,
};
use wechatpay_simulator::{Config, Running, SigningMode, Simulator};

use super::{
    APPIDS, Client, FOREIGN_APPID, HiddenTimes, MCHID, NextVersion, Testbed, callbacks, console,
    queues,
};

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
    /// With these settings.
    pub(crate) async fn with(options: TestbedOptions) -> Self {
        let start_s = Clock::system().now();
        let clock = Clock::manual(start_s);
        let random = Random::system();
        // The queues have a clock that stands still.
        let sqs_clock = Clock::manual(start_s);
        let engines = AwsEngines::new(sqs_clock.clone());
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
            sqs_clock,
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

    /// The next version of all functions that call WeChat Pay, with other settings. It works once
    /// it is let in.
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

    /// KMS rotates the keys that seal secrets and fields, as it does each year.
    pub(crate) fn rotate_kms_keys(&self) {
        for key_id in [SECRETS_KEY_ID, FIELDS_KEY_ID] {
            self.engines.keys().rotate(key_id);
        }
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

    /// Imports this merchant key into KMS as an operator does. Returns the new key's id.
    pub(crate) fn import_signing_key(&self, pkcs8: &[u8]) -> String {
        self.engines.keys().import_signing_key(pkcs8)
    }
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
