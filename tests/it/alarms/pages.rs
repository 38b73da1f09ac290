//! One cause calls once, whatever else it sets off.

use cloudwatch::states::State;
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::SigningMode;

use super::{MINUTE, Watch, minute, wechat_pay::know_newest_key, well};
use crate::support::{Testbed, native, start_wechat};

/// Who was woken, which a ticket does to nobody.
fn woken(watch: &Watch) -> Vec<&str> {
    let is_ticket = |name: &str| {
        let mut composites = watch.cloud.rules().composites().iter();
        composites.any(|it| it.name == name && it.description.starts_with("[ticket]"))
    };
    let pages = watch.cloud.pages().into_iter();
    pages.filter(|name| !is_ticket(name)).collect()
}

/// A minute with its work, its oldest request as SQS reports it, and CloudWatch's evaluation.
async fn watched(testbed: &Testbed, watch: &mut Watch, number: usize, oldest_s: i64) {
    minute(testbed, watch, number).await;
    let age = "ApproximateAgeOfOldestMessage";
    let now_ms = testbed.clock.now_ms();
    watch
        .cloud
        .take_queue("PaymentRequestsQueue", age, oldest_s, now_ms);
    watch.evaluate();
}

#[tokio::test(flavor = "multi_thread")]
async fn wechat_pay_that_is_down_calls_once_within_five_minutes_and_says_when_it_is_over() {
    const CAUSE: &str = "wechat-pay-failing";
    let (mut testbed, mut watch) = well(3).await;
    let port = testbed.wechat.addr.port();
    testbed.wechat = start_wechat(testbed.clock.now(), 0);
    for number in 0..40 {
        let oldest_s = 60 * i64::try_from(number).unwrap();
        watched(&testbed, &mut watch, 1000 + number, oldest_s).await;
        if number == 5 {
            assert_eq!(woken(&watch), [CAUSE], "{:?}", watch.met());
        }
    }
    for alarm in [
        "payment-requests-age",
        CAUSE,
        "cause-known",
        "payments-late",
    ] {
        watch.goes_on(alarm);
    }
    assert_eq!(woken(&watch), [CAUSE]);
    testbed.wechat = start_wechat(testbed.clock.now(), port);
    for number in 0..30 {
        watched(&testbed, &mut watch, 2000 + number, 0).await;
    }
    for alarm in [CAUSE, "cause-known", "payments-late"] {
        watch.goes_off(alarm);
        assert_eq!(watch.cloud.state(alarm), State::Ok, "{alarm}");
    }
    assert_eq!(woken(&watch), [CAUSE], "once");
    let over = watch.cloud.told.iter().filter(|it| it.state == State::Ok);
    let over: Vec<_> = over.map(|it| it.alarm.as_str()).collect();
    assert_eq!(over, [CAUSE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outlives_wechat_pays_failure_calls_for_itself() {
    let (testbed, mut watch) = well(3).await;
    let refused = wechatpay_simulator::Fault::Refuse {
        status: 401,
        code: "SIGN_ERROR".to_owned(),
    };
    let admin = testbed.wechat.admin();
    let rule = wechatpay_simulator::Rule::always(refused);
    admin.add_fault(rule).unwrap();
    for number in 0..10 {
        watched(&testbed, &mut watch, 1000 + number, 400).await;
    }
    assert_eq!(woken(&watch), ["wechat-pay-failing"]);
    admin.clear_faults(None);
    // Nobody takes requests out of the queue, though WeChat Pay is back.
    for number in 0..60 {
        watched(&testbed, &mut watch, 2000 + number, 4000).await;
    }
    assert_eq!(woken(&watch), ["wechat-pay-failing", "payments-late"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_wechat_pay_changed_calls_once() {
    let (testbed, mut watch) = well(3).await;
    testbed
        .wechat
        .admin()
        .rotate(SigningMode::PublicKey)
        .unwrap();
    for number in 0..20 {
        watched(&testbed, &mut watch, 1000 + number, 0).await;
    }
    assert_eq!(woken(&watch), ["keys-unverified"], "{:?}", watch.met());
    know_newest_key(&testbed).await;
    for number in 0..50 {
        watched(&testbed, &mut watch, 2000 + number, 0).await;
    }
    assert_eq!(woken(&watch), ["keys-unverified"]);
    assert_eq!(watch.cloud.state("keys-unverified"), State::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_denies_everything_calls_once_with_all_that_follows_from_it() {
    const CAUSE: &str = "payments-failing";
    let (testbed, mut watch) = well(3).await;
    for operation in [
        "PutItem",
        "GetItem",
        "Query",
        "TransactWriteItems",
        "UpdateItem",
    ] {
        let denied = Match::operation(Service::DynamoDb, operation);
        let denied = denied.on(&testbed.tables.orders);
        testbed.wire.break_all(denied, AwsFault::Denied);
    }
    for number in 0..20 {
        testbed.advance(MINUTE).await;
        let now_ms = testbed.clock.now_ms();
        let order = native(&format!("ORDER-{number}-DENIED"));
        let answer = watch.of(testbed.post_order(&order)).await;
        assert!(answer.status >= 500);
        watch
            .cloud
            .take_access("POST /v1/orders", answer.status, None, now_ms);
        // A sweep that can read nothing fails, as Lambda counts it.
        let failed = watch.of(testbed.try_sweep()).await.is_err();
        let failed = i64::from(failed);
        watch
            .cloud
            .take_invocation("Reconcile", "Errors", failed, now_ms);
        watch.evaluate();
    }
    for alarm in ["api-failures", "new-errors", "orders-slo-burning", CAUSE] {
        watch.goes_on(alarm);
    }
    assert_eq!(woken(&watch), [CAUSE], "{:?}", watch.met());
    testbed.wire.mend();
    for number in 0..60 {
        minute(&testbed, &mut watch, 2000 + number).await;
        let now_ms = testbed.clock.now_ms();
        watch
            .cloud
            .take_access("POST /v1/orders", 201, None, now_ms);
        watch
            .cloud
            .take_invocation("Reconcile", "Errors", 0, now_ms);
        watch.evaluate();
    }
    watch.goes_off(CAUSE);
    assert_eq!(woken(&watch), [CAUSE], "{:?}", watch.met());
}
