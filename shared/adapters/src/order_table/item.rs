//! How an order lies in the table.
//!
//! | attribute | holds |
//! |---|---|
//! | `pk`, `sk` | `order#<mchid>#<order_no>`, `order` |
//! | `order_no`, `client_id`, `product`, `appid`, `amount_fen`, `fingerprint` | what was asked for |
//! | `sealed_body` | WeChat Pay's prepay body, sealed by the fields key |
//! | `created_at`, `expires_at` | Unix seconds |
//! | `attempt_id`, `attempt_until`, `attempt_count` | the lease for calling WeChat Pay |
//! | `state`, `version` | where it stands, and after how many changes |
//! | `prepay` | JSON: value or signed parameters, with its expiry |
//! | `transaction_id`, `paid_at` | the booked payment |
//! | `early_events` | the events up to `awaiting_payment`; later ones are items of their own, `event#<version>` |
//! | `due_shard`, `due_at` | the sparse index of what the sweep looks at |
//! | `day_shard`, `day_id` | the index by Beijing day of payment |

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use payments::{
    due::Due,
    ids::{ClientId, OrderNo, TransactionId},
    journal::{Cause, Event},
    money::Fen,
    order::{Attempt, Fingerprint, Order, OrderState, Payment, Prepay, Product},
};
use wechatpay::UnixSeconds;

use super::{TableError, due_shard, number, text};

/// A DynamoDB item.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The item of a new order, its first event inside.
pub(super) fn write(order: &Order, pk: &str, event: &Event) -> Item {
    let mut item = Item::from([
        ("pk".to_owned(), text(pk)),
        ("sk".to_owned(), text("order")),
        ("order_no".to_owned(), text(order.order_no.as_str())),
        ("client_id".to_owned(), text(order.client_id.as_str())),
        ("product".to_owned(), text(order.product.name())),
        ("appid".to_owned(), text(&order.appid)),
        ("amount_fen".to_owned(), number(order.amount.get())),
        (
            "fingerprint".to_owned(),
            AttributeValue::B(Blob::new(order.fingerprint.0)),
        ),
        (
            "sealed_body".to_owned(),
            AttributeValue::B(Blob::new(order.sealed_body.clone())),
        ),
        ("created_at".to_owned(), number(order.created_at.0)),
        ("expires_at".to_owned(), number(order.expires_at.0)),
        ("attempt_id".to_owned(), text(&order.attempt.id)),
        ("attempt_until".to_owned(), number(order.attempt.until.0)),
        ("attempt_count".to_owned(), number(order.attempt.count)),
        ("state".to_owned(), text(order.state.name())),
        ("version".to_owned(), number(order.version)),
        ("trace".to_owned(), text(&order.trace)),
        (
            "early_events".to_owned(),
            AttributeValue::L(vec![event_map(event)]),
        ),
    ]);
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
        sealed_body: fields.bytes("sealed_body")?.to_vec(),
        created_at: UnixSeconds(fields.number("created_at")?),
        expires_at: UnixSeconds(fields.number("expires_at")?),
        attempt: Attempt {
            id: fields.text("attempt_id")?.to_owned(),
            until: UnixSeconds(fields.number("attempt_until")?),
            count: fields.number("attempt_count")?,
        },
        state: fields.state()?,
        version: fields.number("version")?,
        trace: fields.text("trace")?.to_owned(),
        due: fields.due()?,
    })
}

/// The events inside an item: an order's early ones, or the one that an `event#` item is.
pub(super) fn events(item: &Item) -> Result<Vec<Event>, TableError> {
    let fields = Fields { item };
    match item.get("early_events") {
        Some(AttributeValue::L(list)) => list
            .iter()
            .map(|value| {
                value
                    .as_m()
                    .map_err(|_| fields.damaged("early_events"))
                    .and_then(|map| event(&Fields { item: map }))
            })
            .collect(),
        Some(_) => Err(fields.damaged("early_events")),
        None if fields.text("sk")?.starts_with("event#") => Ok(vec![event(&fields)?]),
        None => Ok(Vec::new()),
    }
}

/// The item of a later event.
pub(super) fn event_item(pk: &str, event: &Event) -> Item {
    let mut item = event_attributes(event);
    item.insert("pk".to_owned(), text(pk));
    item.insert(
        "sk".to_owned(),
        text(format!("event#{:010}", event.version)),
    );
    item
}

/// An event as a value inside an order's item.
pub(super) fn event_map(event: &Event) -> AttributeValue {
    AttributeValue::M(event_attributes(event))
}

/// What caused a record, as one text: `notice:EV-1`.
pub(super) fn cause_text(cause: &Cause) -> String {
    let (kind, id) = cause_parts(cause);
    format!("{kind}:{id}")
}

/// A prepay value as one text. It cannot fail: the type holds strings and whole numbers only.
pub(super) fn prepay_text(prepay: &Prepay) -> String {
    serde_json::to_string(prepay).unwrap_or_default()
}

/// The order of a hit in the due index.
pub(super) fn due_key(item: &Item, pk_prefix: &str) -> Option<OrderNo> {
    let number = item.get("pk")?.as_s().ok()?.strip_prefix(pk_prefix)?;
    OrderNo::parse(number).ok()
}

fn event_attributes(event: &Event) -> Item {
    let (kind, id) = cause_parts(&event.cause);
    let mut item = Item::from([
        ("version".to_owned(), number(event.version)),
        ("to".to_owned(), text(&event.to)),
        ("cause_kind".to_owned(), text(kind)),
        ("cause_id".to_owned(), text(id)),
        ("at".to_owned(), number(event.at.0)),
        ("trace".to_owned(), text(&event.trace)),
    ]);
    if let Some(from) = &event.from {
        item.insert("from".to_owned(), text(from));
    }
    item
}

fn event(fields: &Fields<'_>) -> Result<Event, TableError> {
    let id = fields.text("cause_id")?.to_owned();
    let cause = match fields.text("cause_kind")? {
        "request" => Cause::Request(id),
        "message" => Cause::Message(id),
        "notice" => Cause::Notice(id),
        "sweep" => Cause::Sweep(id),
        _ => return Err(fields.damaged("cause_kind")),
    };
    Ok(Event {
        version: fields.number("version")?,
        from: fields.optional("from").map(str::to_owned),
        to: fields.text("to")?.to_owned(),
        cause,
        at: UnixSeconds(fields.number("at")?),
        trace: fields.text("trace")?.to_owned(),
    })
}

fn cause_parts(cause: &Cause) -> (&'static str, &str) {
    match cause {
        Cause::Request(id) => ("request", id),
        Cause::Message(id) => ("message", id),
        Cause::Notice(id) => ("notice", id),
        Cause::Sweep(id) => ("sweep", id),
    }
}

/// An item's attributes by name and type; what is missing or of another type is named in the error.
struct Fields<'a> {
    item: &'a Item,
}

impl<'a> Fields<'a> {
    fn damaged(&self, attribute: &'static str) -> TableError {
        TableError::Damaged {
            order_no: self.optional("order_no").unwrap_or("?").to_owned(),
            attribute,
        }
    }

    fn optional(&self, name: &str) -> Option<&'a str> {
        self.item.get(name)?.as_s().ok().map(String::as_str)
    }

    fn text(&self, name: &'static str) -> Result<&'a str, TableError> {
        self.optional(name).ok_or_else(|| self.damaged(name))
    }

    fn parsed<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, TableError> {
        parse(self.text(name)?).ok_or_else(|| self.damaged(name))
    }

    fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, TableError> {
        let number = self.item.get(name).and_then(|value| value.as_n().ok());
        number
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| self.damaged(name))
    }

    fn bytes(&self, name: &'static str) -> Result<&'a [u8], TableError> {
        let blob = self.item.get(name).and_then(|value| value.as_b().ok());
        blob.map(AsRef::as_ref).ok_or_else(|| self.damaged(name))
    }

    fn payment(&self) -> Result<Payment, TableError> {
        Ok(Payment {
            transaction_id: self
                .parsed("transaction_id", |text| TransactionId::parse(text).ok())?,
            paid_at: UnixSeconds(self.number("paid_at")?),
        })
    }

    fn state(&self) -> Result<OrderState, TableError> {
        Ok(match self.text("state")? {
            "reserved" => OrderState::Reserved,
            "awaiting_payment" => OrderState::AwaitingPayment(
                self.parsed("prepay", |text| serde_json::from_str(text).ok())?,
            ),
            "paid" => OrderState::Paid(self.payment()?),
            "partially_refunded" => OrderState::PartiallyRefunded(self.payment()?),
            "refunded" => OrderState::Refunded(self.payment()?),
            "closing" => OrderState::Closing,
            "closed" => OrderState::Closed,
            "rejected" => OrderState::Rejected,
            "paid_after_close" => OrderState::PaidAfterClose(self.payment()?),
            _ => return Err(self.damaged("state")),
        })
    }

    fn due(&self) -> Result<Option<Due>, TableError> {
        let Some(shard) = self.optional("due_shard") else {
            return Ok(None);
        };
        let shard = shard
            .strip_prefix("due#")
            .and_then(|shard| shard.parse().ok())
            .ok_or_else(|| self.damaged("due_shard"))?;
        Ok(Some(Due {
            shard,
            at: UnixSeconds(self.number("due_at")?),
        }))
    }
}
