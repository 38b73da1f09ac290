//! What people may do by job: the template's policies have the calls that the program makes for it,
//! and no others.

use std::collections::BTreeSet;

use crate::cloud::{Cloud, printed};

/// The actions of a policy for people in the template.
pub(crate) fn actions(policy: &str) -> BTreeSet<String> {
    let template = include_str!("../../../../template.yaml");
    let (_, rest) = template.split_once(&format!("\n  {policy}:\n")).unwrap();
    let block = rest.split("\n\n").next().unwrap();
    let mut actions = BTreeSet::new();
    let mut is_list = false;
    for line in block.lines().map(str::trim) {
        let of_list = line.strip_prefix("- ").filter(|_| is_list);
        let of_line = line.strip_prefix("Action:");
        is_list = of_list.is_some() || of_line.is_some_and(str::is_empty);
        let named = of_line.or(of_list).unwrap_or_default();
        let named = named.trim().trim_matches(['[', ']']);
        let named = named.split(',').map(str::trim);
        actions.extend(named.filter(|call| !call.is_empty()).map(ToOwned::to_owned));
    }
    actions
}

/// What finds the stack's outputs, which each of these commands gets: the shell's `output` on
/// the pages.
fn outputs() -> String {
    let page = include_str!("../../../runbooks/README.md");
    assert!(page.contains("aws cloudformation describe-stacks"));
    "cloudformation:DescribeStacks".to_owned()
}

/// The commands of a group that `cargo client help` lists.
fn commands(cloud: &Cloud, group: &str) -> BTreeSet<String> {
    let help = printed(&cloud.run(&["help"]));
    let begin = format!("  cargo client {group} ");
    let lines = help.lines().filter_map(|line| line.strip_prefix(&begin));
    lines
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect()
}

/// Runs commands of a group that all go well, and checks that none was left out.
pub(crate) fn run_all<'a>(
    cloud: &Cloud,
    group: &str,
    by_doctor: &[&str],
    runs: impl IntoIterator<Item = (&'a [&'a str], std::process::Output)>,
) {
    let mut left = commands(cloud, group);
    for command in by_doctor {
        assert!(left.remove(*command), "{group} {command}");
    }
    for (arguments, output) in runs {
        assert!(
            output.status.success(),
            "{group} {arguments:?}: {}",
            printed(&output)
        );
        left.remove(arguments[0]);
    }
    assert!(left.is_empty(), "{group}: {left:?} were not run");
}

/// The calls that the commands made are those that the policy allows.
#[track_caller]
pub(crate) fn are_those_of(policy: &str, mut calls: BTreeSet<String>) {
    calls.insert(outputs());
    assert_eq!(actions(policy), calls);
}

#[test]
fn the_actions_of_a_policy_are_read_whatever_form_they_have() {
    let redrive = actions("RedrivePolicy");
    for call in [
        "cloudformation:DescribeStacks",
        "sqs:ReceiveMessage",
        "dynamodb:GetRecords",
    ] {
        assert!(redrive.contains(call), "{redrive:?}");
    }
    assert!(!redrive.iter().any(|call| call.contains("Arn")));
}
