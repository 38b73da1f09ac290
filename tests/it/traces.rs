//! The trace of an order: from the caller's own span, by queues and callbacks, to the webhook, with
//! no parent that is made up.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::{
    support::{Testbed, native},
    webhooks::{self, WebhookTestbed},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLERS_SPAN: &str = "00f067aa0ba902b7";
const STATE: &str = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7";

/// The parts of a `traceparent`: trace, span and flags.
fn parts(traceparent: &str) -> (&str, &str, &str) {
    let parts: Vec<&str> = traceparent.split('-').collect();
    let [version, trace_id, span_id, flags] = parts[..] else {
        panic!("{traceparent}")
    };
    assert_eq!(version, "00");
    (trace_id, span_id, flags)
}

fn text<'a>(event: &'a Value, name: &str) -> &'a str {
    event[name].as_str().unwrap_or_else(|| panic!("{event:#}"))
}

async fn events(testbed: &Testbed, order_no: &str) -> Vec<Value> {
    let answer = testbed.get(&format!("/v1/orders/{order_no}/events")).await;
    answer.body["events"].as_array().expect("events").clone()
}

/// Creates an order under the caller's trace, whose value the queue is to get.
async fn create_async(testbed: &Testbed, order_no: &str, flags: &str) {
    let traceparent = format!("00-{TRACE}-{CALLERS_SPAN}-{flags}");
    let headers = [
        ("prefer", "respond-async"),
        ("traceparent", traceparent.as_str()),
        ("tracestate", STATE),
    ];
    let body = native(order_no);
    let request = testbed
        .client
        .post_with("/v1/orders", &body, &headers, testbed);
    let answer = testbed.send(request).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let returned = answer.header("traceparent").expect("a trace").to_owned();
    let (trace_id, span_id, returned_flags) = parts(&returned);
    assert_eq!((trace_id, returned_flags), (TRACE, flags));
    // The answer names the work that the journal's event is a child of.
    let event = &events(testbed, order_no).await[0];
    assert_eq!(text(event, "parent_span_id"), span_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_way_is_a_chain_of_recorded_spans_from_its_caller_to_its_webhooks() {
    let testbed = Testbed::start().await;
    create_async(&testbed, "ORDER-1", "01").await;
    // The message follows the event that it announces, and takes the caller's state along.
    let [requests, _] = testbed.traces();
    let [(traceparent, state)] = &requests[..] else {
        panic!("{requests:?}")
    };
    let reserved = events(&testbed, "ORDER-1").await[0].clone();
    assert_eq!(
        parts(traceparent),
        (TRACE, text(&reserved, "span_id"), "01")
    );
    assert_eq!(state.as_deref(), Some(STATE));
    testbed.advance(Duration::from_millis(1_500)).await;
    assert_eq!(testbed.work_off().await, 0);

    testbed.pay("ORDER-1").await;
    let [_, results] = testbed.traces();
    let (callback, state) = results[0].clone();
    let (callbacks_trace, callbacks_span, _) = parts(&callback);
    assert_ne!(callbacks_trace, TRACE, "WeChat Pay passes no trace on");
    assert_eq!(state, None);
    testbed.advance(Duration::from_millis(85)).await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.refund("ORDER-1", "r1", 40).await.status, 202);
    let [refunds, _] = testbed.traces();
    assert_eq!(testbed.work_off().await, 0);

    let events = events(&testbed, "ORDER-1").await;
    let traces: Vec<&str> = events.iter().map(|event| text(event, "trace_id")).collect();
    assert_eq!(traces[..3], [TRACE, TRACE, callbacks_trace]);
    // What another trace brought is linked to the order's first event.
    let link = json!([{"trace_id": TRACE, "span_id": text(&events[0], "span_id")}]);
    for event in &events {
        let links = (text(event, "trace_id") != TRACE).then_some(&link);
        assert_eq!(event.get("links"), links, "{event:#}");
    }
    // The refund's message follows the refund's event, in the trace of the request for it.
    let refund = events.iter().find(|event| event["subject"] == "refund");
    let refund = refund.expect("a refund");
    assert_eq!(
        parts(&refunds[0].0),
        (text(refund, "trace_id"), text(refund, "span_id"), "01")
    );
    // The callback's span is in the journal too: it follows from the notice that the event names.
    let notice_id = text(&events[2]["cause"], "id").to_owned();
    let of = payments::model::trace::SpanOf::Callback {
        notice_id: &notice_id,
    };
    assert_eq!(
        payments::model::trace::span_id(callbacks_trace, of),
        callbacks_span
    );
    let spans: BTreeSet<&str> = events.iter().map(|event| text(event, "span_id")).collect();
    assert_eq!(spans.len(), events.len(), "each event is a span of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_says_its_millisecond_and_how_long_its_message_waited() {
    let testbed = Testbed::start().await;
    testbed
        .advance_with_queues(Duration::from_millis(123))
        .await;
    create_async(&testbed, "ORDER-1", "01").await;
    let created_ms = testbed.clock.now_ms();
    testbed
        .advance_with_queues(Duration::from_millis(1_500))
        .await;
    assert_eq!(testbed.work_off().await, 0);
    let waited = events(&testbed, "ORDER-1").await[1].clone();
    testbed.pay("ORDER-1").await;
    testbed.advance_with_queues(Duration::from_millis(85)).await;
    assert_eq!(testbed.work_off().await, 0);
    let events = events(&testbed, "ORDER-1").await;
    assert_eq!(events[0]["at_ms"], created_ms);
    assert_eq!(events[0].get("delivery"), None, "no message brought it");
    assert_eq!(events[1]["at_ms"], created_ms + 1_500);
    assert_eq!(
        waited["delivery"],
        json!({"queued_ms": 1_500, "worked_ms": 0, "received": 1})
    );
    // An event that others followed says its millisecond alone, if its message had not failed.
    assert_eq!(events[1].get("delivery"), None);
    assert_eq!(
        events[2]["delivery"],
        json!({"queued_ms": 85, "worked_ms": 0, "received": 1})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_keeps_no_spans_is_not_made_to() {
    let testbed = Testbed::start().await;
    create_async(&testbed, "ORDER-1", "00").await;
    let [requests, _] = testbed.traces();
    assert!(requests[0].0.ends_with("-00"), "{requests:?}");
    assert_eq!(testbed.work_off().await, 0);
    let events = events(&testbed, "ORDER-1").await;
    assert_eq!(text(&events[1], "trace_id"), TRACE);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_the_sweep_sends_again_goes_on_in_its_own_trace() {
    goes_on_in_its_own_trace("01").await;
    goes_on_in_its_own_trace("00").await;
}

async fn goes_on_in_its_own_trace(flags: &str) {
    let testbed = Testbed::start().await;
    create_async(&testbed, "ORDER-1", flags).await;
    // Its message is lost.
    let sent = testbed.traces()[0].clone();
    testbed.drop_requests();
    testbed.advance(Duration::from_secs(61)).await;
    let report = testbed.sweep().await;
    assert_eq!(report.resumed, 1, "{report:?}");
    let again = testbed.traces()[0].clone();
    assert_eq!(parts(&again[0].0), parts(&sent[0].0));
    assert_eq!(parts(&again[0].0).2, flags);
    assert_eq!(again[0].1, None, "the journal keeps nobody's state");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_carries_the_event_s_own_span_at_each_try() {
    let testbed = WebhookTestbed::start().await;
    let event = webhooks::event("ORDER-1", 2);
    for attempt in 1..=2 {
        assert_eq!(testbed.again("ORDER-1", attempt).await, 0);
    }
    let mut first = event.clone();
    first.version = 1;
    let got = testbed.receiver.got();
    assert_eq!(got.len(), 2);
    for webhook in got {
        let traceparent = webhook.header("traceparent").expect("a trace").to_owned();
        assert_eq!(traceparent, first.traceparent());
        let (trace_id, span_id, flags) = parts(&traceparent);
        assert_eq!((trace_id, flags), (event.trace.as_str(), "01"));
        assert_eq!(span_id.len(), 16);
    }
    assert_ne!(first.traceparent(), event.traceparent());
}
