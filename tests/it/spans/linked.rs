//! What changes an order under a trace of its own is linked to the order's.

use std::time::Duration;

use payments::model::journal::Event;

use super::{Recorded, TRACE};
use crate::support::{Got, invocation, number};

/// An order of the caller's trace that awaits its payment, and is paid. The callback is lost.
async fn paid_in_silence() -> Recorded {
    let recorded = Recorded::start().await;
    recorded.create("ORDER-1", TRACE, "01", &[]).await;
    let testbed = &recorded.testbed;
    testbed.in_silence(testbed.pay("ORDER-1")).await;
    recorded
}

/// The order is paid by news under another trace, which is linked to the event before.
async fn paid_is_linked(recorded: &Recorded, brought_by: &str) {
    let journal = recorded.testbed.journal("ORDER-1").await;
    let [.., before, paid] = &journal[..] else {
        panic!("{journal:?}");
    };
    assert_eq!((paid.to.as_str(), paid.cause.kind()), ("paid", brought_by));
    assert_eq!(before.trace, TRACE);
    assert_ne!(paid.trace, TRACE);
    let got = recorded.collector.got();
    let order_no = number("ORDER-1");
    let ids = |event: &Event| (event.trace.clone(), event.span_id(&order_no));
    let span = |event: &Event| -> Got {
        let found = got.iter().find(|span| span.ids() == ids(event));
        found
            .unwrap_or_else(|| panic!("{event:?}: {got:#?}"))
            .clone()
    };
    assert_eq!(span(paid).links, [ids(before)]);
    assert!(span(before).links.is_empty(), "it is of the order's trace");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_of_a_sweep_is_linked_to_the_order_s_trace() {
    let recorded = paid_in_silence().await;
    let testbed = &recorded.testbed;
    let spans = recorded.collector.spans_of("reconcile", &testbed.clock);
    testbed.advance(Duration::from_secs(3_600)).await;
    let swept = spans.invocation(invocation("sweep"), testbed.sweep()).await;
    assert_eq!(swept.settled, 1, "{swept:?}");
    paid_is_linked(&recorded, "sweep").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_of_a_client_s_look_is_linked_to_the_order_s_trace() {
    let recorded = paid_in_silence().await;
    let testbed = &recorded.testbed;
    let spans = recorded.collector.spans_of("manage-order", &testbed.clock);
    testbed.advance(Duration::from_secs(5)).await;
    let looked = spans.invocation(invocation("look"), testbed.get_order("ORDER-1"));
    assert_eq!(looked.await.body["state"], "paid");
    paid_is_linked(&recorded, "request").await;
}
