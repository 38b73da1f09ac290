//! The digest that distinguishes a repeat of a request from another request under the same number.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// SHA-256 of a client's request without the order number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fingerprint(pub [u8; 32]);

/// The digest that distinguishes a repeat from another request under the same number.
pub(crate) fn fingerprint(terms: &impl Serialize) -> Fingerprint {
    // Field order is the type's, so equal terms give equal bytes. Terms hold no map and no float,
    // so this cannot fail.
    let bytes = serde_json::to_vec(terms).unwrap_or_default();
    Fingerprint(Sha256::digest(bytes).into())
}
