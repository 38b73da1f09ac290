//! The `orders` table: orders, their journal, and parked payments.
//!
//! Every write is conditional. A refused condition is no error here: the item that was found comes
//! back, and the rules in `payments` say what it means.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::{UpdateItemError, UpdateItemOutput},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use payments::model::{ids::OrderNo, order::Order};
use runtime::aws::AwsError;

use crate::{attributes::text, notices::Notices};

mod change;
pub mod check_index;
pub mod day_index;
mod embedded;
mod error;
mod event_item;
mod fields;
mod issue;
mod item;
mod journal;
mod keys;
mod parked;
mod refund_day;
mod refund_item;
pub mod refunds;
mod reserve;

pub use crate::notices::ParkedStatus;
pub use error::TableError;

/// The `orders` table of one merchant.
#[derive(Clone, Debug)]
pub struct OrderTable {
    client: Client,
    table: String,
    mchid: String,
    ledger: Option<Notices>,
}

/// Result of reserving a number.
#[derive(Clone, Debug, PartialEq)]
pub enum ReserveOutcome {
    /// The number is now this order's.
    New,
    /// The number was taken; this order has it.
    Taken(Box<Order>),
}

/// Result of a conditional write to an order.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteOutcome {
    /// Done; this is the order now.
    Written(Box<Order>),
    /// The condition did not hold; this is what was found.
    Superseded(Box<Order>),
}

/// Result of a change decided on one version of an order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ApplyOutcome {
    /// Order and event are written.
    Applied,
    /// The order has moved on since it was read. Read it again and decide again.
    VersionMoved,
}

impl OrderTable {
    /// The table by its name, for one merchant number.
    pub fn new(client: Client, table: impl Into<String>, mchid: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
            mchid: mchid.into(),
            ledger: None,
        }
    }

    /// The same table that also writes each parked payment into this notices table, in the same
    /// transaction.
    #[must_use]
    pub fn with_ledger(self, ledger: Notices) -> Self {
        Self {
            ledger: Some(ledger),
            ..self
        }
    }

    /// Reads an order consistently.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn read(&self, order_no: &OrderNo) -> Result<Option<Order>, TableError> {
        let got = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(self.pk(order_no)))
            .key("sk", text(keys::ORDER_SK))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable("read", error))?;
        got.item().map(item::read).transpose()
    }

    /// One conditional update of an order's item.
    async fn update(
        &self,
        operation: &'static str,
        order_no: &OrderNo,
        set: &str,
        condition: &str,
        values: impl IntoIterator<Item = (&'static str, AttributeValue)>,
    ) -> Result<WriteOutcome, TableError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(self.pk(order_no)))
            .key("sk", text(keys::ORDER_SK))
            .update_expression(set)
            .condition_expression(condition)
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        // Words of DynamoDB's own, each behind a sign.
        for (sign, name) in [
            ("#state", "state"),
            ("#from", "from"),
            ("#to", "to"),
            ("#at", "at"),
        ] {
            if set.contains(sign) || condition.contains(sign) {
                update = update.expression_attribute_names(sign, name);
            }
        }
        for (name, value) in values {
            update = update.expression_attribute_values(name, value);
        }
        let error = match update.send().await {
            Ok(done) => {
                return Ok(WriteOutcome::Written(Box::new(item::read(
                    done.attributes().unwrap_or(&HashMap::new()),
                )?)));
            }
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(found)) => {
                Ok(WriteOutcome::Superseded(Box::new(item::read(
                    found.item().unwrap_or(&HashMap::new()),
                )?)))
            }
            Some(UpdateItemError::TransactionConflictException(_)) => Err(TableError::Conflict),
            Some(_) | None => Err(unavailable(operation, error)),
        }
    }

    fn pk_prefix(&self) -> String {
        format!("order#{}#", self.mchid)
    }

    fn pk(&self, order_no: &OrderNo) -> String {
        format!("order#{}#{order_no}", self.mchid)
    }
}

fn unavailable<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> TableError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    TableError::Unavailable(AwsError::new(operation, error))
}

/// Whether a conditional update was written.
fn conditional(
    operation: &'static str,
    sent: Result<UpdateItemOutput, SdkError<UpdateItemError, HttpResponse>>,
) -> Result<bool, TableError> {
    let Err(error) = sent else {
        return Ok(true);
    };
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
        Some(UpdateItemError::TransactionConflictException(_)) => Err(TableError::Conflict),
        Some(_) | None => Err(unavailable(operation, error)),
    }
}
