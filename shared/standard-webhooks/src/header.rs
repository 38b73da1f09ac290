//! The names of the headers, and the mark of a signature.

/// The id of what happened: the same for every attempt.
pub const ID: &str = "webhook-id";
/// When this attempt was made, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The signatures, separated by spaces.
pub const SIGNATURE: &str = "webhook-signature";

/// What the symmetric signatures of the specification are marked with: HMAC-SHA256.
pub(crate) const VERSION: &str = "v1";
