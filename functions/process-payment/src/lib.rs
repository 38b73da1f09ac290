//! `process-payment`: works off both queues. A callback becomes a settled payment; a payment request becomes a prepay value.
//!
//! The way of a batch: [`handler`].

pub mod desk;
pub mod handler;
pub mod settings;
