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
//! | `ms` | its millisecond, and how its message was delivered (event_item.rs); it does not leave by the stream |
//! | `event_version`, `early_events` | its version, and the embedded events before it (embedded.rs); other events are items of their own, `event#<version>` |
//! | `due_shard`, `due_at` | the sparse index of what the sweep checks |
//! | `day_shard`, `day_id` | the index by Beijing day of payment; it carries what day_index.rs says |
//!
//! The table's stream publishes the attributes that an event's item and an order's item both have:
//! `order_no`, `client_id`, `version`, `subject`, `subject_id`, `from` (empty for none), `to`,
//! `amount_fen`, `cause_kind`, `cause_id`, `at`, `trace`, `decision` (an operator's decision as one
//! text; empty for none).

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use payments::model::{
    fingerprint::Fingerprint,
    ids::{ClientId, OrderNo, TransactionId},
    journal::Event,
    money::Fen,
    next_check::NextCheck,
    order::{IssueLease, Order, OrderState, Payment, Prepay, Product, RefundTally, Rejection},
    parked::{ParkedPayment, ParkedState},
};
use wechatpay::UnixSeconds;

use super::{
    embedded::{self, EARLY_EVENTS, EVENT_VERSION},
    error::TableError,
    event_item::{event, event_attributes, event_map},
    fields::Fields,
    keys::{ORDER_SK, due_shard},
};
use crate::attributes::{Item, number, text};

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

/// A prepay value as one text. It cannot fail: the type holds strings and whole numbers only.
pub(super) fn prepay_text(prepay: &Prepay) -> String {
    serde_json::to_string(prepay).unwrap_or_default()
}

impl Fields<'_> {
    fn payment(&self) -> Result<Payment, TableError> {
        Ok(Payment {
            transaction_id: self
                .parsed("transaction_id", |text| TransactionId::parse(text).ok())?,
            paid_at: UnixSeconds(self.number("paid_at")?),
        })
    }

    pub(super) fn state(&self) -> Result<OrderState, TableError> {
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
