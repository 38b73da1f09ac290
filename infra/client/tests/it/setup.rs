//! The set-up commands, run as programs.

use std::path::Path;

use adapters::clock::Clock;
use adapters::keys_table::SignWith;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use client::{Call, Client};
use message_signatures::{Algorithm, Profile, claim, verify};
use wechatpay::sign::Signer;

use crate::cloud::{Cloud, told};
use crate::server::pem;

const APIV3_KEY: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn a_client_that_was_set_up_signs_what_the_functions_accept_until_it_is_revoked() {
    let cloud = Cloud::start("hmac").await;
    let settings = cloud.path("shop.json");
    let register = [
        "client",
        "--keyid",
        "shop-1",
        "--client-id",
        "shop",
        "--api-url",
        "https://api.example.com",
        "--settings",
        &settings,
    ];
    let output = cloud.setup(&register);
    assert!(output.status.success(), "{}", told(&output));

    let call = Call::get_order("tea-0001");
    let signed = Client::load(Path::new(&settings))
        .unwrap()
        .sign(&call, Clock::system().now(), "n")
        .unwrap();
    let key = cloud.keys().client_key("shop-1").await.unwrap().unwrap();
    assert_eq!(
        (key.client_id.as_str(), key.key.algorithm()),
        ("shop", Algorithm::HmacSha256)
    );
    let headers: Vec<(&str, &[u8])> = signed
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let request = message_signatures::Request {
        method: "GET",
        scheme: "https",
        authority: "api.example.com",
        path: "/v1/orders/tea-0001",
        query: None,
        headers: &headers,
        body: b"",
    };
    let profile = Profile::MERCHANT_API;
    let claim = claim(&request, &profile).unwrap();
    assert_eq!(
        verify(
            &request,
            &claim,
            &key.key,
            Clock::system().now().0,
            &profile
        ),
        Ok(())
    );

    let secret = std::fs::read_to_string(&settings).unwrap();
    let again = cloud.setup(&register);
    assert!(
        !again.status.success() && told(&again).contains("move it away"),
        "{}",
        told(&again)
    );
    assert_eq!(
        std::fs::read_to_string(&settings).unwrap(),
        secret,
        "the secret in use is not lost"
    );

    assert!(
        cloud
            .setup(&["revoke", "--keyid", "shop-1"])
            .status
            .success()
    );
    assert!(cloud.keys().client_key("shop-1").await.unwrap().is_none());
    assert!(
        !cloud
            .setup(&["revoke", "--keyid", "nobody"])
            .status
            .success()
    );
}

#[tokio::test]
async fn a_public_key_is_registered_only_for_its_own_algorithm() {
    let cloud = Cloud::start("public").await;
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----\n";
    let file = cloud.write("key.pem", pem);
    let register = |algorithm: &str| {
        let options = [
            "--keyid",
            "app-1",
            "--client-id",
            "app",
            "--algorithm",
            algorithm,
            "--public-key-file",
            &file,
        ];
        cloud.setup(&[&["client"], &options[..]].concat())
    };
    let wrong = register("rsa-v1_5-sha256");
    assert!(
        !wrong.status.success() && told(&wrong).contains("cannot be used for rsa-v1_5-sha256"),
        "{}",
        told(&wrong)
    );
    assert_eq!(register("rsa").status.code(), Some(2));
    assert!(cloud.keys().client_key("app-1").await.unwrap().is_none());
    assert!(register("ed25519").status.success());
    let key = cloud.keys().client_key("app-1").await.unwrap().unwrap();
    assert_eq!(key.key.algorithm(), Algorithm::Ed25519);
}

#[tokio::test]
async fn a_merchant_that_was_set_up_can_sign_and_open_what_wechat_pay_sends() {
    let cloud = Cloud::start("merchant").await;
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let private = pem(
        "PRIVATE KEY",
        AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap().as_ref(),
    );
    let public = pem(
        "PUBLIC KEY",
        AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key())
            .unwrap()
            .as_ref(),
    );
    let (merchant_key, platform_key) = (
        cloud.write("apiclient_key.pem", &private),
        // As an editor of Windows leaves it.
        cloud.write(
            "pub_key.pem",
            &format!("\u{feff}{}", public.replace('\n', " \r\n")),
        ),
    );
    let (apiv3, previous) = (
        cloud.write("apiv3", &format!("\u{feff}{APIV3_KEY} \r\n")),
        cloud.write("old", &"o".repeat(32)),
    );
    let platform = format!("PUB_KEY_ID_01={platform_key}");
    let merchant = [
        "merchant",
        "--merchant-serial",
        "5157F09EFDC096DE15EBE81A47057A72",
        "--apiv3-key-file",
        &apiv3,
    ];
    let keys = [
        "--merchant-key-file",
        &merchant_key,
        "--wechatpay-public-key",
        &platform,
    ];
    let rotation = [
        "--apiv3-key-version",
        "2",
        "--previous-apiv3-key-file",
        &previous,
    ];

    for (arguments, reason) in [
        (merchant.to_vec(), "no key of WeChat Pay's"),
        (
            [&merchant[..], &keys, &rotation[2..]].concat(),
            "counts from 1",
        ),
        (
            [&merchant[..], &["--platform-certificate", &platform_key]].concat(),
            "this is a public key, not a certificate",
        ),
        (
            [
                &merchant[..],
                &["--merchant-key-file", &platform_key],
                &keys[2..],
            ]
            .concat(),
            "this is a public key, not a private key",
        ),
        (
            [&merchant[..3], &["--apiv3-key-file", &platform_key], &keys].concat(),
            "an APIv3 key",
        ),
    ] {
        let output = cloud.setup(&arguments);
        assert!(
            !output.status.success() && told(&output).contains(reason),
            "{reason}: {}",
            told(&output)
        );
    }
    let output = cloud.setup(&[&merchant[..], &keys, &rotation].concat());
    assert!(output.status.success(), "{}", told(&output));

    let read = cloud.keys().merchant().await.unwrap();
    assert_eq!(read.response_serial, "PUB_KEY_ID_01");
    assert_eq!(read.signer_serial, "5157F09EFDC096DE15EBE81A47057A72");
    assert_eq!(read.apiv3().await.unwrap().len(), 2);
    let signer = read.signer(&SignWith::Sealed).await.unwrap();
    assert_eq!(signer.sign(b"text").await.unwrap().len(), 256);
}
