//! Refunds: set aside first, sent under one number, asked about before they are sent again.

mod console;
mod news;
mod not_paid_out;
mod refused;
mod sending;

use std::time::Duration;

use wechatpay_simulator::RefundOutcome;

use crate::support::{ApiAnswer, Testbed, native};

/// A paid order of 100 fen.
pub(crate) async fn paid() -> Testbed {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed.work_off().await;
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
    testbed
}

/// Queue, callbacks and sweep do their work for so many simulated minutes.
pub(crate) async fn minutes(testbed: &Testbed, minutes: u32) {
    for _ in 0..minutes {
        testbed.work_off().await;
        testbed.advance(Duration::from_secs(60)).await;
        testbed.sweep().await;
        testbed.work_off().await;
    }
}

/// Fen that WeChat Pay gave back of an order.
fn given_back(testbed: &Testbed) -> i64 {
    testbed
        .wechat
        .admin()
        .order("ORDER-1")
        .unwrap()
        .refunded_fen
}

async fn state(testbed: &Testbed, refund_no: &str) -> String {
    let refund = testbed.get_refund("ORDER-1", refund_no).await;
    refund.body["state"].as_str().unwrap_or_default().to_owned()
}

/// An abnormal refund of the whole of `ORDER-1`.
pub(crate) async fn abnormal() -> Testbed {
    let testbed = paid().await;
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Abnormal);
    testbed.refund("ORDER-1", "R1", 100).await;
    minutes(&testbed, 2).await;
    assert_eq!(state(&testbed, "R1").await, "abnormal");
    admin.set_refund_outcome(RefundOutcome::Success);
    testbed
}

pub(crate) const REDIRECT: &str = "/v1/orders/ORDER-1/refunds/R1/abnormal";

/// The refund of 100 fen that WeChat Pay has accepted and not ended.
pub(crate) async fn processing() -> Testbed {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Hold);
    testbed.refund("ORDER-1", "R1", 100).await;
    testbed.work_off().await;
    assert_eq!(state(&testbed, "R1").await, "processing");
    testbed
}

/// In how many seconds a refund is sent to WeChat Pay, by the answer to its client.
fn wait_s(testbed: &Testbed, shown: &ApiAnswer) -> i64 {
    let next = shown.body["next_try_at"].as_str().expect("a time");
    let next = wechatpay::time::parse_rfc3339(next).expect("RFC 3339");
    next.0 - testbed.clock.now().0
}
