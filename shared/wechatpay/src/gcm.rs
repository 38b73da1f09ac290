//! AES-256-GCM under a nonce of another length than 12 bytes (NIST SP 800-38D, section 7).
//!
//! WeChat Pay's manual allows nonces of up to 16 and 32 characters, while all that were seen have
//! 12. `aes-gcm` has the nonce's length as a type, so each length would be a copy of its code, and
//! aws-lc-rs takes 12 bytes only. So this is put together here from the parts that `aes-gcm` itself
//! is made of: the block cipher, its counter mode, and GHASH. Frequent messages have nonces of 12
//! bytes and do not take this path.

use aes::Aes256;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use ctr::Ctr32BE;
use ctr::cipher::{Block, BlockCipherEncrypt, KeyInit, KeyIvInit, StreamCipher};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;

const TAG_LENGTH: usize = 16;

/// Decrypts `buffer`, ciphertext and tag, in place, and cuts the tag off. `false` when the tag is
/// not right: then not a byte is changed. An empty nonce is none, and opens nothing.
pub(crate) fn open_in_place(
    key: &[u8; 32],
    nonce: &[u8],
    associated_data: &[u8],
    buffer: &mut Vec<u8>,
) -> bool {
    let Some(length) = buffer.len().checked_sub(TAG_LENGTH) else {
        return false;
    };
    if nonce.is_empty() {
        return false;
    }
    let mut hash_key = Block::<Aes256>::default();
    Aes256::new(key.into()).encrypt_block(&mut hash_key);
    let hash = GHash::new(&hash_key);
    // The counter's first block masks the tag, those after it are the text's.
    let first = hashed(hash.clone(), &[], nonce);
    let mut counter = Ctr32BE::<Aes256>::new(key.into(), &first.into());
    let mut tag = hashed(
        hash,
        associated_data,
        buffer.get(..length).unwrap_or_default(),
    );
    counter.apply_keystream(&mut tag);
    let announced = buffer.get(length..).unwrap_or_default();
    if verify_slices_are_equal(&tag, announced).is_err() {
        return false;
    }
    buffer.truncate(length);
    counter.apply_keystream(buffer);
    true
}

/// GHASH over two texts, each filled up with zeros to whole blocks, and a block with their lengths
/// in bits.
fn hashed(mut hash: GHash, first: &[u8], second: &[u8]) -> [u8; TAG_LENGTH] {
    hash.update_padded(first);
    hash.update_padded(second);
    let bits = |bytes: &[u8]| {
        u64::try_from(bytes.len())
            .unwrap_or(u64::MAX)
            .wrapping_mul(8)
    };
    let lengths = (u128::from(bits(first)) << 64) | u128::from(bits(second));
    hash.update(&[lengths.to_be_bytes().into()]);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use aes_gcm::aead::{AeadInOut, KeyInit};
    use aes_gcm::{Aes256Gcm, AesGcm, Nonce};
    use ctr::cipher::typenum::{U1, U7, U15, U16, U17, U31, U32, U33, U64};

    use super::*;

    const KEY: [u8; 32] = *b"0123456789abcdefghijklmnopqrstuv";

    /// Sealed by `aes-gcm` for one length of nonce, each with texts and associated data around the
    /// size of a block.
    macro_rules! opens {
        ($($length:ty),+) => {$(
            for (text, aad) in [(0, 0), (1, 15), (15, 16), (16, 17), (17, 0), (300, 33)] {
                let cipher = AesGcm::<Aes256, $length>::new(&KEY.into());
                let nonce = Nonce::<$length>::default().map(|_: u8| b'n');
                let (text, aad) = (vec![b't'; text], vec![b'a'; aad]);
                let mut sealed = text.clone();
                cipher.encrypt_in_place(&nonce, &aad, &mut sealed).expect("it seals");
                let mut opened = sealed.clone();
                assert!(open_in_place(&KEY, &nonce, &aad, &mut opened), "{}", nonce.len());
                assert_eq!(opened, text);
                for at in 0..sealed.len() {
                    let mut changed = sealed.clone();
                    changed[at] ^= 1;
                    let before = changed.clone();
                    assert!(!open_in_place(&KEY, &nonce, &aad, &mut changed), "byte {at}");
                    assert_eq!(changed, before, "nothing is decrypted before the tag is right");
                }
                let mut other = sealed.clone();
                assert!(!open_in_place(&KEY, &[&nonce[..], b"n"].concat(), &aad, &mut other));
                assert!(!open_in_place(&KEY, &nonce, &[&aad[..], b"a"].concat(), &mut other));
                assert!(!open_in_place(&[b'k'; 32], &nonce, &aad, &mut other));
            }
        )+};
    }

    #[test]
    fn what_aes_gcm_seals_opens_whatever_the_length_of_its_nonce() {
        opens!(U1, U7, U15, U16, U17, U31, U32, U33, U64);
    }

    #[test]
    fn no_input_makes_it_panic() {
        for nonce in 0..140 {
            for length in 0..40 {
                let mut buffer = vec![0; length];
                assert!(!open_in_place(&KEY, &vec![7; nonce], b"", &mut buffer));
                assert_eq!(buffer, vec![0; length]);
            }
        }
    }

    /// The first counter of a nonce of 12 bytes is another than this one's: the two ways are kept
    /// apart.
    #[test]
    fn a_nonce_of_twelve_bytes_is_not_for_here() {
        let mut sealed = b"text".to_vec();
        let nonce = aes_gcm::Nonce::from(*b"fdasflkja484");
        Aes256Gcm::new(&KEY.into())
            .encrypt_in_place(&nonce, b"", &mut sealed)
            .expect("it seals");
        assert!(!open_in_place(&KEY, &nonce, b"", &mut sealed));
    }
}
