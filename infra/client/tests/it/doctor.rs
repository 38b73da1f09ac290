//! `doctor` and `preflight` as programs, against the template deployed on the local engine and the
//! simulator. Each way of being wrong is brought about, and that finding comes and no other.

mod account;
mod findings;
pub(crate) mod front;
mod keys_status;
mod preflight;
mod receiver;
pub(crate) mod stage;
mod wechat;

use std::collections::BTreeSet;
use std::process::Output;

use serde_json::Value;

use crate::cloud::printed;

/// Findings whose cause can be a change outside CloudFormation, which no deployment repairs: their
/// next step is the section that does.
const CHANGED_BY_HAND: [&str; 22] = [
    "alarm-tells-nobody",
    "alarms-missing",
    "alias-gone",
    "concurrency-not-reserved",
    "console-open",
    "function-gone",
    "function-not-ready",
    "function-switched-off",
    "index-not-active",
    "kms-policy-changed",
    "not-released",
    "queue-gone",
    "queue-not-encrypted",
    "queue-policy-open",
    "queue-policy-shut",
    "queue-under-another-key",
    "queue-without-dead-letters",
    "role-gone",
    "role-may-not",
    "schedule-off",
    "table-gone",
    "table-not-encrypted",
];

/// What the program printed.
pub(crate) struct DoctorRun {
    pub(crate) status: Option<i32>,
    pub(crate) report: Value,
    /// What went to standard error.
    pub(crate) progress: String,
    /// What AWS was asked for.
    pub(crate) calls: BTreeSet<String>,
}

impl DoctorRun {
    #[track_caller]
    fn read(output: &Output, calls: BTreeSet<String>) -> Self {
        let report = serde_json::from_slice(&output.stdout);
        Self {
            status: output.status.code(),
            report: report.unwrap_or_else(|error| panic!("{error}: {}", printed(output))),
            progress: String::from_utf8_lossy(&output.stderr).into_owned(),
            calls,
        }
    }

    /// The kinds of findings, each once.
    pub(crate) fn ids(&self) -> Vec<&str> {
        let findings = self.report["findings"].as_array().unwrap();
        let mut ids: Vec<&str> = findings
            .iter()
            .map(|finding| finding["id"].as_str().unwrap())
            .collect();
        ids.dedup();
        ids
    }

    /// This finding came and no other, whole, and the exit status says how bad it is.
    #[track_caller]
    pub(crate) fn is_only(&self, id: &str) {
        assert_eq!(self.ids(), [id], "{:#}", self.report);
        let worst = &self.report["worst"];
        assert_eq!(
            self.status,
            Some(if worst == "error" { 4 } else { 3 }),
            "{:#}",
            self.report
        );
        for finding in self.report["findings"].as_array().unwrap() {
            for part in ["cause", "evidence", "next_step"] {
                let text = finding[part].as_str().unwrap();
                assert!(!text.trim().is_empty(), "{part}: {finding:#}");
            }
            let next_step = finding["next_step"].as_str().unwrap();
            assert!(!next_step.contains("deploy the stack again"), "{finding:#}");
            if CHANGED_BY_HAND.contains(&id) {
                let section = "infra/runbooks/doctor.md, Put back what was changed by hand";
                assert!(next_step.contains(section), "{finding:#}");
            }
        }
    }

    #[track_caller]
    pub(crate) fn is_well(&self) {
        assert!(self.ids().is_empty(), "{:#}", self.report);
        assert_eq!(self.status, Some(0));
        assert_eq!(self.report["left_out"].as_array().unwrap().len(), 0);
    }
}
