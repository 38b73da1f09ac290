//! How a refund is stored.
//!
//! | attribute | holds |
//! |---|---|
//! | `pk`, `sk` | the order's `pk`, `refund#<refund_no>` |
//! | `order_no`, `refund_no`, `out_refund_no`, `transaction_id` | its numbers |
//! | `payment_kind` | `booked`, or `parked` for a payment that is not the order's booked one |
//! | `product` | the order's, for the totals of a day |
//! | `amount_fen`, `total_fen`, `reason`, `notify_url` | what goes to WeChat Pay, always as the same bytes |
//! | `fingerprint` | SHA-256 of what was asked for |
//! | `state` | where it stands; `succeeded_at` and `refused_code` with the states that have them |
//! | `refund_id` | WeChat Pay's number of it |
//! | `trouble`, `trouble_since` | why it is not getting on, as WeChat Pay's code or one of ours; since when, where that counts |
//! | `overdue_since` | Unix seconds: since when it is a matter for a person that WeChat Pay brings it to no end |
//! | `decided_by`, `decided_why` | who gave its money free, if a person did |
//! | `sent_to`, `sent_by`, `sent_why`, `sent_at` | where a person sent its money when it could not be paid out: `merchant` or `user`; who, why, when (Unix seconds) |
//! | `sent_again_at` | Unix seconds: when the same call to WeChat Pay was last about to be repeated, by a repeat or a duplicate of the request |
//! | `received_by` | whose account has its money, as WeChat Pay said: `payer` or `merchant` |
//! | `payer_paid_by`, `payer_paid_why`, `payer_paid_at` | who said how the payer was paid whose money went to the merchant |
//! | `accepted_at` | Unix seconds: when WeChat Pay accepted it, once an answer has said so |
//! | `created_at`, `slot_at`, `tries` | Unix seconds; how often sending it was attempted |
//! | `due_shard`, `due_at` | the sparse index of what the sweep checks |
//! | `day_shard`, `day_id`, `day_at` | the index by Beijing day, once WeChat Pay has accepted it; by which moment (Unix seconds) |

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use payments::model::{
    decision::{DecidedBy, Destination, PayerPaid, Redirection},
    fingerprint::Fingerprint,
    ids::{OrderNo, OutRefundNo, RefundNo, TransactionId},
    order::Product,
    refund::{PaymentKind, ReceivedBy, Refund, RefundState},
};
use wechatpay::UnixSeconds;

use crate::attributes::{Item, number, text};

use super::{
    error::TableError,
    fields::Fields,
    keys::{due_shard, refund_sk},
    refund_day,
};

/// The item of a refund that is new at `at`.
pub(super) fn write(refund: &Refund, product: Product, pk: &str, at: UnixSeconds) -> Item {
    let kind = match refund.of {
        PaymentKind::Booked => "booked",
        PaymentKind::Parked => "parked",
    };
    let mut item = Item::from([
        ("pk".to_owned(), text(pk)),
        ("sk".to_owned(), text(refund_sk(&refund.refund_no))),
        ("order_no".to_owned(), text(refund.order_no.as_str())),
        ("refund_no".to_owned(), text(refund.refund_no.as_str())),
        (
            "out_refund_no".to_owned(),
            text(refund.out_refund_no.as_str()),
        ),
        (
            "transaction_id".to_owned(),
            text(refund.transaction_id.as_str()),
        ),
        ("payment_kind".to_owned(), text(kind)),
        ("product".to_owned(), text(product.name())),
        ("amount_fen".to_owned(), number(refund.amount.get())),
        ("total_fen".to_owned(), number(refund.total.get())),
        ("notify_url".to_owned(), text(&refund.notify_url)),
        (
            "fingerprint".to_owned(),
            AttributeValue::B(Blob::new(refund.fingerprint.0)),
        ),
        ("state".to_owned(), text(refund.state.name())),
        ("created_at".to_owned(), number(refund.created_at.0)),
        ("slot_at".to_owned(), number(refund.slot_at.0)),
        ("tries".to_owned(), number(refund.tries)),
    ]);
    if let Some(reason) = &refund.reason {
        item.insert("reason".to_owned(), text(reason));
    }
    for (name, value) in state_attributes(refund) {
        item.extend(value.map(|value| (name.to_owned(), value)));
    }
    if let Some(day_at) = refund_day::refund_day(None, refund, at) {
        let attributes = refund_day::refund_attributes(refund, day_at);
        item.extend(attributes.map(|(name, value)| (name.to_owned(), value)));
    }
    if let Some(due) = refund.due {
        item.insert("due_shard".to_owned(), text(due_shard(due.shard)));
        item.insert("due_at".to_owned(), number(due.at.0));
    }
    item
}

/// The attributes that come and go with the state; `None` where one is not there.
pub(super) fn state_attributes(
    refund: &Refund,
) -> impl Iterator<Item = (&'static str, Option<AttributeValue>)> {
    let (succeeded_at, refused_code) = match &refund.state {
        RefundState::Succeeded(at) => (Some(number(at.0)), None),
        RefundState::Refused(code) => (None, Some(text(code))),
        RefundState::Reserved
        | RefundState::Processing
        | RefundState::Closed
        | RefundState::Abnormal => (None, None),
    };
    [
        ("succeeded_at", succeeded_at),
        ("refused_code", refused_code),
        (
            "refund_id",
            refund.refund_id.as_ref().map(|id| text(id.as_str())),
        ),
        (
            "received_by",
            refund.received_by.map(|account| text(account.name())),
        ),
        ("accepted_at", refund.accepted_at.map(|at| number(at.0))),
        ("trouble", refund.trouble.as_ref().map(text)),
        ("trouble_since", refund.trouble_since.map(|at| number(at.0))),
        ("overdue_since", refund.overdue_since.map(|at| number(at.0))),
        (
            "decided_by",
            refund.decided.as_ref().map(|decided| text(&decided.who)),
        ),
        (
            "decided_why",
            refund.decided.as_ref().map(|decided| text(&decided.why)),
        ),
    ]
    .into_iter()
    .chain(decision_attributes(refund))
}

/// The attributes among them that an operator's decision sets without changing the state.
pub(super) fn decision_attributes(refund: &Refund) -> [(&'static str, Option<AttributeValue>); 8] {
    let redirected = refund.redirected.as_ref();
    let payer_paid = refund.payer_paid.as_ref();
    [
        ("sent_to", redirected.map(|sent| text(sent.to.name()))),
        ("sent_by", redirected.map(|sent| text(&sent.decided.who))),
        ("sent_why", redirected.map(|sent| text(&sent.decided.why))),
        ("sent_at", redirected.map(|sent| number(sent.at.0))),
        (
            "sent_again_at",
            redirected
                .and_then(|sent| sent.sent_again_at)
                .map(|at| number(at.0)),
        ),
        (
            "payer_paid_by",
            payer_paid.map(|paid| text(&paid.decided.who)),
        ),
        (
            "payer_paid_why",
            payer_paid.map(|paid| text(&paid.decided.why)),
        ),
        ("payer_paid_at", payer_paid.map(|paid| number(paid.at.0))),
    ]
}

/// Reads a refund's item.
pub(super) fn read(item: &Item) -> Result<Refund, TableError> {
    let fields = Fields { item };
    Ok(Refund {
        order_no: fields.parsed("order_no", |text| OrderNo::parse(text).ok())?,
        refund_no: fields.parsed("refund_no", |text| RefundNo::parse(text).ok())?,
        out_refund_no: fields.parsed("out_refund_no", |text| OutRefundNo::parse(text).ok())?,
        transaction_id: fields.parsed("transaction_id", |text| TransactionId::parse(text).ok())?,
        of: fields.parsed("payment_kind", |text| match text {
            "booked" => Some(PaymentKind::Booked),
            "parked" => Some(PaymentKind::Parked),
            _ => None,
        })?,
        amount: fields.fen("amount_fen")?,
        total: fields.fen("total_fen")?,
        reason: fields.optional("reason").map(str::to_owned),
        notify_url: fields.text("notify_url")?.to_owned(),
        fingerprint: Fingerprint(
            fields
                .bytes("fingerprint")?
                .try_into()
                .map_err(|_| fields.damaged("fingerprint"))?,
        ),
        state: state(&fields)?,
        refund_id: fields.refund_id()?,
        trouble: fields.optional("trouble").map(str::to_owned),
        trouble_since: fields.optional_seconds("trouble_since")?,
        overdue_since: fields.optional_seconds("overdue_since")?,
        decided: fields
            .optional("decided_by")
            .zip(fields.optional("decided_why"))
            .map(|(who, why)| DecidedBy {
                who: who.to_owned(),
                why: why.to_owned(),
            }),
        redirected: redirected(&fields)?,
        received_by: fields
            .optional("received_by")
            .map(|name| ReceivedBy::named(name).ok_or_else(|| fields.damaged("received_by")))
            .transpose()?,
        payer_paid: payer_paid(&fields)?,
        accepted_at: fields.optional_seconds("accepted_at")?,
        created_at: UnixSeconds(fields.number("created_at")?),
        slot_at: UnixSeconds(fields.number("slot_at")?),
        tries: fields.number("tries")?,
        due: fields.due()?,
    })
}

fn redirected(fields: &Fields<'_>) -> Result<Option<Redirection>, TableError> {
    if fields.optional("sent_to").is_none() {
        return Ok(None);
    }
    Ok(Some(Redirection {
        to: fields.parsed("sent_to", Destination::named)?,
        decided: DecidedBy {
            who: fields.text("sent_by")?.to_owned(),
            why: fields.text("sent_why")?.to_owned(),
        },
        at: UnixSeconds(fields.number("sent_at")?),
        sent_again_at: fields.optional_seconds("sent_again_at")?,
    }))
}

fn payer_paid(fields: &Fields<'_>) -> Result<Option<PayerPaid>, TableError> {
    let Some(who) = fields.optional("payer_paid_by") else {
        return Ok(None);
    };
    Ok(Some(PayerPaid {
        decided: DecidedBy {
            who: who.to_owned(),
            why: fields.text("payer_paid_why")?.to_owned(),
        },
        at: UnixSeconds(fields.number("payer_paid_at")?),
    }))
}

fn state(fields: &Fields<'_>) -> Result<RefundState, TableError> {
    Ok(match fields.text("state")? {
        "reserved" => RefundState::Reserved,
        "processing" => RefundState::Processing,
        "succeeded" => RefundState::Succeeded(UnixSeconds(fields.number("succeeded_at")?)),
        "closed" => RefundState::Closed,
        "refused" => RefundState::Refused(fields.text("refused_code")?.to_owned()),
        "abnormal" => RefundState::Abnormal,
        _ => return Err(fields.damaged("state")),
    })
}
