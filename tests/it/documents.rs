//! Every command in the README and the runbooks is run as printed, against the stack of `cargo
//! local`. Only the names in capitals, dates and file names are replaced. A new command without a
//! run fails the test.
//!
//! Commands that only work on AWS are checked by the AWS CLI's own model ([`ONLY_AWS`]), and those
//! that cannot be run here at all are listed with their reasons ([`not_run`]).

mod by_hand;
mod certificate;
mod command_run;
mod days;
mod dead_letters;
mod deploy;
mod doctor;
mod domain;
mod functions;
mod keys;
mod logged_fields;
mod merchant_key;
mod not_run;
mod other_region;
mod printed;
mod refunds;
pub(crate) mod rotation;
mod shell;
mod spans;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::one_command::{LeftRunning, address, state_dir};
pub(crate) use certificate::{MERCHANT_KEY, merchant_certificate};
use command_run::{CommandRun, answer};
use keys::EXTERNAL_KEY;
use shell::Shell;

/// What the local engine does not do. The CLI itself checks the arguments and answers with a
/// sample.
const ONLY_AWS: [(&str, &str); 1] = [(
    "/aws/vendedlogs/apis/",
    "the engine's API writes no access log",
)];

/// The first page for on-call.
const ON_CALL: &str = "infra/runbooks/README.md";

/// The page on deployments.
const DEPLOY: &str = "infra/DEPLOY.md";

/// The order of the README.
const TEA: [(&str, &str); 1] = [("ORDER_NO", "TEA-0001")];

#[test]
fn every_command_that_the_documents_print_runs_as_it_stands() {
    let state = state_dir("documents");
    let mut running = LeftRunning::start(&state);
    let invitation = running.read_invitation();
    let (steps, invitation) = invitation
        .split_once("Running until Ctrl-C.")
        .expect("the line that says so");
    // The day that was reconciled. It may be over by now.
    let day = steps
        .split_whitespace()
        .find_map(|word| word.strip_prefix("date="))
        .expect("the day's step")
        .to_owned();
    let api = address(invitation, "API").to_owned();
    let simulator = address(invitation, "phone")
        .trim_end_matches("/phone")
        .to_owned();
    let engine = address(invitation, "engine").to_owned();
    let admin = |path: &str, body: Value| {
        let answer = shell::post(&format!("{simulator}/admin/{path}"), &body.to_string());
        assert!(answer.starts_with("HTTP/1.1 2"), "{path} {body}: {answer}");
    };
    let settings = state.join("client.json").to_str().expect("text").to_owned();
    let details = std::fs::read_to_string(state.join("wechatpay.json")).expect("details");
    let details: Value = serde_json::from_str(&details).expect("JSON");
    let detail = |name: &str| details[name].as_str().expect("a detail").to_owned();

    let shell = Shell::new(&state.join("shell"), &engine);
    let mut testbed = CommandRun {
        shell,
        printed: printed::all(),
        ran: BTreeSet::new(),
    };
    let here = [("ap-east-1", local::engine::REGION)];
    testbed.run(ON_CALL, "export AWS_REGION", &here);
    let client_settings = [("shop.json", settings.as_str())];
    testbed.run(ON_CALL, "export CLIENT_SETTINGS", &client_settings);
    testbed.run(ON_CALL, "cargo client help", &[]);
    let printed = testbed.run(ON_CALL, "aws cloudformation describe-stacks", &[]);
    assert!(printed.contains("ReconcileAt"), "{printed}");

    by_hand::run_commands(&mut testbed, &admin);
    spans::are_looked_at(&mut testbed, &admin);
    doctor::run_commands(&mut testbed);
    deploy::is_followed(&mut testbed, &api, &detail, &admin);
    testbed.run(ON_CALL, "export CLIENT_SETTINGS", &client_settings);

    domain::run_commands(&mut testbed);
    let mchid = detail("mchid");
    keys::run_commands(&mut testbed, &detail);
    refunds::parked_money(&mut testbed, &simulator, &admin);
    refunds::unfinished_refunds(&mut testbed, &admin);
    dead_letters::run_commands(&mut testbed);
    functions::run_commands(&mut testbed, &simulator, &admin);
    doctor::put_back(&mut testbed);
    days::reconciled_day(&mut testbed, &day, &mchid);
    refunds::payer_paid(&mut testbed);

    // Something that is refused, with its causes.
    let refused = shell::post(&format!("{api}/v1/callbacks/wechatpay"), "{}");
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    let lines = testbed.run("error-lines.md", "for function in", &[]);
    logged_fields::queried_fields_are_in_the_lines(&lines);

    // callbacks.md
    let came_in = "aws logs filter-log-events --log-group-name";
    testbed.run("callbacks.md", came_in, &[]);
    testbed.run("callbacks.md", "logs receive-callback", &[]);

    days::restore(&mut testbed, &day, &mchid);
    other_region::takes_over(&mut testbed);

    let left = testbed.left();
    assert!(
        left.is_empty(),
        "printed and neither run nor named: {left:#?}"
    );
    assert_eq!(running.interrupt().code(), Some(0));
    std::fs::remove_dir_all(&state).expect("the state directory");
}
