//! Attempts that end without a value of their own.

use payments::{
    model::{
        ids::OrderNo,
        order::{OrderState, Rejection},
    },
    rules::issue_order::IssueFailure,
};
use tracing::warn;

use super::{
    flow::IssueFlow,
    outcome::{IssueError, IssueOutcome},
};

impl IssueFlow {
    /// The stored order, once a query's answer is settled.
    pub(super) async fn read_settled(
        &self,
        order_no: &OrderNo,
    ) -> Result<IssueOutcome, IssueError> {
        Ok(match self.orders.read(order_no).await? {
            Some(found) => {
                // A refusal for another cause was already logged where it happened.
                if let OrderState::Rejected(why @ Rejection::NumberUsedElsewhere) = &found.state {
                    warn!(
                        order_no = order_no.as_str(),
                        code = why.refusal().code,
                        PrepaysRejected = 1,
                        PrepaysPutOff = 0,
                        "the order is rejected"
                    );
                }
                IssueOutcome::of_changed(found, self.clock.now())
            }
            None => self.put_off(
                order_no,
                IssueFailure::Unknown("the order is gone from the table".to_owned()),
            ),
        })
    }

    /// Ends without a certain result for now.
    pub(super) fn put_off(&self, order_no: &OrderNo, reason: IssueFailure) -> IssueOutcome {
        warn!(
            order_no = order_no.as_str(),
            ?reason,
            PrepaysPutOff = 1,
            HostsAvoided = self.wechat.hosts_avoided(),
            "no prepay value for now"
        );
        IssueOutcome::Later(reason)
    }
}
