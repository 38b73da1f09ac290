//! The commands of doctor.md.

use serde_json::json;

use super::{CommandRun, answer};

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
