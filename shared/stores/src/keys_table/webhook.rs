//! The webhooks of API clients: their URLs and signing secrets.
//!
//! `webhook#<client_id>`: `client_id` S; `url` S; `secrets` L of B (sealed, newest first, two at
//! most); `secrets_made_at` L of N (Unix seconds), or NULL where it is not known, in the order of
//! `secrets`; `state` S (`active`, `disabled`); when disabled `why` S and `since` N (Unix seconds);
//! `version` N, which counts the changes.
//!
//! Its receiver's last answer: `answer` S, `answered_at` N, `answer_since` N (Unix seconds); and
//! while it answers 410: `gone_since` N, `gone_counted_at` N, `gone_count` N; while it takes
//! nothing: `failing_since` N, and when that was reported to an operator `failing_told_at` N (Unix
//! seconds). These do not count as changes, and a new set-up removes them.
//!
//! Whether a webhook may be sent to the URL is checked each time one is sent; the table is not
//! trusted for it.

mod answers;
pub(super) mod item;
mod set_up;

use std::sync::Arc;

use payments::rules::webhook::LastAnswer;
use runtime::net::{Reach, WebhookUrl};
use wechatpay::UnixSeconds;

use super::{FRESH_MS, KeysTable, MISSING_MS, endpoint::Webhook, error::KeysError, fields::text};

use item::{disabled, last_answer, read, webhook_pk};

/// The state of a client's webhook, without the data needed to send one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebhookState {
    /// The host that it goes to. Path and query may hold what lets one in.
    pub host: Option<String>,
    /// Why it is disabled and since when (Unix seconds); `None` while it is active.
    pub disabled: Option<(String, UnixSeconds)>,
    /// Result of the last delivery; `None` before the first one.
    pub last_answer: Option<LastAnswer>,
}

impl KeysTable {
    /// A client's webhook, at most a minute old; `None` if it never set one up. "No webhook" is
    /// cached for five seconds only, so that few events are missed after set-up.
    ///
    /// # Errors
    /// The item cannot be read, a secret not be unsealed, or the item is damaged.
    pub async fn webhook(&self, client_id: &str) -> Result<Option<Arc<Webhook>>, KeysError> {
        let now_ms = self.shared.clock.now_ms();
        if let Some(kept) = self.shared.webhooks.get(client_id, now_ms) {
            return Ok(kept);
        }
        let pk = webhook_pk(client_id);
        let webhook = match self.read_item(&pk).await? {
            Some(item) => Some(Arc::new(
                read(&item, &pk, client_id, &self.shared.vault).await?,
            )),
            None => None,
        };
        let good_for_ms = match webhook.as_deref() {
            Some(Webhook::Active(_)) => FRESH_MS,
            Some(Webhook::Disabled { .. }) | None => MISSING_MS,
        };
        self.shared.webhooks.put(
            client_id.to_owned(),
            webhook.clone(),
            now_ms.saturating_add(good_for_ms),
        );
        Ok(webhook)
    }

    /// Whether a client has a webhook, on or off. Unseals nothing.
    ///
    /// # Errors
    /// The item cannot be read.
    pub async fn has_webhook(&self, client_id: &str) -> Result<bool, KeysError> {
        let found = self.read_item(&webhook_pk(client_id)).await?;
        Ok(found.is_some())
    }

    /// The present state of a client's webhook; `None` if there is none.
    ///
    /// # Errors
    /// DynamoDB does not answer, or the item is damaged.
    pub async fn webhook_state(&self, client_id: &str) -> Result<Option<WebhookState>, KeysError> {
        let pk = webhook_pk(client_id);
        let Some(item) = self.read_item(&pk).await? else {
            return Ok(None);
        };
        let url = text(&item, "url")
            .and_then(|url| WebhookUrl::parse(&url, Reach::PublicAndLoopback).ok());
        Ok(Some(WebhookState {
            host: url.map(|url| url.host().to_owned()),
            disabled: disabled(&item, &pk)?,
            last_answer: last_answer(&item),
        }))
    }

    /// After a change here the cached value is read again.
    fn forget_webhook(&self, client_id: &str) {
        self.shared
            .webhooks
            .put(client_id.to_owned(), None, i64::MIN);
    }
}
