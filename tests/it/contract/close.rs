//! `POST /v1/orders/{order_no}/close`.

use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{Endpoint, Fault, Rule};

use super::{bare_post, held, paid, unsigned};
use crate::support::{Testbed, native};

const CLOSE: &str = "/v1/orders/{order_no}/close";

fn path(order_no: &str) -> String {
    CLOSE.replace("{order_no}", order_no)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_a_close_is_described_by_the_contract() {
    let testbed = Testbed::start().await;
    let close = async |order_no: &str, status| {
        held(
            &testbed,
            CLOSE,
            bare_post(&testbed, &path(order_no)),
            status,
        )
        .await
    };
    testbed.post_order(&native("ORDER-1")).await;
    let closed = close("ORDER-1", 200).await;
    assert_eq!(closed.body["state"], "closed");
    assert_eq!(closed.header("idempotent-replayed"), None);
    let again = close("ORDER-1", 200).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));

    paid(&testbed, "ORDER-2", 100).await;
    assert_eq!(close("ORDER-2", 409).await.code(), "order_paid");

    testbed.post_order(&native("ORDER-3")).await;
    let silent = Rule::always(Fault::ServerErrorBefore { status: 500 }).at(Endpoint::Close);
    testbed.wechat.admin().add_fault(silent).expect("a rule");
    close("ORDER-3", 202).await;
    testbed.wechat.admin().clear_faults(None);
    assert_eq!(close("ORDER-3", 200).await.body["state"], "closed");

    assert_eq!(close("ORDER-99", 404).await.code(), "order_not_found");
    assert_eq!(close("x", 404).await.code(), "order_not_found");
    held(&testbed, CLOSE, unsigned("POST", &path("ORDER-1")), 401).await;
    let other = testbed.another_client("other").await;
    let of_another = other.post(&path("ORDER-1"), &serde_json::json!({}), &testbed);
    held(&testbed, CLOSE, of_another, 404).await;
    let reads = Match::operation(Service::DynamoDb, "GetItem").on(&testbed.tables.orders);
    testbed.wire.break_all(reads, AwsFault::ServiceFault);
    close("ORDER-1", 503).await;
}
