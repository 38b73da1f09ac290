//! The journal, the states, and what is due.

use std::collections::BTreeSet;

use super::{Findings, state};
use crate::engine::{
    books::{Item, OrderRecords, Records, number, text},
    deployment::Deployment,
    logs,
};

/// Where an order's state may lead (shared/payments/STATES.md, 2.2).
const ORDER_STEPS: &[(&str, &[&str])] = &[
    ("", &["reserved"]),
    (
        "reserved",
        &["awaiting_payment", "paid", "closing", "closed", "rejected"],
    ),
    ("awaiting_payment", &["paid", "closing", "closed"]),
    ("closing", &["closed", "paid"]),
    ("closed", &["paid_after_close"]),
    ("rejected", &["paid_after_close"]),
    ("paid", &["partially_refunded", "refunded"]),
    ("partially_refunded", &["refunded"]),
    ("paid_after_close", &["refunded"]),
];

/// The first state of an order that a reconciliation creates: `closed` if it is not ours, `closing`
/// if its record was lost.
const CREATED_BY_RECONCILE: [&str; 2] = ["closed", "closing"];

/// The version of an order's first event. A restored order begins after all versions that its
/// lost record can have had.
pub(super) fn first_version(book: &OrderRecords) -> i64 {
    let first = book.events.first();
    match first {
        Some(event) if text(event, "from").is_empty() && text(event, "to") == "closing" => 1_001,
        Some(_) | None => 1,
    }
}

/// The allowed next states of a refund. One that was made in WeChat Pay's console starts in the
/// state in which it was found.
const REFUND_STEPS: &[(&str, &[&str])] = &[
    ("", &["reserved", "processing", "succeeded", "abnormal"]),
    (
        "reserved",
        &[
            "reserved",
            "processing",
            "succeeded",
            "closed",
            "refused",
            "abnormal",
        ],
    ),
    // To the state that it is in: its mark of being overdue came or went.
    (
        "processing",
        &["processing", "succeeded", "closed", "abnormal"],
    ),
    ("abnormal", &["abnormal", "succeeded", "closed"]),
    // Its payer was paid by other means.
    ("succeeded", &["succeeded"]),
    (
        "refused",
        &["reserved", "processing", "succeeded", "closed", "abnormal"],
    ),
];

/// States that something still has to be done about, and the sweep has to see to it.
const ON_THE_WAY: [&str; 3] = ["reserved", "awaiting_payment", "closing"];

/// Every change has one event, in one unbroken chain of versions, and each leads from where the one
/// before it led to.
pub(super) fn events_follow_each_other(books: &Records, found: &mut Findings) {
    for (order_no, book) in &books.orders {
        let Some(order) = &book.order else {
            continue;
        };
        let versions: Vec<i64> = book
            .events
            .iter()
            .map(|event| number(event, "version"))
            .collect();
        let first = first_version(book);
        let unbroken = versions
            .iter()
            .copied()
            .eq(first..=number(order, "version"));
        if !unbroken {
            found.add(
                "each change has one event",
                format!(
                    "{order_no} has version {} and events {versions:?}",
                    number(order, "version")
                ),
            );
        }
        chain(
            order_no,
            order,
            "order",
            &events_of(&book.events, "order", order_no),
            ORDER_STEPS,
            found,
        );
        for refund in &book.refunds {
            let refund_no = text(refund, "refund_no");
            let events = events_of(&book.events, "refund", refund_no);
            chain(
                &format!("{order_no} {refund_no}"),
                refund,
                "refund",
                &events,
                REFUND_STEPS,
                found,
            );
        }
    }
}

/// The events about one subject. An event without a subject is about its order.
fn events_of<'a>(events: &'a [Item], subject: &str, subject_id: &str) -> Vec<&'a Item> {
    let about = |event: &&Item| match text(event, "subject") {
        "" | "order" => subject == "order",
        other => other == subject && text(event, "subject_id") == subject_id,
    };
    events.iter().filter(about).collect()
}

fn chain(
    name: &str,
    item: &Item,
    kind: &str,
    events: &[&Item],
    steps: &[(&str, &[&str])],
    found: &mut Findings,
) {
    let mut before = "";
    for event in events {
        let (from, to) = (text(event, "from"), text(event, "to"));
        let allowed = steps
            .iter()
            .find(|(state, _)| *state == from)
            .is_some_and(|(_, next)| next.contains(&to));
        let by_reconcile = (kind, from) == ("order", "")
            && CREATED_BY_RECONCILE.contains(&to)
            && text(event, "cause_kind") == "reconciliation";
        if from != before || !(allowed || by_reconcile) {
            found.add(
                "a state is left only as STATES.md says",
                format!("{kind} {name}: from {before:?} comes an event {from:?} -> {to:?}"),
            );
        }
        before = to;
    }
    if before != state(item) {
        found.add(
            "the last event says the state",
            format!(
                "{kind} {name} is {:?}, its last event says {before:?}",
                state(item)
            ),
        );
    }
}

/// States that only WeChat Pay's news can cause.
const TOLD: [&str; 4] = ["awaiting_payment", "paid", "processing", "succeeded"];

/// Every piece of WeChat Pay's news has its `Request-ID` in the journal, and the log has it too,
/// unless a function died between the write and its line: otherwise nothing could be disputed.
pub(super) fn what_wechat_pay_answered_has_its_request_id(
    deployment: &Deployment,
    books: &Records,
    found: &mut Findings,
) {
    let given: BTreeSet<String> = deployment
        .exchanges
        .all()
        .into_iter()
        .map(|exchange| exchange.request_id)
        .collect();
    let (logged, has_died) = (logs::read(), deployment.has_died());
    for (order_no, book) in &books.orders {
        for event in &book.events {
            let (to, id) = (text(event, "to"), text(event, "wechat_request_id"));
            let by_notice = text(event, "cause_kind") == "notice";
            let is_known = by_notice || given.contains(id);
            // A person's decision does not change the state, and is not WeChat Pay's news.
            let came_to = text(event, "from") != to && TOLD.contains(&to);
            if came_to && (id.is_empty() || !is_known || !(has_died || logged.contains(id))) {
                found.add(
                    "WeChat Pay's news has its Request-ID",
                    format!("{order_no} became {to} by {id:?}"),
                );
            }
        }
    }
}

/// What is not final has a time at which the sweep checks it.
pub(super) fn what_is_not_final_is_due(books: &Records, found: &mut Findings) {
    for (order_no, book) in &books.orders {
        let refunds = book
            .refunds
            .iter()
            .filter(|refund| ["reserved", "processing", "abnormal"].contains(&state(refund)));
        let orders = book
            .order
            .iter()
            .filter(|order| ON_THE_WAY.contains(&state(order)));
        for item in orders.chain(refunds) {
            if !item.contains_key("due_at") || !item.contains_key("due_shard") {
                found.add(
                    "what is not final is due",
                    format!("{order_no}: {} without a due time", state(item)),
                );
            }
        }
    }
}

/// Once everything is quiet, items only wait for an operator.
pub(super) fn nothing_is_left_half_way(books: &Records, found: &mut Findings) {
    for (order_no, book) in &books.orders {
        let order = book
            .order
            .iter()
            .filter(|order| ON_THE_WAY.contains(&state(order)));
        let refunds = book
            .refunds
            .iter()
            .filter(|refund| ["reserved", "processing"].contains(&state(refund)));
        for item in order.chain(refunds) {
            found.add(
                "nothing is left half way",
                format!("{order_no} {} is still {}", text(item, "sk"), state(item)),
            );
        }
    }
}
