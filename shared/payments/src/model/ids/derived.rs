//! Numbers that are derived from a request, so that a repeat of it has the same one.

use sha2::{Digest, Sha256};

/// How derived numbers begin.
pub(super) const DERIVED_PREFIX: &str = "idem-";

/// A number of 32 characters that depends on these parts only.
pub(super) fn derived(parts: &[&str]) -> String {
    let mut number = DERIVED_PREFIX.to_owned();
    number.extend(base32(&digest_of(parts)).take(32 - DERIVED_PREFIX.len()));
    number
}

/// SHA-256 over the parts, each after its length, so that two different lists never give the same
/// input.
pub(super) fn digest_of(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// Lower-case base32 (RFC 4648 alphabet) without padding; bits that do not fill a character are
/// left off.
pub(super) fn base32(bytes: &[u8]) -> impl Iterator<Item = char> {
    let alphabet = "abcdefghijklmnopqrstuvwxyz234567"
        .chars()
        .collect::<Vec<_>>();
    let (mut held, mut bits) = (0_u32, 0_u32);
    let mut text = Vec::with_capacity(bytes.len() * 8 / 5);
    for &byte in bytes {
        held = (held << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let five = usize::try_from((held >> bits) & 31).unwrap_or_default();
            text.extend(alphabet.get(five));
        }
        held &= (1 << bits) - 1;
    }
    text.into_iter()
}
