//! The one place that prints findings, and what the exit status says.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::finding::{Finding, Severity};

/// Where nothing is wrong.
const WELL: u8 = 0;
/// Where there are warnings, and no errors. 1 is a program that could not run, 2 a command line
/// that it does not understand.
const WARNINGS: u8 = 3;
/// Where there are errors.
const ERRORS: u8 = 4;

/// What the exit status says of the worst that was found.
pub(crate) fn exit_code(worst: Option<Severity>) -> u8 {
    match worst {
        None => WELL,
        Some(Severity::Warning) => WARNINGS,
        Some(Severity::Error) => ERRORS,
    }
}

/// Everything that is reported at the end.
#[derive(Debug)]
pub(crate) struct Report {
    /// What was examined, such as `stack wechatpay in ap-east-1`.
    pub(crate) subject: String,
    pub(crate) findings: Vec<Finding>,
    /// Checks that were not made, since an earlier one says why they would fail.
    pub(crate) left_out: Vec<&'static str>,
    /// What the checks could not prove, and what no program can.
    pub(crate) not_proved: Vec<String>,
}

impl Report {
    /// The worst finding first; of one severity in the order of the checks.
    pub(crate) fn new(
        subject: String,
        mut findings: Vec<Finding>,
        left_out: Vec<&'static str>,
        not_proved: Vec<String>,
    ) -> Self {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Self {
            subject,
            findings,
            left_out,
            not_proved,
        }
    }

    pub(crate) fn print(&self, as_json: bool) -> ExitCode {
        if as_json {
            println!("{:#}", self.json());
        } else {
            print!("{}", self.text());
        }
        ExitCode::from(self.status())
    }

    fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    fn status(&self) -> u8 {
        exit_code(self.worst())
    }

    fn json(&self) -> Value {
        json!({
            "subject": self.subject,
            "worst": self.worst(),
            "findings": self.findings,
            "left_out": self.left_out,
            "not_proved": self.not_proved,
        })
    }

    fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.subject, self.verdict());
        for finding in &self.findings {
            text.push_str(&format!(
                "\n{} {}\n  {}\n  seen: {}\n  next: {}\n",
                finding.severity.name().to_uppercase(),
                finding.id,
                finding.cause,
                finding.evidence,
                finding.next_step
            ));
        }
        if !self.left_out.is_empty() {
            let left_out = self.left_out.join(", ");
            text.push_str(&format!(
                "\nNot examined because of the errors above: {left_out}\n"
            ));
        }
        if !self.not_proved.is_empty() {
            text.push_str("\nNot proved here; tick it by hand:\n");
            for line in &self.not_proved {
                text.push_str(&format!("  [ ] {line}\n"));
            }
        }
        text
    }

    fn verdict(&self) -> String {
        let count = |severity| {
            let of_it = self
                .findings
                .iter()
                .filter(|finding| finding.severity == severity);
            of_it.count()
        };
        match (count(Severity::Error), count(Severity::Warning)) {
            (0, 0) => "nothing wrong was found".to_owned(),
            (errors, warnings) => format!("errors: {errors}, warnings: {warnings}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(severities: &[Severity]) -> Report {
        let findings = severities.iter().map(|severity| Finding {
            id: "some-finding",
            severity: *severity,
            cause: "cause".to_owned(),
            evidence: "evidence".to_owned(),
            next_step: "next step".to_owned(),
        });
        Report::new(
            "stack".to_owned(),
            findings.collect(),
            Vec::new(),
            vec!["a line".to_owned()],
        )
    }

    #[test]
    fn the_exit_status_is_that_of_the_worst_finding() {
        use Severity::{Error, Warning};
        assert_eq!(report(&[]).status(), 0);
        assert_eq!(report(&[Warning, Warning]).status(), 3);
        assert_eq!(report(&[Warning, Error, Warning]).status(), 4);
    }

    #[test]
    fn the_worst_is_told_first_with_cause_evidence_and_next_step() {
        let report = report(&[Severity::Warning, Severity::Error]);
        let text = report.text();
        assert!(
            text.starts_with(
                "stack: errors: 1, warnings: 1\n\nERROR some-finding\n  cause\n  seen: evidence\n  next: next step\n\nWARNING"
            ),
            "{text}"
        );
        assert!(text.ends_with("  [ ] a line\n"), "{text}");
        let json = report.json();
        assert_eq!(json["worst"], "error");
        assert_eq!(json["findings"][0]["severity"], "error");
        assert_eq!(json["findings"][1]["next_step"], "next step");
        assert_eq!(
            super::tests::report(&[]).text(),
            "stack: nothing wrong was found\n\nNot proved here; tick it by hand:\n  [ ] a line\n"
        );
    }
}
