//! The AWS side.

mod resources;
mod roles;
mod running;

use super::front::Change;
use super::receiver::Answers;
use super::stage::{STACK, Stage, stage};
use super::wechat::certificate;
use crate::policies::actions;

/// Breaks something by an SDK call, expects the one finding, mends it by another.
#[track_caller]
fn breaks(stage: &Stage, id: &str, breaking: &str, mending: &str) {
    stage.aws(breaking);
    let run = stage.doctor();
    stage.aws(mending);
    run.is_only(id);
}

/// Puts back what a test broke, where it fails before that.
struct PutBack<'a>(&'a Stage, &'a str);

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.aws(self.1);
        }
    }
}

/// Breaks something by an SDK call, expects the one finding, and mends it by the commands that the
/// finding names.
#[track_caller]
fn breaks_and_is_mended_as_it_says(stage: &Stage, id: &str, breaking: &str, mending: &str) {
    let put_back = PutBack(stage, mending);
    stage.aws(breaking);
    let run = stage.doctor();
    run.is_only(id);
    stage.follow(&run);
    stage.doctor().is_well();
    drop(put_back);
}

const PARAMETERS: &str = "Action=DescribeStacks";

#[test]
fn a_stack_as_it_stands_after_a_deployment_has_nothing_wrong() {
    let stage = stage();
    let run = stage.doctor();
    run.is_well();
    assert_eq!(run.report["worst"], serde_json::Value::Null);
    let by_hand = run.report["not_proved"].as_array().unwrap();
    assert!(by_hand.len() >= 7, "{by_hand:?}");
    for title in ["the stack", "KMS keys", "alarms", "WeChat Pay"] {
        let line = format!("examining {title} ...\n");
        assert!(run.progress.contains(&line), "{}", run.progress);
    }
}

#[test]
fn the_policy_for_it_has_the_calls_that_it_makes_and_no_other() {
    let stage = stage();
    let mut calls = stage.doctor().calls;
    // Where KMS signs, and where the account has no quota of its own.
    let by_kms = Change::replace(
        &[PARAMETERS],
        "<ParameterValue>sealed</ParameterValue>",
        "<ParameterValue>kms</ParameterValue>",
    );
    let default = Change::refuse(
        &["ServiceQuotasV20190624.GetServiceQuota"],
        400,
        "NoSuchResourceException",
    );
    let serial = &stage.wechat.details.merchant_serial;
    let own = stage.wechat.merchant_private_key();
    let file = certificate(&stage, "policy", serial, 300, own);
    let of_certificate = ["--merchant-certificate-file", &file];
    // The certificate is of another key than KMS has, which leaves out what is signed.
    for arguments in [&[][..], &of_certificate] {
        let run = stage.doctor_with(&[by_kms.clone(), default.clone()], arguments);
        calls.extend(run.calls);
    }
    calls.extend(
        stage
            .examined(&[], 0, &["keys", "status", "--stack", STACK])
            .calls,
    );
    assert_eq!(calls, actions("DoctorPolicy"));
}

#[test]
fn a_clock_that_is_off_is_found_before_anything_fails_of_it() {
    let stage = stage();
    for (ahead_s, severity) in [
        (60, "warning"),
        (-60, "warning"),
        (400, "error"),
        (-400, "error"),
    ] {
        let run = stage.doctor_ahead_of(ahead_s);
        run.is_only("clock-off");
        let finding = &run.report["findings"][0];
        assert_eq!(finding["severity"], severity, "{ahead_s}");
        let way = if ahead_s > 0 { "ahead" } else { "behind" };
        assert!(
            finding["evidence"].as_str().unwrap().contains(way),
            "{finding}"
        );
    }
    stage.doctor_ahead_of(10).is_well();
    // AWS refuses what is signed by it, and tells its time all the same.
    let refused = Change::refuse(&[PARAMETERS], 403, "SignatureDoesNotMatch");
    let run = stage.examined(&[refused], 400, &["doctor", "--stack", STACK]);
    run.is_only("clock-off");
}

#[test]
fn a_stack_that_is_not_there_or_not_whole_is_found() {
    let stage = stage();
    let run = stage.examined(&[], 0, &["doctor", "--stack", "coffee"]);
    run.is_only("stack-missing");
    let left_out = run.report["left_out"].as_array().unwrap().len();
    assert_eq!(left_out, 11, "{:#}", run.report);
    let in_state = |state: &str| {
        Change::replace(
            &[PARAMETERS],
            "<StackStatus>CREATE_COMPLETE</StackStatus>",
            &format!("<StackStatus>{state}</StackStatus>"),
        )
    };
    for (state, id) in [
        ("UPDATE_ROLLBACK_COMPLETE", "stack-rolled-back"),
        ("UPDATE_IN_PROGRESS", "stack-in-change"),
        ("ROLLBACK_COMPLETE", "stack-failed"),
        ("UPDATE_ROLLBACK_FAILED", "stack-failed"),
        ("DELETE_IN_PROGRESS", "stack-failed"),
    ] {
        stage.doctor_where(&[in_state(state)]).is_only(id);
    }
    // The name of a stack whose first change set nobody executed.
    let run = stage.doctor_where(&[in_state("REVIEW_IN_PROGRESS")]);
    run.is_only("stack-never-made");
    assert_eq!(run.status, Some(4), "{:#}", run.report);
    let next_step = run.report["findings"][0]["next_step"].as_str().unwrap();
    let delete = "aws cloudformation delete-stack --stack-name tea`";
    assert!(next_step.contains(delete), "{next_step}");
    // What to do next is what the page on deployments prints.
    let page = include_str!("../../../../DEPLOY.md");
    let mut lines = page.lines();
    let delete = lines.find(|line| line.starts_with("aws cloudformation delete-stack"));
    let delete = delete.unwrap().replace("\"$STACK\"", STACK);
    for (state, command) in [
        ("ROLLBACK_COMPLETE", delete.as_str()),
        ("DELETE_FAILED", delete.as_str()),
        (
            "DELETE_IN_PROGRESS",
            "aws cloudformation wait stack-delete-complete --stack-name tea",
        ),
        (
            "UPDATE_ROLLBACK_FAILED",
            "aws cloudformation continue-update-rollback --stack-name tea",
        ),
    ] {
        let run = stage.doctor_where(&[in_state(state)]);
        let next_step = run.report["findings"][0]["next_step"].as_str().unwrap();
        assert!(next_step.contains(command), "{state}: {next_step}");
    }
    stage.doctor_where(&[in_state("UPDATE_COMPLETE")]).is_well();
    let other = Change::replace(
        &[PARAMETERS],
        "<OutputKey>NoticesTableName</OutputKey>",
        "<OutputKey>Other</OutputKey>",
    );
    stage
        .doctor_where(&[other])
        .is_only("stack-outputs-missing");
}

#[test]
fn a_check_that_is_not_permitted_says_so_and_the_others_are_made() {
    let stage = stage();
    let denied = |asked: &str| Change::refuse(&[asked], 400, "AccessDeniedException");
    for asked in [
        "GraniteServiceVersion20100801.DescribeAlarms",
        "TrentService.GetKeyRotationStatus",
        "DynamoDB_20120810.DescribeContinuousBackups",
        "/schedules/tea-sweep",
        PARAMETERS,
    ] {
        let run = stage.doctor_where(&[denied(asked)]);
        run.is_only("not-examined");
        let finding = &run.report["findings"][0];
        assert!(
            finding["evidence"]
                .as_str()
                .unwrap()
                .contains("AccessDenied"),
            "{finding}"
        );
        assert!(
            finding["next_step"]
                .as_str()
                .unwrap()
                .contains("permission"),
            "{finding}"
        );
    }
}

#[test]
fn a_person_reads_the_same_as_a_program() {
    let stage = stage();
    stage.receiver.answer_as(Answers {
        console: (200, ""),
        ..Answers::default()
    });
    let output = stage.plain(&["doctor", "--stack", STACK]);
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("stack tea in us-east-1: errors: 1, warnings: "),
        "{text}"
    );
    assert!(
        text.contains("\nERROR console-open\n  Anyone who knows"),
        "{text}"
    );
    assert!(text.contains("  next: deploy with ConsoleIssuer"), "{text}");
    assert!(
        text.contains("Not proved here; tick it by hand:\n  [ ] "),
        "{text}"
    );
}
