//! Events that were not delivered are kept until they are.

use std::time::Duration;

use axum::http::StatusCode;
use stores::undelivered::UndeliveredReason;
use testbed::{Fault, Match, Service};

use super::{FAULTS, PLENTY_MS, WebhookTestbed, event, failed, on_the_bus, record_of};
use crate::support::MAX_RECEIVE_COUNT;

#[tokio::test(flavor = "multi_thread")]
async fn wherever_the_delivery_of_a_kept_event_is_cut_off_it_is_taken_and_leaves_the_record() {
    let testbed = WebhookTestbed::start().await;
    // It is not of just now.
    let age_s = testbed.clock.now().0 - event("ORDER-1", 1).at.0;
    let missing_s = u64::try_from(1_000 - age_s).unwrap_or_default();
    testbed.clock.advance(Duration::from_secs(missing_s));
    for fault in FAULTS {
        for nth in 0.. {
            let order = format!("ORDER-{fault:?}-{nth}");
            let (event, now) = (event(&order, 1), testbed.clock.now());
            let because = UndeliveredReason::GivenUp;
            let kept = testbed.undelivered.keep(&event, because, now);
            kept.await.expect("kept");
            let taken = StatusCode::NO_CONTENT;
            let is_struck = testbed.strike(&order, nth, fault, taken).await;
            let id = event.webhook_id();
            assert!(testbed.receiver.ids().contains(&id), "{order}");
            assert!(!testbed.kept().await.contains(&id), "{order}");
            if !is_struck {
                assert!(nth >= 2, "a note and leaving the record: {nth}");
                break;
            }
            testbed.clock.advance(Duration::from_secs(60));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_kept_comes_again() {
    let testbed = WebhookTestbed::start().await;
    testbed.say_410_for_hours().await;
    let puts = Match::operation(Service::DynamoDb, "PutItem");
    testbed.wire.break_all(puts, Fault::ServiceFault);
    testbed.publish(&event("ORDER-1", 3)).await;
    assert_eq!(
        testbed.work_off().await,
        1,
        "the message stays in the queue"
    );
    testbed.wire.mend();
    let again = record_of("again", on_the_bus(&event("ORDER-1", 3)), 2);
    assert!(failed(&testbed.process(vec![again], PLENTY_MS).await).is_empty());
    assert_eq!(testbed.kept().await, ["ORDER-0_3", "ORDER-1_3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_event_leaves_the_record_when_it_is_sent_again_and_taken_and_not_before() {
    let testbed = WebhookTestbed::start().await;
    testbed.say_410_for_hours().await;
    testbed.set_up("shop", &testbed.receiver.url(), 2).await;
    testbed.clock.advance(Duration::from_secs(60));
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let event = event("ORDER-0", 3);
    for (status, kept) in [(StatusCode::BAD_GATEWAY, 1), (StatusCode::OK, 0)] {
        testbed.receiver.answer_next(status);
        let sent = testbed.queue.send_webhook(&event, traceparent);
        sent.await.expect("queued");
        testbed.work_off().await;
        assert_eq!(testbed.kept().await.len(), kept, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_given_up_is_kept_and_one_that_is_moved_back_and_taken_leaves() {
    let testbed = WebhookTestbed::start().await;
    testbed.receiver.answer_next(StatusCode::BAD_GATEWAY);
    let mut given_up = event("ORDER-1", 3);
    given_up.at = testbed.clock.now();
    let last = record_of("last", on_the_bus(&given_up), MAX_RECEIVE_COUNT);
    assert_eq!(
        failed(&testbed.process(vec![last], PLENTY_MS).await),
        ["last"]
    );
    assert_eq!(testbed.kept().await, ["ORDER-1_3"]);
    // From the dead-letter queue, two days later: only its age distinguishes it from a new message.
    testbed.clock.advance(Duration::from_secs(2 * 24 * 3_600));
    testbed.publish(&given_up).await;
    assert_eq!(testbed.work_off().await, 0);
    assert!(testbed.kept().await.is_empty());
}
