//! What `send-webhook` works with; built once per sandbox.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use flows::{sandbox::Sandbox, services::keys_table};
use payments::{model::ids::ClientId, rules::webhook::Lane};
use runtime::clock::Clock;
use stores::{keys_table::KeysTable, queues::Queue, undelivered::UndeliveredEvents};
use webhook_client::WebhookHttp;
use wechatpay::UnixSeconds;

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct App {
    pub(crate) keys: KeysTable,
    pub(crate) webhooks: Queue,
    pub(crate) undelivered: UndeliveredEvents,
    pub(crate) http: WebhookHttp,
    /// When each client's disabled webhook was logged.
    pub(crate) disabled: ReceiverReports,
    /// The start of each receiver's failing run that was logged last, by client.
    pub(crate) failing: ReceiverReports,
    /// When a cause on our side was last logged for each client.
    pub(crate) ours: ReceiverReports,
    pub(crate) lane: Mutex<Lane>,
    pub(crate) clock: Clock,
}

/// A disabled webhook is logged again after this many seconds, while there are events. So is a
/// cause on our side.
pub(crate) const LOGGED_AGAIN_AFTER_S: i64 = 3_600;

/// What this sandbox has logged about each client's receiver, so that not every event logs it
/// again: the time of the last report.
#[derive(Debug, Default)]
pub(crate) struct ReceiverReports(Mutex<HashMap<ClientId, UnixSeconds>>);

impl ReceiverReports {
    /// Whether to log something about a client's receiver: there was no report yet, or `is_news`
    /// accepts the time of the last one. Then `at` becomes the time of the last one.
    pub(crate) fn is_due(
        &self,
        client_id: &ClientId,
        at: UnixSeconds,
        is_news: impl FnOnce(UnixSeconds) -> bool,
    ) -> bool {
        let mut reported = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = reported.get(client_id).copied().is_none_or(is_news);
        if is_due {
            reported.insert(client_id.clone(), at);
        }
        is_due
    }

    /// The same for something that continues: logged at once, and then at intervals.
    pub(crate) fn is_due_again(&self, client_id: &ClientId, now: UnixSeconds) -> bool {
        self.is_due(client_id, now, |last| {
            now.since(last) >= LOGGED_AGAIN_AFTER_S
        })
    }
}

impl App {
    /// The slow receivers that this sandbox has met. It processes one batch at a time, so it is one
    /// lane.
    pub(crate) fn lane(&self) -> MutexGuard<'_, Lane> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the parts together.
    pub fn open(settings: Settings, sandbox: &Sandbox) -> Self {
        let Sandbox { aws, clock, .. } = sandbox;
        let mchid = &settings.mchid;
        Self {
            undelivered: UndeliveredEvents::new(
                aws.dynamodb(),
                settings.undelivered_events_table,
                mchid,
            ),
            keys: keys_table(settings.keys, mchid, sandbox),
            webhooks: Queue::new(aws.sqs(), settings.webhooks_url),
            http: WebhookHttp::new(settings.reach, clock.clone()),
            disabled: ReceiverReports::default(),
            failing: ReceiverReports::default(),
            ours: ReceiverReports::default(),
            lane: Mutex::default(),
            clock: clock.clone(),
        }
    }
}
