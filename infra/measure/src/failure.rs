//! Why a benchmark ended early, in words for the person who started it.

use std::error::Error;
use std::fmt;

/// A cause and, where there is one, the next step. Nothing decides by what went wrong, so it is
/// text.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Alias of what all parts give back.
pub(crate) type MeasureResult<T> = Result<T, Failure>;

/// Says what was being done when an error came.
pub(crate) trait ErrorContext<T> {
    fn during(self, what: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: Error> ErrorContext<T> for Result<T, E> {
    fn during(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| {
            let mut text = format!("{what}: {error}");
            let mut next = error.source();
            while let Some(cause) = next {
                text.push_str(&format!(": {cause}"));
                next = cause.source();
            }
            Failure(text)
        })
    }
}
