//! What each flow costs in calls, when warm. A call that is added makes a sentence here untrue.

use serde_json::json;
use testbed::{Call, Service};
use wechatpay_simulator::{Damage, Endpoint, PayOptions};

use crate::support::{Testbed, TestbedOptions, native};

/// The calls so far as `operation table`, sorted; a read as `GetItem table, consistent` if it is.
fn calls(testbed: &Testbed) -> Vec<String> {
    let name = |call: &Call| {
        let resource = match call.service {
            Service::DynamoDb => format!(" {}", call.resource),
            Service::Sqs | Service::Kms | Service::S3 => String::new(),
        };
        let consistent = if call.consistent { ", consistent" } else { "" };
        format!("{}{resource}{consistent}", call.operation)
    };
    let mut calls: Vec<String> = testbed.wire.calls().iter().map(name).collect();
    calls.sort();
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn creating_an_order_is_three_writes_one_call_to_wechat_pay_and_a_signature_for_each_text() {
    for (product, signer, signatures) in [
        ("native", "kms", 1),
        ("jsapi", "kms", 2),
        ("native", "sealed", 0),
        ("jsapi", "sealed", 0),
    ] {
        let testbed = Testbed::with(TestbedOptions {
            signer,
            ..TestbedOptions::default()
        })
        .await;
        let mut body = native("WARM-1");
        if product == "jsapi" {
            body["product"] = json!("jsapi");
            body["openid"] = json!("oUser");
        }
        assert_eq!(testbed.post_order(&body).await.status, 201);
        testbed.wire.forget();
        testbed.wechat.admin().reset_requests();
        body["order_no"] = json!("ORDER-1");
        assert_eq!(testbed.post_order(&body).await.status, 201);
        let mut expected = vec!["PutItem guards".to_owned(), "PutItem orders".to_owned()];
        expected.extend((0..signatures).map(|_| "Sign".to_owned()));
        expected.push("UpdateItem orders".to_owned());
        if product == "jsapi" {
            // The payer is known: a lease keeps two submissions apart.
            expected.insert(0, "DeleteItem guards".to_owned());
            expected.insert(1, "PutItem guards".to_owned());
        }
        assert_eq!(calls(&testbed), expected, "{product} by {signer}");
        assert_eq!(testbed.wechat.admin().requests().values().sum::<u64>(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_one_message_and_its_settling_one_consistent_read_and_one_write() {
    let testbed = Testbed::start().await;
    for order_no in ["WARM-1", "ORDER-1"] {
        testbed.post_order(&native(order_no)).await;
        testbed
            .wechat
            .admin()
            .pay(order_no, &PayOptions::default())
            .unwrap();
    }
    let callback = |order_no: &str| {
        testbed
            .wechat
            .admin()
            .signed_callback(order_no, &Damage::None)
            .unwrap()
    };
    testbed.receive(&callback("WARM-1")).await;
    testbed.work_off().await;
    testbed.wire.forget();
    assert_eq!(testbed.receive(&callback("ORDER-1")).await.status, 204);
    assert_eq!(calls(&testbed), ["SendMessage"]);
    testbed.wire.forget();
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(
        calls(&testbed),
        ["GetItem orders, consistent", "UpdateItem orders"]
    );
    assert!(
        !testbed
            .wechat
            .admin()
            .requests()
            .contains_key(&Endpoint::QueryByOutTradeNo)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn showing_an_order_is_one_consistent_read() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.get_order("ORDER-1").await;
    testbed.wire.forget();
    testbed.get_order("ORDER-1").await;
    assert_eq!(
        calls(&testbed),
        ["GetItem orders, consistent"],
        "a client that saw an order paid never sees it unpaid"
    );
}
