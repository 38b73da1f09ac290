//! The one place that turns an error into an HTTP answer: `application/problem+json` (RFC 9457).
//!
//! Texts for callers. The log prints the error's own chain. A caller learns what to do next and
//! never sees internals.

mod permissions;
mod reconciliation;
mod unavailable;

use std::error::Error;

use http::{Response, StatusCode, header};
use payments::{
    model::{ids::BadNumber, order_refusal::OrderRefusal},
    rules::{request::BadRequest, reserve_refund::RefundRejected},
};
use serde_json::json;
use tracing::{error, info};
use wechatpay::api::Refusal;

use crate::auth_error::AuthError;

/// An error answer of the merchant API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    pub status: StatusCode,
    /// A stable name that programs may rely on.
    pub code: &'static str,
    /// The kind of problem, in words.
    pub title: &'static str,
    /// This occurrence of the problem, and what to do.
    pub detail: String,
    /// Seconds after which a retry makes sense.
    pub retry_after_s: Option<i64>,
    /// The `WWW-Authenticate` header of a 401: what the caller must send.
    pub bring: &'static str,
}

impl Problem {
    /// Where the problem types are described.
    const TYPES: &str = "https://errors.wechatpay-on-lambda.dev/";

    fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            title,
            detail: detail.into(),
            retry_after_s: None,
            bring: "Signature",
        }
    }

    fn retry_after(self, seconds: i64) -> Self {
        Self {
            retry_after_s: Some(seconds.max(1)),
            ..self
        }
    }

    /// A failure on our side that a retry may solve. The cause is only logged.
    pub fn unavailable(cause: &(dyn Error + 'static)) -> Self {
        error!(error = %ErrorChain(cause), "request failed on our side");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "Temporarily unavailable",
            "Something behind this API did not answer. Send the same request again, newly signed, with the same order number or Idempotency-Key.",
        )
        .retry_after(1)
    }

    /// The number belongs to another client. Nothing about that order is revealed.
    pub fn order_no_taken() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "order_no_taken",
            "Order number taken",
            "This order number is in use. Choose another one.",
        )
    }

    /// The number or key was used before, for something else.
    pub fn key_reused() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "Used before with another body",
            "An order with this number or Idempotency-Key exists on other terms. Repeat the first request unchanged, or choose a new number.",
        )
    }

    /// The same request is still being processed.
    pub fn in_progress(retry_after_s: i64) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "in_progress",
            "In progress",
            "The same order is being created right now. Ask again after Retry-After.",
        )
        .retry_after(retry_after_s)
    }

    /// No such order that this client may see.
    pub fn order_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "order_not_found",
            "Order not found",
            "This client has no order of that number.",
        )
    }

    /// The same payer is submitting another order at this moment.
    pub fn submitted_just_now(retry_after_s: i64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "submitted_just_now",
            "Submitted just now",
            "Another order of the same payer is being submitted at this moment. Nothing was made of this one: ask again after Retry-After, if it is still wanted then.",
        )
        .retry_after(retry_after_s)
    }

    /// The key sends more requests than it may.
    pub fn too_many_requests(requests_per_s: u32, retry_after_s: i64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "Too many requests",
            format!(
                "This key has sent more than the {requests_per_s} requests a second that it may, so nothing was done. Send the same request again after Retry-After, newly signed, with the same number or Idempotency-Key. Ask less often: events tell of every change."
            ),
        )
        .retry_after(retry_after_s)
    }

    /// The order is paid, so it cannot be closed.
    pub fn order_paid() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "order_paid",
            "Order paid",
            "The order is paid, so it cannot be closed. Give the money back with POST .../refunds instead.",
        )
    }

    /// No such refund that this client may see.
    pub fn refund_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "refund_not_found",
            "Refund not found",
            "This client has no refund of that number under that order.",
        )
    }

    /// No such event that this client may see.
    pub fn event_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "event_not_found",
            "Event not found",
            "The order has no event of that version. GET .../events lists them.",
        )
    }

    /// The client has no webhook.
    pub fn webhook_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "webhook_not_found",
            "No webhook",
            "This client has no webhook. The people who run this deployment set one up.",
        )
    }

    /// Events cannot be sent again to a webhook that is disabled.
    pub fn webhook_disabled() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "webhook_disabled",
            "Webhook disabled",
            "The webhook is disabled, and the events are kept. Have it set up again, then ask once more. GET /v1/webhook shows why it is disabled.",
        )
    }

    /// The client's last undelivered events were just sent again.
    pub fn resent_just_now(retry_after_s: i64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "resent_just_now",
            "Sent again just now",
            "Events of this client were sent again a moment ago. None are sent by this request: ask again after Retry-After.",
        )
        .retry_after(retry_after_s)
    }

    /// The refund's number or key was used before, for something else.
    pub fn refund_reused() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "Used before with another body",
            "A refund with this number or Idempotency-Key exists on other terms. Repeat the first request unchanged, or choose a new number.",
        )
    }

    /// A decision that the refund's state does not allow.
    pub fn refund_state(needs: &'static str, is: &'static str) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "refund_state",
            "Refund in another state",
            format!("This can be done while the refund is `{needs}`; it is `{is}`."),
        )
    }

    /// The money of an abnormal refund is already being paid out.
    pub fn refund_under_way() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "refund_state",
            "Refund under way",
            "WeChat Pay already got the destination of the money and is paying it out. Read the refund again later.",
        )
    }

    /// Nothing is owed to the payer of this refund, or a payment was already recorded.
    pub fn payer_not_owed() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "refund_state",
            "Nothing is owed",
            "This can be said of a refund whose money has come to the merchant's own account, once. GET .../refunds/{refund_no} shows `payer_owed` as long as that is so, and who has said what in `payer_paid`.",
        )
    }

    /// A decision about a refund that needs two persons, in the console.
    pub fn refund_needs_two_persons() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "refund_needs_two_persons",
            "Decided in the console",
            "This refund gives back a payment that came on top of the one that the order is paid by. What becomes of it is decided by the merchant's finance staff in this deployment's reconciliation console (not on WeChat Pay's merchant platform), on the page of the day on which that payment was made: no caller of this API decides it alone.",
        )
    }

    /// WeChat Pay refused a request about a refund.
    pub fn wechatpay_refused_refund(refusal: &Refusal) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "wechatpay_refused",
            "Refused by WeChat Pay",
            format!(
                "WeChat Pay refused with {}: {}. Correct the cause and ask again.",
                refusal.raw_code, refusal.message
            ),
        )
    }

    /// WeChat Pay gave no authentic answer, so the result is unknown.
    pub fn wechatpay_silent() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "wechatpay_silent",
            "No answer from WeChat Pay",
            "WeChat Pay gave no answer that can be trusted. Read the refund after Retry-After before you repeat the request.",
        )
        .retry_after(60)
    }

    /// The problem type of a refusal by WeChat Pay.
    pub(crate) const WECHATPAY_REFUSED: &str = "wechatpay_refused";

    /// WeChat Pay refused the order, now or earlier.
    pub fn wechatpay_refused(reason: &OrderRefusal) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            Self::WECHATPAY_REFUSED,
            "Refused by WeChat Pay",
            reason.detail(),
        )
    }

    /// Whether WeChat Pay refuses the order, and not we.
    pub fn is_wechats_refusal(&self) -> bool {
        self.code == Self::WECHATPAY_REFUSED
    }

    /// The body is larger than the route allows.
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "Body too large",
            format!("The body may have {limit} bytes."),
        )
    }

    /// The body is not declared as JSON.
    pub fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "Not JSON",
            "Send the body with Content-Type: application/json.",
        )
    }

    /// No route of this API.
    pub fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no_route",
            "No such route",
            "See the API contract for the routes and methods there are.",
        )
    }

    /// The HTTP answer. `request_id` is the one in our log.
    pub fn answer(&self, request_id: &str) -> Response<String> {
        info!(
            request_id,
            status = self.status.as_u16(),
            code = self.code,
            "answered with a problem"
        );
        let body = json!({
            "type": format!("{}{}", Self::TYPES, self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "instance": format!("urn:request:{request_id}"),
        });
        let mut answer = Response::new(body.to_string());
        *answer.status_mut() = self.status;
        answer.headers_mut().insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after_s {
            answer
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                header::HeaderValue::from_static(self.bring),
            );
        }
        answer
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Refused(refusal) => Self::new(
                StatusCode::UNAUTHORIZED,
                refusal.name(),
                "Not authenticated",
                refusal.to_string(),
            ),
            AuthError::Keys(_) | AuthError::Guards(_) => Self::unavailable(&error),
        }
    }
}

impl From<BadRequest> for Problem {
    fn from(bad: BadRequest) -> Self {
        let detail = bad.to_string();
        match bad {
            BadRequest::Json(_) | BadRequest::NoBody => Self::new(
                StatusCode::BAD_REQUEST,
                "malformed",
                "Malformed body",
                detail,
            ),
            BadRequest::Field { .. } | BadRequest::Query(_) => Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "Invalid request",
                detail,
            ),
            BadRequest::NoNumber { .. } => Self::new(
                StatusCode::BAD_REQUEST,
                "missing_idempotency_key",
                "No number to repeat by",
                detail,
            ),
            BadRequest::Key(_) => Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_idempotency_key",
                "Invalid Idempotency-Key",
                detail,
            ),
        }
    }
}

impl From<RefundRejected> for Problem {
    fn from(refused: RefundRejected) -> Self {
        let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
        match refused {
            RefundRejected::NotPaid => Self::new(
                StatusCode::CONFLICT,
                "order_not_paid",
                "Order not paid",
                "The order has no payment that could be given back. POST .../close ends an unpaid order.",
            ),
            RefundRejected::Exceeds { left_fen } => Self::new(
                unprocessable,
                "refund_exceeds_payment",
                "More than is left",
                format!("Of the payment {left_fen} fen are left to be given back."),
            ),
            RefundRejected::TooMany => Self::new(
                unprocessable,
                "refund_limit_reached",
                "Too many refunds",
                "WeChat Pay takes 50 refunds for an order, and the order had them. Pay the rest back by other means.",
            ),
            RefundRejected::TooLate => Self::new(
                unprocessable,
                "refund_too_late",
                "Too late",
                "WeChat Pay takes refunds for 365 days after the payment. Pay it back by other means.",
            ),
            RefundRejected::NeedsTwoPersons => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "refund_needs_two_persons",
                "Two persons give this payment back",
                "This payment came on top of the one that the order is paid by, and two different persons of the merchant's finance staff approve that such money goes back: in this deployment's reconciliation console (not on WeChat Pay's merchant platform), on the page of the day on which it was paid.",
            ),
            RefundRejected::NoSuchPayment => Self::new(
                unprocessable,
                "no_such_payment",
                "No such payment",
                "The order has no parked payment of that transaction_id which could be given back. Leave it out to give back the order's own payment.",
            ),
            RefundRejected::Released => Self::new(
                unprocessable,
                "refund_released",
                "Given back another way",
                "A person released a refund of this money, since its payer is paid another way: it is not given back twice. GET .../refunds shows which one. If the payer was not paid, refund it in WeChat Pay's console.",
            ),
        }
    }
}

impl From<BadNumber> for Problem {
    fn from(_: BadNumber) -> Self {
        Self::order_not_found() // a path that cannot be an order number names none
    }
}

/// An error with its whole chain of causes, on one line of the log. A cause whose words the text
/// before ends with is not said again.
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl std::fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            source = cause.source();
        }
        Ok(())
    }
}
