//! keys.md, followed on the stack of `cargo local`: every key is changed, one after the other, by
//! the page's own commands and by deployments, while orders, callbacks, refunds and webhooks go on
//! through compiled functions. No callback is refused, no call fails, and no event gets lost.
//!
//! `tests/it/rotation.rs` has the same with a clock that is moved by hand, where each minute of the
//! page passes. Here one minute passes, which four changes share; where a deployment follows, its
//! new sandboxes have nothing cached, and no minute is waited for.
//!
//! Where the machine is too busy, calls of AWS end by their limits of a second. What comes of that
//! is no failure here: it has log lines of its own, and every other warning fails the test.

mod running_stack;
mod traffic;

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use testbed::RsaKey;

use super::{MERCHANT_KEY, answer};
use running_stack::RunningStack;
use traffic::Traffic;

const PAGE: &str = "keys.md";
const NEXT_APIV3_KEY: &str = "vutsrqponmlkjihgfedcba9876543210";
/// After this every function has read the keys table again.
const A_MINUTE: Duration = Duration::from_secs(61);

/// Changes every key of the stack that runs in this state directory, and has printed this.
pub(crate) fn every_key_is_changed(state: &Path, invitation: &str) {
    let mut stack = RunningStack::of(state, invitation);
    stack.certificates_alone();
    let mut traffic = stack.traffic();
    traffic.begin();
    traffic.settle();

    let first = stack.merchant_serials();
    let [first] = first.as_slice() else {
        panic!("one certificate, not {first:?}")
    };
    // Four changes, which share the minute after which functions know them, and can change more.
    let second = stack.registers_a_new_certificate();
    stack.adds_an_apiv3_key();
    stack.adds_a_client_key(&traffic);
    stack.adds_a_webhook_secret("second.secret");
    traffic.go_on(A_MINUTE);
    stack.revokes(first);
    stack.sets_the_apiv3_key_on_the_merchant_platform();
    stack.revokes_the_client_key();
    stack.renews_the_platform_certificate();
    traffic.believe(&stack.file("second.secret"));
    traffic.settle();
    stack.removes_the_apiv3_key(&traffic);
    // With one more the first is gone, a minute later.
    stack.adds_a_webhook_secret("third.secret");

    stack.moves_to_the_public_key(&traffic);
    stack.rotates_kms_keys();
    let third = stack.moves_to_a_sealed_key(&traffic, &second);
    stack.removes_the_platform_certificates();
    let fourth = stack.seals_another_pair();
    stack.moves_to_a_kms_key(&traffic, &third, &fourth);
    traffic.believe(&stack.file("third.secret"));
    traffic.settle();
    let signs = |file: &str| traffic.is_newest_signed_by(&stack.file(file));
    assert!(signs("second.secret") && !signs("first.secret"));
    assert_eq!(traffic.status_under(&stack.file("shop-1.json")), 401);

    let end = traffic.end();
    println!("while every key was changed: {end:?}");
    let time_outs = stack.time_outs_and_no_other_warning();
    stack.no_callback_was_refused(&time_outs);
    // Each call that was sent again has its line: AWS did not answer in time.
    assert!(
        end.repeated_calls <= time_outs.len(),
        "{end:?}: {time_outs:#?}"
    );
}

/// The changes, by the sections of keys.md.
impl RunningStack {
    /// The merchant as one that came before WeChat Pay's public keys.
    fn certificates_alone(&mut self) {
        self.admin("merchant/signing-mode", &json!({ "mode": "certificate" }));
        let certificate = self.detail("platform_certificate");
        self.testbed.shell.write("platform.pem", &certificate);
        self.shell(
            "cargo client setup add-wechat-key --platform-certificate platform.pem --sign-answers",
        );
        let public_key = self.detail("wechatpay_public_key_id");
        self.run(
            "setup remove-wechat-key --id ID",
            &[("--id ID", &format!("--id {public_key}"))],
        );
    }

    /// A client of the API with a webhook, and what it does.
    fn traffic(&mut self) -> Traffic {
        let api = self.api.clone();
        let values = [
            ("$(output ApiUrl)", api.as_str()),
            ("shop.json", "shop-1.json"),
        ];
        self.run("cargo client setup client", &values);
        let traffic = Traffic::new(&self.simulator, &self.file("shop-1.json"));
        let url = traffic.hooks_url().to_owned();
        let webhook = "cargo client setup webhook";
        let values = [("WHOSE", "shop"), ("URL", &url), ("FILE", "first.secret")];
        self.testbed.run("README.md", webhook, &values);
        traffic.believe(&self.file("first.secret"));
        traffic
    }

    /// The merchant's certificate, for the same key.
    fn registers_a_new_certificate(&mut self) -> String {
        let serial = "A1".repeat(20);
        self.run("cargo client keys csr --merchant-name", &[("NAME", "Tea")]);
        let request = std::fs::read_to_string(self.file("merchant.csr")).expect("a request");
        self.certified(&request, &serial, "apiclient_cert.pem");
        self.run(
            "setup merchant --merchant-certificate-file apiclient_cert.pem",
            &[],
        );
        serial
    }

    fn adds_an_apiv3_key(&mut self) {
        self.testbed.shell.write("new.txt", NEXT_APIV3_KEY);
        self.run("setup merchant --apiv3-key-file new.txt", &[]);
    }

    fn sets_the_apiv3_key_on_the_merchant_platform(&self) {
        let body = json!({ "apiv3_key": NEXT_APIV3_KEY });
        self.admin("merchant/apiv3-key", &body);
    }

    /// A day later: what was sealed under the old key has come to its end.
    fn removes_the_apiv3_key(&mut self, traffic: &Traffic) {
        let old = [("--version N", "--version 1")];
        self.run("setup remove-apiv3-key --version N", &old);
        let shown = answer(&self.run("cargo client setup show", &[]));
        assert_eq!(shown["merchant"]["apiv3_key_versions"], json!([2]));
        traffic.is_well();
    }

    /// The client moves over at once.
    fn adds_a_client_key(&mut self, traffic: &Traffic) {
        let api = self.api.clone();
        let values = [
            ("$(output ApiUrl)", api.as_str()),
            ("shop-1", "shop-2"),
            ("shop.json", "shop-2.json"),
        ];
        self.run("cargo client setup client", &values);
        traffic.sign_with(&self.file("shop-2.json"));
    }

    fn revokes_the_client_key(&mut self) {
        let old = [("--keyid ID", "--keyid shop-1")];
        self.run("cargo client setup revoke --keyid ID", &old);
    }

    fn adds_a_webhook_secret(&mut self, file: &str) {
        let values = [("WHOSE", "shop"), ("FILE", file)];
        self.run("setup webhook --client WHOSE --new-secret", &values);
    }

    /// WeChat Pay lists its next certificate. Twelve hours are over, and `reconcile` fetches it
    /// before WeChat Pay signs with it.
    fn renews_the_platform_certificate(&mut self) {
        let announced = json!({ "mode": "certificate", "announce": true });
        let next = self.admin("rotate", &announced)["serial"].clone();
        let lease =
            json!({ "pk": { "S": format!("certificates#{}#by-time", self.detail("mchid")) } });
        self.shell(&format!(
            "aws dynamodb delete-item --table-name \"$STACK-guards\" --key '{lease}'"
        ));
        // What the schedule sends each five minutes.
        self.shell(
            "aws lambda invoke --function-name \"$STACK-reconcile:live\" --payload '{\"task\":\"certificates\"}' \
             refreshed.json",
        );
        let refreshed = std::fs::read_to_string(self.file("refreshed.json"));
        assert_eq!(refreshed.expect("what became of it"), "\"changed\"");
        assert_eq!(self.wechat_keys().len(), 2, "the old one stays");
        let begun = self.admin("rotate", &json!({ "mode": "certificate" }));
        assert_eq!(begun["serial"], next);
    }

    /// WeChat Pay's public key stands beside the certificates; callbacks come under it, then
    /// answers.
    fn moves_to_the_public_key(&mut self, traffic: &Traffic) {
        let public_key = self.detail("wechatpay_public_key");
        self.testbed.shell.write("pub_key.pem", &public_key);
        let id = self.detail("wechatpay_public_key_id");
        let add = "setup add-wechat-key --wechatpay-public-key";
        self.run(add, &[("PUB_KEY_ID_...", &id)]);
        // For unknown numbers a sandbox reads the keys again once in 5 s, and just did so.
        traffic.go_on(Duration::from_secs(6));
        self.admin("merchant/signing-mode", &json!({ "mode": "public_key" }));
        let signs = [
            ("PUB_KEY_ID_...", id.as_str()),
            ("pub_key.pem", "pub_key.pem --sign-answers"),
        ];
        self.run(add, &signs);
        traffic.settle();
    }

    /// The move is over: since a deployment no sandbox asks for answers under a certificate.
    fn removes_the_platform_certificates(&mut self) {
        for key in self.wechat_keys() {
            if key["kind"] == "certificate" {
                let old = format!("--id {}", key["id"].as_str().expect("an id"));
                self.run("setup remove-wechat-key --id ID", &[("--id ID", &old)]);
            }
        }
        let left = self.wechat_keys();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(left[0]["id"], self.details["wechatpay_public_key_id"]);
    }

    /// WeChat Pay's keys, as `setup show` tells of them.
    fn wechat_keys(&mut self) -> Vec<Value> {
        let shown = answer(&self.run("cargo client setup show", &[]));
        let keys = shown["merchant"]["wechat_keys"].as_array();
        keys.expect("keys").clone()
    }

    /// As KMS does each year, to the keys under which secrets, fields and what is stored are
    /// sealed. Orders are under way whose fields were sealed before; deployments then make
    /// functions seal and open with nothing cached.
    fn rotates_kms_keys(&mut self) {
        for name in ["SecretsKeyId", "FieldsKeyId", "StorageKeyId"] {
            let key = self.shell(&format!("output {name}"));
            self.run("aws kms rotate-key-on-demand", &[("KEY_ID", key.trim())]);
        }
    }

    /// From the stack's own KMS key to a sealed one, by the page's steps.
    fn moves_to_a_sealed_key(&mut self, traffic: &Traffic, before: &str) -> String {
        let next = "B2".repeat(20);
        let own = self.run("aws kms describe-key", &[]);
        self.deploys(&["OtherSigner=sealed"]);
        self.testbed.shell.write("next_key.pem", MERCHANT_KEY);
        self.certified(MERCHANT_KEY, &next, "next_cert.pem");
        self.run("cargo client keys seal --merchant-key-file next", &[]);
        let other = format!("OtherSigner={}", own.trim());
        self.deploys(&["MerchantSigner=sealed", &other]);
        traffic.settle();
        assert!(self.signed_under(&next) > 0);
        let sealed = [(
            "--merchant-signer kms --signing-key-id \"$(output MerchantSigningKeyId)\"",
            "--merchant-signer sealed",
        )];
        self.removes_certificate(before, &sealed);
        next
    }

    /// `setup remove-merchant-certificate`, and then its revocation: since a deployment nothing is
    /// signed under it.
    fn removes_certificate(&mut self, serial: &str, values: &[(&str, &str)]) {
        let remove = "cargo client setup remove-merchant-certificate";
        let values = [&[("SERIAL", serial)], values].concat();
        self.run(remove, &values);
        self.revokes(serial);
    }

    /// Another sealed pair. What is deployed next makes functions read it.
    fn seals_another_pair(&mut self) -> String {
        let (next, key) = ("C3".repeat(20), RsaKey::generate().private_pem());
        self.testbed.shell.write("apiclient_key.pem", &key);
        self.certified(&key, &next, "apiclient_cert.pem");
        self.run("cargo client keys seal --merchant-key-file api", &[]);
        next
    }

    /// From the sealed key to a new KMS key, by the page's steps.
    fn moves_to_a_kms_key(&mut self, traffic: &Traffic, revoked: &str, before: &str) {
        let next = "D4".repeat(20);
        let born = self.run("account=", &[("ORIGIN", "AWS_KMS")]);
        let born = born.trim().to_owned();
        self.deploys(&[&format!("OtherSigner={born}")]);
        traffic.settle();
        assert!(self.signed_under(before) > 0);
        self.revokes(revoked);
        self.shell("unset MERCHANT_SIGNING_KEY_ID");
        let names = [("NEXT_KEY", born.as_str()), ("NAME", "Tea")];
        self.run("cargo client keys csr --signing-key-id", &names);
        let request = std::fs::read_to_string(self.file("next.csr")).expect("a request");
        self.certified(&request, &next, "next_cert.pem");
        self.run("cargo client setup merchant --signing-key-id", &names[..1]);
        let key = format!("SigningKeyArn={born}");
        self.deploys(&["MerchantSigner=kms", &key, "OtherSigner=sealed"]);
        traffic.settle();
        assert!(self.signed_under(&next) > 0);
        self.removes_certificate(before, &[]);
        self.deploys(&["OtherSigner="]);
        assert_eq!(self.merchant_serials(), [next]);
    }
}
