//! WeChat Pay refuses the merchant for a while: nothing is lost, and operators are notified at
//! once.

use std::time::Duration;

use serde_json::json;
use wechatpay_simulator::{Endpoint, Fault, Rule};

use crate::support::{FOREIGN_APPID, Lines, Testbed, native};

const MINUTE: Duration = Duration::from_secs(60);

fn refuse(status: u16, code: &str) -> Rule {
    Rule::always(Fault::Refuse {
        status,
        code: code.to_owned(),
    })
}

/// Minutes pass, with all that runs in each.
pub(crate) async fn minutes(testbed: &Testbed, count: u32) {
    for _ in 0..count {
        testbed.advance(MINUTE).await;
        testbed.sweep().await;
        testbed.work_off().await;
    }
}

async fn state(testbed: &Testbed, order_no: &str) -> String {
    testbed.order(order_no).await.state.name().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_the_merchant_for_ten_minutes_loses_no_order_and_is_logged_as_an_error() {
    let testbed = Testbed::start().await;
    let admin = testbed.wechat.admin();
    admin.add_fault(refuse(403, "NO_AUTH")).unwrap();
    let lines = Lines::default();
    let answer = lines.of(testbed.post_order(&native("ORDER-1"))).await;
    assert_eq!(
        (answer.status, &answer.body["state"]),
        (202, &json!("reserved")),
        "{answer:?}"
    );
    let errors = lines.take("ERROR");
    assert_eq!(errors.len(), 1, "{errors:?}");
    let errors = errors[0].to_string();
    assert!(
        errors.contains("NO_AUTH") && errors.contains("what_to_do"),
        "{errors}"
    );
    minutes(&testbed, 9).await;
    assert_eq!(state(&testbed, "ORDER-1").await, "reserved");
    admin.clear_faults(None);
    minutes(&testbed, 25).await;
    assert_eq!(state(&testbed, "ORDER-1").await, "awaiting_payment");
    testbed.pay("ORDER-1").await;
    testbed.work_off().await;
    assert_eq!(state(&testbed, "ORDER-1").await, "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_the_merchant_stops_no_refund_and_no_close_for_good() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed.work_off().await;
    testbed.post_order(&native("ORDER-2")).await;
    let admin = testbed.wechat.admin();
    admin
        .add_fault(refuse(403, "REQUEST_BLOCKED").at(Endpoint::CreateRefund))
        .unwrap();
    admin
        .add_fault(refuse(403, "NO_AUTH").at(Endpoint::Close))
        .unwrap();
    testbed.refund("ORDER-1", "R1", 100).await;
    let lines = Lines::default();
    let closed = lines.of(testbed.close("ORDER-2")).await;
    assert_eq!(closed.status, 202, "{closed:?}");
    assert_eq!(lines.take("ERROR").len(), 1);
    lines.of(minutes(&testbed, 10)).await;
    assert!(!lines.take("ERROR").is_empty());
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(
        (&refund["state"], &refund["trouble"]),
        (&json!("reserved"), &json!("REQUEST_BLOCKED"))
    );
    assert_eq!(state(&testbed, "ORDER-2").await, "closing");
    admin.clear_faults(None);
    minutes(&testbed, 25).await;
    assert_eq!(
        testbed.get_refund("ORDER-1", "R1").await.body["state"],
        "succeeded"
    );
    assert_eq!(state(&testbed, "ORDER-2").await, "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_not_refused_for_a_header_or_a_setting_that_is_wrong() {
    let testbed = Testbed::start().await;
    let admin = testbed.wechat.admin();
    // Without a field: about a header, which the question has too.
    admin
        .add_fault(refuse(400, "PARAM_ERROR").at(Endpoint::PrepayNative))
        .unwrap();
    admin
        .add_fault(refuse(400, "PARAM_ERROR").at(Endpoint::QueryByOutTradeNo))
        .unwrap();
    assert_eq!(testbed.post_order(&native("ORDER-1")).await.status, 202);
    admin.clear_faults(None);
    let mut unbound = native("ORDER-2");
    unbound["appid"] = json!(FOREIGN_APPID);
    assert_eq!(testbed.post_order(&unbound).await.status, 202);
    // Where the question is answered, the order is what is wrong.
    admin
        .add_fault(Rule::times(refuse(400, "PARAM_ERROR").fault, 1))
        .unwrap();
    assert_eq!(testbed.post_order(&native("ORDER-3")).await.status, 422);
    let states = [
        state(&testbed, "ORDER-1").await,
        state(&testbed, "ORDER-2").await,
        state(&testbed, "ORDER-3").await,
    ];
    assert_eq!(states, ["reserved", "reserved", "rejected"]);
}
