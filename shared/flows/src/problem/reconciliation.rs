//! Problems for finance staff and their programs when a request about a reconciliation fails.

use std::error::Error;

use http::StatusCode;
use payments::{
    model::bill_date::{BILLS_LAST_DAYS, BillDate},
    reconcile::difference::DecisionRejected,
};
use tracing::error;

use super::{ErrorChain, Problem};

impl Problem {
    /// No person is named who made the decision. `why` says what is missing.
    pub fn no_person(why: impl Into<String>) -> Self {
        Self {
            bring: "Bearer",
            ..Self::new(
                StatusCode::UNAUTHORIZED,
                "no_person",
                "Nobody is signed in",
                why,
            )
        }
    }

    /// The person may not see this.
    pub fn not_in_group() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "not_in_group",
            "Not for you",
            "You are signed in, but not in the group that reconciles. Ask the people who run your accounts to add you to it.",
        )
    }

    /// A form that was not sent from one of our pages.
    pub fn cross_site() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "cross_site",
            "Not sent from this site",
            "The form was sent from another site's page, or by a browser that does not say from where. Nothing was done. Open the page here and press the button again.",
        )
    }

    /// The body is not what a page's form sends.
    pub fn not_a_form() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "Not a form",
            "Send the body with Content-Type: application/x-www-form-urlencoded, or use the JSON routes under /v1/reconciliations.",
        )
    }

    /// A path that names no day.
    pub fn no_such_day() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no_such_day",
            "No such day",
            "The address names no day of the calendar. Write it like 2026-08-01.",
        )
    }

    /// A day that was never reconciled.
    pub fn not_reconciled(date: BillDate) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_reconciled",
            "Not reconciled",
            format!("{date} was not reconciled yet. POST /v1/reconciliations/{date} starts it."),
        )
    }

    /// A day without a bill at WeChat Pay.
    pub fn no_bill(date: BillDate, latest: BillDate) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "no_bill",
            "No bill of that day",
            format!(
                "WeChat Pay gives bills of the last {BILLS_LAST_DAYS} days, and so until {latest}; it has none of {date}. Choose another day."
            ),
        )
    }

    /// No such difference on this day.
    pub fn difference_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "difference_not_found",
            "Difference not found",
            "The day has no difference of that name. The day's own page lists those it has.",
        )
    }

    /// The code of [`Problem::stale_difference`].
    pub const STALE: &'static str = "stale";

    /// Another person decided in the meantime.
    pub fn stale_difference() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            Self::STALE,
            "Changed in the meantime",
            "Another person, or a run, changed this difference after you loaded it. Nothing was done. Load it again, and decide on its present state.",
        )
    }

    /// Decided and stored, but the message that has it carried out could not be sent. The cause is
    /// only logged.
    pub fn refund_not_started(cause: &(dyn Error + 'static)) -> Self {
        error!(error = %ErrorChain(cause), "an approved refund was not started");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "refund_not_started",
            "Decided, not started",
            "The decision is stored, but its action could not be started. Load the difference again in a minute, which starts it. Nothing else does, unless its day is run again.",
        )
        .retry_after(60)
    }

    /// A failure on our side while a person or a program reads. The cause is only logged.
    pub fn try_again(cause: &(dyn Error + 'static)) -> Self {
        error!(error = %ErrorChain(cause), "request failed on our side");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "Temporarily unavailable",
            "A service behind this page did not answer. Load it again in a moment; if you made a decision, check first whether it is stored.",
        )
        .retry_after(1)
    }

    /// More differences than fit into one file.
    pub fn too_many_for_a_file() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "too_many_for_a_file",
            "Too many for one file",
            "The day has more differences than one answer can hold. Ask for one kind or state at a time (?kind=, ?state=), or read the JSON pages.",
        )
    }
}

impl From<DecisionRejected> for Problem {
    fn from(not: DecisionRejected) -> Self {
        let (status, code, title) = match not {
            DecisionRejected::WrongState { .. } | DecisionRejected::RejectFirst => (
                StatusCode::CONFLICT,
                "difference_state",
                "Difference in another state",
            ),
            DecisionRejected::PayerOwed
            | DecisionRejected::PayerHasIt
            | DecisionRejected::NothingOwed => (
                StatusCode::CONFLICT,
                "difference_state",
                "Where the money is",
            ),
            DecisionRejected::RefundIsThere { .. } | DecisionRejected::WrongStage { .. } => (
                StatusCode::CONFLICT,
                "difference_state",
                "Refund in another state",
            ),
            DecisionRejected::NothingToRestore => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "nothing_to_take_on",
                "No order to restore",
            ),
            DecisionRejected::NothingToRefund => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "nothing_to_refund",
                "Nothing to give back",
            ),
            DecisionRejected::SamePerson => (
                StatusCode::FORBIDDEN,
                "same_person",
                "A second person has to approve",
            ),
            DecisionRejected::NoReason | DecisionRejected::NoClient => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "Invalid request",
            ),
        };
        Self::new(status, code, title, sentence(&not.to_string()))
    }
}

/// An error's text as a sentence of an answer.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    }
}
