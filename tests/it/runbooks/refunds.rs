//! `refunds.md`: refunds that are overdue, and those that WeChat Pay refuses.

use std::time::Duration;

use serde_json::json;
use wechatpay_simulator::{Endpoint, Fault, RefundOutcome, RefundStatus, Rule};

use super::row_says;
use crate::{
    refunds::{REDIRECT, abnormal, minutes, paid},
    support::{Lines, Testbed},
};

const PAGE: &str = "refunds.md";

/// Time passes, and the sweep checks: how often the refund is reported to a person.
async fn reported_after(testbed: &Testbed, hours: u64) -> usize {
    testbed.advance(Duration::from_secs(hours * 3600)).await;
    let lines = Lines::default();
    lines.of(testbed.sweep()).await;
    let mut errors = lines.take("ERROR");
    errors.retain(|line| line["message"] == "refund needs a person");
    errors.len()
}

async fn shown(testbed: &Testbed) -> serde_json::Value {
    testbed.get_refund("ORDER-1", "R1").await.body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirected_refund_that_is_not_paid_out_for_ten_days_is_overdue_until_it_is() {
    let testbed = abnormal().await;
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Hold);
    let to = json!({"to": "merchant", "who": "Wang", "why": "card gone"});
    assert_eq!(testbed.post(REDIRECT, &to).await.status, 202);
    minutes(&testbed, 1).await;
    for _ in 0..9 {
        assert_eq!(reported_after(&testbed, 24).await, 0);
        assert_eq!(shown(&testbed).await.get("overdue_since"), None);
    }
    assert_eq!(reported_after(&testbed, 24).await, 1);
    let refund = shown(&testbed).await;
    assert_eq!(
        (&refund["state"], &refund["trouble"]),
        (&json!("abnormal"), &json!("REDIRECTED"))
    );
    assert!(refund["overdue_since"].is_string(), "{refund}");
    let what_to_do = refund["what_to_do"].as_str().expect("words");
    assert!(what_to_do.contains("open a case"), "{what_to_do}");
    row_says(
        PAGE,
        "`REDIRECTED`",
        &["10 days ago", "has not paid it out"],
    );

    let number = admin.refunds_of("ORDER-1")[0].out_refund_no.clone();
    admin.settle_refund(&number, RefundStatus::Success).unwrap();
    testbed.deliver().await;
    minutes(&testbed, 1).await;
    let refund = shown(&testbed).await;
    assert_eq!(refund["state"], "succeeded");
    assert_eq!(refund.get("overdue_since"), None, "it is removed by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_which_nothing_is_known_for_a_day_is_overdue_until_it_is_answered() {
    let testbed = paid().await;
    let admin = testbed.wechat.admin();
    for endpoint in [Endpoint::CreateRefund, Endpoint::QueryRefund] {
        let down = Fault::ServerErrorBefore { status: 502 };
        admin.add_fault(Rule::always(down).at(endpoint)).unwrap();
    }
    testbed.refund("ORDER-1", "R1", 100).await;
    testbed.work_off().await;
    for _ in 0..23 {
        assert_eq!(reported_after(&testbed, 1).await, 0);
    }
    assert_eq!(reported_after(&testbed, 2).await, 1);
    let refund = shown(&testbed).await;
    assert_eq!(
        (&refund["state"], &refund["trouble"]),
        (&json!("reserved"), &json!("UNANSWERED"))
    );
    assert!(refund["overdue_since"].is_string(), "{refund}");
    row_says(
        PAGE,
        "`UNANSWERED`",
        &["for a day", "[wechat-down.md](wechat-down.md)"],
    );

    admin.clear_faults(None);
    testbed.advance(Duration::from_secs(3600)).await;
    minutes(&testbed, 3).await;
    let refund = shown(&testbed).await;
    assert_eq!(refund["state"], "succeeded", "under its number: {refund}");
    assert_eq!(refund.get("overdue_since"), None, "{refund}");
    assert_eq!(admin.refunds().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_wechat_pay_does_not_take_says_with_which_code_and_is_released_or_tried_again()
 {
    for (code, begins, is_released) in [
        ("TRADE_OVERDUE", "the order is older than 365 days", true),
        (
            "USER_ACCOUNT_ABNORMAL",
            "the payer's account is closed",
            true,
        ),
        ("INVALID_REQUEST", "profit-sharing money not free", false),
    ] {
        let testbed = paid().await;
        let admin = testbed.wechat.admin();
        let refused = Fault::Refuse {
            status: 403,
            code: code.to_owned(),
        };
        let rule = Rule::always(refused).at(Endpoint::CreateRefund);
        admin.add_fault(rule).unwrap();
        testbed.refund("ORDER-1", "R1", 100).await;
        minutes(&testbed, 2).await;
        let refund = shown(&testbed).await;
        assert_eq!(refund["state"], "refused", "{code}: {refund}");
        assert_eq!(refund["trouble"], code, "{refund}");
        let what_to_do = refund["what_to_do"].as_str().expect("words");
        assert!(what_to_do.contains("/retry") && what_to_do.contains("/release"));
        let row = if is_released { "release" } else { "retry" };
        row_says(
            PAGE,
            begins,
            &[if code == "USER_ACCOUNT_ABNORMAL" {
                "the same"
            } else {
                row
            }],
        );
        let way_on = |way| format!("/v1/orders/ORDER-1/refunds/R1/{way}");
        if is_released {
            let by = json!({"who": "Li", "why": "by bank, slip 12"});
            assert_eq!(testbed.post(&way_on("release"), &by).await.status, 200);
            assert_eq!(shown(&testbed).await["state"], "closed");
            assert_eq!(admin.refunds().len(), 0);
        } else {
            admin.clear_faults(None);
            assert_eq!(testbed.post(&way_on("retry"), &json!({})).await.status, 202);
            minutes(&testbed, 3).await;
            assert_eq!(shown(&testbed).await["state"], "succeeded");
            assert_eq!(admin.refunds().len(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_a_permission_keeps_back_for_a_day_is_refused_then_and_tried_again_by_a_person()
 {
    let testbed = paid().await;
    let admin = testbed.wechat.admin();
    let no_auth = Fault::Refuse {
        status: 403,
        code: "NO_AUTH".to_owned(),
    };
    let rule = Rule::always(no_auth).at(Endpoint::CreateRefund);
    admin.add_fault(rule).unwrap();
    testbed.refund("ORDER-1", "R1", 100).await;
    minutes(&testbed, 2).await;
    for _ in 0..23 {
        testbed.advance(Duration::from_secs(3600)).await;
        minutes(&testbed, 1).await;
        let refund = shown(&testbed).await;
        assert_eq!(
            (&refund["state"], &refund["trouble"]),
            (&json!("reserved"), &json!("NO_AUTH"))
        );
    }
    for _ in 0..3 {
        testbed.advance(Duration::from_secs(3600)).await;
        minutes(&testbed, 1).await;
    }
    let refund = shown(&testbed).await;
    assert_eq!(
        (&refund["state"], &refund["trouble"]),
        (&json!("refused"), &json!("NO_AUTH")),
        "{refund}"
    );
    admin.clear_faults(None);
    let retry = "/v1/orders/ORDER-1/refunds/R1/retry";
    assert_eq!(testbed.post(retry, &json!({})).await.status, 202);
    minutes(&testbed, 3).await;
    assert_eq!(shown(&testbed).await["state"], "succeeded");
    row_says(
        PAGE,
        "something about the merchant that lasted a day",
        &["correct it on the merchant platform, then retry"],
    );
    let page = super::page(PAGE);
    assert!(page.contains("After a day it is `refused`"));
}
