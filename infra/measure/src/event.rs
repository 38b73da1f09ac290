//! Events as Lambda hands them out: API Gateway's payload 2.0, SQS batches, and the schedule's own.

use message_signatures::{Params, Profile, Request, SigningKey, sign};
use serde_json::{Map, Value, json};

use crate::clock::{now, now_ms};
use crate::deployment::{
    AUTHORITY, CLIENT_KEYID, CLIENT_SECRET, RESULTS_QUEUE_ARN, WEBHOOKS_QUEUE_ARN,
};
use crate::failure::{ErrorContext, MeasureResult};
use crate::wechat::{AMOUNT_FEN, CannedCallback, random_hex};

/// `POST /v1/orders` for a native order, signed now.
pub(crate) fn create(order_no: &str) -> MeasureResult<String> {
    let body = json!({
        "order_no": order_no,
        "product": "native",
        "amount_fen": AMOUNT_FEN,
        "description": "Image形象店-深圳腾大-QQ公仔",
        "attach": "shop 17, counter 3",
    });
    signed("POST", "/v1/orders", &body.to_string())
}

/// `GET /v1/orders/{order_no}`, signed now.
pub(crate) fn read(order_no: &str) -> MeasureResult<String> {
    signed("GET", &format!("/v1/orders/{order_no}"), "")
}

/// WeChat Pay's callback.
pub(crate) fn callback(notice: &CannedCallback) -> String {
    let signed = &notice.headers;
    let mut headers = Map::new();
    for (name, value) in [
        ("wechatpay-timestamp", &signed.timestamp),
        ("wechatpay-nonce", &signed.nonce),
        ("wechatpay-serial", &signed.serial),
        ("wechatpay-signature", &signed.signature),
    ] {
        headers.insert(name.to_owned(), json!(value));
    }
    headers.insert(
        "wechatpay-signature-type".to_owned(),
        json!(signed.signature_type),
    );
    headers.insert("user-agent".to_owned(), json!("Mozilla/4.0"));
    http_event("POST", "/v1/callbacks/wechatpay", headers, &notice.body)
}

/// The same callback as SQS brings it to `process-payment`.
pub(crate) fn queued_callback(notice: &CannedCallback) -> String {
    let message = json!({"v": "callback.v1", "headers": notice.headers, "body": notice.body});
    batch(&message, RESULTS_QUEUE_ARN)
}

/// An event of an order as SQS brings it to `send-webhook`.
pub(crate) fn queued_event(order_no: &str) -> String {
    let event = json!({"detail-type": "order.changed", "source": "wechatpay-on-lambda", "detail": {
        "order_no": order_no, "client_id": "measure", "version": "3", "subject": "order", "subject_id": order_no,
        "from": "awaiting_payment", "to": "paid", "amount_fen": "100", "cause_kind": "notice", "cause_id": "EV-1",
        "at": "1785556800", "trace": "0af7651916cd43dd8448eb211c80319c",
    }});
    batch(&event, WEBHOOKS_QUEUE_ARN)
}

fn batch(message: &Value, queue_arn: &str) -> String {
    let sent_ms = now_ms().to_string();
    let batch = json!({"Records": [{
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": message.to_string(),
        "attributes": {
            "ApproximateReceiveCount": "1", "SentTimestamp": sent_ms, "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": sent_ms,
        },
        "messageAttributes": {"traceparent": {
            "stringValue": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "dataType": "String",
            "stringListValues": [], "binaryListValues": [],
        }},
        "md5OfBody": "098f6bcd4621d373cade4e832627b4f6",
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": "us-east-1",
    }]});
    batch.to_string()
}

/// What the schedule sends to `reconcile` once a minute.
pub(crate) fn sweep() -> String {
    json!({"task": "sweep"}).to_string()
}

/// A request for a reconciled day.
pub(crate) fn day() -> String {
    http_event("GET", "/v1/reconciliations/2026-08-01", Map::new(), "")
}

fn signed(method: &str, path: &str, body: &str) -> MeasureResult<String> {
    let request = Request {
        method,
        scheme: "https",
        authority: AUTHORITY,
        path,
        query: None,
        headers: &[],
        body: body.as_bytes(),
    };
    let nonce = random_hex::<16>()?;
    let params = Params {
        keyid: CLIENT_KEYID,
        created_s: now().0,
        expires_s: None,
        nonce: Some(&nonce),
    };
    let key = SigningKey::from_secret(CLIENT_SECRET).during("reading the client's secret")?;
    let fields =
        sign(&request, &params, &key, &Profile::MERCHANT_API).during("signing an API request")?;
    let mut headers = Map::new();
    for (name, value) in fields.iter() {
        headers.insert(name.to_ascii_lowercase(), json!(value));
    }
    Ok(http_event(method, path, headers, body))
}

/// An event of API Gateway's HTTP API, payload 2.0, with the usual headers.
fn http_event(method: &str, path: &str, mut headers: Map<String, Value>, body: &str) -> String {
    for (name, value) in [
        ("accept", "*/*"),
        ("content-type", "application/json"),
        ("host", AUTHORITY),
        (
            "x-amzn-trace-id",
            "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
        ),
        ("x-forwarded-for", "101.226.103.0"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-proto", "https"),
    ] {
        headers.insert(name.to_owned(), json!(value));
    }
    headers.insert("content-length".to_owned(), json!(body.len().to_string()));
    let now_ms = now_ms();
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "r3pmxmplak",
            "domainName": AUTHORITY,
            "domainPrefix": "api",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "101.226.103.0", "userAgent": "Mozilla/4.0"},
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "23/Nov/2026:12:00:00 +0000",
            "timeEpoch": now_ms,
        },
        "isBase64Encoded": false,
    });
    if let (false, Some(fields)) = (body.is_empty(), event.as_object_mut()) {
        fields.insert("body".to_owned(), json!(body));
    }
    event.to_string()
}
