//! The events that an order's item embeds: those of changes of the order alone.
//!
//! The latest of them stands in the item's own attributes, from which the table's stream publishes
//! it; `event_version` is its version. Those before it are in `early_events`, oldest first, each as
//! one JSON text without what follows from the others. Short, since an item of more than 1 KB makes
//! each write of it dearer (`infra/COST.md`).

use aws_sdk_dynamodb::types::AttributeValue;
use payments::model::{
    decision::OperatorDecision,
    journal::{Cause, Event, Subject},
    order::Rejection,
    trace::{read_trace, trace_text},
};
use serde::{Deserialize, Serialize};
use strict_json::Null;
use wechatpay::{RequestId, UnixSeconds};

use super::{
    error::TableError,
    event_item::{
        TIMING, WECHAT_REQUEST_ID, cause_text, decision_text, event, event_map, timing, timing_text,
    },
    fields::Fields,
};
use crate::attributes::{number, text};

/// The version of the latest embedded event.
pub(super) const EVENT_VERSION: &str = "event_version";
/// The embedded events before the latest.
pub(super) const EARLY_EVENTS: &str = "early_events";

/// An event that others followed. Its subject is the order, and its state before is the state after
/// the event before it. It has no refusal: nothing embedded follows a rejection.
#[derive(Serialize, Deserialize)]
struct EarlyEvent {
    #[serde(rename = "v")]
    version: u64,
    to: String,
    /// The cause: `request:<id>`.
    by: String,
    /// Unix seconds.
    at: i64,
    /// The millisecond within that second.
    #[serde(rename = "m", skip_serializing_if = "Option::is_none")]
    millisecond: Option<u16>,
    /// How its message was delivered, if that was not at its first receipt: as in [`TIMING`]. A
    /// wait before the first receipt is the pause before the event, and not worth the room.
    #[serde(rename = "q", skip_serializing_if = "Option::is_none")]
    timing: Option<String>,
    trace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    wechat_request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<String>,
}

/// The part of an update that embeds an event.
pub(super) struct Embedding {
    /// Follows `SET` and at least one assignment. It names `#from`, `#to` and `#at`.
    pub(super) set: String,
    pub(super) values: Vec<(&'static str, AttributeValue)>,
    /// What the event before may have had and this one has not.
    pub(super) remove: Vec<&'static str>,
}

impl Embedding {
    /// Embeds `event` in an item whose latest event is `latest`. An item of an earlier version has
    /// none, and gets it as that version reads it.
    pub(super) fn new(latest: Option<&Event>, event: &Event) -> Self {
        let appended = latest.map_or_else(|| event_map(event), early);
        let mut set =
            ", early_events = list_append(early_events, :appended), #from = :was, #to = :becomes, \
             cause_kind = :cause_kind, cause_id = :cause_id, #at = :at, decision = :decision"
                .to_owned();
        let mut values = vec![
            (":appended", AttributeValue::L(vec![appended])),
            (":was", text(event.from.as_deref().unwrap_or_default())),
            (":becomes", text(&event.to)),
            (":cause_kind", text(event.cause.kind())),
            (":cause_id", text(event.cause.id())),
            (":at", number(event.at.0)),
            (":decision", text(decision_text(event))),
        ];
        let mut remove = Vec::new();
        if latest.is_some() {
            set.push_str(", event_version = :event_version, trace = :trace");
            values.push((":event_version", number(event.version)));
            let trace = trace_text(&event.trace, event.is_sampled);
            values.push((":trace", text(trace)));
            match &event.request_id {
                Some(request_id) => {
                    set.push_str(", wechat_request_id = :wechat_request_id");
                    values.push((":wechat_request_id", text(request_id.as_str())));
                }
                None => remove.push(WECHAT_REQUEST_ID),
            }
            match timing_text(event) {
                Some(timing) => {
                    set.push_str(", ms = :ms");
                    values.push((":ms", text(timing)));
                }
                None => remove.push(TIMING),
            }
        }
        Self {
            set,
            values,
            remove,
        }
    }
}

/// The latest embedded event; `None` for an item of an earlier version.
pub(super) fn latest(fields: &Fields<'_>) -> Result<Option<Event>, TableError> {
    if !fields.item.contains_key(EVENT_VERSION) {
        return Ok(None);
    }
    let event = event(fields)?;
    // Nothing embedded follows a rejection, so the order's state has its refusal, also one that is
    // no text of WeChat Pay's.
    let state = fields.state()?;
    let rejection = state
        .rejection()
        .filter(|_| event.to == state.name())
        .map(Rejection::refusal);
    // The item's `version` may be that of a later event, which is an item of its own.
    let version = fields.number(EVENT_VERSION)?;
    let (millisecond, delivery) = timing(fields.optional(TIMING), version);
    Ok(Some(Event {
        version,
        millisecond,
        delivery,
        refusal: rejection.or_else(|| event.refusal.clone()),
        ..event
    }))
}

/// All embedded events, oldest first.
pub(super) fn events(fields: &Fields<'_>) -> Result<Vec<Event>, TableError> {
    let mut events = Vec::new();
    match fields.item.get(EARLY_EVENTS) {
        Some(AttributeValue::L(list)) => {
            for value in list {
                events.push(read_early(fields, value, events.last())?);
            }
        }
        Some(_) => return Err(fields.damaged(EARLY_EVENTS)),
        None => {}
    }
    events.extend(latest(fields)?);
    Ok(events)
}

fn early(event: &Event) -> AttributeValue {
    let early = EarlyEvent {
        version: event.version,
        to: event.to.clone(),
        by: cause_text(&event.cause),
        at: event.at.0,
        millisecond: event.millisecond,
        timing: event
            .delivery
            .filter(|delivery| delivery.received > 1)
            .and_then(|_| timing_text(event)),
        trace: trace_text(&event.trace, event.is_sampled),
        wechat_request_id: event
            .request_id
            .as_ref()
            .map(|request_id| request_id.as_str().to_owned()),
        decision: event.decision.as_ref().map(OperatorDecision::to_text),
    };
    // It cannot fail: the type holds texts and whole numbers only.
    text(serde_json::to_string(&early).unwrap_or_default())
}

/// An item of an earlier version has maps with an event's attributes.
fn read_early(
    fields: &Fields<'_>,
    value: &AttributeValue,
    before: Option<&Event>,
) -> Result<Event, TableError> {
    let damaged = || fields.damaged(EARLY_EVENTS);
    if let Ok(map) = value.as_m() {
        return event(&Fields { item: map });
    }
    let stored = value.as_s().map_err(|_| damaged())?;
    let early: EarlyEvent =
        strict_json::read(stored.as_bytes(), Null::Absent).map_err(|_| damaged())?;
    let (kind, id) = early.by.split_once(':').ok_or_else(damaged)?;
    let (trace, is_sampled) = read_trace(&early.trace);
    Ok(Event {
        version: early.version,
        subject: Subject::Order,
        from: before.map(|before| before.to.clone()),
        to: early.to,
        cause: Cause::of(kind, id.to_owned()).ok_or_else(damaged)?,
        at: UnixSeconds(early.at),
        millisecond: early.millisecond,
        delivery: timing(early.timing.as_deref(), early.version).1,
        trace: trace.to_owned(),
        is_sampled,
        request_id: early.wechat_request_id.as_deref().and_then(RequestId::read),
        refusal: None,
        next_try_at: None,
        decision: early
            .decision
            .as_deref()
            .and_then(OperatorDecision::of_text),
    })
}
