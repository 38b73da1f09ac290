//! Orders, refunds and events as our API shows them.

use http::{HeaderName, Response, StatusCode, header, header::HeaderValue};
use payments::{
    model::{
        decision::DecidedBy,
        ids::OrderNo,
        journal::Event,
        order::{Order, OrderState},
        order_refusal::OrderRefusal,
        refund::{Refund, RefundState},
    },
    rules::webhook::{GoneRun, LastAnswer},
};
use serde_json::{Map, Value, json};
use wechatpay::{UnixSeconds, time::format_rfc3339_beijing};

use crate::{order_store::what_to_do, problem::Problem};

/// The order as JSON at the time `now`, with what its refunds owe its payer. Without refunds they
/// could not be read: the view says that it is not known what they owe.
pub fn order_and_refunds(of: &Order, refunds: Option<&[Refund]>, now: UnixSeconds) -> Value {
    let owed = match refunds {
        Some(refunds) if refunds.iter().any(Refund::owes_its_payer) => Some("payer_owed"),
        Some(_) => None,
        None => Some("payer_owed_unknown"),
    };
    let mut view = order(of, now);
    if let (Some(fields), Some(owed)) = (view.as_object_mut(), owed) {
        fields.insert(owed.to_owned(), json!(true));
    }
    view
}

/// The order as JSON at the time `now`: a prepay value is shown only while a payer can use it.
pub fn order(order: &Order, now: UnixSeconds) -> Value {
    let mut view = Map::new();
    let mut put = |name: &str, value: Value| view.insert(name.to_owned(), value);
    put("order_no", json!(order.order_no));
    put("state", json!(order.state.name()));
    put("product", json!(order.product));
    put("amount_fen", json!(order.amount));
    put("currency", json!("CNY"));
    put("appid", json!(order.appid));
    put(
        "created_at",
        json!(format_rfc3339_beijing(order.created_at)),
    );
    put(
        "expires_at",
        json!(format_rfc3339_beijing(order.expires_at)),
    );
    if let Some(prepay) = order.live_prepay(now) {
        let mut shown = json!(prepay.params);
        if let Some(fields) = shown.as_object_mut() {
            fields.insert(
                "expires_at".to_owned(),
                json!(format_rfc3339_beijing(prepay.expires_at)),
            );
        }
        put("prepay", shown);
    }
    if let OrderState::Rejected(why) = &order.state {
        put("rejection", rejection(&why.refusal()));
    }
    if let Some(payment) = order.state.payment() {
        put("transaction_id", json!(payment.transaction_id));
        put("paid_at", json!(format_rfc3339_beijing(payment.paid_at)));
    }
    for (name, fen) in [
        ("refund_committed_fen", order.refunds.committed_fen),
        ("refunded_fen", order.refunds.refunded_fen),
    ] {
        if fen > 0 {
            put(name, json!(fen));
        }
    }
    Value::Object(view)
}

/// Why an order is rejected, in the words of the 422 answer for it.
fn rejection(refusal: &OrderRefusal) -> Value {
    json!({
        "code": Problem::WECHATPAY_REFUSED,
        "detail": refusal.detail(),
        "wechatpay_code": refusal.code,
    })
}

/// A refund as JSON. `paused_until` is the time until which the merchant's refunds are paused, if
/// they are.
pub fn refund(refund: &Refund, paused_until: Option<UnixSeconds>) -> Value {
    let mut view = Map::new();
    let mut put = |name: &str, value: Value| view.insert(name.to_owned(), value);
    put("order_no", json!(refund.order_no));
    put("refund_no", json!(refund.refund_no));
    put("out_refund_no", json!(refund.out_refund_no));
    put("state", json!(refund.state.name()));
    put("amount_fen", json!(refund.amount));
    put("currency", json!("CNY"));
    put("transaction_id", json!(refund.transaction_id));
    if let Some(refund_id) = &refund.refund_id {
        put("refund_id", json!(refund_id));
    }
    if let Some(reason) = &refund.reason {
        put("reason", json!(reason));
    }
    put(
        "created_at",
        json!(format_rfc3339_beijing(refund.created_at)),
    );
    if let Some(at) = refund.next_try_at(paused_until) {
        put("next_try_at", json!(format_rfc3339_beijing(at)));
    }
    if let RefundState::Succeeded(at) = &refund.state {
        put("succeeded_at", json!(format_rfc3339_beijing(*at)));
    }
    if let Some(sent) = &refund.redirected {
        let mut view = decided(&sent.decided, sent.at);
        view.insert("to".to_owned(), json!(sent.to.name()));
        put("redirected", Value::Object(view));
    }
    if refund.owes_its_payer() {
        put("payer_owed", json!(true));
    }
    if let Some(paid) = &refund.payer_paid {
        put("payer_paid", Value::Object(decided(&paid.decided, paid.at)));
    }
    if let Some(DecidedBy { who, why }) = &refund.decided {
        put("released", json!({"who": who, "why": why}));
    }
    if let Some(trouble) = &refund.trouble {
        put("trouble", json!(trouble));
    }
    if let Some(at) = refund.overdue_since {
        put("overdue_since", json!(format_rfc3339_beijing(at)));
    }
    if let Some(what_to_do) = what_to_do(refund) {
        put("what_to_do", json!(what_to_do));
    }
    Value::Object(view)
}

/// Who decided, why and when.
fn decided(DecidedBy { who, why }: &DecidedBy, at: UnixSeconds) -> Map<String, Value> {
    Map::from_iter([
        ("who".to_owned(), json!(who)),
        ("why".to_owned(), json!(why)),
        ("at".to_owned(), json!(format_rfc3339_beijing(at))),
    ])
}

/// All refunds of an order as JSON.
pub fn refunds(order_no: &OrderNo, refunds: &[Refund], paused_until: Option<UnixSeconds>) -> Value {
    let refunds = refunds.iter().map(|shown| refund(shown, paused_until));
    let refunds: Vec<Value> = refunds.collect();
    json!({"order_no": order_no, "refunds": refunds})
}

/// The journal of an order as JSON, oldest first.
pub fn events(order_no: &OrderNo, journal: &[Event]) -> Value {
    let first = journal.first();
    let events = journal.iter().map(|event| shown(order_no, event, first));
    let events: Vec<Value> = events.collect();
    json!({"order_no": order_no, "events": events})
}

/// `first` is the journal's first event.
fn shown(order_no: &OrderNo, event: &Event, first: Option<&Event>) -> Value {
    let mut view = json!({
        "version": event.version,
        "subject": event.subject.kind(),
        "subject_id": event.subject.id(order_no),
        "to": event.to,
        "cause": {"kind": event.cause.kind(), "id": event.cause.id()},
        "at": format_rfc3339_beijing(event.at),
        "trace_id": event.trace,
        "span_id": event.span_id(order_no),
        "parent_span_id": event.parent_span_id(),
    });
    if let Some(fields) = view.as_object_mut() {
        let from = event.from.as_deref().map(|from| ("from", from));
        let request_id = event.request_id.as_ref();
        let request_id = request_id.map(|id| ("wechat_request_id", id.as_str()));
        for (name, value) in from.into_iter().chain(request_id) {
            fields.insert(name.to_owned(), json!(value));
        }
        if event.millisecond.is_some() {
            fields.insert("at_ms".to_owned(), json!(event.at_ms()));
        }
        if let Some(delivery) = &event.delivery {
            let delivery = json!({
                "queued_ms": delivery.queued_ms,
                "worked_ms": delivery.worked_ms,
                "received": delivery.received,
            });
            fields.insert("delivery".to_owned(), delivery);
        }
        // WeChat Pay carries no trace of ours: what it brings begins one, and is linked.
        let linked = first.filter(|first| first.trace != event.trace);
        if let Some(first) = linked {
            let link = json!({"trace_id": first.trace, "span_id": first.span_id(order_no)});
            fields.insert("links".to_owned(), json!([link]));
        }
        if let Some(refusal) = &event.refusal {
            fields.insert("rejection".to_owned(), rejection(refusal));
        }
        if let Some(at) = event.next_try_at {
            let at = format_rfc3339_beijing(at);
            fields.insert("next_try_at".to_owned(), json!(at));
        }
        let decision = event.decision.as_ref();
        fields.extend(decision.map(|decision| ("decision".to_owned(), json!(decision))));
    }
    view
}

/// The state of a client's webhook.
#[derive(Clone, Copy, Debug)]
pub struct WebhookStatus<'a> {
    /// The host that it goes to.
    pub host: Option<&'a str>,
    /// Why it is disabled, and since when; `None` while it is active.
    pub disabled: Option<(&'a str, UnixSeconds)>,
    /// Result of the last delivery.
    pub last_answer: Option<&'a LastAnswer>,
    /// Time of the oldest event that its receiver has not received.
    pub oldest_undelivered_at: Option<UnixSeconds>,
}

/// The webhook as JSON.
pub fn webhook(webhook: &WebhookStatus<'_>) -> Value {
    let time = |at| json!(format_rfc3339_beijing(at));
    let mut view = Map::new();
    let mut put = |name: &str, value: Value| view.insert(name.to_owned(), value);
    let is_active = webhook.disabled.is_none();
    put(
        "state",
        json!(if is_active { "active" } else { "disabled" }),
    );
    if let Some(host) = webhook.host {
        put("host", json!(host));
    }
    if let Some((why, since)) = webhook.disabled {
        put("disabled_since", time(since));
        put("why", json!(why));
    }
    if let Some(last) = webhook.last_answer {
        put(
            "last_answer",
            json!({"answer": last.answer, "at": time(last.at), "since": time(last.since)}),
        );
    }
    let gone = webhook.last_answer.and_then(|last| last.gone);
    if let Some(run) = gone.filter(|_| is_active) {
        put("gone_since", time(run.since));
        let ends_at = run.since.plus_s(GoneRun::LEAST_S).0;
        put("disabled_from", time(UnixSeconds(ends_at)));
    }
    if let Some(at) = webhook.oldest_undelivered_at {
        put("oldest_undelivered_at", time(at));
    }
    Value::Object(view)
}

/// 202: this many events are being sent again. `after` is the position of the next ones, and
/// `Retry-After` says when they may be requested; without `after` there are no more.
pub fn resent(count: usize, after: Option<&str>, retry_after_s: i64) -> Response<String> {
    let Some(after) = after else {
        return answer(StatusCode::ACCEPTED, &json!({"resent": count}));
    };
    let mut answer = answer(
        StatusCode::ACCEPTED,
        &json!({"resent": count, "after": after}),
    );
    answer
        .headers_mut()
        .insert(header::RETRY_AFTER, retry_after_s.into());
    answer
}

/// An answer with a JSON body.
pub fn answer(status: StatusCode, body: &Value) -> Response<String> {
    let mut answer = Response::new(body.to_string());
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    // Prepay values and payment data are for this caller only.
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// 202: the order's state, and where to poll for its result.
pub fn accepted(order_no: &str, state: &str, retry_after_s: i64) -> Response<String> {
    poll_later(
        &json!({"order_no": order_no, "state": state}),
        &format!("/v1/orders/{order_no}"),
        retry_after_s,
    )
}

/// 202: the refund's state, and where to poll for its result: `poll_after_s` from `now`, or after
/// the attempt.
pub fn refund_accepted(
    of: &Refund,
    paused_until: Option<UnixSeconds>,
    now: UnixSeconds,
    poll_after_s: i64,
) -> Response<String> {
    let location = format!("/v1/orders/{}/refunds/{}", of.order_no, of.refund_no);
    let waits_s = of
        .next_try_at(paused_until)
        .map_or(0, |at| at.since(now).max(0));
    poll_later(
        &refund(of, paused_until),
        &location,
        waits_s.saturating_add(poll_after_s),
    )
}

/// 202: the event is being sent again.
pub fn event_accepted(order_no: &OrderNo, version: u64) -> Response<String> {
    answer(
        StatusCode::ACCEPTED,
        &json!({"order_no": order_no, "version": version}),
    )
}

fn poll_later(body: &Value, location: &str, retry_after_s: i64) -> Response<String> {
    let mut answer = answer(StatusCode::ACCEPTED, body);
    let location = HeaderValue::from_str(location);
    answer
        .headers_mut()
        .extend(location.ok().map(|location| (header::LOCATION, location)));
    answer
        .headers_mut()
        .insert(header::RETRY_AFTER, retry_after_s.into());
    answer
}

/// Marks an answer as a repeat of an earlier one.
pub fn replayed(mut answer: Response<String>) -> Response<String> {
    answer.headers_mut().insert(
        HeaderName::from_static("idempotent-replayed"),
        HeaderValue::from_static("true"),
    );
    answer
}
