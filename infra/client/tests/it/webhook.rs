//! `setup webhook`, run as a program.

use std::os::unix::fs::PermissionsExt;

use standard_webhooks::Secret;
use stores::keys_table::{Endpoint, Webhook};

use crate::cloud::{Cloud, printed};

/// Registers the key `shop-1` of the client `shop`.
fn register_shop(cloud: &Cloud) {
    let settings = cloud.path("shop.json");
    let api = [
        "--api-url",
        "https://api.example.com",
        "--settings",
        &settings,
    ];
    let key = ["client", "--keyid", "shop-1", "--client-id", "shop"];
    well(&cloud.setup(&[&key[..], &api].concat()));
}

const URL: &str = "https://shop.example/hooks?token=t0k3n";
const GIVEN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What functions read, for `check`.
async fn with_endpoint<T>(cloud: &Cloud, check: impl FnOnce(&Endpoint) -> T) -> T {
    match cloud.keys().webhook("shop").await.unwrap().as_deref() {
        Some(Webhook::Active(endpoint)) => check(endpoint),
        other => panic!("no active webhook: {other:?}"),
    }
}

/// The secrets that sign, newest first.
async fn secrets(cloud: &Cloud) -> Vec<Vec<u8>> {
    with_endpoint(cloud, |endpoint| {
        let secrets = endpoint.secrets.iter();
        secrets.map(|secret| secret.as_bytes().to_vec()).collect()
    })
    .await
}

fn well(output: &std::process::Output) -> String {
    let printed = printed(output);
    assert!(output.status.success(), "{printed}");
    printed
}

#[tokio::test]
async fn a_webhook_s_secret_is_written_to_a_file_and_not_to_the_terminal_unless_asked() {
    let cloud = Cloud::start("webhook").await;
    register_shop(&cloud);
    let webhook = ["webhook", "--client", "shop", "--url", URL];
    let file = cloud.path("new.secret");
    let output = cloud.setup(&[&webhook[..], &["--secret-to", &file]].concat());
    let text = well(&output);
    assert!(!text.contains("whsec_"), "{text}");
    assert!(!text.contains("t0k3n"), "{text}");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let written = std::fs::read_to_string(&file).unwrap();
    let written = Secret::parse(written.trim_end()).expect("the secret");
    with_endpoint(&cloud, |endpoint| assert_eq!(endpoint.url.as_str(), URL)).await;
    assert_eq!(secrets(&cloud).await, [written.as_bytes()]);

    // The file may hold the secret in use: it is not written over, and nothing is registered.
    let again = cloud.setup(&[&webhook[..], &["--new-secret", "--secret-to", &file]].concat());
    assert!(!again.status.success() && printed(&again).contains("move it away"));
    assert_eq!(secrets(&cloud).await, [written.as_bytes()]);

    let output = cloud.setup(&[
        "webhook",
        "--client",
        "shop",
        "--new-secret",
        "--show-secret",
    ]);
    let text = well(&output);
    let shown = Secret::parse(text.lines().last().unwrap()).expect("the secret");
    assert_eq!(
        secrets(&cloud).await,
        [shown.as_bytes(), written.as_bytes()]
    );
    with_endpoint(&cloud, |endpoint| assert_eq!(endpoint.url.as_str(), URL)).await;
}

#[tokio::test]
async fn changing_a_webhook_s_url_keeps_its_secrets() {
    let cloud = Cloud::start("webhook-url").await;
    register_shop(&cloud);
    let first = cloud.write("first", &format!("{GIVEN}\n"));
    let webhook = ["webhook", "--client", "shop", "--url", URL];
    well(&cloud.setup(&[&webhook[..], &["--secret-file", &first]].concat()));
    let given = Secret::parse(GIVEN).unwrap();
    let elsewhere = [
        "webhook",
        "--client",
        "shop",
        "--url",
        "https://new.example/",
    ];
    let text = well(&cloud.setup_by_variables(&elsewhere));
    assert!(text.contains("go on"), "{text}");
    assert_eq!(secrets(&cloud).await, [given.as_bytes()]);
    // Given twice, as after an answer that was lost, a secret does not push the one in use out.
    let second = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let second_file = cloud.write("second", second);
    let second = Secret::parse(second).unwrap();
    let again = ["webhook", "--client", "shop", "--secret-file", &second_file];
    for _ in 0..2 {
        well(&cloud.setup(&again));
        assert_eq!(secrets(&cloud).await, [second.as_bytes(), given.as_bytes()]);
    }
    with_endpoint(&cloud, |endpoint| {
        assert_eq!(endpoint.url.as_str(), "https://new.example/");
    })
    .await;

    let off = ["webhook", "--client", "shop", "--off"];
    well(&cloud.setup(&off));
    assert!(cloud.keys().webhook("shop").await.unwrap().is_none());
    let again = cloud.setup(&off);
    assert!(!again.status.success(), "there is none");
    let said = "there is no webhook of a client shop, so nothing was removed";
    assert!(printed(&again).contains(said), "{}", printed(&again));
}

#[tokio::test]
async fn a_webhook_of_a_client_that_has_no_key_is_refused_unless_it_is_to_be_first() {
    let cloud = Cloud::start("whose").await;
    let set_up = |client: &str, more: &[&str]| {
        let secret = cloud.path(&format!("{client}.secret"));
        let webhook = ["webhook", "--client", client, "--url", URL];
        let webhook = [&webhook[..], &["--secret-to", &secret], more].concat();
        cloud.setup(&webhook)
    };
    let refused = |client: &str, reason: &str| {
        let output = set_up(client, &[]);
        let printed = printed(&output);
        assert!(!output.status.success(), "{printed}");
        assert!(printed.contains(reason), "{reason}: {printed}");
        let secret = cloud.path(&format!("{client}.secret"));
        assert!(!std::path::Path::new(&secret).exists(), "no secret is made");
    };
    refused("shop", "only of nobody");
    register_shop(&cloud);
    refused("shop-1", "a key, of the client shop: --client shop");
    refused("shopp", "no key of a client shopp, only of shop");
    for client in ["shop-1", "shopp"] {
        assert!(cloud.keys().webhook(client).await.unwrap().is_none());
    }
    well(&set_up("shop", &[]));
    well(&set_up("later", &["--before-its-key"]));
    // One that is there is changed, whether or not there is a key.
    let moved = [
        "webhook",
        "--client",
        "later",
        "--url",
        "https://new.example/",
    ];
    well(&cloud.setup(&moved));
}

#[tokio::test]
async fn an_impossible_webhook_is_refused_with_the_reason() {
    let cloud = Cloud::start("no-webhook").await;
    let short = cloud.write("secret", "whsec_c2hvcnQ=");
    for (options, code, reason) in [
        (&["--url", "http://shop.example/"][..], 1, "https://"),
        (&["--url", "https://10.0.0.1/"], 1, "not a public address"),
        (&["--url", "https://a.example:25/"], 1, "443"),
        (
            &["--url", URL, "--secret-file", &short],
            1,
            "24 to 64 bytes",
        ),
        (&["--url", URL, "--secret-file", "/nowhere"], 1, "/nowhere"),
        (&["--url", URL, "--secret", GIVEN], 2, "no option --secret"),
        (&["--url", URL, "--off"], 2, "--off takes nothing"),
        (&["--url", URL], 2, "--secret-to FILE or --show-secret"),
        (&["--new-secret", "--show-secret"], 2, "--url is missing"),
        (&[], 2, "--url is missing"),
    ] {
        let output = cloud.setup(&[&["webhook", "--client", "shop"], options].concat());
        let printed = printed(&output);
        assert_eq!(output.status.code(), Some(code), "{printed}");
        assert!(printed.contains(reason), "{reason}: {printed}");
    }
    assert!(cloud.keys().webhook("shop").await.unwrap().is_none());
}
