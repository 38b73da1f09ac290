//! What a queue's message says: an alarm of CloudWatch that changed its state, or another message
//! of the alarm topic.

use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;
use time::format_description::BorrowedFormatItem;
use time::macros::{format_description, offset};
use time::{OffsetDateTime, UtcOffset};

/// How urgent it is. What is more urgent comes first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Somebody has to act now, at night too.
    Page,
    /// Somebody has to act on the next working day.
    Ticket,
}

impl Severity {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Page, Self::Ticket];

    /// What the description of an alarm says that can wait. Without it an alarm is urgent: a mark
    /// that was forgotten wakes somebody, and hides nothing. `tests/sam/rules_alarms.py` lists the
    /// alarms that have it.
    pub const TICKET_MARK: &str = "[ticket]";

    /// Its name in commands, texts and the keys table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
        }
    }
}

/// What became of the alarm.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum State {
    /// It went on.
    On,
    /// It cannot be said.
    Unknown,
    /// It went off.
    Off,
    /// It is no alarm, but a message of something else that uses the topic.
    Message,
}

impl State {
    /// Its name in texts and webhooks.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::On => "ALARM",
            Self::Unknown => "NO DATA",
            Self::Off => "OK",
            Self::Message => "MESSAGE",
        }
    }
}

/// One thing that people are told, once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notification {
    /// Names this state change of this alarm, however often and by whatever way it comes: 64 hex
    /// digits.
    pub id: String,
    pub severity: Severity,
    pub state: State,
    /// The alarm's name, or the subject of another message.
    pub name: String,
    /// What the alarm means and which page says what to do, without the mark of its severity.
    pub description: String,
    /// What CloudWatch saw, or the text of another message.
    pub reason: String,
    /// When its state changed, in Beijing's time.
    pub changed_at: String,
}

/// A body that is no message of a topic.
#[derive(Debug, thiserror::Error)]
#[error("it is no message of an SNS topic")]
pub struct BadNotification(#[source] serde_json::Error);

/// What SNS puts into a queue (without raw delivery).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    message_id: String,
    #[serde(default)]
    subject: Option<String>,
    message: String,
    #[serde(default)]
    timestamp: String,
}

/// What CloudWatch sends to a topic, of metric alarms and composite ones.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Alarm {
    alarm_name: String,
    #[serde(default)]
    alarm_description: Option<String>,
    new_state_value: String,
    #[serde(default)]
    new_state_reason: String,
    state_change_time: String,
    #[serde(default)]
    alarm_arn: String,
}

impl Notification {
    /// Reads the body of a message that SNS put into the queue. What is no alarm is passed on as it
    /// is, and is urgent: it is not known what it means.
    ///
    /// # Errors
    /// [`BadNotification`].
    pub fn read(body: &str) -> Result<Self, BadNotification> {
        let envelope: Envelope = serde_json::from_str(body).map_err(BadNotification)?;
        let Ok(alarm) = serde_json::from_str::<Alarm>(&envelope.message) else {
            return Ok(Self {
                id: hashed(&["message", &envelope.message_id]),
                severity: Severity::Page,
                state: State::Message,
                name: envelope.subject.unwrap_or_else(|| "a message".to_owned()),
                description: String::new(),
                reason: envelope.message,
                changed_at: in_beijing(&envelope.timestamp),
            });
        };
        let description = alarm.alarm_description.unwrap_or_default();
        Ok(Self {
            // CloudWatch may publish one change twice, and SNS and SQS may deliver it twice.
            id: hashed(&[
                "alarm",
                &alarm.alarm_arn,
                &alarm.alarm_name,
                &alarm.state_change_time,
                &alarm.new_state_value,
            ]),
            severity: if description.contains(Severity::TICKET_MARK) {
                Severity::Ticket
            } else {
                Severity::Page
            },
            state: match alarm.new_state_value.as_str() {
                "ALARM" => State::On,
                "OK" => State::Off,
                _ => State::Unknown,
            },
            name: alarm.alarm_name,
            description: description
                .replace(Severity::TICKET_MARK, "")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
            reason: alarm.new_state_reason,
            changed_at: in_beijing(&alarm.state_change_time),
        })
    }
}

/// Names a message about these: the same ones give the same id, so that a receiver knows a repeat.
#[must_use]
pub fn message_id(about: &[&Notification]) -> String {
    let mut ids: Vec<&str> = about.iter().map(|each| each.id.as_str()).collect();
    ids.sort_unstable();
    hashed(&ids)
}

/// The channels to be tried, in order: those that have a place for this severity, by it. Where none
/// has one, all are: nothing is left untold for want of a route.
#[must_use]
pub fn route<C>(channels: &[C], place: impl Fn(&C) -> Option<u32>) -> Vec<&C> {
    let mut placed: Vec<(u32, &C)> = channels
        .iter()
        .filter_map(|channel| Some((place(channel)?, channel)))
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    if placed.is_empty() {
        channels.iter().collect()
    } else {
        placed.into_iter().map(|(_, channel)| channel).collect()
    }
}

/// Seconds from a failed try to the next: 5 s at first, then longer, and an hour at the end; seven
/// hours in all for 16 tries. A channel that is down for a night is tried again in the morning
/// from the dead-letter queue.
const PAUSES_S: [i32; 15] = [
    5, 10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 3_600, 3_600, 3_600, 3_600, 3_600,
];

/// How long a message is hidden that was received so often in vain. At its last receipt it is shown
/// at once, and moves to the dead-letter queue.
#[must_use]
pub fn next_try_after_s(received: u32) -> i32 {
    let failed_before = usize::try_from(received)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    PAUSES_S.get(failed_before).copied().unwrap_or(0)
}

fn hashed(parts: &[&str]) -> String {
    // No part has a line break: they are names, times and ARNs.
    let hash = digest(&SHA256, parts.join("\n").as_bytes());
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// CloudWatch's form of a time, and that of SNS.
const FORMS: [&[BorrowedFormatItem<'static>]; 2] = [
    format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond][offset_hour sign:mandatory][offset_minute]"
    ),
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond]Z"),
];
const SHOWN: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second] Beijing");
const BEIJING: UtcOffset = offset!(+8);

/// The time for people; one of another form is shown as it came.
fn in_beijing(text: &str) -> String {
    let [with_offset, utc] = FORMS;
    let read = OffsetDateTime::parse(text, with_offset).or_else(|_| {
        time::PrimitiveDateTime::parse(text, utc).map(time::PrimitiveDateTime::assume_utc)
    });
    let shown = read
        .ok()
        .and_then(|at| at.to_offset(BEIJING).format(SHOWN).ok());
    shown.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn enveloped(message: &Value) -> String {
        let text = message.as_str().map(str::to_owned);
        let message = text.unwrap_or_else(|| message.to_string());
        json!({
            "Type": "Notification",
            "MessageId": "8c1b6a1c-0000-4000-8000-000000000001",
            "TopicArn": "arn:aws:sns:eu-central-1:111122223333:alarms",
            "Subject": "ALARM: \"shop-webhooks-dlq\" in EU (Frankfurt)",
            "Message": message,
            "Timestamp": "2026-08-01T16:00:01.123Z",
            "SignatureVersion": "1",
            "Signature": "...",
        })
        .to_string()
    }

    fn alarm(state: &str, description: &str) -> Value {
        json!({
            "AlarmName": "shop-webhooks-dlq",
            "AlarmDescription": description,
            "AWSAccountId": "111122223333",
            "NewStateValue": state,
            "NewStateReason": "Threshold Crossed: 1 datapoint [1.0] was greater than the threshold (0.0).",
            "StateChangeTime": "2026-08-01T16:00:00.456+0000",
            "Region": "EU (Frankfurt)",
            "AlarmArn": "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:shop-webhooks-dlq",
            "OldStateValue": "OK",
            "Trigger": {"MetricName": "ApproximateNumberOfMessagesVisible"},
        })
    }

    #[test]
    fn an_alarm_says_what_when_and_how_urgent() {
        let read = Notification::read(&enveloped(&alarm(
            "ALARM",
            "Webhooks were given up (infra/runbooks/webhooks.md)",
        )))
        .unwrap();
        assert_eq!((read.severity, read.state), (Severity::Page, State::On));
        assert_eq!(read.name, "shop-webhooks-dlq");
        assert_eq!(
            read.description,
            "Webhooks were given up (infra/runbooks/webhooks.md)"
        );
        assert_eq!(read.changed_at, "2026-08-02 00:00:00 Beijing");
        let marked = alarm(
            "OK",
            "[ticket] Webhooks were given up (infra/runbooks/webhooks.md)",
        );
        let read = Notification::read(&enveloped(&marked)).unwrap();
        assert_eq!((read.severity, read.state), (Severity::Ticket, State::Off));
        assert_eq!(
            read.description,
            "Webhooks were given up (infra/runbooks/webhooks.md)"
        );
    }

    #[test]
    fn channels_are_tried_by_their_place_and_all_of_them_where_none_has_one() {
        let channels = [("sms", Some(2)), ("robot", Some(1)), ("system", None)];
        let names = |tried: Vec<&(&'static str, Option<u32>)>| -> Vec<&str> {
            tried.into_iter().map(|(name, _)| *name).collect()
        };
        assert_eq!(
            names(route(&channels, |(_, place)| *place)),
            ["robot", "sms"]
        );
        assert_eq!(
            names(route(&channels, |_| None)),
            ["sms", "robot", "system"]
        );
    }

    #[test]
    fn a_message_is_tried_again_for_hours_and_then_given_up_at_once() {
        let pauses: Vec<i32> = (1..=16).map(next_try_after_s).collect();
        assert_eq!(pauses.first(), Some(&5));
        assert_eq!(pauses.last(), Some(&0));
        assert!(pauses.iter().sum::<i32>() > 6 * 3_600);
        assert_eq!(next_try_after_s(0), 5);
        assert_eq!(next_try_after_s(u32::MAX), 0);
    }

    #[test]
    fn one_state_change_has_one_id_by_whatever_message_it_comes() {
        let id = |body: &str| Notification::read(body).unwrap().id;
        let first = enveloped(&alarm("ALARM", "a"));
        let again = first.replace("8c1b6a1c", "9c1b6a1c");
        assert_eq!(id(&first), id(&again));
        assert_ne!(id(&first), id(&enveloped(&alarm("OK", "a"))));
        let later = first.replace("16:00:00.456", "16:00:00.457");
        assert_ne!(id(&first), id(&later));
    }

    #[test]
    fn another_message_of_the_topic_is_passed_on_as_it_is_and_is_urgent() {
        let read = Notification::read(&enveloped(&json!("AWS Budget Notification"))).unwrap();
        assert_eq!(
            (read.severity, read.state),
            (Severity::Page, State::Message)
        );
        assert_eq!(read.reason, "AWS Budget Notification");
        assert_eq!(read.changed_at, "2026-08-02 00:00:01 Beijing");
        for body in ["", "{}", "[]", r#"{"Message":"a"}"#] {
            assert!(Notification::read(body).is_err(), "{body}");
        }
    }
}
