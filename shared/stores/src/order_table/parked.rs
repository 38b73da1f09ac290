//! Parked payments and refunds: payments that are not an order's booked one, refunds that
//! contradict the books.

use aws_sdk_dynamodb::{
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError},
    types::{Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem},
};
use payments::model::{
    ids::{OrderNo, TransactionId},
    journal::Cause,
    parked::{ParkedPayment, PaymentToPark, RefundToPark},
};
use wechatpay::UnixSeconds;

use crate::{
    attributes::{Item, number, text},
    notices::{Notices, ParkedStatus, money::ParkedMoneyRecord},
};

use super::{
    OrderTable, TableError, event_item, item,
    keys::{self, day_shard},
    unavailable,
};

impl OrderTable {
    /// Parks a payment for an unknown order, under the number that it names, once. A payment for a
    /// known order is parked by [`OrderTable::apply`], with its event.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn park(
        &self,
        parked: &PaymentToPark,
        cause: &Cause,
        now: UnixSeconds,
    ) -> Result<ParkedStatus, TableError> {
        let money = ParkedMoneyRecord {
            notice_id: &parked.notice_id(),
            order_no: &parked.order_no,
            what_to_do: &parked.reason.to_string(),
            now,
        };
        let record = self.parked_item(parked, cause, now);
        self.keep("park money", record, &money).await
    }

    /// The state of a payment that is parked already; `None` if it is not. Afterwards it has a
    /// record in the notices table, even if it was parked without one.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn still_kept(
        &self,
        parked: &PaymentToPark,
        now: UnixSeconds,
    ) -> Result<Option<ParkedStatus>, TableError> {
        let kept = self.kept(&parked.order_no, &parked.transaction_id).await?;
        if kept != Some(ParkedStatus::Waiting) {
            return Ok(kept);
        }
        let money = ParkedMoneyRecord {
            notice_id: &parked.notice_id(),
            order_no: &parked.order_no,
            what_to_do: &parked.reason.to_string(),
            now,
        };
        self.waiting(&money).await.map(Some)
    }

    /// The state of the record of a payment that is not its order's booked one; `None` if there is
    /// none.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn kept(
        &self,
        order_no: &OrderNo,
        transaction_id: &TransactionId,
    ) -> Result<Option<ParkedStatus>, TableError> {
        let found = self.payment_record(order_no, transaction_id).await?;
        Ok(found.as_ref().map(kept))
    }

    /// The item of a parked payment or refund.
    pub(super) fn parked_item(
        &self,
        parked: &PaymentToPark,
        cause: &Cause,
        now: UnixSeconds,
    ) -> Item {
        Item::from([
            ("pk".to_owned(), text(self.pk(&parked.order_no))),
            (
                "sk".to_owned(),
                text(keys::payment_sk(&parked.transaction_id)),
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
            ("cause".to_owned(), text(event_item::cause_text(cause))),
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
        parked: &RefundToPark,
        cause: &Cause,
        now: UnixSeconds,
    ) -> Result<ParkedStatus, TableError> {
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
            ("cause".to_owned(), text(event_item::cause_text(cause))),
            ("at".to_owned(), number(now.0)),
        ]);
        let money = ParkedMoneyRecord {
            notice_id: &parked.notice_id(),
            order_no: &parked.order_no,
            what_to_do: &parked.reason.to_string(),
            now,
        };
        self.keep("park a refund", record, &money).await
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
            .key("sk", text(keys::payment_sk(transaction_id)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable("read a parked payment", error))?;
        Ok(got.item)
    }

    async fn keep(
        &self,
        operation: &'static str,
        record: Item,
        money: &ParkedMoneyRecord<'_>,
    ) -> Result<ParkedStatus, TableError> {
        let found = match &self.ledger {
            Some(ledger) => self.keep_in(ledger, operation, record, money).await?,
            None => self.keep_alone(operation, record).await?,
        };
        match found {
            None => Ok(ParkedStatus::Waiting),
            Some(found) if kept(&found) == ParkedStatus::Decided => Ok(ParkedStatus::Decided),
            Some(_) => self.waiting(money).await,
        }
    }

    /// Writes a record together with its entry in the notices table. Returns the earlier record, if
    /// there was one.
    async fn keep_in(
        &self,
        ledger: &Notices,
        operation: &'static str,
        record: Item,
        money: &ParkedMoneyRecord<'_>,
    ) -> Result<Option<Item>, TableError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(record))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()?;
        let sent = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().put(put).build())
            .transact_items(
                TransactWriteItem::builder()
                    .update(ledger.keeping(money)?)
                    .build(),
            )
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(None);
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
        let has = |code: &str| reasons.iter().find(|reason| reason.code() == Some(code));
        if let Some(reason) = has("ConditionalCheckFailed") {
            Ok(Some(reason.item.clone().unwrap_or_default()))
        } else if has("TransactionConflict").is_some() {
            Err(TableError::Conflict)
        } else {
            Err(unavailable(operation, error))
        }
    }

    async fn keep_alone(
        &self,
        operation: &'static str,
        record: Item,
    ) -> Result<Option<Item>, TableError> {
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
            return Ok(None);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(found)) => {
                Ok(Some(found.item().cloned().unwrap_or_default()))
            }
            Some(_) | None => Err(unavailable(operation, error)),
        }
    }

    /// For an undecided payment in the orders table: whether it was decided in the notices table.
    async fn waiting(&self, money: &ParkedMoneyRecord<'_>) -> Result<ParkedStatus, TableError> {
        Ok(match &self.ledger {
            Some(ledger) => ledger.keep(money).await?,
            None => ParkedStatus::Waiting,
        })
    }
}

fn kept(record: &Item) -> ParkedStatus {
    let state = record.get("state").and_then(|state| state.as_s().ok());
    if state.is_none_or(|state| state == "parked") {
        ParkedStatus::Waiting
    } else {
        ParkedStatus::Decided
    }
}
