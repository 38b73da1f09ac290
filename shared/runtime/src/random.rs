//! Random values as a value: nonces, ids and the bytes under an encryption.
//!
//! The source is AWS-LC's generator, which is linked anyway. Tests take a seeded one, so that a run
//! that found a fault can be repeated.

#[cfg(any(test, feature = "testing"))]
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Gives random values. Clones share one source.
#[derive(Clone, Debug)]
pub struct Random(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    /// SHA-256 over seed, draw and block.
    #[cfg(any(test, feature = "testing"))]
    Seeded {
        seed: u64,
        draws: Arc<AtomicU64>,
    },
}

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters in a nonce: WeChat Pay advises up to 32.
const NONCE_LENGTH: usize = 32;

impl Random {
    /// The generator of AWS-LC, seeded by the operating system.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// 32 characters of `[0-9A-Za-z]`, each equally likely: some 190 random bits.
    pub fn nonce(&self) -> String {
        let mut nonce = String::with_capacity(NONCE_LENGTH);
        while nonce.len() < NONCE_LENGTH {
            // 8 of 256 bytes are thrown away, so one draw of 40 nearly always does.
            let draw: [u8; 40] = self.bytes();
            let letters = draw.iter().filter_map(|byte| letter(*byte));
            nonce.extend(letters.take(NONCE_LENGTH - nonce.len()));
        }
        nonce
    }

    /// A unique id: 128 random bits as 32 lower-case hexadecimal digits.
    pub fn id(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.bytes()))
    }

    /// `N` random bytes, fit for cryptography (not when seeded).
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            Source::System => fill(&mut bytes),
            #[cfg(any(test, feature = "testing"))]
            Source::Seeded { seed, draws } => {
                fill_seeded(*seed, draws.fetch_add(1, Ordering::SeqCst), &mut bytes);
            }
        }
        bytes
    }
}

#[cfg(any(test, feature = "testing"))]
impl Random {
    /// A source that gives the same values for the same seed, in the order in which they are drawn.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded {
            seed,
            draws: Arc::default(),
        })
    }
}

/// The letter for a byte. Bytes from 248 up have none: taking them modulo 62 would favour the first
/// eight letters.
fn letter(byte: u8) -> Option<char> {
    if byte < 248 {
        ALPHABET
            .get(usize::from(byte % 62))
            .map(|letter| char::from(*letter))
    } else {
        None
    }
}

#[expect(
    clippy::expect_used,
    reason = "AWS-LC aborts the process itself if the operating system has no randomness; nothing safe could follow"
)]
fn fill(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("the operating system gives randomness");
}

#[cfg(any(test, feature = "testing"))]
fn fill_seeded(seed: u64, draw: u64, bytes: &mut [u8]) {
    for (block, chunk) in bytes.chunks_mut(32).enumerate() {
        let text = format!("{seed} {draw} {block}");
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        for (byte, source) in chunk.iter_mut().zip(digest.as_ref()) {
            *byte = *source;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_nonce_is_32_letters_or_digits_and_never_the_same_twice() {
        let random = Random::system();
        let nonces: BTreeSet<String> = (0..200).map(|_| random.nonce()).collect();
        assert_eq!(nonces.len(), 200);
        for nonce in nonces {
            assert_eq!(nonce.len(), 32);
            assert!(
                nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "{nonce}"
            );
        }
    }

    #[test]
    fn every_letter_of_a_nonce_stands_for_four_bytes() {
        let mut counts = std::collections::BTreeMap::new();
        for byte in 0..=u8::MAX {
            if let Some(letter) = letter(byte) {
                *counts.entry(letter).or_insert(0) += 1;
            }
        }
        assert_eq!(counts.len(), 62);
        assert!(counts.values().all(|count| *count == 4));
    }

    #[test]
    fn an_id_is_32_lower_case_hexadecimal_digits() {
        let random = Random::system();
        let id = random.id();
        assert_eq!(id.len(), 32);
        assert!(
            id.bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        );
        assert_ne!(id, random.id());
    }

    #[test]
    fn the_same_seed_gives_the_same_values_and_another_seed_others() {
        let (one, twin, other) = (Random::seeded(1), Random::seeded(1), Random::seeded(2));
        let values = |random: &Random| (random.nonce(), random.id(), random.bytes::<70>());
        let first = values(&one);
        assert_eq!(first, values(&twin));
        assert_ne!(first, values(&other));
        assert_ne!(first, values(&one), "the source moves on");
    }
}
