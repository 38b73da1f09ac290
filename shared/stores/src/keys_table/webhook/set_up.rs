//! Setting a webhook up, changing it and removing it.

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use payments::model::ids::ClientId;
use runtime::{aws::AwsError, net::WebhookUrl};
use standard_webhooks::Secret;
use wechatpay::UnixSeconds;

use super::super::{KeysTable, error::KeysError, fields::text};
use super::item::{sealed_secrets, secrets_made, webhook_context, webhook_pk};
use crate::attributes::{Item, number, number_of};

/// How many secrets sign: the one in use and, while the receiver moves over to it, the one before.
const SECRETS_KEPT: usize = 2;

/// What deliveries leave in the item, which a new set-up removes.
const OF_DELIVERIES: &str = "why, since, answer, answered_at, answer_since, gone_since, gone_counted_at, \
    gone_count, failing_since, failing_told_at";

impl KeysTable {
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
        ClientId::chosen(client_id)?;
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
        // Only attributes of this version are changed: a later one's stay.
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
}
