//! What schedules begin: nobody sends a trace along, and it is recorded all the same.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind as Kind;

use super::{holds_together, is, named};
use crate::support::{Collector, Testbed, invocation};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_daily_reconciliation_is_recorded_from_its_message_on() {
    let (testbed, collector) = (Testbed::start().await, Collector::start().await);
    let spans = collector.spans_of("reconcile", &testbed.clock);
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    // As EventBridge Scheduler sends it: without any attribute.
    let message = json!({"v": "reconcile-daily.v1"}).to_string();
    testbed.forge_work(&message).await;
    let worked_off = spans.invocation(invocation("daily"), testbed.work_off_days());
    assert_eq!(worked_off.await, 0);
    let got = collector.got();
    let batch = named(&got, "process reconcile-work");
    assert_eq!((batch.kind, batch.parent.as_str()), (Kind::Consumer, ""));
    assert!(batch.links.is_empty(), "it follows nothing");
    is(batch, &[("messaging.batch.message_count", json!(1))]);
    // The work begins the trace that the messages for the day's parts go on with.
    let work = named(&got, "process message");
    assert_eq!(
        (work.parent.as_str(), &work.links[..]),
        ("", &[batch.ids()][..])
    );
    let bill = named(&got, "GET /v3/bill/tradebill");
    assert_eq!(
        (&bill.trace_id, &bill.parent),
        (&work.trace_id, &work.span_id)
    );
    let parts = got.iter().filter(|span| span.links.len() == 2);
    for part in parts {
        assert_eq!(part.trace_id, work.trace_id, "{part:#?}");
    }
    holds_together(&got, &["ORDER-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_schedules_begin_traces_that_are_recorded() {
    let (testbed, collector) = (Testbed::start().await, Collector::start().await);
    let spans = collector.spans_of("reconcile", &testbed.clock);
    spans
        .invocation(invocation("certificates"), testbed.certificates())
        .await;
    spans.invocation(invocation("sweep"), testbed.sweep()).await;
    let got = collector.got();
    for name in ["certificates", "track refunds", "sweep"] {
        let task = named(&got, name);
        assert_eq!((task.kind, task.parent.as_str()), (Kind::Internal, ""));
        is(task, &[("faas.trigger", json!("timer"))]);
        let calls = got.iter().filter(|span| span.parent == task.span_id);
        assert!(
            calls.clone().any(|call| call.name.starts_with("DynamoDB.")),
            "{name}: {got:#?}"
        );
    }
}
