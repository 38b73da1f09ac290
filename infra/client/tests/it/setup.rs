//! The set-up commands, run as programs.

use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use client::{Call, Client};
use message_signatures::{Algorithm, Profile, claim, verify};
use runtime::clock::Clock;
use runtime::signer::SignWith;
use wechatpay::sign::Signer;

use crate::cloud::{Cloud, printed};
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
    assert!(output.status.success(), "{}", printed(&output));

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
    // A key of another client cannot be taken over by its id either.
    let elsewhere = cloud.path("thief.json");
    let thief = [
        &register[..3],
        &["--client-id", "thief"],
        &register[5..8],
        &[&elsewhere],
    ];
    let taken = cloud.setup_by_variables(&thief.concat());
    assert!(
        !taken.status.success() && printed(&taken).contains("shop-1 is there already"),
        "{}",
        printed(&taken)
    );
    assert!(
        !Path::new(&elsewhere).exists(),
        "its secret is worth nothing"
    );
    let key = cloud.keys().client_key("shop-1").await.unwrap().unwrap();
    assert_eq!(key.client_id, "shop");

    let again = cloud.setup(&register);
    assert!(
        !again.status.success() && printed(&again).contains("move it away"),
        "{}",
        printed(&again)
    );
    assert_eq!(
        std::fs::read_to_string(&settings).unwrap(),
        secret,
        "the secret in use is not lost"
    );

    // A limit of its own, and as all others have it.
    let limit = ["limit", "--keyid", "shop-1"];
    well(&cloud, &[&limit[..], &["--requests-per-s", "250"]].concat());
    assert_eq!(shown(&cloud)["clients"][0]["requests_per_s"], 250);
    let key = cloud.keys().client_key("shop-1").await.unwrap().unwrap();
    assert_eq!(key.requests_per_s, Some(250));
    for (arguments, reason) in [
        (&["--requests-per-s", "0"][..], "is 1 to 10000"),
        (&["--requests-per-s", "10001"], "is 1 to 10000"),
        (&[], "--requests-per-s N, --as-the-others, --order-max-fen"),
        (
            &["--requests-per-s", "5", "--as-the-others"],
            "--requests-per-s or --as-the-others, not both",
        ),
        (&["--refund-max-fen", "0"], "a whole number of fen"),
        (&["--refund-max-fen", "1.5"], "a whole number of fen"),
        (&["--order-max-fen", "no"], "or none, not `no`"),
    ] {
        refused(&cloud, &[&limit[..], arguments].concat(), reason);
    }
    let default_limit = ["limit", "--keyid", "shop-l", "--as-the-others"];
    refused(
        &cloud,
        &default_limit,
        "there is no key shop-l, so nothing was changed",
    );
    well(&cloud, &[&limit[..], &["--as-the-others"]].concat());
    assert!(shown(&cloud)["clients"][0]["requests_per_s"].is_null());

    assert!(
        cloud
            .setup(&["revoke", "--keyid", "shop-1"])
            .status
            .success()
    );
    assert!(cloud.keys().client_key("shop-1").await.unwrap().is_none());
    // Nothing was revoked: the owner of the key can still use it, so the message must not suggest
    // that another person revoked it.
    for (keyid, reason) in [
        ("shop-l", "there is no key shop-l, so nothing was revoked"),
        ("shop", "the client shop has shop-1"),
    ] {
        refused(&cloud, &["revoke", "--keyid", keyid], reason);
    }
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
        !wrong.status.success() && printed(&wrong).contains("cannot be used for rsa-v1_5-sha256"),
        "{}",
        printed(&wrong)
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
        ([&merchant[..3], &keys].concat(), "no APIv3 key yet"),
        (
            [&merchant[..], &keys, &["--apiv3-key-version", "0"]].concat(),
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
            "this is a public key, not the merchant's private key",
        ),
        (
            [&merchant[..3], &["--apiv3-key-file", &platform_key], &keys].concat(),
            "an APIv3 key",
        ),
    ] {
        let output = cloud.setup(&arguments);
        assert!(
            !output.status.success() && printed(&output).contains(reason),
            "{reason}: {}",
            printed(&output)
        );
    }
    let output = cloud.setup(&[&merchant[..], &keys, &rotation].concat());
    assert!(output.status.success(), "{}", printed(&output));

    let read = cloud.keys().merchant().await.unwrap();
    assert_eq!(read.response_serial, "PUB_KEY_ID_01");
    assert_eq!(read.apiv3().await.unwrap().len(), 2);
    let signer = read.signer(&SignWith::Sealed).await.unwrap();
    assert_eq!(signer.serial_no(), "5157F09EFDC096DE15EBE81A47057A72");
    assert_eq!(signer.sign(b"text").await.unwrap().len(), 256);
}

/// Runs a set-up command that goes well.
pub(crate) fn well(cloud: &Cloud, arguments: &[&str]) -> String {
    let output = cloud.setup_by_variables(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        printed(&output)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs one that is refused, and why.
pub(crate) fn refused(cloud: &Cloud, arguments: &[&str], reason: &str) {
    let output = cloud.setup_by_variables(arguments);
    let printed = printed(&output);
    assert!(!output.status.success(), "{arguments:?}: {printed}");
    assert!(printed.contains(reason), "{reason}: {printed}");
}

/// What `setup show` says.
pub(crate) fn shown(cloud: &Cloud) -> serde_json::Value {
    serde_json::from_str(&well(cloud, &["show"])).unwrap()
}

const CERTIFICATE: &str =
    include_str!("../../../../shared/wechatpay/vectors/keys/platform-certificate.pem");
const PUBLIC_KEY: &str =
    include_str!("../../../../shared/wechatpay/vectors/keys/platform-public.pem");
const CERTIFICATE_SERIAL: &str = "5157F09EFDC096DE15EBE81A47057A72A4D0E1B2";

#[tokio::test]
async fn what_a_set_up_command_does_not_name_stays() {
    let cloud = Cloud::start("stays").await;
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap();
    let private = cloud.write("private.pem", &pem("PRIVATE KEY", private.as_ref()));
    let public = format!("PUB_KEY_ID_01={}", cloud.write("pub.pem", PUBLIC_KEY));
    let certificate = cloud.write("certificate.pem", CERTIFICATE);
    let first = cloud.write("first", APIV3_KEY);
    let second = cloud.write("second", &"2".repeat(32));
    let third = cloud.write("third", &"3".repeat(32));
    well(
        &cloud,
        &[
            "merchant",
            "--merchant-serial",
            "AAAA",
            "--apiv3-key-file",
            &first,
            "--merchant-key-file",
            &private,
            "--wechatpay-public-key",
            &public,
        ],
    );

    well(
        &cloud,
        &["add-wechat-key", "--platform-certificate", &certificate],
    );
    // A repeat, as after a lost answer, adds nothing twice and replaces none.
    for _ in 0..2 {
        well(&cloud, &["merchant", "--apiv3-key-file", &second]);
    }
    let serial = ["merchant", "--merchant-serial", "BBBB"];
    refused(&cloud, &serial, "belongs to certificate AAAA");
    let key = ["--merchant-key-file", &private];
    refused(
        &cloud,
        &[&["merchant"], &key[..]].concat(),
        "give its serial",
    );
    well(&cloud, &[&serial[..], &key].concat());
    let merchant = cloud.keys().merchant().await.unwrap();
    let ids: Vec<&str> = merchant
        .entries
        .iter()
        .map(|entry| entry.id.as_str())
        .collect();
    assert_eq!(ids, ["PUB_KEY_ID_01", CERTIFICATE_SERIAL]);
    assert_eq!(merchant.response_serial, "PUB_KEY_ID_01");
    assert_eq!(merchant.apiv3().await.unwrap().len(), 2);
    let signer = merchant.signer(&SignWith::Sealed).await.unwrap();
    assert_eq!(signer.serial_no(), "BBBB");
    assert_eq!(signer.sign(b"text").await.unwrap().len(), 256);

    let show = shown(&cloud);
    let merchant = &show["merchant"];
    assert_eq!(merchant["apiv3_key_versions"], serde_json::json!([2, 1]));
    assert_eq!(merchant["sealed_merchant_key"], true);
    assert_eq!(merchant["wechat_keys"][0]["signs_answers"], true);
    assert_eq!(merchant["wechat_keys"][1]["usable"], true);

    let third = ["merchant", "--apiv3-key-file", &third];
    refused(&cloud, &third, "would be APIv3 keys [3, 2, 1]");
    let other = [&third[..], &["--apiv3-key-version", "1"]].concat();
    refused(&cloud, &other, "another key");
    let id = ["remove-wechat-key", "--id"];
    refused(
        &cloud,
        &[&id[..], &["PUB_KEY_ID_01"]].concat(),
        "ask for another key",
    );
    refused(
        &cloud,
        &[&id[..], &["PUB_KEY_ID_9"]].concat(),
        "PUB_KEY_ID_9",
    );
    refused(
        &cloud,
        &["remove-apiv3-key", "--version", "7"],
        "no APIv3 key 7",
    );
    refused(&cloud, &["merchant"], "what shall be set");
    refused(&cloud, &["add-wechat-key"], "one of");
    assert_eq!(shown(&cloud), show, "what was refused changed nothing");

    well(&cloud, &["remove-apiv3-key", "--version", "1"]);
    let with = ["add-wechat-key", "--sign-answers", "--platform-certificate"];
    well(&cloud, &[&with[..], &[&certificate]].concat());
    well(&cloud, &[&id[..], &["PUB_KEY_ID_01"]].concat());
    well(&cloud, &third);
    let sealed_out = [
        "merchant",
        "--merchant-serial",
        "CCCC",
        "--remove-sealed-key",
    ];
    refused(&cloud, &[&sealed_out[..], &key].concat(), "not both");
    well(&cloud, &sealed_out);
    assert_eq!(shown(&cloud)["merchant"]["sealed_merchant_key"], false);
    let merchant = cloud.keys().merchant().await.unwrap();
    assert_eq!(merchant.entries.len(), 1);
    assert_eq!(merchant.response_serial, CERTIFICATE_SERIAL);
    assert_eq!(
        shown(&cloud)["merchant"]["apiv3_key_versions"],
        serde_json::json!([3, 2])
    );
}

#[tokio::test]
async fn the_set_up_is_shown_without_any_secret() {
    let cloud = Cloud::start("show").await;
    let settings = cloud.path("shop.json");
    let api = [
        "--api-url",
        "https://api.example.com",
        "--settings",
        &settings,
    ];
    let client = ["client", "--keyid", "shop-1", "--client-id", "shop"];
    well(&cloud, &[&client[..], &api].concat());
    let secret = cloud.path("webhook.secret");
    let url = "https://shop.example/hooks?token=t0k3n";
    let webhook = [
        "webhook",
        "--client",
        "shop",
        "--url",
        url,
        "--secret-to",
        &secret,
    ];
    well(&cloud, &webhook);
    let show = shown(&cloud);
    assert_eq!(
        show["clients"],
        serde_json::json!([{
            "keyid": "shop-1", "client_id": "shop", "algorithm": "hmac-sha256", "state": "active",
            "requests_per_s": null, "scopes": ["create", "read", "close"], "order_max_fen": null,
            "refund_max_fen": null, "damaged": null,
        }])
    );
    let webhook = &show["webhooks"][0];
    assert_eq!(webhook["host"], "https://shop.example");
    assert_eq!(
        (&webhook["secrets"], &webhook["state"]),
        (&serde_json::json!(1), &serde_json::json!("active"))
    );
    assert_eq!(webhook["changes"], 1);
    let text = show.to_string();
    let kept = std::fs::read_to_string(&secret).unwrap();
    let settings = std::fs::read_to_string(&settings).unwrap();
    let settings: serde_json::Value = serde_json::from_str(&settings).unwrap();
    for hidden in [
        kept.trim_end(),
        settings["secret_base64"].as_str().unwrap(),
        "t0k3n",
    ] {
        assert!(!text.contains(hidden), "{text}");
    }
}

#[tokio::test]
async fn a_set_up_command_says_which_option_or_variable_is_missing() {
    let cloud = Cloud::start("missing").await;
    for (command, reason) in [
        (&["show"][..], "--mchid (or the variable WECHATPAY_MCHID)"),
        (
            &["show", "--mchid", "1"],
            "--keys-table (or the variable KEYS_TABLE)",
        ),
        (
            &["revoke", "--mchid", "1", "--keys-table", "t"],
            "(or the variable SECRETS_KEY_ID)",
        ),
    ] {
        let output = cloud.run(&[&["setup"], command].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(
            printed(&output).contains(reason),
            "{reason}: {}",
            printed(&output)
        );
    }
}
