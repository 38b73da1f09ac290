//! The content of the client's webhook receiver: each event, under one id, and none lost.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testbed::environment::WEBHOOKS;

use super::{Findings, field};
use crate::engine::{
    books::{Records, number},
    deployment::{Deployment, webhook_id},
};

/// An event from the queue is delivered, still there, a dead letter, or stored for its client.
pub(super) fn no_event_is_lost(deployment: &Deployment, found: &mut Findings) {
    if !deployment.has_webhook() {
        return;
    }
    let id_of = |body: &str| {
        let message: Value = serde_json::from_str(body).expect("JSON");
        webhook_id(&message["detail"])
    };
    let (all, mut safe) = {
        let queues = deployment.cloud.queues();
        let of_webhooks = |url: &str| url == WEBHOOKS;
        let taken = queues.taken();
        let all: BTreeSet<String> = taken
            .into_iter()
            .filter(|(url, _)| of_webhooks(url))
            .map(|(_, body)| id_of(body))
            .collect();
        let there = queues.waiting().into_iter().chain(queues.dead());
        let safe: BTreeSet<String> = there
            .filter(|(url, _)| of_webhooks(url))
            .map(|(_, message)| id_of(&message.body))
            .collect();
        (all, safe)
    };
    safe.extend(deployment.receiver.has());
    safe.extend(deployment.kept());
    for id in all.difference(&safe) {
        found.add("no event is lost", format!("{id} is nowhere"));
    }
}

/// Each webhook is signed, and what has one id is one event, byte for byte.
pub(super) fn one_id_is_one_event(deployment: &Deployment, found: &mut Findings) {
    const CHECK: &str = "one webhook-id is one event";
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    for got in deployment.receiver.got() {
        let data = &got.json()["data"];
        if !got.is_signed || got.id != webhook_id(data) {
            found.add(CHECK, format!("{} came with {}", got.id, got.body));
        }
        let first = bodies.entry(got.id.clone()).or_insert(got.body.clone());
        if *first != got.body {
            found.add(
                CHECK,
                format!("{} came as {first} and as {}", got.id, got.body),
            );
        }
    }
}

/// Once everything is quiet, a receiver has each event, and its highest version of an order has the
/// order's state.
pub(super) fn the_receiver_has_every_event(
    deployment: &Deployment,
    books: &Records,
    found: &mut Findings,
) {
    if !deployment.has_webhook() {
        return;
    }
    let has = deployment.receiver.has();
    let mut newest: BTreeMap<String, (u64, String)> = BTreeMap::new();
    for got in deployment.receiver.got().iter().filter(|got| got.is_taken) {
        let data = &got.json()["data"];
        if field(data, "subject") != "order" {
            continue;
        }
        let version = data["version"].as_u64().unwrap_or_default();
        let known = newest
            .entry(field(data, "order_no").to_owned())
            .or_default();
        if version >= known.0 {
            *known = (version, field(data, "to").to_owned());
        }
    }
    for (order_no, book) in &books.orders {
        for event in &book.events {
            let id = format!("{order_no}_{}", number(event, "version"));
            if !has.contains(&id) {
                found.add(
                    "the receiver has every event",
                    format!("{id} never arrived"),
                );
            }
        }
        let delivered = newest.get(order_no).map_or("", |(_, state)| state.as_str());
        if delivered != book.state() {
            found.add(
                "the highest version says how an order stands",
                format!(
                    "{order_no} is {}, and the receiver holds {delivered:?}",
                    book.state()
                ),
            );
        }
    }
}
