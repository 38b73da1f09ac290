//! The `guards` table: marks that keep things from happening twice. So far: the nonces of signed API requests.
//!
//! A mark is over when the clock says so (`expires_at <= now`); DynamoDB's own time-to-live only cleans up, some time later.

use aws_sdk_dynamodb::{
    Client,
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use wechatpay::UnixSeconds;

use crate::aws::AwsError;

/// The `guards` table.
#[derive(Clone, Debug)]
pub struct Guards {
    client: Client,
    table: String,
}

/// DynamoDB did not answer, or refused for a reason that passes. The mark may be set or not.
#[derive(Debug, thiserror::Error)]
#[error("the guards table did not answer")]
pub struct GuardsError(#[source] AwsError);

/// What came of burning a nonce.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Burnt {
    /// It was never seen, and now it is.
    Fresh,
    /// It was used before: the request is a repeat, or somebody replays it.
    Seen,
}

impl Guards {
    /// How long a nonce is kept, in seconds: both halves of the signature's window and a minute for clocks that differ from
    /// sandbox to sandbox, so that a replay always meets its mark.
    pub const NONCE_KEPT_S: i64 = 660;

    /// The table by its name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    /// Burns a nonce of one key at `now`. `holder` is unique to this request: when the answer to the first write was lost and
    /// the SDK writes again, the mark that it then meets is known to be its own.
    ///
    /// # Errors
    /// [`GuardsError`].
    pub async fn burn_nonce(
        &self,
        keyid: &str,
        nonce: &str,
        holder: &str,
        now: UnixSeconds,
    ) -> Result<Burnt, GuardsError> {
        let expires_at = now.0.saturating_add(Self::NONCE_KEPT_S);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            // Behind its length, the key id cannot run into the nonce: no two pairs share a mark.
            .item(
                "pk",
                AttributeValue::S(format!("nonce#{}#{keyid}#{nonce}", keyid.len())),
            )
            .item("holder", AttributeValue::S(holder.to_owned()))
            .item("expires_at", AttributeValue::N(expires_at.to_string()))
            .condition_expression("attribute_not_exists(pk) OR expires_at <= :now")
            .expression_attribute_values(":now", AttributeValue::N(now.0.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = put else {
            return Ok(Burnt::Fresh);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(found)) => {
                let found_holder = found
                    .item()
                    .and_then(|item| item.get("holder"))
                    .and_then(|value| value.as_s().ok());
                Ok(if found_holder.is_some_and(|found| found == holder) {
                    Burnt::Fresh
                } else {
                    Burnt::Seen
                })
            }
            Some(_) | None => Err(GuardsError(AwsError::new("burn a nonce", error))),
        }
    }
}
