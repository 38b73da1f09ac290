//! `send-webhook`: tells the merchant's systems of each change of their orders, signed by the
//! Standard Webhooks specification, until they have it or eight attempts have failed.
//!
//! The way of an event: [`handler`].

pub mod app;
pub mod handler;
pub mod settings;
