//! Callbacks: their form, their ladder, and damaged ones.

use std::time::Duration;

use serde_json::json;
use wechatpay_simulator::{
    CallbackStatus, Config, Damage, ECHO_LADDER_S, PAYMENT_LADDER_S, PayOptions, SigningMode, Time,
};

use crate::support::{Ask, Merchant, NOON_S, Received, Receiver, at_noon, started};

async fn paid(merchant: &Merchant, receiver: &Receiver, number: &str) {
    let mut order = merchant.order(number, 100);
    order["notify_url"] = json!(receiver.url);
    merchant.native(&order).await;
    merchant
        .admin()
        .pay(number, &PayOptions::default())
        .unwrap();
}

#[tokio::test]
async fn a_payment_is_announced_by_a_signed_and_sealed_callback() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    paid(&merchant, &receiver, "ORDER-1001").await;
    assert!(
        receiver.received().is_empty(),
        "a manual clock delivers only when it is moved"
    );
    merchant.admin().advance(Duration::ZERO).await;

    let received = receiver.received();
    assert_eq!(received.len(), 1);
    let opened = merchant.open(&received[0], SigningMode::PublicKey);
    let envelope = &opened["envelope"];
    assert_eq!(envelope["event_type"], "TRANSACTION.SUCCESS");
    assert_eq!(envelope["resource_type"], "encrypt-resource");
    assert_eq!(envelope["create_time"], "2026-08-03T12:00:00+08:00");
    assert_eq!(envelope["resource"]["original_type"], "transaction");
    let query = merchant.ask(&merchant.query("ORDER-1001")).await.json();
    assert_eq!(
        opened["plain"], query,
        "the plaintext is what a query answers"
    );
    assert_eq!(
        merchant.admin().callbacks()[0].status,
        CallbackStatus::Delivered
    );
    assert!(received[0].headers.contains_key("request-id"));
}

#[tokio::test]
async fn a_failed_callback_is_repeated_by_the_official_ladder_and_then_given_up() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    receiver.will_answer(&[500; 16]);
    paid(&merchant, &receiver, "ORDER-1001").await;
    merchant
        .admin()
        .advance(Duration::from_secs(24 * 3600 + 4 * 60))
        .await;

    let callback = merchant.admin().callbacks().remove(0);
    let moments: Vec<i64> = callback
        .tries
        .iter()
        .map(|one| one.at_ms / 1000 - NOON_S)
        .collect();
    let mut expected = vec![0];
    for wait_s in PAYMENT_LADDER_S {
        expected.push(expected.last().unwrap() + wait_s);
    }
    assert_eq!(moments, expected);
    assert_eq!(callback.status, CallbackStatus::GivenUp);
    assert_eq!(receiver.received().len(), 16);

    let ids = |received: &Received| {
        serde_json::from_slice::<serde_json::Value>(&received.body).unwrap()["id"].clone()
    };
    let (first, last) = (&receiver.received()[0], &receiver.received()[15]);
    assert_eq!(ids(first), ids(last), "one notification, one id");
    assert_ne!(
        first.headers["wechatpay-timestamp"],
        last.headers["wechatpay-timestamp"]
    );
    assert_ne!(
        first.headers["wechatpay-signature"],
        last.headers["wechatpay-signature"]
    );
}

#[tokio::test]
async fn only_200_and_204_end_the_repeats_and_a_cut_connection_does_not() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    receiver.will_answer(&[202, 302, 404, 0, 200]);
    paid(&merchant, &receiver, "ORDER-1001").await;
    merchant.admin().advance(Duration::from_secs(3600)).await;
    let callback = merchant.admin().callbacks().remove(0);
    let statuses: Vec<Option<u16>> = callback.tries.iter().map(|one| one.status).collect();
    assert_eq!(statuses, [Some(202), Some(302), Some(404), None, Some(200)]);
    assert_eq!(callback.status, CallbackStatus::Delivered);
}

#[tokio::test]
async fn on_the_system_clock_callbacks_go_out_by_themselves_and_speed_shortens_the_ladder() {
    let receiver = Receiver::start().await;
    let merchant = started(Config {
        time: Time::System { speed: 100 },
        ..Config::for_tests()
    });
    receiver.will_answer(&[500, 500]);
    paid(&merchant, &receiver, "ORDER-1001").await;
    let received = receiver.wait_for(3).await;
    assert_eq!(received.len(), 3);
    merchant.open(&received[2], SigningMode::PublicKey);
}

#[tokio::test]
async fn in_certificate_mode_the_platform_certificate_signs_callbacks() {
    let receiver = Receiver::start().await;
    let merchant = started(Config {
        signing_mode: SigningMode::Certificate,
        time: Time::Manual { start_s: NOON_S },
        ..Config::for_tests()
    });
    paid(&merchant, &receiver, "ORDER-1001").await;
    merchant.admin().advance(Duration::ZERO).await;
    merchant.open(&receiver.received()[0], SigningMode::Certificate);
}

#[tokio::test]
async fn a_callback_can_be_sent_again_by_hand() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    paid(&merchant, &receiver, "ORDER-1001").await;
    let id = merchant.admin().callbacks()[0].id.clone();
    assert_eq!(
        merchant.admin().redeliver(&id).await.unwrap().status,
        Some(204)
    );
    assert_eq!(
        merchant.admin().redeliver(&id).await.unwrap().status,
        Some(204)
    );
    assert!(merchant.admin().redeliver("nothing").await.is_none());
    merchant.admin().advance(Duration::from_secs(60)).await;
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn a_callback_can_be_altered_while_the_books_keep_the_truth() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    let mut order = merchant.order("ORDER-1001", 100);
    order["notify_url"] = json!(receiver.url);
    merchant.native(&order).await;
    let options = PayOptions {
        alter: Some(json!({"amount": {"total": 1}, "attach": null})),
        ..PayOptions::default()
    };
    merchant.admin().pay("ORDER-1001", &options).unwrap();
    merchant.admin().advance(Duration::ZERO).await;
    let plain = merchant.open(&receiver.received()[0], SigningMode::PublicKey)["plain"].clone();
    assert_eq!(
        (&plain["amount"]["total"], &plain["amount"]["payer_total"]),
        (&json!(1), &json!(100))
    );
    assert_eq!(plain.get("attach"), None);
    assert_eq!(
        merchant.ask(&merchant.query("ORDER-1001")).await.json()["amount"]["total"],
        100
    );
}

#[tokio::test]
async fn each_kind_of_damage_breaks_exactly_what_it_says() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    paid(&merchant, &receiver, "ORDER-1001").await;
    let signed = |damage: &Damage| {
        let callback = merchant
            .admin()
            .signed_callback("ORDER-1001", damage)
            .unwrap();
        let mut headers = http::HeaderMap::new();
        for (name, value) in &callback.headers {
            headers.insert(
                name.parse::<http::HeaderName>().unwrap(),
                value.parse().unwrap(),
            );
        }
        Received {
            headers,
            body: callback.body.into_bytes(),
        }
    };
    let (serial, pem) = merchant.admin().newest_key(SigningMode::PublicKey).unwrap();
    for (damage, right_signature, right_serial, age_s, opens) in [
        (Damage::None, true, true, 0, true),
        (Damage::WrongSignature, false, true, 0, true),
        (Damage::Stale(301), true, true, 301, true),
        (Damage::Stale(-301), true, true, -301, true),
        (Damage::UnknownSerial, true, false, 0, true),
        (Damage::Probe, false, true, 0, true),
        (Damage::CutCiphertext, true, true, 0, false),
        (Damage::ForeignApiv3Key, true, true, 0, false),
    ] {
        let callback = signed(&damage);
        let header = |name: &str| callback.headers[name].to_str().unwrap();
        let text = crate::support::signed_text(&callback.headers, &callback.body);
        let verified = crate::support::verifies(&pem, &text, header("wechatpay-signature"));
        assert_eq!(verified, right_signature, "{damage:?}");
        assert_eq!(
            header("wechatpay-serial") == serial,
            right_serial,
            "{damage:?}"
        );
        assert_eq!(
            NOON_S - header("wechatpay-timestamp").parse::<i64>().unwrap(),
            age_s,
            "{damage:?}"
        );
        let envelope: serde_json::Value = serde_json::from_slice(&callback.body).unwrap();
        assert_eq!(
            merchant.unseal(&envelope["resource"]).is_some(),
            opens,
            "{damage:?}"
        );
        let is_probe = header("wechatpay-signature").starts_with("WECHATPAY/SIGNTEST/");
        assert_eq!(is_probe, damage == Damage::Probe);
    }
    let altered = Damage::Altered(json!({"transaction_id": "4200000000202608030000000001"}));
    let opened = merchant.open(&signed(&altered), SigningMode::PublicKey);
    assert_eq!(
        opened["plain"]["transaction_id"],
        "4200000000202608030000000001"
    );
    assert!(receiver.received().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn an_echo_is_repeated_by_its_own_ladder() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    receiver.will_answer(&[500; 10]);
    let ask = Ask::post(
        "/v3/security/echo",
        &json!({"echo_message": "hello", "notify_url": receiver.url}),
    )
    .with(
        "wechatpay-serial",
        &merchant.simulator.details.wechatpay_public_key_id,
    );
    assert_eq!(
        merchant.ask(&ask).await.json(),
        json!({"echo_message": "hello"})
    );
    merchant.admin().advance(Duration::from_secs(86_400)).await;
    assert_eq!(receiver.received().len(), 1 + ECHO_LADDER_S.len());
    let opened = merchant.open(&receiver.received()[0], SigningMode::PublicKey);
    assert_eq!(opened["envelope"]["event_type"], "SECURITY_ECHO.SUCCESS");
    assert_eq!(opened["envelope"]["resource"]["original_type"], "security");
    assert_eq!(opened["plain"], json!({"echo_message": "hello"}));
}

#[tokio::test]
async fn a_callback_over_https_is_refused_with_what_to_do() {
    let merchant = at_noon();
    let mut order = merchant.order("ORDER-1001", 100);
    order["notify_url"] = json!("https://pay.example.com/callbacks");
    merchant.native(&order).await;
    merchant
        .admin()
        .pay("ORDER-1001", &PayOptions::default())
        .unwrap();
    merchant.admin().advance(Duration::ZERO).await;
    let failure = merchant.admin().callbacks()[0].tries[0]
        .failure
        .clone()
        .unwrap();
    assert!(failure.contains("plain http only"), "{failure}");
}
