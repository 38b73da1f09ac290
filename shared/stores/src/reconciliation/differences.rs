//! Differences, one by one: what a run found, what it is completed with, what is decided about it.

use aws_sdk_dynamodb::{
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError},
    types::{Put as PutWrite, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update},
};
use payments::{model::bill_date::BillDate, reconcile::difference::Difference};

use super::{
    FindOutcome, PutOutcome, ReconciliationError, ReconciliationTable, SaveOutcome, is_id, item,
    saved_if, unavailable,
};
use crate::attributes::{Item, number};

/// How often a difference is written again because an item in the same transaction was being
/// written by another process.
const SAVE_TRIES: u32 = 3;

impl ReconciliationTable {
    /// Writes down a difference that a run found, unless it is known already.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn find(&self, difference: &Difference) -> Result<FindOutcome, ReconciliationError> {
        let item = item::difference(self.pk(difference.date), difference);
        let found = match self.put("write down a difference", item, 1).await? {
            PutOutcome::Done => return Ok(FindOutcome::New),
            PutOutcome::ConditionFailed(found) => item::read_difference(&found)?,
            // Something is there, and DynamoDB did not show it with its refusal.
            PutOutcome::Missing => self
                .difference(difference.date, &difference.id)
                .await?
                .ok_or_else(|| ReconciliationError::Damaged {
                    item: format!("{} {}", self.pk(difference.date), difference.id),
                    attribute: "pk",
                })?,
        };
        // The first answer was lost and the SDK asked again: what is found is what we wrote.
        Ok(if found == *difference {
            FindOutcome::New
        } else {
            FindOutcome::Known(Box::new(found))
        })
    }

    /// Reads one difference consistently.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn difference(
        &self,
        date: BillDate,
        id: &str,
    ) -> Result<Option<Difference>, ReconciliationError> {
        if !is_id(id) {
            return Ok(None);
        }
        let found = self.get(
            "read a difference",
            date,
            format!("{}{id}", item::DIFFERENCE),
        );
        found.await?.as_ref().map(item::read_difference).transpose()
    }

    /// Writes a difference after a step, over the version that the step was decided on. The same
    /// transaction adds it to the list of tracked refunds and updates the notice of its payment, if
    /// necessary.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn save_difference(
        &self,
        to: &Difference,
    ) -> Result<SaveOutcome, ReconciliationError> {
        const OPERATION: &str = "save a difference";
        let item = item::difference(self.pk(to.date), to);
        let track = to.is_tracked().then(|| self.track(to)).transpose()?;
        for _ in 0..SAVE_TRIES {
            let notice = self.notice_step(to).await?;
            if track.is_none() && notice.is_none() {
                return Ok(match self.put(OPERATION, item, to.version).await? {
                    PutOutcome::Done => SaveOutcome::Saved,
                    PutOutcome::ConditionFailed(found) => {
                        saved_if(item::read_difference(&found)? == *to)
                    }
                    PutOutcome::Missing => SaveOutcome::VersionMoved,
                });
            }
            let saved = self.save_with(OPERATION, &item, to, track.clone(), notice);
            if let Some(saved) = saved.await? {
                return Ok(saved);
            }
        }
        Err(ReconciliationError::Conflict)
    }

    /// Writes a difference with values that were missing, over itself as it was read: not a step,
    /// so its version stays. After a concurrent step nothing is written
    /// ([`SaveOutcome::VersionMoved`]).
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn complete_difference(
        &self,
        to: &Difference,
    ) -> Result<SaveOutcome, ReconciliationError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item::difference(self.pk(to.date), to)))
            .condition_expression("version = :version")
            .expression_attribute_values(":version", number(to.version))
            .send()
            .await;
        match put {
            Ok(_) => Ok(SaveOutcome::Saved),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(SaveOutcome::VersionMoved)
            }
            Err(error) => Err(unavailable("complete a difference", error)),
        }
    }

    /// What the last step does to the notice of the difference's money, if that has one which is to
    /// move.
    async fn notice_step(&self, to: &Difference) -> Result<Option<Update>, ReconciliationError> {
        let (Some(ledger), Some(step), Some(notice_id), Some(last)) = (
            &self.ledger,
            to.notice_step(),
            to.notice_id(),
            to.history.last(),
        ) else {
            return Ok(None);
        };
        let Some(found) = ledger.get(&notice_id).await? else {
            return Ok(None);
        };
        Ok(ledger.stepping(&found, &step, last.at)?)
    }

    /// `None` if the notice has changed since it was read, or another transaction holds one of the
    /// items at this moment.
    async fn save_with(
        &self,
        operation: &'static str,
        item: &Item,
        to: &Difference,
        track: Option<PutWrite>,
        notice: Option<Update>,
    ) -> Result<Option<SaveOutcome>, ReconciliationError> {
        let difference = PutWrite::builder()
            .table_name(&self.table)
            .set_item(Some(item.clone()))
            .condition_expression("version = :before")
            .expression_attribute_values(":before", number(to.version.saturating_sub(1)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()?;
        let mut writes = vec![TransactWriteItem::builder().put(difference).build()];
        writes.extend(notice.map(|notice| TransactWriteItem::builder().update(notice).build()));
        writes.extend(track.map(|track| TransactWriteItem::builder().put(track).build()));
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(Some(SaveOutcome::Saved));
        };
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons()
            }
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => return Ok(None),
            Some(_) | None => &[],
        };
        let refused = |code: &str| {
            reasons
                .iter()
                .position(|reason| reason.code() == Some(code))
        };
        match refused("ConditionalCheckFailed") {
            Some(0) => {
                let found = reasons.first().and_then(|reason| reason.item.as_ref());
                let is_ours = match found {
                    Some(found) => item::read_difference(found)? == *to,
                    None => false,
                };
                Ok(Some(saved_if(is_ours)))
            }
            Some(_) => Ok(None),
            None if refused("TransactionConflict").is_some() => Ok(None),
            None => Err(unavailable(operation, error)),
        }
    }
}
