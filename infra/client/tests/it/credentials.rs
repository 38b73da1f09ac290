//! Where the program takes its credentials from: the environment, and the profiles that AWS's other
//! programs have. Every call names the key that it was signed with, and goes by that key to the
//! engine.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::cloud::printed;
use crate::doctor::front::Change;
use crate::doctor::stage::{STACK, Stage, stage};

/// Keys by which the front recognises the caller.
const OF_PROFILE: &str = "AKIAPROFILE";
const OF_PROCESS: &str = "AKIAPROCESS";
const OF_SESSION: &str = "ASIASESSION";
/// As STS's begin, which the engine gives out.
const OF_STS: &str = "ASIA";
/// What the stage's commands have in their environment.
const OF_ENVIRONMENT: &str = "test";

/// The home of a person, with AWS's files.
struct Home {
    folder: PathBuf,
}

impl Home {
    fn new(name: &str, config: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("client-home-{name}"));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(folder.join(".aws/sso/cache")).unwrap();
        let home = Self { folder };
        home.write(".aws/config", config);
        home
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A program that prints this.
    fn program(&self, name: &str, prints: &str) -> String {
        let path = self.write(name, &format!("#!/bin/sh\necho '{prints}'\n"));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    /// The token of an SSO session, as the AWS CLI stores it under the SHA-1 of the session's name.
    fn token_of_staff(&self, expires_at: &str) {
        let token = serde_json::json!({
            "accessToken": "bearer", "expiresAt": expires_at, "region": "us-east-1", "startUrl": "https://staff.awsapps.example/start",
        });
        let name = ".aws/sso/cache/6ccb4b7c39a6e77f76ecfa935a855c6c46ad5611.json";
        self.write(name, &token.to_string());
    }

    /// Runs a command that reads queues and changes nothing, with keys in the environment or
    /// without.
    fn run(
        &self,
        stage: &Stage,
        changes: &[Change],
        has_keys: bool,
        more: (&[&str], &[(&str, &str)]),
    ) -> Output {
        let (arguments, variables) = more;
        let dry_run = ["redrive", "payment-requests", "--dry-run", "--stack", STACK];
        let mut command = stage.command(&[&dry_run, arguments].concat());
        if !has_keys {
            command
                .env_remove("AWS_ACCESS_KEY_ID")
                .env_remove("AWS_SECRET_ACCESS_KEY");
        }
        command
            .env("HOME", &self.folder)
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_DEFAULT_REGION")
            .env_remove("AWS_CONFIG_FILE")
            .env_remove("AWS_SHARED_CREDENTIALS_FILE")
            .envs(variables.iter().copied());
        stage.front.set(changes, 0);
        let output = command.output().unwrap();
        stage.front.end();
        output
    }
}

/// Expects that the stack's outputs are requested with a key that begins so: else the front ends
/// with a failure.
fn signed_by(key: &str) -> Change {
    let credential = format!("Credential={key}");
    let status = "<StackStatus>CREATE_COMPLETE</StackStatus>";
    Change::replace(&[&credential, "Action=DescribeStacks"], status, status)
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", printed(output));
}

/// It fails with this text, and has made no call.
#[track_caller]
fn fails_by(output: &Output, texts: &[&str]) {
    let printed = printed(output);
    assert!(!output.status.success(), "{printed}");
    for text in texts {
        assert!(printed.contains(text), "{text}: {printed}");
    }
}

const STATIC: &str = "\
[profile shop]
aws_access_key_id = AKIAPROFILE
aws_secret_access_key = secret
[profile elsewhere]
region = eu-central-1
aws_access_key_id = AKIAELSEWHERE
aws_secret_access_key = secret
";

#[test]
fn a_profile_is_named_by_an_option_or_a_variable_and_keys_in_the_environment_go_before_the_variable()
 {
    let (stage, home) = (stage(), Home::new("static", STATIC));
    let by_option: (&[&str], &[(&str, &str)]) = (&["--profile", "shop"], &[]);
    let by_variable: (&[&str], &[(&str, &str)]) = (&[], &[("AWS_PROFILE", "shop")]);
    for more in [by_option, by_variable] {
        succeeds(&home.run(&stage, &[signed_by(OF_PROFILE)], false, more));
    }
    // Keys in the environment are what the variable would only stand in for.
    succeeds(&home.run(&stage, &[signed_by(OF_ENVIRONMENT)], true, by_variable));
    // Who names a profile by hand means that one.
    succeeds(&home.run(&stage, &[signed_by(OF_PROFILE)], true, by_option));
}

#[test]
fn the_region_is_the_environment_s_or_the_profile_s() {
    let (stage, home) = (stage(), Home::new("region", STATIC));
    let in_frankfurt = "/eu-central-1/cloudformation/aws4_request";
    let asked = ["Credential=AKIAELSEWHERE/", in_frankfurt];
    let refused = Change::refuse(&asked, 403, "AccessDenied");
    let arguments = ["--profile", "elsewhere"];
    let output = home.run(
        &stage,
        &[refused],
        false,
        (&arguments, &[("AWS_REGION", "")]),
    );
    fails_by(&output, &["AccessDenied"]);
    let none: (&[&str], &[(&str, &str)]) = (&["--profile", "shop"], &[("AWS_REGION", "")]);
    let output = home.run(&stage, &[], false, none);
    fails_by(
        &output,
        &["the profile shop says which region", "export AWS_REGION"],
    );
}

#[test]
fn a_process_that_a_profile_names_gives_credentials_and_is_named_where_it_gives_none() {
    let (stage, home) = (stage(), Home::new("process", ""));
    let prints = format!(
        r#"{{"Version":1,"AccessKeyId":"{OF_PROCESS}","SecretAccessKey":"secret","SessionToken":"token"}}"#
    );
    let good = home.program("good", &prints);
    let bad = home.program("bad", "no agent");
    let config = format!(
        "[profile good]\ncredential_process = {good}\n[profile bad]\ncredential_process = {bad}\n"
    );
    home.write(".aws/config", &config);
    let named: (&[&str], &[(&str, &str)]) = (&["--profile", "good"], &[]);
    succeeds(&home.run(&stage, &[signed_by(OF_PROCESS)], false, named));
    let output = home.run(&stage, &[], false, (&["--profile", "bad"], &[]));
    fails_by(&output, &["run the credential_process of the profile bad"]);
}

const SSO: &str = "\
[sso-session staff]
sso_start_url = https://staff.awsapps.example/start
sso_region = us-east-1
sso_registration_scopes = sso:account:access
[profile shop]
sso_session = staff
sso_account_id = 111111111111
sso_role_name = operator
[profile on-call]
role_arn = arn:aws:iam::000000000000:role/operator
source_profile = shop
";

/// As SSO's portal answers who shows this session's token.
fn role_credentials() -> Change {
    let asked = ["/federation/credentials?", "x-amz-sso_bearer_token: bearer"];
    let body = format!(
        r#"{{"roleCredentials":{{"accessKeyId":"{OF_SESSION}","secretAccessKey":"secret","sessionToken":"token","expiration":4102444800000}}}}"#
    );
    Change::answer(&asked, &body)
}

#[test]
fn a_session_of_sso_gives_credentials_and_one_that_is_over_says_how_to_sign_in() {
    let (stage, home) = (stage(), Home::new("sso", SSO));
    let shop: (&[&str], &[(&str, &str)]) = (&["--profile", "shop"], &[]);
    home.token_of_staff("2100-01-01T00:00:00Z");
    succeeds(&home.run(
        &stage,
        &[role_credentials(), signed_by(OF_SESSION)],
        false,
        shop,
    ));
    home.token_of_staff("2026-01-01T00:00:00Z");
    let over = [
        "the profile shop gives no credentials",
        "`aws sso login --profile shop`",
    ];
    fails_by(&home.run(&stage, &[], false, shop), &over);
    // A role that is taken on from it: the session is that of its source.
    let on_call: (&[&str], &[(&str, &str)]) = (&[], &[("AWS_PROFILE", "on-call")]);
    let of_source = [
        "the profile on-call gives",
        "`aws sso login --profile shop`",
    ];
    fails_by(&home.run(&stage, &[], false, on_call), &of_source);
}

const ROLES: &str = "\
[profile staff]
aws_access_key_id = AKIAPROFILE
aws_secret_access_key = secret
[profile operator]
role_arn = arn:aws:iam::000000000000:role/operator
source_profile = staff
[profile guarded]
role_arn = arn:aws:iam::000000000000:role/guarded
source_profile = staff
mfa_serial = arn:aws:iam::000000000000:mfa/staff
";

#[test]
fn a_role_is_taken_on_and_one_that_wants_a_code_says_who_asks_for_it() {
    let (stage, home) = (stage(), Home::new("roles", ROLES));
    let taken_on = [
        "Credential=AKIAPROFILE/",
        "Action=AssumeRole",
        "role%2Foperator",
    ];
    let is_session = Change::replace(&taken_on, "<SessionToken>", "<SessionToken>");
    let operator: (&[&str], &[(&str, &str)]) = (&["--profile", "operator"], &[]);
    succeeds(&home.run(&stage, &[is_session, signed_by(OF_STS)], false, operator));
    let wants_a_code = Change::refuse(
        &["Action=AssumeRole", "role%2Fguarded"],
        403,
        "AccessDenied",
    );
    let guarded: (&[&str], &[(&str, &str)]) = (&["--profile", "guarded"], &[]);
    let output = home.run(&stage, &[wants_a_code], false, guarded);
    fails_by(
        &output,
        &[
            "mfa_serial",
            "aws configure export-credentials --profile guarded --format env",
        ],
    );
}

#[test]
fn without_credentials_the_error_says_how_to_name_some() {
    let (stage, home) = (stage(), Home::new("none", STATIC));
    let output = home.run(&stage, &[], false, (&[], &[]));
    fails_by(
        &output,
        &["there are no credentials", "--profile or AWS_PROFILE"],
    );
    let unknown: (&[&str], &[(&str, &str)]) = (&["--profile", "tea"], &[]);
    let output = home.run(&stage, &[], false, unknown);
    fails_by(&output, &["no profile tea", "aws configure list-profiles"]);
    // Half of a pair of keys is a mistake, and no reason to take others.
    let half: (&[&str], &[(&str, &str)]) = (&[], &[("AWS_ACCESS_KEY_ID", "AKIAHALF")]);
    let output = home.run(&stage, &[], false, half);
    fails_by(&output, &["AWS_SECRET_ACCESS_KEY is missing"]);
}
