//! `forward-errors`: log lines of the other functions; brings errors to Sentry, and all that it
//! gets to Loki, as far as they are set up.

pub mod app;
pub mod handler;
pub mod settings;
