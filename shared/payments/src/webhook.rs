//! Webhooks: what is sent to a merchant's system, what its answer means, and when it is sent again.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};
use wechatpay::{UnixSeconds, time::format_rfc3339_beijing};

use crate::{
    ids::{ClientId, OrderNo},
    refund_decision::OperatorDecision,
};

/// The type of every event, on the bus (`detail-type`) and in a webhook (`type`).
pub const EVENT_TYPE: &str = "order.changed";

/// Seconds from a failed attempt to the next: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h. Eight
/// attempts within 28 hours; after the last one the event waits in the dead-letter queue for an
/// operator. Without jitter, so that the receiver's operator can predict the next attempt. None is
/// longer than the 12 hours for which SQS can hide a message.
const LADDER_S: [i32; 7] = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];

/// When an event is sent again whose message was received `times`, including the failed attempt.
/// `None`: never.
pub fn next_attempt_after_s(times: u32) -> Option<i32> {
    let failed_before = usize::try_from(times).ok()?.saturating_sub(1);
    LADDER_S.get(failed_before).copied()
}

/// An event that is older, in seconds, may have had attempts before: a stored copy of it is looked
/// for.
const FRESH_S: i64 = 900;

/// How long an undelivered event is kept, in seconds: 90 days.
pub const UNDELIVERED_KEPT_S: i64 = 90 * 24 * 3600;

/// How many undelivered events one request sends again.
pub const RESENT_AT_ONCE: usize = 100;

/// How long a client waits between two such requests, in seconds: that makes 20 events a second, so
/// that missed events do not delay new ones.
pub const RESEND_PAUSE_S: i64 = 5;

/// Whether an event that is delivered now may also be stored as undelivered: it was sent again, its
/// message was received before, or it is not recent. An event is stored at its last attempt, or
/// while its webhook is disabled. After that an operator may have moved its message back, or a
/// crash may have happened between storing the event and deleting its message.
pub fn may_be_on_record(
    event: &OutgoingEvent,
    replay: bool,
    attempt: u32,
    now: UnixSeconds,
) -> bool {
    replay || attempt > 1 || now.0.saturating_sub(event.at.0) >= FRESH_S
}

/// Minimum pause for a receiver that did not answer in time, in seconds. An attempt waits up to 15
/// s and blocks its batch. With this pause a hanging receiver uses at most a quarter of each lane.
const HANGS_RESTS_MS: i64 = 45_000;

/// A receiver that takes this long to answer is slow, in milliseconds. A faster one leaves room:
/// five lanes of ten events still carry 17 a second. A hanging receiver in its pause is still
/// called for an event's last attempt, but with this time-out.
pub const SLOW_MS: i64 = 3_000;

/// Upper limit of a wait, in milliseconds. A clock that was set meanwhile may show a longer one.
const WAITED_MS_MAX: i64 = 15_000;

/// How long a receiver counts as slow, in milliseconds: an hour.
const COUNTED_MS: i64 = 3_600_000;

/// The receivers that one lane knows to be slow, and the end of each one's pause. A lane processes
/// one batch at a time, so waiting for one receiver blocks the whole batch.
///
/// All slow receivers together get one half of the lane, in equal shares: a single one is paused
/// for as long as it took, two for three times as long, three for five times. So no receiver can
/// use another's share, and the other half is for those that are not slow. A receiver that is not
/// known to be slow is called at any time.
#[derive(Clone, Debug, Default)]
pub struct Lane(HashMap<ClientId, Rest>);

/// The pause of a slow receiver.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// When it was last waited for (Unix milliseconds).
    waited_ms: i64,
    /// End of its pause (Unix milliseconds).
    until_ms: i64,
    /// Whether it did not answer in time.
    hangs: bool,
}

/// How a lane treats a receiver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asking {
    /// It is asked.
    Now,
    /// It is left alone.
    Later {
        /// For this many milliseconds more.
        left_ms: i64,
        /// Whether it did not answer in time at the last call.
        hangs: bool,
    },
}

impl Lane {
    /// How to treat a client's receiver at `now_ms`.
    pub fn asking(&self, client_id: &ClientId, now_ms: i64) -> Asking {
        let left_ms = |rest: &Rest| rest.until_ms.saturating_sub(now_ms);
        let rest = self.0.get(client_id).filter(|rest| left_ms(rest) > 0);
        rest.map_or(Asking::Now, |rest| Asking::Later {
            left_ms: left_ms(rest),
            hangs: rest.hangs,
        })
    }

    /// Records a wait for a client's receiver until `now_ms`.
    pub fn waited_for(&mut self, client_id: &ClientId, took_ms: i64, hangs: bool, now_ms: i64) {
        if !hangs && took_ms < SLOW_MS {
            self.0.remove(client_id);
            return;
        }
        self.0
            .retain(|_, rest| now_ms.saturating_sub(rest.waited_ms) < COUNTED_MS);
        let others = self.0.keys().filter(|known| *known != client_id).count();
        let others = i64::try_from(others).unwrap_or(i64::MAX);
        // There are twice as many shares as slow receivers; one is its own.
        let shares_of_others = others.saturating_mul(2).saturating_add(1);
        let wait_ms = took_ms.clamp(0, WAITED_MS_MAX);
        let mut rest_ms = wait_ms.saturating_mul(shares_of_others);
        if hangs {
            rest_ms = rest_ms.max(HANGS_RESTS_MS);
        }
        let until_ms = now_ms.saturating_add(rest_ms.min(COUNTED_MS));
        let known_ms = self.0.get(client_id).map_or(until_ms, |rest| rest.until_ms);
        let rest = Rest {
            waited_ms: now_ms,
            until_ms: until_ms.max(known_ms),
            hangs,
        };
        self.0.insert(client_id.clone(), rest);
    }
}

/// What a receiver's answer means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeliveryResult {
    /// It has the event.
    Taken,
    /// 410 Gone: it wants no more events. A deployment or a proxy may answer so briefly, so only
    /// [`GoneRun::ends_the_webhook`] decides.
    Gone,
    /// Anything else: it is called again. This includes redirects: following one would let others
    /// control where events go.
    NotTaken,
}

impl DeliveryResult {
    /// Reads the status of an HTTP answer.
    pub fn with(status: u16) -> Self {
        match status {
            200..=299 => Self::Taken,
            410 => Self::Gone,
            _ => Self::NotTaken,
        }
    }
}

/// A run of 410s of one receiver, with no other answer in between.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GoneRun {
    /// When it began, by our clock.
    pub since: UnixSeconds,
    /// Time of the last 410 that counts.
    pub counted_at: UnixSeconds,
    /// Number of those that count.
    pub count: u32,
}

impl GoneRun {
    /// How long a receiver must say 410 and nothing else, in seconds: six hours. A wrong deployment
    /// overnight is shorter.
    pub const LEAST_S: i64 = 6 * 3600;
    /// How many 410s there must be within that time.
    pub const LEAST_COUNT: u32 = 4;
    /// Minimum time between two 410s that count, in seconds: answers to many events at the same
    /// moment count once.
    pub const COUNTED_EVERY_S: i64 = 1_800;

    /// The run with a 410 at `now`.
    fn and_another(run: Option<Self>, now: UnixSeconds) -> Self {
        match run {
            None => Self {
                since: now,
                counted_at: now,
                count: 1,
            },
            Some(run) if now.0.saturating_sub(run.counted_at.0) < Self::COUNTED_EVERY_S => run,
            Some(run) => Self {
                counted_at: now,
                count: run.count.saturating_add(1),
                ..run
            },
        }
    }

    /// Whether the receiver counts as gone at `now`.
    pub fn ends_the_webhook(&self, now: UnixSeconds) -> bool {
        self.count >= Self::LEAST_COUNT && now.0.saturating_sub(self.since.0) >= Self::LEAST_S
    }
}

/// A receiver's last answer, as shown to its client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LastAnswer {
    /// Its status (`204`), or why there was none (`timed_out`).
    pub answer: String,
    /// When it came last.
    pub at: UnixSeconds,
    /// Since when it is the same.
    pub since: UnixSeconds,
    /// The 410s that it ends with, if it does.
    pub gone: Option<GoneRun>,
}

impl LastAnswer {
    /// The same answer is stored again only after this many seconds.
    const WRITTEN_EVERY_S: i64 = 60;

    /// What to store after an answer at `now`; `None` if it was stored recently. Any answer other
    /// than 410 ends a run of 410s; a missing answer does not.
    pub fn after(last: Option<&Self>, answer: &str, now: UnixSeconds) -> Option<Self> {
        let same = last.filter(|last| last.answer == answer);
        let written_s = same.map(|same| now.0.saturating_sub(same.at.0));
        if written_s.is_some_and(|age_s| age_s < Self::WRITTEN_EVERY_S) {
            return None;
        }
        let run = last.and_then(|last| last.gone);
        let gone = match meaning_of(answer) {
            Some(DeliveryResult::Gone) => Some(GoneRun::and_another(run, now)),
            Some(DeliveryResult::Taken | DeliveryResult::NotTaken) => None,
            None => run,
        };
        Some(Self {
            answer: answer.to_owned(),
            at: now,
            since: same.map_or(now, |same| same.since),
            gone,
        })
    }

    /// Whether it ends a run of 410s, whatever else was answered at about the same time.
    pub fn ends_a_run(&self) -> bool {
        match meaning_of(&self.answer) {
            Some(DeliveryResult::Taken | DeliveryResult::NotTaken) => true,
            Some(DeliveryResult::Gone) | None => false,
        }
    }
}

/// The meaning of a stored answer; `None` if there was none.
fn meaning_of(answer: &str) -> Option<DeliveryResult> {
    answer.parse().map(DeliveryResult::with).ok()
}

/// One change of an order as it is sent: to the bus, to the queue of webhooks, and from there to
/// the merchant. It contains nothing about the payer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct OutgoingEvent {
    /// The order.
    pub order_no: OrderNo,
    /// Whose order it is, and so whose webhook is called.
    pub client_id: ClientId,
    /// The order's version after the change. Together with `order_no` it identifies the event.
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
    /// The operator's decision that caused the change, as one text ([`OperatorDecision::to_text`]);
    /// empty for none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "decision",
        serialize_with = "decision_text"
    )]
    pub decision: Option<OperatorDecision>,
}

impl OutgoingEvent {
    /// The id of the webhook: the same at every attempt and replay, so that a receiver can
    /// recognise repeats. The version follows an underscore, since the Standard Webhooks
    /// specification wants no full stop in an id.
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
        if let Some(fields) = data.as_object_mut() {
            fields.extend(from.map(|from| ("from".to_owned(), json!(from))));
            let decision = self.decision.as_ref();
            fields.extend(decision.map(|decision| ("decision".to_owned(), json!(decision))));
        }
        json!({
            "type": EVENT_TYPE,
            "timestamp": format_rfc3339_beijing(self.at),
            "data": data,
        })
        .to_string()
    }
}

/// A whole number, or a text that is one: DynamoDB's streams write numbers as text, and the mapping
/// to events cannot remove the quotation marks.
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

/// The decision is for information only: an invalid one is left out, and the change is still sent.
fn decision<'de, D>(deserializer: D) -> Result<Option<OperatorDecision>, D::Error>
where
    D: Deserializer<'de>,
{
    let value = Value::deserialize(deserializer)?;
    Ok(value.as_str().and_then(OperatorDecision::of_text))
}

fn decision_text<S: Serializer>(
    decision: &Option<OperatorDecision>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let text = decision.as_ref().map(OperatorDecision::to_text);
    serializer.serialize_str(&text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refund_decision::{Destination, RefundDecision};

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
    fn a_webhook_says_what_a_person_decided_and_who_and_why() {
        let decision = OperatorDecision {
            what: RefundDecision::Redirect,
            to: Some(Destination::Merchant),
            who: "Li".to_owned(),
            why: "the payer has no \"card\"".to_owned(),
        };
        let mut detail = detail();
        detail["decision"] = decision.to_text().into();
        let event: OutgoingEvent = serde_json::from_value(detail.clone()).unwrap();
        let body: Value = serde_json::from_str(&event.body()).unwrap();
        let told = json!({"what": "redirect", "to": "merchant", "who": "Li", "why": "the payer has no \"card\""});
        assert_eq!(body["data"]["decision"], told);
        let sent_again = serde_json::to_value(&event).unwrap();
        assert_eq!(sent_again["decision"], detail["decision"]);
        for none in [json!(""), json!("?"), json!(1), Value::Null] {
            detail["decision"] = none;
            let event: OutgoingEvent = serde_json::from_value(detail.clone()).unwrap();
            let body: Value = serde_json::from_str(&event.body()).unwrap();
            assert!(
                body["data"].get("decision").is_none(),
                "{}",
                detail["decision"]
            );
        }
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
    fn an_event_is_looked_for_on_record_when_it_was_sent_again_came_before_or_is_older_than_a_quarter_of_an_hour()
     {
        let event = event();
        let after = |age_s, replay, attempt| {
            may_be_on_record(&event, replay, attempt, UnixSeconds(event.at.0 + age_s))
        };
        assert!(!after(899, false, 1));
        assert!(after(900, false, 1) && after(0, true, 1) && after(0, false, 2));
    }

    #[test]
    fn a_receiver_rests_for_as_long_as_it_took_where_that_was_long_and_longer_where_it_hangs() {
        for (took_ms, timed_out, rest_ms) in [
            (150, false, None),
            (2_999, false, None),
            (3_000, false, Some(3_000)),
            (14_000, false, Some(14_000)),
            (15_000, true, Some(45_000)),
            // Cut off sooner, since its batch had no more time.
            (7_000, true, Some(45_000)),
            // The machine's clock was set.
            (7_200_000, false, Some(15_000)),
            (-7_200_000, false, None),
        ] {
            let (mut lane, shop) = (Lane::default(), ClientId::new("shop"));
            lane.waited_for(&shop, took_ms, timed_out, 1_000_000);
            let left_ms = match lane.asking(&shop, 1_000_000) {
                Asking::Now => None,
                Asking::Later { left_ms, .. } => Some(left_ms),
            };
            assert_eq!(left_ms, rest_ms, "{took_ms}");
        }
    }

    #[test]
    fn the_more_receivers_are_slow_the_longer_each_rests_until_it_answers_quickly() {
        let (mut lane, shop, kiosk) = (
            Lane::default(),
            ClientId::new("shop"),
            ClientId::new("kiosk"),
        );
        let rests = |left_ms, hangs| Asking::Later { left_ms, hangs };
        lane.waited_for(&shop, 4_000, false, 4_000);
        assert_eq!(lane.asking(&kiosk, 4_000), Asking::Now);
        lane.waited_for(&kiosk, 4_000, false, 8_000);
        assert_eq!(lane.asking(&shop, 8_000), Asking::Now);
        assert_eq!(lane.asking(&kiosk, 8_000), rests(12_000, false));
        // The clock says so, and what was known before is no shorter for it.
        lane.waited_for(&kiosk, 3_000, false, 8_001);
        assert_eq!(lane.asking(&kiosk, 8_001), rests(11_999, false));
        lane.waited_for(&shop, 15_000, true, 23_000);
        assert_eq!(lane.asking(&shop, 23_000), rests(45_000, true));
        lane.waited_for(&kiosk, 100, false, 23_100);
        assert_eq!(lane.asking(&kiosk, 23_100), Asking::Now);
        lane.waited_for(&shop, 4_000, false, 72_000);
        assert_eq!(
            lane.asking(&shop, 72_000),
            rests(4_000, false),
            "it is alone"
        );
    }

    /// For how many seconds of an hour each slow receiver blocks a lane, when all have events at
    /// all times.
    fn held_up_s_by(slow: &[(i64, bool)]) -> Vec<i64> {
        let mut lane = Lane::default();
        let name = |n: usize| ClientId::new(format!("slow-{n}"));
        let (mut now_ms, mut turn) = (0, 0);
        let mut held_up_s = vec![0; slow.len()];
        while now_ms < 3_600_000 {
            // One after the other, which is worse than in parallel.
            turn = (turn + 1) % slow.len();
            let (took_ms, hangs) = slow[turn];
            if lane.asking(&name(turn), now_ms) == Asking::Now {
                now_ms += took_ms;
                held_up_s[turn] += took_ms / 1_000;
                lane.waited_for(&name(turn), took_ms, hangs, now_ms);
            } else {
                now_ms += 100;
            }
        }
        held_up_s
    }

    #[test]
    fn of_3600_fast_events_one_a_second_half_find_the_lane_free_however_many_receivers_are_slow() {
        let (slow, hangs) = ((7_000, false), (15_000, true));
        for (receivers, at_most) in [
            (vec![hangs], 3_600 / 4),
            (vec![slow], 3_600 / 2),
            (vec![slow; 2], 3_600 / 2),
            (vec![hangs; 4], 3_600 / 2),
            (vec![slow, hangs, slow, hangs, hangs], 3_600 / 2),
            (vec![hangs; 40], 3_600 / 2),
        ] {
            let held_up_s = held_up_s_by(&receivers);
            let all: i64 = held_up_s.iter().sum();
            // Each is called once before it is known to be slow, and again before all the others
            // are.
            let at_first: i64 = receivers.iter().map(|(took_ms, _)| took_ms / 500).sum();
            assert!(all <= at_most + at_first, "{receivers:?}: {held_up_s:?}");
            // None takes what is another's.
            let least = at_most / i64::try_from(receivers.len()).unwrap() / 2;
            assert!(
                held_up_s.iter().all(|held_s| *held_s >= least),
                "{receivers:?}: {held_up_s:?}"
            );
        }
    }

    /// The answers at these ages, in seconds; when the last of them came the webhook ended or did
    /// not.
    fn ends_after(answers: &[(i64, &str)]) -> bool {
        let mut last: Option<LastAnswer> = None;
        let mut ends = false;
        for (age_s, answer) in answers {
            let now = UnixSeconds(1_000_000 + age_s);
            if let Some(next) = LastAnswer::after(last.as_ref(), answer, now) {
                last = Some(next);
            }
            let run = last.as_ref().and_then(|last| last.gone);
            ends = run.is_some_and(|run| run.ends_the_webhook(now));
        }
        ends
    }

    #[test]
    fn one_410_or_a_thousand_within_a_moment_do_not_end_a_webhook() {
        assert!(!ends_after(&[(0, "410")]));
        let burst: Vec<(i64, &str)> = (0..1_000).map(|age_s| (age_s, "410")).collect();
        assert!(!ends_after(&burst));
    }

    #[test]
    fn a_webhook_ends_when_its_receiver_says_410_and_nothing_else_for_six_hours() {
        let hour = 3_600;
        let hourly: Vec<(i64, &str)> = (0..=6).map(|n| (n * hour, "410")).collect();
        assert!(ends_after(&hourly));
        assert!(!ends_after(&hourly[..6]), "five hours are too few");
        // One event alone, on its ladder: the fourth that counts comes after seven and a half
        // hours.
        let ladder = [0, 5, 305, 2_105, 9_305, 27_305].map(|age_s| (age_s, "410"));
        assert!(ends_after(&ladder));
        assert!(!ends_after(&ladder[..5]));
        assert!(
            !ends_after(&[(0, "410"), (7 * hour, "410")]),
            "two are too few"
        );
    }

    #[test]
    fn any_other_answer_begins_the_six_hours_anew_and_silence_does_not() {
        let hour = 3_600;
        let with = |answer| {
            let mut answers: Vec<(i64, &str)> = (0..=6).map(|n| (n * hour, "410")).collect();
            answers.insert(3, (2 * hour + 1_800, answer));
            ends_after(&answers)
        };
        let ends_a_run = |answer| {
            let answer = LastAnswer::after(None, answer, UnixSeconds(0));
            answer.is_some_and(|answer| answer.ends_a_run())
        };
        for other in ["204", "404", "500", "301"] {
            assert!(!with(other) && ends_a_run(other), "{other}");
        }
        for silence in ["timed_out", "unreachable"] {
            assert!(with(silence) && !ends_a_run(silence), "{silence}");
        }
        assert!(!ends_a_run("410"));
    }

    #[test]
    fn an_answer_is_written_down_when_it_changes_and_once_a_minute() {
        let at = |age_s: i64| UnixSeconds(1_000_000 + age_s);
        let first = LastAnswer::after(None, "204", at(0)).unwrap();
        assert_eq!((first.at, first.since), (at(0), at(0)));
        assert_eq!(LastAnswer::after(Some(&first), "204", at(59)), None);
        let again = LastAnswer::after(Some(&first), "204", at(60)).unwrap();
        assert_eq!((again.at, again.since), (at(60), at(0)));
        let other = LastAnswer::after(Some(&again), "500", at(61)).unwrap();
        assert_eq!((other.at, other.since), (at(61), at(61)));
    }

    #[test]
    fn only_a_2xx_is_taken_and_only_a_410_says_that_the_receiver_is_gone() {
        for (status, meaning) in [
            (100, DeliveryResult::NotTaken),
            (200, DeliveryResult::Taken),
            (204, DeliveryResult::Taken),
            (299, DeliveryResult::Taken),
            (301, DeliveryResult::NotTaken),
            (307, DeliveryResult::NotTaken),
            (404, DeliveryResult::NotTaken),
            (410, DeliveryResult::Gone),
            (429, DeliveryResult::NotTaken),
            (500, DeliveryResult::NotTaken),
        ] {
            assert_eq!(DeliveryResult::with(status), meaning, "{status}");
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
