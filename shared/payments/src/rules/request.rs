//! Shared by all client requests: how a request can be invalid, and how its parts are checked.

/// An invalid request, and what to change.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadRequest {
    /// The body is not the JSON object that the contract describes.
    #[error("the body is not the JSON that this route takes: {0}")]
    Json(String),
    /// There is a body, but the route takes none.
    #[error("this route takes no body: leave it out")]
    NoBody,
    /// The query has an unknown parameter, or one twice.
    #[error("the query {0}")]
    Query(String),
    /// A field is out of bounds, missing or out of place.
    #[error("`{field}` {problem}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What is wrong and what is expected.
        problem: String,
    },
    /// Neither a number in the body nor an `Idempotency-Key`.
    #[error(
        "send `{field}` in the body or an Idempotency-Key header, so that a repeat finds the same one"
    )]
    NoNumber {
        /// The field that would hold the number.
        field: &'static str,
    },
    /// The `Idempotency-Key` is none.
    #[error("{0}")]
    Key(#[from] crate::model::ids::BadIdempotencyKey),
}

impl From<strict_json::Wrong> for BadRequest {
    fn from(wrong: strict_json::Wrong) -> Self {
        Self::Json(wrong.to_string())
    }
}

pub fn bad_field(field: &'static str, problem: impl ToString) -> BadRequest {
    BadRequest::Field {
        field,
        problem: problem.to_string(),
    }
}

/// A text of 1 to `most` characters in WeChat Pay's character set: no control characters, nothing
/// beyond the basic plane (no emoji: shared/wechatpay/PROTOCOL.md, 1.3).
///
/// # Errors
/// [`BadRequest::Field`].
pub fn text(field: &'static str, value: &str, most: usize) -> Result<String, BadRequest> {
    let length = value.chars().count();
    if length == 0 || length > most {
        return Err(bad_field(
            field,
            format!("must have 1 to {most} characters, it has {length}"),
        ));
    }
    sendable(field, value)
}

/// The same for a text of 1 to `most` bytes of UTF-8: WeChat Pay counts some in bytes (`attach` and
/// `reason`: shared/wechatpay/PROTOCOL.md, 5.2 and 6.1).
///
/// # Errors
/// [`BadRequest::Field`].
pub fn text_in_bytes(field: &'static str, value: &str, most: usize) -> Result<String, BadRequest> {
    let length = value.len();
    if length == 0 || length > most {
        return Err(bad_field(
            field,
            format!(
                "must have 1 to {most} bytes of UTF-8, it has {length} (a Chinese character has 3)"
            ),
        ));
    }
    sendable(field, value)
}

fn sendable(field: &'static str, value: &str) -> Result<String, BadRequest> {
    if value.chars().any(|c| c.len_utf8() > 3) {
        return Err(bad_field(
            field,
            "holds an emoji or another 4-byte character, which WeChat Pay refuses: leave it out",
        ));
    }
    if value.chars().any(char::is_control) {
        return Err(bad_field(field, "holds a control character: leave it out"));
    }
    Ok(value.to_owned())
}
