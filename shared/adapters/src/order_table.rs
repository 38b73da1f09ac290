//! The `orders` table: orders, their journal, and money that waits for a person.
//!
//! Every write is conditional. A refused condition is no error here: the item that was found comes back, and the rules in
//! `payments` say what it means.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{BuildError, ProvideErrorMetadata, SdkError},
    operation::{
        put_item::PutItemError, transact_write_items::TransactWriteItemsError,
        update_item::UpdateItemError,
    },
    types::{AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update},
};
use payments::{
    due::{self, Due},
    ids::OrderNo,
    journal::{Cause, Event},
    order::{Attempt, Order, OrderState, Prepay},
    settle::{Change, Parked},
};
use wechatpay::{UnixSeconds, time::beijing_day};

use crate::aws::AwsError;

mod item;

use item::Item;

/// The `orders` table of one merchant.
#[derive(Clone, Debug)]
pub struct OrderTable {
    client: Client,
    table: String,
    mchid: String,
}

/// Why the table did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// DynamoDB did not answer, or refused for a reason that passes (throttling, a 5xx). What was asked may have happened.
    #[error("the orders table did not answer")]
    Unavailable(#[source] AwsError),
    /// A request to DynamoDB could not be put together.
    #[error("a request to the orders table could not be built")]
    Unbuilt(#[from] BuildError),
    /// Another transaction holds the item at this moment. Read again and decide again; it never means "already done".
    #[error("another transaction holds the order")]
    Conflict,
    /// An item is not in the form that this version writes.
    #[error(
        "the item of order {order_no} has no usable `{attribute}`: compare it with the table's description in order_table/item.rs"
    )]
    Damaged {
        /// Which order, as far as it can be told.
        order_no: String,
        /// Which attribute.
        attribute: &'static str,
    },
}

/// What came of reserving a number.
#[derive(Clone, Debug, PartialEq)]
pub enum Reserved {
    /// The number is now this order's.
    New,
    /// The number was taken; this order has it.
    Taken(Box<Order>),
}

/// What came of a conditional write to an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// Done; this is the order now.
    Yes(Box<Order>),
    /// The condition did not hold; this is what was found.
    No(Box<Order>),
}

/// What came of a change decided on one version of an order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Applied {
    /// Order and event are written.
    Yes,
    /// The order has moved on since it was read. Read it again and decide again.
    Stale,
}

/// How a record for a person stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kept {
    /// Nobody has decided about it yet. Say so again, however often the news comes: who wrote the record first may have died
    /// before saying it.
    Waiting,
    /// A person has decided.
    Decided,
}

/// A piece of the due index.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DuePage {
    /// Orders that are due as the index shows it. The index lags: read each again before acting.
    pub orders: Vec<OrderNo>,
    /// Whether the part holds more that is due.
    pub more: bool,
}

impl OrderTable {
    /// The table by its name, for one merchant number.
    pub fn new(client: Client, table: impl Into<String>, mchid: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
            mchid: mchid.into(),
        }
    }

    /// Reserves the order's number by one conditional write, its first event inside. A number that is taken comes back with
    /// the order that has it, in the same round trip.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn reserve(&self, order: &Order, event: &Event) -> Result<Reserved, TableError> {
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
            return Ok(Reserved::New);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(found)) => Ok(Reserved::Taken(
                Box::new(item::read(found.item().unwrap_or(&HashMap::new()))?),
            )),
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
            .key("sk", text("order"))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable("read", error))?;
        got.item().map(item::read).transpose()
    }

    /// Takes the right to call WeChat Pay for an order, if its lease still is the one in `order` and is over at `now`.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn take_attempt(
        &self,
        order: &Order,
        id: &str,
        now: UnixSeconds,
    ) -> Result<Written, TableError> {
        let attempt = Attempt {
            count: order.attempt.count.saturating_add(1),
            ..Attempt::first(id.to_owned(), now)
        };
        self.update(
            "take the attempt",
            &order.order_no,
            "SET attempt_id = :id, attempt_until = :until, attempt_count = :count",
            // On the very lease that was seen: one that was taken or ended since then may have brought a live value, which
            // another call to WeChat Pay would kill in its holder's hands.
            "#state IN (:reserved, :awaiting) AND (attempt_id = :id OR \
             (attempt_id = :seen_id AND attempt_until = :seen_until AND attempt_until <= :now))",
            [
                (":id", text(&attempt.id)),
                (":until", number(attempt.until.0)),
                (":seen_id", text(&order.attempt.id)),
                (":seen_until", number(order.attempt.until.0)),
                (":count", number(attempt.count)),
                (":now", number(now.0)),
                (":reserved", text("reserved")),
                (":awaiting", text("awaiting_payment")),
            ],
        )
        .await
    }

    /// Stores a prepay value under the attempt that got it, and ends the attempt. `event` is for an order that was reserved
    /// so far; renewing a value changes no state and has none.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn store_prepay(
        &self,
        order: &Order,
        prepay: &Prepay,
        event: Option<&Event>,
        due: Due,
    ) -> Result<Written, TableError> {
        let mut values = vec![
            (":attempt", text(&order.attempt.id)),
            (":from", text(order.state.name())),
            (":version", number(order.version)),
            (":awaiting", text("awaiting_payment")),
            (":prepay", text(item::prepay_text(prepay))),
            (":free", number(0)),
            (":due_shard", text(due_shard(due.shard))),
            (":due_at", number(due.at.0)),
        ];
        let mut set = "SET #state = :awaiting, prepay = :prepay, attempt_until = :free, due_shard = :due_shard, due_at = :due_at".to_owned();
        if let Some(event) = event {
            set.push_str(", version = :next, early_events = list_append(early_events, :event)");
            values.push((":next", number(event.version)));
            values.push((":event", AttributeValue::L(vec![item::event_map(event)])));
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
            Written::No(found) if found.state == OrderState::AwaitingPayment(prepay.clone()) => {
                Written::Yes(found)
            }
            Written::No(found) => Written::No(found),
            Written::Yes(order) => Written::Yes(order),
        })
    }

    /// Writes a change of state and its event in one transaction, if the order still has the version it was decided on.
    ///
    /// # Errors
    /// [`TableError`]; [`TableError::Conflict`] asks to read and decide again.
    pub async fn apply(&self, change: &Change, due: Option<Due>) -> Result<Applied, TableError> {
        let pk = self.pk(&change.from.order_no);
        let mut set = "SET #state = :to, version = :next".to_owned();
        let mut remove = vec!["prepay"];
        let mut update = Update::builder()
            .table_name(&self.table)
            .key("pk", text(&pk))
            .key("sk", text("order"))
            .condition_expression("version = :version")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":version", number(change.from.version))
            .expression_attribute_values(":to", text(change.to.name()))
            .expression_attribute_values(":next", number(change.event.version));
        if let Some(payment) = change.to.payment() {
            set.push_str(", transaction_id = :transaction_id, paid_at = :paid_at, day_shard = :day_shard, day_id = :day_id");
            update = update
                .expression_attribute_values(
                    ":transaction_id",
                    text(payment.transaction_id.as_str()),
                )
                .expression_attribute_values(":paid_at", number(payment.paid_at.0))
                .expression_attribute_values(
                    ":day_shard",
                    text(day_shard(payment.paid_at, &change.from.order_no)),
                )
                .expression_attribute_values(":day_id", text(change.from.order_no.as_str()));
        }
        if let Some(due) = due {
            set.push_str(", due_shard = :due_shard, due_at = :due_at");
            update = update
                .expression_attribute_values(":due_shard", text(due_shard(due.shard)))
                .expression_attribute_values(":due_at", number(due.at.0));
        } else {
            remove.extend(["due_shard", "due_at"]);
        }
        let update = update
            .update_expression(format!("{set} REMOVE {}", remove.join(", ")))
            .build()?;
        let event = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item::event_item(&pk, &change.event)))
            .condition_expression("attribute_not_exists(pk)")
            .build()?;
        let sent = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().update(update).build())
            .transact_items(TransactWriteItem::builder().put(event).build())
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(Applied::Yes);
        };
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons()
            }
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => {
                return Err(TableError::Conflict);
            }
            Some(_) | None => &[],
        };
        let has = |code: &str| reasons.iter().any(|reason| reason.code() == Some(code));
        if has("ConditionalCheckFailed") {
            Ok(Applied::Stale)
        } else if has("TransactionConflict") {
            Err(TableError::Conflict)
        } else {
            Err(unavailable("settle", error))
        }
    }

    /// Keeps money that is not applied to an order, under that order's number, once.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn park(
        &self,
        parked: &Parked,
        cause: &Cause,
        now: UnixSeconds,
    ) -> Result<Kept, TableError> {
        let record = Item::from([
            ("pk".to_owned(), text(self.pk(&parked.order_no))),
            (
                "sk".to_owned(),
                text(format!("payment#{}", parked.transaction_id)),
            ),
            ("state".to_owned(), text("parked")),
            ("order_no".to_owned(), text(parked.order_no.as_str())),
            (
                "transaction_id".to_owned(),
                text(parked.transaction_id.as_str()),
            ),
            ("amount_fen".to_owned(), number(parked.amount.get())),
            ("paid_at".to_owned(), number(parked.paid_at.0)),
            ("reason".to_owned(), text(parked.reason.name())),
            ("what_to_do".to_owned(), text(parked.reason.to_string())),
            ("cause".to_owned(), text(item::cause_text(cause))),
            ("at".to_owned(), number(now.0)),
            (
                "day_shard".to_owned(),
                text(day_shard(parked.paid_at, &parked.order_no)),
            ),
            (
                "day_id".to_owned(),
                text(format!("{}#{}", parked.order_no, parked.transaction_id)),
            ),
        ]);
        self.keep("park money", record).await
    }

    /// Keeps a verified notice that cannot be read as news about an order, once, so that a person sees it: as it came, still
    /// encrypted, with what is known of it.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn park_unreadable(
        &self,
        notice_id: &str,
        event_type: &str,
        problem: &str,
        message: &str,
        now: UnixSeconds,
    ) -> Result<Kept, TableError> {
        let record = Item::from([
            ("pk".to_owned(), text(format!("notice#{}", self.mchid))),
            ("sk".to_owned(), text(format!("notice#{notice_id}"))),
            ("state".to_owned(), text("parked")),
            ("event_type".to_owned(), text(event_type)),
            ("what_to_do".to_owned(), text(problem)),
            ("message".to_owned(), text(message)),
            ("at".to_owned(), number(now.0)),
        ]);
        self.keep("park a notice", record).await
    }

    /// Orders of one part of the due index whose time has come at `now`, oldest first.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn due(&self, shard: u8, now: UnixSeconds, most: i32) -> Result<DuePage, TableError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("due")
            .key_condition_expression("due_shard = :shard AND due_at <= :now")
            .expression_attribute_values(":shard", text(due_shard(shard)))
            .expression_attribute_values(":now", number(now.0))
            .limit(most)
            .send()
            .await
            .map_err(|error| unavailable("list what is due", error))?;
        let orders = page
            .items()
            .iter()
            .filter_map(|found| item::due_key(found, &self.pk_prefix()))
            .collect();
        Ok(DuePage {
            orders,
            more: page.last_evaluated_key().is_some(),
        })
    }

    /// Claims a due order by moving its due time on; `false` when somebody else did so first.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn claim(&self, order: &Order, next: Due) -> Result<bool, TableError> {
        let Some(seen) = order.due else {
            return Ok(false);
        };
        let written = self
            .update(
                "claim a due order",
                &order.order_no,
                "SET due_shard = :due_shard, due_at = :due_at",
                "due_at = :seen AND version = :version",
                [
                    (":due_shard", text(due_shard(next.shard))),
                    (":due_at", number(next.at.0)),
                    (":seen", number(seen.at.0)),
                    (":version", number(order.version)),
                ],
            )
            .await?;
        Ok(matches!(written, Written::Yes(_)))
    }

    /// The journal of an order, oldest first.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn journal(&self, order_no: &OrderNo) -> Result<Vec<Event>, TableError> {
        let mut events = Vec::new();
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(self.pk(order_no)))
            .consistent_read(true)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| unavailable("read the journal", error))?;
            for found in page.items() {
                events.extend(item::events(found)?);
            }
        }
        events.sort_by_key(|event| event.version);
        Ok(events)
    }

    async fn keep(&self, operation: &'static str, record: Item) -> Result<Kept, TableError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(record))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = put else {
            return Ok(Kept::Waiting);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(found)) => {
                let state = found
                    .item()
                    .and_then(|item| item.get("state"))
                    .and_then(|state| state.as_s().ok());
                let waits = state.is_none_or(|state| state == "parked");
                Ok(if waits { Kept::Waiting } else { Kept::Decided })
            }
            Some(_) | None => Err(unavailable(operation, error)),
        }
    }

    /// One conditional update of an order's item.
    async fn update(
        &self,
        operation: &'static str,
        order_no: &OrderNo,
        set: &str,
        condition: &str,
        values: impl IntoIterator<Item = (&'static str, AttributeValue)>,
    ) -> Result<Written, TableError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(self.pk(order_no)))
            .key("sk", text("order"))
            .update_expression(set)
            .condition_expression(condition)
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        if set.contains("#state") || condition.contains("#state") {
            update = update.expression_attribute_names("#state", "state");
        }
        for (name, value) in values {
            update = update.expression_attribute_values(name, value);
        }
        let error = match update.send().await {
            Ok(done) => {
                return Ok(Written::Yes(Box::new(item::read(
                    done.attributes().unwrap_or(&HashMap::new()),
                )?)));
            }
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(found)) => Ok(Written::No(
                Box::new(item::read(found.item().unwrap_or(&HashMap::new()))?),
            )),
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

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn due_shard(shard: u8) -> String {
    format!("due#{shard}")
}

/// The part of the day index: Beijing day of WeChat Pay's own time, never of our clock.
fn day_shard(paid_at: UnixSeconds, order_no: &OrderNo) -> String {
    format!("{}#{}", beijing_day(paid_at), due::shard_of(order_no))
}
