//! A webhook's item, both ways.

use aws_sdk_dynamodb::types::AttributeValue;
use payments::rules::webhook::{FailingRun, GoneRun, LastAnswer};
use runtime::kms::Context;
use standard_webhooks::Secret;
use wechatpay::UnixSeconds;

use super::super::{
    endpoint::{Endpoint, StoredUrl, Webhook},
    error::KeysError,
    fields::text,
    secret_cache::SecretCache,
};
use crate::attributes::{Item, number_of};

pub(super) async fn read(
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
pub(super) fn disabled(item: &Item, pk: &str) -> Result<Option<(String, UnixSeconds)>, KeysError> {
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
pub(super) fn last_answer(item: &Item) -> Option<LastAnswer> {
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
            reported_at: seconds("failing_told_at"),
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

pub(super) fn sealed_secrets(item: &Item) -> Option<Vec<Vec<u8>>> {
    let stored = item.get("secrets")?.as_l().ok()?;
    stored
        .iter()
        .map(|sealed| sealed.as_b().ok().map(|blob| blob.as_ref().to_vec()))
        .collect()
}

/// When each secret was made, in their order.
pub(in crate::keys_table) fn secrets_made(item: &Item) -> Vec<Option<UnixSeconds>> {
    let list = |name: &str| item.get(name).and_then(|value| value.as_l().ok());
    let made = list("secrets_made_at").map_or(&[][..], Vec::as_slice);
    let secrets = list("secrets").map_or(0, Vec::len);
    let at = |value: &AttributeValue| Some(UnixSeconds(value.as_n().ok()?.parse().ok()?));
    let made = made.iter().map(at);
    made.chain(std::iter::repeat(None)).take(secrets).collect()
}

pub(super) fn webhook_pk(client_id: &str) -> String {
    format!("webhook#{client_id}")
}

pub(super) fn webhook_context(client_id: &str) -> Context {
    Context::of("webhook-secret").with("client_id", client_id)
}
