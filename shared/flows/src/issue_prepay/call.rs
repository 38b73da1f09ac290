//! The prepay call.

use payments::{
    model::order::Order,
    rules::issue_order::{self, IssueStep},
};
use runtime::clock::Deadline;
use wechat_client::api::{BETWEEN_HOSTS, CALL_MAX, CALL_MIN, CallReply, NotSent};
use wechatpay::api::PrepayCall;

use super::{
    flow::IssueFlow,
    outcome::{Finding, IssueError},
    query::ExistenceQuery,
};

/// The outcome of the prepay call.
pub(super) enum PrepayAnswer {
    Found(Finding),
    /// Only a query shows whether WeChat Pay has the order.
    InDoubt(ExistenceQuery),
}

impl IssueFlow {
    /// Sends the prepay call to one host, then to the other if the first gives no answer that
    /// counts. `clean` says that no earlier result is unknown.
    pub(super) async fn call(
        &self,
        order: &Order,
        body: Vec<u8>,
        mut clean: bool,
        deadline: &Deadline,
    ) -> Result<PrepayAnswer, IssueError> {
        let call = PrepayCall::stored(order.product.at_wechat(), body);
        let mut hosts = self.wechat.hosts().into_iter();
        let mut last_cause = "there was no time left to ask".to_owned();
        while let Some(host) = hosts.next() {
            let Some(share) = deadline.part(CALL_MIN, CALL_MAX) else {
                break;
            };
            let CallReply { answer, request_id } = match self.wechat.call(&call, host, share).await
            {
                Err(NotSent::TooLate) => break,
                Err(busy @ NotSent::Busy) => {
                    last_cause = busy.to_string();
                    break;
                }
                answer => answer?,
            };
            let tries_left = u32::try_from(hosts.len()).unwrap_or_default();
            let foreign = clean || issue_order::is_number_used_elsewhere(&answer, order);
            match issue_order::after_prepay_answer(answer, tries_left, clean) {
                IssueStep::Store(value) => {
                    return Ok(PrepayAnswer::Found(Finding::Value { value, request_id }));
                }
                IssueStep::Repeat => {
                    clean = false;
                    "the first host gave no answer that counts".clone_into(&mut last_cause);
                    self.clock.sleep(BETWEEN_HOSTS.pause(1, &self.random)).await;
                }
                IssueStep::Query(refusal) => {
                    return Ok(PrepayAnswer::InDoubt(ExistenceQuery {
                        foreign,
                        refusal: refusal.filter(|_| clean),
                    }));
                }
                IssueStep::Reject(refusal) => {
                    return Ok(PrepayAnswer::Found(Finding::Refused(refusal)));
                }
                IssueStep::GiveUp(reason) => {
                    return Ok(PrepayAnswer::Found(Finding::PutOff(reason)));
                }
            }
        }
        Ok(PrepayAnswer::Found(Finding::unknown(&last_cause)))
    }
}
