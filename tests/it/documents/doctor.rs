//! The commands of doctor.md.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{CommandRun, answer, command_run::text};

pub(super) fn run_commands(testbed: &mut CommandRun) {
    // The engine has no encryption, no point-in-time recovery and no topic for alarms,
    // which are warnings.
    let find = |begin: &str| format!("{begin} --stack \"$STACK\" --json || test $? -eq 3");
    let doctor = (
        "cargo client doctor --stack \"$STACK\"",
        find("cargo client doctor"),
    );
    let printed = testbed.run("doctor.md", doctor.0, &[(doctor.0, &doctor.1)]);
    let report = answer(&printed);
    let findings = report["findings"].as_array().expect("findings");
    // The simulated merchant has a number and no certificate.
    for finding in findings {
        assert_eq!(finding["severity"], "warning", "{finding:#}");
        let id = finding["id"].as_str().expect("an id");
        let of_engine = [
            "table-not-encrypted",
            "point-in-time-recovery-off",
            "alarms-tell-nobody",
            "concurrency-limit-low",
            "merchant-certificate-end-unknown",
        ];
        assert!(of_engine.contains(&id), "{finding:#}");
    }
    assert_eq!(
        report["left_out"],
        json!([]),
        "the callback was awaited, too"
    );
    // Which tools are here is another matter.
    let preflight = "cargo client preflight --stack \"$STACK\"";
    let any = format!("{preflight} --json || test $? -ge 3");
    let report = answer(&testbed.run("doctor.md", preflight, &[(preflight, &any)]));
    for finding in report["findings"].as_array().expect("findings") {
        let id = finding["id"].as_str().expect("an id");
        let of_machine = [
            "tool-missing",
            "tool-old",
            "rust-target-missing",
            "concurrency-limit-low",
        ];
        assert!(of_machine.contains(&id), "{finding:#}");
    }
}

/// What was changed by hand, and the change set that would put it back. The engine's change sets
/// compare templates alone, so the test examines only what this one is made of.
pub(super) fn put_back(testbed: &mut CommandRun) {
    // A key that KMS will delete.
    let make = "aws kms create-key --query KeyMetadata.KeyId --output text";
    let key = testbed.shell.run(make, "").expect("a key");
    let key = [("KEY_ID", key.trim())];
    let delete = "aws kms schedule-key-deletion --pending-window-in-days 7 --key-id";
    let delete = format!("{delete} {}", key[0].1);
    testbed.shell.run(&delete, "").expect("scheduled");
    let state = "aws kms describe-key";
    let printed = testbed.run("doctor.md", state, &key);
    assert!(printed.contains("PendingDeletion"), "{printed}");
    testbed.run("doctor.md", "aws kms cancel-key-deletion", &key);
    let printed = testbed.run("doctor.md", state, &key);
    assert!(printed.contains("Enabled"), "{printed}");

    let by_hand = "aws sqs set-queue-attributes --attributes VisibilityTimeout=7 --queue-url \"$(output PaymentResultsQueueUrl)\"";
    testbed.shell.run(by_hand, "").expect("changed");
    let printed = testbed.run("doctor.md", "drift=", &[]);
    assert!(
        printed.contains("PaymentResultsQueue") && printed.contains("/VisibilityTimeout"),
        "{printed}"
    );
    let as_it_was = by_hand.replace("Timeout=7", "Timeout=180");
    testbed.shell.run(&as_it_was, "").expect("changed back");
    testbed.run("doctor.md", "export CHANGE=", &[]);
    let parameters = |whose: &str| {
        let script = format!("aws cloudformation {whose} --stack-name \"$STACK\" --output json");
        let printed = testbed.shell.run(&script, "").expect("parameters");
        let parameters = answer(&printed);
        let parameters = parameters.as_array().expect("parameters").iter();
        let pair = |it: &Value| (text(&it["ParameterKey"]), text(&it["ParameterValue"]));
        let pairs: BTreeSet<(String, String)> = parameters.map(pair).collect();
        pairs
    };
    let before = parameters("describe-stacks --query 'Stacks[0].Parameters'");
    let after = parameters("describe-change-set --change-set-name \"$CHANGE\" --query Parameters");
    let changed: Vec<&str> = after
        .difference(&before)
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!((changed, before.len()), (vec!["Release"], after.len()));
    let printed = testbed.run("doctor.md", "aws cloudformation describe-change-set", &[]);
    for wanted in ["CreateOrderAliaslive", "ConsoleVersion"] {
        assert!(printed.contains(wanted), "{printed}");
    }
    for kept in ["AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::S3::Bucket "] {
        assert!(!printed.contains(kept), "{printed}");
    }
    testbed.run("doctor.md", "aws cloudformation delete-change-set", &[]);
}
