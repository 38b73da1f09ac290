//! An operator's decision about a notice.

use wechatpay::UnixSeconds;

use super::{
    DecideOutcome, NoticeStatus, Notices, NoticesError, UpdateOutcome, expires_at, item,
    set_expression, status, written,
};
use crate::attributes::text;

impl Notices {
    /// Records an operator's decision about a pending or parked notice. It changes nothing else:
    /// refunds move money, the API changes orders.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn decide(
        &self,
        notice_id: &str,
        who: &str,
        why: &str,
        now: UnixSeconds,
    ) -> Result<DecideOutcome, NoticesError> {
        let update = self
            .write(notice_id, None, now)
            .update_expression(set_expression(
                None,
                "decided_by = :who, decided_why = :why, expires_at = :expires_at REMOVE next_retry_at",
            ))
            .condition_expression("#status IN (:pending, :parked)")
            .expression_attribute_values(":status", status(NoticeStatus::Decided))
            .expression_attribute_values(":pending", status(NoticeStatus::Pending))
            .expression_attribute_values(":parked", status(NoticeStatus::Parked))
            .expression_attribute_values(":who", text(who))
            .expression_attribute_values(":why", text(why))
            .expression_attribute_values(":expires_at", expires_at(now));
        let found = match written("write down a decision", update.send().await)? {
            UpdateOutcome::Updated => return Ok(DecideOutcome::Written),
            UpdateOutcome::ConditionFailed(found) if found.is_empty() => {
                return Ok(DecideOutcome::Unknown);
            }
            UpdateOutcome::ConditionFailed(found) => item::read(&found)?,
        };
        // The first answer was lost and the SDK asked again: what is found is what we wrote.
        let is_ours = found.decided_by.as_deref() == Some(who)
            && found.decided_why.as_deref() == Some(why)
            && found.updated_at == now;
        Ok(if is_ours {
            DecideOutcome::Written
        } else {
            DecideOutcome::Closed(Box::new(found))
        })
    }
}
