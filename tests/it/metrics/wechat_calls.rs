//! Calls to WeChat Pay: how long each took, by interface, host and outcome; which host is avoided,
//! and what waits for our own limits.

use std::time::Duration;

use wechatpay_simulator::{Endpoint, Fault, Rule};

use super::{NONE, Values};
use crate::support::{Testbed, TestbedOptions, native};

/// So many calls of an interface had this outcome; all of them are also counted by host.
fn called(values: &Values, interface: &str, outcome: &str, times: usize) {
    let by = [("interface", interface), ("outcome", outcome)];
    assert_eq!(
        values.of_metric("WechatCallMs", &by).len(),
        times,
        "{interface} {outcome}: {values:?}"
    );
    let by_host = ["main", "backup"].map(|host| {
        let by = [("host", host), ("outcome", outcome)];
        values.of_metric("WechatCallMs", &by).len()
    });
    assert!(by_host.iter().sum::<usize>() >= times, "{values:?}");
}

fn refuse(status: u16, code: &str) -> Fault {
    Fault::Refuse {
        status,
        code: code.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepay_call_that_succeeds_is_measured_on_the_line_of_its_order() {
    let testbed = Testbed::start().await;
    let values = Values::of(&testbed, testbed.post_order(&native("ORDER-1"))).await;
    called(&values, "prepay_native", "done", 1);
    assert_eq!(values.all("WechatCallMs").len(), 1);
    assert_eq!(values.all("WechatCallsDone"), [1]);
    assert_eq!(values.all("PrepaysIssued"), [1]);
    assert_eq!(values.all("PrepaysPutOff"), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_measured_by_the_class_of_its_code() {
    for (status, code, outcome) in [
        (400, "PARAM_ERROR", "refused_request"),
        (401, "SIGN_ERROR", "refused_merchant"),
        (500, "SYSTEM_ERROR", "refused_passing"),
        (403, "A_NEW_CODE", "refused_unknown"),
    ] {
        let testbed = Testbed::start().await;
        let rule = Rule::times(refuse(status, code), 1).at(Endpoint::PrepayNative);
        testbed.wechat.admin().add_fault(rule).unwrap();
        let values = Values::of(&testbed, testbed.post_order(&native("ORDER-1"))).await;
        called(&values, "prepay_native", outcome, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_believed_and_one_that_cannot_be_read_are_measured_apart() {
    let unreadable = Fault::AlteredAnswer {
        patch: serde_json::json!([]),
    };
    for (fault, outcome) in [
        (Fault::ProbeResponse, "unverified"),
        (unreadable, "unreadable"),
    ] {
        let testbed = Testbed::start().await;
        let rule = Rule::times(fault, 1).at(Endpoint::PrepayNative);
        testbed.wechat.admin().add_fault(rule).unwrap();
        let values = Values::of(&testbed, testbed.post_order(&native("ORDER-1"))).await;
        called(&values, "prepay_native", outcome, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_answer_is_measured_and_avoided_from_the_third_call_on() {
    let testbed = Testbed::with(TestbedOptions {
        main_host_is_down: true,
        ..TestbedOptions::default()
    })
    .await;
    let values = Values::of(&testbed, async {
        for n in 0..4 {
            let order = native(&format!("ORDER-{n}"));
            assert_eq!(testbed.post_order(&order).await.status, 201);
        }
    })
    .await;
    let dead = [("host", "main"), ("outcome", "no_answer")];
    assert_eq!(values.of_metric("WechatCallMs", &dead).len(), 3);
    let other = [("host", "backup"), ("outcome", "done")];
    assert_eq!(values.of_metric("WechatCallMs", &other).len(), 4);
    let avoided = [("host", "main"), ("state", "avoided")];
    assert_eq!(values.of_metric("HostStateChanges", &avoided), [1]);
    assert_eq!(values.all("HostStateChanges"), [1]);
}

/// Questions have no line of their own: their values are on the line of the sweep.
#[tokio::test(flavor = "multi_thread")]
async fn questions_of_a_sweep_are_one_list_of_values() {
    let testbed = Testbed::start().await;
    for n in 0..6 {
        testbed.post_order(&native(&format!("ORDER-{n}"))).await;
    }
    testbed.advance(Duration::from_secs(60)).await;
    let values = Values::of(&testbed, testbed.sweep()).await;
    called(&values, "query_by_out_trade_no", "done", 6);
    assert_eq!(values.all("ChecksDone"), [6]);
    assert_eq!(values.all("ChecksLeft"), [0]);
    assert_eq!(values.all("ChecksFailed"), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_and_refunding_are_measured_under_their_own_names() {
    let testbed = Testbed::start().await;
    testbed.paid("ORDER-1").await;
    let values = Values::of(&testbed, async {
        assert_eq!(testbed.refund("ORDER-1", "R1", 40).await.status, 202);
        assert_eq!(testbed.work_off().await, 0);
        testbed.post_order(&native("ORDER-2")).await;
        assert_eq!(testbed.close("ORDER-2").await.status, 200);
    })
    .await;
    called(&values, "create_refund", "done", 1);
    called(&values, "close", "done", 1);
    assert_eq!(values.sum("WechatCallsDone"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_s_link_and_its_file_are_measured() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.until(day.plus_days(1), 10, 30).await;
    let values = Values::of(&testbed, testbed.reconcile(day, false)).await;
    for interface in ["trade_bill", "fund_flow_bill"] {
        let by = [("interface", interface), ("outcome", "done")];
        let asked = values.of_metric("WechatCallMs", &by).len();
        let by = [("interface", interface), ("outcome", "refused_request")];
        let none = values.of_metric("WechatCallMs", &by).len();
        assert!(asked + none > 0, "{interface}: {values:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_for_our_own_limits_and_are_not_sent_where_the_wait_is_too_long() {
    let mut testbed = Testbed::with(TestbedOptions {
        signer: "sealed",
        ..TestbedOptions::default()
    })
    .await;
    let mut slow = testbed.next_version(&[("WECHATPAY_CALLS_PER_S", "1")]);
    testbed.let_requests_in(&mut slow);
    let values = Values::of(&testbed, async {
        for n in 0..4 {
            testbed.post_order(&native(&format!("ORDER-{n}"))).await;
        }
    })
    .await;
    let waited = values.of_metric("LimitWaitMs", &[("limit", "calls")]);
    assert!(
        !waited.is_empty() && waited.iter().all(|ms| *ms > 0),
        "{values:?}"
    );
    assert_eq!(
        values.of_metric("LimitWaitMs", &[("limit", "refunds")]),
        NONE
    );
    let hasty = [("WECHATPAY_CALLS_PER_S", "1"), ("PREPAY_BUDGET_MS", "500")];
    let mut hasty = testbed.next_version(&hasty);
    testbed.let_requests_in(&mut hasty);
    let values = Values::of(&testbed, async {
        for n in 0..4 {
            testbed.post_order(&native(&format!("HASTY-{n}"))).await;
        }
    })
    .await;
    let put_off = values.of_metric("CallsNotSent", &[("limit", "calls")]);
    assert!(!put_off.is_empty(), "{values:?}");
    let by = [("product", "native"), ("answer", "queued")];
    assert_eq!(
        values.of_metric("OrderAnswerMs", &by).len(),
        put_off.len(),
        "the queue gets what was not sent"
    );
}
