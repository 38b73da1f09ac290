//! What a function runs on: clients of AWS, keys in KMS and what signs with them, clock and
//! randomness, settings from the environment, log lines with metrics, spans, TLS, and which hosts
//! may be named by others.
//!
//! All of it is passed in as values, so that the same code runs in tests on simulated time. What is
//! stored, and what is said to WeChat Pay or to a merchant's systems, is in crates of its own
//! above.

pub mod aws;
pub mod backoff;
pub mod cache;
pub mod call_keys;
pub mod clock;
pub mod env;
pub mod kms;
pub mod net;
pub mod otlp;
pub mod random;
pub mod signer;
pub mod spans;
pub mod telemetry;
pub mod tls;
