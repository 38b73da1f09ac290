//! Querying a refund at WeChat Pay.

use std::time::Duration;

use payments::{
    model::ids::OutRefundNo,
    news::{
        call_outcome::{CallOutcome, is_transient_refusal},
        refund::RefundNews,
        unreadable::UnreadableNotice,
    },
    rules::overdue_refund::PendingAnswer,
};
use wechat_client::api::CallReply;
use wechatpay::{
    RequestId,
    api::{ErrorCode, QueryRefund},
};

use super::flow::{RefundError, RefundFlow};

/// The state of a refund at WeChat Pay, as far as a query showed it.
pub(super) enum RefundQueryOutcome {
    /// It gave the state.
    News(Box<RefundNews>),
    /// It has no such refund; the answer had this `Request-ID`.
    NotThere(Option<RequestId>),
    /// It has the refund, but its answer cannot be parsed.
    Unreadable(UnreadableNotice),
    /// Nothing to settle.
    Unsettled(PendingAnswer),
}

impl RefundFlow {
    /// Queries the state of a refund at WeChat Pay.
    pub(super) async fn ask(
        &self,
        out_refund_no: &OutRefundNo,
        within: Duration,
    ) -> Result<RefundQueryOutcome, RefundError> {
        let query = QueryRefund {
            out_refund_no: out_refund_no.as_str().to_owned(),
        };
        let CallReply { answer, request_id } = self.wechat.call_either(&query, within).await?;
        Ok(match answer {
            CallOutcome::Done(answer) => match RefundNews::try_from(answer) {
                Ok(news) => RefundQueryOutcome::News(Box::new(news.with_request_id(request_id))),
                Err(unreadable) => RefundQueryOutcome::Unreadable(unreadable),
            },
            CallOutcome::Unreadable(unreadable) => {
                RefundQueryOutcome::Unreadable(UnreadableNotice::Answer(unreadable))
            }
            CallOutcome::Refused(refusal) if refusal.code == ErrorCode::ResourceNotExists => {
                RefundQueryOutcome::NotThere(request_id)
            }
            CallOutcome::Refused(refusal) if !is_transient_refusal(&refusal) => {
                // An error page of a proxy has no code.
                let code = if refusal.raw_code.is_empty() {
                    format!("HTTP_{}", refusal.status)
                } else {
                    refusal.raw_code
                };
                RefundQueryOutcome::Unsettled(PendingAnswer::Refused(code))
            }
            CallOutcome::Refused(_) | CallOutcome::Unknown(_) => {
                RefundQueryOutcome::Unsettled(PendingAnswer::Unanswered)
            }
        })
    }
}
