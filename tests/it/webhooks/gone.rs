//! A receiver that answers 410: when its webhook is disabled.

use std::time::Duration;

use axum::http::StatusCode;
use payments::rules::webhook::{GoneRun, LastAnswer};
use stores::keys_table::Webhook;

use super::{
    FAULTS, PLENTY_MS, Receiver, TAKES_NOTHING, WebhookTestbed, event, failed, on_the_bus,
    record_of,
};
use crate::support::Lines;

#[tokio::test(flavor = "multi_thread")]
async fn one_410_ends_nothing_and_the_event_comes_again() {
    let scene = WebhookTestbed::start().await;
    scene.receiver.answer_next(StatusCode::GONE);
    scene.publish(&event("ORDER-1", 3)).await;
    assert_eq!(scene.work_off().await, 1, "it is tried again");
    assert_eq!(scene.hidden.times_s(), [5]);
    let again = record_of("again", on_the_bus(&event("ORDER-1", 3)), 2);
    assert!(failed(&scene.process(vec![again], PLENTY_MS).await).is_empty());
    assert_eq!(scene.receiver.ids(), ["ORDER-1_3"; 2]);
    assert!(scene.kept().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_says_410_for_hours_gets_no_more_a_person_is_told_and_its_events_are_kept()
{
    let scene = WebhookTestbed::start().await;
    let lines = Lines::default();
    lines.of(scene.say_410_for_hours()).await;
    let webhook = scene.keys.webhook("shop").await.expect("read");
    assert!(
        matches!(webhook.as_deref(), Some(Webhook::Disabled { why, .. }) if why.contains("410")),
        "{webhook:?}"
    );
    let mut told = lines.take("ERROR");
    told.retain(|line| line["message"] != TAKES_NOTHING);
    let [told] = &told[..] else {
        panic!("one ERROR line")
    };
    assert_eq!(told["client_id"], "shop");
    assert!(
        told["what_to_do"]
            .as_str()
            .is_some_and(|what| what.contains("resend"))
    );
    assert_eq!(scene.kept().await, ["ORDER-0_3"]);
    // Later events are stored as well, repeated or not; it is logged each hour, without an alarm.
    let got = scene.receiver.got().len();
    for seconds in [0, 1, 3_600] {
        scene.clock.advance(Duration::from_secs(seconds));
        scene.publish(&event("ORDER-1", 3)).await;
        assert_eq!(
            lines.of(scene.work_off()).await,
            0,
            "done with: not tried again"
        );
    }
    let mut told = lines.take_all();
    told.retain(|line| line["level"] != "INFO");
    let still = "a webhook is still disabled: its events are kept and not sent";
    assert!(
        told.iter()
            .all(|line| line["level"] == "WARN" && line["message"] == still),
        "{told:?}"
    );
    assert_eq!(told.len(), 2);
    assert_eq!(scene.receiver.got().len(), got);
    assert_eq!(scene.kept().await, ["ORDER-0_3", "ORDER-1_3"]);
    scene.set_up("shop", &scene.receiver.url(), 2).await;
    scene.clock.advance(Duration::from_secs(60));
    scene.publish(&event("ORDER-3", 3)).await;
    assert_eq!(scene.work_off().await, 0);
    assert_eq!(scene.receiver.ids()[got..], ["ORDER-3_3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_told_of_a_disabled_webhook_although_the_sandbox_that_disabled_it_died() {
    let scene = WebhookTestbed::start().await;
    let url = scene.keys.webhook("shop").await.expect("read");
    let Some(Webhook::Active(endpoint)) = url.as_deref() else {
        panic!("an active webhook")
    };
    let now = scene.clock.now();
    let run = GoneRun {
        since: now,
        counted_at: now,
        count: 4,
    };
    let gone = LastAnswer {
        answer: "410".to_owned(),
        at: now,
        since: now,
        gone: Some(run),
        failing: None,
    };
    let noted = scene.keys.note_answer("shop", &endpoint.url, None, &gone);
    assert!(noted.await.expect("written"));
    let disabled = scene
        .keys
        .disable_webhook("shop", &endpoint.url, &run, "410", now);
    disabled.await.expect("written");
    // Its message comes again.
    let lines = Lines::default();
    assert_eq!(lines.of(scene.again("ORDER-1", 2)).await, 0);
    assert_eq!(lines.take("ERROR").len(), 1);
    assert_eq!(scene.kept().await, ["ORDER-1_1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_says_410_to_one_event_and_takes_another_keeps_its_webhook() {
    let scene = WebhookTestbed::start().await;
    for hour in 0..=8 {
        scene.receiver.answer_next(StatusCode::GONE);
        let taken = Duration::from_millis(50);
        scene.receiver.answer_after(taken, StatusCode::NO_CONTENT);
        let both = ["ORDER-1", "ORDER-2"];
        let both = both.map(|order| record_of(order, on_the_bus(&event(order, hour)), 1));
        let answer = scene.process(both.into(), PLENTY_MS).await;
        assert_eq!(failed(&answer).len(), 1, "after {hour} hours");
        scene.clock.advance(Duration::from_secs(3_600));
    }
    let state = scene.keys.webhook_state("shop").await.expect("read");
    let state = state.expect("a webhook");
    assert_eq!(state.disabled, None);
    let last = state.last_answer.expect("an answer");
    assert_eq!((last.answer.as_str(), last.gone), ("204", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_the_disabling_of_a_webhook_is_cut_off_its_event_is_kept() {
    let scene = WebhookTestbed::start().await;
    for fault in FAULTS {
        for nth in 0.. {
            scene.set_up("shop", &scene.receiver.url(), 1).await;
            scene.clock.advance(Duration::from_secs(60));
            scene.say_410_each_hour(6).await;
            let order = format!("ORDER-{fault:?}-{nth}");
            if !scene.strike(&order, nth, fault, StatusCode::GONE).await {
                assert!(nth >= 4, "reading, and three writes: {nth}");
                break;
            }
            let state = scene.keys.webhook_state("shop").await.expect("read");
            assert!(state.expect("a webhook").disabled.is_some(), "{order}");
            assert!(
                scene.kept().await.contains(&format!("{order}_1")),
                "{order}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_place_s_410_does_not_end_the_new_one() {
    let scene = WebhookTestbed::start().await;
    let new = Receiver::start().await;
    // The second time, the function reads the webhook and writes nothing.
    for version in [2, 3] {
        scene.publish(&event("ORDER-1", version)).await;
        assert_eq!(scene.work_off().await, 0, "the function has the old place");
    }
    scene.set_up("shop", &new.url(), 2).await;
    scene.receiver.answer_next(StatusCode::GONE);
    scene.publish(&event("ORDER-2", 3)).await;
    assert_eq!(scene.work_off().await, 1, "it is tried again");
    let again = record_of("again", on_the_bus(&event("ORDER-2", 3)), 2);
    let answer = scene.process(vec![again], PLENTY_MS).await;
    assert!(failed(&answer).is_empty());
    assert_eq!(new.ids(), ["ORDER-2_3"]);
}
