//! Reading an order: the active query, the timeline, events sent again, and the guard against
//! submitting twice.

use std::time::Duration;

use serde_json::json;
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{Endpoint, Fault, Rule};

use crate::support::{Testbed, native};

#[tokio::test(flavor = "multi_thread")]
async fn reading_an_unpaid_order_queries_wechat_pay_now_and_then() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::always(Fault::LostCallback))
        .unwrap();
    testbed.pay("ORDER-1").await;
    assert_eq!(
        testbed.get_order("ORDER-1").await.body["state"],
        "awaiting_payment",
        "the callback has its time first"
    );
    testbed.advance(Duration::from_secs(5)).await;
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn however_often_an_order_is_read_wechat_pay_is_queried_every_ten_seconds() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.advance(Duration::from_secs(5)).await;
    for _ in 0..10 {
        testbed.get_order("ORDER-1").await;
    }
    let asked = || testbed.wechat.admin().requests()[&Endpoint::QueryByOutTradeNo];
    assert_eq!(asked(), 1);
    testbed.advance(Duration::from_secs(10)).await;
    testbed.get_order("ORDER-1").await;
    assert_eq!(asked(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_wechat_pay_is_down_an_order_is_shown_as_the_table_has_it() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.advance(Duration::from_secs(5)).await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::always(Fault::ServerErrorBefore { status: 503 }))
        .unwrap();
    let shown = testbed.get_order("ORDER-1").await;
    assert_eq!(
        (shown.status, &shown.body["state"]),
        (200, &json!("awaiting_payment"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_has_each_change_with_its_cause_and_trace() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed.work_off().await;
    testbed.refund("ORDER-1", "R1", 100).await;
    let events = testbed.get("/v1/orders/ORDER-1/events").await.body;
    let listed: Vec<(i64, &str, &str, &str)> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            (
                event["version"].as_i64().unwrap(),
                event["subject"].as_str().unwrap(),
                event["to"].as_str().unwrap(),
                event["cause"]["kind"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        listed,
        [
            (1, "order", "reserved", "request"),
            (2, "order", "awaiting_payment", "request"),
            (3, "order", "paid", "notice"),
            (4, "refund", "reserved", "request"),
        ]
    );
    for event in events["events"].as_array().unwrap() {
        assert_eq!(event["trace_id"].as_str().unwrap().len(), 32);
    }
    assert_eq!(events["events"][3]["subject_id"], "R1");
    assert_eq!(events["events"][2]["from"], "awaiting_payment");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_event_of_ones_own_can_be_sent_again() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed.work_off().await;
    for version in [2, 3] {
        let path = format!("/v1/orders/ORDER-1/events/{version}/replay");
        assert_eq!(testbed.post(&path, &json!({})).await.status, 202);
    }
    for version in ["4", "0", "x"] {
        let path = format!("/v1/orders/ORDER-1/events/{version}/replay");
        assert_eq!(
            testbed.post(&path, &json!({})).await.status,
            404,
            "{version}"
        );
    }
    let mut sent: Vec<_> = testbed
        .webhooks()
        .await
        .into_iter()
        .map(|message| {
            assert_eq!(message["replay"], true);
            (
                message["detail"]["version"].as_i64(),
                message["detail"]["to"].clone(),
                message["detail"]["client_id"].clone(),
            )
        })
        .collect();
    sent.sort_by_key(|(version, _, _)| *version);
    assert_eq!(
        sent,
        [
            (Some(2), json!("awaiting_payment"), json!("shop")),
            (Some(3), json!("paid"), json!("shop"))
        ]
    );
}

fn by_payer(order_no: &str) -> serde_json::Value {
    let mut body = native(order_no);
    body["payer_id"] = json!("payer-7");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn one_payer_does_not_submit_two_orders_at_the_same_moment() {
    let testbed = Testbed::start().await;
    let reserve = Match::operation(Service::DynamoDb, "PutItem").on(&testbed.tables.orders);
    testbed.wire.break_next(reserve.clone(), AwsFault::Held);
    let (first_body, second_body) = (by_payer("ORDER-1"), by_payer("ORDER-2"));
    let others = async {
        testbed.on_the_wire(&reserve, 1).await;
        let second = testbed.post_order(&second_body).await;
        let again = testbed.post_order(&first_body).await;
        testbed.wire.mend();
        (second, again)
    };
    let (first, (second, again)) = futures_util::join!(testbed.post_order(&first_body), others);
    assert_eq!(first.status, 201);
    assert_eq!(
        (again.status, &again.body["code"]),
        (409, &json!("in_progress")),
        "the same order is no second one"
    );
    assert_eq!(
        (second.status, &second.body["code"]),
        (429, &json!("submitted_just_now"))
    );
    let wait: i64 = second.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=30).contains(&wait));
    assert_eq!(
        testbed.post_order(&by_payer("ORDER-2")).await.status,
        201,
        "free again as soon as the first is answered"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_died_frees_its_payer_by_the_clock() {
    let testbed = Testbed::start().await;
    testbed.wire.break_next(
        Match::operation(Service::DynamoDb, "PutItem").on(&testbed.tables.orders),
        AwsFault::DieBefore,
    );
    let died = testbed
        .wire
        .run_until_crash(testbed.post_order(&by_payer("ORDER-1")))
        .await;
    assert!(died.is_none());
    testbed.wire.mend();
    assert_eq!(testbed.post_order(&by_payer("ORDER-2")).await.status, 429);
    assert_eq!(testbed.post_order(&by_payer("ORDER-1")).await.status, 409);
    testbed.advance(Duration::from_secs(30)).await;
    assert_eq!(testbed.post_order(&by_payer("ORDER-1")).await.status, 201);
}
