//! Callbacks: what counts for the objective, what is refused and why, and how long an answer takes.

use receive_callback::event::GatewayRequest;
use serde_json::{Map, Value, json};
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{Damage, PayOptions, SignedCallback};

use super::{NONE, Values};
use crate::support::{Testbed, native};

/// An order is paid, and its callback can be had in any shape.
async fn paid() -> Testbed {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let admin = testbed.wechat.admin();
    admin.pay("ORDER-1", &PayOptions::default()).unwrap();
    testbed
}

fn callback(testbed: &Testbed, damage: &Damage) -> SignedCallback {
    let admin = testbed.wechat.admin();
    admin.signed_callback("ORDER-1", damage).unwrap()
}

async fn received(testbed: &Testbed, callback: &SignedCallback, status: u16) -> Values {
    Values::of(testbed, async {
        assert_eq!(testbed.receive(callback).await.status, status);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_is_acknowledged_in_time_is_good() {
    let testbed = paid().await;
    let values = received(&testbed, &callback(&testbed, &Damage::None), 204).await;
    assert_eq!(values.all("CallbacksGood"), [1]);
    assert_eq!(values.all("CallbacksAccepted"), [1]);
    assert_eq!(values.all("CallbackAckMs"), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_waited_five_seconds_for_its_answer_is_not_good() {
    let testbed = paid().await;
    let callback = callback(&testbed, &Damage::None);
    let headers: Map<String, Value> = callback
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), json!(value)))
        .collect();
    for (waited_ms, good) in [(4_999, 1), (5_000, 0)] {
        let received_at_ms = testbed.clock.now_ms() - waited_ms;
        let event: GatewayRequest = serde_json::from_value(json!({
            "headers": headers,
            "body": callback.body,
            "requestContext": {"timeEpoch": received_at_ms},
        }))
        .unwrap();
        let values = Values::of(&testbed, testbed.receive_event(event)).await;
        assert_eq!(values.all("CallbacksGood"), [good]);
        assert_eq!(values.all("CallbackAckMs"), [waited_ms]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wechat_pay_signed_and_we_do_not_take_is_missed() {
    let testbed = paid().await;
    for (damage, status, cause) in [
        (Damage::CutCiphertext, 500, "does_not_open"),
        (Damage::ForeignApiv3Key, 500, "does_not_open"),
        // Our APIv3 key opens it: a key of WeChat Pay's is missing or wrong here.
        (Damage::WrongSignature, 401, "wrong_signature"),
        (Damage::UnknownSerial, 401, "unknown_serial"),
    ] {
        let values = received(&testbed, &callback(&testbed, &damage), status).await;
        assert_eq!(values.all("CallbacksGood"), [0], "{damage:?}");
        let refused = values.of_metric("CallbacksRefused", &[("cause", cause)]);
        assert_eq!(refused, [1], "{damage:?}");
        let unverified = values.of_metric("CallbacksUnverified", &[("cause", cause)]);
        assert_eq!(unverified.len(), usize::from(status == 401), "{damage:?}");
    }
    testbed
        .wire
        .break_all(Match::service(Service::Sqs), AwsFault::ServiceFault);
    let values = received(&testbed, &callback(&testbed, &Damage::None), 503).await;
    assert_eq!(values.all("CallbacksGood"), [0]);
    let refused = values.of_metric("CallbacksRefused", &[("cause", "queue_unavailable")]);
    assert_eq!(refused, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_anybody_can_send_is_refused_by_its_cause_and_says_nothing_about_the_objective() {
    let testbed = paid().await;
    let good = callback(&testbed, &Damage::None);
    let mut forged = good.clone();
    forged.body = forged.body.replace("encrypt-resource", "encrypt-resourcf");
    forged.body = forged
        .body
        .replace("\"ciphertext\":\"", "\"ciphertext\":\"AAAA");
    let mut unsigned = good.clone();
    unsigned
        .headers
        .retain(|(name, _)| !name.eq_ignore_ascii_case("wechatpay-signature"));
    let mut huge = good;
    huge.body = "x".repeat(64 * 1024 + 1);
    for (callback, status, cause) in [
        (forged, 401, "wrong_signature"),
        (unsigned, 400, "missing_header"),
        (huge, 413, "too_large"),
        (callback(&testbed, &Damage::Stale(301)), 401, "stale"),
    ] {
        let values = received(&testbed, &callback, status).await;
        assert_eq!(values.all("CallbacksGood"), NONE, "{cause}");
        assert_eq!(values.all("CallbacksRefused"), [1], "{cause}");
        let refused = values.of_metric("CallbacksRefused", &[("cause", cause)]);
        assert_eq!(refused, [1], "{cause}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_is_counted_apart() {
    let testbed = paid().await;
    let values = received(&testbed, &callback(&testbed, &Damage::Probe), 401).await;
    assert_eq!(values.all("CallbackProbes"), [1]);
    for other in ["CallbacksGood", "CallbacksRefused", "CallbacksAccepted"] {
        assert_eq!(values.all(other), NONE, "{other}");
    }
}
