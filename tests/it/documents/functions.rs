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
    // Back to a release that the aliases lead away from.
    let releases = "functions=\"create-order manage-order receive-callback process-payment reconcile send-webhook console\"\n\
                    for function in $functions; do\n  ";
    let printed = testbed.run(DEPLOY, &format!("{releases}echo"), &[]);
    let of_version = format!("\n{version}\t");
    let (_, release) = printed.split_once(&of_version).expect("the version");
    let release = release.lines().next().expect("its release").to_owned();
    let away = "for function in create-order console; do aws lambda update-alias --function-name \"$STACK-$function\" --name live \
                --function-version '$LATEST'; done";
    testbed.shell.run(away, "").expect("led away");
    let back = format!("{releases}version=");
    let printed = testbed.run(DEPLOY, &back, &[("RELEASE", release.as_str())]);
    let led = format!("\"FunctionVersion\": \"{version}\"");
    assert_eq!(printed.matches(&led).count(), 7, "{printed}");
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
    let order = [("ORDER_NO", "DOC-FAILED")];
    let way = testbed.run("functions.md", "cargo client trace", &order);
    assert!(way.contains("create-order"), "{way}");
    testbed.run("slo.md", "aws cloudwatch describe-alarms", &[]);
    testbed.run("slo.md", "logs receive-callback", &[]);
    testbed.run("slo.md", "logs create-order", &[]);
}
