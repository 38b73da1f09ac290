//! The client of WeChat Pay: its calls, its bills' files, and its settings.
//!
//! It signs, sends and verifies, and decides nothing about orders or money. It uses no store: the
//! merchant's keys come from a [`runtime::call_keys::KeySource`].

pub mod api;
pub mod bill_file;
mod not_sent;
pub mod notify_url;
