//! Orders whose answers cannot be read, and orders that cannot be closed.

use serde_json::{Value, json};
use wechatpay_simulator::{Endpoint, Fault};

use super::common::{HOUR, MINUTE, always, named, refuse};
use super::page::PAGE;
use crate::runbooks::page;
use crate::support::{Lines, Testbed, native};

pub(super) async fn answers_about_orders_cannot_be_read() -> Vec<Value> {
    let mut all = Vec::new();
    for patch in [
        json!({"trade_state": 7}),
        json!({"trade_state": "A_NEW_ONE"}),
        json!({"amount": null}),
        json!({"out_trade_no": null}),
    ] {
        let (testbed, lines) = (Testbed::start().await, Lines::default());
        testbed.paid_in_silence("ORDER-1").await;
        testbed.paid_in_silence("ORDER-2").await;
        let admin = testbed.wechat.admin();
        let unreadable = Fault::AlteredAnswer { patch };
        admin
            .add_fault(always(unreadable, Endpoint::QueryByOutTradeNo))
            .unwrap();
        let closed = lines.of(testbed.close("ORDER-1")).await;
        assert_eq!(closed.body["state"], "closing");
        testbed.advance(MINUTE * 2).await;
        lines.of(testbed.sweep()).await;
        for order_no in ["ORDER-1", "ORDER-2"] {
            let order = testbed.order(order_no).await;
            assert_ne!(order.state.name(), "paid", "nothing is applied");
        }
        let new_errors = lines.take("ERROR");
        let due = named(&new_errors, "what is due needs a person");
        let [due] = due[..] else {
            panic!("one line: {new_errors:?}");
        };
        let error = due["error"].as_str().expect("words");
        assert!(error.contains("cannot be read"), "{error}");
        all.extend(new_errors);
    }
    assert!(page(PAGE).contains("`what is due needs a person` with `cannot be read`"));
    all.extend(an_item_is_damaged().await);
    all
}

/// A line for the developers.
async fn an_item_is_damaged() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    testbed.post_order(&native("ORDER-1")).await;
    testbed.damage("ORDER-1", "amount_fen").await;
    testbed.advance(MINUTE * 2).await;
    lines.of(testbed.sweep()).await;
    let lines = lines.take("ERROR");
    let error = lines[0]["error"].as_str().expect("words");
    assert!(error.contains("has no usable"), "{error}");
    assert!(page(PAGE).contains("(\"has no usable ...\")"));
    lines
}

pub(super) async fn an_order_is_not_closed_for_an_hour() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let mut body = native("ORDER-1");
    body["expires_in_s"] = json!(120);
    testbed.post_order(&body).await;
    let admin = testbed.wechat.admin();
    let down = Fault::ServerErrorBefore { status: 500 };
    admin.add_fault(always(down, Endpoint::Close)).unwrap();
    for wait in [MINUTE * 3, HOUR] {
        testbed.advance(wait).await;
        assert!(lines.take("ERROR").is_empty(), "it is tried again");
        lines.of(testbed.sweep()).await;
    }
    let mut errors = lines.take_all();
    let why = errors
        .iter()
        .position(|line| line["WechatCallsFailed"] == 1);
    let stuck = errors.iter().position(|line| line["level"] == "ERROR");
    assert!(why.is_some() && why < stuck, "{errors:?}");
    errors.retain(|line| line["level"] == "ERROR");
    admin.clear_faults(None);
    testbed.advance(HOUR).await;
    testbed.sweep().await;
    assert_eq!(testbed.order("ORDER-1").await.state.name(), "closed");
    errors
}

pub(super) async fn an_order_is_forgotten_at_wechat_pay() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    testbed.post_order(&native("ORDER-1")).await;
    let unknown = || refuse(404, "ORDER_NOT_EXIST");
    for endpoint in [Endpoint::Close, Endpoint::QueryByOutTradeNo] {
        let rule = always(unknown(), endpoint);
        testbed.wechat.admin().add_fault(rule).unwrap();
    }
    let closed = lines.of(testbed.close("ORDER-1")).await;
    assert_eq!(closed.body["state"], "closing", "not closed here");
    let lines = lines.take("ERROR");
    let what_to_do = lines[0]["what_to_do"].as_str().expect("words");
    assert!(what_to_do.contains("check the order in WeChat Pay's console"));
    lines
}
