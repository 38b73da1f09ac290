//! Receivers of webhooks that are down, hang or answer 410.

use std::{collections::BTreeSet, time::Duration};

use axum::http::StatusCode;
use serde_json::json;

use super::{MINUTE, Watch};
use crate::{
    support::{Lines, MAX_RECEIVE_COUNT},
    webhooks::{self, WebhookTestbed},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_of_webhooks_that_is_down_is_an_alarm_in_its_first_minutes() {
    let testbed = WebhookTestbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    for number in 0..3 {
        testbed.clock.advance(MINUTE);
        testbed
            .publish(&webhooks::event(&format!("ORDER-{number}"), 1))
            .await;
        assert_eq!(watch.of(testbed.work_off()).await, 0);
    }
    // One attempt in some fails, and the next one does not.
    testbed.receiver.answer_next(StatusCode::BAD_GATEWAY);
    testbed.publish(&webhooks::event("ORDER-9", 1)).await;
    assert_eq!(watch.of(testbed.work_off()).await, 1);
    assert_eq!(watch.of(testbed.again("ORDER-9", 2)).await, 0);
    testbed.clock.advance(MINUTE);
    assert!(!watch.not_quiet().contains("webhook-receiver-down"));

    testbed.set_up("shop", "http://127.0.0.1:9/gone", 1).await;
    testbed.clock.advance(MINUTE);
    for number in 10..13 {
        testbed.clock.advance(MINUTE);
        let order = format!("ORDER-{number}");
        assert_eq!(watch.of(testbed.again(&order, 1)).await, 1);
        assert_eq!(watch.of(testbed.again(&order, 2)).await, 1);
    }
    testbed.clock.advance(MINUTE);
    let alarms = ["webhook-receiver-down", "webhook-receivers"];
    for alarm in alarms {
        watch.goes_on(alarm);
    }
    watch.says("webhook not delivered", "webhooks.md");
    testbed.clock.advance(MINUTE * 60 * 2);
    for alarm in alarms {
        watch.goes_off(alarm);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_time_out_of_a_receiver_is_no_alarm_and_one_that_hangs_is() {
    let testbed = WebhookTestbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let second_of_a_minute = testbed.clock.now().0.rem_euclid(60).unsigned_abs();
    let until_40 = Duration::from_secs(100 - second_of_a_minute);
    testbed.clock.advance(until_40);
    // So much time is left that the receiver has six seconds of it.
    let left_ms = 14_000;
    testbed.receiver.wait_for(usize::MAX);
    assert_eq!(
        watch.of(testbed.again_within("ORDER-1", 1, left_ms)).await,
        1
    );
    testbed.receiver.wait_for(0);
    // In this minute and the next one, others come again while it is left alone.
    for order in ["ORDER-2", "ORDER-3", "ORDER-4"] {
        testbed.clock.advance(Duration::from_secs(14));
        assert_eq!(watch.of(testbed.again(order, 2)).await, 1, "{order}");
    }
    for order in ["ORDER-1", "ORDER-2", "ORDER-3", "ORDER-4"] {
        testbed.clock.advance(MINUTE);
        assert_eq!(watch.of(testbed.again(order, 3)).await, 0, "{order}");
    }
    assert!(!watch.not_quiet().contains("webhook-receiver-down"));

    testbed.receiver.wait_for(usize::MAX);
    for order in ["ORDER-5", "ORDER-6"] {
        testbed.clock.advance(MINUTE);
        assert_eq!(watch.of(testbed.again_within(order, 2, left_ms)).await, 1);
    }
    testbed.clock.advance(MINUTE);
    assert!(watch.is_met("webhook-receiver-down"), "{:?}", watch.met());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_given_up_is_counted_and_calls_once_by_its_dead_letter() {
    let testbed = WebhookTestbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let lines = Lines::by(testbed.clock.clone());
    let given_up = async |attempt| {
        testbed.receiver.answer_next(StatusCode::BAD_GATEWAY);
        assert_eq!(lines.of(testbed.again("ORDER-1", attempt)).await, 1);
        let counted = lines.take_all().into_iter().find_map(|line| {
            let directives = line["_aws"]["CloudWatchMetrics"].as_array()?;
            let mut metrics = directives
                .iter()
                .filter_map(|one| one["Metrics"].as_array());
            let is_counted = metrics.any(|metrics| {
                let mut names = metrics.iter().map(|metric| &metric["Name"]);
                names.any(|name| name == "WebhooksGivenUp")
            });
            is_counted.then(|| {
                (
                    line["WebhooksGivenUp"].clone(),
                    line["level"].clone(),
                    line["message"].clone(),
                )
            })
        });
        testbed.clock.advance(MINUTE);
        counted
    };
    assert_eq!(given_up(MAX_RECEIVE_COUNT - 1).await, None);
    let message = "webhook given up: it goes to the dead-letter queue";
    assert_eq!(
        given_up(MAX_RECEIVE_COUNT).await,
        Some((json!(1), json!("ERROR"), json!(message)))
    );
    // The alarm of the dead-letter queue calls: that of new error lines would be a second call.
    testbed.receiver.answer_next(StatusCode::BAD_GATEWAY);
    let last = testbed.again("ORDER-2", MAX_RECEIVE_COUNT);
    assert_eq!(watch.of(last).await, 1);
    testbed.clock.advance(MINUTE * 5);
    assert!(!watch.not_quiet().contains("new-error-lines"));
    testbed.clock.advance(MINUTE * 55);
    assert!(watch.is_met("error-lines"), "{:?}", watch.met());
    watch.says(message, "webhooks.md");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_of_webhooks_that_answers_410_is_an_alarm() {
    let testbed = WebhookTestbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    testbed.receiver.answer_next(StatusCode::GONE);
    watch.of(testbed.again("ORDER-1", 1)).await;
    testbed.clock.advance(MINUTE);
    watch.goes_on("webhook-receiver-gone");
    testbed.clock.advance(MINUTE * 60 * 2);
    watch.goes_off("webhook-receiver-gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_clients_dead_receiver_calls_although_the_first_ones_has_been_dead_for_days() {
    const BAD_GATEWAY: StatusCode = StatusCode::BAD_GATEWAY;
    for status in [BAD_GATEWAY, StatusCode::GONE] {
        let testbed = WebhookTestbed::start().await;
        let mut watch = Watch::by(&testbed.clock);
        let (first, kiosk) = (webhooks::Receiver::start().await, "kiosk");
        testbed.set_up("shop", &first.url(), 1).await;
        testbed.set_up(kiosk, &testbed.receiver.url(), 7).await;
        // Events of the first client fail within three minutes, and one is given up.
        let first_fails = async |watch: &mut Watch| {
            for attempt in [1, 2, MAX_RECEIVE_COUNT] {
                first.answer_next(if attempt == 1 { BAD_GATEWAY } else { status });
                assert_eq!(watch.of(testbed.again("ORDER-1", attempt)).await, 1);
                testbed.clock.advance(MINUTE);
            }
        };
        for half_hours in 0..96 {
            first_fails(&mut watch).await;
            assert_eq!(watch.of(testbed.again_of(kiosk, "ORDER-2", 1)).await, 0);
            testbed.clock.advance(MINUTE * 2);
            let is_alarmed = watch.is_met("new-error-lines");
            assert_eq!(is_alarmed, half_hours == 1, "{half_hours}");
            testbed.clock.advance(MINUTE * 25);
        }
        let before: BTreeSet<String> = watch.met().into_iter().map(str::to_owned).collect();
        for alarm in ["webhook-receiver-down", "error-lines"] {
            assert!(before.contains(alarm), "{alarm}");
        }
        assert!(!watch.not_quiet().contains("new-error-lines"));
        // Now the second client's is down too. Its event comes again as it does.
        let mut called = BTreeSet::new();
        for (attempt, wait_s) in [(1, 5), (2, 300), (3, 1_800), (4, 300)] {
            testbed.receiver.answer_next(status);
            assert_eq!(
                watch.of(testbed.again_of(kiosk, "ORDER-3", attempt)).await,
                1
            );
            testbed.clock.advance(Duration::from_secs(wait_s));
            let met = watch
                .met()
                .into_iter()
                .filter(|alarm| !before.contains(*alarm));
            called.extend(met.map(str::to_owned));
        }
        assert_eq!(
            called,
            BTreeSet::from(["new-error-lines".to_owned()]),
            "{status}"
        );
        watch.says(webhooks::TAKES_NOTHING, "webhooks.md");
        // It is not reported again while both are down.
        for _ in 0..4 {
            testbed.clock.advance(MINUTE * 30);
            first_fails(&mut watch).await;
            testbed.receiver.answer_next(status);
            assert_eq!(watch.of(testbed.again_of(kiosk, "ORDER-3", 5)).await, 1);
            testbed.clock.advance(MINUTE * 5);
            assert!(!watch.not_quiet().contains("new-error-lines"), "{status}");
        }
    }
}
