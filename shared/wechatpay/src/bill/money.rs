//! Decimal text to integers, without a float.

use std::fmt;

/// More digits before the point than any amount of money has; so no sum of a value's digits can
/// overflow.
const WHOLE_DIGITS_MAX: usize = 13;

/// Yuan as bills write them (`12.00`, `-0.5`, `0`), to fen; none for everything else, a third
/// decimal, a plus sign and leading zeros among it.
#[must_use]
pub fn fen_of_yuan(text: &str) -> Option<i64> {
    decimal::<2>(text.as_bytes())
}

/// Fen as bills write them: yuan with two decimals.
#[must_use]
pub fn yuan_of_fen(fen: i64) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    let fen = fen.unsigned_abs();
    format!("{sign}{}.{:02}", fen / 100, fen % 100)
}

/// A count as bills write it: `45.0`, or `45`.
pub(super) fn count(text: &str) -> Option<u64> {
    let (whole, zeros) = text.split_once('.').unwrap_or((text, "0"));
    if zeros.is_empty() || zeros.bytes().any(|byte| byte != b'0') {
        return None;
    }
    u64::try_from(decimal::<0>(whole.as_bytes())?).ok()
}

/// How many decimals a number has.
pub(super) fn decimals(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, after)| after.len())
}

/// [`decimal`] of a part of a text, fast where it is written as nearly all numbers of a bill are:
/// with all `PLACES` and at most eight characters. Those are taken as one word and read without a
/// loop, so without a branch to be guessed wrong.
#[inline]
pub(super) fn decimal_within<const PLACES: usize>(
    text: &[u8],
    from: usize,
    to: usize,
) -> Option<i64> {
    match plain_within::<PLACES>(text, from, to) {
        Some(value) => Some(value),
        None => decimal::<PLACES>(text.get(from..to)?),
    }
}

#[inline]
fn plain_within<const PLACES: usize>(text: &[u8], from: usize, to: usize) -> Option<i64> {
    let length = to.wrapping_sub(from);
    if PLACES == 2 && length == 4 && text.get(from..to) == Some(b"0.00") {
        return Some(0); // more than half of all amounts
    }
    if !(PLACES + 2..=8).contains(&length) {
        return None;
    }
    // The number is at the high end of the word, the last digit in the highest byte; digits become
    // 0 to 9, and bytes before the number become leading zeros.
    let eight = text.get(to.wrapping_sub(8)..to)?.first_chunk::<8>()?;
    let before = 8 * (8 - length);
    let word = (u64::from_le_bytes(*eight) ^ 0x3030_3030_3030_3030) >> before;
    let leading_zero = word & 0xff == 0 && length > PLACES + 2;
    let word = word << before;

    let point = 8 * (7 - PLACES);
    let (whole, places) = (word & ((1 << point) - 1), word & (u64::MAX << (point + 8)));
    let digits = whole << 8 | places;
    let no_digit = (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080;
    if (word >> point) & 0xff != u64::from(b'.' ^ b'0') || no_digit != 0 || leading_zero {
        return None;
    }
    // Digits to pairs, pairs to fours, fours to the number.
    let pairs = (digits.wrapping_mul(10 << 8 | 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_ffff_0000_ffff;
    i64::try_from(fours.wrapping_mul(10_000 << 32 | 1) >> 32).ok()
}

/// A decimal number in units of 10^-`PLACES`.
#[inline(never)]
fn decimal<const PLACES: usize>(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    let mut value = 0_i64;
    let mut whole = 0;
    let mut places = None;
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + i64::from(byte - b'0');
                match &mut places {
                    None => whole += 1,
                    Some(places) => *places += 1,
                }
                if whole > WHOLE_DIGITS_MAX || places > Some(PLACES) {
                    return None;
                }
            }
            b'.' if places.is_none() => places = Some(0),
            _ => return None,
        }
    }
    // `.5`, `5.` and `00` are not valid amounts, so the file is damaged.
    if whole == 0 || places == Some(0) || (whole > 1 && digits.first() == Some(&b'0')) {
        return None;
    }
    for _ in places.unwrap_or(0)..PLACES {
        value *= 10;
    }
    Some(if negative { -value } else { value })
}

/// A fee (手续费): 1/100000 yuan, since bills write up to five decimals. Negative if a fee is
/// returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fee(i64);

impl Fee {
    /// One fen.
    pub const CENT: Self = Self(1000);

    /// From 1/100000 yuan.
    #[must_use]
    pub const fn from_units(units: i64) -> Self {
        Self(units)
    }

    /// In 1/100000 yuan.
    #[must_use]
    pub const fn units(self) -> i64 {
        self.0
    }

    /// The fee in a part of a text.
    #[inline]
    pub(super) fn within(text: &[u8], from: usize, to: usize) -> Option<Self> {
        decimal_within::<5>(text, from, to).map(Self)
    }

    /// Reads yuan with at most five decimals: `0.07000`, `-0.02`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        decimal::<5>(text.as_bytes()).map(Self)
    }

    /// The sum; `None` on overflow.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// By how much the fee exceeds `rate_ppm` millionths of `amount_fen`, exactly, in 1/100000000
    /// yuan (a fen has a million of them).
    #[must_use]
    pub fn excess_over_rate(self, amount_fen: i64, rate_ppm: i64) -> i128 {
        i128::from(self.0) * 1000 - i128::from(amount_fen) * i128::from(rate_ppm)
    }

    /// The fee that a rate such as `0.60%` gives of `amount_fen`, rounded to 1/100000 yuan, half
    /// away from zero. `None` for what is no rate.
    #[must_use]
    pub fn at_rate(amount_fen: i64, rate: &str) -> Option<Self> {
        let exact = i128::from(amount_fen) * i128::from(rate_ppm(rate)?);
        let half = if exact < 0 { -500 } else { 500 };
        i64::try_from((exact + half) / 1000).ok().map(Self)
    }

    /// Whether the fee is that rate of that amount, rounded to a fen either way: less than a fen
    /// off.
    #[must_use]
    pub fn fits_rate(self, amount_fen: i64, rate_ppm: i64) -> bool {
        self.excess_over_rate(amount_fen, rate_ppm).unsigned_abs() < 1_000_000
    }
}

/// Yuan, with as many decimals as it needs and at least two.
impl fmt::Display for Fee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let units = self.0.unsigned_abs();
        let (yuan, mut part, mut width) = (units / 100_000, units % 100_000, 5);
        while width > 2 && part % 10 == 0 {
            part /= 10;
            width -= 1;
        }
        write!(f, "{sign}{yuan}.{part:0width$}")
    }
}

/// A rate such as `0.60%` in millionths: 6000.
pub(super) fn rate_ppm(text: &str) -> Option<i64> {
    let percent = text.strip_suffix('%')?;
    decimal::<4>(percent.as_bytes()).filter(|ppm| *ppm >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_gives_a_fee_to_its_last_digit() {
        for (fen, rate, units) in [
            (10_000, "0.60%", Some(60_000)),
            (-10_000, "0.60%", Some(-60_000)),
            (1, "0.60%", Some(6)),
            (1, "0.0500%", Some(1)),
            (-1, "0.0500%", Some(-1)),
            (100, "0", None),
            (100, "", None),
        ] {
            assert_eq!(Fee::at_rate(fen, rate), units.map(Fee), "{fen} {rate}");
        }
    }

    #[test]
    fn yuan_are_read_to_the_fen() {
        for (text, fen) in [
            ("0", 0),
            ("0.0", 0),
            ("0.00", 0),
            ("-0.00", 0),
            ("12.00", 1200),
            ("12.3", 1230),
            ("12.34", 1234),
            ("-3", -300),
            ("1234567.89", 123_456_789),
            ("9999999999999.99", 999_999_999_999_999),
        ] {
            assert_eq!(fen_of_yuan(text), Some(fen), "{text}");
        }
    }

    #[test]
    fn what_is_not_written_like_money_is_none() {
        for text in [
            "",
            "-",
            ".",
            "-.",
            ".5",
            "5.",
            "00",
            "00.00",
            "01.00",
            "1.234",
            "1..2",
            "1.2.3",
            "+1.00",
            "--1",
            "1-",
            " 1",
            "1 ",
            "1,000.00",
            "1e3",
            "１",
            "99999999999999.00",
            "0x1",
        ] {
            assert_eq!(fen_of_yuan(text), None, "{text}");
        }
    }

    #[test]
    fn the_fast_way_reads_what_the_slow_way_reads() {
        let mut seed = 7_u32;
        for _ in 0..200_000 {
            let mut text = *b"`1234.56,`12.34000,`";
            for _ in 0..3 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = usize::try_from(seed >> 8).expect("64 bits") % text.len();
                text[at] =
                    b"0123456789.-,`/:\0\x7f\x80\xff"[usize::from(seed.to_be_bytes()[0] % 20)];
            }
            let from = usize::from(seed.to_be_bytes()[1] % 20);
            for to in from..=text.len() {
                let plain = plain_within::<2>(&text, from, to);
                assert!(
                    plain.is_none() || plain == decimal::<2>(&text[from..to]),
                    "{text:?}"
                );
                let plain = plain_within::<5>(&text, from, to);
                assert!(
                    plain.is_none() || plain == decimal::<5>(&text[from..to]),
                    "{text:?}"
                );
            }
        }
        for (text, fen) in [
            ("`,`,`,`0.00", 0),
            ("`,`,`99999.99", 9_999_999),
            ("`,`,`,`,`10.05", 1005),
        ] {
            let from = text.rfind('`').expect("one") + 1;
            assert_eq!(
                plain_within::<2>(text.as_bytes(), from, text.len()),
                Some(fen)
            );
        }
        assert_eq!(plain_within::<5>(b"`,`0.07123", 3, 10), Some(7123));
    }

    #[test]
    fn fees_have_up_to_five_decimals() {
        for (text, units, again) in [
            ("0.07000", 7000, "0.07"),
            ("-0.02000", -2000, "-0.02"),
            ("0.07", 7000, "0.07"),
            ("0.00001", 1, "0.00001"),
            ("1.2", 120_000, "1.20"),
            ("12.345", 1_234_500, "12.345"),
            ("0", 0, "0.00"),
            ("123456.78900", 12_345_678_900, "123456.789"),
        ] {
            let fee = Fee::parse(text).expect(text);
            assert_eq!((fee.units(), fee.to_string().as_str()), (units, again));
            assert_eq!(Fee::parse(&fee.to_string()), Some(fee));
        }
        assert_eq!(Fee::parse("0.000001"), None);
    }

    #[test]
    fn a_fee_is_held_to_its_rate_exactly() {
        let fee = |text| Fee::parse(text).expect(text);
        assert_eq!(fee("0.072").excess_over_rate(1200, 6000), 0);
        assert_eq!(fee("0.07").excess_over_rate(1200, 6000), -200_000);
        assert!(fee("0.07").fits_rate(1200, 6000) && fee("0.08").fits_rate(1200, 6000));
        assert!(!fee("0.06").fits_rate(1200, 6000) && !fee("0.09").fits_rate(1200, 6000));
        assert!(fee("-0.02").fits_rate(-300, 6000));
        assert!(!Fee::from_units(i64::MIN).fits_rate(i64::MAX, i64::MAX));
    }

    #[test]
    fn rates_are_millionths() {
        for (text, ppm) in [
            ("0.60%", Some(6000)),
            ("1%", Some(10_000)),
            ("0.0001%", Some(1)),
            ("0.60", None),
            ("", None),
            ("%", None),
            ("-1%", None),
            ("0.00001%", None),
        ] {
            assert_eq!(rate_ppm(text), ppm, "{text}");
        }
    }

    #[test]
    fn counts_are_whole_numbers_with_or_without_a_point() {
        for (text, number) in [
            ("45.0", Some(45)),
            ("45", Some(45)),
            ("0.0", Some(0)),
            ("45.00", Some(45)),
            ("45.5", None),
            ("45.", None),
            ("-1", None),
            ("", None),
            (".0", None),
        ] {
            assert_eq!(count(text), number, "{text}");
        }
    }

    #[test]
    fn fen_are_written_as_yuan() {
        assert_eq!(yuan_of_fen(1234), "12.34");
        assert_eq!(yuan_of_fen(-5), "-0.05");
        assert_eq!(yuan_of_fen(i64::MIN), "-92233720368547758.08");
    }
}
