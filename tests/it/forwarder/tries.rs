//! What comes again, what is put away, and what is sent once it can be.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::{Fault, Match, Service};

use super::sinks::{Receiver, State};
use super::{Forwarder, GROUP, delivery, line};
use crate::support::Lines;

fn event() -> Value {
    delivery(GROUP, &[line("ERROR", "one"), line("INFO", "two")])
}

#[tokio::test]
async fn a_sink_that_fails_gets_the_lines_when_it_is_well_again_and_each_once() {
    for state in [
        State::Breaks,
        State::LosesAnswers,
        State::Status(503, &[]),
        State::Status(408, &[]),
    ] {
        let forwarder = Forwarder::start().await;
        forwarder.sentry.turns(state.clone());
        forwarder.loki.turns(state.clone());
        let lines = Lines::by(forwarder.clock.clone());
        assert!(!lines.of(forwarder.invoke(&event())).await, "{state:?}");
        let said = lines.take("WARN");
        assert_eq!(said.len(), 1, "{said:?}");
        let error = said[0]["error"].as_str().expect("a text");
        assert!(
            error.contains("sentry: ") && error.contains("loki: "),
            "{error}"
        );
        forwarder.sentry.turns(State::Well);
        forwarder.loki.turns(State::Well);
        assert!(forwarder.invoke(&event()).await);
        assert_eq!(forwarder.sentry.events().len(), 1, "{state:?}");
        assert_eq!(forwarder.loki.entries().len(), 2, "{state:?}");
        assert!(forwarder.put_away().is_empty());
    }
}

#[tokio::test]
async fn a_sink_that_never_answers_ends_its_invocation_by_itself() {
    let forwarder = Forwarder::start().await;
    forwarder.sentry.turns(State::Hangs);
    assert!(!forwarder.invoke(&event()).await);
    // The other has its lines.
    assert_eq!(forwarder.loki.entries().len(), 2);
}

#[tokio::test]
async fn a_dead_sink_stops_no_other_and_what_it_missed_is_sent_from_the_queue() {
    let forwarder = Forwarder::start().await;
    forwarder.sentry.turns(State::Breaks);
    assert!(!forwarder.call(&event()).await);
    assert_eq!(forwarder.sentry.requests(), 3);
    assert_eq!(forwarder.loki.entries().len(), 2, "once");
    assert_eq!(forwarder.put_away().len(), 1);
    forwarder.sentry.turns(State::Well);
    forwarder.send_again().await;
    assert_eq!(forwarder.sentry.events().len(), 1);
    assert_eq!(forwarder.loki.entries().len(), 2, "still once");
    assert!(forwarder.put_away().is_empty());
}

#[tokio::test]
async fn a_dead_sink_is_asked_once_in_an_invocation_and_not_for_each_line() {
    let forwarder = Forwarder::start().await;
    forwarder.sentry.turns(State::Status(502, &[]));
    let errors: Vec<Value> = (0..60).map(|at| line("ERROR", &format!("m{at}"))).collect();
    assert!(!forwarder.invoke(&delivery(GROUP, &errors)).await);
    assert_eq!(forwarder.sentry.requests(), 4, "as many as go at once");
}

/// What a slow sink has is not sent to it again and again until the last run.
#[tokio::test]
async fn a_sink_that_stops_halfway_has_the_first_half_once_and_the_queue_has_the_rest() {
    let forwarder = Forwarder::start().await;
    forwarder.sentry.turns(State::StopsAfter(8));
    let errors: Vec<Value> = (0..60).map(|at| line("ERROR", &format!("m{at}"))).collect();
    let log = Lines::by(forwarder.clock.clone());
    let event = delivery(GROUP, &errors);
    assert!(
        log.of(forwarder.invoke(&event)).await,
        "the run made progress: it does not come again"
    );
    assert_eq!(forwarder.sentry.requests(), 12, "the third four failed");
    assert_eq!(forwarder.sentry.events().len(), 8);
    let said = log.take("WARN");
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0]["count"], json!(52));
    assert_eq!(
        forwarder.put_away().len(),
        1,
        "one event brings all of them"
    );
    forwarder.sentry.turns(State::Well);
    forwarder.send_again().await;
    assert_eq!(forwarder.sentry.events().len(), 60);
    assert_eq!(forwarder.sentry.requests(), 12 + 52, "each once");
    assert_eq!(forwarder.loki.entries().len(), 60);
}

#[tokio::test]
async fn of_three_requests_to_loki_the_first_is_not_sent_again_since_the_second_failed() {
    let forwarder = Forwarder::without_sinks().await;
    forwarder.set_up(&forwarder.loki).await;
    let lines: Vec<Value> = (0..2_500)
        .map(|at| line("INFO", &format!("m{at}")))
        .collect();
    forwarder.loki.turns(State::StopsAfter(1));
    assert!(forwarder.invoke(&delivery(GROUP, &lines)).await);
    assert_eq!(forwarder.loki.entries().len(), 1_000);
    assert_eq!(forwarder.loki.requests(), 2, "the third was not tried");
    forwarder.loki.turns(State::Well);
    forwarder.send_again().await;
    assert_eq!(forwarder.loki.entries().len(), 2_500);
    assert!(forwarder.put_away().is_empty());
}

#[tokio::test]
async fn lines_that_are_too_old_for_loki_are_left_out_and_go_no_way_in_a_circle() {
    for (waits, newer) in [
        (Duration::from_secs(8 * 24 * 3600), None),
        (Duration::from_secs(2 * 3600), Some("2026-12-01T01:30:00Z")),
    ] {
        let forwarder = Forwarder::without_sinks().await;
        forwarder.set_up(&forwarder.loki).await;
        forwarder.loki.turns(State::Breaks);
        let old = delivery(GROUP, &[line("INFO", "old"), line("INFO", "as old")]);
        assert!(!forwarder.call(&old).await);
        forwarder.loki.turns(State::Well);
        forwarder.clock.advance(waits);
        let mut there = 0;
        if let Some(at) = newer {
            let mut newer = line("INFO", "newer");
            newer["timestamp"] = json!(at);
            assert!(forwarder.invoke(&delivery(GROUP, &[newer])).await);
            there = 1;
        }
        let log = Lines::by(forwarder.clock.clone());
        log.of(forwarder.send_again()).await;
        let said = log.take("WARN");
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(said[0]["count"], json!(2), "{said:?}");
        assert_eq!(forwarder.loki.entries().len(), there);
        assert!(forwarder.put_away().is_empty(), "no circle");
    }
}

#[tokio::test]
async fn a_line_that_a_sink_will_never_take_is_put_away_alone_and_at_once() {
    let forwarder = Forwarder::start().await;
    forwarder.sentry.turns(State::Refuses("\"bad\""));
    let lines = [
        line("ERROR", "good"),
        line("ERROR", "bad"),
        line("INFO", "two"),
    ];
    let log = Lines::by(forwarder.clock.clone());
    let event = delivery(GROUP, &lines);
    assert!(
        log.of(forwarder.invoke(&event)).await,
        "it does not come again"
    );
    assert_eq!(forwarder.sentry.events().len(), 1);
    assert_eq!(forwarder.loki.entries().len(), 3);
    let away = forwarder.put_away();
    let [(letter, why)] = &away[..] else {
        panic!("{away:?}")
    };
    assert_ne!(letter, &event, "the other lines are not in it");
    let why = why.as_deref().expect("a cause");
    assert_eq!(why, "sentry: status 400: it is not to my taste");
    let said = log.take("WARN");
    assert_eq!(
        (&said[0]["count"], &said[0]["error"]),
        (&json!(1), &json!(why))
    );
    assert!(log.take("ERROR").is_empty(), "the queue's alarm calls");
    // Once its cause is repaired it is sent from there.
    forwarder.sentry.turns(State::Well);
    forwarder.send_again().await;
    let mut titles: Vec<Value> = forwarder
        .sentry
        .events()
        .iter()
        .map(|event| event["logentry"]["formatted"].clone())
        .collect();
    titles.sort_by_key(ToString::to_string);
    assert_eq!(titles, ["bad", "good"]);
    assert_eq!(forwarder.loki.entries().len(), 3);
}

#[tokio::test]
async fn wrong_secrets_and_addresses_put_lines_away_until_they_are_repaired() {
    let forwarder = Forwarder::without_sinks().await;
    for (dsn, why) in [
        ("https://k3y@10.0.0.7/42", "is not a public address"),
        (
            "http://k3y@sentry.example/42",
            "does not begin with https://",
        ),
    ] {
        let sink = log_sinks::Sink::Sentry(log_sinks::Dsn::parse(dsn).expect("a DSN"));
        forwarder.keys.put_log_sink(&sink).await.expect("written");
        forwarder.clock.advance(Duration::from_secs(61));
        assert!(forwarder.invoke(&event()).await, "{dsn}");
        let away = forwarder.put_away();
        let said = away
            .last()
            .and_then(|(_, why)| why.clone())
            .expect("a cause");
        assert!(said.contains(why) && !said.contains("k3y"), "{said}");
    }
    forwarder.set_up(&forwarder.sentry).await;
    forwarder.clock.advance(Duration::from_secs(61));
    for status in [401, 403, 404] {
        forwarder.sentry.turns(State::Status(status, &[]));
        assert!(forwarder.invoke(&event()).await);
    }
    assert_eq!(forwarder.put_away().len(), 5);
    forwarder.sentry.turns(State::Well);
    forwarder.send_again().await;
    assert_eq!(forwarder.sentry.events().len(), 1);
}

#[tokio::test]
async fn a_sink_that_had_too_much_is_left_alone_for_as_long_as_it_says() {
    for (headers, rests_s) in [
        (&[("retry-after", "90")][..], 90),
        (
            &[(
                "x-sentry-rate-limits",
                "50:error;default:organization:quota",
            )],
            50,
        ),
        (&[], 60),
    ] {
        let forwarder = Forwarder::start().await;
        forwarder.sentry.turns(State::Status(429, headers));
        assert!(!forwarder.invoke(&event()).await);
        assert_eq!(forwarder.sentry.requests(), 1);
        forwarder.sentry.turns(State::Well);
        forwarder.clock.advance(Duration::from_secs(rests_s - 1));
        assert!(!forwarder.invoke(&event()).await, "{headers:?}");
        assert_eq!(forwarder.sentry.requests(), 1, "not asked: {headers:?}");
        forwarder.clock.advance(Duration::from_secs(1));
        assert!(forwarder.invoke(&event()).await, "{headers:?}");
        assert_eq!(forwarder.sentry.events().len(), 1);
        // Its rest is not the other's.
        assert_eq!(forwarder.loki.entries().len(), 2);
    }
}

#[tokio::test]
async fn a_rest_that_comes_with_a_yes_counts_from_the_next_event_on() {
    let forwarder = Forwarder::start().await;
    let limits = &[("x-sentry-rate-limits", "30::key")];
    forwarder.sentry.turns(State::WellBut(limits));
    assert!(forwarder.invoke(&event()).await);
    let next = delivery(GROUP, &[line("ERROR", "next"), line("ERROR", "and one")]);
    assert!(!forwarder.invoke(&next).await);
    assert_eq!(forwarder.sentry.requests(), 1);
    forwarder.clock.advance(Duration::from_secs(30));
    forwarder.sentry.turns(State::Well);
    assert!(forwarder.invoke(&next).await);
}

#[tokio::test]
async fn without_a_sink_lines_come_again_and_one_that_is_set_up_then_counts_at_once() {
    let forwarder = Forwarder::without_sinks().await;
    assert!(!forwarder.invoke(&event()).await);
    forwarder.set_up(&forwarder.loki).await;
    assert!(forwarder.invoke(&event()).await);
    assert_eq!(forwarder.loki.entries().len(), 2);
    assert_eq!(forwarder.sentry.requests(), 0);
}

#[tokio::test]
async fn what_cannot_be_put_away_comes_again() {
    let forwarder = Forwarder::start().await;
    forwarder.loki.turns(State::Status(400, &[]));
    let send = Match::operation(Service::Sqs, "SendMessage");
    forwarder.wire.break_all(send, Fault::Unreachable);
    assert!(!forwarder.invoke(&event()).await);
    forwarder.wire.mend();
    assert!(forwarder.invoke(&event()).await);
    assert_eq!(forwarder.put_away().len(), 1);
    assert_eq!(forwarder.sentry.events().len(), 1);
}

#[tokio::test]
async fn many_lines_that_are_put_away_fit_into_messages() {
    let forwarder = Forwarder::without_sinks().await;
    forwarder.set_up(&forwarder.loki).await;
    forwarder.loki.turns(State::Status(400, &[]));
    // Texts that gzip makes no shorter.
    let digits = |seed: u64| -> String {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..1_500).map(|_| random.alphanumeric()).collect()
    };
    let lines: Vec<Value> = (0..500).map(|at| line("INFO", &digits(at))).collect();
    assert!(forwarder.invoke(&delivery(GROUP, &lines)).await);
    assert!(forwarder.put_away().len() > 3);
    forwarder.loki.turns(State::Well);
    forwarder.send_again().await;
    assert_eq!(forwarder.loki.entries().len(), 500);
}

#[tokio::test]
async fn without_time_for_an_answer_nothing_is_asked_for() {
    let forwarder = Forwarder::start().await;
    let deadline_ms = forwarder.clock.now_ms() + 1_000;
    let event = event();
    let forwarded = forward_errors::handler::forward(&forwarder.app, &event, deadline_ms).await;
    let error = forwarded.expect_err("no time").to_string();
    assert!(error.contains("no time was left"), "{error}");
    assert_eq!(forwarder.sentry.requests() + forwarder.loki.requests(), 0);
}

#[tokio::test]
async fn a_sink_of_the_same_kind_takes_the_place_of_the_one_before() {
    let forwarder = Forwarder::start().await;
    let other = Receiver::sentry(&forwarder.clock).await;
    forwarder.set_up(&other).await;
    forwarder.clock.advance(Duration::from_secs(61));
    assert!(forwarder.invoke(&event()).await);
    assert_eq!((other.events().len(), forwarder.sentry.requests()), (1, 0));
}
