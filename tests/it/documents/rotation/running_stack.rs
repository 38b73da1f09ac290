//! The stack of `cargo local` that runs, a shell in which keys.md is followed, and WeChat Pay as it
//! is simulated.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use runtime::clock::Clock;
use serde_json::{Value, json};

use super::super::{
    CommandRun, ON_CALL, answer, merchant_certificate, printed,
    shell::{self, Shell},
};
use super::{A_MINUTE, PAGE};
use crate::one_command::address;

/// All functions, whose logs are read.
const FUNCTIONS: [&str; 7] = [
    "create-order",
    "manage-order",
    "receive-callback",
    "process-payment",
    "reconcile",
    "send-webhook",
    "console",
];

/// What lines about failed calls and refused messages carry.
const FAILURES: [&str; 6] = [
    "WechatCallsFailed",
    "MerchantRefusals",
    "AnswersUnverified",
    "CallbacksUnverified",
    "CallbacksRefused",
    "WebhooksNotTaken",
];

/// What lines say where AWS did not answer within its limit.
const TIME_OUTS: [&str; 3] = [
    "operation timeout",
    "not counted in time",
    "not read and unsealed within",
];

/// What runs, and a shell in which keys.md is followed.
pub(super) struct RunningStack {
    pub(super) testbed: CommandRun,
    state: PathBuf,
    pub(super) simulator: String,
    pub(super) api: String,
    pub(super) details: Value,
    since_ms: i64,
}

impl RunningStack {
    pub(super) fn of(state: &Path, invitation: &str) -> Self {
        let simulator = address(invitation, "phone");
        let details = std::fs::read_to_string(state.join("wechatpay.json")).expect("details");
        let shell = Shell::new(&state.join("shell"), address(invitation, "engine"));
        let mut testbed = CommandRun {
            shell,
            printed: printed::all(),
            ran: BTreeSet::new(),
        };
        let here = [("ap-east-1", local::engine::REGION)];
        testbed.run(ON_CALL, "export AWS_REGION", &here);
        testbed.run(PAGE, "export WECHATPAY_MCHID", &[]);
        testbed.run(PAGE, "export MERCHANT_SIGNING_KEY_ID", &[]);
        Self {
            testbed,
            state: state.to_owned(),
            simulator: simulator.trim_end_matches("/phone").to_owned(),
            api: address(invitation, "API").to_owned(),
            details: serde_json::from_str(&details).expect("JSON"),
            since_ms: Clock::system().now_ms(),
        }
    }

    pub(super) fn run(&mut self, begin: &str, values: &[(&str, &str)]) -> String {
        self.testbed.run(PAGE, begin, values)
    }

    /// A command that the page does not print.
    pub(super) fn shell(&self, script: &str) -> String {
        let printed = self.testbed.shell.run(script, "");
        printed.unwrap_or_else(|printed| panic!("`{script}`: {printed}"))
    }

    /// A file in the shell's folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.testbed.shell.path(name)
    }

    pub(super) fn detail(&self, name: &str) -> String {
        self.details[name].as_str().expect("a detail").to_owned()
    }

    /// At WeChat Pay: the merchant platform, or WeChat Pay itself.
    pub(super) fn admin(&self, path: &str, body: &Value) -> Value {
        let said = shell::post(
            &format!("{}/admin/{path}", self.simulator),
            &body.to_string(),
        );
        assert!(said.starts_with("HTTP/1.1 2"), "{path} {body}: {said}");
        let (_, body) = said.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).unwrap_or_default()
    }

    pub(super) fn wechat(&self, path: &str) -> Value {
        let said = shell::get(&format!("{}/admin/{path}", self.simulator));
        serde_json::from_str(&said).expect("JSON")
    }

    /// The merchant's certificates that are valid at WeChat Pay.
    pub(super) fn merchant_serials(&self) -> Vec<String> {
        let merchant = self.wechat("merchant");
        let certificates = merchant["certificates"].as_array().expect("a list").iter();
        let valid = certificates.filter(|it| it["is_valid"] == true);
        let serial = |it: &Value| it["serial"].as_str().expect("a number").to_owned();
        valid.map(serial).collect()
    }

    /// How many requests were signed under a certificate.
    pub(super) fn signed_under(&self, serial: &str) -> u64 {
        let merchant = self.wechat("merchant");
        let mut certificates = merchant["certificates"].as_array().expect("a list").iter();
        let found = certificates.find(|it| it["serial"] == serial);
        found
            .and_then(|it| it["requests"].as_u64())
            .expect("a count")
    }

    /// The merchant platform gives a certificate: of a private key, or for a request.
    pub(super) fn certified(&self, of: &str, serial: &str, file: &str) {
        let certificate = merchant_certificate(of, &self.detail("mchid"), serial);
        self.testbed.shell.write(file, &certificate);
        let body = json!({ "certificate": certificate });
        self.admin("merchant/certificates", &body);
    }

    /// The merchant revokes a certificate on the merchant platform. Nothing names it any more.
    pub(super) fn revokes(&self, serial: &str) {
        let path = format!("/admin/merchant/certificates/{serial}");
        let said = shell::delete(&format!("{}{path}", self.simulator));
        assert!(said.starts_with("HTTP/1.1 204"), "{said}");
    }

    /// `sam deploy --parameter-overrides` with these.
    pub(super) fn deploys(&mut self, parameters: &[&str]) {
        let local = Path::new(env!("CARGO_BIN_EXE_faults")).with_file_name("local");
        let (mut deploy, begin) = (Command::new(local), Instant::now());
        deploy.arg("deploy").args(parameters);
        let deployed = deploy.arg("--state").arg(&self.state).output();
        let deployed = deployed.expect("cargo local");
        let said = String::from_utf8_lossy(&deployed.stderr);
        assert!(deployed.status.success(), "{parameters:?}: {said}");
        assert_eq!(deployed.stdout, b"deployed\n", "{parameters:?}");
        self.testbed.shell.forget_outputs();
        println!("deployed {parameters:?} in {:?}", begin.elapsed());
    }

    /// WeChat Pay's journal of callbacks: none was refused, but where a queue did not answer.
    pub(super) fn no_callback_was_refused(&self, time_outs: &[Value]) {
        let not_queued = |line: &&Value| line["message"] == "callback not acknowledged";
        let mut excused = time_outs.iter().filter(not_queued).count();
        let callbacks = self.delivered_callbacks();
        assert!(!callbacks.is_empty());
        for callback in &callbacks {
            for one in callback["tries"].as_array().expect("tries") {
                if one["failure"].is_null() && one["status"] == 204 {
                    continue;
                }
                assert!(excused > 0 && one["status"] == 500, "{callback:#}");
                excused -= 1;
            }
        }
    }

    /// All callbacks since the keys were changed, when none waits any more.
    fn delivered_callbacks(&self) -> Vec<Value> {
        let deadline = Instant::now() + A_MINUTE;
        loop {
            let callbacks = self.wechat("callbacks");
            let mut callbacks = callbacks.as_array().expect("a list").clone();
            callbacks.retain(|it| it["created_ms"].as_i64() >= Some(self.since_ms));
            let waits = callbacks.iter().find(|it| it["status"] != "delivered");
            match waits {
                None => return callbacks,
                Some(waits) => assert!(Instant::now() < deadline, "{waits:#}"),
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Lines of functions that say that AWS did not answer in time. No other line is above INFO, or
    /// counts a failure.
    pub(super) fn time_outs_and_no_other_warning(&self) -> Vec<Value> {
        let (mut count, mut time_outs) = (0, Vec::new());
        for function in FUNCTIONS {
            let group = format!("/aws/lambda/$STACK-{function}");
            let printed = self.shell(&format!(
                "aws logs filter-log-events --log-group-name \"{group}\" --start-time {} --query 'events[].message' \
                 --output json",
                self.since_ms
            ));
            let lines: Vec<String> = serde_json::from_value(answer(&printed)).expect("lines");
            for text in &lines {
                let Ok(line) = serde_json::from_str::<Value>(text) else {
                    continue;
                };
                count += 1;
                let is_failure = FAILURES.iter().any(|name| !line[name].is_null());
                if line["level"] == "INFO" && !is_failure {
                    continue;
                }
                let is_time_out = TIME_OUTS.iter().any(|said| text.contains(said));
                assert!(is_time_out, "{function}: {line:#}");
                time_outs.push(line);
            }
        }
        assert!(count > 0, "no line was found");
        time_outs
    }
}
