//! Webhooks: what is sent to a merchant's system, what its answer means, and when it is sent again.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};
use wechatpay::{UnixSeconds, time::format_rfc3339_beijing};

use crate::model::{
    decision::OperatorDecision,
    ids::{ClientId, OrderNo},
    trace::{SpanOf, read_trace, span_id},
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

/// An event that is older, in seconds, may have had attempts before: a stored copy of it is
/// searched for.
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
    replay || attempt > 1 || now.since(event.at) >= FRESH_S
}

/// Minimum pause for a receiver that did not answer in time, in seconds. An attempt waits up to 15
/// s and blocks its batch. With this pause a hanging receiver uses at most a quarter of each lane.
const HANGS_PAUSE_MS: i64 = 45_000;

/// A receiver that takes this long to answer is slow, in milliseconds. A faster one leaves room:
/// five lanes of ten events still carry 17 a second. A receiver in its pause is still called for an
/// event's last attempt, since SQS counts each receipt and would not show the message again. If
/// earlier last attempts have made the pause longer than a single one, it gets this time-out: it
/// has had its share of the lane, and what it does not take is kept for 90 days and can be sent
/// again.
pub const SLOW_MS: i64 = 3_000;

/// Upper limit of a wait, in milliseconds. A clock that was set meanwhile may show a longer one.
const WAITED_MS_MAX: i64 = 15_000;

/// How long a receiver counts as slow, in milliseconds: an hour.
const COUNTED_MS: i64 = 3_600_000;

/// The receivers that were slow in one lane, and the end of each one's pause. A lane processes one
/// batch at a time, so waiting for one receiver blocks the whole batch.
///
/// All slow receivers together get one half of the lane, in equal shares: a single one is paused
/// for as long as it took, two for three times as long, three for five times. So no receiver can
/// use another's share, and the other half is for those that are not slow. A receiver that is not
/// known to be slow is called at any time.
#[derive(Clone, Debug, Default)]
pub struct Lane(HashMap<ClientId, Pause>);

/// The pause of a slow receiver.
#[derive(Clone, Copy, Debug)]
struct Pause {
    /// When it was last waited for (Unix milliseconds).
    waited_ms: i64,
    /// End of its pause (Unix milliseconds).
    until_ms: i64,
    /// How long a single pause is, in milliseconds. While it lasts, one that last attempts add does
    /// not make it shorter: receivers that were slow when it began need no share any more.
    pause_ms: i64,
}

/// How a lane treats a receiver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CallTime {
    /// It is asked.
    Now,
    /// It is left alone.
    Later {
        /// For this many milliseconds more.
        left_ms: i64,
        /// Whether an event's last attempt may wait for it as long as any other: the pause only
        /// becomes longer by that. Not while it already is longer than a single one.
        may_wait: bool,
    },
}

impl Lane {
    /// How to treat a client's receiver at `now_ms`.
    pub fn call_time(&self, client_id: &ClientId, now_ms: i64) -> CallTime {
        let left_ms = |pause: &Pause| pause.until_ms.saturating_sub(now_ms);
        let pause = self.0.get(client_id).filter(|pause| left_ms(pause) > 0);
        pause.map_or(CallTime::Now, |pause| CallTime::Later {
            left_ms: left_ms(pause),
            may_wait: left_ms(pause) <= pause.pause_ms,
        })
    }

    /// Records a wait for a client's receiver until `now_ms`; `asked` is how the lane treated it
    /// when the wait began. The rest of a pause is added to the new one, so that last attempts take
    /// no more than their share either. An attempt beyond that share was cut short: without an
    /// answer it proves nothing, and the pause stays as it is.
    pub fn waited_for(
        &mut self,
        client_id: &ClientId,
        took_ms: i64,
        hangs: bool,
        asked: CallTime,
        now_ms: i64,
    ) {
        if !hangs && took_ms < SLOW_MS {
            self.0.remove(client_id);
            return;
        }
        let was_cut_short = match asked {
            CallTime::Later { may_wait, .. } => !may_wait,
            CallTime::Now => false,
        };
        if hangs
            && was_cut_short
            && let Some(pause) = self.0.get_mut(client_id)
        {
            pause.waited_ms = now_ms;
            return;
        }
        self.0
            .retain(|_, pause| now_ms.saturating_sub(pause.waited_ms) < COUNTED_MS);
        let others = self.0.keys().filter(|known| *known != client_id).count();
        let others = i64::try_from(others).unwrap_or(i64::MAX);
        // There are twice as many shares as slow receivers; one is its own.
        let shares_of_others = others.saturating_mul(2).saturating_add(1);
        let wait_ms = took_ms.clamp(0, WAITED_MS_MAX);
        let mut pause_ms = wait_ms.saturating_mul(shares_of_others);
        if hangs {
            pause_ms = pause_ms.max(HANGS_PAUSE_MS);
        }
        let known = self.0.get(client_id);
        let known_ms = known.map_or(0, |known| known.until_ms);
        let (owed_ms, single_ms) = match asked {
            CallTime::Later { left_ms, may_wait } => (
                if may_wait { left_ms } else { 0 },
                known.map_or(pause_ms, |known| known.pause_ms.max(pause_ms)),
            ),
            CallTime::Now => (0, pause_ms),
        };
        let until_ms = now_ms.saturating_add(pause_ms.saturating_add(owed_ms).min(COUNTED_MS));
        let pause = Pause {
            waited_ms: now_ms,
            until_ms: until_ms.max(known_ms),
            pause_ms: single_ms,
        };
        self.0.insert(client_id.clone(), pause);
    }
}

/// What a receiver's answer means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeliveryResult {
    /// It has the event.
    Accepted,
    /// 410 Gone: it wants no more events. A deployment or a proxy may answer so briefly, so only
    /// [`GoneRun::ends_the_webhook`] decides.
    Gone,
    /// Anything else: it is called again. This includes redirects: following one would let others
    /// control where events go.
    Failed,
}

impl DeliveryResult {
    /// Reads the status of an HTTP answer.
    pub fn with(status: u16) -> Self {
        match status {
            200..=299 => Self::Accepted,
            410 => Self::Gone,
            _ => Self::Failed,
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
            Some(run) if now.since(run.counted_at) < Self::COUNTED_EVERY_S => run,
            Some(run) => Self {
                counted_at: now,
                count: run.count.saturating_add(1),
                ..run
            },
        }
    }

    /// Whether the receiver counts as gone at `now`.
    pub fn ends_the_webhook(&self, now: UnixSeconds) -> bool {
        self.count >= Self::LEAST_COUNT && now.since(self.since) >= Self::LEAST_S
    }
}

/// A time in which a receiver takes nothing, whatever it answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FailingRun {
    /// When it began, by our clock.
    pub since: UnixSeconds,
    /// When it was reported to an operator.
    pub reported_at: Option<UnixSeconds>,
}

impl FailingRun {
    /// How long a receiver takes nothing until it is reported to an operator, in seconds: half an
    /// hour. A deployment is shorter.
    pub const TOLD_AFTER_S: i64 = 1_800;
    /// Failures that are this far apart, in seconds, are not one run: the last one may have been
    /// an event's last attempt, after which nothing was sent. Longer than the longest time between
    /// two attempts.
    const GAP_S: i64 = 43_200;

    /// The run with another failure at `now`.
    fn and_another(last: Option<&LastAnswer>, now: UnixSeconds) -> Self {
        let goes_on = |last: &&LastAnswer| !last.is_taken() && now.since(last.at) < Self::GAP_S;
        // Earlier versions stored no run: it is at least as long as the last answer.
        let of_last = |last: &LastAnswer| {
            last.failing.unwrap_or(Self {
                since: last.since,
                reported_at: None,
            })
        };
        let run = last.filter(goes_on).map(of_last).unwrap_or(Self {
            since: now,
            reported_at: None,
        });
        let is_long = now.since(run.since) >= Self::TOLD_AFTER_S;
        Self {
            reported_at: run.reported_at.or(is_long.then_some(now)),
            ..run
        }
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
    /// The failures that it ends with; `None` if the receiver took the event.
    pub failing: Option<FailingRun>,
}

impl LastAnswer {
    /// The same answer is stored again only after this many seconds.
    const WRITTEN_EVERY_S: i64 = 60;

    /// What to store after an answer at `now`; `None` if it was stored recently. Any answer other
    /// than 410 ends a run of 410s; a missing answer does not.
    pub fn after(last: Option<&Self>, answer: &str, now: UnixSeconds) -> Option<Self> {
        let same = last.filter(|last| last.answer == answer);
        let written_s = same.map(|same| now.since(same.at));
        if written_s.is_some_and(|age_s| age_s < Self::WRITTEN_EVERY_S) {
            return None;
        }
        let run = last.and_then(|last| last.gone);
        let gone = match meaning_of(answer) {
            Some(DeliveryResult::Gone) => Some(GoneRun::and_another(run, now)),
            Some(DeliveryResult::Accepted | DeliveryResult::Failed) => None,
            None => run,
        };
        let failing = match meaning_of(answer) {
            Some(DeliveryResult::Accepted) => None,
            Some(DeliveryResult::Gone | DeliveryResult::Failed) | None => {
                Some(FailingRun::and_another(last, now))
            }
        };
        Some(Self {
            answer: answer.to_owned(),
            at: now,
            since: same.map_or(now, |same| same.since),
            gone,
            failing,
        })
    }

    /// The run of failures to report to an operator with this answer; `None` if there is none, or
    /// it was reported with an earlier answer.
    pub fn to_report(&self) -> Option<FailingRun> {
        self.failing.filter(|run| run.reported_at == Some(self.at))
    }

    /// Whether the receiver took the event.
    pub fn is_taken(&self) -> bool {
        match meaning_of(&self.answer) {
            Some(DeliveryResult::Accepted) => true,
            Some(DeliveryResult::Gone | DeliveryResult::Failed) | None => false,
        }
    }

    /// Whether it ends a run of 410s, whatever else was answered at about the same time.
    pub fn ends_a_run(&self) -> bool {
        match meaning_of(&self.answer) {
            Some(DeliveryResult::Accepted | DeliveryResult::Failed) => true,
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
    /// The id under which the cause can be looked up.
    pub cause_id: String,
    /// When, by our clock (Unix seconds).
    #[serde(deserialize_with = "seconds")]
    pub at: UnixSeconds,
    /// The trace it happened under, as
    /// [`trace_text`](crate::model::trace::trace_text) writes it.
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

    /// The id of its trace.
    pub fn trace_id(&self) -> &str {
        read_trace(&self.trace).0
    }

    /// The `traceparent` of what comes of the event: sampled unless nobody wants the spans kept.
    pub fn traceparent(&self) -> String {
        let of = SpanOf::Event {
            order_no: &self.order_no,
            version: self.version,
        };
        let (trace_id, is_sampled) = read_trace(&self.trace);
        let flags = if is_sampled { "01" } else { "00" };
        format!("00-{trace_id}-{}-{flags}", span_id(trace_id, of))
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
            "trace_id": self.trace_id(),
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
mod tests;
