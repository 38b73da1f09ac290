//! Slow receivers, and those that share a batch with them.

use std::time::Duration;

use axum::http::StatusCode;
use flows::sqs_event::SqsRecord;
use futures_util::future::join_all;
use payments::{model::ids::ClientId, rules::webhook::SLOW_MS};
use serde_json::Value;
use testbed::environment::WEBHOOKS;

use super::{
    PLENTY_MS, Receiver, WebhookTestbed, event, failed, not_delivered, on_the_bus, record_of,
};
use crate::{
    runbooks,
    support::{Lines, MAX_RECEIVE_COUNT, batch},
};

#[tokio::test(flavor = "multi_thread")]
async fn ten_receivers_of_a_batch_are_waited_for_side_by_side() {
    let testbed = WebhookTestbed::start().await;
    testbed.receiver.wait_for(10);
    join_all((1..=10).map(async |n| testbed.publish(&event(&format!("ORDER-{n}"), 1)).await)).await;
    let messages = testbed.received();
    assert_eq!(messages.len(), 10);
    let records = batch(WEBHOOKS, &messages).records;
    let answer = testbed.process(records, PLENTY_MS).await;
    assert!(failed(&answer).is_empty(), "none waited for another's end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_too_slow_is_given_up_before_the_invocation_ends_and_delays_no_other() {
    let testbed = WebhookTestbed::start().await;
    let kiosk = Receiver::start().await;
    testbed.set_up("kiosk", &kiosk.url(), 7).await;
    testbed.receiver.wait_for(usize::MAX);
    let slow = record_of("slow", on_the_bus(&event("ORDER-1", 3)), 1);
    let began = std::time::Instant::now();
    let answer = testbed.process(vec![slow], 14_000).await;
    assert_eq!(failed(&answer), ["slow"]);
    assert!(began.elapsed() < Duration::from_millis(8_500));
    assert_eq!(
        testbed.hidden.times_s(),
        [45],
        "not sooner than it is asked"
    );
    testbed.clock.advance(Duration::from_secs(30));

    // Nine more of its events and one of another client: the batch does not wait.
    let mut batch: Vec<SqsRecord> = (1..=9)
        .map(|n| record_of("slow", on_the_bus(&event(&format!("ORDER-{n}"), 4)), 1))
        .collect();
    let mut of_kiosk = event("ORDER-0", 2);
    of_kiosk.client_id = ClientId::new("kiosk");
    batch.push(record_of("kiosk", on_the_bus(&of_kiosk), 1));
    let began = std::time::Instant::now();
    let lines = Lines::default();
    let answer = lines.of(testbed.process(batch, PLENTY_MS)).await;
    assert_eq!(failed(&answer), ["slow"; 9]);
    assert_eq!(testbed.hidden.times_s()[1..], [15; 9]);
    let warnings = lines.take("WARN");
    let error = not_delivered(&warnings).expect("a line");
    assert!(error.ends_with("is left alone for now"), "{error}");
    let counts = |line: &Value| line["WebhooksNotTakenAgain"] == 1;
    assert!(
        !warnings.iter().any(counts),
        "it counts for no alarm: {warnings:?}"
    );
    assert!(runbooks::page("webhooks.md").contains("(`is left alone for now`)"));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(kiosk.ids(), ["ORDER-0_2"]);
    assert_eq!(testbed.receiver.ids(), ["ORDER-1_3"], "it is left alone");

    // Unless an event has no other attempt before it; and then it is asked again.
    testbed.receiver.wait_for(0);
    // It has as much time as any other, although the receiver rests.
    let late = Duration::from_millis(u64::try_from(SLOW_MS).unwrap() + 1_000);
    testbed.receiver.answer_after(late, StatusCode::NO_CONTENT);
    let last = record_of("last", on_the_bus(&event("ORDER-1", 3)), MAX_RECEIVE_COUNT);
    assert!(failed(&testbed.process(vec![last], PLENTY_MS).await).is_empty());
    testbed.clock.advance(Duration::from_secs(15));
    testbed.publish(&event("ORDER-1", 4)).await;
    assert_eq!(testbed.work_off().await, 0);
    let expected = ["ORDER-1_3", "ORDER-1_3", "ORDER-1_4"];
    assert_eq!(testbed.receiver.ids(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_slow_and_answers_leaves_half_of_the_time_to_the_others() {
    let testbed = WebhookTestbed::start().await;
    let kiosk = Receiver::start().await;
    testbed.set_up("kiosk", &kiosk.url(), 7).await;
    testbed
        .receiver
        .takes(&testbed.clock, Duration::from_secs(7));
    assert_eq!(testbed.again("ORDER-1", 1).await, 0, "taken all the same");
    assert_eq!(testbed.again("ORDER-2", 1).await, 1, "left alone");
    assert_eq!(testbed.hidden.times_s(), [7], "not sooner than it is asked");
    let mut of_kiosk = event("ORDER-3", 2);
    of_kiosk.client_id = ClientId::new("kiosk");
    testbed.publish(&of_kiosk).await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(kiosk.ids(), ["ORDER-3_2"]);
    testbed.clock.advance(Duration::from_secs(7));
    assert_eq!(testbed.again("ORDER-2", 2).await, 0);
    assert_eq!(testbed.receiver.ids(), ["ORDER-1_1", "ORDER-2_1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_attempt_beyond_the_share_of_a_receiver_that_answers_slowly_is_cut_short() {
    let testbed = WebhookTestbed::start().await;
    let took = Duration::from_secs(14);
    testbed.receiver.takes(&testbed.clock, took);
    let fails_after = async |attempt| {
        testbed.receiver.answer_next(StatusCode::BAD_GATEWAY);
        assert_eq!(testbed.again("ORDER-1", attempt).await, 1);
    };
    fails_after(1).await;
    // A last one has its share of the next pause, and then the receiver has had it.
    fails_after(MAX_RECEIVE_COUNT).await;
    let answer = async || {
        let state = testbed.keys.webhook_state("shop").await.expect("read");
        let last = state.expect("a webhook").last_answer;
        last.expect("an answer").answer
    };
    assert_eq!(answer().await, "502");
    testbed.receiver.takes(&testbed.clock, Duration::ZERO);
    let late = Duration::from_millis(u64::try_from(SLOW_MS).unwrap() + 1_000);
    testbed.receiver.answer_after(late, StatusCode::NO_CONTENT);
    assert_eq!(testbed.again("ORDER-2", MAX_RECEIVE_COUNT).await, 1);
    assert_eq!(answer().await, "timed_out");
    assert_eq!(testbed.receiver.got().len(), 3, "it was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_300_events_of_a_fast_receiver_wait_for_no_slow_one_however_many_there_are() {
    for count in [1, 2, 4] {
        let testbed = WebhookTestbed::start().await;
        let took = Duration::from_secs(7);
        let mut slow = Vec::new();
        for n in 0..count {
            let receiver = Receiver::start().await;
            let client_id = format!("slow-{n}");
            testbed.set_up(&client_id, &receiver.url(), 7).await;
            receiver.takes(&testbed.clock, took);
            slow.push((client_id, receiver));
        }
        // Events of slow receivers one after the other, in each second in which none is waited for,
        // and then one of a fast receiver.
        let (mut fast, mut waited) = (0, 0);
        while fast < 300 {
            for (client_id, receiver) in &slow {
                let mut event = event("ORDER-1", 1);
                event.client_id = ClientId::new(client_id.as_str());
                let before = receiver.got().len();
                let record = record_of("slow", on_the_bus(&event), 1);
                testbed.process(vec![record], PLENTY_MS).await;
                if receiver.got().len() > before {
                    waited += took.as_secs();
                    fast += took.as_secs();
                }
            }
            testbed.clock.advance(Duration::from_secs(1));
            assert_eq!(testbed.again(&format!("ORDER-{fast}"), 1).await, 0);
            fast += 1;
        }
        // Each is waited for once before it is known to be slow, and once more before all the
        // others are.
        let at_first = 2 * count * took.as_secs();
        assert!(
            waited <= fast / 2 + at_first,
            "{waited} of {fast}, {count} slow ones"
        );
        for (client_id, receiver) in &slow {
            assert!(receiver.got().len() > 1, "{client_id} is asked again");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_begun_when_the_time_is_nearly_up() {
    let testbed = WebhookTestbed::start().await;
    let late = record_of("late", on_the_bus(&event("ORDER-1", 3)), 1);
    let answer = testbed.process(vec![late], 13_999).await;
    assert_eq!(failed(&answer), ["late"]);
    assert!(testbed.receiver.got().is_empty() && testbed.hidden.times_s().is_empty());
}
