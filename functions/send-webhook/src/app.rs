//! What `send-webhook` works with; built once per sandbox.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use adapters::{
    clock::Clock, keys_table::KeysTable, queues::Queue, undelivered::UndeliveredEvents,
    webhook_http::WebhookHttp,
};
use flows::{sandbox::Sandbox, services::keys_table};
use payments::{
    model::ids::ClientId,
    rules::webhook::{FailingRun, Lane},
};
use wechatpay::UnixSeconds;

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct App {
    pub(crate) keys: KeysTable,
    pub(crate) webhooks: Queue,
    pub(crate) undelivered: UndeliveredEvents,
    pub(crate) http: WebhookHttp,
    pub(crate) told: DisabledReports,
    pub(crate) failing_told: FailingReports,
    pub(crate) lane: Mutex<Lane>,
    pub(crate) clock: Clock,
}

/// Clients whose disabled webhook this sandbox has logged, to avoid one line per event.
#[derive(Debug, Default)]
pub(crate) struct DisabledReports(Mutex<HashMap<ClientId, i64>>);

impl DisabledReports {
    /// It is logged again after this many seconds, while there are events.
    pub(crate) const AGAIN_AFTER_S: i64 = 3_600;

    /// Whether this client's disabled webhook should be logged at `now_s` (Unix seconds). Calling
    /// this marks it as logged.
    pub(crate) fn is_due(&self, client_id: &ClientId, now_s: i64) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age_s = told
            .get(client_id)
            .map(|told_s| now_s.saturating_sub(*told_s));
        let is_due = age_s.is_none_or(|age_s| age_s >= Self::AGAIN_AFTER_S);
        if is_due {
            told.insert(client_id.clone(), now_s);
        }
        is_due
    }
}

/// Since when each client's receiver takes nothing, as far as this sandbox has logged that.
#[derive(Debug, Default)]
pub(crate) struct FailingReports(Mutex<HashMap<ClientId, UnixSeconds>>);

impl FailingReports {
    /// Whether this run of failures of a client's receiver was not logged yet. Calling this marks it
    /// as logged.
    pub(crate) fn is_new(&self, client_id: &ClientId, run: &FailingRun) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(client_id.clone(), run.since) != Some(run.since)
    }
}

impl App {
    /// What this sandbox knows of slow receivers. It works off one batch at a time, and so is a
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
            told: DisabledReports::default(),
            failing_told: FailingReports::default(),
            lane: Mutex::default(),
            clock: clock.clone(),
        }
    }
}
