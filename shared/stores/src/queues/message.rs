//! The messages in the queues.

use payments::{
    model::{
        bill_date::BillDate,
        ids::{OrderNo, RefundNo},
    },
    rules::webhook::OutgoingEvent,
};
use serde::{Deserialize, Serialize};
use strict_json::{Null, Object, Wrong};
use wechatpay::verify::SignedHeaders;

/// A message in `payment-requests`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "v")]
pub enum PaymentRequest {
    /// Get a prepay value for this order.
    #[serde(rename = "issue.v1")]
    IssueV1 { order_no: OrderNo },
    /// Send this refund to WeChat Pay, if it is due.
    #[serde(rename = "refund.v1")]
    RefundV1 {
        order_no: OrderNo,
        refund_no: RefundNo,
    },
}

/// A message in `payment-results`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "v")]
pub enum PaymentResult {
    /// A callback as WeChat Pay sent it. It is verified again when it is taken out: who can write
    /// to the queue still cannot make an order paid.
    #[serde(rename = "callback.v1")]
    CallbackV1 {
        /// The four signed headers.
        headers: SignedHeaders,
        /// The body, byte for byte (it verified as JSON, so it is text).
        body: String,
        /// Its `Request-ID` header. Messages of earlier versions have none, and it is not signed.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
    },
}

/// A message to `reconcile`: a piece of work on a day's bills.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "v")]
pub enum ReconcileWork {
    /// The daily schedule: reconcile the day before.
    #[serde(rename = "reconcile-daily.v1")]
    DailyV1 {
        /// The moment that it was scheduled for, as EventBridge Scheduler writes it
        /// (`2026-08-02T02:30:00Z`). The message's send time is not enough: a message that is moved
        /// back from the dead-letter queue gets a new one.
        #[serde(skip_serializing_if = "Option::is_none")]
        scheduled_at: Option<String>,
    },
    /// Reconcile a day: load its bills and split the work.
    #[serde(rename = "reconcile-day.v1")]
    DayV1 {
        date: BillDate,
        /// Whether to report only.
        dry_run: bool,
        /// The run; of a day's runs, only the latest requested one continues.
        run_id: String,
        /// Time of the request in Unix milliseconds; the message's send time if absent. A message
        /// that is moved back from the dead-letter queue gets a new send time.
        #[serde(skip_serializing_if = "Option::is_none")]
        requested_at_ms: Option<i64>,
    },
    /// Hold one part of a day's orders against its bills.
    #[serde(rename = "reconcile-part.v1")]
    PartV1 {
        date: BillDate,
        /// The run that it is part of.
        run_id: String,
        /// Which part, from 0.
        part: u8,
    },
    /// Hold the account's movements against the trades, once the trade side of a run is done.
    #[serde(rename = "reconcile-funds.v1")]
    FundsV1 {
        date: BillDate,
        /// The run whose fund side it is.
        run_id: String,
    },
    /// Do one part of that.
    #[serde(rename = "reconcile-funds-part.v1")]
    FundsPartV1 {
        date: BillDate,
        /// The run whose fund side it is.
        run_id: String,
        /// Which part, from 0.
        part: u8,
    },
    /// Do what two persons approved about a difference.
    #[serde(rename = "apply-difference.v1")]
    ApplyV1 {
        date: BillDate,
        /// The difference.
        id: String,
    },
}

impl PaymentRequest {
    /// Reads a message.
    ///
    /// # Errors
    /// The message is damaged, or of a kind that this version does not know.
    pub fn parse(message: &str) -> Result<Self, Wrong> {
        let (kind, mut message) = versioned(message)?;
        match kind.as_str() {
            "issue.v1" => Ok(Self::IssueV1 {
                order_no: message.take("order_no")?,
            }),
            "refund.v1" => Ok(Self::RefundV1 {
                order_no: message.take("order_no")?,
                refund_no: message.take("refund_no")?,
            }),
            _ => Err(unknown_kind()),
        }
    }
}

impl PaymentResult {
    /// Reads a message.
    ///
    /// # Errors
    /// The message is damaged, or of a kind that this version does not know.
    pub fn parse(message: &str) -> Result<Self, Wrong> {
        let (kind, mut message) = versioned(message)?;
        match kind.as_str() {
            "callback.v1" => Ok(Self::CallbackV1 {
                headers: message.take("headers")?,
                body: message.take("body")?,
                request_id: message.take_optional("request_id")?,
            }),
            _ => Err(unknown_kind()),
        }
    }
}

impl ReconcileWork {
    /// Reads a message.
    ///
    /// # Errors
    /// The message is damaged, or of a kind that this version does not know.
    pub fn parse(message: &str) -> Result<Self, Wrong> {
        let (kind, mut message) = versioned(message)?;
        match kind.as_str() {
            "reconcile-daily.v1" => Ok(Self::DailyV1 {
                scheduled_at: message.take_optional("scheduled_at")?,
            }),
            "reconcile-day.v1" => Ok(Self::DayV1 {
                date: message.take("date")?,
                dry_run: message.take("dry_run")?,
                run_id: message.take("run_id")?,
                requested_at_ms: message.take_optional("requested_at_ms")?,
            }),
            "reconcile-funds.v1" => Ok(Self::FundsV1 {
                date: message.take("date")?,
                run_id: message.take("run_id")?,
            }),
            "reconcile-funds-part.v1" => Ok(Self::FundsPartV1 {
                date: message.take("date")?,
                run_id: message.take("run_id")?,
                part: message.take("part")?,
            }),
            "reconcile-part.v1" => Ok(Self::PartV1 {
                date: message.take("date")?,
                run_id: message.take("run_id")?,
                part: message.take("part")?,
            }),
            "apply-difference.v1" => Ok(Self::ApplyV1 {
                date: message.take("date")?,
                id: message.take("id")?,
            }),
            _ => Err(unknown_kind()),
        }
    }
}

/// A message's kind with its version, and the rest of it. Further members are left alone: a later
/// version may have added them.
fn versioned(message: &str) -> Result<(String, Object), Wrong> {
    let mut message = Object::read(message.as_bytes(), Null::Absent)?;
    Ok((message.take("v")?, message))
}

fn unknown_kind() -> Wrong {
    Wrong::new("is no kind of message that this version knows in this queue").in_member("v")
}

/// A message in `webhooks`: an event as EventBridge sends it to SQS (the fields in use). Replays
/// have the same form, so that the queue has one kind of message.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct WebhookMessage {
    /// The kind of event, and so the shape of `detail`.
    #[serde(rename = "detail-type")]
    pub kind: EventKind,
    pub detail: OutgoingEvent,
    /// This event was requested again.
    #[serde(default)]
    pub replay: bool,
}

impl WebhookMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// The message is damaged, or of a kind that this version does not know.
    pub fn parse(message: &str) -> Result<Self, Wrong> {
        strict_json::read(message.as_bytes(), Null::Absent)
    }
}

/// What `detail-type` may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum EventKind {
    /// [`payments::rules::webhook::EVENT_TYPE`].
    #[serde(rename = "order.changed")]
    OrderChanged,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_shape_on_the_wire() {
        let request = PaymentRequest::IssueV1 {
            order_no: OrderNo::parse("ORDER-1").unwrap(),
        };
        assert_eq!(
            serde_json::to_string(&request).unwrap(),
            r#"{"v":"issue.v1","order_no":"ORDER-1"}"#
        );
        assert!(PaymentRequest::parse(r#"{"v":"issue.v2"}"#).is_err());
        assert!(
            PaymentResult::parse(r#"{"v":"issue.v1","order_no":"ORDER-1"}"#).is_err(),
            "a message of the other queue"
        );
        let parsed = PaymentRequest::parse(r#"{"v":"issue.v1","order_no":"ORDER-1"}"#);
        assert_eq!(parsed.unwrap(), request);
    }

    /// One message of each kind. A new kind belongs here.
    #[test]
    fn no_array_passes_for_a_message_or_for_an_object_inside_one() {
        let signed = r#"{"timestamp":"1","nonce":"n","serial":"s","signature":"x"}"#;
        let detail = r#"{"order_no":"ORDER-1","client_id":"shop","version":2,"subject":"order","subject_id":"ORDER-1","from":"reserved","to":"awaiting_payment","amount_fen":100,"cause_kind":"request","cause_id":"r-1","at":1785556801,"trace":"0af7651916cd43dd8448eb211c80319c"}"#;
        type Reads = fn(&str) -> bool;
        let request: Reads = |text| PaymentRequest::parse(text).is_ok();
        let result: Reads = |text| PaymentResult::parse(text).is_ok();
        let work: Reads = |text| ReconcileWork::parse(text).is_ok();
        let webhook: Reads = |text| WebhookMessage::parse(text).is_ok();
        for (reads, message) in [
            (
                request,
                r#"{"v":"issue.v1","order_no":"ORDER-1"}"#.to_owned(),
            ),
            (
                request,
                r#"{"v":"refund.v1","order_no":"ORDER-1","refund_no":"R-1"}"#.to_owned(),
            ),
            (
                result,
                format!(r#"{{"v":"callback.v1","headers":{signed},"body":"b"}}"#),
            ),
            (work, r#"{"v":"reconcile-daily.v1"}"#.to_owned()),
            (
                work,
                r#"{"v":"reconcile-day.v1","date":"2026-08-01","dry_run":true,"run_id":"r"}"#
                    .to_owned(),
            ),
            (
                work,
                r#"{"v":"reconcile-part.v1","date":"2026-08-01","run_id":"r","part":3}"#.to_owned(),
            ),
            (
                work,
                r#"{"v":"apply-difference.v1","date":"2026-08-01","id":"d"}"#.to_owned(),
            ),
            (
                webhook,
                format!(r#"{{"detail-type":"order.changed","detail":{detail}}}"#),
            ),
        ] {
            assert!(reads(&message), "{message}");
            let value: serde_json::Value = serde_json::from_str(&message).unwrap();
            let values = |value: &serde_json::Value| -> serde_json::Value {
                value.as_object().unwrap().values().cloned().collect()
            };
            assert!(!reads(&values(&value).to_string()), "{message}");
            for (name, inner) in value.as_object().unwrap() {
                if inner.is_object() {
                    let mut changed = value.clone();
                    changed[name.as_str()] = values(inner);
                    assert!(!reads(&changed.to_string()), "{changed}");
                }
            }
        }
    }

    #[test]
    fn work_on_a_day_keeps_its_shape_on_the_wire() {
        let date = BillDate::parse("2026-08-01").unwrap();
        for (work, json) in [
            (
                ReconcileWork::DailyV1 { scheduled_at: None },
                r#"{"v":"reconcile-daily.v1"}"#,
            ),
            (
                ReconcileWork::DailyV1 {
                    scheduled_at: Some("2026-08-02T02:30:00Z".into()),
                },
                r#"{"v":"reconcile-daily.v1","scheduled_at":"2026-08-02T02:30:00Z"}"#,
            ),
            (
                ReconcileWork::DayV1 {
                    date,
                    dry_run: true,
                    run_id: "run-1".into(),
                    requested_at_ms: None,
                },
                r#"{"v":"reconcile-day.v1","date":"2026-08-01","dry_run":true,"run_id":"run-1"}"#,
            ),
            (
                ReconcileWork::DayV1 {
                    date,
                    dry_run: false,
                    run_id: "run-1".into(),
                    requested_at_ms: Some(1_785_556_802_123),
                },
                r#"{"v":"reconcile-day.v1","date":"2026-08-01","dry_run":false,"run_id":"run-1","requested_at_ms":1785556802123}"#,
            ),
            (
                ReconcileWork::FundsV1 {
                    date,
                    run_id: "run-1".into(),
                },
                r#"{"v":"reconcile-funds.v1","date":"2026-08-01","run_id":"run-1"}"#,
            ),
            (
                ReconcileWork::FundsPartV1 {
                    date,
                    run_id: "run-1".into(),
                    part: 7,
                },
                r#"{"v":"reconcile-funds-part.v1","date":"2026-08-01","run_id":"run-1","part":7}"#,
            ),
            (
                ReconcileWork::PartV1 {
                    date,
                    run_id: "run-1".into(),
                    part: 3,
                },
                r#"{"v":"reconcile-part.v1","date":"2026-08-01","run_id":"run-1","part":3}"#,
            ),
            (
                ReconcileWork::ApplyV1 {
                    date,
                    id: "duplicate-payment-0".into(),
                },
                r#"{"v":"apply-difference.v1","date":"2026-08-01","id":"duplicate-payment-0"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&work).unwrap(), json);
            assert_eq!(ReconcileWork::parse(json).unwrap(), work);
        }
        for other in [
            r#"{"v":"reconcile-day.v2","date":"2026-08-01"}"#,
            r#"{"v":"apply-difference.v1","date":"2026-8-1","id":"x"}"#,
            r#"{"v":"issue.v1","order_no":"ORDER-1"}"#,
        ] {
            assert!(ReconcileWork::parse(other).is_err(), "{other}");
        }
    }

    /// What the rule of the bus puts into the queue.
    #[test]
    fn an_event_is_read_as_eventbridge_wraps_it_and_a_replay_is_recognised() {
        let detail = r#"{"order_no":"ORDER-1","client_id":"shop","version":2,"subject":"order","subject_id":"ORDER-1","from":"reserved","to":"awaiting_payment","amount_fen":100,"cause_kind":"request","cause_id":"r-1","at":1785556801,"trace":"0af7651916cd43dd8448eb211c80319c"}"#;
        let wrapped = format!(
            r#"{{"version":"0","id":"6a7e8feb-b491-4cf7-a9f1-bf3703467718","detail-type":"order.changed","source":"wechatpay-on-lambda","account":"111122223333","time":"2026-08-01T04:00:01Z","region":"us-east-1","resources":[],"detail":{detail}}}"#
        );
        let message: WebhookMessage = WebhookMessage::parse(&wrapped).unwrap();
        assert!(!message.replay);
        assert_eq!(message.detail.webhook_id(), "ORDER-1_2");
        let replay = WebhookMessage {
            replay: true,
            ..message
        };
        let written = serde_json::to_string(&replay).unwrap();
        assert_eq!(
            written,
            format!(r#"{{"detail-type":"order.changed","detail":{detail},"replay":true}}"#)
        );
        assert_eq!(WebhookMessage::parse(&written).unwrap(), replay);
        let of_another_kind = wrapped.replace("order.changed", "order.deleted");
        assert!(WebhookMessage::parse(&of_another_kind).is_err());
        assert_eq!(
            serde_json::to_value(EventKind::OrderChanged).unwrap(),
            payments::rules::webhook::EVENT_TYPE
        );
    }
}
