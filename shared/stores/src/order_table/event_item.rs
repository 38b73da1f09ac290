//! An event as it is stored: an item of its own, or attributes of the order's item.

use aws_sdk_dynamodb::types::AttributeValue;
use payments::{
    model::{
        decision::OperatorDecision,
        ids::{OrderNo, RefundNo, TransactionId},
        journal::{Cause, Delivery, Event, Subject},
        money::Fen,
        order::Order,
        order_refusal::OrderRefusal,
        trace::{read_trace, trace_text},
    },
    rules::webhook::OutgoingEvent,
};
use wechatpay::{RequestId, UnixSeconds};

use super::{error::TableError, fields::Fields};
use crate::attributes::{Item, number, text};

/// An event that is an item of its own.
pub(super) fn write(pk: &str, order: &Order, event: &Event, amount: Fen) -> Item {
    let mut item = event_attributes(&order.order_no, event);
    item.extend([
        ("pk".to_owned(), text(pk)),
        ("sk".to_owned(), text(event_sk(event.version))),
        ("client_id".to_owned(), text(order.client_id.as_str())),
        ("amount_fen".to_owned(), number(amount.get())),
    ]);
    item
}

/// The sort key of an event's item: sorted by text, events are sorted by version.
pub(super) fn event_sk(version: u64) -> String {
    format!("event#{version:010}")
}

/// An event as it is sent to the merchant's systems. `item` is the item that holds it: the amount
/// is that of the changed subject.
pub(super) fn outgoing(
    item: &Item,
    order: &Order,
    event: &Event,
) -> Result<OutgoingEvent, TableError> {
    let fields = Fields { item };
    Ok(OutgoingEvent {
        order_no: order.order_no.clone(),
        client_id: order.client_id.clone(),
        version: event.version,
        subject: event.subject.kind().to_owned(),
        subject_id: event.subject.id(&order.order_no).to_owned(),
        from: event.from.clone().unwrap_or_default(),
        to: event.to.clone(),
        amount_fen: fields.number("amount_fen")?,
        cause_kind: event.cause.kind().to_owned(),
        cause_id: event.cause.id().to_owned(),
        at: event.at,
        trace: trace_text(&event.trace, event.is_sampled),
        decision: event.decision.clone(),
    })
}

/// An event as a value inside the item of an order of an earlier version.
pub(super) fn event_map(event: &Event) -> AttributeValue {
    let mut map = event_attributes_alone(event);
    map.insert("subject".to_owned(), text(event.subject.kind()));
    AttributeValue::M(map)
}

/// What caused a record, as one text: `notice:EV-1`.
pub(super) fn cause_text(cause: &Cause) -> String {
    format!("{}:{}", cause.kind(), cause.id())
}

/// An event with what it is about.
pub(super) fn event_attributes(order_no: &OrderNo, event: &Event) -> Item {
    let mut item = event_attributes_alone(event);
    item.extend([
        ("order_no".to_owned(), text(order_no.as_str())),
        ("subject".to_owned(), text(event.subject.kind())),
        ("subject_id".to_owned(), text(event.subject.id(order_no))),
        (DECISION.to_owned(), text(decision_text(event))),
    ]);
    item
}

/// The attribute with an event's decision. Events of earlier versions have none.
pub(super) const DECISION: &str = "decision";

/// Never left out: what maps the stream to events takes a text from each.
pub(super) fn decision_text(event: &Event) -> String {
    let decision = event.decision.as_ref();
    decision.map_or_else(String::new, OperatorDecision::to_text)
}

fn event_attributes_alone(event: &Event) -> Item {
    let mut item = Item::from([
        ("version".to_owned(), number(event.version)),
        (
            "from".to_owned(),
            text(event.from.as_deref().unwrap_or_default()),
        ),
        ("to".to_owned(), text(&event.to)),
        ("cause_kind".to_owned(), text(event.cause.kind())),
        ("cause_id".to_owned(), text(event.cause.id())),
        ("at".to_owned(), number(event.at.0)),
        (
            "trace".to_owned(),
            text(trace_text(&event.trace, event.is_sampled)),
        ),
    ]);
    if let Some(timing) = timing_text(event) {
        item.insert(TIMING.to_owned(), text(timing));
    }
    if let Some(request_id) = &event.request_id {
        item.insert(WECHAT_REQUEST_ID.to_owned(), text(request_id.as_str()));
    }
    if let Some(refusal) = &event.refusal {
        item.insert(REFUSAL_CODE.to_owned(), text(&refusal.code));
        item.insert(REFUSAL_MESSAGE.to_owned(), text(&refusal.message));
    }
    if let Some(at) = event.next_try_at {
        item.insert(NEXT_TRY_AT.to_owned(), number(at.0));
    }
    item
}

/// The attribute with the millisecond of an event, and how its message was delivered:
/// `version.millisecond`, and of a message `.queued_ms.worked_ms`, and `.received` if it came more
/// than once. Events of earlier versions have none. It names the version, since an earlier version
/// that embeds its own event in an order leaves here what the event before it had.
pub(super) const TIMING: &str = "ms";

pub(super) fn timing_text(event: &Event) -> Option<String> {
    let millisecond = event.millisecond?;
    let mut text = format!("{}.{millisecond}", event.version);
    if let Some(delivery) = &event.delivery {
        text.push_str(&format!(".{}.{}", delivery.queued_ms, delivery.worked_ms));
        if delivery.received > 1 {
            text.push_str(&format!(".{}", delivery.received));
        }
    }
    Some(text)
}

/// The same of the event of this version, read again.
pub(super) fn timing(stored: Option<&str>, version: u64) -> (Option<u16>, Option<Delivery>) {
    let read = |stored: &str| {
        let mut parts = stored.split('.');
        let of_version: u64 = parts.next()?.parse().ok()?;
        let millisecond: u16 = parts.next()?.parse().ok()?;
        let mut number = || parts.next()?.parse().ok();
        let delivery = number()
            .zip(number())
            .map(|(queued_ms, worked_ms)| Delivery {
                queued_ms,
                worked_ms,
                received: number().unwrap_or(1),
            });
        (of_version == version).then_some((Some(millisecond), delivery))
    };
    stored.and_then(read).unwrap_or_default()
}

/// The attribute with the `Request-ID` of an event that WeChat Pay reported. Events of earlier
/// versions have none.
pub(super) const WECHAT_REQUEST_ID: &str = "wechat_request_id";

/// The attribute with the time of a refund's next call to WeChat Pay, on its event. Events of
/// earlier versions have none.
const NEXT_TRY_AT: &str = "next_try_at";

/// The attribute with WeChat Pay's error code, on a rejected order and on its event.
const REFUSAL_CODE: &str = "refusal_code";

/// The attribute with WeChat Pay's message, on the same two.
const REFUSAL_MESSAGE: &str = "refusal_message";

/// The event in an item's attributes, or in a map inside one.
pub(super) fn event(fields: &Fields<'_>) -> Result<Event, TableError> {
    let cause = Cause::of(
        fields.text("cause_kind")?,
        fields.text("cause_id")?.to_owned(),
    )
    .ok_or_else(|| fields.damaged("cause_kind"))?;
    let subject = match fields.text("subject")? {
        "order" => Subject::Order,
        "refund" => {
            Subject::Refund(fields.parsed("subject_id", |text| RefundNo::parse(text).ok())?)
        }
        "payment" => {
            Subject::Payment(fields.parsed("subject_id", |text| TransactionId::parse(text).ok())?)
        }
        _ => return Err(fields.damaged("subject")),
    };
    let version = fields.number("version")?;
    let (trace, is_sampled) = read_trace(fields.text("trace")?);
    let (millisecond, delivery) = timing(fields.optional(TIMING), version);
    Ok(Event {
        version,
        subject,
        from: Some(fields.text("from")?)
            .filter(|from| !from.is_empty())
            .map(str::to_owned),
        to: fields.text("to")?.to_owned(),
        cause,
        at: UnixSeconds(fields.number("at")?),
        millisecond,
        delivery,
        trace: trace.to_owned(),
        is_sampled,
        request_id: fields.optional(WECHAT_REQUEST_ID).and_then(RequestId::read),
        refusal: fields.refusal(),
        next_try_at: fields
            .item
            .contains_key(NEXT_TRY_AT)
            .then(|| fields.number(NEXT_TRY_AT).map(UnixSeconds))
            .transpose()?,
        decision: fields
            .optional(DECISION)
            .and_then(OperatorDecision::of_text),
    })
}

impl Fields<'_> {
    /// Items of earlier versions have none.
    pub(super) fn refusal(&self) -> Option<OrderRefusal> {
        Some(OrderRefusal {
            code: self.optional(REFUSAL_CODE)?.to_owned(),
            message: self.optional(REFUSAL_MESSAGE)?.to_owned(),
        })
    }
}
