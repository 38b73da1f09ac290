//! `setup webhook`, run as a program.

use adapters::keys_table::{Endpoint, Webhook};
use standard_webhooks::Secret;

use crate::cloud::{Cloud, told};

const URL: &str = "https://shop.example/hooks?token=t0k3n";
const GIVEN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What functions read, handed to `look`.
async fn look_at<T>(cloud: &Cloud, look: impl FnOnce(&Endpoint) -> T) -> T {
    match cloud.keys().webhook("shop").await.unwrap().as_deref() {
        Some(Webhook::Active(endpoint)) => look(endpoint),
        other => panic!("no active webhook: {other:?}"),
    }
}

#[tokio::test]
async fn a_webhook_is_set_up_with_a_secret_that_is_shown_once_and_removed_again() {
    let cloud = Cloud::start("webhook").await;
    let output = cloud.setup(&["webhook", "--client", "shop", "--url", URL]);
    assert!(output.status.success(), "{}", told(&output));
    let told_text = told(&output);
    let shown = told_text.lines().last().unwrap();
    let shown = Secret::parse(shown).expect("the secret");
    assert!(!told_text.contains("t0k3n"), "{told_text}");
    look_at(&cloud, |endpoint| {
        assert_eq!(endpoint.url.as_str(), URL);
        assert_eq!(endpoint.secrets.len(), 1);
        assert_eq!(endpoint.secrets[0].as_bytes(), shown.as_bytes());
    })
    .await;

    // A secret of the operator's own takes its place; the one before still signs.
    let file = cloud.write("secret", &format!("{GIVEN}\n"));
    let output = cloud.setup(&[
        "webhook",
        "--client",
        "shop",
        "--url",
        "https://new.example/",
        "--secret-file",
        &file,
    ]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(!told(&output).contains("whsec_"), "{}", told(&output));
    look_at(&cloud, |endpoint| {
        assert_eq!(endpoint.url.as_str(), "https://new.example/");
        let secrets: Vec<&[u8]> = endpoint.secrets.iter().map(Secret::as_bytes).collect();
        let given = Secret::parse(GIVEN).unwrap();
        assert_eq!(secrets, [given.as_bytes(), shown.as_bytes()]);
    })
    .await;

    let off = ["webhook", "--client", "shop", "--off"];
    let output = cloud.setup(&off);
    assert!(output.status.success(), "{}", told(&output));
    assert!(cloud.keys().webhook("shop").await.unwrap().is_none());
    assert!(!cloud.setup(&off).status.success(), "there is none");
}

#[tokio::test]
async fn what_cannot_be_a_webhook_is_refused_and_says_why() {
    let cloud = Cloud::start("no-webhook").await;
    let file = cloud.write("secret", "whsec_c2hvcnQ=");
    for (options, code, reason) in [
        (&["--url", "http://shop.example/"][..], 1, "https://"),
        (&["--url", "https://10.0.0.1/"], 1, "not a public address"),
        (&["--url", "https://a.example:25/"], 1, "443"),
        (&["--url", URL, "--secret-file", &file], 1, "24 to 64 bytes"),
        (&["--url", URL, "--secret-file", "/nowhere"], 1, "/nowhere"),
        (&["--url", URL, "--secret", GIVEN], 2, "no option --secret"),
        (&["--url", URL, "--off"], 2, "--off takes neither"),
        (&[], 2, "--url, or --off, is missing"),
    ] {
        let output = cloud.setup(&[&["webhook", "--client", "shop"], options].concat());
        let told = told(&output);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(reason), "{reason}: {told}");
    }
    assert!(cloud.keys().webhook("shop").await.unwrap().is_none());
}
