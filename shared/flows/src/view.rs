//! An order as our API shows it.

use http::{HeaderName, Response, StatusCode, header, header::HeaderValue};
use payments::order::Order;
use serde_json::{Map, Value, json};
use wechatpay::{UnixSeconds, time::format_rfc3339_beijing};

/// The order as JSON, as it stands at `now`: a prepay value is shown only while a payer can use it.
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
    if let Some(payment) = order.state.payment() {
        put("transaction_id", json!(payment.transaction_id));
        put("paid_at", json!(format_rfc3339_beijing(payment.paid_at)));
    }
    Value::Object(view)
}

/// An answer with a JSON body.
pub fn answer(status: StatusCode, body: &Value) -> Response<String> {
    let mut answer = Response::new(body.to_string());
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    // Prepay values and payment data are for the one who asked.
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// 202: how the order stands, and where to look for what becomes of it.
pub fn accepted(order_no: &str, state: &str, retry_after_s: i64) -> Response<String> {
    let mut answer = answer(
        StatusCode::ACCEPTED,
        &json!({"order_no": order_no, "state": state}),
    );
    let location = HeaderValue::from_str(&format!("/v1/orders/{order_no}"));
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
