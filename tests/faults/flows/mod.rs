//! The flows whose every crash point is tried: what happens before, what is struck, what happens
//! afterwards, and how it ends.
//!
//! A flow is a value. Another one is added by writing down its three parts and the state that each
//! order must have in the end; its calls are found by running it.

mod attacks;
mod days;
mod orders;
mod races;
mod refunds;
mod webhooks;

use std::pin::Pin;

use serde_json::{Value, json};

use crate::{
    cases::scenario::{Scenario, Until},
    checks::secrets::DESCRIPTION,
    engine::client::PendingRequest,
};

pub(crate) use races::{RACES, Race};

pub(crate) struct Flow {
    pub(crate) name: &'static str,
    /// What happens before; nothing goes wrong there.
    pub(crate) before: Step,
    /// What is struck.
    pub(crate) acts: Step,
    /// What happens once everything has calmed down.
    pub(crate) after: Step,
    /// In which state each order and refund must be in the end: `ORDER-1` or `ORDER-1 R1`, and one
    /// state or several, with bars between them.
    pub(crate) ends: &'static [(&'static str, &'static str)],
}

impl Flow {
    /// One of so many cases is run within `cargo test`, if all of them take too long. A
    /// prime, so that each kind of fault has its turn.
    pub(crate) fn each(&self) -> usize {
        let mut long = days::LONG.iter().chain(&webhooks::LONG);
        long.find(|(name, _)| *name == self.name)
            .map_or(1, |(_, each)| *each)
    }
}

/// A part of a flow.
pub(crate) type Step = for<'a> fn(&'a mut Scenario) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// All flows.
pub(crate) fn all() -> impl Iterator<Item = &'static Flow> {
    orders::FLOWS
        .iter()
        .chain(refunds::FLOWS)
        .chain(attacks::FLOWS)
        .chain(days::FLOWS)
        .chain(webhooks::FLOWS)
}

/// Nothing happens.
const NOTHING: Step = |_| Box::pin(async {});

/// The client creates the order.
const CREATE: Step = |scenario| {
    Box::pin(async move {
        scenario.request(create("ORDER-1")).await;
    })
};

/// The client creates the order, and the queue is to get its prepay value.
const CREATE_LATER: Step = |scenario| {
    Box::pin(async move {
        scenario
            .request(create("ORDER-1").with("prefer", "respond-async"))
            .await;
    })
};

/// The order is created and paid.
const PAID: Step = |scenario| {
    Box::pin(async move {
        scenario.request(create("ORDER-1")).await;
        scenario.pay("ORDER-1").await;
        scenario.poll().await;
    })
};

/// The order is created and closed.
const CLOSED: Step = |scenario| {
    Box::pin(async move {
        scenario.request(create("ORDER-1")).await;
        scenario.request(close("ORDER-1")).await;
        scenario.run_until_quiet(Until::Soon).await;
    })
};

/// A good request for an order of 100 fen that is paid by QR code.
fn order(order_no: &str) -> Value {
    json!({"order_no": order_no, "product": "native", "amount_fen": 100, "description": DESCRIPTION})
}

/// The request for an order.
fn create(order_no: &str) -> PendingRequest {
    PendingRequest::post("/v1/orders", order(order_no))
}

/// The request to close an order. Being paid meanwhile is an answer, too.
fn close(order_no: &str) -> PendingRequest {
    PendingRequest::bare_post(format!("/v1/orders/{order_no}/close")).or("order_paid")
}

/// The request for a refund.
fn refund(order_no: &str, refund_no: &str, amount_fen: i64) -> PendingRequest {
    let body = json!({"refund_no": refund_no, "amount_fen": amount_fen, "reason": "wrong size"});
    PendingRequest::post(format!("/v1/orders/{order_no}/refunds"), body)
}

/// A person's decision about a refund. That it was decided before is an answer, too.
fn decide(order_no: &str, refund_no: &str, what: &str, body: Value) -> PendingRequest {
    PendingRequest::post(
        format!("/v1/orders/{order_no}/refunds/{refund_no}/{what}"),
        body,
    )
    .or("refund_state")
}
