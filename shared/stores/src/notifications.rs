//! What people on call were told, and when each channel was sent a message, in the `guards` table.
//!
//! | `pk` | attributes |
//! |---|---|
//! | `notified#<mchid>#<id>` | `state` S (`sending`, `sent`), `holder` S, `channel` S (the one that took it), `expires_at` N (the end of the lease; of what was sent, when it is forgotten) |
//! | `channel-rate#<mchid>#<name>` | `sent_at_ms` L of N, `rests_until_ms` N, `version` N, `expires_at` N |
//!
//! If the table is lost, an alarm that is on its way may be told twice, and a robot may be sent a
//! few messages too many within one minute.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::{delete_item::DeleteItemError, put_item::PutItemError},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use operator_channels::SendLog;
use runtime::aws::AwsError;
use wechatpay::UnixSeconds;

use crate::attributes::{number, number_of, text, text_of};

/// The records of one merchant.
#[derive(Clone, Debug)]
pub struct Notifications {
    client: Client,
    table: String,
    mchid: String,
}

/// DynamoDB did not answer, or refused for a reason that passes.
#[derive(Debug, thiserror::Error)]
#[error("the records of what was told are not to be had")]
pub struct NotificationsError(#[source] AwsError);

/// Result of asking to tell one thing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Claim {
    /// It is ours to tell, until the lease ends.
    Ours,
    /// Another invocation tells it; its lease ends then.
    Theirs { until: UnixSeconds },
    /// It was told already.
    Sent,
}

/// A channel's log as it was read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StoredLog {
    pub log: SendLog,
    version: Option<u64>,
}

/// Result of writing a channel's log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Written {
    Done,
    /// Another sandbox has sent something meanwhile.
    Conflict,
}

impl Notifications {
    /// How long what was told is remembered, in seconds: longer than a message may lie in the
    /// queue and its dead-letter queue (4 and 14 days), from where it can be moved back.
    pub const SENT_KEPT_S: i64 = 19 * 86_400;

    /// The records of the merchant in the table.
    pub fn new(client: Client, table: impl Into<String>, mchid: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
            mchid: mchid.into(),
        }
    }

    /// Claims one thing for `lease_s` seconds. `holder` is unique to the invocation: if the answer
    /// to a write is lost and the SDK repeats it, it meets its own claim.
    ///
    /// # Errors
    /// [`NotificationsError`].
    pub async fn claim(
        &self,
        id: &str,
        holder: &str,
        lease_s: i64,
        now: UnixSeconds,
    ) -> Result<Claim, NotificationsError> {
        let until = now.0.saturating_add(lease_s);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", text(self.notified_pk(id)))
            .item("state", text("sending"))
            .item("holder", text(holder))
            .item("expires_at", number(until))
            .condition_expression("attribute_not_exists(pk) OR expires_at <= :now")
            .expression_attribute_values(":now", number(now.0))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = put else {
            return Ok(Claim::Ours);
        };
        let Some(PutItemError::ConditionalCheckFailedException(refused)) = error.as_service_error()
        else {
            return Err(failed("claim a notification", error));
        };
        let found = refused.item();
        let is =
            |name: &str, value: &str| found.and_then(|item| text_of(item, name)) == Some(value);
        Ok(if is("state", "sent") {
            Claim::Sent
        } else if is("holder", holder) {
            Claim::Ours
        } else {
            let ends = found.and_then(|item| number_of(item, "expires_at"));
            Claim::Theirs {
                until: UnixSeconds(ends.unwrap_or(until)),
            }
        })
    }

    /// Records that a channel took it. Not conditional: it was told, whoever holds the lease now.
    ///
    /// # Errors
    /// [`NotificationsError`]; it is told again then, once the lease is over.
    pub async fn sent(
        &self,
        id: &str,
        channel: &str,
        now: UnixSeconds,
    ) -> Result<(), NotificationsError> {
        let until = now.0.saturating_add(Self::SENT_KEPT_S);
        self.client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(self.notified_pk(id)))
            .update_expression("SET #state = :sent, channel = :channel, expires_at = :until")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":sent", text("sent"))
            .expression_attribute_values(":channel", text(channel))
            .expression_attribute_values(":until", number(until))
            .send()
            .await
            .map_err(|error| failed("record a notification", error))?;
        Ok(())
    }

    /// Gives a claim back that nobody was told of, so that the next try need not wait for its end.
    ///
    /// # Errors
    /// [`NotificationsError`]; it ends by the clock then.
    pub async fn release(&self, id: &str, holder: &str) -> Result<(), NotificationsError> {
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("pk", text(self.notified_pk(id)))
            .condition_expression("holder = :holder AND #state = :sending")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":holder", text(holder))
            .expression_attribute_values(":sending", text("sending"))
            .send()
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(failed("release a notification", error)),
        }
    }

    /// When a channel was sent messages lately.
    ///
    /// # Errors
    /// [`NotificationsError`].
    pub async fn send_log(&self, channel: &str) -> Result<StoredLog, NotificationsError> {
        let got = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(self.rate_pk(channel)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed("read a channel's log", error))?;
        Ok(got.item().map(read_log).unwrap_or_default())
    }

    /// Writes a channel's log on the one that was read. If the answer to a first write is lost and
    /// the SDK repeats it, this is a conflict, and the message that it admitted counts although it
    /// is asked for again: that is on the safe side.
    ///
    /// # Errors
    /// [`NotificationsError`].
    pub async fn write_log(
        &self,
        channel: &str,
        read: &StoredLog,
        log: &SendLog,
        now: UnixSeconds,
    ) -> Result<Written, NotificationsError> {
        let sent_at_ms = log.sent_at_ms.iter().map(number).collect();
        let version = read.version.unwrap_or_default().saturating_add(1);
        // Long after all of it has ceased to count.
        let forgotten_at = now.0.saturating_add(86_400);
        let mut put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", text(self.rate_pk(channel)))
            .item("sent_at_ms", AttributeValue::L(sent_at_ms))
            .item("rests_until_ms", number(log.rests_until_ms))
            .item("version", number(version))
            .item("expires_at", number(forgotten_at));
        put = match read.version {
            Some(seen) => put
                .condition_expression("version = :seen")
                .expression_attribute_values(":seen", number(seen)),
            None => put.condition_expression("attribute_not_exists(version)"),
        };
        match put.send().await {
            Ok(_) => Ok(Written::Done),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(Written::Conflict)
            }
            Err(error) => Err(failed("write a channel's log", error)),
        }
    }

    fn notified_pk(&self, id: &str) -> String {
        format!("notified#{}#{id}", self.mchid)
    }

    fn rate_pk(&self, channel: &str) -> String {
        format!("channel-rate#{}#{channel}", self.mchid)
    }
}

fn read_log(item: &HashMap<String, AttributeValue>) -> StoredLog {
    let sent = item.get("sent_at_ms").and_then(|value| value.as_l().ok());
    let sent_at_ms = sent
        .into_iter()
        .flatten()
        .filter_map(|value| value.as_n().ok()?.parse().ok());
    StoredLog {
        log: SendLog {
            sent_at_ms: sent_at_ms.collect(),
            rests_until_ms: number_of(item, "rests_until_ms").unwrap_or_default(),
        },
        version: number_of(item, "version"),
    }
}

fn failed<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> NotificationsError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    NotificationsError(AwsError::new(operation, error))
}
