//! The API, the queues and the functions as AWS counts them.

use super::template_alarms::CloudWatch;
use crate::runbooks;

#[test]
fn callbacks_that_the_api_throttles_and_5xx_of_any_route_are_alarms_in_their_first_minutes() {
    let minutes = |count: i64| (29_759_280 + count) * 60_000;
    let of_the_api = ["callbacks-throttled", "api-failures"];
    let met_after = |route: &str, status| {
        let mut cloud = CloudWatch::of_template();
        for minute in 0..20 {
            cloud.take_metric("SweepsFinished", 1, minutes(minute));
        }
        for minute in 0..3 {
            cloud.take_access(route, status, None, minutes(minute));
        }
        let met = cloud.met(minutes(3));
        let met = of_the_api.map(|alarm| met.contains(alarm));
        for (alarm, is_met) in of_the_api.iter().zip(met) {
            if is_met {
                cloud.goes_on(alarm, minutes(3));
            }
            if is_met && *alarm == "api-failures" {
                cloud.goes_on("payments-failing", minutes(3));
            }
            // Others are called meanwhile, and all is well.
            for minute in 3..20 {
                cloud.take_access("GET /v1/webhook", 200, None, minutes(minute));
            }
            cloud.goes_off(alarm, minutes(20));
        }
        // A stranger's flood keeps nothing on that others wait for.
        if status == 429 {
            assert!(!cloud.met(minutes(3)).contains("payments-failing"));
        }
        met
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
            "it has taken no message for five minutes (`notifications-age`)",
        ),
    ] {
        let met = |age_s: &dyn Fn(i64) -> i64| {
            let mut cloud = CloudWatch::of_template();
            for minute in 0..10 {
                cloud.take_queue(
                    queue,
                    "ApproximateAgeOfOldestMessage",
                    age_s(minute),
                    minutes(minute),
                );
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
            let mut cloud = CloudWatch::of_template();
            let well: Vec<String> = cloud
                .met(minutes(5))
                .into_iter()
                .map(str::to_owned)
                .collect();
            cloud.take_invocation(resource, metric, 1, minutes(1));
            let mut met: Vec<&str> = cloud.met(minutes(3)).into_iter().collect();
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

/// A figure that AWS makes of one of our resources, by the alarm that watches it: the composite
/// that notifies, the metric, a value that is bad, and for how many minutes.
struct Figure {
    alarm: String,
    notifies: &'static str,
    namespace: &'static str,
    metric: &'static str,
    dimensions: Vec<(&'static str, String)>,
    bad: i64,
    minutes: i64,
}

/// Those of queues, functions, the Pipe and the rule.
fn figures() -> Vec<Figure> {
    let of_queue = |alarm: &str, notifies, queue: &str, metric, bad, minutes| Figure {
        alarm: alarm.to_owned(),
        notifies,
        namespace: "AWS/SQS",
        metric,
        dimensions: vec![("QueueName", format!("{queue}.QueueName"))],
        bad,
        minutes,
    };
    let dead = |alarm: &str, notifies, queue: &str| {
        of_queue(
            alarm,
            notifies,
            queue,
            "ApproximateNumberOfMessagesVisible",
            1,
            1,
        )
    };
    let old = |alarm: &str, notifies, queue: &str, age_s, minutes| {
        let metric = "ApproximateAgeOfOldestMessage";
        of_queue(alarm, notifies, queue, metric, age_s, minutes)
    };
    let mut all = vec![
        dead("payment-requests-dlq", "dead-letters", "PaymentRequestsDlq"),
        dead("payment-results-dlq", "dead-letters", "PaymentResultsDlq"),
        dead("webhooks-dlq", "webhook-receivers", "WebhooksDlq"),
        dead("order-events-dlq", "webhooks-failing", "OrderEventsDlq"),
        dead(
            "reconcile-work-dlq",
            "day-not-reconciled",
            "ReconcileWorkDlq",
        ),
        old(
            "payment-requests-age",
            "payments-late",
            "PaymentRequestsQueue",
            301,
            3,
        ),
        old(
            "payment-results-age",
            "payments-late",
            "PaymentResultsQueue",
            301,
            3,
        ),
        old("webhooks-age", "webhooks-failing", "WebhooksQueue", 901, 5),
        old(
            "reconcile-work-age",
            "day-not-reconciled",
            "ReconcileWorkQueue",
            10_801,
            3,
        ),
        // These tell by themselves.
        dead("notifications-dlq", "", "NotificationsDlq"),
        dead(
            "forward-errors-dlq",
            "forward-errors-failing",
            "ForwardErrorsDlq",
        ),
        old("notifications-age", "", "NotificationsQueue", 301, 3),
        Figure {
            alarm: "order-events-failed".to_owned(),
            notifies: "webhooks-failing",
            namespace: "AWS/EventBridge/Pipes",
            metric: "ExecutionFailed",
            dimensions: vec![("PipeName", "OrderEventsPipe".to_owned())],
            bad: 1,
            minutes: 1,
        },
    ];
    for (alarm, metric) in [
        ("webhooks-rule-failed", "FailedInvocations"),
        ("webhooks-rule-gave-up", "InvocationsSentToDlq"),
    ] {
        all.push(Figure {
            alarm: alarm.to_owned(),
            notifies: "webhooks-failing",
            namespace: "AWS/Events",
            metric,
            dimensions: vec![
                ("EventBusName", "OrderEventsBus".to_owned()),
                ("RuleName", "${AWS::StackName}-webhooks".to_owned()),
            ],
            bad: 1,
            minutes: 1,
        });
    }
    // Lambda tries again by itself, and a sink's failure takes no release back.
    for (metric, suffix, minutes) in [
        ("Errors", "errors", 15),
        ("Throttles", "throttles", 15),
        ("DeadLetterErrors", "dead-letter-errors", 1),
    ] {
        all.push(Figure {
            alarm: format!("forward-errors-{suffix}"),
            notifies: "forward-errors-failing",
            namespace: "AWS/Lambda",
            metric,
            dimensions: vec![("FunctionName", "ForwardErrors".to_owned())],
            bad: 1,
            minutes,
        });
    }
    for (name, function, notifies) in [
        ("create-order", "CreateOrder", "payments-failing"),
        ("manage-order", "ManageOrder", "payments-failing"),
        ("receive-callback", "ReceiveCallback", "payments-failing"),
        ("process-payment", "ProcessPayment", "payments-failing"),
        ("reconcile", "Reconcile", "payments-failing"),
        ("send-webhook", "SendWebhook", "webhooks-failing"),
        ("console", "Console", "console-failing"),
        // It tells by itself.
        ("notify-operators", "NotifyOperators", ""),
    ] {
        for (metric, suffix) in [("Errors", "errors"), ("Throttles", "throttles")] {
            all.push(Figure {
                alarm: format!("{name}-{suffix}"),
                notifies,
                namespace: "AWS/Lambda",
                metric,
                dimensions: vec![("FunctionName", function.to_owned())],
                bad: 1,
                minutes: 1,
            });
        }
        let of_version = vec![
            ("FunctionName", function.to_owned()),
            ("Resource", format!("${{{function}}}:live")),
            ("ExecutedVersion", format!("{function}.Version.Version")),
        ];
        all.push(Figure {
            alarm: format!("{name}-release-errors"),
            // CodeDeploy reads it.
            notifies: "",
            namespace: "AWS/Lambda",
            metric: "Errors",
            dimensions: of_version,
            bad: 1,
            minutes: 2,
        });
    }
    all
}

#[test]
fn each_figure_of_aws_sets_off_its_alarm_and_the_one_that_notifies_and_both_end_with_it() {
    let minutes = |count: i64| (29_759_280 + count) * 60_000;
    for figure in figures() {
        let mut cloud = CloudWatch::of_template();
        let put = |cloud: &mut CloudWatch, value, minute| {
            let dimensions = figure.dimensions.iter();
            let dimensions: Vec<_> = dimensions
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let (namespace, metric) = (figure.namespace, figure.metric);
            cloud.put(namespace, metric, &dimensions, value, minutes(minute));
            cloud.take_metric("SweepsFinished", 1, minutes(minute));
        };
        let alarms = [figure.alarm.as_str(), figure.notifies];
        let alarms = alarms.iter().filter(|alarm| !alarm.is_empty());
        for minute in 0..10 {
            put(&mut cloud, 0, minute);
        }
        for alarm in alarms.clone() {
            cloud.goes_off(alarm, minutes(10));
        }
        for minute in 10..10 + figure.minutes {
            put(&mut cloud, figure.bad, minute);
        }
        for alarm in alarms.clone() {
            cloud.goes_on(alarm, minutes(10 + figure.minutes));
        }
        for minute in 10 + figure.minutes..30 {
            put(&mut cloud, 0, minute);
        }
        for alarm in alarms {
            cloud.goes_off(alarm, minutes(30));
        }
    }
}
