//! Raw bytes and headers -> verified and opened -> in the queue -> acknowledged.

use flows::{
    open_callback::{OpenCallbackError, open_callback},
    problem::ErrorChain,
    request_span::{end_request_span, request_span},
    trace::Trace,
};
use http::{HeaderValue, Response, StatusCode, header};
use runtime::{spans::Span, telemetry::emf::end_of_run};
use serde_json::json;
use stores::queues::{PaymentResult, QueueError};
use tracing::{error, info, warn};
use wechatpay::{
    RequestId,
    callback::{self, Callback, CallbackError},
    verify::{SignedHeaders, VerifyError},
};

use crate::{
    app::App,
    event::{GatewayRequest, Headers, NotBase64},
};

/// This function's route.
const ROUTE: &str = "/v1/callbacks/wechatpay";

/// The largest callback that is accepted, in bytes. Real ones have about two thousand.
pub const BODY_MAX: usize = 64 * 1024;

/// Within this time of its request WeChat Pay expects the answer
/// (shared/wechatpay/PROTOCOL.md, 7.3).
const ACK_WITHIN_MS: i64 = 5_000;

/// Why a callback is not acknowledged. WeChat Pay then sends it again, up to 15 times in a day.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// Larger than any real callback.
    #[error("the body has {length} bytes, the limit is {BODY_MAX}")]
    TooLarge { length: usize },
    /// Not from WeChat Pay, or it does not open.
    #[error(transparent)]
    Open(#[from] OpenCallbackError),
    /// None of WeChat Pay's keys here verifies it, but our APIv3 key opens it: most likely it is
    /// from WeChat Pay.
    #[error("our APIv3 key opens it, but no key here verifies it")]
    NotVerified(#[source] VerifyError),
    /// The gateway's encoding of the body cannot be decoded.
    #[error(transparent)]
    NotBase64(#[from] NotBase64),
    /// The body verified but is not text, so it cannot be JSON.
    #[error("the body is not UTF-8")]
    NotText,
    /// The queue did not confirm it.
    #[error("the callback is not in the queue")]
    Queue(#[from] QueueError),
}

/// Answers one callback.
pub async fn receive(app: &App, event: GatewayRequest) -> Response<String> {
    let trace = Trace::new(&app.random);
    let span = request_span("POST", Some(ROUTE), &trace, app.clock.now_ms());
    let answer = span.around(answer(app, event, &trace, &span)).await;
    end_request_span(span, answer.status(), app.clock.now_ms());
    end_of_run();
    answer
}

async fn answer(app: &App, event: GatewayRequest, trace: &Trace, span: &Span) -> Response<String> {
    // The gateway's time counts a cold start and a wait for a sandbox, too.
    let received_at_ms = event.request_context.received_at_ms;
    let received_at_ms = received_at_ms.unwrap_or_else(|| app.clock.now_ms());
    let length = event.body.as_deref().map_or(0, str::len);
    let (headers, body) = match event.into_parts() {
        Ok(parts) => parts,
        Err(refusal) => return refuse(&refusal.into(), length),
    };
    let length = body.len();
    let request_id = headers.get(RequestId::HEADER).and_then(RequestId::read);
    let wechat_request_id = request_id.as_ref().map(RequestId::as_str);
    match accept(app, &headers, body, request_id.as_ref(), trace, span).await {
        Ok(accepted) => {
            let ack_ms = app.clock.now_ms().saturating_sub(received_at_ms).max(0);
            let is_good = u32::from(ack_ms < ACK_WITHIN_MS);
            match accepted {
                Accepted::Opened(callback) => info!(
                    notice_id = callback.id,
                    event_type = callback.event_type,
                    trace_id = trace.id(),
                    wechat_request_id,
                    CallbacksAccepted = 1,
                    CallbacksGood = is_good,
                    CallbackAckMs = ack_ms,
                    "callback queued"
                ),
                Accepted::Unreadable(unreadable) => warn!(
                    cause = unreadable.name(),
                    error = %unreadable,
                    trace_id = trace.id(),
                    wechat_request_id,
                    length,
                    CallbacksAccepted = 1,
                    CallbacksGood = is_good,
                    CallbackAckMs = ack_ms,
                    "callback queued for a person: WeChat Pay signed it, and it cannot be read"
                ),
            }
            let mut answer = Response::new(String::new());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer
        }
        Err(refusal) => refuse(&refusal, length),
    }
}

/// A callback from WeChat Pay that is in the queue.
enum Accepted {
    Opened(Box<Callback>),
    /// It did not open, and a repeat would not change that: `process-payment` parks it for an
    /// operator.
    Unreadable(CallbackError),
}

async fn accept(
    app: &App,
    headers: &Headers,
    body: Vec<u8>,
    request_id: Option<&RequestId>,
    trace: &Trace,
    span: &Span,
) -> Result<Accepted, ReceiveError> {
    if body.len() > BODY_MAX {
        return Err(ReceiveError::TooLarge { length: body.len() });
    }
    let signed = SignedHeaders::read(|name| headers.get(name))
        .map_err(|error| OpenCallbackError::Callback(CallbackError::Verify(error)))?;
    let accepted = match open_callback(&app.keys, &signed, &body, app.clock.now()).await {
        Ok(callback) => Accepted::Opened(Box::new(callback)),
        Err(OpenCallbackError::Callback(unreadable)) if unreadable.is_unreadable() => {
            Accepted::Unreadable(unreadable)
        }
        Err(OpenCallbackError::Callback(CallbackError::Verify(refusal)))
            if refusal.is_about_our_keys() && is_sealed_by_our_key(app, &body).await? =>
        {
            return Err(ReceiveError::NotVerified(refusal));
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let body = String::from_utf8(body).map_err(|_| ReceiveError::NotText)?;
    let message = PaymentResult::CallbackV1 {
        headers: signed,
        body,
        request_id: request_id.map(|id| id.as_str().to_owned()),
    };
    // The journal names the notice, so the message's parent can be found from the order.
    let trace = match &accepted {
        Accepted::Opened(callback) => trace.of_callback(&callback.id),
        Accepted::Unreadable(_) => trace.clone(),
    };
    span.identify(trace.context());
    app.payment_results
        .send_result(&message, trace.headers())
        .await?;
    Ok(accepted)
}

/// Anyone can send a callback with a made-up signature, but not one that our APIv3 key decrypts.
async fn is_sealed_by_our_key(app: &App, body: &[u8]) -> Result<bool, OpenCallbackError> {
    let merchant = app.keys.merchant().await?;
    Ok(callback::is_sealed_by(merchant.apiv3().await?, body))
}

/// The only place where a refusal becomes an HTTP status. Nothing of the callback is echoed.
fn status_of(refusal: &ReceiveError) -> StatusCode {
    match refusal {
        ReceiveError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        ReceiveError::NotBase64(_) | ReceiveError::NotText => StatusCode::BAD_REQUEST,
        ReceiveError::NotVerified(_) => StatusCode::UNAUTHORIZED,
        ReceiveError::Open(OpenCallbackError::Callback(refusal)) => match refusal {
            CallbackError::Verify(
                VerifyError::MissingHeader { .. } | VerifyError::BadTimestamp,
            ) => StatusCode::BAD_REQUEST,
            CallbackError::Verify(_) => StatusCode::UNAUTHORIZED,
            // Verified, so it is from WeChat Pay. If no key of ours decrypts it, that is our fault
            // to fix. Unreadable content is queued and never reaches this point.
            CallbackError::Envelope { .. }
            | CallbackError::Open(_)
            | CallbackError::Plaintext { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        },
        ReceiveError::Open(OpenCallbackError::Keys(_)) | ReceiveError::Queue(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

/// A stable name for the log and for metrics.
fn name_of(refusal: &ReceiveError) -> &'static str {
    match refusal {
        ReceiveError::TooLarge { .. } => "too_large",
        ReceiveError::NotBase64(_) => "not_base64",
        ReceiveError::NotText => "not_text",
        ReceiveError::NotVerified(refusal) => refusal.name(),
        ReceiveError::Open(OpenCallbackError::Callback(refusal)) => refusal.name(),
        ReceiveError::Open(OpenCallbackError::Keys(_)) => "keys_unavailable",
        ReceiveError::Queue(_) => "queue_unavailable",
    }
}

/// Whether a refused callback counts against the objective: WeChat Pay sent it, or may have sent
/// it, and it is our side that does not take it. Anybody can post anything to the address, so what
/// is not proved to be WeChat Pay's says nothing about us, and neither does a probe.
fn counts_as_missed(refusal: &ReceiveError) -> bool {
    match refusal {
        // WeChat Pay's, by its signature or by our APIv3 key.
        ReceiveError::NotVerified(_) | ReceiveError::NotText => true,
        // It was not looked at closely enough to know, and the cause is on our side.
        ReceiveError::Open(OpenCallbackError::Keys(_)) | ReceiveError::Queue(_) => true,
        ReceiveError::Open(OpenCallbackError::Callback(refusal)) => match refusal {
            // It verified, and does not open.
            CallbackError::Envelope { .. }
            | CallbackError::Open(_)
            | CallbackError::Plaintext { .. } => true,
            CallbackError::Verify(
                VerifyError::MissingHeader { .. }
                | VerifyError::BadTimestamp
                | VerifyError::Stale { .. }
                | VerifyError::FromTheFuture { .. }
                | VerifyError::UnsupportedType { .. }
                | VerifyError::UnknownSerial { .. }
                | VerifyError::Probe { .. }
                | VerifyError::NotBase64 { .. }
                | VerifyError::WrongSignature { .. },
            ) => false,
        },
        ReceiveError::TooLarge { .. } | ReceiveError::NotBase64(_) => false,
    }
}

fn is_probe(refusal: &ReceiveError) -> bool {
    matches!(
        refusal,
        ReceiveError::Open(OpenCallbackError::Callback(CallbackError::Verify(
            VerifyError::Probe { .. }
        )))
    )
}

fn refuse(refusal: &ReceiveError, length: usize) -> Response<String> {
    let (status, cause) = (status_of(refusal), name_of(refusal));
    let error = ErrorChain(refusal);
    let missed = counts_as_missed(refusal).then_some(0);
    match refusal {
        _ if status.is_server_error() => error!(
            cause,
            %error,
            length,
            CallbacksRefused = 1,
            CallbacksGood = missed,
            "callback not acknowledged"
        ),
        ReceiveError::NotVerified(_) => error!(
            cause,
            %error,
            length,
            what_to_do = "find out which of WeChat Pay's keys is missing or wrong here (infra/runbooks/keys.md): our APIv3 key decrypts this callback, so it is WeChat Pay's",
            CallbacksRefused = 1,
            CallbacksUnverified = 1,
            CallbacksGood = missed,
            "callback refused: none of WeChat Pay's keys here verifies it"
        ),
        _ if is_probe(refusal) => {
            warn!(cause, %error, length, CallbackProbes = 1, "callback refused");
        }
        ReceiveError::TooLarge { .. }
        | ReceiveError::Open(_)
        | ReceiveError::NotBase64(_)
        | ReceiveError::NotText
        | ReceiveError::Queue(_) => warn!(
            cause,
            %error,
            length,
            CallbacksRefused = 1,
            CallbacksGood = missed,
            "callback refused"
        ),
    }
    let mut answer = Response::new(json!({"code": "FAIL", "message": cause}).to_string());
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    answer
}
