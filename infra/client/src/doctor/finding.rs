//! What a check found wrong, as a value.

use serde::Serialize;

/// The runbook that findings about keys and certificates lead to.
pub(crate) const KEYS_PAGE: &str = "infra/runbooks/keys.md";

/// What to do where something was changed beside CloudFormation. A deployment compares templates
/// alone, and mends none of it.
pub(crate) const PUT_BACK: &str =
    "put it back (infra/runbooks/doctor.md, Put back what was changed by hand)";

/// The same where the stack may as well be of an older template, which has it otherwise.
pub(crate) const DEPLOY_OR_PUT_BACK: &str = "deploy this version if an older one is deployed; else put it back \
     (infra/runbooks/doctor.md, Put back what was changed by hand)";

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Payments work; a later failure would be worse for it, or nobody would be told.
    Warning,
    /// Payments, refunds or news of them fail, or are lost.
    Error,
}

impl Severity {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Finding {
    /// The kind of finding; programs may go by it. It never changes its meaning.
    pub(crate) id: &'static str,
    pub(crate) severity: Severity,
    /// What is wrong, and its consequence.
    pub(crate) cause: String,
    /// What was seen. It holds no secret.
    pub(crate) evidence: String,
    /// What to do.
    pub(crate) next_step: String,
}

impl Finding {
    pub(crate) fn error(
        id: &'static str,
        cause: impl Into<String>,
        evidence: impl Into<String>,
        next_step: impl Into<String>,
    ) -> Self {
        Self::new(id, Severity::Error, cause, evidence, next_step)
    }

    pub(crate) fn warning(
        id: &'static str,
        cause: impl Into<String>,
        evidence: impl Into<String>,
        next_step: impl Into<String>,
    ) -> Self {
        Self::new(id, Severity::Warning, cause, evidence, next_step)
    }

    fn new(
        id: &'static str,
        severity: Severity,
        cause: impl Into<String>,
        evidence: impl Into<String>,
        next_step: impl Into<String>,
    ) -> Self {
        Self {
            id,
            severity,
            cause: cause.into(),
            evidence: evidence.into(),
            next_step: next_step.into(),
        }
    }
}

/// The result of a check.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    pub(crate) findings: Vec<Finding>,
    /// What the check could not prove, and why. Nothing is known to be wrong with it.
    pub(crate) not_proved: Vec<String>,
}

impl From<Vec<Finding>> for Examined {
    fn from(findings: Vec<Finding>) -> Self {
        Self {
            findings,
            not_proved: Vec::new(),
        }
    }
}
