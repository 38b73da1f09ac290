//! Money that waits for a person: payments that are not an order's booked one, refunds that do not fit the books.

use aws_sdk_dynamodb::{
    operation::put_item::PutItemError, types::ReturnValuesOnConditionCheckFailure,
};
use payments::{
    ids::{OrderNo, TransactionId},
    journal::Cause,
    refund::ParkedPayment,
    refund_news::ParkedRefund,
    settle::Parked,
};
use wechatpay::UnixSeconds;

use super::{
    OrderTable, TableError,
    day_index::day_shard,
    item::{self, Item},
    number, text, unavailable,
};

/// How a record for a person stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kept {
    /// Nobody has decided about it yet. Say so again, however often the news comes: who wrote the record first may have died
    /// before saying it.
    Waiting,
    /// A person has decided.
    Decided,
}

impl OrderTable {
    /// Keeps money for an order that is not known, under the number that it names, once. Money for an order that is known is kept
    /// by [`OrderTable::apply`], with its event.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn park(
        &self,
        parked: &Parked,
        cause: &Cause,
        now: UnixSeconds,
    ) -> Result<Kept, TableError> {
        self.keep("park money", self.parked_item(parked, cause, now))
            .await
    }

    /// How the record of a payment that is not its order's booked one stands; `None` when there is none.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn kept(
        &self,
        order_no: &OrderNo,
        transaction_id: &TransactionId,
    ) -> Result<Option<Kept>, TableError> {
        let found = self.payment_record(order_no, transaction_id).await?;
        Ok(found.as_ref().map(kept))
    }

    /// The item of money that waits for a person.
    pub(super) fn parked_item(&self, parked: &Parked, cause: &Cause, now: UnixSeconds) -> Item {
        Item::from([
            ("pk".to_owned(), text(self.pk(&parked.order_no))),
            (
                "sk".to_owned(),
                text(item::payment_sk(&parked.transaction_id)),
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
        ])
    }

    /// Keeps a refund that does not fit the books, under the order's number, once.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn park_refund(
        &self,
        parked: &ParkedRefund,
        cause: &Cause,
        now: UnixSeconds,
    ) -> Result<Kept, TableError> {
        let record = Item::from([
            ("pk".to_owned(), text(self.pk(&parked.order_no))),
            (
                "sk".to_owned(),
                text(format!("parked-refund#{}", parked.refund_id)),
            ),
            ("state".to_owned(), text("parked")),
            ("order_no".to_owned(), text(parked.order_no.as_str())),
            (
                "transaction_id".to_owned(),
                text(parked.transaction_id.as_str()),
            ),
            ("refund_id".to_owned(), text(parked.refund_id.as_str())),
            (
                "out_refund_no".to_owned(),
                text(parked.out_refund_no.as_str()),
            ),
            ("amount_fen".to_owned(), number(parked.amount.get())),
            ("reason".to_owned(), text(parked.reason.name())),
            ("what_to_do".to_owned(), text(parked.reason.to_string())),
            ("cause".to_owned(), text(item::cause_text(cause))),
            ("at".to_owned(), number(now.0)),
        ]);
        self.keep("park a refund", record).await
    }

    /// A parked payment of an order, read consistently.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn parked_payment(
        &self,
        order_no: &OrderNo,
        transaction_id: &TransactionId,
    ) -> Result<Option<ParkedPayment>, TableError> {
        let found = self.payment_record(order_no, transaction_id).await?;
        found.as_ref().map(item::parked_payment).transpose()
    }

    async fn payment_record(
        &self,
        order_no: &OrderNo,
        transaction_id: &TransactionId,
    ) -> Result<Option<Item>, TableError> {
        let got = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(self.pk(order_no)))
            .key("sk", text(item::payment_sk(transaction_id)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable("read a parked payment", error))?;
        Ok(got.item)
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
                Ok(found.item().map_or(Kept::Waiting, kept))
            }
            Some(_) | None => Err(unavailable(operation, error)),
        }
    }
}

fn kept(record: &Item) -> Kept {
    let state = record.get("state").and_then(|state| state.as_s().ok());
    if state.is_none_or(|state| state == "parked") {
        Kept::Waiting
    } else {
        Kept::Decided
    }
}
