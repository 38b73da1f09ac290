//! What becomes of a notice: it failed, it is parked, it settled.

use payments::model::ids::OrderNo;
use wechatpay::UnixSeconds;

use super::{
    FailedNotice, NoticeStatus, Notices, NoticesError, ParkedNotice, ParkedStatus, SettledNotice,
    UpdateOutcome, expires_at, item, set_expression, status, written,
};
use crate::attributes::{number, text};

impl Notices {
    /// Writes down that a notice failed. One that is parked or decided stays so, and so does one
    /// that settled meanwhile.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn failed(&self, notice: &FailedNotice<'_>) -> Result<(), NoticesError> {
        let update = self
            .write(notice.notice_id, notice.order_no, notice.now)
            .update_expression(set_expression(
                notice.order_no,
                "event_type = :event_type, message = :message, retries = :retries, \
                 next_retry_at = :next_retry_at, last_error = :last_error, \
                 first_seen_at = if_not_exists(first_seen_at, :now) REMOVE expires_at",
            ))
            .condition_expression(
                "attribute_not_exists(pk) OR #status = :status OR (#status = :ok AND updated_at < :now)",
            )
            .expression_attribute_values(":status", status(NoticeStatus::Pending))
            .expression_attribute_values(":ok", status(NoticeStatus::Settled))
            .expression_attribute_values(":event_type", text(notice.event_type))
            .expression_attribute_values(":message", text(notice.message))
            .expression_attribute_values(":retries", number(notice.retries))
            .expression_attribute_values(":next_retry_at", number(notice.next_retry_at.0))
            .expression_attribute_values(":last_error", text(notice.last_error));
        written("write down a failed notice", update.send().await).map(drop)
    }

    /// Parks a notice once; an existing record keeps its text. Returns whether an operator has
    /// decided.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn parked(&self, notice: &ParkedNotice<'_>) -> Result<ParkedStatus, NoticesError> {
        let update = self
            .write(notice.notice_id, notice.order_no, notice.now)
            .update_expression(set_expression(
                notice.order_no,
                "event_type = :event_type, message = :message, what_to_do = :what_to_do, \
                 first_seen_at = if_not_exists(first_seen_at, :now) REMOVE next_retry_at, expires_at",
            ))
            .condition_expression(
                "attribute_not_exists(pk) OR #status IN (:pending, :ok) \
                 OR (#status = :status AND attribute_not_exists(message))",
            )
            .expression_attribute_values(":status", status(NoticeStatus::Parked))
            .expression_attribute_values(":pending", status(NoticeStatus::Pending))
            .expression_attribute_values(":ok", status(NoticeStatus::Settled))
            .expression_attribute_values(":event_type", text(notice.event_type))
            .expression_attribute_values(":message", text(notice.message))
            .expression_attribute_values(":what_to_do", text(notice.what_to_do));
        Ok(match written("park a notice", update.send().await)? {
            UpdateOutcome::Updated => ParkedStatus::Waiting,
            UpdateOutcome::ConditionFailed(found) => match item::status(&found)? {
                NoticeStatus::Decided => ParkedStatus::Decided,
                NoticeStatus::Pending | NoticeStatus::Parked | NoticeStatus::Settled => {
                    ParkedStatus::Waiting
                }
            },
        })
    }

    /// Records that a notice which may have failed before has settled. Does nothing if it has no
    /// record, or if the record waits for an operator.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn settled(
        &self,
        notice_id: &str,
        order_no: Option<&OrderNo>,
        now: UnixSeconds,
    ) -> Result<(), NoticesError> {
        let update = self
            .write(notice_id, order_no, now)
            .update_expression(set_expression(
                order_no,
                "expires_at = :expires_at REMOVE next_retry_at",
            ))
            .condition_expression("#status = :pending")
            .expression_attribute_values(":status", status(NoticeStatus::Settled))
            .expression_attribute_values(":pending", status(NoticeStatus::Pending))
            .expression_attribute_values(":expires_at", expires_at(now));
        written("write down a settled notice", update.send().await).map(drop)
    }

    /// Records that a notice has settled which had an earlier attempt, whether that attempt left a
    /// record or crashed before. An existing text stays; a record that waits for an operator or was
    /// decided is unchanged.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn settled_at_last(&self, notice: &SettledNotice<'_>) -> Result<(), NoticesError> {
        let update = self
            .write(notice.notice_id, notice.order_no, notice.now)
            .update_expression(set_expression(
                notice.order_no,
                "event_type = if_not_exists(event_type, :event_type), \
                 message = if_not_exists(message, :message), \
                 retries = if_not_exists(retries, :retries), \
                 first_seen_at = if_not_exists(first_seen_at, :now), expires_at = :expires_at \
                 REMOVE next_retry_at",
            ))
            .condition_expression("attribute_not_exists(pk) OR #status = :pending")
            .expression_attribute_values(":status", status(NoticeStatus::Settled))
            .expression_attribute_values(":pending", status(NoticeStatus::Pending))
            .expression_attribute_values(":event_type", text(notice.event_type))
            .expression_attribute_values(":message", text(notice.message))
            .expression_attribute_values(":retries", number(notice.retries))
            .expression_attribute_values(":expires_at", expires_at(notice.now));
        written("write down a settled notice", update.send().await).map(drop)
    }
}
