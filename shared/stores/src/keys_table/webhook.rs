//! The webhooks of API clients: their URLs and signing secrets.
//!
//! `webhook#<client_id>`: `client_id` S; `url` S; `secrets` L of B (sealed, newest first, two at
//! most); `secrets_made_at` L of N (Unix seconds), or NULL where it is not known, in the order of
//! `secrets`; `state` S (`active`, `disabled`); when disabled `why` S and `since` N (Unix seconds);
//! `version` N, which counts the changes.
//!
//! Its receiver's last answer: `answer` S, `answered_at` N, `answer_since` N (Unix seconds); and
//! while it answers 410: `gone_since` N, `gone_counted_at` N, `gone_count` N; while it takes
//! nothing: `failing_since` N, and when an operator was told of that `failing_told_at` N (Unix
//! seconds). These do not count as changes, and a new set-up removes them.
//!
//! Whether a webhook may be sent to the URL is checked each time one is sent; the table is not
//! trusted for it.

use std::sync::Arc;

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use payments::rules::webhook::{FailingRun, GoneRun, LastAnswer};
use runtime::{
    aws::AwsError,
    kms::Context,
    net::{Reach, WebhookUrl},
};
use standard_webhooks::Secret;
use wechatpay::UnixSeconds;

use super::{
    FRESH_MS, KeysTable, MISSING_MS,
    endpoint::{Endpoint, StoredUrl, Webhook},
    error::KeysError,
    fields::text,
    names::is_keyid,
    secret_cache::SecretCache,
};
use crate::attributes::{Item, number, number_of};

/// How many secrets sign: the one in use and, while the receiver moves over to it, the one before.
const SECRETS_KEPT: usize = 2;

/// What deliveries leave in the item, which a new set-up removes.
const OF_DELIVERIES: &str = "why, since, answer, answered_at, answer_since, gone_since, gone_counted_at, \
    gone_count, failing_since, failing_told_at";

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

    /// Sets up or changes a client's webhook. The secret is sealed; the newest earlier one also
    /// keeps signing, so that the receiver can switch at any time.
    ///
    /// # Errors
    /// The client's id is not usable, KMS does not seal, DynamoDB does not write, or
    /// [`KeysError::Changed`] after a concurrent change.
    pub async fn put_webhook(
        &self,
        client_id: &str,
        url: &WebhookUrl,
        secret: &Secret,
    ) -> Result<(), KeysError> {
        self.change_webhook(client_id, Some(url), Some(secret))
            .await
    }

    /// Changes a client's webhook URL or its signing secret, and enables a disabled webhook. Values
    /// that are not given stay: without a new secret the present ones keep signing. A secret that
    /// already signs and is given again replaces no other.
    ///
    /// # Errors
    /// As [`KeysTable::put_webhook`]; [`KeysError::Damaged`] if what is not given is not there.
    pub async fn change_webhook(
        &self,
        client_id: &str,
        url: Option<&WebhookUrl>,
        secret: Option<&Secret>,
    ) -> Result<(), KeysError> {
        let pk = webhook_pk(client_id);
        let damaged = |what| KeysError::Damaged {
            pk: pk.clone(),
            what,
        };
        if !is_keyid(client_id) {
            return Err(damaged(
                "a client's id is 1 to 128 visible ASCII characters",
            ));
        }
        super::write::reject_unattributed(client_id)?;
        let found = self.read_item(&pk).await?;
        let kept_url = || found.as_ref().and_then(|item| text(item, "url"));
        let url = url
            .map(|url| url.as_str().to_owned())
            .or_else(kept_url)
            .ok_or_else(|| damaged("it has no `url` yet, and none is given"))?;
        let kept = found.as_ref().and_then(sealed_secrets).unwrap_or_default();
        let made = found.as_ref().map(secrets_made).unwrap_or_default();
        let mut secrets: Vec<(Vec<u8>, Option<UnixSeconds>)> = kept.into_iter().zip(made).collect();
        let mut own = None;
        if let Some(secret) = secret {
            let (vault, context) = (&self.shared.vault, webhook_context(client_id));
            let sealed = vault.seal(&pk, &context, secret.as_bytes()).await?;
            let mut made_at = Some(self.shared.clock.now());
            let mut others = Vec::new();
            for (kept, kept_made_at) in secrets {
                let plain = vault.unseal(&pk, &context, &kept).await?;
                if plain.as_slice() == secret.as_bytes() {
                    made_at = kept_made_at;
                } else {
                    others.push((kept, kept_made_at));
                }
            }
            secrets = vec![(sealed.clone(), made_at)];
            secrets.extend(others);
            own = Some(sealed);
        }
        secrets.truncate(SECRETS_KEPT);
        if secrets.is_empty() {
            return Err(damaged("it has no secret yet, and none is given"));
        }
        let (secrets, made): (Vec<_>, Vec<_>) = secrets
            .into_iter()
            .map(|(sealed, made_at)| {
                let made_at = made_at.map_or(AttributeValue::Null(true), |at| number(at.0));
                (AttributeValue::B(Blob::new(sealed)), made_at)
            })
            .unzip();
        let seen: Option<u64> = found.as_ref().and_then(|item| number_of(item, "version"));
        let version = seen.unwrap_or_default().saturating_add(1);
        let secrets = AttributeValue::L(secrets);
        // Only what this version knows is changed: a later one's attributes stay.
        let update = self
            .shared
            .client
            .update_item()
            .table_name(&self.shared.table)
            .key("pk", AttributeValue::S(pk.clone()))
            .update_expression(format!(
                "SET client_id = :client, #url = :url, secrets = :secrets, secrets_made_at = :made, \
                 #state = :active, version = :version REMOVE {OF_DELIVERIES}"
            ))
            .expression_attribute_names("#url", "url")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":client", AttributeValue::S(client_id.to_owned()))
            .expression_attribute_values(":url", AttributeValue::S(url.clone()))
            .expression_attribute_values(":secrets", secrets.clone())
            .expression_attribute_values(":made", AttributeValue::L(made))
            .expression_attribute_values(":active", AttributeValue::S("active".to_owned()))
            .expression_attribute_values(":version", AttributeValue::N(version.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let update = match seen {
            Some(seen) => update
                .condition_expression("version = :seen")
                .expression_attribute_values(":seen", AttributeValue::N(seen.to_string())),
            None => update.condition_expression("attribute_not_exists(version)"),
        };
        let written = update.send().await;
        self.forget_webhook(client_id);
        let Err(error) = written else { return Ok(()) };
        // If the first answer is lost and the SDK retries, the stored value is the written one.
        // Reporting a failure would make the caller throw away the only copy of a signing secret.
        // Every sealed secret is unique, so if it is found, it was written.
        let is_ours = |found: &Item| match &own {
            Some(own) => sealed_secrets(found).is_some_and(|found| found.contains(own)),
            None => {
                text(found, "url").as_ref() == Some(&url)
                    && found.get("secrets") == Some(&secrets)
                    && number_of(found, "version") == Some(version)
            }
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused))
                if refused.item().is_some_and(is_ours) =>
            {
                Ok(())
            }
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => {
                Err(KeysError::Changed { pk })
            }
            Some(_) | None => Err(KeysError::Table(AwsError::new("UpdateItem", error))),
        }
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

    /// Stores the result of a delivery to `url`, if the stored result is `last`: another sandbox
    /// may have been first, and the webhook may have a new URL by now or be disabled. Returns
    /// whether it was written.
    ///
    /// # Errors
    /// DynamoDB does not write.
    pub async fn note_answer(
        &self,
        client_id: &str,
        url: &StoredUrl,
        last: Option<&LastAnswer>,
        next: &LastAnswer,
    ) -> Result<bool, KeysError> {
        let update = self.answer_update(client_id, url, next, next.failing);
        let update = match last {
            None => update.condition_expression(
                "#url = :url AND #state = :active AND attribute_not_exists(answered_at)",
            ),
            Some(last) => update
                .condition_expression(
                    "#url = :url AND #state = :active AND answered_at = :last_at AND answer = :last",
                )
                .expression_attribute_values(":last_at", AttributeValue::N(last.at.0.to_string()))
                .expression_attribute_values(":last", AttributeValue::S(last.answer.clone())),
        };
        self.noted(client_id, update).await
    }

    /// Stores an answer that ends a run of 410s, over anything that another sandbox wrote
    /// meanwhile: of two answers at about the same time, the one that keeps a webhook alive counts.
    /// A failure leaves the stored run of failures as it is, since the other answer may have begun
    /// it, or an operator was told of it. Returns whether it was written: not if the webhook has a
    /// new URL by now or is disabled.
    ///
    /// # Errors
    /// DynamoDB does not write.
    pub async fn note_answer_whatever_was_last(
        &self,
        client_id: &str,
        url: &StoredUrl,
        next: &LastAnswer,
    ) -> Result<bool, KeysError> {
        let update = self.answer_update(client_id, url, next, None);
        let update = update.condition_expression("#url = :url AND #state = :active");
        self.noted(client_id, update).await
    }

    /// The update that writes down an answer, without its condition. A run of failures that is not
    /// given stays as it is, unless the answer ends it.
    fn answer_update(
        &self,
        client_id: &str,
        url: &StoredUrl,
        next: &LastAnswer,
        failing: Option<FailingRun>,
    ) -> UpdateItemFluentBuilder {
        let seconds = |at: UnixSeconds| AttributeValue::N(at.0.to_string());
        let mut update = self
            .shared
            .client
            .update_item()
            .table_name(&self.shared.table)
            .key("pk", AttributeValue::S(webhook_pk(client_id)))
            .expression_attribute_names("#url", "url")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":url", AttributeValue::S(url.0.clone()))
            .expression_attribute_values(":active", AttributeValue::S("active".to_owned()))
            .expression_attribute_values(":answer", AttributeValue::S(next.answer.clone()))
            .expression_attribute_values(":at", seconds(next.at))
            .expression_attribute_values(":since", seconds(next.since));
        let mut set = vec!["answer = :answer, answered_at = :at, answer_since = :since"];
        let mut remove = Vec::new();
        match next.gone {
            None => remove.push("gone_since, gone_counted_at, gone_count"),
            Some(run) => {
                set.push("gone_since = :gone, gone_counted_at = :counted, gone_count = :count");
                update = update
                    .expression_attribute_values(":gone", seconds(run.since))
                    .expression_attribute_values(":counted", seconds(run.counted_at))
                    .expression_attribute_values(
                        ":count",
                        AttributeValue::N(run.count.to_string()),
                    );
            }
        }
        match failing {
            None if next.is_taken() => remove.push("failing_since, failing_told_at"),
            None => {}
            Some(FailingRun { since, told_at }) => {
                set.push("failing_since = :failing");
                update = update.expression_attribute_values(":failing", seconds(since));
                match told_at {
                    None => remove.push("failing_told_at"),
                    Some(told_at) => {
                        set.push("failing_told_at = :told");
                        update = update.expression_attribute_values(":told", seconds(told_at));
                    }
                }
            }
        }
        let mut expression = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            expression = format!("{expression} REMOVE {}", remove.join(", "));
        }
        update.update_expression(expression)
    }

    async fn noted(
        &self,
        client_id: &str,
        update: UpdateItemFluentBuilder,
    ) -> Result<bool, KeysError> {
        let written = update.send().await;
        self.forget_webhook(client_id);
        match written {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(KeysError::Table(AwsError::new("UpdateItem", error))),
        }
    }

    /// Disables a client's webhook to `url` because of a run of 410s that has not ended. A webhook
    /// that is disabled already is unchanged.
    ///
    /// # Errors
    /// [`KeysError::Changed`] if it has a new URL by now, is removed, or another answer came; or
    /// DynamoDB does not write.
    pub async fn disable_webhook(
        &self,
        client_id: &str,
        url: &StoredUrl,
        run: &GoneRun,
        why: &str,
        now: UnixSeconds,
    ) -> Result<(), KeysError> {
        let pk = webhook_pk(client_id);
        let written = self
            .shared
            .client
            .update_item()
            .table_name(&self.shared.table)
            .key("pk", AttributeValue::S(pk.clone()))
            .update_expression(
                "SET #state = :disabled, why = :why, since = :now, version = version + :one",
            )
            .condition_expression("#url = :url AND #state = :active AND gone_since = :gone")
            .expression_attribute_values(":gone", AttributeValue::N(run.since.0.to_string()))
            .expression_attribute_names("#url", "url")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":url", AttributeValue::S(url.0.clone()))
            .expression_attribute_values(":active", AttributeValue::S("active".to_owned()))
            .expression_attribute_values(":disabled", AttributeValue::S("disabled".to_owned()))
            .expression_attribute_values(":why", AttributeValue::S(why.to_owned()))
            .expression_attribute_values(":now", AttributeValue::N(now.0.to_string()))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        self.forget_webhook(client_id);
        let Err(error) = written else { return Ok(()) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                let is_disabled = |item: &Item| {
                    text(item, "url").is_some_and(|found| found == url.0)
                        && text(item, "state").is_some_and(|state| state == "disabled")
                };
                if refused.item().is_some_and(is_disabled) {
                    Ok(()) // by another sandbox, or by our own write whose answer was lost
                } else {
                    Err(KeysError::Changed { pk })
                }
            }
            Some(_) | None => Err(KeysError::Table(AwsError::new("UpdateItem", error))),
        }
    }

    /// Removes a client's webhooks with their secrets. Sandboxes that have them forget them within
    /// a minute.
    ///
    /// # Errors
    /// [`KeysError::NoItem`] if there are none, or DynamoDB does not write.
    pub async fn remove_webhook(&self, client_id: &str) -> Result<(), KeysError> {
        let pk = webhook_pk(client_id);
        let removed = self
            .shared
            .client
            .delete_item()
            .table_name(&self.shared.table)
            .key("pk", AttributeValue::S(pk.clone()))
            .condition_expression("attribute_exists(pk)")
            .send()
            .await;
        self.forget_webhook(client_id);
        match removed {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Err(KeysError::NoItem { pk })
            }
            Err(error) => Err(KeysError::Table(AwsError::new("DeleteItem", error))),
        }
    }

    /// After a change here the cached value is read again.
    fn forget_webhook(&self, client_id: &str) {
        self.shared
            .webhooks
            .put(client_id.to_owned(), None, i64::MIN);
    }
}

async fn read(
    item: &Item,
    pk: &str,
    client_id: &str,
    vault: &SecretCache,
) -> Result<Webhook, KeysError> {
    let damaged = |what| KeysError::Damaged {
        pk: pk.to_owned(),
        what,
    };
    if let Some((why, since)) = disabled(item, pk)? {
        return Ok(Webhook::Disabled { why, since });
    }
    let url = text(item, "url").ok_or_else(|| damaged("it has no `url`"))?;
    let sealed = sealed_secrets(item).filter(|sealed| !sealed.is_empty());
    let mut secrets = Vec::new();
    for sealed in sealed.ok_or_else(|| damaged("it has no list `secrets`"))? {
        let plain = vault
            .unseal(pk, &webhook_context(client_id), &sealed)
            .await?;
        let secret = Secret::new(&plain).map_err(|source| KeysError::NotAKey {
            pk: pk.to_owned(),
            what: "a webhook secret",
            source: source.into(),
        })?;
        secrets.push(secret);
    }
    Ok(Webhook::Active(Endpoint {
        url: StoredUrl(url),
        secrets,
        last_answer: last_answer(item),
    }))
}

/// Why it is disabled and since when; `None` while it is active.
fn disabled(item: &Item, pk: &str) -> Result<Option<(String, UnixSeconds)>, KeysError> {
    match text(item, "state").as_deref() {
        Some("active") => Ok(None),
        Some("disabled") => Ok(Some((
            text(item, "why").unwrap_or_default(),
            UnixSeconds(number_of(item, "since").unwrap_or_default()),
        ))),
        Some(_) | None => Err(KeysError::Damaged {
            pk: pk.to_owned(),
            what: "its `state` is neither active nor disabled",
        }),
    }
}

/// Items of earlier versions have none.
fn last_answer(item: &Item) -> Option<LastAnswer> {
    let seconds = |name| number_of(item, name).map(UnixSeconds);
    let gone = || {
        Some(GoneRun {
            since: seconds("gone_since")?,
            counted_at: seconds("gone_counted_at")?,
            count: number_of(item, "gone_count")?,
        })
    };
    let failing = || {
        Some(FailingRun {
            since: seconds("failing_since")?,
            told_at: seconds("failing_told_at"),
        })
    };
    Some(LastAnswer {
        answer: text(item, "answer")?,
        at: seconds("answered_at")?,
        since: seconds("answer_since")?,
        gone: gone(),
        failing: failing(),
    })
}

fn sealed_secrets(item: &Item) -> Option<Vec<Vec<u8>>> {
    let stored = item.get("secrets")?.as_l().ok()?;
    stored
        .iter()
        .map(|sealed| sealed.as_b().ok().map(|blob| blob.as_ref().to_vec()))
        .collect()
}

/// When each secret was made, in their order.
pub(super) fn secrets_made(item: &Item) -> Vec<Option<UnixSeconds>> {
    let list = |name: &str| item.get(name).and_then(|value| value.as_l().ok());
    let made = list("secrets_made_at").map_or(&[][..], Vec::as_slice);
    let secrets = list("secrets").map_or(0, Vec::len);
    let at = |value: &AttributeValue| Some(UnixSeconds(value.as_n().ok()?.parse().ok()?));
    let made = made.iter().map(at);
    made.chain(std::iter::repeat(None)).take(secrets).collect()
}

fn webhook_pk(client_id: &str) -> String {
    format!("webhook#{client_id}")
}

fn webhook_context(client_id: &str) -> Context {
    Context::of("webhook-secret").with("client_id", client_id)
}
