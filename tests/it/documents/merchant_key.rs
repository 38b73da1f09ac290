//! keys.md: the merchant's private key goes to another place. Only certificates of keys that sign
//! nothing are changed, so the stack goes on.

use serde_json::Value;

use super::{CommandRun, MERCHANT_KEY, answer, merchant_certificate};

const PAGE: &str = "keys.md";

pub(super) fn goes_to_another_place(testbed: &mut CommandRun, mchid: &str) {
    let own = testbed.run(PAGE, "aws kms describe-key", &[]);
    assert!(own.contains(":key/"), "{own}");
    let present = testbed
        .shell
        .run("output MerchantSigningKeyId", "")
        .expect("the stack's own key");
    let present = present.trim().to_owned();
    let serial_before = serial_of(testbed, &present).expect("its certificate");
    let forget = "KEPT=\"$MERCHANT_SIGNING_KEY_ID\"; unset MERCHANT_SIGNING_KEY_ID; export KEPT";
    testbed.shell.run(forget, "").expect("no key by a variable");

    // Born in KMS.
    let born = testbed.run(PAGE, "account=", &[("ORIGIN", "AWS_KMS")]);
    let born = born.trim().to_owned();
    let names = [("NEXT_KEY", born.as_str()), ("NAME", "Tea")];
    testbed.run(PAGE, "cargo client keys csr --signing-key-id", &names);
    let request = std::fs::read_to_string(testbed.shell.path("next.csr")).expect("a request");
    let next = "A1".repeat(20);
    let certificate = merchant_certificate(&request, mchid, &next);
    testbed.shell.write("next_cert.pem", &certificate);
    let register = "cargo client setup merchant --signing-key-id";
    testbed.run(PAGE, register, &names[..1]);
    assert_eq!(serial_of(testbed, key_id(&born)).as_deref(), Some(&*next));

    // Imported.
    let external = testbed.run(PAGE, "account=", &[("ORIGIN", "EXTERNAL")]);
    let external = external.trim().to_owned();
    let imported = "B2".repeat(20);
    let certificate = merchant_certificate(MERCHANT_KEY, mchid, &imported);
    testbed.shell.write("next_key.pem", MERCHANT_KEY);
    testbed.shell.write("next_cert.pem", &certificate);
    let import = "cargo client keys import --signing-key-id";
    let names = [("NEXT_KEY", external.as_str())];
    let printed = testbed.run(PAGE, import, &names);
    assert!(printed.contains("verifies"), "{printed}");
    assert_eq!(serial_of(testbed, key_id(&external)), Some(imported));

    // Sealed.
    let sealed = "C3".repeat(20);
    let certificate = merchant_certificate(MERCHANT_KEY, mchid, &sealed);
    testbed.shell.write("next_cert.pem", &certificate);
    testbed.run(PAGE, "cargo client keys seal --merchant-key-file next", &[]);
    assert_eq!(serial_of(testbed, "sealed").as_deref(), Some(&*sealed));

    // What never signed goes again, and the key that signs has kept its own.
    let remove = "cargo client setup remove-merchant-certificate";
    testbed.run(PAGE, remove, &[("SERIAL", &sealed)]);
    assert_eq!(serial_of(testbed, "sealed"), None);
    assert_eq!(serial_of(testbed, &present), Some(serial_before));
    let back = "export MERCHANT_SIGNING_KEY_ID=\"$KEPT\"; unset KEPT";
    testbed.shell.run(back, "").expect("as before");
}

/// The end of an ARN.
fn key_id(arn: &str) -> &str {
    arn.rsplit('/').next().expect("an id")
}

/// The certificate that is registered for a key.
fn serial_of(testbed: &CommandRun, key: &str) -> Option<String> {
    let shown = testbed.shell.run("cargo client setup show", "");
    let shown = answer(&shown.expect("what is there"));
    let all = shown["merchant"]["merchant_certificates"].clone();
    let all: Vec<Value> = serde_json::from_value(all).expect("a list");
    let own = all.iter().find(|it| it["key"] == key)?;
    own["serial"].as_str().map(ToOwned::to_owned)
}
