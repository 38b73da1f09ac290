//! What `send-webhook` works with; built once per sandbox.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use adapters::{
    aws::Aws, clock::Clock, keys_table::KeysTable, kms::Kms, queues::Queue,
    undelivered::UndeliveredEvents, webhook_http::WebhookHttp,
};
use payments::ids::ClientId;

use crate::settings::Settings;

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct Desk {
    pub(crate) keys: KeysTable,
    pub(crate) webhooks: Queue,
    pub(crate) undelivered: UndeliveredEvents,
    pub(crate) http: WebhookHttp,
    pub(crate) told: Told,
    pub(crate) resting: Resting,
    pub(crate) clock: Clock,
}

/// Of which clients' disabled webhooks this sandbox has told, so that each of their events is no line of its own.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<HashMap<ClientId, i64>>);

impl Told {
    /// It is told again after so many seconds, while there are events.
    pub(crate) const AGAIN_AFTER_S: i64 = 3_600;

    /// Whether it is time to tell of this client at `now_s` (Unix seconds). Who asks tells.
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

/// Which clients' receivers were slow just now, as far as this sandbox knows, and until when each is left alone (Unix
/// milliseconds).
#[derive(Debug, Default)]
pub(crate) struct Resting(Mutex<HashMap<ClientId, i64>>);

impl Resting {
    /// For how many seconds more a client's receiver is left alone at `now_ms`; `None` if it is not.
    pub(crate) fn left_s(&self, client_id: &ClientId, now_ms: i64) -> Option<i64> {
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        resting.retain(|_, until_ms| now_ms < *until_ms);
        let left_ms = resting.get(client_id)?.saturating_sub(now_ms);
        Some(left_ms.saturating_add(999) / 1_000)
    }

    /// A client's receiver is left alone for `rest_ms` from `now_ms` on, or longer if it is already.
    pub(crate) fn begin(&self, client_id: &ClientId, now_ms: i64, rest_ms: i64) {
        let until_ms = now_ms.saturating_add(rest_ms);
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known_ms = resting.entry(client_id.clone()).or_insert(until_ms);
        *known_ms = until_ms.max(*known_ms);
    }
}

impl Desk {
    /// Puts the parts together.
    pub fn open(settings: Settings, aws: &Aws, clock: Clock) -> Self {
        let undelivered = UndeliveredEvents::new(
            aws.dynamodb(),
            settings.undelivered_events_table,
            settings.mchid.as_str(),
        );
        let keys = KeysTable::new(
            aws.dynamodb(),
            settings.keys.table,
            settings.mchid,
            Kms::new(aws.kms()),
            settings.keys.secrets_key_id,
            clock.clone(),
        );
        Self {
            keys,
            webhooks: Queue::new(aws.sqs(), settings.webhooks_url),
            undelivered,
            http: WebhookHttp::new(settings.reach),
            told: Told::default(),
            resting: Resting::default(),
            clock,
        }
    }
}
