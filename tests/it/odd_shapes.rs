//! What WeChat Pay signs messages in undocumented forms: members that decide nothing block nothing,
//! and an unreadable message is for an operator.

use std::time::Duration;

use payments::reconcile::run::RunState;
use serde_json::{Value, json};
use wechatpay_simulator::{Damage, Endpoint, Fault, PayOptions, RefundOutcome, Rule};

use crate::support::{Testbed, native};

/// Coupons, payer and words as they came in other years and products.
fn odd_rest() -> Value {
    json!({
        "promotion_detail": [{"amount": "1", "goods_detail": {"price": 1}}], "trade_state_desc": {}, "payer": ["x"],
        "bank_type": 7, "attach": [], "scene_info": "none", "amount": {"payer_total": "100", "payer_currency": 1}
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_whose_rest_has_odd_shapes_is_acknowledged_and_books_its_order() {
    let testbed = Testbed::start().await;
    for (order_no, damage) in [
        ("ORDER-1", Damage::Altered(odd_rest())),
        (
            "ORDER-2",
            Damage::AlteredEnvelope(json!({
                "id": null, "create_time": null, "event_type": [], "summary": {}, "resource_type": 7,
                "resource": {"original_type": null, "algorithm": null},
            })),
        ),
        ("ORDER-3", Damage::LongNonce),
    ] {
        testbed.post_order(&native(order_no)).await;
        let paid = testbed.wechat.admin().pay(order_no, &PayOptions::default());
        paid.unwrap();
        let callback = testbed.wechat.admin().signed_callback(order_no, &damage);
        let answer = testbed.receive(&callback.unwrap()).await;
        assert_eq!(answer.status, 204, "{damage:?}");
        assert_eq!(testbed.work_off().await, 0, "{damage:?}");
        let order = testbed.get_order(order_no).await;
        assert_eq!(order.body["state"], "paid", "{damage:?}");
    }
    assert!(testbed.notices().await.is_empty(), "all settled at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_notice_that_cannot_be_read_is_acknowledged_and_parked_once_with_its_reason() {
    for (damage, reason) in [
        (Damage::Altered(json!({"trade_state": 7})), "plaintext"),
        (Damage::Altered(json!("SUCCESS")), "plaintext"),
        (
            Damage::AlteredEnvelope(json!({"resource": null})),
            "envelope",
        ),
        (
            Damage::AlteredEnvelope(json!({"resource": {"algorithm": "AEAD_SM4_GCM"}})),
            "algorithm",
        ),
    ] {
        let testbed = Testbed::start().await;
        testbed.post_order(&native("ORDER-1")).await;
        let paid = testbed
            .wechat
            .admin()
            .pay("ORDER-1", &PayOptions::default());
        paid.unwrap();
        let callback = testbed.wechat.admin().signed_callback("ORDER-1", &damage);
        let answer = testbed.receive(&callback.unwrap()).await;
        assert_eq!(answer.status, 204, "{damage:?}");
        assert_eq!(testbed.work_off().await, 0, "{damage:?}");
        assert_eq!(
            testbed.dead_letters().await,
            [Vec::<String>::new(), Vec::new()]
        );
        let notices = testbed.notices().await;
        assert_eq!(notices.len(), 1, "{damage:?}");
        assert_eq!(notices[0]["status"], "parked");
        let what_to_do = &notices[0]["what_to_do"];
        assert!(what_to_do.contains(reason), "{damage:?}: {what_to_do}");
        assert!(notices[0]["message"].contains("resource"), "as it came");
        let order = testbed.get_order("ORDER-1").await;
        assert_eq!(order.body["state"], "awaiting_payment", "{damage:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_accepted_by_an_answer_whose_rest_has_odd_shapes() {
    let testbed = Testbed::start().await;
    testbed.paid("ORDER-1").await;
    let admin = testbed.wechat.admin();
    let patch = json!({
        "status": null, "refund_status": "PROCESSING", "create_time": 7, "channel": [], "amount": {"from": {}, "payer_refund": "1"},
        "promotion_detail": [{"goods_detail": [{"merchant_goods_id": "g"}]}]
    });
    let odd = Fault::AlteredAnswer { patch };
    admin
        .add_fault(Rule::always(odd).at(Endpoint::CreateRefund))
        .unwrap();
    testbed.refund("ORDER-1", "R1", 40).await;
    assert_eq!(testbed.work_off().await, 0);
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["state"], "processing", "{refund}");
    assert!(refund["refund_id"].is_string() && refund.get("trouble").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_whose_answers_cannot_be_read_is_accepted_and_says_so_until_one_can() {
    let testbed = Testbed::start().await;
    testbed.paid("ORDER-1").await;
    let admin = testbed.wechat.admin();
    for endpoint in [Endpoint::CreateRefund, Endpoint::QueryRefund] {
        let patch = json!({"status": null, "amount": {"total": "100"}});
        let unreadable = Fault::AlteredAnswer { patch };
        admin
            .add_fault(Rule::always(unreadable).at(endpoint))
            .unwrap();
    }
    let in_silence = async {
        testbed.refund("ORDER-1", "R1", 40).await;
        assert_eq!(testbed.work_off().await, 0);
        for _ in 0..3 {
            testbed.advance(Duration::from_secs(60)).await;
            testbed.sweep().await;
        }
    };
    testbed.in_silence(in_silence).await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(
        (&refund["state"], &refund["trouble"]),
        (&json!("processing"), &json!("UNREADABLE_ANSWER"))
    );
    assert_eq!(admin.refunds().len(), 1, "nothing was sent twice");
    admin.clear_faults(None);
    testbed.advance(Duration::from_secs(3600)).await;
    testbed.sweep().await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["state"], "succeeded", "{refund}");
    assert!(refund.get("trouble").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_was_sent_on_is_known_for_that_while_its_answers_cannot_be_read() {
    let testbed = Testbed::start().await;
    testbed.paid("ORDER-1").await;
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Abnormal);
    let in_silence = async {
        testbed.refund("ORDER-1", "R1", 40).await;
        for _ in 0..2 {
            testbed.work_off().await;
            testbed.advance(Duration::from_secs(60)).await;
            testbed.sweep().await;
        }
        admin.set_refund_outcome(RefundOutcome::Success);
        let path = "/v1/orders/ORDER-1/refunds/R1/abnormal";
        let answer = testbed
            .post(
                path,
                &json!({"to": "merchant", "who": "Li", "why": "card gone"}),
            )
            .await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let unreadable = Fault::AlteredAnswer {
            patch: json!({"status": null}),
        };
        admin
            .add_fault(Rule::always(unreadable).at(Endpoint::QueryRefund))
            .unwrap();
        testbed.advance(Duration::from_secs(61)).await;
        testbed.sweep().await;
    };
    testbed.in_silence(in_silence).await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(
        (&refund["state"], &refund["trouble"]),
        (&json!("abnormal"), &json!("REDIRECTED")),
        "nobody is asked to pay it once more"
    );
    admin.clear_faults(None);
    testbed.advance(Duration::from_secs(6 * 3600)).await;
    testbed.sweep().await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["state"], "succeeded", "{refund}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_answer_cannot_be_read_is_one_difference_and_the_day_is_done() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.paid_in_silence("LOST-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    let unreadable = Fault::AlteredAnswer {
        patch: json!({"trade_state": 7}),
    };
    let admin = testbed.wechat.admin();
    let queries = Rule::always(unreadable).at(Endpoint::QueryByTransactionId);
    admin.add_fault(queries).unwrap();
    let run = testbed.reconcile(day, false).await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.trouble);
    assert_eq!(
        testbed.difference_lines(day).await,
        ["paid_there_unpaid_here LOST-1 open"]
    );
    let difference = testbed.differences_of(day).await.remove(0);
    let why = &difference.history.last().unwrap().why;
    assert!(
        why.contains("WeChat Pay answered") && !why.contains("did not answer"),
        "{why}"
    );

    let odd = Fault::AlteredAnswer { patch: odd_rest() };
    admin.clear_faults(None);
    admin
        .add_fault(Rule::always(odd).at(Endpoint::QueryByTransactionId))
        .unwrap();
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["paid_there_unpaid_here LOST-1 repaired"]
    );
    assert_eq!(testbed.order("LOST-1").await.state.name(), "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_callback_was_lost_is_settled_by_an_answer_whose_rest_has_odd_shapes() {
    let testbed = Testbed::start().await;
    testbed.paid_in_silence("LOST-1").await;
    let odd = Fault::AlteredAnswer { patch: odd_rest() };
    let admin = testbed.wechat.admin();
    admin
        .add_fault(Rule::always(odd).at(Endpoint::QueryByOutTradeNo))
        .unwrap();
    testbed.advance(Duration::from_secs(90)).await;
    assert_eq!(testbed.sweep().await.settled, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_answers_cannot_be_read_stays_as_it_is_until_one_can() {
    let testbed = Testbed::start().await;
    testbed.paid_in_silence("ORDER-1").await;
    let unreadable = Fault::AlteredAnswer {
        patch: json!({"trade_state": 7}),
    };
    let admin = testbed.wechat.admin();
    admin
        .add_fault(Rule::always(unreadable).at(Endpoint::QueryByOutTradeNo))
        .unwrap();
    // It is paid, so WeChat Pay does not close it; what it says of it then decides, and says
    // nothing.
    let closed = testbed.close("ORDER-1").await;
    assert_eq!(closed.body["state"], "closing", "{closed:?}");
    testbed.advance(Duration::from_secs(90)).await;
    testbed.sweep().await;
    assert_eq!(testbed.order("ORDER-1").await.state.name(), "closing");
    admin.clear_faults(None);
    testbed.advance(Duration::from_secs(3600)).await;
    testbed.sweep().await;
    assert_eq!(testbed.order("ORDER-1").await.state.name(), "paid");
}
