//! Webhooks: how long an event took to its first attempt, which attempt was the last, and webhooks
//! that were disabled.

use std::time::Duration;

use axum::http::StatusCode;

use super::{NONE, Values};
use crate::webhooks::{WebhookTestbed, event};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_measured_from_its_change_to_the_first_attempt() {
    let testbed = WebhookTestbed::start().await;
    let mut event = event("ORDER-1", 3);
    event.at = testbed.clock.now();
    testbed.publish(&event).await;
    testbed.clock.advance(Duration::from_secs(7));
    let values = Values::by(&testbed.clock, testbed.work_off()).await;
    assert_eq!(values.all("WebhookDelay"), [7]);
    assert_eq!(values.all("WebhookAttempts"), [1]);
    assert_eq!(values.all("WebhooksDelivered"), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_has_no_delay_and_says_which_attempt_it_was() {
    let testbed = WebhookTestbed::start().await;
    testbed.receiver.answer_next(StatusCode::BAD_GATEWAY);
    testbed.publish(&event("ORDER-1", 1)).await;
    let values = Values::by(&testbed.clock, testbed.work_off()).await;
    assert_eq!(values.all("WebhookDelay").len(), 1);
    assert_eq!(values.all("WebhookAttempts"), NONE, "it goes on");
    let values = Values::by(&testbed.clock, testbed.again("ORDER-1", 2)).await;
    assert_eq!(values.all("WebhookDelay"), NONE);
    assert_eq!(values.all("WebhookAttempts"), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_wants_no_more_is_counted_when_its_webhook_is_disabled() {
    let testbed = WebhookTestbed::start().await;
    let values = Values::by(&testbed.clock, testbed.say_410_for_hours()).await;
    assert_eq!(values.all("WebhooksDisabled"), [1]);
    assert!(values.sum("WebhookReceiversGone") > 1, "{values:?}");
}
