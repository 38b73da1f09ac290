//! What does not go out, and what is given up.

use std::time::Duration;

use runtime::{
    clock::Clock,
    otlp::RecordedInvocation,
    spans::{SPANS_MAX, Span, SpanContext, SpanKind},
};
use serde_json::json;
use wechatpay::UnixSeconds;

use super::{TRACE, named};
use crate::support::{Collector, Lines, invocation};

#[tokio::test]
async fn more_spans_than_there_is_room_for_are_counted_and_the_outermost_and_events_are_kept() {
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
                for nth in 1..=100 {
                    let ids = SpanContext::parse(TRACE, &format!("{nth:016x}"));
                    let name = || "order paid".to_owned();
                    Span::child_with_ids(SpanKind::Internal, name, ids, 2).end(2);
                }
            })
            .await;
        outer.end(clock.now_ms());
    };
    lines.of(spans.invocation(invocation("sweep"), work)).await;
    let got = collector.got();
    assert_eq!(got.len(), SPANS_MAX + 100 + 1);
    let events = got.iter().filter(|span| span.name == "order paid");
    assert_eq!(events.count(), 100, "each event is kept");
    named(&got, "sweep");
    let lines = lines.take_all();
    let line = lines
        .iter()
        .find(|line| line["message"] == "spans were not exported");
    let line = line.expect("a line");
    assert_eq!(
        (&line["spans_lost"], &line["cause"], &line["level"]),
        (&json!(7), &json!("no_room"), &json!("WARN"))
    );
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
    let lines = lines.take_all();
    let lost = lines
        .iter()
        .filter(|line| line["message"] == "spans were not exported");
    let lost: Vec<_> = lost
        .map(|line| (line["cause"].clone(), line["spans_lost"].clone()))
        .collect();
    let expected = [("no_time", 1), ("no_answer", 1), ("no_answer", 3)];
    assert_eq!(
        lost,
        expected.map(|(cause, count)| (json!(cause), json!(count)))
    );
}

/// On the clock of the machine, as in a deployed function.
#[tokio::test]
async fn a_collector_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!(
        "http://{}/v1/traces",
        silent.local_addr().expect("an address")
    );
    let clock = Clock::system();
    let spans = Collector::at(url).spans_of("create-order", &clock);
    let lines = Lines::by(clock.clone());
    let work = async {
        Span::root(SpanKind::Server, || "GET".to_owned(), clock.now_ms()).end(clock.now_ms());
    };
    lines.of(spans.invocation(invocation("slow"), work)).await;
    let lines = lines.take_all();
    let line = lines
        .iter()
        .find(|line| line["message"] == "spans were not exported");
    assert_eq!(line.expect("a line")["cause"], "timed_out");
    drop(silent);
}

#[tokio::test]
async fn after_a_failure_a_collector_is_left_alone_for_half_a_minute() {
    let clock = Clock::manual(UnixSeconds(1_785_556_800));
    let collector = Collector::start().await;
    let spans = collector.spans_of("create-order", &clock);
    let lines = Lines::by(clock.clone());
    let event = || async {
        let work = async {
            Span::root(SpanKind::Server, || "GET".to_owned(), clock.now_ms()).end(clock.now_ms());
        };
        spans.invocation(invocation("event"), work).await;
        collector.exports().len()
    };
    lines
        .of(async {
            collector.refuse(true);
            assert_eq!(event().await, 1);
            collector.refuse(false);
            clock.advance(Duration::from_millis(29_999));
            assert_eq!(event().await, 1, "nothing is sent");
            clock.advance(Duration::from_millis(1));
            assert_eq!(event().await, 2);
            assert_eq!(event().await, 3, "it is back");
            // What was not sent meanwhile counts as lost.
            collector.refuse(true);
            clock.advance(Duration::from_secs(60));
            assert_eq!(event().await, 4);
        })
        .await;
    let lines = lines.take_all();
    let lost = lines
        .iter()
        .filter(|line| line["message"] == "spans were not exported");
    let lost: Vec<_> = lost
        .map(|line| (line["cause"].clone(), line["spans_lost"].clone()))
        .collect();
    assert_eq!(
        lost,
        [(json!("refused"), json!(1)), (json!("refused"), json!(2))]
    );
}
