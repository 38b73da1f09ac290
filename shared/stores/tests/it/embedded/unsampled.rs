//! Traces whose spans nobody wants kept.

use super::*;

#[tokio::test]
async fn each_event_keeps_whether_the_spans_of_its_trace_are_kept() {
    let bench = Bench::new().await;
    let mut order = typical();
    order.latest_event = Some(Event {
        is_sampled: false,
        ..first(&order)
    });
    reserve(&bench, &order).await;
    let order = issue(&bench, &order).await;
    let unsampled = ChangeContext {
        is_sampled: false,
        ..context()
    };
    let change = OrderChange::new(&order, OrderState::Closing, &unsampled);
    let applied = bench.table().apply(&change).await;
    assert_eq!(applied.expect("an answer"), ApplyOutcome::Applied);
    // So it leaves the table, with its trace.
    let stored = &items(&bench).await[0]["trace"];
    let expected = AttributeValue::S(format!("{}-", context().trace));
    assert_eq!(stored, &expected);
    let journal = bench.table().journal(&order.order_no).await.expect("read");
    let kept: Vec<bool> = journal.iter().map(|event| event.is_sampled).collect();
    assert_eq!(kept, [false, true, false]);
    let traces: Vec<&str> = journal.iter().map(|event| event.trace.as_str()).collect();
    let of_context = context().trace;
    let expected = [first(&typical()).trace, of_context.clone(), of_context];
    assert_eq!(traces, expected);
}
