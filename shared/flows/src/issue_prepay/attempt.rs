//! The steps of an attempt to get a prepay value, in their order.

use std::time::Duration;

use payments::{
    model::order::{Order, OrderState},
    rules::issue_order,
};

use super::{
    call::PrepayAnswer,
    flow::IssueFlow,
    outcome::{Finding, IssueError, IssueOutcome},
};
use crate::origin::Origin;

impl IssueFlow {
    /// Calls WeChat Pay under the lease that `order` holds, within the time given: one host, then
    /// the other with the same bytes if the first gives no valid answer. If an earlier attempt has
    /// an unknown result, WeChat Pay is queried first. While neither host answers, no call is made.
    ///
    /// `body` is the plain prepay body if the caller has it; otherwise the stored one is decrypted.
    /// The bytes are the same in both cases.
    ///
    /// # Errors
    /// [`IssueError`].
    pub async fn issue(
        &self,
        order: Order,
        body: Option<Vec<u8>>,
        within: Duration,
        origin: &Origin,
    ) -> Result<IssueOutcome, IssueError> {
        match self.obtain(&order, body, within, origin).await? {
            Finding::Value { value, request_id } => {
                self.store(order, value, request_id.as_ref(), origin).await
            }
            Finding::Refused(refusal) => self.reject(&order, refusal, origin).await,
            Finding::Settled => self.read_settled(&order.order_no).await,
            Finding::PutOff(reason) => Ok(self.put_off(&order.order_no, reason)),
        }
    }

    /// Asks WeChat Pay for the value, and about the order where that leaves something unknown.
    async fn obtain(
        &self,
        order: &Order,
        body: Option<Vec<u8>>,
        within: Duration,
        origin: &Origin,
    ) -> Result<Finding, IssueError> {
        if self.wechat.is_down() {
            return Ok(Finding::unknown(
                "neither host of WeChat Pay answers at present",
            ));
        }
        // Never beyond the lease: after it another process may get a prepay value, which a call
        // from here would invalidate.
        let deadline = self.clock.deadline(within);
        let deadline = deadline.no_later_than(order.issue_lease.until);
        let is_reserved = order.state == OrderState::Reserved;
        let clean = is_reserved && issue_order::is_first_attempt(&order.issue_lease);
        if is_reserved
            && !clean
            && let Some(known) = self.query_earlier_attempt(order, &deadline, origin).await?
        {
            return Ok(known);
        }
        let body = match body {
            Some(body) => body,
            None => self.bodies.open(order).await?,
        };
        match self.call(order, body, clean, &deadline).await? {
            PrepayAnswer::Found(finding) => Ok(finding),
            PrepayAnswer::InDoubt(doubt) => {
                self.query_in_doubt(order, doubt, &deadline, origin).await
            }
        }
    }
}
