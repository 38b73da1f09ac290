//! News that comes late, or says more than that an order is paid.

use std::time::Duration;

use serde_json::json;
use wechatpay_simulator::{Damage, PayOptions};

use crate::support::{Testbed, TestbedOptions, native};

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_lay_in_a_queue_for_hours_is_still_booked() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wechat
        .admin()
        .pay("ORDER-1", &PayOptions::default())
        .unwrap();
    let callback = testbed
        .wechat
        .admin()
        .signed_callback("ORDER-1", &Damage::None)
        .unwrap();
    assert_eq!(testbed.receive(&callback).await.status, 204);
    testbed.clock.advance(Duration::from_secs(6 * 3600)); // a dead-letter queue that a person moved back
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
    assert_eq!(
        testbed.receive(&callback).await.status,
        401,
        "at the door, it is a replay by now"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_was_refunded_elsewhere_is_booked_and_logged_as_an_error() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let alter = json!({"trade_state": "REFUND"});
    testbed.pay_altered("ORDER-1", alter).await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
    let parked = testbed.items("payment#").await;
    assert_eq!(
        (parked.len(), parked[0]["reason"].as_str()),
        (1, "refunded_elsewhere")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_cannot_be_applied_is_kept_as_it_came() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let alter = json!({"trade_state": "SOMETHING_NEW"});
    testbed.pay_altered("ORDER-1", alter).await;
    assert_eq!(testbed.work_off().await, 0);
    let kept = &testbed.notices().await[0];
    assert_eq!(kept["status"], "parked");
    assert!(
        kept["message"].contains("ciphertext"),
        "the callback itself is there to be opened again"
    );
    assert!(
        !kept["message"].contains("SOMETHING_NEW"),
        "and lies there encrypted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_main_host_down_orders_are_made_and_found_through_the_other() {
    let testbed = Testbed::with(TestbedOptions {
        main_host_is_down: true,
        ..TestbedOptions::default()
    })
    .await;
    let answer = testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    testbed
        .wechat
        .admin()
        .pay("ORDER-1", &PayOptions::default())
        .unwrap();
    testbed.clock.advance(Duration::from_secs(60));
    assert_eq!(testbed.sweep().await.settled, 1);
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
}
