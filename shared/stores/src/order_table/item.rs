//! How an order is stored.
//!
//! | attribute | holds |
//! |---|---|
//! | `pk`, `sk` | `order#<mchid>#<order_no>`, `order` |
//! | `order_no`, `client_id`, `product`, `appid`, `amount_fen`, `fingerprint` | what was asked for |
//! | `sealed_body` | WeChat Pay's prepay body, sealed by the fields key; absent once no further call can need it |
//! | `created_at`, `expires_at` | Unix seconds |
//! | `attempt_id`, `attempt_until`, `attempt_count` | the lease for calling WeChat Pay; absent at the order's end |
//! | `state`, `version` | where it stands, and after how many changes |
//! | `issued` | true once it had a prepay value |
//! | `rejected_for` | why it was rejected; absent on one that an earlier version rejected: WeChat Pay refused it |
//! | `refusal_code`, `refusal_message` | in which words WeChat Pay refused it; also on the event. Neither leaves the table by its stream |
//! | `prepay` | JSON: value or signed parameters, with its expiry |
//! | `transaction_id`, `paid_at` | the booked payment |
//! | `refund_committed_fen`, `refunded_fen`, `refund_count`, `next_refund_at` | what is given back of it |
//! | `subject`, `subject_id`, `from`, `to`, `cause_kind`, `cause_id`, `at`, `trace`, `decision`, `wechat_request_id` | the latest event that the item embeds, for the stream too |
//! | `event_version`, `early_events` | its version, and the embedded events before it (embedded.rs); other events are items of their own, `event#<version>` |
//! | `due_shard`, `due_at` | the sparse index of what the sweep looks at |
//! | `day_shard`, `day_id` | the index by Beijing day of payment; it carries what day_index.rs says |
//!
//! The table's stream publishes the attributes that an event's item and an order's item both have:
//! `order_no`, `client_id`, `version`, `subject`, `subject_id`, `from` (empty for none), `to`,
//! `amount_fen`, `cause_kind`, `cause_id`, `at`, `trace`, `decision` (an operator's decision as one
//! text; empty for none).

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use payments::{
    model::{
        decision::OperatorDecision,
        fingerprint::Fingerprint,
        ids::{ClientId, OrderNo, RefundNo, TransactionId},
        journal::{Cause, Event, Subject},
        money::Fen,
        next_check::NextCheck,
        order::{IssueLease, Order, OrderState, Payment, Prepay, Product, RefundTally, Rejection},
        order_refusal::OrderRefusal,
        parked::{ParkedPayment, ParkedState},
    },
    rules::webhook::OutgoingEvent,
};
use wechatpay::{RequestId, UnixSeconds};

use crate::attributes::{Item, number, text};

use super::{
    embedded::{self, EARLY_EVENTS, EVENT_VERSION},
    error::TableError,
    fields::Fields,
    keys::{ORDER_SK, due_shard},
};

/// The item of a new order, its first event inside.
pub(super) fn write(order: &Order, pk: &str, event: &Event) -> Item {
    let mut item = event_attributes(&order.order_no, event);
    item.extend([
        ("pk".to_owned(), text(pk)),
        ("sk".to_owned(), text(ORDER_SK)),
        ("client_id".to_owned(), text(order.client_id.as_str())),
        ("product".to_owned(), text(order.product.name())),
        ("appid".to_owned(), text(&order.appid)),
        ("amount_fen".to_owned(), number(order.amount.get())),
        (
            "fingerprint".to_owned(),
            AttributeValue::B(Blob::new(order.fingerprint.0)),
        ),
        ("created_at".to_owned(), number(order.created_at.0)),
        ("expires_at".to_owned(), number(order.expires_at.0)),
        ("attempt_id".to_owned(), text(&order.issue_lease.id)),
        (
            "attempt_until".to_owned(),
            number(order.issue_lease.until.0),
        ),
        ("attempt_count".to_owned(), number(order.issue_lease.count)),
        ("state".to_owned(), text(order.state.name())),
        ("version".to_owned(), number(order.version)),
    ]);
    if let Some(body) = &order.sealed_body {
        let body = AttributeValue::B(Blob::new(body.clone()));
        item.insert("sealed_body".to_owned(), body);
    }
    let early = match &order.latest_event {
        Some(latest) => {
            item.insert(EVENT_VERSION.to_owned(), number(latest.version));
            Vec::new()
        }
        None => vec![event_map(event)],
    };
    item.insert(EARLY_EVENTS.to_owned(), AttributeValue::L(early));
    if let OrderState::AwaitingPayment(prepay) = &order.state {
        item.insert("prepay".to_owned(), text(prepay_text(prepay)));
    }
    if let Some(payment) = order.state.payment() {
        item.insert(
            "transaction_id".to_owned(),
            text(payment.transaction_id.as_str()),
        );
        item.insert("paid_at".to_owned(), number(payment.paid_at.0));
    }
    if let Some(due) = order.due {
        item.insert("due_shard".to_owned(), text(due_shard(due.shard)));
        item.insert("due_at".to_owned(), number(due.at.0));
    }
    item
}

/// Reads an order's item.
pub(super) fn read(item: &Item) -> Result<Order, TableError> {
    let fields = Fields { item };
    Ok(Order {
        order_no: fields.parsed("order_no", |text| OrderNo::parse(text).ok())?,
        client_id: ClientId::new(fields.text("client_id")?),
        product: fields.parsed("product", Product::named)?,
        appid: fields.text("appid")?.to_owned(),
        amount: Fen::new(fields.number("amount_fen")?)
            .ok_or_else(|| fields.damaged("amount_fen"))?,
        fingerprint: Fingerprint(
            fields
                .bytes("fingerprint")?
                .try_into()
                .map_err(|_| fields.damaged("fingerprint"))?,
        ),
        sealed_body: fields.optional_bytes("sealed_body").map(<[u8]>::to_vec),
        created_at: UnixSeconds(fields.number("created_at")?),
        expires_at: UnixSeconds(fields.number("expires_at")?),
        issue_lease: fields.issue_lease()?,
        issued: item.contains_key("issued"),
        state: fields.state()?,
        refunds: fields.refunds()?,
        version: fields.number("version")?,
        latest_event: embedded::latest(&fields)?,
        due: fields.due()?,
    })
}

/// The events inside an item: those that an order embeds, or the one that an `event#` item is.
pub(super) fn events(item: &Item) -> Result<Vec<Event>, TableError> {
    let fields = Fields { item };
    if fields.text("sk")?.starts_with("event#") {
        return Ok(vec![event(&fields)?]);
    }
    embedded::events(&fields)
}

/// The item of a later event.
pub(super) fn event_item(pk: &str, order: &Order, event: &Event, amount: Fen) -> Item {
    let mut item = event_attributes(&order.order_no, event);
    item.extend([
        ("pk".to_owned(), text(pk)),
        ("sk".to_owned(), text(event_sk(event.version))),
        ("client_id".to_owned(), text(order.client_id.as_str())),
        ("amount_fen".to_owned(), number(amount.get())),
    ]);
    item
}

/// The sort key of a later event: sorted by text, events are sorted by version.
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
        trace: event.trace.clone(),
        decision: event.decision.clone(),
    })
}

/// An event as a value inside the item of an order of an earlier version.
pub(super) fn event_map(event: &Event) -> AttributeValue {
    let mut map = event_attributes_alone(event);
    map.insert("subject".to_owned(), text(event.subject.kind()));
    AttributeValue::M(map)
}

/// Reads a parked payment's item.
pub(super) fn parked_payment(item: &Item) -> Result<ParkedPayment, TableError> {
    let fields = Fields { item };
    let reason = fields.text("reason")?;
    Ok(ParkedPayment {
        transaction_id: fields.parsed("transaction_id", |text| TransactionId::parse(text).ok())?,
        amount: fields.fen("amount_fen")?,
        paid_at: UnixSeconds(fields.number("paid_at")?),
        // Another currency, merchant or appid: our refund cannot return it. What was refunded
        // elsewhere already is not to be refunded again.
        refundable: ["second_payment", "amount"].contains(&reason),
        state: fields.parsed("state", ParkedState::named)?,
    })
}

/// What caused a record, as one text: `notice:EV-1`.
pub(super) fn cause_text(cause: &Cause) -> String {
    format!("{}:{}", cause.kind(), cause.id())
}

/// A prepay value as one text. It cannot fail: the type holds strings and whole numbers only.
pub(super) fn prepay_text(prepay: &Prepay) -> String {
    serde_json::to_string(prepay).unwrap_or_default()
}

/// An event with what it is about.
fn event_attributes(order_no: &OrderNo, event: &Event) -> Item {
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
const DECISION: &str = "decision";

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
        ("trace".to_owned(), text(&event.trace)),
    ]);
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

/// The attribute with the `Request-ID` of an event that WeChat Pay reported. Events of earlier
/// versions have none.
pub(super) const WECHAT_REQUEST_ID: &str = "wechat_request_id";
/// The attribute with the time of a refund's next call to WeChat Pay, on its event. Events of
/// earlier versions have none.
const NEXT_TRY_AT: &str = "next_try_at";
/// The attribute with WeChat Pay's error code, on a rejected order and on its event.
pub(super) const REFUSAL_CODE: &str = "refusal_code";
/// The attribute with WeChat Pay's message, on the same two.
pub(super) const REFUSAL_MESSAGE: &str = "refusal_message";

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
    Ok(Event {
        version: fields.number("version")?,
        subject,
        from: Some(fields.text("from")?)
            .filter(|from| !from.is_empty())
            .map(str::to_owned),
        to: fields.text("to")?.to_owned(),
        cause,
        at: UnixSeconds(fields.number("at")?),
        trace: fields.text("trace")?.to_owned(),
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
    fn payment(&self) -> Result<Payment, TableError> {
        Ok(Payment {
            transaction_id: self
                .parsed("transaction_id", |text| TransactionId::parse(text).ok())?,
            paid_at: UnixSeconds(self.number("paid_at")?),
        })
    }

    /// Items of earlier versions have none.
    fn refusal(&self) -> Option<OrderRefusal> {
        Some(OrderRefusal {
            code: self.optional(REFUSAL_CODE)?.to_owned(),
            message: self.optional(REFUSAL_MESSAGE)?.to_owned(),
        })
    }

    fn state(&self) -> Result<OrderState, TableError> {
        Ok(match self.text("state")? {
            "reserved" => OrderState::Reserved,
            "awaiting_payment" => OrderState::AwaitingPayment(
                self.parsed("prepay", |text| Prepay::stored(text).ok())?,
            ),
            "paid" => OrderState::Paid(self.payment()?),
            "partially_refunded" => OrderState::PartiallyRefunded(self.payment()?),
            "refunded" => OrderState::Refunded(self.payment()?),
            "closing" => OrderState::Closing,
            "closed" => OrderState::Closed,
            "rejected" => OrderState::Rejected(match self.optional("rejected_for") {
                Some(_) => self.parsed("rejected_for", |name| {
                    Rejection::named(name, self.refusal())
                })?,
                None => Rejection::Refused(None),
            }),
            "paid_after_close" => OrderState::PaidAfterClose(self.payment()?),
            _ => return Err(self.damaged("state")),
        })
    }

    /// An order that came to its end has none.
    fn issue_lease(&self) -> Result<IssueLease, TableError> {
        let Some(id) = self.optional("attempt_id") else {
            return Ok(IssueLease::none(String::new()));
        };
        Ok(IssueLease {
            id: id.to_owned(),
            until: UnixSeconds(self.number("attempt_until")?),
            count: self.number("attempt_count")?,
        })
    }

    /// An order without refunds has no such attributes.
    fn refunds(&self) -> Result<RefundTally, TableError> {
        if !self.item.contains_key("refund_count") {
            return Ok(RefundTally::NONE);
        }
        Ok(RefundTally {
            committed_fen: self.number("refund_committed_fen")?,
            refunded_fen: self.number("refunded_fen")?,
            count: self.number("refund_count")?,
            next_at: UnixSeconds(self.number("next_refund_at")?),
        })
    }

    pub(super) fn due(&self) -> Result<Option<NextCheck>, TableError> {
        let Some(shard) = self.optional("due_shard") else {
            return Ok(None);
        };
        let shard = shard
            .strip_prefix("due#")
            .and_then(|shard| shard.parse().ok())
            .ok_or_else(|| self.damaged("due_shard"))?;
        Ok(Some(NextCheck {
            shard,
            at: UnixSeconds(self.number("due_at")?),
        }))
    }
}
