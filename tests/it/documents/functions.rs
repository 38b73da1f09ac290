//! The commands of functions.md and wechat-down.md, and those of infra/DEPLOY.md about releases.

use serde_json::{Value, json};

use super::{
    CommandRun, DEPLOY, answer,
    command_run::{create, has_curl, text},
};

pub(super) fn run_commands(
    testbed: &mut CommandRun,
    simulator: &str,
    admin: &impl Fn(&str, Value),
) {
    let logs = "aws logs filter-log-events --log-group-name \"/aws/";
    for group in ["lambda", "vendedlogs"] {
        testbed.run("functions.md", &format!("{logs}{group}"), &[]);
    }
    testbed.run("functions.md", "aws cloudformation detect-stack-drift", &[]);
    testbed.run("reconciliation.md", "aws scheduler get-schedule", &[]);
    let printed = testbed.run("functions.md", "aws scheduler get-schedule", &[]);
    assert!(
        printed.contains("ENABLED") && printed.contains("\"claimed\""),
        "{printed}"
    );
    let printed = testbed.run(DEPLOY, "aws lambda get-alias", &[]);
    let alias = answer(&printed);
    assert_eq!(alias["Name"], "live", "{printed}");
    let version = text(&alias["FunctionVersion"]);
    let printed = testbed.run(DEPLOY, "aws lambda list-versions", &[("VERSION", &version)]);
    assert!(
        printed.contains(&format!("\"FunctionVersion\": \"{version}\"")),
        "{printed}"
    );
    let printed = testbed.run("functions.md", "logs reconcile", &[]);
    assert!(printed.contains("sweep done"), "{printed}");
    if has_curl() {
        let hosts = [
            ("https://api.mch.weixin.qq.com", simulator),
            ("https://api2.mch.weixin.qq.com", simulator),
        ];
        let printed = testbed.run("wechat-down.md", "curl --silent", &hosts);
        // At the beginning of a line: logs of functions come in between, and an id may end so.
        let refused = printed
            .lines()
            .filter(|line| line.starts_with("401 "))
            .count();
        assert_eq!(refused, 2, "{printed}");
    }
    // A call that fails once is counted.
    let fault = json!({
        "fault": "server_error_before", "status": 502, "times": 1, "endpoints": ["prepay_native"],
    });
    admin("faults", fault);
    create(testbed, "DOC-FAILED");
    testbed.run("wechat-down.md", "aws cloudwatch list-metrics", &[]);
    testbed.run("keys.md", "logs receive-callback", &[]);
}
