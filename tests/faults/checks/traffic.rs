//! Values, callbacks, messages and answers.

use std::collections::BTreeMap;

use testbed::environment::RESULTS;
use wechatpay_simulator::CallbackStatus;

use super::{Findings, field};
use crate::engine::{
    books::{Records, text},
    client::PendingRequest,
    deployment::Deployment,
};

/// How far the clocks of two sandboxes may differ: a value may expire this much before the time
/// that a client got.
const CLOCKS_DIFFER_MS: i64 = 60_000;

const MINUTE_MS: i64 = 60_000;
/// How long a call may take from its permit to WeChat Pay.
const CALL_TAKES_MS: i64 = 6_000;

/// A callback is acknowledged only after the queue has it.
pub(super) fn what_was_acknowledged_was_queued(deployment: &Deployment, found: &mut Findings) {
    let queues = deployment.cloud.queues();
    let taken: Vec<&str> = queues
        .taken()
        .iter()
        .filter(|(url, _)| *url == RESULTS)
        .map(|(_, body)| *body)
        .collect();
    for received in deployment
        .received()
        .iter()
        .filter(|received| received.acknowledged)
    {
        if !taken.iter().any(|body| body.contains(&received.id)) {
            found.add(
                "what is acknowledged is in the queue",
                format!(
                    "callback {} was acknowledged, and no message holds it",
                    received.id
                ),
            );
        }
    }
}

/// WeChat Pay accepts one refund a minute: two of one payment are never sent at once, whatever
/// delayed them.
pub(super) fn refunds_of_a_payment_go_out_a_minute_apart(
    deployment: &Deployment,
    found: &mut Findings,
) {
    let mut last: BTreeMap<String, (String, i64)> = BTreeMap::new();
    let all = deployment.exchanges.all();
    for exchange in all.iter().filter(|exchange| exchange.endpoint == "refund") {
        let number = field(&exchange.asked, "out_refund_no").to_owned();
        let payment = field(&exchange.asked, "transaction_id").to_owned();
        let before = last.insert(payment, (number.clone(), exchange.at_ms));
        let Some((other, at_ms)) = before.filter(|(other, _)| *other != number) else {
            continue;
        };
        let apart_ms = exchange.at_ms.saturating_sub(at_ms);
        if apart_ms < MINUTE_MS - CALL_TAKES_MS {
            found.add(
                "refunds of a payment go out a minute apart",
                format!("{number} was sent {apart_ms} ms after {other}"),
            );
        }
    }
}

/// Each caller that was given a prepay value was given the live one: no other was issued before its
/// time was over.
pub(super) fn every_value_shown_was_alive(deployment: &Deployment, found: &mut Findings) {
    // When each value died: when the next one was issued for the same order.
    let mut live: BTreeMap<String, String> = BTreeMap::new();
    let mut died_ms: BTreeMap<String, i64> = BTreeMap::new();
    for exchange in deployment
        .exchanges
        .all()
        .iter()
        .filter(|exchange| exchange.endpoint == "prepay")
    {
        let values = ["code_url", "h5_url", "prepay_id"]
            .iter()
            .map(|name| field(&exchange.answered, name));
        let Some(value) = values.into_iter().find(|value| !value.is_empty()) else {
            continue;
        };
        let order_no = field(&exchange.asked, "out_trade_no").to_owned();
        if let Some(old) = live.insert(order_no, value.to_owned()) {
            died_ms.insert(old, exchange.at_ms);
        }
    }
    for shown in deployment.shown() {
        let known =
            live.get(&shown.order_no) == Some(&shown.value) || died_ms.contains_key(&shown.value);
        let early_ms = died_ms
            .get(&shown.value)
            .map_or(0, |died_ms| shown.until_ms - died_ms);
        if !known || early_ms > CLOCKS_DIFFER_MS {
            found.add(
                "every value shown is the live one",
                format!(
                    "{}: {} was shown until {} and {}",
                    shown.order_no,
                    shown.value,
                    shown.until_ms,
                    died_ms
                        .get(&shown.value)
                        .map_or("was never issued".to_owned(), |at_ms| format!(
                            "died at {at_ms}"
                        ))
                ),
            );
        }
    }
}

/// Every callback that WeChat Pay sent was acknowledged in the end.
pub(super) fn every_callback_was_acknowledged(deployment: &Deployment, found: &mut Findings) {
    for callback in deployment.wechat().callbacks() {
        match callback.status {
            CallbackStatus::Delivered | CallbackStatus::Lost => {}
            CallbackStatus::Waiting | CallbackStatus::GivenUp => {
                let tries: Vec<_> = callback
                    .tries
                    .iter()
                    .map(|one| one.status.unwrap_or(0))
                    .collect();
                found.add(
                    "every callback is acknowledged",
                    format!(
                        "{} about {}: {:?} after {tries:?}",
                        callback.event_type, callback.about, callback.status
                    ),
                );
            }
        }
    }
}

/// Nothing is left in a queue, and nothing went to a dead-letter queue.
pub(super) fn every_queue_is_empty(deployment: &Deployment, found: &mut Findings) {
    let queues = deployment.cloud.queues();
    for (url, message) in queues.waiting() {
        found.add(
            "every queue is empty",
            format!("{url} still holds {}", message.body),
        );
    }
    for (url, message) in queues.dead() {
        found.add(
            "no message is given up",
            format!("the dead-letter queue of {url} holds {}", message.body),
        );
    }
}

/// A notice that failed at first has settled since, or waits for an operator. One that does not
/// decrypt has no number to settle by.
pub(super) fn every_notice_is_settled_or_parked(books: &Records, found: &mut Findings) {
    for notice in &books.notices {
        let opened = !text(notice, "notice_id").starts_with("message#");
        if opened && text(notice, "status") == "pending" {
            let error = text(notice, "last_error");
            found.add(
                "every notice is settled or parked",
                format!("{} is pending: {error}", text(notice, "notice_id")),
            );
        }
    }
}

/// Every client got an answer that counts.
pub(super) fn every_request_was_answered(
    pending_requests: &[PendingRequest],
    found: &mut Findings,
) {
    for pending in pending_requests {
        match &pending.answer {
            None if pending.tries_max == 1 => {}
            None => found.add(
                "every request is answered",
                format!("{} {}: no answer", pending.method, pending.path),
            ),
            Some(answer) if pending.refusals.contains(&answer.code()) || answer.status < 300 => {}
            Some(answer) => found.add(
                "every request is answered",
                format!(
                    "{} {}: {} {}",
                    pending.method, pending.path, answer.status, answer.body
                ),
            ),
        }
    }
}
