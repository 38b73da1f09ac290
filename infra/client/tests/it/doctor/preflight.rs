//! `preflight`: tools from a folder of the test's own, the account as the front tells it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Told;
use super::front::Change;
use super::stage::{ACCOUNT_SETTINGS, STACK, Stage, stage};

/// Tools that say these versions; those without one are not there.
struct Tools {
    folder: PathBuf,
}

const SAID: [(&str, &str); 5] = [
    ("sam", "SAM CLI, version 1.170.0"),
    ("cargo-lambda", "cargo-lambda 1.9.2 (a9c5d8e 2026-11-02Z)"),
    ("zig", "0.17.1"),
    ("aws", "aws-cli/2.31.0 Python/3.13.7 Linux/6.8.0"),
    ("rustc", env!("CARGO_MANIFEST_DIR")),
];

impl Tools {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("doctor-tools-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let tools = Self { folder };
        for (tool, said) in SAID {
            tools.says(tool, said);
        }
        tools
    }

    fn says(&self, tool: &str, said: &str) {
        let path = self.folder.join(tool);
        std::fs::write(&path, format!("#!/bin/sh\necho '{said}'\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn remove(&self, tool: &str) {
        std::fs::remove_file(self.folder.join(tool)).unwrap();
    }

    /// What the program tells where only these tools are.
    fn told(&self, stage: &Stage, changes: &[Change], arguments: &[&str]) -> Told {
        let arguments = [&["preflight"], arguments].concat();
        let path = self.folder.to_str().unwrap();
        stage.examined_with(changes, 0, &arguments, &[("PATH", Some(path))])
    }
}

#[test]
fn an_account_and_tools_that_can_deploy_have_nothing_wrong() {
    let (stage, tools) = (stage(), Tools::new("well"));
    tools.told(&stage, &[], &[]).is_well();
    tools.told(&stage, &[], &["--stack", "coffee"]).is_well();
    // One that stands can be deployed over.
    tools.told(&stage, &[], &["--stack", STACK]).is_well();
}

#[test]
fn a_tool_that_is_missing_or_old_is_named() {
    let (stage, tools) = (stage(), Tools::new("tools"));
    for (tool, said) in SAID.iter().take(4) {
        tools.remove(tool);
        tools.told(&stage, &[], &[]).is_only("tool-missing");
        tools.says(tool, said);
    }
    for (tool, old) in [
        ("sam", "SAM CLI, version 1.99.0"),
        ("cargo-lambda", "cargo-lambda 1.8.6"),
        ("zig", "0.9.1"),
        ("aws", "aws-cli/1.45.11 Python/3.11.2 Linux/6.8.0"),
    ] {
        tools.says(tool, old);
        tools.told(&stage, &[], &[]).is_only("tool-old");
        let (_, said) = SAID.iter().find(|(name, _)| *name == tool).unwrap();
        tools.says(tool, said);
    }
    // zig may be a package of Python's.
    tools.remove("zig");
    tools.says("python3", "0.17.1");
    tools.told(&stage, &[], &[]).is_well();
    tools.says("rustc", "/no/such/folder");
    tools.told(&stage, &[], &[]).is_only("rust-target-missing");
}

#[test]
fn credentials_and_a_region_that_are_missing_or_refused_are_named() {
    let (stage, tools) = (stage(), Tools::new("credentials"));
    let path = tools.folder.to_str().unwrap();
    let without = |name: &str| {
        let variables = [("PATH", Some(path)), (name, None)];
        stage.examined_with(&[], 0, &["preflight"], &variables)
    };
    without("AWS_REGION").is_only("region-missing");
    without("AWS_ACCESS_KEY_ID").is_only("credentials-missing");
    let expired = Change::refuse(&["Action=GetCallerIdentity"], 403, "ExpiredToken");
    tools
        .told(&stage, &[expired], &[])
        .is_only("credentials-refused");
    // A wrong clock is what AWS refuses then, and not the credentials.
    let refused = Change::refuse(&["Action=GetCallerIdentity"], 403, "SignatureDoesNotMatch");
    let variables = [("PATH", Some(path))];
    let told = stage.examined_with(&[refused], 900, &["preflight"], &variables);
    told.is_only("clock-off");
}

#[test]
fn what_the_account_or_region_cannot_do_is_named() {
    let (stage, tools) = (stage(), Tools::new("account"));
    let limited = Change::answer(
        &ACCOUNT_SETTINGS,
        r#"{"AccountLimit":{"ConcurrentExecutions":10}}"#,
    );
    tools
        .told(&stage, &[limited], &[])
        .is_only("concurrency-limit-low");
    let path = tools.folder.to_str().unwrap();
    let china = [("PATH", Some(path)), ("AWS_REGION", Some("cn-north-1"))];
    let told = stage.examined_with(&[], 0, &["preflight"], &china);
    told.is_only("architecture-not-in-region");
    let on_x86 = ["preflight", "--architecture", "x86_64"];
    stage.examined_with(&[], 0, &on_x86, &china).is_well();
    let denied = Change::refuse(&ACCOUNT_SETTINGS, 403, "AccessDeniedException");
    tools.told(&stage, &[denied], &[]).is_only("not-examined");
}

#[test]
fn what_an_earlier_stack_left_is_named() {
    let (stage, tools) = (stage(), Tools::new("left"));
    let wreck = Change::replace(
        &["Action=DescribeStacks"],
        "<StackStatus>CREATE_COMPLETE</StackStatus>",
        "<StackStatus>ROLLBACK_COMPLETE</StackStatus>",
    );
    tools
        .told(&stage, &[wreck], &["--stack", STACK])
        .is_only("stack-failed");
    stage.aws(
        "c('dynamodb').create_table(TableName='coffee-orders', BillingMode='PAY_PER_REQUEST', \
         AttributeDefinitions=[{'AttributeName': 'pk', 'AttributeType': 'S'}], \
         KeySchema=[{'AttributeName': 'pk', 'KeyType': 'HASH'}])",
    );
    let told = tools.told(&stage, &[], &["--stack", "coffee"]);
    stage.aws("c('dynamodb').delete_table(TableName='coffee-orders')");
    told.is_only("name-taken");
}
