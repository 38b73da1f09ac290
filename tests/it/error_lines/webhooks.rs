//! Webhooks that are not taken.

use axum::http::StatusCode;
use serde_json::Value;
use testbed::{Fault as AwsFault, Match, Service};

use super::common::HOUR;
use crate::support::Lines;
use crate::webhooks::WebhookTestbed;

pub(super) async fn a_webhook_fails_for_the_eighth_time() -> Vec<Value> {
    let (testbed, lines) = (WebhookTestbed::start().await, Lines::default());
    testbed.receiver.answer_next(StatusCode::BAD_GATEWAY);
    assert_eq!(lines.of(testbed.again("ORDER-1", 8)).await, 1);
    let lines = lines.take("ERROR");
    let error = lines[0]["error"].as_str().expect("words");
    assert!(error.contains("the receiver answered 502"), "{error}");
    lines
}

pub(super) async fn a_receiver_takes_nothing_for_half_an_hour() -> Vec<Value> {
    let (testbed, lines) = (WebhookTestbed::start().await, Lines::default());
    for attempt in 2..=3 {
        testbed.receiver.answer_next(StatusCode::BAD_GATEWAY);
        assert_eq!(lines.of(testbed.again("ORDER-1", attempt)).await, 1);
        testbed.clock.advance(HOUR / 2);
    }
    let lines = lines.take("ERROR");
    assert_eq!(lines[0]["answer"], "502");
    let since = lines[0]["since"].as_str().expect("a time");
    let reason = lines[0]["reason"].as_str().expect("a text");
    assert!(reason.contains("502") && reason.contains(since), "{reason}");
    lines
}

pub(super) async fn a_receiver_says_410_for_hours() -> Vec<Value> {
    let (testbed, lines) = (WebhookTestbed::start().await, Lines::default());
    lines.of(testbed.say_410_for_hours()).await;
    lines.take("ERROR")
}

pub(super) async fn events_cannot_be_sent_for_a_cause_of_ours() -> Vec<Value> {
    let (testbed, lines) = (WebhookTestbed::start().await, Lines::default());
    let down = Match::service(Service::DynamoDb);
    testbed.wire.break_all(down, AwsFault::Denied);
    assert_eq!(lines.of(testbed.again("ORDER-1", 2)).await, 1);
    lines.take("ERROR")
}
