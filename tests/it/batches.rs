//! Batches of queue messages: each record has its own fate.

use serde_json::json;
use testbed::{Fault, Match, Service};

use crate::support::{Testbed, native};

/// Bodies of payment requests for these orders.
fn requests(order_nos: &[&str]) -> Vec<String> {
    order_nos
        .iter()
        .map(|order_no| json!({"v": "issue.v1", "order_no": order_no}).to_string())
        .collect()
}

/// Orders that wait for the queue.
async fn reserve(testbed: &Testbed, order_nos: &[&str]) {
    for order_no in order_nos {
        assert_eq!(
            testbed.post_order_async(&native(order_no)).await.status,
            202
        );
    }
}

fn reads_of_orders(testbed: &Testbed) -> Match {
    Match::operation(Service::DynamoDb, "GetItem").on(&testbed.tables.orders)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_record_does_not_hold_up_the_others() {
    let testbed = Testbed::start().await;
    reserve(&testbed, &["ORDER-1", "ORDER-2"]).await;
    let mut bodies = requests(&["ORDER-1", "unused", "ORDER-2"]);
    bodies[1] = "not a message".to_owned();
    assert_eq!(testbed.process_batch(&bodies, 30_000).await, [1]);
    for order_no in ["ORDER-1", "ORDER-2"] {
        assert_eq!(
            testbed.get_order(order_no).await.body["state"],
            "awaiting_payment"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_is_begun_when_the_time_is_nearly_up() {
    let testbed = Testbed::start().await;
    reserve(&testbed, &["ORDER-1", "ORDER-2"]).await;
    assert_eq!(
        testbed
            .process_batch(&requests(&["ORDER-1", "ORDER-2"]), 2_000)
            .await,
        [0, 1]
    );
    assert!(testbed.wechat.admin().requests().is_empty());
    assert!(
        testbed
            .process_batch(&requests(&["ORDER-1", "ORDER-2"]), 30_000)
            .await
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_has_its_verdict_although_none_could_be_read() {
    let testbed = Testbed::start().await;
    let order_nos = ["ORDER-1", "ORDER-2", "ORDER-3"];
    reserve(&testbed, &order_nos).await;
    testbed
        .wire
        .break_all(reads_of_orders(&testbed), Fault::TimedOut);
    let failed = testbed.process_batch(&requests(&order_nos), 30_000).await;
    assert_eq!(failed.len(), order_nos.len());
    testbed.wire.mend();
    assert!(
        testbed
            .process_batch(&requests(&order_nos), 30_000)
            .await
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_records_of_a_batch_are_worked_on_side_by_side_and_no_more() {
    let testbed = Testbed::start().await;
    let order_nos: Vec<String> = (1..=12).map(|n| format!("ORDER-{n}")).collect();
    let order_nos: Vec<&str> = order_nos.iter().map(String::as_str).collect();
    reserve(&testbed, &order_nos).await;
    testbed.wire.forget();
    let reads = reads_of_orders(&testbed);
    testbed.wire.break_all(reads.clone(), Fault::Held);
    let check = async {
        let begun = testbed.on_the_wire(&reads, 10).await;
        testbed.wire.mend();
        begun
    };
    let bodies = requests(&order_nos);
    let (failed, begun) = futures_util::join!(testbed.process_batch(&bodies, 30_000), check);
    assert_eq!(begun, 10, "so many were read before any had an answer");
    assert!(failed.is_empty());
    assert_eq!(testbed.wire.count(&reads), 12, "the others took their turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_twice_gets_one_value() {
    let testbed = Testbed::start().await;
    reserve(&testbed, &["ORDER-1"]).await;
    let failed = testbed
        .process_batch(&requests(&["ORDER-1", "ORDER-1", "ORDER-1"]), 30_000)
        .await;
    assert!(
        failed.len() <= 2,
        "one of them did it; who met its lease comes again"
    );
    assert!(
        testbed
            .process_batch(&requests(&["ORDER-1"]), 30_000)
            .await
            .is_empty(),
        "and finds it done"
    );
    let shown = testbed.get_order("ORDER-1").await;
    assert!(
        testbed
            .wechat
            .admin()
            .order(shown.code_url())
            .unwrap()
            .payable
    );
}
