//! Words of the service map.

use runtime::aws::{AwsError, FailureKind};
use service_map::map::Health;

pub(crate) const TITLE: &str = "Service map";
pub(crate) const LEAD: &str = "Which part called which in the last hour, how often, and how much of it failed. From the metrics in CloudWatch, which has them some minutes later.";
pub(crate) const PICTURE: &str =
    "The parts and the arrows between them; the table below has the same";
pub(crate) const ARROWS: &str = "Calls";
pub(crate) const PARTS: &str = "Parts";
pub(crate) const TOGETHER: &str = "A figure in a part is that of all arrows that lead to it. Several callers are measured together where a metric does not tell them apart. Times are those of the slowest five minutes.";
pub(crate) const EMPTY: &str = "CloudWatch counted nothing in this hour: there was no traffic, or its metrics are not there yet. A new stack has the first ones some minutes after its first minute.";
pub(crate) const NO_MAP: &str = "The figures are not there";
/// Beside a figure of which CloudWatch did not give all values.
pub(crate) const AT_LEAST: &str = "at least ";
/// In the place of a figure of which it gave none.
pub(crate) const UNKNOWN: &str = "unknown";

pub(crate) const ARROW_COLUMNS: [&str; 6] =
    ["From", "To", "What", "In the hour", "Failed", "Times"];
pub(crate) const PART_COLUMNS: [&str; 2] = ["Part", "In the hour"];

/// What an arrow looks like, and what it means by that.
pub(crate) const fn sample(health: Health) -> &'static str {
    match health {
        Health::Unknown => "CloudWatch did not say (dotted, grey)",
        Health::Quiet => "No calls (dotted)",
        Health::NotMeasured => "Calls; whether they failed is measured behind it",
        Health::Good => "None failed",
        Health::Few => "Less than 1 % failed (dashed)",
        Health::Many => "1 % failed or more (thick)",
    }
}

/// The class in the stylesheet.
pub(crate) const fn class(health: Health) -> &'static str {
    match health {
        Health::Unknown => "unknown",
        Health::Quiet => "quiet",
        Health::NotMeasured => "unmeasured",
        Health::Good => "good",
        Health::Few => "few",
        Health::Many => "many",
    }
}

/// Some metrics are not there in full.
pub(crate) fn unfinished(metrics: usize) -> String {
    format!(
        "CloudWatch did not give all values of {metrics} metrics: figures with “{}” are too low, and what is “{UNKNOWN}” may be any number. Load the page again in a minute.",
        AT_LEAST.trim_end()
    )
}

/// Why there is no map, and what to do.
pub(crate) struct NoMap {
    pub(crate) cause: String,
    pub(crate) next: &'static str,
}

const LATER: &str = "Load the page again in a minute. Days, differences and orders do not need CloudWatch, and their pages work.";
const NOT_ALLOWED: &str = "Ask the people who run the system to deploy the release's template again: it lets this function's role read metrics (cloudwatch:GetMetricData). Until then `cargo client map` shows the same with a person's own permissions.";
const NOT_KNOWN: &str = "Tell the people who run the system: the function's log has CloudWatch's words. `cargo client map` asks the same with a person's own permissions.";

impl NoMap {
    /// CloudWatch was asked in vain.
    pub(crate) fn of(error: &AwsError) -> Self {
        let code = error.code().unwrap_or("no code");
        let (cause, next) = match error.kind() {
            FailureKind::Refused if is_denial(code) => (
                format!("CloudWatch does not let the console read metrics ({code})."),
                NOT_ALLOWED,
            ),
            FailureKind::Refused => (
                format!("CloudWatch refused the question ({code})."),
                NOT_KNOWN,
            ),
            FailureKind::NotSent => ("The question could not be sent.".to_owned(), NOT_KNOWN),
            FailureKind::Throttled => (
                format!("CloudWatch is asked too often in this account ({code})."),
                LATER,
            ),
            FailureKind::TimedOut => ("CloudWatch did not answer in time.".to_owned(), LATER),
            FailureKind::Unreachable => ("CloudWatch could not be reached.".to_owned(), LATER),
            FailureKind::ServiceFault => ("CloudWatch itself failed.".to_owned(), LATER),
            FailureKind::Unreadable => return Self::unreadable(),
        };
        Self { cause, next }
    }

    /// An answer that is not as documented.
    pub(crate) fn unreadable() -> Self {
        Self {
            cause: "CloudWatch's answer could not be read.".to_owned(),
            next: NOT_KNOWN,
        }
    }
}

/// Whether it is about permissions or credentials: services have several names for that.
fn is_denial(code: &str) -> bool {
    [
        "AccessDenied",
        "NotAuthorized",
        "Unauthorized",
        "UnrecognizedClient",
        "InvalidClientToken",
    ]
    .iter()
    .any(|part| code.contains(part))
}
