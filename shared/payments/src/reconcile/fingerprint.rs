//! Keyed fingerprints: 64 bits that stand for the texts and the amount of a line.
//!
//! The table of a day keeps these instead of texts. A difference could hide behind two texts of the same fingerprint, so the
//! hash is one whose odds can be proved: multilinear hashing (Lemire and Kaser, "Strongly universal string hashing is
//! fast", 2014). Each word of the message is multiplied by a random key word of its own, of twice its width; the upper half
//! of the sum is the hash. Whatever two messages are, they have the same hash under one key in 2^64, and which key that is
//! nobody can know who does not see the run's memory. It costs two multiplications for eight bytes.

use std::fmt;

use sha2::{Digest, Sha256};

/// Words of eight bytes in the longest text that has a fingerprint. No number of ours is longer than 64 characters.
const WORDS: usize = 8;

/// The key words for one text: one for each of its words, one for what is left over, one for its length.
type TextKey = [u128; WORDS + 2];

/// A part of a fingerprint. Parts under different keys are added; the sum is then cut down to a [`u64`] by [`Part::cut`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Part(u128);

impl Part {
    /// Both parts together.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// The fingerprint: the upper half, since the lower one is weak.
    pub(crate) fn cut(self) -> u64 {
        u64::try_from(self.0 >> 64).unwrap_or_default()
    }
}

/// The key words of a run.
pub(crate) struct Prints {
    start: u128,
    amount: u128,
    payment: TextKey,
    refund: TextKey,
    order_no: TextKey,
    appid: TextKey,
    refunded: TextKey,
    refund_id: TextKey,
}

impl Prints {
    /// Draws the key words out of the run's random key, by SHA-256 in counter mode.
    pub(crate) fn new(key: [u64; 2]) -> Self {
        let mut drawn = (0_u64..).flat_map(|counter| {
            let mut hash = Sha256::new();
            hash.update(b"reconcile fingerprints");
            for word in [key[0], key[1], counter] {
                hash.update(word.to_le_bytes());
            }
            let digest: [u8; 32] = hash.finalize().into();
            let (words, _) = digest.as_chunks::<16>();
            [words.first(), words.last()].map(|word| word.copied().map_or(0, u128::from_le_bytes))
        });
        let mut word = || drawn.next().unwrap_or_default();
        let (start, amount) = (word(), word());
        let mut text = || -> TextKey { std::array::from_fn(|_| word()) };
        Self {
            start,
            amount,
            payment: text(),
            refund: text(),
            order_no: text(),
            appid: text(),
            refunded: text(),
            refund_id: text(),
        }
    }

    /// What a payment is found by. `None` when the text is too long to be a number of a payment; so with all texts here.
    #[inline]
    pub(crate) fn payment(&self, transaction_id: &str) -> Option<u64> {
        let part = text(&self.payment, transaction_id)?;
        Some(Part(self.start).and(part).cut())
    }

    /// What a refund is found by.
    #[inline]
    pub(crate) fn refund(&self, out_refund_no: &str) -> Option<u64> {
        let part = text(&self.refund, out_refund_no)?;
        Some(Part(self.start).and(part).cut())
    }

    /// What must agree of a payment.
    #[inline]
    pub(crate) fn of_payment(&self, order_no: &str, appid: &str, amount_fen: i64) -> Option<Part> {
        Some(
            self.amount(amount_fen)
                .and(text(&self.order_no, order_no)?)
                .and(text(&self.appid, appid)?),
        )
    }

    /// What must agree of a refund, WeChat Pay's number of it left out.
    #[inline]
    pub(crate) fn of_refund(
        &self,
        order_no: &str,
        transaction_id: &str,
        amount_fen: i64,
    ) -> Option<Part> {
        Some(
            self.amount(amount_fen)
                .and(text(&self.order_no, order_no)?)
                .and(text(&self.refunded, transaction_id)?),
        )
    }

    /// WeChat Pay's number of a refund.
    #[inline]
    pub(crate) fn refund_id(&self, refund_id: &str) -> Option<Part> {
        text(&self.refund_id, refund_id)
    }

    fn amount(&self, fen: i64) -> Part {
        Part(
            self.start
                .wrapping_add(self.amount.wrapping_mul(u128::from(fen.cast_unsigned()))),
        )
    }
}

impl fmt::Debug for Prints {
    /// The key stays in memory: who knew it could choose numbers that collide.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prints(..)")
    }
}

/// The part of one text: its words of eight bytes, then its last eight bytes again where some are left over, and its
/// length, which makes that unambiguous.
#[inline]
fn text(key: &TextKey, text: &str) -> Option<Part> {
    let bytes = text.as_bytes();
    if bytes.len() > WORDS * 8 {
        return None;
    }
    let (of_words, [of_rest, of_length]) = key.split_last_chunk::<2>()?;
    let length = u128::try_from(bytes.len()).unwrap_or_default();
    let (words, rest) = bytes.as_chunks::<8>();
    let sum =
        of_words
            .iter()
            .zip(words)
            .fold(of_length.wrapping_mul(length), |sum, (key, word)| {
                sum.wrapping_add(key.wrapping_mul(u128::from(u64::from_le_bytes(*word))))
            });
    let last = match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest
            .iter()
            .fold(0, |word, byte| (word << 8) | u64::from(*byte)),
    };
    Some(Part(
        sum.wrapping_add(of_rest.wrapping_mul(u128::from(last))),
    ))
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
        let payment = |order_no, appid, fen| prints.of_payment(order_no, appid, fen).unwrap().cut();
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
