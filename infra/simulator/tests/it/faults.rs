//! Faults: each one does what it says, where it says, as often as it says.

use std::time::{Duration, Instant};

use serde_json::json;
use wechatpay_simulator::{CallbackStatus, Config, Endpoint, Fault, PayOptions, Rule, SigningMode};

use crate::support::{Ask, Merchant, Receiver, at_noon, started};

fn native(merchant: &Merchant, number: &str) -> Ask {
    Ask::post("/v3/pay/transactions/native", &merchant.order(number, 100))
}

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
async fn a_probed_answer_is_not_base64_and_its_repeat_is_signed() {
    let merchant = at_noon();
    merchant
        .admin()
        .add_fault(Rule::always(Fault::ProbeResponse))
        .unwrap();
    let ask = native(&merchant, "ORDER-1001");
    let answer = merchant.ask(&ask).await;
    assert_eq!(answer.status, 200);
    let signature = answer.header("wechatpay-signature");
    assert!(
        signature.starts_with("WECHATPAY/SIGNTEST/") && signature.len() == 344,
        "{signature}"
    );
    assert_eq!(merchant.admin().orders().len(), 1, "the operation was done");
    assert!(
        merchant
            .ask(&ask)
            .await
            .is_signed(merchant.admin(), SigningMode::PublicKey)
    );
}

#[tokio::test]
async fn refusals_before_the_operation_do_nothing_and_those_after_it_do() {
    let merchant = at_noon();
    for (fault, status, code, done) in [
        (
            Fault::Refuse {
                status: 403,
                code: "NO_AUTH".to_owned(),
            },
            403,
            "NO_AUTH",
            false,
        ),
        (Fault::TooManyRequests, 429, "FREQUENCY_LIMITED", false),
        (
            Fault::ServerErrorBefore { status: 500 },
            500,
            "SYSTEM_ERROR",
            false,
        ),
        (
            Fault::ServerErrorBefore { status: 503 },
            503,
            "SERVICE_UNAVAILABLE",
            false,
        ),
        (
            Fault::ServerErrorAfter { status: 502 },
            502,
            "SERVICE_UNAVAILABLE",
            true,
        ),
    ] {
        merchant
            .admin()
            .add_fault(Rule::times(fault.clone(), 1).at(Endpoint::PrepayNative))
            .unwrap();
        let number = format!("ORDER-{status}-{done}");
        let answer = merchant.ask(&native(&merchant, &number)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{fault:?}"
        );
        assert_eq!(merchant.admin().order(&number).is_ok(), done, "{fault:?}");
        assert_eq!(
            merchant.ask(&native(&merchant, &number)).await.status,
            200,
            "struck only once"
        );
    }
}

#[tokio::test]
async fn a_reset_connection_has_or_has_not_done_its_work() {
    let merchant = at_noon();
    for (fault, done) in [(Fault::ResetBefore, false), (Fault::ResetAfter, true)] {
        merchant
            .admin()
            .add_fault(Rule::times(fault.clone(), 1))
            .unwrap();
        let number = format!("ORDER-{done}");
        assert!(
            merchant.try_ask(&native(&merchant, &number)).await.is_err(),
            "{fault:?}"
        );
        assert_eq!(merchant.admin().order(&number).is_ok(), done, "{fault:?}");
    }
}

#[tokio::test]
async fn a_time_out_after_the_operation_leaves_the_order_behind() {
    let merchant = at_noon();
    merchant
        .admin()
        .add_fault(Rule::times(
            Fault::TimeOutAfterOperation { hold_ms: 30_000 },
            1,
        ))
        .unwrap();
    let ask = native(&merchant, "ORDER-1001");
    let answer = tokio::time::timeout(Duration::from_millis(300), merchant.try_ask(&ask)).await;
    assert!(answer.is_err(), "no answer within the client's patience");
    assert_eq!(merchant.state("ORDER-1001").await, "NOTPAY");

    merchant
        .admin()
        .add_fault(Rule::times(Fault::TimeOutAfterOperation { hold_ms: 50 }, 1))
        .unwrap();
    assert!(
        merchant.try_ask(&ask).await.is_err(),
        "in the end the connection is cut"
    );
    assert_eq!(
        merchant.ask(&ask).await.status,
        200,
        "the repeat ends in the same order"
    );
    assert_eq!(merchant.admin().orders().len(), 1);
}

#[tokio::test]
async fn a_slow_answer_comes_late_but_right() {
    let merchant = at_noon();
    merchant
        .admin()
        .add_fault(Rule::times(Fault::SlowAnswer { delay_ms: 300 }, 1))
        .unwrap();
    let started = Instant::now();
    let answer = merchant.ask(&native(&merchant, "ORDER-1001")).await;
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert!(answer.is_signed(merchant.admin(), SigningMode::PublicKey));
}

#[tokio::test]
async fn a_stale_connection_answers_once_and_closes_on_the_next_request() {
    let merchant = at_noon();
    merchant
        .admin()
        .add_fault(Rule::times(Fault::StaleKeepAlive, 1))
        .unwrap();
    let mut connection = merchant.connect().await;
    assert_eq!(
        connection
            .ask(&merchant, &native(&merchant, "ORDER-1001"))
            .await
            .unwrap()
            .status,
        200
    );
    assert!(!connection.is_closed(), "the client cannot see it");
    assert!(
        connection
            .ask(&merchant, &native(&merchant, "ORDER-1002"))
            .await
            .is_err()
    );
    assert!(
        merchant.admin().order("ORDER-1002").is_err(),
        "the second request was not read"
    );
    assert_eq!(
        merchant.ask(&native(&merchant, "ORDER-1002")).await.status,
        200
    );
}

#[tokio::test]
async fn keys_rotate_in_the_middle_of_a_request() {
    let merchant = at_noon();
    for (fault, mode) in [
        (Fault::RotatePublicKey, SigningMode::PublicKey),
        (Fault::RotateCertificate, SigningMode::Certificate),
    ] {
        let (old, _) = merchant.admin().newest_key(mode).unwrap();
        merchant.admin().add_fault(Rule::times(fault, 1)).unwrap();
        let ask = native(&merchant, "ORDER-1001").with("wechatpay-serial", &old);
        let answer = merchant.ask(&ask).await;
        assert_ne!(answer.header("wechatpay-serial"), old);
        assert!(answer.is_signed(merchant.admin(), mode));
    }
}

#[tokio::test]
async fn a_payment_just_before_the_close_wins_and_one_just_after_it_is_money_all_the_same() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    for (number, fault, status) in [
        ("ORDER-before", Fault::PayBeforeClose, 403),
        ("ORDER-after", Fault::PayAfterClose, 204),
    ] {
        let mut order = merchant.order(number, 100);
        order["notify_url"] = json!(receiver.url);
        merchant.native(&order).await;
        merchant.admin().add_fault(Rule::times(fault, 1)).unwrap();
        assert_eq!(merchant.ask(&merchant.close(number)).await.status, status);
        assert_eq!(merchant.state(number).await, "SUCCESS");
    }
    merchant.admin().advance(Duration::ZERO).await;
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn a_probed_callback_comes_again_with_a_right_signature() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    merchant
        .admin()
        .add_fault(Rule::times(Fault::ProbeCallback, 1))
        .unwrap();
    receiver.will_answer(&[401]);
    paid(&merchant, &receiver, "ORDER-1001").await;
    merchant.admin().advance(Duration::from_secs(15)).await;
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert!(
        received[0].headers["wechatpay-signature"]
            .to_str()
            .unwrap()
            .starts_with("WECHATPAY/SIGNTEST/")
    );
    merchant.open(&received[1], SigningMode::PublicKey);
}

#[tokio::test]
async fn a_lost_callback_never_comes_and_the_order_is_paid() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    merchant
        .admin()
        .add_fault(Rule::times(Fault::LostCallback, 1))
        .unwrap();
    paid(&merchant, &receiver, "ORDER-1001").await;
    merchant
        .admin()
        .advance(Duration::from_secs(2 * 86_400))
        .await;
    assert!(receiver.received().is_empty());
    assert_eq!(merchant.admin().callbacks()[0].status, CallbackStatus::Lost);
    assert_eq!(merchant.state("ORDER-1001").await, "SUCCESS");
}

#[tokio::test]
async fn a_duplicated_callback_comes_several_times_each_signed_again() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    merchant
        .admin()
        .add_fault(Rule::times(Fault::DuplicateCallback { copies: 3 }, 1))
        .unwrap();
    paid(&merchant, &receiver, "ORDER-1001").await;
    merchant.admin().advance(Duration::from_secs(60)).await;
    let received = receiver.received();
    assert_eq!(received.len(), 4);
    let mut nonces: Vec<String> = Vec::new();
    for callback in &received {
        merchant.open(callback, SigningMode::PublicKey);
        nonces.push(
            callback.headers["wechatpay-nonce"]
                .to_str()
                .unwrap()
                .to_owned(),
        );
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 4);
}

#[tokio::test]
async fn callbacks_out_of_order_overtake_each_other() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    merchant
        .admin()
        .add_fault(Rule::times(Fault::OutOfOrderCallback, 1))
        .unwrap();
    paid(&merchant, &receiver, "ORDER-first").await;
    merchant.admin().advance(Duration::from_secs(1)).await;
    assert!(receiver.received().is_empty(), "held back");
    paid(&merchant, &receiver, "ORDER-second").await;
    merchant.admin().advance(Duration::from_secs(1)).await;
    let numbers: Vec<String> = receiver
        .received()
        .iter()
        .map(|callback| {
            merchant.open(callback, SigningMode::PublicKey)["plain"]["out_trade_no"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(numbers, ["ORDER-second", "ORDER-first"]);
}

#[tokio::test]
async fn a_slow_callback_starts_late() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    merchant
        .admin()
        .add_fault(Rule::times(Fault::SlowCallback { delay_ms: 20_000 }, 1))
        .unwrap();
    paid(&merchant, &receiver, "ORDER-1001").await;
    merchant.admin().advance(Duration::from_secs(19)).await;
    assert!(receiver.received().is_empty());
    merchant.admin().advance(Duration::from_secs(1)).await;
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn the_same_seed_strikes_the_same_requests() {
    let mut runs = Vec::new();
    for seed in [5, 5, 6] {
        let merchant = started(Config {
            seed: Some(seed),
            ..Config::for_tests()
        });
        merchant
            .admin()
            .add_fault(Rule::always(Fault::TooManyRequests).with_probability(0.5))
            .unwrap();
        let mut statuses = Vec::new();
        for _ in 0..24 {
            statuses.push(merchant.ask(&merchant.query("ORDER-1001")).await.status);
        }
        runs.push(statuses);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}
