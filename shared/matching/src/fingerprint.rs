//! Keyed fingerprints: 64 bits that represent the texts and the amount of a line.
//!
//! The table of a day keeps these instead of texts. Two texts with the same fingerprint could hide
//! a difference, so the hash has a proved collision probability. Words of the message are added to
//! random words of the key, multiplied in pairs, and the products summed up (NH: Black, Halevi,
//! Krawczyk, Krovetz and Rogaway, "UMAC: fast and secure message authentication", 1999): whatever
//! two messages are, their sums of 128 bits are equal under one key in 2^64. The sum is then cut to
//! 64 bits by multilinear hashing (Lemire and Kaser, "Strongly universal string hashing is fast",
//! 2014), where two sums meet under one key in 2^64 again, and in 2^48 if 48 bits are kept of it.
//! The keys cannot be guessed without the run's memory. One multiplication does for sixteen bytes.

use std::fmt;

use sha2::{Digest, Sha256};

/// Pairs of words of eight bytes in the longest text that has a fingerprint. No number of ours is
/// longer than 64 characters.
const PAIRS: usize = 4;

/// A sum of products. Sums under different keys may be added; [`Prints::cut`] makes a fingerprint
/// of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct PartialSum(u128);

impl PartialSum {
    /// Both parts together.
    #[inline]
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

/// Two words of the key, for two words of a message.
type KeyPair = [u64; 2];

struct TextKey {
    pairs: [KeyPair; PAIRS],
    last: KeyPair,
    length: KeyPair,
}

/// The key of a run.
pub(crate) struct Prints {
    payment: TextKey,
    refund: TextKey,
    order_no: TextKey,
    appid: TextKey,
    refunded: TextKey,
    refund_id: TextKey,
    amount: KeyPair,
    cut: [u128; 3],
}

impl Prints {
    /// Derives the key from the run's random one, by SHA-256 in counter mode.
    pub(crate) fn new(key: [u64; 2]) -> Self {
        let mut drawn = (0_u64..).flat_map(|counter| {
            let mut hash = Sha256::new();
            hash.update(b"reconcile fingerprints");
            for word in [key[0], key[1], counter] {
                hash.update(word.to_le_bytes());
            }
            let digest: [u8; 32] = hash.finalize().into();
            digest.as_chunks::<8>().0.to_vec()
        });
        let mut pair =
            || -> KeyPair { std::array::from_fn(|_| drawn.next().map_or(0, u64::from_le_bytes)) };
        let mut text = || TextKey {
            pairs: std::array::from_fn(|_| pair()),
            last: pair(),
            length: pair(),
        };
        Self {
            payment: text(),
            refund: text(),
            order_no: text(),
            appid: text(),
            refunded: text(),
            refund_id: text(),
            amount: pair(),
            cut: std::array::from_fn(|_| {
                let [low, high] = pair();
                u128::from(high) << 64 | u128::from(low)
            }),
        }
    }

    /// The key of a payment. `None` if the text is too long for a payment number; the same holds
    /// for all texts here.
    #[inline]
    pub(crate) fn payment(&self, transaction_id: &str) -> Option<u64> {
        Some(self.cut(text(&self.payment, transaction_id)?))
    }

    /// The key of a refund.
    #[inline]
    pub(crate) fn refund(&self, out_refund_no: &str) -> Option<u64> {
        Some(self.cut(text(&self.refund, out_refund_no)?))
    }

    /// The part of a payment that must agree.
    #[inline]
    pub(crate) fn of_payment(
        &self,
        order_no: &str,
        appid: &str,
        amount_fen: i64,
    ) -> Option<PartialSum> {
        Some(
            self.amount(amount_fen)
                .and(text(&self.order_no, order_no)?)
                .and(text(&self.appid, appid)?),
        )
    }

    /// The part of a refund that must agree, without WeChat Pay's number of it.
    #[inline]
    pub(crate) fn of_refund(
        &self,
        order_no: &str,
        transaction_id: &str,
        amount_fen: i64,
    ) -> Option<PartialSum> {
        Some(
            self.amount(amount_fen)
                .and(text(&self.order_no, order_no)?)
                .and(text(&self.refunded, transaction_id)?),
        )
    }

    /// WeChat Pay's number of a refund.
    #[inline]
    pub(crate) fn refund_id(&self, refund_id: &str) -> Option<PartialSum> {
        text(&self.refund_id, refund_id)
    }

    /// The fingerprint of a sum: the upper half of a second sum, since its lower half is weak.
    #[inline]
    pub(crate) fn cut(&self, PartialSum(sum): PartialSum) -> u64 {
        let [start, of_low, of_high] = self.cut;
        let cut = start
            .wrapping_add(of_low.wrapping_mul(sum & u128::from(u64::MAX)))
            .wrapping_add(of_high.wrapping_mul(sum >> 64));
        u64::try_from(cut >> 64).unwrap_or_default()
    }

    #[inline]
    fn amount(&self, fen: i64) -> PartialSum {
        PartialSum(product(self.amount, [fen.cast_unsigned(), 0]))
    }
}

impl fmt::Debug for Prints {
    /// The key stays in memory: with it, colliding numbers could be chosen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prints(..)")
    }
}

/// The part of one text: its words in pairs, its last sixteen bytes again (to cover a remainder),
/// and its length, which makes this unambiguous.
#[inline]
fn text(key: &TextKey, text: &str) -> Option<PartialSum> {
    let bytes = text.as_bytes();
    if bytes.len() > PAIRS * 16 {
        return None;
    }
    let last = match bytes.last_chunk::<16>() {
        Some(sixteen) => words(sixteen),
        None => [first_eight(bytes), last_eight(bytes)],
    };
    let length = u64::try_from(bytes.len()).unwrap_or_default();
    let start = product(key.last, last).wrapping_add(product(key.length, [length, 0]));
    let (sixteens, _) = bytes.as_chunks::<16>();
    let pairs = key.pairs.iter().zip(sixteens);
    Some(PartialSum(pairs.fold(start, |sum, (key, sixteen)| {
        sum.wrapping_add(product(*key, words(sixteen)))
    })))
}

#[inline]
fn product(key: KeyPair, words: [u64; 2]) -> u128 {
    let [left, right] = key;
    let [first, second] = words;
    u128::from(left.wrapping_add(first)) * u128::from(right.wrapping_add(second))
}

#[inline]
fn words(sixteen: &[u8; 16]) -> [u64; 2] {
    let both = u128::from_le_bytes(*sixteen);
    [both & u128::from(u64::MAX), both >> 64].map(|word| u64::try_from(word).unwrap_or_default())
}

/// For a text of less than sixteen bytes. A text of less than eight is entirely in the last eight.
fn first_eight(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk::<8>()
        .map_or(0, |eight| u64::from_le_bytes(*eight))
}

fn last_eight(bytes: &[u8]) -> u64 {
    match bytes.last_chunk::<8>() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => bytes
            .iter()
            .fold(0, |word, byte| (word << 8) | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn texts_that_differ_in_one_place_or_in_length_have_different_fingerprints() {
        let prints = Prints::new([1, 2]);
        let whole = "4200000000202608010000000001abcdefgh";
        let mut seen = HashSet::new();
        for length in 0..=whole.len() {
            assert!(seen.insert(prints.payment(&whole[..length]).unwrap()));
            for place in 0..length {
                let mut other = whole[..length].to_owned();
                other.replace_range(place..=place, "\0");
                assert!(seen.insert(prints.payment(&other).unwrap()), "{other:?}");
            }
        }
    }

    #[test]
    fn another_key_gives_other_fingerprints_and_the_same_key_the_same() {
        let print = |key| Prints::new(key).payment("4200000000202608010000000001");
        assert_eq!(print([1, 2]), print([1, 2]));
        assert_ne!(print([1, 2]), print([2, 1]));
        assert_ne!(print([1, 2]), print([1, 3]));
    }

    #[test]
    fn a_payment_and_a_refund_of_the_same_number_are_two_things() {
        let prints = Prints::new([1, 2]);
        assert_ne!(prints.payment("A-1"), prints.refund("A-1"));
    }

    #[test]
    fn a_text_longer_than_any_number_has_no_fingerprint() {
        let prints = Prints::new([1, 2]);
        assert!(prints.payment(&"1".repeat(64)).is_some());
        assert!(prints.payment(&"1".repeat(65)).is_none());
    }

    #[test]
    fn every_field_of_a_line_counts() {
        let prints = Prints::new([7, 7]);
        let payment =
            |order_no, appid, fen| prints.cut(prints.of_payment(order_no, appid, fen).unwrap());
        let prints_seen = HashSet::from([
            payment("ORDER-1", "wx1", 100),
            payment("ORDER-2", "wx1", 100),
            payment("ORDER-1", "wx2", 100),
            payment("ORDER-1", "wx1", 101),
            payment("ORDER-1", "wx1", -100),
            payment("wx1", "ORDER-1", 100),
        ]);
        assert_eq!(prints_seen.len(), 6);
    }
}
