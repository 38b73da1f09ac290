//! Work that comes to no end of its own.

use std::{future::pending, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use runtime::{
    clock::Clock,
    spans::{Span, SpanKind},
};
use serde_json::json;
use wechatpay::UnixSeconds;

use super::named;
use crate::support::{Collector, Got, invocation};

const BEGAN_S: i64 = 1_785_556_800;

/// Whether a span failed for this reason, 20 ms after its work began.
fn was_cut_off(span: &Got, why: &str) {
    assert!(span.has_failed, "{span:#?}");
    assert_eq!(span.attributes["error.type"], json!(why), "{span:#?}");
    assert_eq!(span.until_ms - span.from_ms, 20, "{span:#?}");
}

#[tokio::test]
async fn work_that_panics_is_recorded_once_as_failed() {
    let (clock, collector) = (
        Clock::manual(UnixSeconds(BEGAN_S)),
        Collector::start().await,
    );
    let spans = collector.spans_of("create-order", &clock);
    let request = async {
        let name = || "POST /v1/orders".to_owned();
        let span = Span::root(SpanKind::Server, name, clock.now_ms());
        let work = span.around(async {
            let _call = Span::child(SpanKind::Client, || "call".to_owned(), clock.now_ms());
            Span::child(SpanKind::Client, || "done".to_owned(), 1).end(2);
            clock.advance(Duration::from_millis(20));
            panic!("a mistake");
        });
        work.await;
        span.end(clock.now_ms());
    };
    // Lambda's runtime catches it in the same way, and answers that the invocation failed.
    let caught = AssertUnwindSafe(request).catch_unwind();
    let answered = spans.invocation(invocation("panic"), caught).await;
    assert!(answered.is_err());
    let got = collector.got();
    assert_eq!(got.len(), 3, "{got:#?}");
    let (request, call) = (named(&got, "POST /v1/orders"), named(&got, "call"));
    was_cut_off(request, "panic");
    was_cut_off(call, "panic");
    assert_eq!(call.parent, request.span_id);
    assert!(!named(&got, "done").has_failed);
}

#[tokio::test]
async fn work_that_is_given_up_is_recorded_once_as_failed() {
    let (clock, collector) = (
        Clock::manual(UnixSeconds(BEGAN_S)),
        Collector::start().await,
    );
    let spans = collector.spans_of("create-order", &clock);
    let request = async {
        let name = || "POST /v1/orders".to_owned();
        let span = Span::root(SpanKind::Server, name, clock.now_ms());
        let call = span.around(async {
            let _call = Span::child(SpanKind::Client, || "call".to_owned(), clock.now_ms());
            clock.advance(Duration::from_millis(20));
            pending::<()>().await;
        });
        assert_eq!(call.now_or_never(), None, "dropped where it stands");
        span.end(clock.now_ms());
    };
    spans.invocation(invocation("given up"), request).await;
    let got = collector.got();
    assert_eq!(got.len(), 2, "{got:#?}");
    was_cut_off(named(&got, "call"), "cancelled");
    assert!(!named(&got, "POST /v1/orders").has_failed);
}
