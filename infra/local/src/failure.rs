//! Why a run ended early, in words for the person who started it.

use std::error::Error;
use std::fmt;

/// A cause and the next step. This is a program for people: no code depends on the cause, so it is
/// text.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// `what`, and the whole chain of causes behind it.
    pub(crate) fn because(what: impl fmt::Display, cause: &dyn Error) -> Self {
        let mut text = format!("{what}: {cause}");
        let mut next = cause.source();
        while let Some(cause) = next {
            let cause_text = cause.to_string();
            // A transparent error repeats its source.
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            next = cause.source();
        }
        Self(text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
