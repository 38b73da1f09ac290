//! A client that sends too much is held up, and no other client is.

use std::time::Duration;

use serde_json::json;
use stores::keys_table::{
    KeysError,
    client_keys::{ClientKeyChange, NewLimit},
};
use testbed::{Call, Fault, Match, Service};

use crate::support::{Client, Lines, Testbed, TestbedOptions, native};

/// The length of a window.
const WINDOW: Duration = Duration::from_secs(10);

/// A testbed at the beginning of a window, in which a key may send so many requests a second.
async fn limited_to(client_requests_per_s: u32) -> Testbed {
    let testbed = Testbed::with(TestbedOptions {
        client_requests_per_s,
        ..TestbedOptions::default()
    })
    .await;
    let into_window_s = testbed.clock.now().0.rem_euclid(10);
    let left_s = u64::try_from(10 - into_window_s).unwrap();
    testbed.advance(Duration::from_secs(left_s)).await;
    testbed
}

impl Testbed {
    /// The status of each answer when `client` reads an order so many times.
    async fn read_order(&self, client: &Client, times: usize) -> Vec<u16> {
        let mut answers = Vec::new();
        for _ in 0..times {
            let answer = self.send(client.get("/v1/orders/ORDER-1", self)).await;
            answers.push(answer.status);
        }
        answers
    }

    /// How often requests were added to the common count.
    fn counts_written(&self) -> usize {
        let is_count =
            |call: &&Call| call.operation == "UpdateItem" && call.resource == self.tables.guards;
        self.wire.calls().iter().filter(is_count).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_its_limit_is_answered_429_without_a_call_and_no_other_client_is() {
    let testbed = limited_to(3).await;
    let other = testbed.another_client("other").await;
    assert_eq!(testbed.post_order(&native("ORDER-1")).await.status, 201);
    let lines = Lines::default();
    lines
        .of(async {
            assert_eq!(testbed.read_order(&testbed.client, 30).await, [200; 30]);
            testbed.advance(Duration::from_secs(3)).await;
            testbed.wire.forget();
            for _ in 0..20 {
                let answer = testbed.get_order("ORDER-1").await;
                assert_eq!((answer.status, answer.code()), (429, "too_many_requests"));
                assert_eq!(answer.header("retry-after"), Some("7"), "the window's end");
            }
            assert_eq!(testbed.wire.calls(), [], "who is refused costs nothing");
        })
        .await;
    let warned = lines.take("WARN");
    assert_eq!(warned.len(), 1, "once for the window: {warned:?}");
    assert_eq!(warned[0]["keyid"], json!(testbed.client.keyid));
    assert_eq!(warned[0]["client_id"], "shop");
    assert_eq!(warned[0]["function"], "manage-order");
    assert_eq!(warned[0]["ClientsLimited"], 1);

    assert_eq!(
        testbed.read_order(&other, 30).await,
        [404; 30],
        "another client"
    );
    assert_eq!(
        testbed.post_order(&native("ORDER-2")).await.status,
        201,
        "a client that reads too often can still create orders"
    );
    testbed.advance(Duration::from_secs(7)).await;
    assert_eq!(testbed.read_order(&testbed.client, 1).await, [200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_makes_too_many_orders_is_refused_before_anything_is_made_of_one() {
    let testbed = limited_to(1).await;
    for n in 0..10 {
        let order = native(&format!("ORDER-{n}"));
        assert_eq!(testbed.post_order(&order).await.status, 201);
    }
    let refused = testbed
        .client
        .post("/v1/orders", &native("ORDER-X"), &testbed);
    let again = refused.clone();
    assert_eq!(testbed.send(refused).await.status, 429);
    assert_eq!(testbed.items("order").await.len(), 10, "it is not there");
    testbed.advance(WINDOW).await;
    assert_eq!(
        testbed.send(again).await.status,
        201,
        "not even its nonce is consumed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_only_names_another_s_key_uses_up_nothing_of_that_client_s_limit() {
    let testbed = limited_to(3).await;
    testbed.post_order(&native("ORDER-1")).await;
    for _ in 0..60 {
        let mut forged = testbed.client.get("/v1/orders/ORDER-1", &testbed);
        *forged.uri_mut() = "/v1/orders/ORDER-2".parse().unwrap();
        assert_eq!(testbed.send(forged).await.code(), "wrong_signature");
    }
    assert_eq!(testbed.read_order(&testbed.client, 30).await, [200; 30]);
    assert_eq!(testbed.read_order(&testbed.client, 1).await, [429]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sandboxes_count_together_and_a_new_one_learns_the_count_with_its_first_part() {
    let mut testbed = limited_to(20).await;
    testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(testbed.read_order(&testbed.client, 120).await, [200; 120]);
    testbed.start_new_sandboxes();
    assert_eq!(testbed.read_order(&testbed.client, 80).await, [200; 80]);
    assert_eq!(testbed.read_order(&testbed.client, 1).await, [429]);
    testbed.start_new_sandboxes();
    assert_eq!(
        testbed.read_order(&testbed.client, 3).await,
        [200, 200, 429],
        "a hundredth of the limit gets through before it is limited"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_costs_a_write_for_each_hundredth_of_the_limit() {
    let testbed = limited_to(100).await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.read_order(&testbed.client, 9).await;
    assert_eq!(testbed.counts_written(), 0, "a quiet client costs nothing");
    testbed.read_order(&testbed.client, 91).await;
    assert_eq!(testbed.counts_written(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_no_counting_before_its_own_calls() {
    let testbed = limited_to(1).await;
    assert_eq!(testbed.post_order(&native("WARM-1")).await.status, 201);
    let counting = Match::operation(Service::DynamoDb, "UpdateItem").on(&testbed.tables.guards);
    testbed.wire.break_all(counting, Fault::Held);
    testbed.wechat.admin().reset_requests();
    let made = async {
        while testbed.wechat.admin().requests().is_empty() {
            tokio::task::yield_now().await;
        }
        testbed.wire.mend();
    };
    let order = native("ORDER-1");
    let (answer, ()) = futures_util::join!(testbed.post_order(&order), made);
    assert_eq!(
        answer.status, 201,
        "WeChat Pay was asked while the count was held"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_whose_count_cannot_be_read_refuses_no_request() {
    let testbed = limited_to(1).await;
    testbed.post_order(&native("ORDER-1")).await;
    let counting = Match::operation(Service::DynamoDb, "UpdateItem").on(&testbed.tables.guards);
    testbed.wire.break_all(counting, Fault::Denied);
    let lines = Lines::default();
    let read_order = lines.of(testbed.read_order(&testbed.client, 12)).await;
    assert_eq!(read_order, [200; 12]);
    assert!(lines.take("ERROR").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_have_a_limit_of_its_own() {
    let testbed = limited_to(1).await;
    let other = testbed.another_client("other").await;
    let limited = |requests_per_s| ClientKeyChange {
        requests_per_s: Some(requests_per_s),
        ..ClientKeyChange::default()
    };
    let (keyid, two) = (&testbed.client.keyid, limited(NewLimit::Of(2)));
    testbed.keys.change_client_key(keyid, &two).await.unwrap();
    testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(testbed.read_order(&testbed.client, 20).await, [200; 20]);
    assert_eq!(testbed.read_order(&testbed.client, 1).await, [429]);
    assert_eq!(testbed.read_order(&other, 10).await, [404; 10]);
    assert_eq!(testbed.read_order(&other, 1).await, [429]);

    let common = limited(NewLimit::Removed);
    testbed
        .keys
        .change_client_key(keyid, &common)
        .await
        .unwrap();
    testbed.advance(Duration::from_secs(60)).await;
    assert_eq!(testbed.read_order(&testbed.client, 10).await, [200; 10]);
    assert_eq!(testbed.read_order(&testbed.client, 1).await, [429]);
    let unknown = testbed.keys.change_client_key("nobody", &two).await;
    assert!(matches!(unknown, Err(KeysError::NoItem { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_of_which_each_sees_few_requests_in_a_window_count_them_too() {
    let testbed = limited_to(20).await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.wire.forget();
    // A part is two requests, and each window brings one.
    for _ in 0..6 {
        assert_eq!(testbed.read_order(&testbed.client, 1).await, [200]);
        testbed.advance(WINDOW).await;
    }
    assert_eq!(testbed.counts_written(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_takes_long_holds_no_answer_up() {
    let testbed = limited_to(1).await;
    testbed.post_order(&native("ORDER-1")).await;
    let counting = Match::operation(Service::DynamoDb, "UpdateItem").on(&testbed.tables.guards);
    testbed.wire.break_all(counting, Fault::Held);
    let lines = Lines::default();
    let read_order = lines.of(testbed.read_order(&testbed.client, 1)).await;
    assert_eq!(read_order, [200]);
    assert_eq!(lines.take("WARN").len(), 1);
    testbed.wire.mend();
}
