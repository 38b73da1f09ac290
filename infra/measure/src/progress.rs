//! Progress, on standard error.

/// Prints what is being done.
pub(crate) fn progress(what: impl std::fmt::Display) {
    eprintln!("- {what}");
}
