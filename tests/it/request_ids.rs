//! WeChat Pay's `Request-ID` is stored with every movement of money: its support asks for it.

use std::time::Duration;

use serde_json::{Value, json};
use wechatpay_simulator::{Endpoint, Fault, Rule};

use crate::support::{Lines, Testbed, native};

/// The ids in the events that are shown of an order, by what changed and to which state.
async fn ids(testbed: &Testbed, order_no: &str) -> Vec<(String, String)> {
    let answer = testbed.get(&format!("/v1/orders/{order_no}/events")).await;
    let events = answer.body["events"].as_array().unwrap().iter();
    let listed = events.filter_map(|event| {
        let id = event["wechat_request_id"].as_str()?.to_owned();
        let what = format!("{} {}", event["subject"].as_str()?, event["to"].as_str()?);
        Some((what, id))
    });
    listed.collect()
}

fn has(lines: &[Value], id: &str) -> bool {
    lines.iter().any(|line| line["wechat_request_id"] == id)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_by_wechat_pay_s_news_has_its_request_id_in_the_journal_and_in_the_log() {
    let testbed = Testbed::start().await;
    let lines = Lines::default();
    lines
        .of(async {
            testbed.post_order(&native("ORDER-1")).await;
            testbed.pay("ORDER-1").await;
            assert_eq!(testbed.work_off().await, 0);
            assert_eq!(testbed.refund("ORDER-1", "R1", 40).await.status, 202);
            assert_eq!(testbed.work_off().await, 0);
            testbed.post_order(&native("ORDER-2")).await;
            assert_eq!(testbed.close("ORDER-2").await.status, 200);
        })
        .await;
    let logged = lines.take("INFO");
    let listed = [
        ids(&testbed, "ORDER-1").await,
        ids(&testbed, "ORDER-2").await,
    ]
    .concat();
    let what: Vec<&str> = listed.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(
        what,
        [
            "order awaiting_payment",
            "order paid",
            "refund processing",
            "order awaiting_payment",
            "order closed"
        ]
    );
    for (what, id) in &listed {
        assert!(has(&logged, id), "{what}: no line has {id}");
    }
    let callback = testbed
        .wechat
        .admin()
        .callbacks_about("ORDER-1")
        .first()
        .map(|callback| callback.id.clone());
    let paid = logged
        .iter()
        .find(|line| line["message"] == "order changed" && line["to"] == "paid");
    let paid = paid.unwrap();
    assert_eq!(paid["brought_by"], "notice");
    assert_eq!(paid["cause_id"], json!(callback));
    assert_eq!(paid["wechat_request_id"], json!(listed[1].1));
    let mut different: Vec<&str> = listed.iter().map(|(_, id)| id.as_str()).collect();
    different.sort_unstable();
    different.dedup();
    assert_eq!(
        different.len(),
        listed.len(),
        "each is of a call of its own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_was_found_by_asking_has_the_id_of_the_question_and_a_rejected_order_that_of_the_refusal()
 {
    let testbed = Testbed::start().await;
    let admin = testbed.wechat.admin();
    admin.add_fault(Rule::always(Fault::LostCallback)).unwrap();
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed.advance(Duration::from_secs(60)).await;
    let lines = Lines::default();
    let report = lines.of(testbed.sweep()).await;
    assert_eq!(report.settled, 1);
    let listed = ids(&testbed, "ORDER-1").await;
    assert_eq!(listed[1].0, "order paid");
    let logged = lines.take("INFO");
    let changed = logged
        .iter()
        .find(|line| line["message"] == "order changed");
    assert_eq!(changed.unwrap()["wechat_request_id"], listed[1].1);

    let param_error = Fault::Refuse {
        status: 400,
        code: "PARAM_ERROR".to_owned(),
    };
    let refusing = Rule::always(param_error).at(Endpoint::PrepayNative);
    admin.add_fault(refusing).unwrap();
    let lines = Lines::default();
    assert_eq!(
        lines
            .of(testbed.post_order(&native("ORDER-2")))
            .await
            .status,
        422
    );
    let listed = ids(&testbed, "ORDER-2").await;
    assert_eq!((listed.len(), listed[0].0.as_str()), (1, "order rejected"));
    let logged = lines.take("WARN");
    let rejected = logged
        .iter()
        .find(|line| line["message"] == "the order is rejected");
    assert_eq!(rejected.unwrap()["wechat_request_id"], listed[0].1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_is_logged_with_the_request_id_of_its_download_whether_it_is_sent_or_refused() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    let admin = testbed.wechat.admin();
    let refused = Rule::times(Fault::ServerErrorBefore { status: 500 }, 1).at(Endpoint::BillFile);
    admin.add_fault(refused).unwrap();
    let lines = Lines::default();
    lines
        .of(async {
            testbed.begin_day(day, false).await;
            assert_eq!(testbed.work_off_days().await, 1, "it comes again");
            testbed.advance(Duration::from_secs(10)).await;
            testbed.reconcile(day, false).await;
        })
        .await;
    let logged = lines.take_all();
    let ids = |message: &str| -> Vec<&Value> {
        let listed = logged.iter().filter(|line| line["message"] == message);
        listed.map(|line| &line["wechat_request_id"]).collect()
    };
    let (refused, sent) = (
        ids("WeChat Pay refused to send a bill"),
        ids("WeChat Pay sends a bill"),
    );
    assert_eq!(refused.len(), 1);
    assert!(!sent.is_empty());
    for id in refused.iter().chain(&sent) {
        let id = id.as_str().unwrap_or_default();
        assert!(!["", "none"].contains(&id), "{id}");
    }
}
