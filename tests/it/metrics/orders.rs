//! Requests for orders: what counts for the objective, and how each is answered.

use std::time::Duration;

use lambda_http::request::RequestContext;
use serde_json::{Value, json};
use testbed::{Fault as AwsFault, Match, Service};

use super::{NONE, Values};
use crate::support::{Testbed, TestbedOptions, native, refused_by_wechat};

/// The values of one request, answered with this status.
async fn posted(testbed: &Testbed, body: &Value, status: u16) -> Values {
    Values::of(testbed, async {
        let answer = testbed.post_order(body).await;
        assert_eq!(answer.status, status, "{answer:?}");
    })
    .await
}

/// One answer to a native order, with this answer.
fn answered(values: &Values, product: &str, answer: &str) {
    let both = [("product", product), ("answer", answer)];
    for by in [&both[..0], &both[1..], &both[..]] {
        assert_eq!(values.of_metric("OrderAnswerMs", by).len(), 1, "{values:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_answered_with_its_value_and_a_repeat_with_the_same() {
    let testbed = Testbed::start().await;
    let values = posted(&testbed, &native("ORDER-1"), 201).await;
    assert_eq!(values.all("OrdersAnswered"), [1]);
    answered(&values, "native", "created");
    let values = posted(&testbed, &native("ORDER-1"), 200).await;
    assert_eq!(values.all("OrdersAnswered"), [1]);
    answered(&values, "native", "repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_the_queue_goes_on_with_is_answered() {
    let testbed = Testbed::start().await;
    let order = native("ORDER-1");
    let values = Values::of(&testbed, testbed.post_order_async(&order)).await;
    assert_eq!(values.all("OrdersAnswered"), [1]);
    answered(&values, "native", "queued");
    let down = Testbed::with(TestbedOptions {
        both_hosts_are_down: true,
        ..TestbedOptions::default()
    })
    .await;
    let values = posted(&down, &native("ORDER-1"), 202).await;
    assert_eq!(values.all("OrdersAnswered"), [1], "WeChat Pay is down");
    answered(&values, "native", "queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn wechat_pay_s_refusal_of_an_order_is_a_right_answer_at_each_repeat() {
    let testbed = Testbed::start().await;
    for _ in 0..2 {
        let values = posted(&testbed, &refused_by_wechat("ORDER-1"), 422).await;
        assert_eq!(values.all("OrdersAnswered"), [1]);
        answered(&values, "jsapi", "rejected");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_of_the_caller_is_no_event_of_the_objective() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let mut other = native("ORDER-1");
    other["amount_fen"] = json!(200);
    let values = posted(&testbed, &other, 422).await;
    assert_eq!(values.all("OrdersAnswered"), NONE);
    answered(&values, "native", "refused");
    let mut unreadable = native("ORDER-2");
    unreadable["amount_fen"] = json!("a lot");
    let values = posted(&testbed, &unreadable, 400).await;
    assert_eq!(values.all("OrdersAnswered"), NONE);
    assert_eq!(values.all("OrderAnswerMs"), NONE);
    let mut unsigned = testbed
        .client
        .post("/v1/orders", &native("ORDER-3"), &testbed);
    unsigned.headers_mut().remove("signature");
    let values = Values::of(&testbed, testbed.send(unsigned)).await;
    assert_eq!(values.all("OrdersAnswered"), NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_on_our_side_is_an_order_without_an_answer() {
    let testbed = Testbed::start().await;
    testbed
        .wire
        .break_all(Match::service(Service::DynamoDb), AwsFault::ServiceFault);
    let values = posted(&testbed, &native("ORDER-1"), 503).await;
    assert_eq!(
        values.all("OrdersAnswered"),
        [0],
        "before it is known who asks"
    );
    testbed.wire.mend();
    testbed.post_order(&native("ORDER-2")).await;
    testbed
        .wire
        .break_all(Match::service(Service::DynamoDb), AwsFault::ServiceFault);
    testbed.clock.advance(Duration::from_secs(1));
    let values = posted(&testbed, &native("ORDER-3"), 503).await;
    assert_eq!(values.all("OrdersAnswered"), [0]);
    answered(&values, "native", "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_too_late_is_none() {
    let testbed = Testbed::start().await;
    for (order, waited_ms, answered) in [("ORDER-1", 5_500, 1), ("ORDER-2", 5_501, 0)] {
        let received_at_ms = testbed.clock.now_ms() - waited_ms;
        let context = json!({
            "timeEpoch": received_at_ms,
            "http": {"method": "POST", "path": "/v1/orders", "protocol": "HTTP/1.1"},
        });
        let context: RequestContext = serde_json::from_value(context).unwrap();
        let mut request = testbed.client.post("/v1/orders", &native(order), &testbed);
        request.extensions_mut().insert(context);
        let values = Values::of(&testbed, testbed.send(request)).await;
        assert_eq!(values.all("OrderAnswerMs"), [waited_ms]);
        assert_eq!(values.all("OrdersAnswered"), [answered]);
    }
}
