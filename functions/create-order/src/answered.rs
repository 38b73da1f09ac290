//! What the log and the metrics say of each answer: one line for each request that could be read.

use flows::{api_request::ApiRequest, issue_prepay::IssuedValue, problem::Problem};
use lambda_http::{
    http::{Response, StatusCode, request::Parts},
    request::RequestContext,
};
use payments::rules::create_order::CreateOrder;
use runtime::clock::Clock;
use tracing::info;
use wechatpay::RequestId;

use crate::app::App;

/// What answering takes beside WeChat Pay's share, at most: the objective counts an answer that
/// takes longer as none.
const OWN_SHARE_MS: i64 = 1_000;

/// When a request came.
pub(crate) struct Arrival {
    at_ms: i64,
}

impl Arrival {
    /// By the gateway's clock, which counts a cold start and a wait for a sandbox, too.
    pub(crate) fn of(parts: &Parts, clock: &Clock) -> Self {
        let at_ms = match parts.extensions.get::<RequestContext>() {
            Some(RequestContext::ApiGatewayV2(context)) => Some(context.time_epoch),
            Some(_) | None => None,
        };
        Self {
            at_ms: at_ms
                .filter(|at_ms| *at_ms > 0)
                .unwrap_or_else(|| clock.now_ms()),
        }
    }
}

/// What is known of a request by the time of its answer.
#[derive(Default)]
pub(crate) struct Progress {
    /// What it asks for, once that could be read.
    pub(crate) asked: Option<CreateOrder>,
    /// The prepay value that it got from WeChat Pay.
    pub(crate) issued: Option<IssuedValue>,
}

/// How a request for an order was answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    /// 201: with a prepay value.
    Created,
    /// 200: an earlier request made the order, and this shows it.
    Repeated,
    /// 202: the queue gets the prepay value.
    Queued,
    /// 422: WeChat Pay refuses the order for good.
    Rejected,
    /// 4xx: the caller must change something, or come later.
    Refused,
    /// 5xx: our side.
    Failed,
}

impl Answer {
    fn of(created: &Result<Response<String>, Problem>) -> Self {
        let (status, is_wechats) = match created {
            // The answer to a repeat says the first refusal once more.
            Ok(answer) => (answer.status(), true),
            Err(problem) => (problem.status, problem.is_wechats_refusal()),
        };
        match status {
            StatusCode::CREATED => Self::Created,
            StatusCode::ACCEPTED => Self::Queued,
            status if status.is_server_error() => Self::Failed,
            status if status.is_success() => Self::Repeated,
            _ if is_wechats => Self::Rejected,
            _ => Self::Refused,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Repeated => "repeated",
            Self::Queued => "queued",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// Whether the objective is met by such an answer, if it comes in time; `None` if the request
    /// is no event of the objective: whoever asked made a mistake, or asks too much at once.
    const fn is_right(self) -> Option<bool> {
        match self {
            Self::Created | Self::Repeated | Self::Queued | Self::Rejected => Some(true),
            Self::Failed => Some(false),
            Self::Refused => None,
        }
    }
}

/// Logs and counts the answer. What could not be read as a request for an order counts only if that
/// was our fault.
pub(crate) fn report(
    app: &App,
    request: &ApiRequest,
    arrival: &Arrival,
    progress: &Progress,
    created: &Result<Response<String>, Problem>,
) {
    let Progress { asked, issued } = progress;
    let (asked, issued) = (asked.as_ref(), issued.as_ref());
    let answer = Answer::of(created);
    let answer_ms = app.clock.now_ms().saturating_sub(arrival.at_ms).max(0);
    let budget_ms = i64::try_from(app.prepay_budget.as_millis()).unwrap_or(i64::MAX);
    let is_in_time = answer_ms <= budget_ms.saturating_add(OWN_SHARE_MS);
    let answered = answer
        .is_right()
        .map(|is_right| u32::from(is_right && is_in_time));
    if asked.is_none() && answered.is_none() {
        return;
    }
    info!(
        order_no = asked.map(|asked| asked.order_no.as_str()),
        product = asked.map(|asked| asked.terms.product.name()),
        // The problem document names it, and no other answer does.
        request_id = created.is_err().then_some(request.id.as_str()),
        trace_id = request.origin.trace.id(),
        answer = answer.name(),
        wechat_request_id = issued
            .and_then(|issued| issued.request_id.as_ref())
            .map(RequestId::as_str),
        PrepaysIssued = issued.map(|_| 1),
        PrepaysPutOff = issued.map(|_| 0),
        OrdersAnswered = answered,
        OrderAnswerMs = answer_ms,
        "order answered"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_by_what_the_caller_gets() {
        let answer = |status: u16| {
            let mut answer = Response::new(String::new());
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok(answer)
        };
        for (created, name, is_right) in [
            (answer(201), "created", Some(true)),
            (answer(200), "repeated", Some(true)),
            (answer(202), "queued", Some(true)),
            (answer(422), "rejected", Some(true)),
            (Err(Problem::key_reused()), "refused", None),
            (Err(Problem::in_progress(1)), "refused", None),
            (Err(Problem::too_many_requests(100, 1)), "refused", None),
            (
                Err(Problem::unavailable(&std::fmt::Error)),
                "failed",
                Some(false),
            ),
        ] {
            let answer = Answer::of(&created);
            assert_eq!((answer.name(), answer.is_right()), (name, is_right));
        }
    }
}
