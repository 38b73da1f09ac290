//! Calls that failed: what AWS refused, and what may work when it is tried again.

use reqwest::StatusCode;
use serde::Deserialize;

use crate::doctor::xml::Element;

/// What the codes hold by which services say that something does not exist.
const MISSING: [&str; 4] = ["NotFound", "NonExistent", "DoesNotExist", "NoSuch"];

/// A call that gave nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The service refused.
    #[error("{operation} was refused: {code} ({message})")]
    Refused {
        operation: String,
        code: String,
        message: String,
    },
    /// No answer, or one that the service itself calls a failure.
    #[error("{operation} got no answer: {why}")]
    NoAnswer { operation: String, why: String },
    /// The answer is not as documented.
    #[error("the answer to {operation} cannot be read")]
    Unreadable { operation: String },
    /// The request cannot be made of what the environment says.
    #[error("{operation} cannot be sent: {why}")]
    NotSent { operation: String, why: String },
}

impl CallError {
    /// The service's own code for its refusal.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::NoAnswer { .. } | Self::Unreadable { .. } | Self::NotSent { .. } => None,
        }
    }

    /// Whether what was asked for does not exist.
    pub(crate) fn is_missing(&self) -> bool {
        self.code()
            .is_some_and(|code| MISSING.iter().any(|part| code.contains(part)))
    }
}

/// AWS's refusals, in JSON or XML. A code may have a namespace before it and an address after it.
pub(super) fn refused(
    operation: &str,
    status: StatusCode,
    named: Option<String>,
    body: &[u8],
) -> CallError {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(rename = "__type", alias = "code", alias = "Code")]
        code: Option<String>,
        #[serde(alias = "Message")]
        message: Option<String>,
    }
    let read = match serde_json::from_slice::<Refusal>(body) {
        Ok(read) => Some((read.code, read.message.unwrap_or_default())),
        Err(_) => Element::read(body).map(|answer| {
            let code = answer.text_of("Code").map(ToOwned::to_owned);
            (
                code,
                answer.text_of("Message").unwrap_or_default().to_owned(),
            )
        }),
    };
    let (code, message) = read.unwrap_or_default();
    let code = named.or(code).map(|code| {
        let own = code.rsplit('#').next().unwrap_or_default();
        own.split(':').next().unwrap_or_default().to_owned()
    });
    if status.is_server_error() {
        return CallError::NoAnswer {
            operation: operation.to_owned(),
            why: format!("HTTP {}", status.as_u16()),
        };
    }
    CallError::Refused {
        operation: operation.to_owned(),
        code: code.unwrap_or_else(|| format!("HTTP {}", status.as_u16())),
        message,
    }
}

pub(super) fn may_pass(error: &CallError) -> bool {
    match error {
        CallError::NoAnswer { .. } => true,
        CallError::Refused { code, .. } => {
            code.contains("Throttl") || code.contains("TooManyRequests")
        }
        CallError::Unreadable { .. } | CallError::NotSent { .. } => false,
    }
}

/// The error with its causes: `reqwest` says why only in them.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_in_each_protocol() {
        let bad_request = StatusCode::BAD_REQUEST;
        for (named, body, code) in [
            (
                None,
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no"}"#,
                "ResourceNotFoundException",
            ),
            (
                Some("ResourceNotFoundException:http://internal.amazon.com/coral/"),
                r#"{"Type":"User","Message":"no"}"#,
                "ResourceNotFoundException",
            ),
            (
                None,
                "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>no</Message></Error></ErrorResponse>",
                "ValidationError",
            ),
            (None, "<html>", "HTTP 400"),
        ] {
            let named = named.map(ToOwned::to_owned);
            let error = refused("Describe", bad_request, named, body.as_bytes());
            assert_eq!(error.code(), Some(code), "{body}");
        }
        let failed = refused("Describe", StatusCode::BAD_GATEWAY, None, b"");
        assert!(may_pass(&failed) && failed.code().is_none());
        let throttled = refused(
            "Describe",
            bad_request,
            None,
            br#"{"__type":"ThrottlingException"}"#,
        );
        assert!(may_pass(&throttled));
        let missing = refused(
            "Describe",
            bad_request,
            None,
            br#"{"__type":"AWS.SimpleQueueService.NonExistentQueue"}"#,
        );
        assert!(missing.is_missing());
    }
}
