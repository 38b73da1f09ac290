//! Webhooks signed by the [Standard Webhooks] specification 1.0.0: bytes, secrets and a time in,
//! values out. No socket, no clock, no store of secrets.
//!
//! The sender signs each attempt again, with the time of the attempt and the id of the event:
//!
//! ```
//! # use standard_webhooks::*;
//! # fn demo(secrets: &[Secret], now_s: i64) -> Result<(), SignError> {
//! let body = br#"{"type":"order.changed"}"#;
//! for (name, value) in sign("ORDER-1_2", now_s, body, secrets)?.iter() {
//!     println!("{name}: {value}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The receiver verifies before it does anything else with the body, and drops an id that it has
//! seen before:
//!
//! ```
//! # use standard_webhooks::*;
//! # fn demo<'a>(
//! #     header: impl Fn(&str) -> Option<&'a str>,
//! #     body: &[u8],
//! #     secrets: &[Secret],
//! #     now_s: i64,
//! # ) -> Result<(), Refusal> {
//! let received = Received::read(header)?;
//! verify(&received, body, secrets, now_s)?;
//! // `received.id` is now known to be the sender's: the same id again is the same event again.
//! # Ok(())
//! # }
//! ```
//!
//! A secret is changed without a gap: while both sides move over, the sender signs with the old and
//! the new one, and one signature that fits is enough.
//!
//! The crate is strict where the specification leaves room. Ids hold no full stop, which would make
//! two different messages one signed text; times are plain digits; every input has a limit
//! ([`limits`]).
//!
//! Not supported: asymmetric signatures (`v1a`). They are skipped, not refused, so that a sender
//! may add them.
//!
//! [Standard Webhooks]: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

#![warn(missing_docs)] // it is usable alone, so its reader may have its documentation only

mod header;
pub mod limits;
mod refusal;
mod secret;
mod sign;
mod verify;

pub use header::{ID, SIGNATURE, TIMESTAMP};
pub use refusal::Refusal;
pub use secret::{Secret, SecretError};
pub use sign::{SignError, SignedHeaders, sign};
pub use verify::{Received, verify};
