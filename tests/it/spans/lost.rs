//! What does not go out, and what is given up.

use std::time::Duration;

use runtime::{
    clock::Clock,
    otlp::{EXPORT_WITHIN, RecordedInvocation, Spans},
    spans::{MORE_EVENTS_MAX, SPANS_MAX, Span, SpanContext, SpanKind},
};
use serde_json::{Value, json};
use wechatpay::UnixSeconds;

use super::TRACE;
use crate::support::{Collector, CollectorAnswers, Lines, invocation};

/// The lines about lost spans: why, and how many.
fn lost(lines: &Lines) -> Vec<(Value, Value)> {
    let lines = lines.take_all();
    let lost = lines
        .iter()
        .filter(|line| line["message"] == "spans were not exported");
    lost.map(|line| {
        assert_eq!(line["level"], "WARN");
        (line["cause"].clone(), line["spans_lost"].clone())
    })
    .collect()
}

#[tokio::test]
async fn of_more_spans_than_there_is_room_for_the_outermost_messages_and_events_are_kept() {
    let (clock, collector) = (
        Clock::manual(UnixSeconds(1_785_556_800)),
        Collector::start().await,
    );
    let spans = collector.spans_of("reconcile", &clock);
    let lines = Lines::by(clock.clone());
    let work = async {
        let outer = Span::root(SpanKind::Internal, || "sweep".to_owned(), clock.now_ms());
        outer
            .around(async {
                for _ in 0..SPANS_MAX + 7 {
                    Span::child(SpanKind::Client, || "call".to_owned(), 1).end(2);
                }
                // Messages that went out name each event's span as their parent.
                for nth in 1..=MORE_EVENTS_MAX + 10 {
                    let ids = SpanContext::parse(TRACE, &format!("{nth:016x}"));
                    let name = || "order paid".to_owned();
                    Span::child_with_ids(SpanKind::Internal, name, ids, 2).end(2);
                }
                Span::child(SpanKind::Consumer, || "message".to_owned(), 1).end(2);
            })
            .await;
        outer.end(clock.now_ms());
    };
    lines.of(spans.invocation(invocation("sweep"), work)).await;
    let got = collector.got();
    let count = |name: &str| got.iter().filter(|span| span.name == name).count();
    assert_eq!(
        ["call", "order paid", "message", "sweep"].map(count),
        [SPANS_MAX, MORE_EVENTS_MAX, 1, 1]
    );
    assert_eq!(lost(&lines), [(json!("no_room"), json!(17))]);
}

#[tokio::test]
async fn where_no_time_is_left_or_nobody_listens_spans_are_lost_and_a_minute_has_one_line() {
    let (clock, collector) = (
        Clock::manual(UnixSeconds(1_785_556_800)),
        Collector::start().await,
    );
    let (here, lines) = (
        collector.spans_of("create-order", &clock),
        Lines::by(clock.clone()),
    );
    let nowhere = Collector::nowhere().spans_of("create-order", &clock);
    let work = || async {
        Span::root(SpanKind::Server, || "GET".to_owned(), clock.now_ms()).end(clock.now_ms());
        "answered"
    };
    let late = RecordedInvocation {
        id: "late".to_owned(),
        ends_at_ms: clock.now_ms() + 100,
    };
    lines
        .of(async {
            assert_eq!(here.invocation(late, work()).await, "answered");
            assert!(collector.exports().is_empty());
            for _ in 0..3 {
                let answered = nowhere.invocation(invocation("dead"), work()).await;
                assert_eq!(answered, "answered");
            }
            clock.advance(Duration::from_secs(60));
            nowhere.invocation(invocation("dead"), work()).await;
        })
        .await;
    let expected = [("no_time", 1), ("no_answer", 1), ("no_answer", 3)];
    assert_eq!(
        lost(&lines),
        expected.map(|(cause, count)| (json!(cause), json!(count)))
    );
}

/// An invocation with one span. Gives how long it took by this clock, in milliseconds.
async fn event(spans: &Spans, clock: &Clock) -> i64 {
    let began_ms = clock.now_ms();
    let work = async {
        Span::root(SpanKind::Server, || "GET".to_owned(), clock.now_ms()).end(clock.now_ms());
    };
    spans.invocation(invocation("event"), work).await;
    clock.now_ms() - began_ms
}

#[tokio::test]
async fn a_collector_that_never_answers_costs_its_limit_once_in_half_a_minute() {
    let clock = Clock::manual(UnixSeconds(1_785_556_800));
    let collector = Collector::start().await;
    let spans = collector.spans_of("create-order", &clock);
    let lines = Lines::by(clock.clone());
    let limit_ms = i64::try_from(EXPORT_WITHIN.as_millis()).expect("a limit");
    // It passes while the collector has the request: one step of time for each export that came.
    let (passing, requests) = (clock.clone(), collector.clone());
    let time = tokio::spawn(async move {
        let mut passed = 0;
        loop {
            if requests.exports().len() > passed {
                passed += 1;
                passing.advance(EXPORT_WITHIN);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    collector.answers(CollectorAnswers::Hangs);
    lines
        .of(async {
            for _ in 0..2 {
                assert_eq!(event(&spans, &clock).await, limit_ms);
                for _ in 0..3 {
                    assert_eq!(event(&spans, &clock).await, 0, "nothing is sent");
                }
                clock.advance(Duration::from_secs(30));
            }
            assert_eq!(collector.exports().len(), 2);
            clock.advance(Duration::from_secs(30));
            assert_eq!(event(&spans, &clock).await, limit_ms);
        })
        .await;
    time.abort();
    let expected = [1, 8].map(|count| (json!("timed_out"), json!(count)));
    assert_eq!(lost(&lines), expected);
}

/// On the clock of the machine, as in a deployed function.
#[tokio::test]
async fn the_limit_ends_by_the_machine_s_clock_too() {
    let (clock, collector) = (Clock::system(), Collector::start().await);
    collector.answers(CollectorAnswers::Hangs);
    let spans = collector.spans_of("create-order", &clock);
    let lines = Lines::by(clock.clone());
    lines.of(event(&spans, &clock)).await;
    assert_eq!(lost(&lines), [(json!("timed_out"), json!(1))]);
}

#[tokio::test]
async fn after_a_failure_a_collector_is_left_alone_for_half_a_minute() {
    let clock = Clock::manual(UnixSeconds(1_785_556_800));
    let collector = Collector::start().await;
    let spans = collector.spans_of("create-order", &clock);
    let lines = Lines::by(clock.clone());
    let sent = async || {
        event(&spans, &clock).await;
        collector.exports().len()
    };
    lines
        .of(async {
            collector.answers(CollectorAnswers::Refuses);
            assert_eq!(sent().await, 1);
            collector.answers(CollectorAnswers::Takes);
            clock.advance(Duration::from_millis(29_999));
            assert_eq!(sent().await, 1, "nothing is sent");
            clock.advance(Duration::from_millis(1));
            assert_eq!(sent().await, 2);
            assert_eq!(sent().await, 3, "it is back");
            // What was not sent meanwhile is counted, also where nothing fails any more.
            clock.advance(Duration::from_secs(60));
            assert_eq!(sent().await, 4);
        })
        .await;
    let expected = [1, 1].map(|count| (json!("refused"), json!(count)));
    assert_eq!(lost(&lines), expected);
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_make_the_rest_longer() {
    let clock = Clock::manual(UnixSeconds(1_785_556_800));
    let collector = Collector::start().await;
    let spans = collector.spans_of("create-order", &clock);
    collector.answers(CollectorAnswers::Refuses);
    event(&spans, &clock).await;
    clock.set(UnixSeconds(1_785_470_400));
    event(&spans, &clock).await;
    assert_eq!(collector.exports().len(), 2);
}
