//! Orders that WeChat Pay refuses.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_wechat_pay_rejects_the_order_and_is_answered_with_its_code() {
    let testbed = Testbed::start().await;
    let body = refused_by_wechat("ORDER-1");
    let refused = testbed.post_order(&body).await;
    assert_eq!(
        (refused.status, refused.code()),
        (422, "wechatpay_refused"),
        "{refused:?}"
    );
    assert!(
        refused.body["detail"]
            .as_str()
            .unwrap()
            .contains("OPENID_MISMATCH"),
        "{refused:?}"
    );
    assert_eq!(testbed.wechat.admin().requests()[&Endpoint::PrepayJsapi], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_order_says_the_same_code_and_text_whenever_and_however_it_is_asked_for() {
    let testbed = Testbed::start().await;
    let body = refused_by_wechat("ORDER-1");
    let refused = testbed.post_order(&body).await;
    assert_eq!(refused.status, 422);
    testbed.advance(Duration::from_secs(3_600)).await;
    let again = testbed.post_order(&body).await;
    let status_and_detail = |answer: &ApiAnswer| {
        let body = &answer.body;
        (answer.status, body["code"].clone(), body["detail"].clone())
    };
    assert_eq!(status_and_detail(&again), status_and_detail(&refused));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let asked = testbed.post_order_async(&body).await;
    assert_eq!(status_and_detail(&asked), status_and_detail(&refused));
    assert_eq!(
        testbed.wechat.admin().requests()[&Endpoint::PrepayJsapi],
        1,
        "asks nothing"
    );

    let expected = json!({
        "code": refused.body["code"],
        "detail": refused.body["detail"],
        "wechatpay_code": "OPENID_MISMATCH",
    });
    let order = testbed.get_order("ORDER-1").await;
    conforms("/v1/orders/{order_no}", "get", &order);
    assert_eq!(
        (&order.body["state"], &order.body["rejection"]),
        (&json!("rejected"), &expected)
    );
    assert_eq!(testbed.close("ORDER-1").await.body["rejection"], expected);
    let events = testbed.get("/v1/orders/ORDER-1/events").await;
    conforms("/v1/orders/{order_no}/events", "get", &events);
    let last = events.body["events"]
        .as_array()
        .and_then(|events| events.last());
    assert_eq!(last.expect("an event")["rejection"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_the_queue_saw_rejected_says_why_to_the_first_repeat() {
    let testbed = Testbed::start().await;
    let body = refused_by_wechat("ORDER-1");
    assert_eq!(testbed.post_order_async(&body).await.status, 202);
    assert_eq!(testbed.work_off().await, 0);
    let answer = testbed.post_order(&body).await;
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(
        answer.status == 422 && detail.contains("OPENID_MISMATCH"),
        "{answer:?}"
    );
    assert_eq!(
        testbed.get_order("ORDER-1").await.body["rejection"]["detail"],
        detail
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_after_an_unanswered_try_does_not_reject_the_order() {
    let testbed = Testbed::start().await;
    let admin = testbed.wechat.admin();
    admin.add_fault(Rule::times(Fault::ResetBefore, 1)).unwrap();
    let answer = testbed.post_order(&refused_by_wechat("ORDER-1")).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "reserved");
}
