//! Signatures and headers of requests and of their answers.

use std::time::Duration;

use serde_json::json;
use wechatpay_simulator::{Endpoint, SigningMode};

use crate::support::{Ask, NOON_S, at_noon};

#[tokio::test]
async fn a_rightly_signed_request_gets_a_rightly_signed_answer() {
    let merchant = at_noon();
    let ask = Ask::post(
        "/v3/pay/transactions/native",
        &merchant.order("ORDER-1001", 100),
    );
    let answer = merchant.ask(&ask).await;
    assert_eq!(answer.status, 200);
    assert!(answer.is_signed(merchant.admin(), SigningMode::PublicKey));
    assert_eq!(answer.header("wechatpay-timestamp"), NOON_S.to_string());
    assert_eq!(
        answer.header("wechatpay-signature-type"),
        "WECHATPAY2-SHA256-RSA2048"
    );
    assert_eq!(answer.header("keep-alive"), "timeout=8");
    assert!(
        answer.header("request-id").ends_with("-0"),
        "{}",
        answer.header("request-id")
    );
}

#[tokio::test]
async fn a_204_is_signed_over_its_empty_body() {
    let merchant = at_noon();
    merchant.native(&merchant.order("ORDER-1001", 100)).await;
    let answer = merchant.ask(&merchant.close("ORDER-1001")).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert!(answer.is_signed(merchant.admin(), SigningMode::PublicKey));
}

#[tokio::test]
async fn every_wrong_authorization_is_401_sign_error_and_does_nothing() {
    let merchant = at_noon();
    let ask = Ask::post(
        "/v3/pay/transactions/native",
        &merchant.order("ORDER-1001", 100),
    );
    let right = merchant.authorization(&ask, NOON_S);
    let details = &merchant.simulator.details;
    for (name, authorization) in [
        ("absent", String::new()),
        ("another scheme", right.replace("RSA2048", "RSA4096")),
        ("no nonce", right.replace("nonce_str", "nonce")),
        ("no signature", right.replace("signature=", "sig=")),
        (
            "another merchant",
            right.replace(&details.mchid, "1900000001"),
        ),
        (
            "another serial",
            right.replace(
                &details.merchant_serial,
                &details.platform_certificate_serial,
            ),
        ),
        ("301 s old", merchant.authorization(&ask, NOON_S - 301)),
        ("301 s ahead", merchant.authorization(&ask, NOON_S + 301)),
        ("no time", right.replace("timestamp=\"", "timestamp=\"x")),
        (
            "time changed after signing",
            right.replace(&NOON_S.to_string(), &(NOON_S + 1).to_string()),
        ),
        (
            "another body",
            merchant.authorization(&Ask::post_text(&ask.path, "{}"), NOON_S),
        ),
        (
            "another path",
            merchant.authorization(
                &Ask::post_text("/v3/pay/transactions/app", &ask.body),
                NOON_S,
            ),
        ),
        ("not Base64", right.replace("signature=\"", "signature=\"*")),
    ] {
        let answer = merchant
            .ask(&ask.clone().with("authorization", &authorization))
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "SIGN_ERROR"),
            "{name}"
        );
        assert!(
            answer.header("wechatpay-signature").is_empty(),
            "{name}: an error is not signed"
        );
    }
    assert_eq!(merchant.admin().orders().len(), 0);
    assert_eq!(merchant.admin().requests()[&Endpoint::PrepayNative], 13);

    for timestamp in [NOON_S - 300, NOON_S + 300] {
        let authorization = merchant.authorization(&ask, timestamp);
        assert_eq!(
            merchant
                .ask(&ask.clone().with("authorization", &authorization))
                .await
                .status,
            200
        );
    }
}

#[tokio::test]
async fn a_wrong_signature_is_shown_the_text_that_was_expected() {
    let merchant = at_noon();
    let ask = merchant.query("ORDER-1001");
    let authorization = merchant.authorization(&Ask::get("/v3/certificates"), NOON_S);
    let answer = merchant
        .ask(&ask.clone().with("authorization", &authorization))
        .await;
    let detail = &answer.json()["detail"];
    assert_eq!(detail["location"], "authorization");
    assert_eq!(detail["sign_information"]["url"], ask.path.as_str());
    let shown = detail["sign_information"]["truncated_sign_message"]
        .as_str()
        .unwrap();
    assert!(
        shown.starts_with(&format!("GET\n{}\n", ask.path)),
        "{shown}"
    );
}

#[tokio::test]
async fn headers_that_wechat_pay_insists_on_must_be_there() {
    let merchant = at_noon();
    let ask = Ask::post(
        "/v3/pay/transactions/native",
        &merchant.order("ORDER-1001", 100),
    );
    for (header, value) in [
        ("user-agent", ""),
        ("accept", ""),
        ("content-type", "text/plain"),
        ("content-type", ""),
    ] {
        let answer = merchant.ask(&ask.clone().with(header, value)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "PARAM_ERROR"),
            "{header}: {value:?}"
        );
    }
    let answer = merchant
        .ask(&ask.clone().with("wechatpay-serial", "PUB_KEY_ID_00"))
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "PARAM_ERROR")
    );
    assert_eq!(merchant.ask(&ask.with("accept", "*/*")).await.status, 200);
}

#[tokio::test]
async fn the_request_chooses_the_key_that_signs_its_answer() {
    let merchant = at_noon();
    merchant.native(&merchant.order("ORDER-1001", 100)).await;
    for mode in [SigningMode::PublicKey, SigningMode::Certificate] {
        let (serial, _) = merchant.admin().newest_key(mode).unwrap();
        let ask = merchant
            .query("ORDER-1001")
            .with("wechatpay-serial", &serial);
        assert!(
            merchant.ask(&ask).await.is_signed(merchant.admin(), mode),
            "{mode:?}"
        );
    }
}

#[tokio::test]
async fn after_a_rotation_the_new_key_signs_also_for_those_who_name_the_old_one() {
    let merchant = at_noon();
    merchant.native(&merchant.order("ORDER-1001", 100)).await;
    for mode in [SigningMode::PublicKey, SigningMode::Certificate] {
        let (old, _) = merchant.admin().newest_key(mode).unwrap();
        let new = merchant.admin().rotate(mode).unwrap();
        let answer = merchant
            .ask(&merchant.query("ORDER-1001").with("wechatpay-serial", &old))
            .await;
        assert_eq!(answer.header("wechatpay-serial"), new);
        assert!(answer.is_signed(merchant.admin(), mode));
    }
}

#[tokio::test]
async fn messages_are_in_the_language_that_was_asked_for() {
    let merchant = at_noon();
    let ask = merchant.query("ORDER-1001");
    assert_eq!(merchant.ask(&ask).await.json()["message"], "订单不存在");
    let english = merchant.ask(&ask.with("accept-language", "en")).await;
    assert_eq!(
        english.json(),
        json!({"code": "ORDER_NOT_EXIST", "message": "The order does not exist"})
    );
    assert!(english.header("request-id").ends_with("-268512771"));
}

#[tokio::test]
async fn a_path_that_does_not_exist_is_404_and_counted_as_unknown() {
    let merchant = at_noon();
    let answer = merchant.ask(&Ask::get("/v3/pay/transactions/barter")).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "NOT_FOUND"));
    assert_eq!(merchant.admin().requests()[&Endpoint::Unknown], 1);
    merchant.admin().reset_requests();
    assert!(merchant.admin().requests().is_empty());
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_eight_seconds() {
    let merchant = at_noon();
    let mut connection = merchant.connect().await;
    let ask = merchant.query("ORDER-1001");
    assert_eq!(connection.ask(&merchant, &ask).await.unwrap().status, 404);
    tokio::time::sleep(Duration::from_millis(6_500)).await;
    assert!(!connection.is_closed());
    assert_eq!(connection.ask(&merchant, &ask).await.unwrap().status, 404);
    tokio::time::sleep(Duration::from_millis(9_000)).await;
    assert!(connection.is_closed());
}
