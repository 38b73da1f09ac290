//! The page on deployments from its keys to the first payment, in its own order, on a stack whose
//! keys table has no merchant. What stands before the keys makes the stack, which is there already.

use serde_json::{Value, json};

use super::{CommandRun, DEPLOY, EXTERNAL_KEY, MERCHANT_KEY, answer, merchant_certificate};

/// The order of the page; the README's stands already.
const ORDER: (&str, &str) = ("TEA-0001", "TEA-0007");

pub(super) fn is_followed(
    testbed: &mut CommandRun,
    api: &str,
    detail: &impl Fn(&str) -> String,
    admin: &impl Fn(&str, Value),
) {
    let here = [("ap-east-1", local::engine::REGION)];
    testbed.run(DEPLOY, "export AWS_REGION", &here);
    let preflight = "cargo client preflight --stack \"$STACK\"";
    let any = format!("{preflight} || test $? -ge 3");
    testbed.run(DEPLOY, preflight, &[(preflight, &any)]);
    let parameters = super::printed::root().join("infra/parameters/example.yaml");
    let parameters = parameters.to_str().expect("text");
    let parameters = [("infra/parameters/example.yaml", parameters)];
    testbed.run(DEPLOY, "cp infra/parameters", &parameters);
    testbed.run(DEPLOY, "sed -i", &[]);
    // This stack has no domain, and so no target of its record.
    testbed.run(DEPLOY, "output DomainTarget", &[]);
    let live = std::fs::read_to_string(testbed.shell.path("live.yaml")).expect("the file");
    assert!(live.contains("DeletionProtection: \"true\"\n"), "{live}");

    let topic = testbed.run(DEPLOY, "aws sns create-topic", &[]);
    let topic = topic.trim();
    assert!(topic.ends_with(":wechatpay-alarms"), "{topic}");
    testbed.run(DEPLOY, "aws sns subscribe", &[("TOPIC_ARN", topic)]);
    // The file has the example's values yet.
    let of_file = "cargo client preflight --stack \"$STACK\" --parameters live.yaml";
    let refused = format!("{of_file} || test $? -eq 4");
    let printed = testbed.run(DEPLOY, of_file, &[(of_file, &refused)]);
    assert!(printed.contains("parameter-of-the-example"), "{printed}");
    testbed.run(DEPLOY, "account=", &[]);
    let role = testbed.run(DEPLOY, "aws iam create-role", &[]);
    assert!(role.trim().ends_with(":role/wechatpay-operator"), "{role}");
    let trust =
        "aws iam get-role --role-name \"$STACK-operator\" --query Role.AssumeRolePolicyDocument";
    let trust = testbed.shell.run(trust, "").expect("the role");
    assert!(trust.contains("aws:MultiFactorAuthPresent"), "{trust}");
    testbed.run(DEPLOY, "for policy in", &[]);
    let attached = "aws iam list-attached-role-policies --role-name \"$STACK-operator\"";
    let attached = answer(&testbed.shell.run(attached, "").expect("policies"));
    let attached = attached["AttachedPolicies"].as_array().map(Vec::len);
    assert_eq!(attached, Some(2));

    testbed.run(DEPLOY, "export WECHATPAY_MCHID", &[]);
    testbed.run(DEPLOY, "export MERCHANT_SIGNING_KEY_ID", &[]);
    let printed = testbed.run(DEPLOY, "echo \"${WECHATPAY_MCHID:?}", &[]);
    assert_eq!(printed.split_whitespace().count(), 4, "{printed}");
    // No merchant.
    testbed.run("keys.md", "aws dynamodb delete-item", &[]);

    let (mchid, apiv3_key) = (detail("mchid"), detail("apiv3_key"));
    testbed.run_with(DEPLOY, "(umask 077", &[], &apiv3_key);
    let name = [("NAME", "Tea")];
    testbed.run(DEPLOY, "cargo client keys csr --merchant-name", &name);
    let request = std::fs::read_to_string(testbed.shell.path("merchant.csr")).expect("a request");
    assert!(request.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
    // A key that is imported has another origin than the stack's own.
    let imported = merchant_certificate(MERCHANT_KEY, &mchid, &"C".repeat(40));
    testbed.shell.write("apiclient_cert.pem", &imported);
    let own = "OWN=\"$MERCHANT_SIGNING_KEY_ID\"; export OWN";
    testbed.shell.run(own, "").expect("kept");
    testbed.shell.run(EXTERNAL_KEY, "").expect("a KMS key");
    testbed.shell.write("apiclient_key.pem", MERCHANT_KEY);
    testbed.run(DEPLOY, "cargo client keys import", &[]);
    let back = "export MERCHANT_SIGNING_KEY_ID=\"$OWN\"";
    testbed.shell.run(back, "").expect("the stack's own key");
    let certificate = merchant_certificate(&request, &mchid, &detail("merchant_serial"));
    testbed.shell.write("apiclient_cert.pem", &certificate);
    let public_key = detail("wechatpay_public_key");
    testbed.shell.write("pub_key.pem", &public_key);
    let id = detail("wechatpay_public_key_id");
    let id = [("PUB_KEY_ID_...", id.as_str())];
    testbed.run(DEPLOY, "cargo client setup merchant", &id);
    // The shop of `cargo local` has its key; and the engine's own address leads to it on AWS alone.
    let settings = ("shop.json", "cafe.json");
    let client = [
        ("shop-1", "cafe-1"),
        ("--client-id shop", "--client-id cafe"),
        ("$(output ApiUrl)", api),
        settings,
    ];
    testbed.run(DEPLOY, "cargo client setup client", &client);

    let doctor = "cargo client doctor --stack \"$STACK\"";
    let warned = format!("{doctor} || test $? -eq 3");
    let printed = testbed.run(DEPLOY, doctor, &[(doctor, &warned)]);
    assert!(printed.contains("errors: 0"), "{printed}");
    testbed.run(DEPLOY, "export CLIENT_SETTINGS", &[settings]);
    let printed = testbed.run(DEPLOY, "cargo client create", &[ORDER]);
    assert!(printed.contains("weixin://"), "{printed}");
    admin("pay", json!({ "order": ORDER.1 }));
    testbed.await_output(
        &format!("cargo client events {}", ORDER.1),
        "\"to\": \"paid\"",
    );
    let printed = testbed.run(DEPLOY, "cargo client get", &[ORDER]);
    assert_eq!(answer(&printed)["state"], "paid", "{printed}");
    let events = answer(&testbed.run(DEPLOY, "cargo client events", &[ORDER]));
    let events = events["events"].as_array().expect("events");
    let paid = events.iter().find(|event| event["to"] == "paid");
    assert_eq!(paid.expect("an event")["cause"]["kind"], "notice");
    let refund = answer(&testbed.run(DEPLOY, "cargo client refund TEA", &[ORDER]));
    assert_eq!(refund["amount_fen"], 100, "{refund}");
    testbed.await_output(
        &format!("cargo client refunds {}", ORDER.1),
        "\"state\": \"succeeded\"",
    );
    testbed.run(DEPLOY, "cargo client refunds", &[ORDER]);
    let forget = "unset MERCHANT_SIGNING_KEY_ID OWN";
    testbed.shell.run(forget, "").expect("forgotten");
}
