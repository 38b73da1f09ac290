//! Everything that reaches AWS or the network, and the time, randomness and settings that come from
//! outside.
//!
//! Adapters translate and carry; they decide nothing about orders or money. They are built once for
//! each sandbox, make no call before they are needed, and take clock and randomness as values, so
//! that the same code runs in tests on simulated time.

mod attributes;
pub mod aws;
pub mod backoff;
pub mod bill_file;
mod cache;
pub mod call_keys;
pub mod clock;
pub mod env;
pub mod evidence;
pub mod fields;
pub mod guards;
pub mod keys_table;
pub mod kms;
pub mod net;
mod not_sent;
pub mod notices;
pub mod notify_url;
pub mod order_table;
pub mod queues;
pub mod random;
pub mod reconciliation;
pub mod settings;
pub mod signer;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
pub mod undelivered;
pub mod webhook_http;
pub mod wechat_api;
