use wechatpay::UnixSeconds;

use super::*;
use crate::model::{ids::RefundNo, journal::ChangeContext, order_refusal::OrderRefusal};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLBACKS: &str = "b140f58bae458efb342211499d097707";
const SWEEPS: &str = "28a9dd52ac3c4b78dcc7e7de83a77a62";
/// When the orders of these tests are made.
const AT_MS: i64 = 1_785_556_801_000;

fn order_no() -> OrderNo {
    OrderNo::parse("ORDER-1").expect("a number")
}

fn request() -> Cause {
    Cause::Request("r-1".to_owned())
}

/// An event so long after the beginning.
fn event(version: u64, from: Option<&'static str>, to: &'static str, after_ms: i64) -> Event {
    let at_ms = AT_MS + after_ms;
    let context = ChangeContext {
        cause: request(),
        trace: TRACE.to_owned(),
        is_sampled: true,
        at: UnixSeconds(at_ms / 1_000),
        millisecond: u16::try_from(at_ms % 1_000).ok(),
        delivery: None,
        request_id: None,
    };
    context.event(version, Subject::Order, from, to)
}

/// A paid order: made at once, paid half a minute later.
fn paid() -> Vec<Event> {
    vec![
        event(1, None, "reserved", 0),
        event(2, Some("reserved"), "awaiting_payment", 275),
        Event {
            cause: Cause::Notice("EV-1".to_owned()),
            trace: CALLBACKS.to_owned(),
            delivery: Some(Delivery {
                queued_ms: 85,
                worked_ms: 14,
                received: 1,
            }),
            ..event(3, Some("awaiting_payment"), "paid", 31_071)
        },
    ]
}

fn lines(way: &Waterfall) -> Vec<(SpanKind, &str, i64, i64)> {
    let spans = way.spans.iter();
    spans
        .map(|span| (span.kind, span.name, span.from_ms - AT_MS, span.took_ms()))
        .collect()
}

#[test]
fn a_paid_orders_way_leads_by_the_callback_and_its_queue() {
    let way = waterfall(&order_no(), &paid()).expect("a way");
    assert_eq!(
        lines(&way),
        [
            (SpanKind::Work, "create-order", 0, 275),
            (SpanKind::Event, "order", 0, 0),
            (SpanKind::Event, "order", 275, 0),
            (SpanKind::Callback, "receive-callback", 30_972, 0),
            (SpanKind::Queue, "payment-results", 30_972, 85),
            (SpanKind::Work, "process-payment", 31_057, 14),
            (SpanKind::Event, "order", 31_071, 0),
        ]
    );
    let gaps: Vec<i64> = way.spans.iter().map(|span| span.gap_ms).collect();
    assert_eq!(gaps, [0, 0, 0, 30_697, 0, 0, 0], "the payer's time");
    assert_eq!((way.from_ms, way.until_ms), (AT_MS, AT_MS + 31_071));
    let texts: Vec<&str> = way.spans.iter().map(|span| span.what.as_str()).collect();
    assert_eq!(texts[1], "-> reserved");
    assert_eq!(texts[5], "WeChat Pay's callback");
    assert_eq!(texts[6], "awaiting_payment -> paid");
}

#[test]
fn every_parent_is_a_span_of_the_picture_and_another_trace_is_linked_to_the_first_event() {
    let mut journal = paid();
    journal[1] = Event {
        cause: Cause::Message("m-1".to_owned()),
        delivery: Some(Delivery {
            queued_ms: 15_000,
            worked_ms: 200,
            received: 2,
        }),
        ..event(2, Some("reserved"), "awaiting_payment", 15_275)
    };
    let way = waterfall(&order_no(), &journal).expect("a way");
    let of_kind = |kind| {
        let spans = way.spans.iter().filter(move |span| span.kind == kind);
        spans.collect::<Vec<_>>()
    };
    for span in &way.spans {
        let Some(parent) = &span.parent_span_id else {
            assert!(
                matches!(span.kind, SpanKind::Work | SpanKind::Callback),
                "{span:?}"
            );
            continue;
        };
        let is_it = |other: &&Span| {
            other.span_id.as_ref() == Some(parent) && other.trace_id == span.trace_id
        };
        assert!(way.spans.iter().any(|other| is_it(&other)), "{span:?}");
    }
    let works = of_kind(SpanKind::Work);
    let events = of_kind(SpanKind::Event);
    assert_eq!(works[1].parent_span_id, events[0].span_id);
    assert_eq!(works[1].received, 2);
    let queue = of_kind(SpanKind::Queue)[0];
    assert!(queue.what.contains("received 2 times"), "{queue:?}");
    let link = SpanLink {
        trace_id: TRACE.to_owned(),
        span_id: events[0].span_id.clone().expect("a span"),
    };
    assert_eq!(works[2].link, Some(link));
    assert_eq!(works[1].link, None);
}

#[test]
fn who_brought_the_news_is_said_and_by_which_function() {
    for (cause, function, who) in [
        (request(), "manage-order", "the client's request"),
        (
            Cause::Sweep("s-1".to_owned()),
            "reconcile",
            "the sweep, which checks what is due",
        ),
        (
            Cause::Reconciliation("run-1".to_owned()),
            "reconcile",
            "the reconciliation of a day's bills",
        ),
    ] {
        let mut journal = paid();
        journal[2].cause = cause;
        journal[2].trace = SWEEPS.to_owned();
        journal[2].delivery = None;
        let way = waterfall(&order_no(), &journal).expect("a way");
        let work = way.spans.iter().rfind(|span| span.kind == SpanKind::Work);
        let work = work.expect("a work");
        assert_eq!((work.name, work.what.as_str()), (function, who));
        assert_eq!(work.parent_span_id, None);
    }
}

#[test]
fn an_event_of_an_earlier_version_is_drawn_to_its_second() {
    let mut journal = paid();
    for event in &mut journal {
        event.millisecond = None;
        event.delivery = None;
    }
    let way = waterfall(&order_no(), &journal).expect("a way");
    assert!(way.spans.iter().all(|span| !span.is_exact));
    assert_eq!(way.until_ms, AT_MS + 31_000);
    assert_eq!(waterfall(&order_no(), &[]), None);
}

#[test]
fn an_event_says_what_makes_it_special() {
    let refund = RefundNo::parse("R1").expect("a number");
    let refused = OrderRefusal {
        code: "PARAM_ERROR".to_owned(),
        message: "o1234 is no such openid".to_owned(),
    };
    for (event, expected) in [
        (
            Event {
                subject: Subject::Refund(refund),
                next_try_at: Some(UnixSeconds(AT_MS / 1_000 + 60)),
                ..event(4, Some("reserved"), "reserved", 0)
            },
            "R1 stays reserved, next try in 60 s",
        ),
        (
            Event {
                refusal: Some(refused),
                ..event(2, Some("reserved"), "rejected", 0)
            },
            "reserved -> rejected, WeChat Pay says PARAM_ERROR",
        ),
    ] {
        assert_eq!(what(&order_no(), &event), expected);
    }
}

#[test]
fn an_instant_stays_visible_beside_a_day_and_nothing_changes_places() {
    let mut journal = paid();
    let mut late = event(4, Some("paid"), "refunded", 3 * 86_400_000);
    late.trace = SWEEPS.to_owned();
    late.cause = Cause::Sweep("s-1".to_owned());
    journal.push(late);
    let way = waterfall(&order_no(), &journal).expect("a way");
    let scale = Scale::new(&way, 1_000);
    assert_eq!(scale.place(way.from_ms), 0);
    assert_eq!(scale.place(way.until_ms), 1_000);
    let places: Vec<i64> = way
        .spans
        .iter()
        .map(|span| scale.place(span.from_ms))
        .collect();
    assert!(places.is_sorted(), "{places:?}");
    let queue = way.spans.iter().find(|span| span.kind == SpanKind::Queue);
    let queue = queue.expect("a queue");
    assert!(scale.place(queue.until_ms) - scale.place(queue.from_ms) > 50);
}

#[test]
fn times_are_written_as_people_read_them() {
    for (ms, text) in [
        (-1, "0 ms"),
        (0, "0 ms"),
        (85, "85 ms"),
        (1_234, "1.234 s"),
        (723_000, "12 min 03 s"),
        (7_500_000, "2 h 05 min"),
        (273_600_000, "3 d 04 h"),
    ] {
        assert_eq!(duration(ms), text);
    }
}
