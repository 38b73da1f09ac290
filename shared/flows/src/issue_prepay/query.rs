//! Queries for what a prepay call left unknown.

use payments::{model::order::Order, rules::issue_order::IssueFailure};
use runtime::clock::Deadline;
use wechat_client::api::{CALL_MAX, CALL_MIN};
use wechatpay::api::Refusal;

use super::{
    flow::IssueFlow,
    outcome::{Finding, IssueError},
};
use crate::{
    origin::Origin,
    query_order::{QueryOutcome, report_unreadable},
    settle_payment::SettleOutcome,
};

const NO_TIME: &str = "there was no time left to query";

/// What a query must find out, and how.
pub(super) struct ExistenceQuery {
    /// Whether an order that WeChat Pay has under the number cannot be ours.
    pub(super) foreign: bool,
    /// The refusal that rejects the order if it does not exist; `None` if nothing rejects it.
    pub(super) refusal: Option<Refusal>,
}

impl IssueFlow {
    /// Queries the unknown result of an earlier attempt. `None` if the order is open at WeChat Pay
    /// or does not exist: then the same bytes may be sent again.
    pub(super) async fn query_earlier_attempt(
        &self,
        order: &Order,
        deadline: &Deadline,
        origin: &Origin,
    ) -> Result<Option<Finding>, IssueError> {
        let Some(within) = deadline.part(CALL_MIN, CALL_MAX) else {
            return Ok(Some(Finding::unknown(NO_TIME)));
        };
        let asked = self.query_flow.ask(&order.order_no, within, origin).await;
        Ok(match report_unreadable(&order.order_no, asked)? {
            QueryOutcome::NotThere | QueryOutcome::Settled(SettleOutcome::StillOpen) => None,
            QueryOutcome::Settled(
                SettleOutcome::Changed | SettleOutcome::AlreadyDone | SettleOutcome::Parked { .. },
            ) => Some(Finding::Settled),
            QueryOutcome::Refused(refusal) => {
                Some(Finding::PutOff(IssueFailure::RefusedAfterUnknown(refusal)))
            }
            QueryOutcome::Unknown(reason) => Some(Finding::unknown(&reason)),
        })
    }

    /// Queries the order because the answer to the prepay call was not conclusive.
    pub(super) async fn query_in_doubt(
        &self,
        order: &Order,
        doubt: ExistenceQuery,
        deadline: &Deadline,
        origin: &Origin,
    ) -> Result<Finding, IssueError> {
        let Some(within) = deadline.part(CALL_MIN, CALL_MAX) else {
            return Ok(Finding::unknown(NO_TIME));
        };
        let order_no = &order.order_no;
        let asked = if doubt.foreign {
            self.query_flow
                .query_used_elsewhere(order_no, within, origin)
                .await
        } else {
            self.query_flow.ask(order_no, within, origin).await
        };
        Ok(match (report_unreadable(order_no, asked)?, doubt.refusal) {
            (QueryOutcome::Settled(_), _) => Finding::Settled,
            // The order was refused and does not exist: that decides.
            (QueryOutcome::NotThere, Some(refusal)) => Finding::Refused(refusal),
            (QueryOutcome::NotThere, None) => {
                Finding::unknown("WeChat Pay does not show the order yet")
            }
            (QueryOutcome::Refused(refusal), _) => {
                Finding::PutOff(IssueFailure::RefusedAfterUnknown(refusal))
            }
            (QueryOutcome::Unknown(reason), _) => Finding::unknown(&reason),
        })
    }
}
