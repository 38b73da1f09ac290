//! What an engine answers.

use serde_json::json;

/// A status, and JSON.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The JSON.
    pub body: String,
}

impl Reply {
    pub(crate) fn good(body: impl ToString) -> Self {
        Self {
            status: 200,
            body: body.to_string(),
        }
    }

    pub(crate) fn bad(code: &str) -> Self {
        Self {
            status: 400,
            body: json!({"__type": code, "message": "by the test"}).to_string(),
        }
    }
}
