//! What WeChat Pay says of a refund: notices that differ, and results that stay away.

use std::time::Duration;

use serde_json::json;
use wechatpay_simulator::{Endpoint, Fault, RefundOutcome, RefundStatus, Rule, Settings};

use super::{paid, processing, state};
use crate::support::{Lines, Testbed};

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_notice_that_differs_in_its_amount_is_parked_and_applied_to_nothing() {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Hold);
    testbed.refund("ORDER-1", "R1", 40).await;
    testbed.work_off().await;
    let out_refund_no = testbed.wechat.admin().refunds_of("ORDER-1")[0]
        .out_refund_no
        .clone();
    let altered = wechatpay_simulator::Damage::Altered(json!({"amount": {"refund": 41}}));
    let callback = testbed
        .wechat
        .admin()
        .signed_callback(&out_refund_no, &altered)
        .unwrap();
    assert_eq!(testbed.receive(&callback).await.status, 204);
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(state(&testbed, "R1").await, "processing");
    assert_eq!(
        testbed.items("parked-refund#").await[0]["reason"],
        "amount.refund"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn spellings_of_codes_without_underscores_change_nothing() {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .set_settings(Settings {
            bare_codes: true,
            ..Settings::default()
        })
        .unwrap();
    testbed.wechat.admin().set_balance(0);
    testbed.refund("ORDER-1", "R1", 100).await;
    testbed.work_off().await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["trouble"], "NOTENOUGH");
    assert!(refund["what_to_do"].as_str().unwrap().contains("balance"));
}

/// Time passes and the sweep checks: how often a refund is logged for an operator.
async fn reported_after(testbed: &Testbed, hours: u64) -> usize {
    testbed.advance(Duration::from_secs(hours * 3600)).await;
    let lines = Lines::default();
    lines.of(testbed.sweep()).await;
    let errors = lines.take("ERROR");
    let about_it = |line: &&serde_json::Value| line["message"] == "refund needs a person";
    errors.iter().filter(about_it).count()
}

/// The event that a mark came or went.
async fn is_told_of_the_mark(testbed: &Testbed) {
    let journal = testbed.journal("ORDER-1").await;
    let last = journal.last().unwrap();
    assert_eq!(
        (last.subject.kind(), last.from.as_deref(), last.to.as_str()),
        ("refund", Some("processing"), "processing")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_says_processing_for_ten_days_needs_a_person_until_its_news_comes() {
    let testbed = processing().await;
    assert_eq!(reported_after(&testbed, 9 * 24).await, 0);
    assert_eq!(reported_after(&testbed, 24).await, 1);
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(
        (&refund["state"], &refund["trouble"]),
        (&json!("processing"), &json!("PROCESSING"))
    );
    assert!(refund["overdue_since"].is_string(), "{refund}");
    let what_to_do = refund["what_to_do"].as_str().unwrap();
    assert!(what_to_do.contains("open a case"), "{what_to_do}");
    is_told_of_the_mark(&testbed).await;
    assert_eq!(
        reported_after(&testbed, 2).await,
        0,
        "still queried, and not reported"
    );
    assert_eq!(
        reported_after(&testbed, 4).await,
        1,
        "six hours after the first"
    );

    let admin = testbed.wechat.admin();
    let out_refund_no = admin.refunds_of("ORDER-1")[0].out_refund_no.clone();
    admin
        .settle_refund(&out_refund_no, RefundStatus::Success)
        .unwrap();
    testbed.deliver().await;
    testbed.work_off().await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["state"], "succeeded");
    for mark in ["overdue_since", "trouble", "what_to_do"] {
        assert_eq!(refund.get(mark), None, "{refund}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_whose_query_is_refused_for_an_hour_needs_a_person_until_it_is_answered() {
    let testbed = processing().await;
    let refused = Fault::Refuse {
        status: 400,
        code: "A_NEW_ONE".to_owned(),
    };
    let rule = Rule::always(refused).at(Endpoint::QueryRefund);
    testbed.wechat.admin().add_fault(rule).unwrap();
    assert_eq!(reported_after(&testbed, 1).await, 0);
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["trouble"], "A_NEW_ONE");
    assert_eq!(refund.get("overdue_since"), None, "once may be chance");
    assert_eq!(reported_after(&testbed, 2).await, 1);
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["state"], "processing");
    assert!(refund["overdue_since"].is_string(), "{refund}");
    let what_to_do = refund["what_to_do"].as_str().unwrap();
    assert!(what_to_do.contains("refuses the query"), "{what_to_do}");

    testbed.wechat.admin().clear_faults(None);
    assert_eq!(reported_after(&testbed, 2).await, 0);
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    for mark in ["overdue_since", "trouble", "what_to_do"] {
        assert_eq!(refund.get(mark), None, "{refund}");
    }
    is_told_of_the_mark(&testbed).await;
}
