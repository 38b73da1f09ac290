//! What `forward-errors` works with; built once per sandbox.

use std::sync::atomic::{AtomicI64, Ordering};

use flows::{sandbox::Sandbox, services::keys_table};
use log_sinks::Kind;
use runtime::clock::Clock;
use stores::{keys_table::KeysTable, queues::Queue};
use webhook_client::WebhookHttp;

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct App {
    pub(crate) keys: KeysTable,
    pub(crate) dlq: Queue,
    pub(crate) http: WebhookHttp,
    pub(crate) clock: Clock,
    pub(crate) stack: String,
    pub(crate) own_log_group: Option<String>,
    pub(crate) rests: Rests,
}

impl App {
    /// Puts the parts together.
    pub fn open(settings: Settings, sandbox: &Sandbox) -> Self {
        let Sandbox { aws, clock, .. } = sandbox;
        Self {
            keys: keys_table(settings.keys, &settings.mchid, sandbox),
            dlq: Queue::new(aws.sqs(), settings.dlq_url),
            http: WebhookHttp::new(settings.reach, clock.clone()),
            clock: clock.clone(),
            stack: settings.stack,
            own_log_group: settings.own_log_group,
            rests: Rests::default(),
        }
    }
}

/// Until when sinks that asked for it are left alone (Unix seconds). Each sandbox hears it from the
/// sink itself, which a shared record would save one request of.
#[derive(Debug, Default)]
pub(crate) struct Rests {
    sentry: AtomicI64,
    loki: AtomicI64,
}

impl Rests {
    fn of(&self, kind: Kind) -> &AtomicI64 {
        match kind {
            Kind::Sentry => &self.sentry,
            Kind::Loki => &self.loki,
        }
    }

    pub(crate) fn until_s(&self, kind: Kind) -> i64 {
        self.of(kind).load(Ordering::Relaxed)
    }

    pub(crate) fn rest(&self, kind: Kind, until_s: i64) {
        self.of(kind).fetch_max(until_s, Ordering::Relaxed);
    }
}
