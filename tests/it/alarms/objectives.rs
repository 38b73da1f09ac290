//! The objectives of callbacks and orders: how fast they use up what may fail
//! (`infra/runbooks/slo.md`).

use cloudwatch::states::State;
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{Damage, PayOptions};

use super::{MINUTE, Watch, template_alarms::CloudWatch, well};
use crate::support::{Testbed, native};

const CALLBACKS: [&str; 4] = [
    "callbacks-burn-1h",
    "callbacks-burn-5m",
    "callbacks-burn-6h",
    "callbacks-burn-30m",
];
const ORDERS: [&str; 4] = [
    "orders-burn-1h",
    "orders-burn-5m",
    "orders-burn-6h",
    "orders-burn-30m",
];

/// A callback that the gateway took so many seconds ago. Gives its status.
async fn callback_after(testbed: &Testbed, watch: &mut Watch, seconds: i64) -> u16 {
    let callback = testbed.wechat.admin();
    let callback = callback.signed_callback("ORDER-0", &Damage::None).unwrap();
    let headers = callback.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
    let mut event = crate::support::callback_event(headers, callback.body.as_bytes());
    let now_ms = testbed.clock.now_ms();
    event.request_context.received_at_ms = Some(now_ms - seconds * 1000);
    watch.of(testbed.receive_event(event)).await.status
}

/// Who was told, but for the day: the tests' clock begins on one that nobody reconciled.
fn pages(watch: &Watch) -> Vec<&str> {
    let pages = watch.cloud.pages().into_iter();
    pages.filter(|name| *name != "day-not-reconciled").collect()
}

/// A minute passes with its sweep, and CloudWatch evaluates it.
async fn passes(testbed: &Testbed, watch: &mut Watch) {
    watch.of(testbed.sweep()).await;
    testbed.advance(MINUTE).await;
    watch.evaluate();
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_that_are_acknowledged_too_late_call_once_until_they_are_in_time_again() {
    let (testbed, mut watch) = well(1).await;
    for _ in 0..8 {
        for _ in 0..2 {
            assert_eq!(callback_after(&testbed, &mut watch, 6).await, 204);
        }
        passes(&testbed, &mut watch).await;
    }
    for alarm in CALLBACKS.iter().chain(&["callbacks-slo-burning"]) {
        watch.goes_on(alarm);
    }
    assert_eq!(pages(&watch), ["callbacks-slo-burning"]);
    for _ in 0..34 {
        assert_eq!(callback_after(&testbed, &mut watch, 1).await, 204);
        passes(&testbed, &mut watch).await;
    }
    // The short windows end it, though the hour and the six hours have not forgotten.
    watch.goes_on("callbacks-burn-6h");
    watch.goes_off("callbacks-slo-burning");
    assert_eq!(watch.cloud.state("callbacks-slo-burning"), State::Ok);
    testbed.advance(MINUTE * 60 * 6).await;
    callback_after(&testbed, &mut watch, 1).await;
    testbed.advance(MINUTE).await;
    for alarm in CALLBACKS {
        watch.goes_off(alarm);
    }
    assert_eq!(pages(&watch), ["callbacks-slo-burning"], "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_slow_callback_at_night_calls_nobody_and_neither_does_a_strangers() {
    let (testbed, mut watch) = well(1).await;
    callback_after(&testbed, &mut watch, 60).await;
    for _ in 0..20 {
        let forged = testbed.wechat.admin();
        let forged = forged.signed_callback("ORDER-0", &Damage::Stale(600));
        watch.of(testbed.receive(&forged.unwrap())).await;
        passes(&testbed, &mut watch).await;
    }
    for alarm in [
        "callbacks-burn-1h",
        "callbacks-burn-6h",
        "callbacks-slo-burning",
    ] {
        watch.goes_off(alarm);
    }
    assert_eq!(pages(&watch), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_fail_burn_their_objective_until_they_are_answered_again() {
    let (testbed, mut watch) = well(1).await;
    let orders = Match::operation(Service::DynamoDb, "PutItem").on(&testbed.tables.orders);
    testbed.wire.break_all(orders, AwsFault::Denied);
    for number in 0..6 {
        let order = format!("ORDER-FAILS-{number}");
        let answer = watch.of(testbed.post_order(&native(&order))).await;
        assert!(answer.status >= 500, "{}", answer.status);
    }
    testbed.wire.mend();
    testbed.advance(MINUTE).await;
    for alarm in ORDERS.iter().chain(&["orders-slo-burning"]) {
        watch.goes_on(alarm);
    }
    testbed.advance(MINUTE * 60 * 6).await;
    let answer = watch.of(testbed.post_order(&native("ORDER-WELL"))).await;
    assert_eq!(answer.status, 201);
    testbed.advance(MINUTE).await;
    for alarm in ORDERS.iter().chain(&["orders-slo-burning"]) {
        watch.goes_off(alarm);
    }
    // An order that WeChat Pay refuses, a second request and a caller's mistake are no failures.
    let paid = testbed.wechat.admin();
    paid.pay("ORDER-WELL", &PayOptions::default()).unwrap();
    for _ in 0..6 {
        watch.of(testbed.post_order(&native("ORDER-WELL"))).await;
        let mistaken = serde_json::json!({"product": "none"});
        watch.of(testbed.post_order(&mistaken)).await;
    }
    testbed.advance(MINUTE).await;
    watch.goes_off("orders-slo-burning");
}

#[test]
fn what_the_api_answers_in_a_functions_place_fails_and_what_a_client_does_is_no_failure() {
    let minutes = |count: i64| (29_759_280 + count) * 60_000;
    let (callback, order) = ("POST /v1/callbacks/wechatpay", "POST /v1/orders");
    for (route, status, in_its_place, alarm) in [
        (
            callback,
            503,
            Some("Service Unavailable"),
            Some(CALLBACKS[1]),
        ),
        (callback, 429, Some("Too Many Requests"), None),
        (callback, 500, None, None),
        (order, 500, Some("Internal Server Error"), Some(ORDERS[1])),
        (order, 429, Some("Too Many Requests"), None),
        (order, 401, None, None),
        ("GET /v1/webhook", 503, Some("Service Unavailable"), None),
    ] {
        let mut cloud = CloudWatch::of_template();
        cloud.take_access(route, status, in_its_place, minutes(0));
        let met = cloud.met(minutes(1));
        for burns in [CALLBACKS[1], ORDERS[1]] {
            assert_eq!(
                met.contains(burns),
                alarm == Some(burns),
                "{route} {status}"
            );
        }
    }
}

#[test]
fn a_burn_is_a_share_of_what_came_by_its_own_window_and_the_goal() {
    let at_ms = 29_759_280 * 60_000;
    // 14.4 times 0.05 % are 72 of 10,000; 6 times are 30.
    for (bad, alarms) in [(30, 0), (31, 2), (72, 2), (73, 4)] {
        let mut cloud = CloudWatch::of_template();
        for number in 0..10_000 {
            let value = i64::from(number >= bad);
            cloud.put(
                super::template_alarms::OWN,
                "OrdersAnswered",
                &[],
                value,
                at_ms,
            );
        }
        let met = cloud.met(at_ms + 60_000);
        let burning = ORDERS.iter().filter(|alarm| met.contains(**alarm)).count();
        assert_eq!(burning, alarms, "{bad}");
    }
}
