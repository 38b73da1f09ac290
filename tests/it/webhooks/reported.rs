//! What is reported to clients and operators about a receiver.

use std::time::Duration;

use axum::http::StatusCode;
use testbed::{Fault, Match, Service};

use super::{
    CAUSE_IS_OURS, PLENTY_MS, TAKES_NOTHING, WebhookTestbed, event, failed, on_the_bus, record_of,
};
use crate::support::Lines;

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_s_last_answer_is_stored_for_its_client() {
    let testbed = WebhookTestbed::start().await;
    let last = async || {
        let state = testbed.keys.webhook_state("shop").await.expect("read");
        let last = state.expect("a webhook").last_answer;
        last.map(|last| (last.answer, testbed.clock.now().0 - last.since.0))
    };
    assert_eq!(last().await, None);
    let mut sent = 0;
    for (status, seconds, expected) in [
        (StatusCode::OK, 0, ("200", 0)),
        (StatusCode::OK, 90, ("200", 90)),
        (StatusCode::BAD_GATEWAY, 1, ("502", 0)),
    ] {
        testbed.clock.advance(Duration::from_secs(seconds));
        testbed.receiver.answer_next(status);
        sent += 1;
        testbed.publish(&event("ORDER-1", sent)).await;
        testbed.work_off().await;
        let (answer, since_s) = expected;
        assert_eq!(last().await, Some((answer.to_owned(), since_s)), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cause_on_our_side_is_logged_from_the_second_attempt_on_and_once_an_hour() {
    let (testbed, lines) = (WebhookTestbed::start().await, Lines::default());
    let down = Match::service(Service::DynamoDb);
    testbed.wire.break_all(down, Fault::Denied);
    let reported_after = async |attempt| {
        assert_eq!(lines.of(testbed.again("ORDER-1", attempt)).await, 1);
        let errors = lines.take("ERROR");
        let errors = errors
            .iter()
            .filter(|line| line["message"] == CAUSE_IS_OURS);
        errors.count()
    };
    assert_eq!(reported_after(1).await, 0, "it may pass");
    assert_eq!(reported_after(2).await, 1);
    assert_eq!(reported_after(3).await, 0);
    testbed.clock.advance(Duration::from_secs(3_600));
    assert_eq!(reported_after(4).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_takes_nothing_is_reported_once_by_a_sandbox_although_that_cannot_be_stored()
 {
    let (testbed, lines) = (WebhookTestbed::start().await, Lines::default());
    testbed.set_up("shop", "http://127.0.0.1:9/gone", 1).await;
    // Ten events at a time, as a batch has them.
    let fails_after = async |seconds| {
        testbed.clock.advance(Duration::from_secs(seconds));
        let records = (1..=10).map(|n| {
            let body = on_the_bus(&event(&format!("ORDER-{n}"), 1));
            record_of(&n.to_string(), body, 1)
        });
        let answer = testbed.process(records.collect(), PLENTY_MS);
        assert_eq!(failed(&lines.of(answer).await).len(), 10);
        let errors = lines.take("ERROR");
        assert!(errors.iter().all(|line| line["message"] == TAKES_NOTHING));
        errors.len()
    };
    assert_eq!(fails_after(0).await, 0);
    assert_eq!(fails_after(1_799).await, 0);
    let write = Match::operation(Service::DynamoDb, "UpdateItem");
    testbed.wire.break_all(write, Fault::ServiceFault);
    assert_eq!(fails_after(61).await, 1);
    assert_eq!(fails_after(61).await, 0);
    testbed.wire.mend();
    for seconds in [61, 3_600] {
        assert_eq!(fails_after(seconds).await, 0);
    }
    // It takes one, and fails for half an hour again.
    testbed.set_up("shop", &testbed.receiver.url(), 1).await;
    testbed.clock.advance(Duration::from_secs(60));
    assert_eq!(testbed.again("ORDER-1", 2).await, 0);
    testbed.set_up("shop", "http://127.0.0.1:9/gone", 1).await;
    assert_eq!(fails_after(60).await, 0);
    assert_eq!(fails_after(1_800).await, 1);
}
