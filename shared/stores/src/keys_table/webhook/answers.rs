//! What a webhook's receiver answers, and disabling a webhook for it.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use payments::rules::webhook::{FailingRun, GoneRun, LastAnswer};
use runtime::aws::AwsError;
use wechatpay::UnixSeconds;

use super::super::{KeysTable, endpoint::StoredUrl, error::KeysError, fields::text};
use super::item::webhook_pk;
use crate::attributes::Item;

impl KeysTable {
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
    /// it, or it was reported to an operator. Returns whether it was written: not if the webhook
    /// has a new URL by now or is disabled.
    ///
    /// # Errors
    /// DynamoDB does not write.
    pub async fn note_answer_unconditionally(
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
            Some(FailingRun { since, reported_at }) => {
                set.push("failing_since = :failing");
                update = update.expression_attribute_values(":failing", seconds(since));
                match reported_at {
                    None => remove.push("failing_told_at"),
                    Some(reported_at) => {
                        set.push("failing_told_at = :told");
                        update = update.expression_attribute_values(":told", seconds(reported_at));
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
}
