//! `send-webhook`: sends each change of an order to the merchant's systems, signed by the Standard
//! Webhooks specification, until it is delivered or eight attempts have failed.
//!
//! The way of an event: [`handler`].

pub mod app;
pub mod handler;
mod recorded;
pub mod settings;
