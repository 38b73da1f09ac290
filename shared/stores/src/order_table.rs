//! The `orders` table: orders, their journal, and parked payments.
//!
//! Every write is conditional. A refused condition is no error here: the item that was found comes
//! back, and the rules in `payments` say what it means.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        put_item::PutItemError,
        update_item::{UpdateItemError, UpdateItemOutput},
    },
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use payments::model::{
    ids::OrderNo,
    journal::Event,
    next_check::NextCheck,
    order::{IssueLease, Order, OrderState, Prepay},
};
use runtime::aws::AwsError;
use wechatpay::UnixSeconds;

use crate::{
    attributes::{number, text},
    notices::Notices,
};

mod change;
pub mod check_index;
pub mod day_index;
mod error;
mod fields;
mod item;
mod journal;
mod keys;
mod parked;
mod refund_day;
mod refund_item;
pub mod refunds;

use keys::due_shard;

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

    /// Reserves the order's number by one conditional write, its first event inside. A number that
    /// is taken comes back with the order that has it, in the same round trip.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn reserve(
        &self,
        order: &Order,
        event: &Event,
    ) -> Result<ReserveOutcome, TableError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item::write(order, &self.pk(&order.order_no), event)))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = put else {
            return Ok(ReserveOutcome::New);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(found)) => {
                Ok(ReserveOutcome::Taken(Box::new(item::read(
                    found.item().unwrap_or(&HashMap::new()),
                )?)))
            }
            Some(_) | None => Err(unavailable("reserve", error)),
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

    /// Takes the right to call WeChat Pay for an order, if its lease still is the one in `order`
    /// and is over at `now`.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn take_issue_lease(
        &self,
        order: &Order,
        id: &str,
        now: UnixSeconds,
    ) -> Result<WriteOutcome, TableError> {
        let lease = IssueLease {
            count: order.issue_lease.count.saturating_add(1),
            ..IssueLease::first(id.to_owned(), now)
        };
        // On the very lease that was seen: one that was taken or ended since then may have brought
        // a live value, which another call to WeChat Pay would kill in its holder's hands.
        let condition = "#state IN (:reserved, :awaiting) AND (attempt_id = :id OR \
             (attempt_id = :seen_id AND attempt_until = :seen_until AND attempt_until <= :now))";
        self.update(
            "take the attempt",
            &order.order_no,
            "SET attempt_id = :id, attempt_until = :until, attempt_count = :count",
            condition,
            [
                (":id", text(&lease.id)),
                (":until", number(lease.until.0)),
                (":seen_id", text(&order.issue_lease.id)),
                (":seen_until", number(order.issue_lease.until.0)),
                (":count", number(lease.count)),
                (":now", number(now.0)),
                (":reserved", text("reserved")),
                (":awaiting", text("awaiting_payment")),
            ],
        )
        .await
    }

    /// Stores a prepay value under the lease that got it, and ends the lease. `event` is for an
    /// order that was `reserved`; renewing a value changes no state and has no event.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn store_prepay(
        &self,
        order: &Order,
        prepay: &Prepay,
        event: Option<&Event>,
        due: Option<NextCheck>,
    ) -> Result<WriteOutcome, TableError> {
        let mut values = vec![
            (":attempt", text(&order.issue_lease.id)),
            (":from", text(order.state.name())),
            (":version", number(order.version)),
            (":awaiting", text("awaiting_payment")),
            (":prepay", text(item::prepay_text(prepay))),
            (":free", number(0)),
            (":issued", AttributeValue::Bool(true)),
        ];
        let mut set =
            "SET #state = :awaiting, prepay = :prepay, issued = :issued, attempt_until = :free"
                .to_owned();
        if let Some(due) = due {
            set.push_str(", due_shard = :due_shard, due_at = :due_at");
            values.push((":due_shard", text(due_shard(due.shard))));
            values.push((":due_at", number(due.at.0)));
        }
        if let Some(event) = event {
            // The event itself, and again as the item's own attributes, which the table's stream
            // publishes.
            set.push_str(
                ", version = :next, early_events = list_append(early_events, :event), #from = :was, #to = :becomes, \
                 cause_kind = :cause_kind, cause_id = :cause_id, #at = :at, decision = :decision",
            );
            values.extend([
                (":next", number(event.version)),
                (":event", AttributeValue::L(vec![item::event_map(event)])),
                (":was", text(event.from.as_deref().unwrap_or_default())),
                (":becomes", text(&event.to)),
                (":cause_kind", text(event.cause.kind())),
                (":cause_id", text(event.cause.id())),
                (":at", number(event.at.0)),
                // No person decides on it; an order of an earlier version has no such attribute.
                (":decision", text("")),
            ]);
        }
        let condition = "attempt_id = :attempt AND #state = :from AND version = :version";
        let written = self
            .update(
                "store the prepay value",
                &order.order_no,
                &set,
                condition,
                values,
            )
            .await?;
        Ok(match written {
            // The first answer was lost and the SDK asked again: what is found is what we wrote.
            WriteOutcome::Superseded(found)
                if found.state == OrderState::AwaitingPayment(prepay.clone()) =>
            {
                WriteOutcome::Written(found)
            }
            WriteOutcome::Superseded(found) => WriteOutcome::Superseded(found),
            WriteOutcome::Written(order) => WriteOutcome::Written(order),
        })
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
