//! AWS: calls to KMS with the SDK's own repeats, what asked for fewer calls, conflicts of writes,
//! and cold starts.

use runtime::{aws::CallLimits, telemetry::emf::end_of_run};
use testbed::{Fault as AwsFault, Match, Service};

use super::{NONE, Values};
use crate::support::{Testbed, native};

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_at_kms_is_counted_and_each_that_was_throttled() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wire
        .break_next(Match::operation(Service::Kms, "Sign"), AwsFault::Throttled);
    let values = Values::of(&testbed, async {
        assert_eq!(testbed.post_order(&native("ORDER-2")).await.status, 201);
    })
    .await;
    assert_eq!(
        values.of_metric("KmsCalls", &[("operation", "Sign")]),
        [1, 1],
        "the SDK repeats what was throttled"
    );
    assert_eq!(values.all("KmsThrottles"), [1]);
    assert_eq!(values.all("DynamodbThrottles"), NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_attempt_at_dynamodb_is_counted_though_its_repeat_succeeds() {
    let testbed = Testbed::start().await;
    let writes = Match::operation(Service::DynamoDb, "PutItem").on(&testbed.tables.orders);
    testbed.wire.break_next(writes, AwsFault::Throttled);
    let values = Values::of(&testbed, async {
        assert_eq!(testbed.post_order(&native("ORDER-1")).await.status, 201);
    })
    .await;
    assert_eq!(values.all("DynamodbThrottles"), [1]);
    assert_eq!(values.all("KmsThrottles"), NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_met_another_transaction_is_a_conflict() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed
        .wire
        .break_next(testbed.order_changes(), AwsFault::Conflict);
    let values = Values::of(&testbed, async {
        assert_eq!(testbed.work_off().await, 0);
    })
    .await;
    let met = values.of_metric("DynamodbConflicts", &[("conflict", "transaction")]);
    assert_eq!(met, [1], "{values:?}");
    assert_eq!(values.sum("PaidFen"), 100, "and the next round wrote it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_news_twice_at_once_is_a_conflict_of_versions() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.paid_in_silence("ORDER-2").await;
    testbed.advance(std::time::Duration::from_secs(60)).await;
    // Both sandboxes read the order before either writes.
    let write = testbed.order_changes();
    let values = Values::of(&testbed, async {
        testbed.wire.break_next(write, AwsFault::Held);
        let look = testbed.get_order("ORDER-2");
        let sweep = async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            testbed.get_order("ORDER-2").await;
            testbed.sweep().await;
            testbed.wire.mend();
        };
        futures_util::join!(look, sweep);
    })
    .await;
    assert_eq!(values.sum("PaidFen"), 100, "booked once: {values:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_start_is_counted_for_its_function() {
    let testbed = Testbed::start().await;
    let values = Values::of(&testbed, async {
        // Without settings it goes no further.
        let started = flows::sandbox::start::<create_order::settings::Settings>(
            "create-order",
            CallLimits::PROMPT,
        );
        drop(started);
        end_of_run();
    })
    .await;
    assert_eq!(
        values.of_metric("ColdStarts", &[("function", "create-order")]),
        [1]
    );
}
