//! Answers to requests for more than a client's key may do.

use http::StatusCode;
use payments::model::permissions::{AboveLimit, Scope};

use super::Problem;

impl Problem {
    /// The key does not have the scope of the route.
    pub fn scope_missing(needed: Scope) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "scope_missing",
            "Not allowed to this key",
            format!(
                "This key does not have the scope `{needed}`, so nothing was done. Sign with a key that has it, or have the people who run this deployment give it to this one (`cargo client setup scopes`)."
            ),
        )
    }
}

impl From<AboveLimit> for Problem {
    fn from(above: AboveLimit) -> Self {
        let (code, title, detail) = match above {
            AboveLimit::Order(max) => (
                "order_above_limit",
                "Order above the key's limit",
                format!(
                    "Orders by this key have {} fen at most, so none was made.",
                    max.get()
                ),
            ),
            AboveLimit::Refund(max) => (
                "refund_above_limit",
                "Refund above the key's limit",
                format!(
                    "Refunds by this key have {} fen at most, so none was made.",
                    max.get()
                ),
            ),
        };
        let who = "Sign with a key that may do more, or have the people who run this deployment raise the limit (`cargo client setup limit`).";
        Self::new(
            StatusCode::FORBIDDEN,
            code,
            title,
            format!("{detail} {who}"),
        )
    }
}
