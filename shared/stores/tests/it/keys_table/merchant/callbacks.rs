//! Keys for callbacks, which wait for nothing, and unknown certificates.

use std::time::Duration;

use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;
use runtime::kms::Kms;
use stores::guards::Guards;
use stores::keys_table::{
    KeysError, KeysTable, UnknownSerials,
    write::{NewApiV3Key, NewMerchant},
};
use testbed::{Fault, Match, Service};

use super::super::{APIV3_KEY, Bench, MCHID, PUBLIC_KEY_ID, merchant, public_key};

#[tokio::test]
async fn for_callbacks_a_reading_unseals_too_and_where_kms_is_away_the_keys_at_hand_serve_on() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let sandbox = bench.sandbox().for_callbacks(Duration::from_secs(1));
    sandbox.merchant().await.expect("read");
    // Another APIv3 key: the item must be unsealed again.
    let apiv3 = [1, 2].map(|version| NewApiV3Key {
        version,
        bytes: &APIV3_KEY,
    });
    let keys = [public_key()];
    let changed = NewMerchant {
        apiv3: &apiv3,
        ..merchant(&keys)
    };
    let written = bench.sandbox().put_merchant(&changed).await;
    written.expect("written");
    bench.kms.wire.break_all(Match::any(), Fault::Throttled);
    bench.kms.pass(60);
    let kept = sandbox.merchant().await.expect("serves on");
    assert_eq!(kept.apiv3().await.expect("unsealed before").len(), 1);
    bench.kms.wire.mend();
    bench.kms.pass(10);
    let read = sandbox.merchant().await.expect("read");
    bench.kms.wire.break_all(Match::any(), Fault::Throttled);
    assert_eq!(read.apiv3().await.expect("unsealed with it").len(), 2);
}

#[tokio::test]
async fn for_callbacks_a_reading_ends_within_its_limit_although_a_call_may_take_longer() {
    // Takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("its address"));
    let clock = Clock::system();
    let aws = Aws::new(&AwsSettings::local(endpoint), &clock);
    let limit = Duration::from_millis(400);
    let kms = Kms::new(aws.kms());
    let keys = KeysTable::new(aws.dynamodb(), "keys", MCHID, kms, "key", clock);
    let started = std::time::Instant::now();
    let failure = keys.for_callbacks(limit).merchant().await;
    let failure = failure.expect_err("silence");
    assert!(matches!(failure, KeysError::TooSlow { .. }) && failure.is_transient());
    let took = started.elapsed();
    assert!(took < 2 * limit, "{took:?}");
}

#[tokio::test]
async fn an_unknown_certificate_is_reported_once_and_no_other_serial_is() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let guards = Guards::new(
        bench.engine.client_over(&bench.wire, &bench.kms.clock),
        &bench.tables.guards,
    );
    let reporting = || {
        let unknown_serials = UnknownSerials::new(guards.clone());
        bench.sandbox().reporting_to(unknown_serials)
    };
    let reported = async || {
        let now = bench.kms.clock.now();
        guards.unknown_serial(MCHID, now).await.expect("a table")
    };
    for serial in ["PUB_KEY_ID_01", "5157F0", PUBLIC_KEY_ID] {
        reporting().refresh_merchant(serial).await.expect("read");
        assert_eq!(reported().await, None, "{serial}");
    }
    let (first, second) = ("A".repeat(40), "B".repeat(40));
    reporting().refresh_merchant(&first).await.expect("read");
    reporting().refresh_merchant(&second).await.expect("read");
    assert_eq!(reported().await.as_ref(), Some(&first));
    bench.kms.pass(600);
    assert_eq!(reported().await, None, "it is remembered for ten minutes");
    reporting().refresh_merchant(&second).await.expect("read");
    assert_eq!(reported().await, Some(second));
}

#[tokio::test]
async fn a_serial_that_cannot_be_reported_to_reconcile_changes_nothing() {
    let bench = Bench::new().await;
    bench.put_merchant().await;
    let guards = Guards::new(
        bench.engine.client_over(&bench.wire, &bench.kms.clock),
        &bench.tables.guards,
    );
    let keys = bench.sandbox().reporting_to(UnknownSerials::new(guards));
    let puts = Match::operation(Service::DynamoDb, "PutItem");
    bench.wire.break_all(puts, Fault::Denied);
    keys.refresh_merchant(&"A".repeat(40)).await.expect("read");
}
