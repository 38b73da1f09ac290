//! Requests as they arrive at WeChat Pay, field by field, compared with the merchant's request: all
//! of it, and nothing else.

use std::time::Duration;

use serde_json::{Value, json};
use wechatpay::{UnixSeconds, time::format_rfc3339_beijing};
use wechatpay_simulator::{Endpoint, PayOptions, Product, RefundOutcome, TradeState};

use crate::support::{APPIDS, MCHID, Testbed, native};

/// An object with the members of another over its own.
fn plus(mut object: Value, more: &Value) -> Value {
    let members = object.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn each_product_is_sent_as_the_merchant_asked_with_options_and_without() {
    let testbed = Testbed::start().await;
    let ip = "203.0.113.7";
    let openid = json!({"payer": {"openid": "oUser-1"}});
    let h5 = json!({"scene_info": {"payer_client_ip": ip, "h5_info": {"type": "iOS"}}});
    for (nth, (product, at_wechat, asked, sent)) in [
        ("native", Product::Native, json!({}), json!({})),
        ("app", Product::App, json!({}), json!({})),
        (
            "jsapi",
            Product::Jsapi,
            json!({"openid": "oUser-1"}),
            openid.clone(),
        ),
        (
            "mini_program",
            Product::Jsapi,
            json!({"openid": "oUser-1"}),
            openid,
        ),
        (
            "h5",
            Product::H5,
            json!({"payer_client_ip": ip, "h5_type": "iOS"}),
            h5,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let options = json!({"attach": "门店 7", "goods_tag": "WXG", "appid": APPIDS[1], "expires_in_s": 900, "payer_id": "p"});
        let sent_options = json!({"attach": "门店 7", "goods_tag": "WXG", "appid": APPIDS[1]});
        for (order_no, options, sent_options, expires_in_s) in [
            (format!("BARE-000{nth}"), json!({}), json!({}), 7200),
            (format!("FULL-000{nth}"), options, sent_options, 900),
        ] {
            let body = json!({"order_no": order_no, "product": product, "amount_fen": 123, "description": "茶 Tea"});
            let answer = testbed
                .post_order(&plus(plus(body, &asked), &options))
                .await;
            assert_eq!(answer.status, 201, "{product}: {answer:?}");
            let expires_at = UnixSeconds(testbed.clock.now().0 + expires_in_s);
            let always = json!({
                "appid": APPIDS[0], "mchid": MCHID, "description": "茶 Tea", "out_trade_no": order_no,
                "time_expire": format_rfc3339_beijing(expires_at), "notify_url": testbed.notify_url,
                "amount": {"total": 123, "currency": "CNY"},
            });
            let arrived = testbed.wechat.admin().order(&order_no).unwrap().order;
            assert_eq!(
                arrived.request,
                plus(plus(always, &sent), &sent_options),
                "{product}"
            );
            assert_eq!(arrived.product, at_wechat, "{product}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refund_is_sent_as_it_was_asked_for_with_options_and_without() {
    let testbed = Testbed::start().await;
    testbed.paid("ORDER-1").await;
    let admin = testbed.wechat.admin();
    let paid = testbed.get_order("ORDER-1").await.body["transaction_id"].clone();
    let reason = json!({"reason": "坏了 broken"});
    for (refund_no, fen, options) in [("R-bare", 40, json!({})), ("R-reason", 60, reason)] {
        let body = plus(json!({"refund_no": refund_no, "amount_fen": fen}), &options);
        let answer = testbed.post("/v1/orders/ORDER-1/refunds", &body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        testbed.work_off().await;
        testbed.advance(Duration::from_secs(70)).await;
        testbed.sweep().await;
        testbed.work_off().await;
        let out_refund_no = answer.body["out_refund_no"].as_str().unwrap();
        let arrived = admin.refund(out_refund_no).unwrap();
        let always = json!({
            "transaction_id": paid, "out_refund_no": out_refund_no, "notify_url": testbed.notify_url,
            "amount": {"refund": fen, "total": 100, "currency": "CNY"},
        });
        assert_eq!(arrived.request, plus(always, &options), "{refund_no}");
    }
    assert_eq!(admin.refunds().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_and_the_refund_of_money_that_came_after_it_are_sent_for_that_order_alone() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.post_order(&native("ORDER-2")).await;
    assert_eq!(testbed.close("ORDER-1").await.status, 200);
    let admin = testbed.wechat.admin();
    // The simulator refuses a close whose body is not this merchant's number and nothing else.
    assert_eq!(admin.requests()[&Endpoint::Close], 1);
    assert_eq!(
        admin.order("ORDER-1").unwrap().trade_state,
        TradeState::Closed
    );
    assert_eq!(
        admin.order("ORDER-2").unwrap().trade_state,
        TradeState::NotPay
    );
    let late = admin.pay_late("ORDER-1", &PayOptions::default()).unwrap();
    for _ in 0..2 {
        testbed.advance(Duration::from_secs(60)).await;
        testbed.work_off().await;
        testbed.sweep().await;
    }
    let transaction_id = &late.order.payment.unwrap().transaction_id;
    let arrived = admin.refunds_of("ORDER-1").remove(0);
    let expected = json!({
        "transaction_id": transaction_id, "out_refund_no": arrived.out_refund_no, "notify_url": testbed.notify_url,
        "amount": {"refund": 100, "total": 100, "currency": "CNY"},
    });
    assert_eq!(arrived.request, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_destination_of_an_abnormal_refund_is_sent_as_the_merchant_said() {
    let testbed = Testbed::start().await;
    let card = json!({"bank_type": "ICBC_DEBIT", "bank_account": "6222020200012345678", "real_name": "李雷"});
    for (order_no, to, sent) in [
        (
            "ORDER-1",
            json!({"to": "merchant", "who": "Li", "why": "card gone"}),
            json!({"type": "MERCHANT_BANK_CARD"}),
        ),
        (
            "ORDER-2",
            plus(
                json!({"to": "user", "who": "Li", "why": "card gone"}),
                &card,
            ),
            plus(json!({"type": "USER_BANK_CARD"}), &card),
        ),
    ] {
        testbed.paid(order_no).await;
        let admin = testbed.wechat.admin();
        admin.set_refund_outcome(RefundOutcome::Abnormal);
        testbed.refund(order_no, "R1", 100).await;
        for _ in 0..2 {
            testbed.work_off().await;
            testbed.advance(Duration::from_secs(60)).await;
            testbed.sweep().await;
        }
        testbed.work_off().await;
        admin.set_refund_outcome(RefundOutcome::Success);
        let path = format!("/v1/orders/{order_no}/refunds/R1/abnormal");
        let answer = testbed.post(&path, &to).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let arrived = admin.refunds_of(order_no).remove(0);
        let named = json!({"out_refund_no": arrived.out_refund_no});
        assert_eq!(arrived.redirected, Some(plus(named, &sent)), "{order_no}");
    }
}
