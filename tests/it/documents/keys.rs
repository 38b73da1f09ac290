//! The commands of keys.md, and those that set up a webhook.

use serde_json::json;

use super::{CommandRun, MERCHANT_KEY, answer, merchant_certificate, merchant_key};

/// Another signing key than the stack's, into which one can be imported.
pub(super) const EXTERNAL_KEY: &str = "export MERCHANT_SIGNING_KEY_ID=\"$(aws kms create-key --origin EXTERNAL --key-spec RSA_2048 \
                            --key-usage SIGN_VERIFY --query KeyMetadata.KeyId --output text)\"";

pub(super) fn run_commands(testbed: &mut CommandRun, detail: &impl Fn(&str) -> String) {
    let mchid = detail("mchid");
    testbed.run("keys.md", "export WECHATPAY_MCHID", &[]);
    let shown = answer(&testbed.run("keys.md", "cargo client setup show", &[]));
    let apiv3_key = detail("apiv3_key");
    testbed.shell.write("apiv3-key.txt", &apiv3_key);
    testbed.shell.write("new.txt", &"n".repeat(32));
    testbed
        .shell
        .write("pub_key.pem", &detail("wechatpay_public_key"));
    testbed.shell.write("apiclient_key.pem", MERCHANT_KEY);
    let certificate = merchant_certificate(MERCHANT_KEY, &mchid, &detail("merchant_serial"));
    testbed.shell.write("apiclient_cert.pem", &certificate);
    let id = detail("wechatpay_public_key_id");
    let id = ("PUB_KEY_ID_...", id.as_str());
    // What is there already, once more: nothing is added, and nothing lost.
    let registered = "cargo client setup merchant --merchant-certificate-file";
    testbed.run("keys.md", registered, &[id]);
    let again = answer(&testbed.run("keys.md", "cargo client setup show", &[]));
    assert_eq!(
        again["merchant"]["wechat_keys"],
        shown["merchant"]["wechat_keys"]
    );
    assert_eq!(again["merchant"]["apiv3_key_versions"], json!([1]));
    // Now its end is known.
    let printed = testbed.run("keys.md", "cargo client keys status --stack", &[]);
    let ends = "ok      merchant-certificate";
    assert!(
        printed.contains(ends) && printed.contains("ends 2031-01-01"),
        "{printed}"
    );
    testbed.run("keys.md", "setup merchant --apiv3-key-file new.txt", &[]);
    let own = testbed.run("keys.md", "account=", &[("ORIGIN", "EXTERNAL")]);
    let own = own.trim();
    let policy = format!("aws kms get-key-policy --key-id {own} --policy-name default");
    let policy = testbed.shell.run(&policy, "").expect("a key's policy");
    assert!(policy.contains("OnlyTheAlgorithmOfWechatPay"), "{policy}");
    testbed.run("keys.md", "export MERCHANT_SIGNING_KEY_ID", &[]);
    let sealing = testbed.shell.run("output FieldsKeyId", "").expect("a key");
    let sealing = [("KEY_ID", sealing.trim())];
    testbed.run("keys.md", "aws kms rotate-key-on-demand", &sealing);
    // A key that is left in another Region.
    let make = "aws kms create-key --multi-region --region ap-southeast-1 --query KeyMetadata.KeyId --output text";
    let left = testbed.shell.run(make, "").expect("a key");
    let left = left.trim();
    let there = [("OTHER_REGION", "ap-southeast-1"), ("KEY_ID", left)];
    testbed.run("keys.md", "policy=", &there);
    let state = format!("aws kms describe-key --key-id {left} --query KeyMetadata.KeyState");
    let printed = testbed.shell.run(&state, "").expect("a replica");
    assert!(printed.contains("Enabled"), "{printed}");
    let name = [("NAME", "Tea")];
    testbed.run("keys.md", "cargo client keys csr --merchant-name", &name);
    let request = std::fs::read_to_string(testbed.shell.path("merchant.csr")).expect("a request");
    assert!(request.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
    // The stack's own key was born in KMS.
    testbed.shell.run(EXTERNAL_KEY, "").expect("a KMS key");
    let printed = testbed.run(
        "keys.md",
        "cargo client keys import --merchant-key-file",
        &[],
    );
    assert!(printed.contains("verifies"), "{printed}");
    testbed.run(
        "keys.md",
        "cargo client keys seal --merchant-key-file api",
        &[],
    );
    merchant_key::goes_to_another_place(testbed, &mchid);
    let added = "PUB_KEY_ID_0000000000000000000000000000000009";
    let add = "setup add-wechat-key --wechatpay-public-key";
    testbed.run("keys.md", add, &[("PUB_KEY_ID_...", added)]);
    let both = answer(&testbed.run("keys.md", "cargo client setup show", &[]));
    assert_eq!(both["merchant"]["apiv3_key_versions"], json!([2, 1]));
    assert!(both["merchant"]["wechat_keys"].to_string().contains(added));
    testbed.run(
        "keys.md",
        "setup remove-apiv3-key --version N",
        &[("--version N", "--version 2")],
    );
    testbed.run(
        "keys.md",
        "setup remove-wechat-key --id ID",
        &[("--id ID", &format!("--id {added}"))],
    );
    testbed.run("keys.md", "cargo client setup client", &[]);
    let keyid = [("--keyid ID", "--keyid shop-1")];
    let limit = "cargo client setup limit --keyid ID --requests-per-s N";
    let to_fifty = ("--requests-per-s N", "--requests-per-s 50");
    testbed.run("keys.md", limit, &[keyid[0], to_fifty]);
    let scopes = "cargo client setup scopes --keyid ID";
    testbed.run("keys.md", scopes, &keyid);
    let shown = answer(&testbed.run("keys.md", "cargo client setup show", &[]));
    let keys = shown["clients"].as_array().expect("keys").iter();
    let key = keys.clone().find(|it| it["keyid"] == "shop-1");
    let key = key.expect("the key");
    assert_eq!(key["scopes"], json!(["create", "read", "close", "refund"]));
    assert_eq!(
        (&key["order_max_fen"], &key["refund_max_fen"]),
        (&json!(500_000), &json!(100_000))
    );
    testbed.run("keys.md", "cargo client setup revoke --keyid ID", &keyid);
    // Of a client that has a key, which `setup client` registered above.
    let whose = ("WHOSE", "shop");
    let url = ("URL", "https://shop.example/hooks");
    let webhook = "cargo client setup webhook";
    testbed.run(
        "README.md",
        webhook,
        &[whose, url, ("FILE", "first.secret")],
    );
    testbed.run(
        "keys.md",
        "setup webhook --client WHOSE --new-secret",
        &[whose, ("FILE", "second.secret")],
    );
    testbed.run(
        "keys.md",
        "setup webhook --client WHOSE --url URL",
        &[whose, url],
    );
    testbed.run("webhooks.md", webhook, &[whose, url]);
    let shown = answer(&testbed.run("keys.md", "cargo client setup show", &[]));
    assert_eq!(shown["merchant"]["apiv3_key_versions"], json!([1]));
    let hook = shown["webhooks"].as_array().expect("webhooks").iter();
    let hook = hook.clone().find(|it| it["client_id"] == "shop");
    assert_eq!(hook.expect("the webhook")["secrets"], 2, "{shown}");
}
