//! Platform certificates, and the echo that tries every kind of cryptography at once.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use rsa::{Oaep, PublicKey, pkcs8::DecodePublicKey};
use serde_json::json;
use sha1::Sha1;
use wechatpay_simulator::{Config, SigningMode, Time};
use x509_cert::der::DecodePem;

use crate::support::{Ask, Merchant, NOON_S, at_noon, started};

async fn certificates(merchant: &Merchant) -> Vec<(String, String)> {
    let answer = merchant.ask(&Ask::get("/v3/certificates")).await.json();
    let opened = answer["data"].as_array().unwrap().iter().map(|one| {
        assert_eq!(one["encrypt_certificate"]["associated_data"], "certificate");
        let pem = merchant.unseal(&one["encrypt_certificate"]).unwrap();
        (
            one["serial_no"].as_str().unwrap().to_owned(),
            String::from_utf8(pem).unwrap(),
        )
    });
    opened.collect()
}

#[tokio::test]
async fn the_platform_certificate_opens_with_the_apiv3_key_and_bears_its_serial() {
    let merchant = at_noon();
    let listed = certificates(&merchant).await;
    assert_eq!(listed.len(), 1);
    let (serial, pem) = &listed[0];
    let details = &merchant.simulator.details;
    assert_eq!(
        (serial, pem),
        (
            &details.platform_certificate_serial,
            &details.platform_certificate
        )
    );
    let certificate = x509_cert::Certificate::from_pem(pem).unwrap();
    let bytes = certificate.tbs_certificate().serial_number().as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(&hex, serial);
}

#[tokio::test]
async fn after_a_rotation_the_old_and_the_new_certificate_are_listed() {
    let merchant = at_noon();
    let old = merchant
        .simulator
        .details
        .platform_certificate_serial
        .clone();
    let new = merchant.admin().rotate(SigningMode::Certificate).unwrap();
    let serials: Vec<String> = certificates(&merchant)
        .await
        .into_iter()
        .map(|(serial, _)| serial)
        .collect();
    assert_eq!(serials, [new, old]);
}

#[tokio::test]
async fn a_merchant_of_today_has_no_platform_certificate() {
    let merchant = started(Config {
        platform_certificates: false,
        ..Config::for_tests()
    });
    let answer = merchant.ask(&Ask::get("/v3/certificates")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (404, "RESOURCE_NOT_EXISTS")
    );
}

#[tokio::test]
async fn certificates_expire_after_five_years() {
    let merchant = started(Config {
        time: Time::Manual { start_s: NOON_S },
        ..Config::for_tests()
    });
    merchant.admin().set_time(NOON_S + 1_826 * 86_400).await;
    let answer = merchant.ask(&Ask::get("/v3/certificates")).await;
    assert_eq!(answer.code(), "NOT_ENOUGH");
}

#[tokio::test]
async fn an_echo_comes_back_encrypted_to_the_merchant_in_both_modes() {
    let merchant = at_noon();
    for mode in [SigningMode::PublicKey, SigningMode::Certificate] {
        let (serial, _) = merchant.admin().newest_key(mode).unwrap();
        let pem = match mode {
            SigningMode::PublicKey => merchant.simulator.details.wechatpay_public_key.clone(),
            SigningMode::Certificate => {
                crate::support::public_pem_of(&merchant.simulator.details.platform_certificate)
            }
        };
        let key = PublicKey::from_public_key_pem(&pem).unwrap();
        let sealed = key
            .encrypt(&mut rand::rng(), Oaep::<Sha1>::new(), "悄悄话".as_bytes())
            .unwrap();
        let body =
            json!({"echo_message": "hello", "encrypted_echo_message": BASE64.encode(&sealed)});
        let answer = merchant
            .ask(&Ask::post("/v3/security/echo", &body).with("wechatpay-serial", &serial))
            .await;
        assert!(answer.is_signed(merchant.admin(), mode));
        let back = BASE64
            .decode(answer.json()["encrypted_echo_message"].as_str().unwrap())
            .unwrap();
        assert_ne!(back, sealed);
        #[expect(
            clippy::disallowed_methods,
            reason = "the client's key is made for the test"
        )]
        let opened = merchant
            .private_key()
            .decrypt(Oaep::<Sha1>::new(), &back)
            .unwrap();
        assert_eq!(opened, "悄悄话".as_bytes());
    }
}

#[tokio::test]
async fn an_echo_needs_the_header_and_a_field_that_opens() {
    let merchant = at_noon();
    let serial = &merchant.simulator.details.wechatpay_public_key_id;
    let plain = Ask::post("/v3/security/echo", &json!({"echo_message": "hello"}));
    assert_eq!(merchant.ask(&plain).await.code(), "PARAM_ERROR");
    let wrong = json!({"echo_message": "hello", "encrypted_echo_message": "AAAA"});
    let answer = merchant
        .ask(&Ask::post("/v3/security/echo", &wrong).with("wechatpay-serial", serial))
        .await;
    assert_eq!(
        (
            answer.code().as_str(),
            answer.json()["detail"]["field"].as_str()
        ),
        ("PARAM_ERROR", Some("/encrypted_echo_message"))
    );
}
