//! HTTP Message Signatures ([RFC 9421]) and `Content-Digest` ([RFC 9530]) for requests: bytes, keys
//! and a time in, a verdict out. No socket, no clock, no key store.
//!
//! A server works in two steps, because the key is found by what the request itself says:
//!
//! ```
//! # use message_signatures::*;
//! # fn demo(
//! #     now_s: i64,
//! #     find: impl Fn(&str) -> Option<VerifyingKey>,
//! #     request: &Request<'_>,
//! # ) -> Result<(), Refusal> {
//! let profile = Profile::MERCHANT_API;
//! let claim = claim(request, &profile)?; // nothing is proved yet
//! check_without_key(request, &claim, now_s, &profile)?; // optional: spares looking for a key
//! let key = find(&claim.keyid).ok_or_else(|| Refusal::UnknownKey { keyid: claim.keyid.clone() })?;
//! verify(request, &claim, &key, now_s, &profile)?; // now it is
//! // The caller still refuses a (keyid, nonce) that it has seen before: `Refusal::NonceSeen`.
//! # Ok(())
//! # }
//! ```
//!
//! A client calls [`sign()`] and adds the fields that it returns.
//!
//! The crate is strict where RFC 9421 leaves room. What a signature must cover is a [`Profile`];
//! the algorithm is a property of the key, never of the request; only `@method`, `@authority`,
//! `@path`, `@query`, `@target-uri` (which covers the three before it) and whole header fields can
//! be covered (no component parameters); a label, component or digest that is named twice is
//! refused; every input has a limit ([`limits`]). Fields are read as Structured Fields ([RFC
//! 9651]), never by splitting text.
//!
//! Not supported: responses, trailers, `rsa-pss-sha512`, `ecdsa-p256-sha256`, signature negotiation
//! (`Accept-Signature`).
//!
//! [RFC 9421]: https://www.rfc-editor.org/rfc/rfc9421
//! [RFC 9530]: https://www.rfc-editor.org/rfc/rfc9530
//! [RFC 9651]: https://www.rfc-editor.org/rfc/rfc9651

#![warn(missing_docs)] // it is usable alone, so its reader may have its documentation only

mod base;
mod claim;
mod component;
mod digest;
mod fields;
mod key;
pub mod limits;
mod profile;
mod refusal;
mod request;
mod sign;
mod verify;

pub use claim::{Claim, claim};
pub use digest::content_digest;
pub use key::{Algorithm, KeyError, Secret, SigningKey, VerifyingKey};
pub use profile::Profile;
pub use refusal::Refusal;
pub use request::Request;
pub use sign::{LABEL, Params, SignError, SignedFields, sign};
pub use verify::{check_without_key, verify};
