//! WeChat Pay refuses the merchant for a while: nothing is lost by it, and people are told at once.

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
async fn minutes(bench: &Testbed, count: u32) {
    for _ in 0..count {
        bench.advance(MINUTE).await;
        bench.sweep().await;
        bench.work_off().await;
    }
}

async fn state(bench: &Testbed, order_no: &str) -> String {
    bench.order(order_no).await.state.name().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_the_merchant_for_ten_minutes_loses_no_order_and_people_are_told() {
    let bench = Testbed::start().await;
    let admin = bench.wechat.admin();
    admin.add_fault(refuse(403, "NO_AUTH")).unwrap();
    let lines = Lines::default();
    let answer = lines.of(bench.post_order(&native("ORDER-1"))).await;
    assert_eq!(
        (answer.status, &answer.body["state"]),
        (202, &json!("reserved")),
        "{answer:?}"
    );
    let told = lines.take("ERROR");
    assert_eq!(told.len(), 1, "{told:?}");
    let told = told[0].to_string();
    assert!(
        told.contains("NO_AUTH") && told.contains("what_to_do"),
        "{told}"
    );
    minutes(&bench, 9).await;
    assert_eq!(state(&bench, "ORDER-1").await, "reserved");
    admin.clear_faults(None);
    minutes(&bench, 25).await;
    assert_eq!(state(&bench, "ORDER-1").await, "awaiting_payment");
    bench.pay("ORDER-1").await;
    bench.work_off().await;
    assert_eq!(state(&bench, "ORDER-1").await, "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_the_merchant_stops_no_refund_and_no_close_for_good() {
    let bench = Testbed::start().await;
    bench.post_order(&native("ORDER-1")).await;
    bench.pay("ORDER-1").await;
    bench.work_off().await;
    bench.post_order(&native("ORDER-2")).await;
    let admin = bench.wechat.admin();
    admin
        .add_fault(refuse(403, "REQUEST_BLOCKED").at(Endpoint::CreateRefund))
        .unwrap();
    admin
        .add_fault(refuse(403, "NO_AUTH").at(Endpoint::Close))
        .unwrap();
    bench.refund("ORDER-1", "R1", 100).await;
    let lines = Lines::default();
    let closed = lines.of(bench.close("ORDER-2")).await;
    assert_eq!(closed.status, 202, "{closed:?}");
    assert_eq!(lines.take("ERROR").len(), 1);
    lines.of(minutes(&bench, 10)).await;
    assert!(!lines.take("ERROR").is_empty());
    let refund = bench.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(
        (&refund["state"], &refund["trouble"]),
        (&json!("reserved"), &json!("REQUEST_BLOCKED"))
    );
    assert_eq!(state(&bench, "ORDER-2").await, "closing");
    admin.clear_faults(None);
    minutes(&bench, 25).await;
    assert_eq!(
        bench.get_refund("ORDER-1", "R1").await.body["state"],
        "succeeded"
    );
    assert_eq!(state(&bench, "ORDER-2").await, "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_not_refused_for_a_header_or_a_setting_that_is_wrong() {
    let bench = Testbed::start().await;
    let admin = bench.wechat.admin();
    // Without a field: about a header, which the question has too.
    admin
        .add_fault(refuse(400, "PARAM_ERROR").at(Endpoint::PrepayNative))
        .unwrap();
    admin
        .add_fault(refuse(400, "PARAM_ERROR").at(Endpoint::QueryByOutTradeNo))
        .unwrap();
    assert_eq!(bench.post_order(&native("ORDER-1")).await.status, 202);
    admin.clear_faults(None);
    let mut unbound = native("ORDER-2");
    unbound["appid"] = json!(FOREIGN_APPID);
    assert_eq!(bench.post_order(&unbound).await.status, 202);
    // Where the question is answered, the order is what is wrong.
    admin
        .add_fault(Rule::times(refuse(400, "PARAM_ERROR").fault, 1))
        .unwrap();
    assert_eq!(bench.post_order(&native("ORDER-3")).await.status, 422);
    let states = [
        state(&bench, "ORDER-1").await,
        state(&bench, "ORDER-2").await,
        state(&bench, "ORDER-3").await,
    ];
    assert_eq!(states, ["reserved", "reserved", "rejected"]);
}
