//! The API, the queues and the functions as AWS counts them.

use super::cloudwatch::CloudWatch;
use crate::{runbooks, support::MCHID};

#[test]
fn callbacks_that_the_api_throttles_and_5xx_of_any_route_are_alarms_in_their_first_minutes() {
    let minutes = |count: i64| (29_759_280 + count) * 60_000;
    let met_after = |route: &str, status| {
        let mut cloud = CloudWatch::of_template(MCHID);
        for minute in 0..3 {
            cloud.take_access(route, status, minutes(minute));
        }
        let met = cloud.met(minutes(3));
        let of_the_api = ["callbacks-throttled", "api-failures"];
        of_the_api.map(|alarm| met.contains(alarm))
    };
    let callback = "POST /v1/callbacks/wechatpay";
    assert_eq!(met_after(callback, 429), [true, false]);
    assert_eq!(met_after(callback, 503), [false, true]);
    assert_eq!(met_after("POST /v1/orders", 500), [false, true]);
    // A client that calls too often, and a stranger's callback.
    assert_eq!(met_after("POST /v1/orders", 429), [false, false]);
    assert_eq!(met_after(callback, 401), [false, false]);
}

#[test]
fn a_message_that_is_not_taken_out_for_long_is_an_alarm_of_its_queue_and_has_its_row() {
    let minutes = |count: i64| (29_759_280 + count) * 60_000;
    for (queue, alarm, wait_s, page, words) in [
        (
            "PaymentRequestsQueue",
            "payment-requests-age",
            300,
            "wechat-down.md",
            "| `payment-requests-age` | messages wait and are not received",
        ),
        (
            "PaymentResultsQueue",
            "payment-results-age",
            300,
            "wechat-down.md",
            "The alarm `payment-results-age` alone has another cause: callbacks come but are not booked",
        ),
        (
            "WebhooksQueue",
            "webhooks-age",
            900,
            "webhooks.md",
            "| the alarm `webhooks-age`, and nothing in the log | the queue is not emptied",
        ),
        (
            "ReconcileWorkQueue",
            "reconcile-work-age",
            3 * 3600,
            "reconciliation.md",
            "| any, and the alarm `reconcile-work-age` | a message for `reconcile` has waited for 3 hours",
        ),
        (
            "NotificationsQueue",
            "notifications-age",
            300,
            "channels.md",
            "Nobody has been told of an alarm for five minutes (`notifications-age`)",
        ),
    ] {
        let met = |age_s: &dyn Fn(i64) -> i64| {
            let mut cloud = CloudWatch::of_template(MCHID);
            for minute in 0..10 {
                cloud.take_age(queue, age_s(minute), minutes(minute));
            }
            cloud.met(minutes(10)).contains(alarm)
        };
        assert!(met(&|minute| wait_s + 1 + minute * 60), "{alarm}");
        assert!(!met(&|_| wait_s), "{alarm}: not before");
        let taken_out = |minute| if minute < 8 { wait_s + 60 } else { 0 };
        assert!(!met(&taken_out), "{alarm}: it was taken out");
        assert!(runbooks::page(page).contains(words), "{page}: {words}");
    }
}

#[test]
fn a_function_that_crashes_or_is_throttled_is_an_alarm_of_its_own_and_has_its_row() {
    let functions = [
        ("create-order", "CreateOrder"),
        ("manage-order", "ManageOrder"),
        ("receive-callback", "ReceiveCallback"),
        ("process-payment", "ProcessPayment"),
        ("reconcile", "Reconcile"),
        ("send-webhook", "SendWebhook"),
        ("console", "Console"),
        ("notify-operators", "NotifyOperators"),
    ];
    let minutes = |count: i64| (29_759_280 + count) * 60_000;
    for (name, resource) in functions {
        for (metric, suffix) in [("Errors", "errors"), ("Throttles", "throttles")] {
            let mut cloud = CloudWatch::of_template(MCHID);
            let well: Vec<String> = cloud
                .met(minutes(5))
                .into_iter()
                .map(str::to_owned)
                .collect();
            cloud.take_invocation(resource, metric, minutes(1));
            let mut met: Vec<&str> = cloud.met(minutes(5)).into_iter().collect();
            met.retain(|alarm| !well.iter().any(|other| other == alarm));
            let alarm = format!("{name}-{suffix}");
            assert_eq!(met, [alarm.as_str()], "{resource} {metric}");
            assert!(!cloud.not_quiet(minutes(30)).contains(alarm.as_str()));
        }
        let page = runbooks::page("functions.md");
        let (_, throttles) = page.split_once("## `...-throttles`").unwrap();
        let (throttles, _) = throttles.split_once("\n## ").unwrap();
        assert!(throttles.contains(&format!("`{name}`")), "{name}");
    }
}
