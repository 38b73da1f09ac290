//! Parked payments and refunds in the notices table: one record for each, however it was found.
//!
//! Parking in the orders table writes this record in the same transaction, so neither exists
//! without the other. A callback adds its message later, so that it can be sent again.

use aws_sdk_dynamodb::{
    error::BuildError,
    types::{ReturnValuesOnConditionCheckFailure, Update},
};
use payments::{model::ids::OrderNo, reconcile::difference::NoticeStep};
use wechatpay::UnixSeconds;

use super::{
    Notice, NoticeStatus, Notices, NoticesError, ParkedStatus, UpdateOutcome, expires_at, item,
    number, status, text, written,
};

/// A payment or refund that waits for an operator.
#[derive(Clone, Copy, Debug)]
pub struct ParkedMoneyRecord<'a> {
    /// `payment#<transaction_id>`, `refund#<refund_id>`, or `owed#<refund_id>` of a refund whose
    /// payer is owed.
    pub notice_id: &'a str,
    /// The order that WeChat Pay names.
    pub order_no: &'a OrderNo,
    /// What an operator must find out or decide.
    pub what_to_do: &'a str,
    /// The present time.
    pub now: UnixSeconds,
}

/// An existing record keeps its content: only the first notice of a payment creates it.
const KEEPING: &str = "SET #status = if_not_exists(#status, :parked), \
     notice_id = if_not_exists(notice_id, :notice_id), \
     order_no = if_not_exists(order_no, :order_no), \
     event_type = if_not_exists(event_type, :none), \
     what_to_do = if_not_exists(what_to_do, :what_to_do), \
     first_seen_at = if_not_exists(first_seen_at, :now), \
     updated_at = if_not_exists(updated_at, :now)";

impl Notices {
    /// The write of a parked payment's record, for the transaction that parks it.
    pub(crate) fn keeping(&self, money: &ParkedMoneyRecord<'_>) -> Result<Update, BuildError> {
        Update::builder()
            .table_name(&self.table)
            .key("pk", text(self.pk(money.notice_id)))
            .update_expression(KEEPING)
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":parked", status(NoticeStatus::Parked))
            .expression_attribute_values(":notice_id", text(money.notice_id))
            .expression_attribute_values(":order_no", text(money.order_no.as_str()))
            .expression_attribute_values(":none", text(""))
            .expression_attribute_values(":what_to_do", text(money.what_to_do))
            .expression_attribute_values(":now", number(money.now.0))
            .build()
    }

    /// The write that marks a record as decided, for the transaction that stores the decision
    /// elsewhere. It succeeds in any state of the record: the condition is on the other write.
    pub(crate) fn dealt_with(
        &self,
        money: &ParkedMoneyRecord<'_>,
        who: &str,
        why: &str,
    ) -> Result<Update, BuildError> {
        Update::builder()
            .table_name(&self.table)
            .key("pk", text(self.pk(money.notice_id)))
            .update_expression(
                "SET #status = :decided, updated_at = :now, decided_by = :who, decided_why = :why, \
                 expires_at = :expires_at, \
                 notice_id = if_not_exists(notice_id, :notice_id), \
                 order_no = if_not_exists(order_no, :order_no), \
                 event_type = if_not_exists(event_type, :none), \
                 what_to_do = if_not_exists(what_to_do, :what_to_do), \
                 first_seen_at = if_not_exists(first_seen_at, :now) REMOVE next_retry_at",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":decided", status(NoticeStatus::Decided))
            .expression_attribute_values(":notice_id", text(money.notice_id))
            .expression_attribute_values(":order_no", text(money.order_no.as_str()))
            .expression_attribute_values(":none", text(""))
            .expression_attribute_values(":what_to_do", text(money.what_to_do))
            .expression_attribute_values(":now", number(money.now.0))
            .expression_attribute_values(":who", text(who))
            .expression_attribute_values(":why", text(why))
            .expression_attribute_values(":expires_at", expires_at(money.now))
            .build()
    }

    /// Adds a record for a payment that was parked without one, and returns whether an operator has
    /// decided about it.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn keep(&self, money: &ParkedMoneyRecord<'_>) -> Result<ParkedStatus, NoticesError> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(self.pk(money.notice_id)))
            .update_expression(KEEPING)
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":parked", status(NoticeStatus::Parked))
            .expression_attribute_values(":notice_id", text(money.notice_id))
            .expression_attribute_values(":order_no", text(money.order_no.as_str()))
            .expression_attribute_values(":none", text(""))
            .expression_attribute_values(":what_to_do", text(money.what_to_do))
            .expression_attribute_values(":now", number(money.now.0))
            .send()
            .await;
        Ok(match written("keep money in the ledger", sent)? {
            UpdateOutcome::Updated => ParkedStatus::Waiting,
            UpdateOutcome::ConditionFailed(found) => match item::status(&found)? {
                NoticeStatus::Decided => ParkedStatus::Decided,
                NoticeStatus::Pending | NoticeStatus::Parked | NoticeStatus::Settled => {
                    ParkedStatus::Waiting
                }
            },
        })
    }

    /// The write that updates a record, as it was read, together with a difference's step; `None`
    /// if it has that state already.
    pub(crate) fn stepping(
        &self,
        found: &Notice,
        step: &NoticeStep<'_>,
        now: UnixSeconds,
    ) -> Result<Option<Update>, BuildError> {
        let update = Update::builder()
            .table_name(&self.table)
            .key("pk", text(self.pk(&found.notice_id)))
            .condition_expression("#status = :seen")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":seen", status(found.status))
            .expression_attribute_values(":now", number(now.0));
        let update = match (step, found.status) {
            (NoticeStep::Waits, NoticeStatus::Decided) => update
                .update_expression(
                    "SET #status = :parked, updated_at = :now \
                     REMOVE decided_by, decided_why, expires_at",
                )
                .expression_attribute_values(":parked", status(NoticeStatus::Parked)),
            (NoticeStep::Decided { who, why }, NoticeStatus::Parked | NoticeStatus::Pending) => {
                update
                    .update_expression(
                        "SET #status = :decided, updated_at = :now, decided_by = :who, \
                     decided_why = :why, expires_at = :expires_at REMOVE next_retry_at",
                    )
                    .expression_attribute_values(":decided", status(NoticeStatus::Decided))
                    .expression_attribute_values(":who", text(*who))
                    .expression_attribute_values(":why", text(*why))
                    .expression_attribute_values(":expires_at", expires_at(now))
            }
            (NoticeStep::Waits, _) | (NoticeStep::Decided { .. }, _) => return Ok(None),
        };
        update.build().map(Some)
    }
}
