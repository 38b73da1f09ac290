//! The service map: from the lines of real orders, by a signed call over HTTP, to the page; and
//! what the page says when CloudWatch does not answer.

mod table;

use std::{sync::Arc, time::Duration};

use console::{app::App, handler};
use http::Request;
use runtime::clock::Clock;
use serde_json::{Value, json};

use crate::support::{
    Lines, MCHID, Testbed, TestbedOptions,
    cloudwatch::{Manner, MetricsEndpoint, console_of},
    native,
};

/// The page's text without its tags.
async fn page(console: &Arc<App>) -> String {
    let request = Request::get("/console/map").body(());
    let (parts, ()) = request.expect("a request").into_parts();
    let answer = handler::serve(console, parts, Vec::new()).await;
    assert_eq!(answer.status(), 200, "{}", answer.body());
    let policy = answer.headers()["content-security-policy"].to_str();
    assert!(policy.expect("text").starts_with("default-src 'none';"));
    let mut text = String::new();
    for part in answer.body().split('<') {
        text.push_str(part.split_once('>').map_or(part, |(_, text)| text));
        text.push(' ');
    }
    text
}

/// An hour with two orders, one of which is paid, and the console that shows it.
pub(crate) async fn hour_of_orders() -> (Testbed, MetricsEndpoint) {
    let testbed = Testbed::start().await;
    let endpoint = MetricsEndpoint::start().await;
    let lines = Lines::by(testbed.clock.clone());
    lines
        .of(async {
            for order_no in ["ORDER-1", "ORDER-2"] {
                assert_eq!(testbed.post_order(&native(order_no)).await.status, 201);
            }
            testbed.pay("ORDER-1").await;
            assert_eq!(testbed.work_off().await, 0);
        })
        .await;
    endpoint.take(&lines.take_all());
    (testbed, endpoint)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_of_orders_is_drawn_from_the_functions_lines_by_one_signed_call() {
    let (testbed, endpoint) = hour_of_orders().await;
    let at_ms = testbed.clock.now_ms();
    let of_api = [("ApiId", testbed::environment::API_ID)];
    endpoint.put(("AWS/ApiGateway", "Count"), &of_api, 1, at_ms);
    endpoint.put(("AWS/ApiGateway", "Latency"), &of_api, 93, at_ms);
    let of_queue = [("QueueName", "AWS::StackName-payment-results-dlq")];
    let visible = ("AWS/SQS", "ApproximateNumberOfMessagesVisible");
    endpoint.put(visible, &of_queue, 3, at_ms);
    testbed.clock.advance(Duration::from_secs(600));
    let text = page(&endpoint.console(&testbed.clock)).await;
    for expected in [
        "clients, WeChat Pay, finance staff → API: 1 requests, 0 failed, p50 93 ms, p95 93 ms",
        "API → create-order: 2 orders asked for, 0 failed",
        "create-order, process-payment → prepay: 2 calls, 0 failed",
        "prepay, query and close, refunds, bills, certificates → main host: 2 calls, 0 failed",
        "receive-callback, process-payment, reconcile, send-webhook → KMS:",
        "! 3 dead letters",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    let asked = endpoint.asked();
    assert_eq!(asked.len(), 1, "one call");
    let queries = asked[0]["MetricDataQueries"].as_array().expect("queries");
    assert!(queries.len() <= 500, "{}", queries.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_named_by_number_share_and_look() {
    let down = Testbed::with(TestbedOptions {
        both_hosts_are_down: true,
        ..TestbedOptions::default()
    })
    .await;
    let endpoint = MetricsEndpoint::start().await;
    let lines = Lines::by(down.clock.clone());
    let answer = lines.of(down.post_order(&native("ORDER-1"))).await;
    assert_eq!(answer.status, 202);
    let lines = lines.take_all();
    endpoint.take(&lines);
    down.clock.advance(Duration::from_secs(600));
    let text = page(&endpoint.console(&down.clock)).await;
    assert!(
        text.contains("→ prepay: 2 calls, 2 (100.0 %) failed"),
        "{text}"
    );
    assert!(text.contains("2/h, 100.0 % failed"), "{text}");
    assert!(
        text.contains("main host: 1 calls, 1 (100.0 %) failed"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_denied_late_or_garbled_leaves_a_page_with_cause_and_next_step() {
    let clock = Clock::system();
    let endpoint = MetricsEndpoint::start().await;
    let console = endpoint.console(&clock);
    for (manner, cause, next) in [
        (
            Manner::Denies,
            "does not let the console read metrics (AccessDeniedException)",
            "cloudwatch:GetMetricData",
        ),
        (
            Manner::Silent,
            "did not answer in time",
            "again in a minute",
        ),
        (Manner::Garbled, "could not be read", "cargo client map"),
    ] {
        endpoint.answers(manner);
        let lines = Lines::by(clock.clone());
        let text = lines.of(page(&console)).await;
        assert!(
            text.contains(cause) && text.contains(next),
            "{manner:?}: {text}"
        );
        assert!(
            !text.contains("123456789012"),
            "whose account it is: {text}"
        );
        let warned = lines.take("WARN");
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert_eq!(warned[0]["message"], "the service map is not shown");
    }
    let nobody = console_of("http://127.0.0.1:9", &clock);
    let text = page(&nobody).await;
    assert!(text.contains("could not be reached"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_without_metrics_says_so_and_draws_every_part() {
    let clock = Clock::system();
    let endpoint = MetricsEndpoint::start().await;
    let text = page(&endpoint.console(&clock)).await;
    assert!(
        text.contains("CloudWatch counted nothing in this hour"),
        "{text}"
    );
    for node in service_map::nodes::Node::ALL {
        assert!(text.contains(node.name()), "{}", node.name());
    }
    assert!(!text.contains("%) failed"), "{text}");
    assert!(!text.contains("/h, "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_pages_is_read_to_its_end_and_what_is_not_given_is_said() {
    let (testbed, endpoint) = hour_of_orders().await;
    testbed.clock.advance(Duration::from_secs(600));
    let console = endpoint.console(&testbed.clock);
    let whole = page(&console).await;
    endpoint.answers(Manner::InPages);
    assert_eq!(page(&console).await, whole);
    let asked = endpoint.asked();
    let tokens: Vec<&Value> = asked.iter().map(|body| &body["NextToken"]).collect();
    assert_eq!(tokens, [&Value::Null, &Value::Null, &json!("second")]);
    endpoint.answers(Manner::ForbidsSome);
    let text = page(&console).await;
    for expected in [
        "did not give all values of 3 metrics",
        "Forbidden: some metrics",
        "at least",
        "unknown",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_map_is_for_people_with_a_token_alone() {
    let testbed = Testbed::start().await;
    let request = || {
        Request::get("/console/map")
            .body(String::new())
            .expect("a request")
    };
    let answer = testbed.console(None, request()).await;
    assert_eq!(answer.status(), 401);
    let other =
        json!({"email": "li@example.com", "email_verified": "true", "cognito:groups": "[staff]"});
    let answer = testbed.console(Some(other), request()).await;
    assert_eq!(answer.status(), 403);
    assert!(!answer.body().contains(MCHID));
}
