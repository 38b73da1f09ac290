//! Numbers and identifiers in the shapes of the real ones, drawn from the seed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use crate::clock::{self, DAY_MS};

const DIGITS: &[u8] = b"0123456789";
const HEX: &[u8] = b"0123456789abcdef";
const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Above the streams that fault rules are numbered by.
const WIRE_STREAM: u64 = 1 << 63;
const CHOICE_STREAM: u64 = WIRE_STREAM + 1;
/// The streams of days that are filled begin here.
const DAY_STREAMS: u64 = WIRE_STREAM + 2;

pub(crate) struct Ids {
    /// For numbers that stay in the books.
    business: ChaCha20Rng,
    /// For ids of single messages, so that repeated requests and callbacks change no number in the
    /// books.
    wire: ChaCha20Rng,
    /// For choices that the admin leaves to the seed.
    choice: ChaCha20Rng,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            business: ChaCha20Rng::seed_from_u64(seed),
            wire: stream(seed, WIRE_STREAM),
            choice: stream(seed, CHOICE_STREAM),
        }
    }

    /// For a day that is filled by a seed of its own: numbers, and a generator for everything else.
    /// Each day has its own, so that numbers without a date in them are not drawn twice.
    pub(crate) fn for_a_day(seed: u32, start_ms: i64) -> (Self, ChaCha20Rng) {
        let day = u64::try_from(start_ms.div_euclid(DAY_MS)).unwrap_or(0);
        let first = DAY_STREAMS.saturating_add(day.saturating_mul(2));
        let seed = u64::from(seed);
        let ids = Self {
            business: stream(seed, first),
            ..Self::new(seed)
        };
        (ids, stream(seed, first.saturating_add(1)))
    }

    /// One of `count` choices, from 0.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        self.choice.random_range(0..count.max(1))
    }

    /// `wx` + 14 digits of Beijing time + 20 hex digits.
    pub(crate) fn prepay_id(&mut self, now_ms: i64) -> String {
        format!("wx{}{}", clock::compact_time(now_ms), self.text(HEX, 20))
    }

    /// `weixin://wxpay/bizpayurl?pr=JyC91EIz1`
    pub(crate) fn code_url(&mut self) -> String {
        format!("weixin://wxpay/bizpayurl?pr={}", self.text(LETTERS, 9))
    }

    /// 28 digits: `4200`, six digits, the Beijing day, ten digits.
    pub(crate) fn transaction_id(&mut self, now_ms: i64) -> String {
        let six = self.digits(6);
        format!("4200{six}{}{}", clock::compact_day(now_ms), self.digits(10))
    }

    /// 29 digits: `50`, nine digits, the Beijing day, ten digits.
    pub(crate) fn refund_id(&mut self, now_ms: i64) -> String {
        let nine = self.digits(9);
        format!("50{nine}{}{}", clock::compact_day(now_ms), self.digits(10))
    }

    /// Number of a movement of funds, as in a fund bill.
    pub(crate) fn flow_id(&mut self, now_ms: i64) -> String {
        let ten = self.digits(10);
        format!("{ten}{}{}", clock::compact_day(now_ms), self.digits(10))
    }

    /// A payer as seen by one appid: `o` and 27 characters.
    pub(crate) fn openid(&mut self) -> String {
        format!("o{}", self.text(LETTERS, 27))
    }

    /// UUID-shaped, 36 characters, as the `id` of a callback.
    pub(crate) fn callback_id(&mut self) -> String {
        uuid(&mut self.business)
    }

    /// The same for a single try of a callback.
    pub(crate) fn try_id(&mut self) -> String {
        uuid(&mut self.wire)
    }

    /// What precedes the last `-` of a `Request-ID`.
    pub(crate) fn request_id(&mut self) -> String {
        format!("08{}", text(&mut self.wire, HEX, 30).to_uppercase())
    }

    /// A nonce of a signature: 32 characters.
    pub(crate) fn nonce(&mut self) -> String {
        text(&mut self.wire, LETTERS, 32)
    }

    /// A nonce of AES-256-GCM: 12 characters.
    pub(crate) fn gcm_nonce(&mut self) -> String {
        text(&mut self.wire, LETTERS, 12)
    }

    pub(crate) fn digits(&mut self, count: usize) -> String {
        self.text(DIGITS, count)
    }

    pub(crate) fn letters(&mut self, count: usize) -> String {
        self.text(LETTERS, count)
    }

    /// A certificate's serial: 40 upper-case hex digits, the first below 8 so that the number is
    /// positive.
    pub(crate) fn certificate_serial(&mut self) -> String {
        format!("5{}", self.text(HEX, 39).to_uppercase())
    }

    /// Appid: `wx` and 16 hex digits.
    pub(crate) fn appid(&mut self) -> String {
        format!("wx{}", self.text(HEX, 16))
    }

    fn text(&mut self, alphabet: &[u8], count: usize) -> String {
        text(&mut self.business, alphabet, count)
    }
}

fn stream(seed: u64, stream: u64) -> ChaCha20Rng {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

fn uuid(rng: &mut ChaCha20Rng) -> String {
    let parts = [8, 4, 4, 4, 12].map(|count| text(rng, HEX, count));
    parts.join("-")
}

fn text(rng: &mut ChaCha20Rng, alphabet: &[u8], count: usize) -> String {
    (0..count)
        .filter_map(|_| alphabet.get(rng.random_range(0..alphabet.len())).copied())
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_in_the_real_lengths() {
        let mut ids = Ids::new(7);
        let prepay_id = ids.prepay_id(1_785_556_801_000);
        assert_eq!(prepay_id.len(), 36);
        assert!(prepay_id.starts_with("wx20260801120001"), "{prepay_id}");
        assert_eq!(ids.transaction_id(1_785_556_801_000).len(), 28);
        assert_eq!(ids.refund_id(1_785_556_801_000).len(), 29);
        assert_eq!(ids.callback_id().len(), 36);
        assert_eq!(Ids::new(7).prepay_id(1_785_556_801_000), prepay_id);
        assert_ne!(Ids::new(8).prepay_id(1_785_556_801_000), prepay_id);

        let mut talkative = Ids::new(7);
        talkative.nonce();
        talkative.request_id();
        assert_eq!(talkative.prepay_id(1_785_556_801_000), prepay_id);
    }
}
