//! Webhooks: what a merchant's system is told of a change, what its answer means, and when it is told again.

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Value, json};
use wechatpay::{UnixSeconds, time::format_rfc3339_beijing};

use crate::ids::{ClientId, OrderNo};

/// What every event is called, on the bus (`detail-type`) and in a webhook (`type`).
pub const EVENT_TYPE: &str = "order.changed";

/// Seconds from a failed attempt to the next: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h. Eight attempts within 28 hours; after
/// the last one the event waits in the dead-letter queue for a person. Exact, so that who runs the receiver can tell from
/// one failure when the next attempt comes. None is longer than the 12 hours for which SQS can hide a message.
const LADDER_S: [i32; 7] = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];

/// When an event is tried again whose message was received `times`, the failed attempt included. `None`: not any more.
pub fn next_attempt_after_s(times: u32) -> Option<i32> {
    let failed_before = usize::try_from(times).ok()?.saturating_sub(1);
    LADDER_S.get(failed_before).copied()
}

/// What a receiver's answer means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answered {
    /// It has the event.
    Taken,
    /// It wants no more events, ever: 410 Gone.
    Gone,
    /// Anything else: it is asked again. A redirect is among them, since whoever can bend one could bend where events go.
    NotTaken,
}

impl Answered {
    /// Reads the status of an HTTP answer.
    pub fn with(status: u16) -> Self {
        match status {
            200..=299 => Self::Taken,
            410 => Self::Gone,
            _ => Self::NotTaken,
        }
    }
}

/// One change of an order as it goes out: to the bus, into the queue of webhooks, and from there to the merchant. Holds
/// nothing about the payer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct OutgoingEvent {
    /// The order.
    pub order_no: OrderNo,
    /// Whose order it is, and so whose webhook is called.
    pub client_id: ClientId,
    /// The version that the order has after the change. Together with `order_no` it names the event.
    #[serde(deserialize_with = "number")]
    pub version: u64,
    /// What changed: `order`, `refund` or `payment`.
    pub subject: String,
    /// Its number: of the order, the refund or the payment.
    pub subject_id: String,
    /// Its state before; empty for none.
    #[serde(default)]
    pub from: String,
    /// Its state after.
    pub to: String,
    /// The amount of the subject, in fen.
    #[serde(deserialize_with = "number")]
    pub amount_fen: i64,
    /// Why it changed: the kind of cause.
    pub cause_kind: String,
    /// Where that can be looked up.
    pub cause_id: String,
    /// When, by our clock (Unix seconds).
    #[serde(deserialize_with = "seconds")]
    pub at: UnixSeconds,
    /// The trace it happened under.
    pub trace: String,
}

impl OutgoingEvent {
    /// The id of the webhook: the same at every attempt and replay, so that a receiver knows what it has seen. The version
    /// follows an underscore, since the Standard Webhooks specification wants no full stop in an id.
    pub fn webhook_id(&self) -> String {
        format!("{}_{}", self.order_no, self.version)
    }

    /// The body of the webhook.
    pub fn body(&self) -> String {
        let from = (!self.from.is_empty()).then_some(&self.from);
        let mut data = json!({
            "order_no": self.order_no,
            "version": self.version,
            "subject": self.subject,
            "subject_id": self.subject_id,
            "to": self.to,
            "amount_fen": self.amount_fen,
            "currency": "CNY",
            "cause": {"kind": self.cause_kind, "id": self.cause_id},
            "trace_id": self.trace,
        });
        if let (Some(from), Some(fields)) = (from, data.as_object_mut()) {
            fields.insert("from".to_owned(), json!(from));
        }
        json!({
            "type": EVENT_TYPE,
            "timestamp": format_rfc3339_beijing(self.at),
            "data": data,
        })
        .to_string()
    }
}

/// A whole number, or a text that is one: DynamoDB's streams write numbers as text, and what maps them to events cannot
/// take the quotation marks off.
fn number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr,
{
    let value = Value::deserialize(deserializer)?;
    let text = match &value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| de::Error::custom("expected a whole number, or a text that is one"))
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixSeconds, D::Error> {
    number(deserializer).map(UnixSeconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail() -> Value {
        json!({
            "order_no": "ORDER-1",
            "client_id": "shop",
            "version": 3,
            "subject": "order",
            "subject_id": "ORDER-1",
            "from": "awaiting_payment",
            "to": "paid",
            "amount_fen": 100,
            "cause_kind": "notice",
            "cause_id": "n-1",
            "at": 1_785_556_801,
            "trace": "0af7651916cd43dd8448eb211c80319c",
        })
    }

    fn event() -> OutgoingEvent {
        serde_json::from_value(detail()).unwrap()
    }

    #[test]
    fn attempts_follow_five_seconds_five_minutes_half_an_hour_two_five_ten_and_ten_hours() {
        let ladder: Vec<Option<i32>> = (1..=9).map(next_attempt_after_s).collect();
        let (minute, hour) = (60, 3600);
        assert_eq!(
            ladder,
            [
                Some(5),
                Some(5 * minute),
                Some(30 * minute),
                Some(2 * hour),
                Some(5 * hour),
                Some(10 * hour),
                Some(10 * hour),
                None,
                None,
            ]
        );
    }

    #[test]
    fn a_count_that_no_queue_gives_has_an_answer_too() {
        assert_eq!(next_attempt_after_s(0), Some(5));
        assert_eq!(next_attempt_after_s(u32::MAX), None);
    }

    #[test]
    fn only_a_2xx_is_taken_and_only_a_410_ends_it() {
        for (status, meaning) in [
            (100, Answered::NotTaken),
            (200, Answered::Taken),
            (204, Answered::Taken),
            (299, Answered::Taken),
            (301, Answered::NotTaken),
            (307, Answered::NotTaken),
            (404, Answered::NotTaken),
            (410, Answered::Gone),
            (429, Answered::NotTaken),
            (500, Answered::NotTaken),
        ] {
            assert_eq!(Answered::with(status), meaning, "{status}");
        }
    }

    #[test]
    fn the_body_tells_the_change_and_not_whose_client_it_is() {
        let body: Value = serde_json::from_str(&event().body()).unwrap();
        assert_eq!(
            body,
            json!({
                "type": "order.changed",
                "timestamp": "2026-08-01T12:00:01+08:00",
                "data": {
                    "order_no": "ORDER-1",
                    "version": 3,
                    "subject": "order",
                    "subject_id": "ORDER-1",
                    "from": "awaiting_payment",
                    "to": "paid",
                    "amount_fen": 100,
                    "currency": "CNY",
                    "cause": {"kind": "notice", "id": "n-1"},
                    "trace_id": "0af7651916cd43dd8448eb211c80319c",
                },
            })
        );
        assert_eq!(event().webhook_id(), "ORDER-1_3");
    }

    #[test]
    fn the_first_event_of_an_order_has_no_state_before() {
        for from in [json!(""), Value::Null] {
            let mut first = detail();
            if from.is_null() {
                first.as_object_mut().unwrap().remove("from");
            } else {
                first["from"] = from;
            }
            let first: OutgoingEvent = serde_json::from_value(first).unwrap();
            let body: Value = serde_json::from_str(&first.body()).unwrap();
            assert_eq!(body["data"].get("from"), None);
        }
    }

    #[test]
    fn numbers_are_read_from_text_too_and_nothing_else_is() {
        let mut texts = detail();
        texts["version"] = json!("3");
        texts["amount_fen"] = json!("100");
        texts["at"] = json!("1785556801");
        assert_eq!(
            serde_json::from_value::<OutgoingEvent>(texts).unwrap(),
            event()
        );
        for wrong in [json!("3.0"), json!(3.5), json!(""), json!(true), json!(-1)] {
            let mut detail = detail();
            detail["version"] = wrong.clone();
            assert!(
                serde_json::from_value::<OutgoingEvent>(detail).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let written = serde_json::to_value(event()).unwrap();
        assert_eq!(written, detail());
    }
}
