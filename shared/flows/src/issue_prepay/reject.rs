//! Rejecting an order that WeChat Pay refuses.

use std::time::Duration;

use payments::{
    model::{
        order::{Order, OrderState, Rejection},
        order_refusal::OrderRefusal,
    },
    rules::change::OrderChange,
};
use stores::order_table::{ApplyOutcome, TableError};
use tracing::warn;
use wechatpay::{RequestId, api::Refusal};

use super::{
    flow::IssueFlow,
    outcome::{IssueError, IssueOutcome},
};
use crate::origin::{Origin, record_event};

/// The pause before a write is retried after a conflict with another transaction.
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);

impl IssueFlow {
    /// Rejects the order, unless it changes meanwhile.
    pub(super) async fn reject(
        &self,
        order: &Order,
        refusal: Refusal,
        origin: &Origin,
    ) -> Result<IssueOutcome, IssueError> {
        let context = origin.change_context(self.clock.now_ms());
        let context = context.with_request_id(refusal.request_id.as_ref());
        let reason = OrderRefusal::from(&refusal);
        let rejected = OrderState::Rejected(Rejection::Refused(Some(reason.clone())));
        let change = OrderChange::new(order, rejected, &context);
        let applied = match self.orders.apply(&change).await {
            // Another transaction, such as one of the sweep, holds the item for a moment. Retry, or
            // the refusal would be lost.
            Err(TableError::Conflict) => {
                self.clock.sleep(CONFLICT_PAUSE).await;
                self.orders.apply(&change).await?
            }
            applied => applied?,
        };
        match applied {
            ApplyOutcome::Applied => {
                for event in &change.events {
                    let before = order.latest_event.as_ref();
                    record_event(&order.order_no, event, before, origin);
                }
                warn!(
                    order_no = order.order_no.as_str(),
                    wechat_request_id = refusal.request_id.as_ref().map(RequestId::as_str),
                    %refusal,
                    PrepaysRejected = 1,
                    PrepaysPutOff = 0,
                    "the order is rejected"
                );
                Ok(IssueOutcome::Rejected(reason))
            }
            ApplyOutcome::VersionMoved => match self.orders.read(&order.order_no).await? {
                Some(found) => Ok(IssueOutcome::of_changed(found, self.clock.now())),
                None => Ok(IssueOutcome::Rejected(reason)),
            },
        }
    }
}
