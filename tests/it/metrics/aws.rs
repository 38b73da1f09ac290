//! AWS: calls to KMS with the SDK's own repeats, what asked for fewer calls, conflicts of writes,
//! and cold starts.

use std::time::Duration;

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
async fn an_order_that_moved_on_before_the_write_is_a_conflict_of_versions() {
    let testbed = Testbed::start().await;
    testbed.paid_in_silence("ORDER-1").await;
    testbed.advance(Duration::from_secs(60)).await;
    let values = Values::of(&testbed, async {
        // The look's write is on its way while the sweep books the same payment.
        testbed
            .wire
            .break_next(testbed.order_changes(), AwsFault::Held);
        let look = testbed.get_order("ORDER-1");
        let sweep = async {
            testbed.on_the_wire(&testbed.order_changes(), 1).await;
            assert_eq!(testbed.sweep().await.settled, 1);
            testbed.wire.mend();
        };
        futures_util::join!(look, sweep)
    })
    .await;
    let met = values.of_metric("DynamodbConflicts", &[("conflict", "version")]);
    assert_eq!(met, [1], "{values:?}");
    assert_eq!(
        values.of_metric("PaidFen", &[("brought_by", "sweep")]),
        [100]
    );
    assert_eq!(values.sum("PaidFen"), 100, "booked once");
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
