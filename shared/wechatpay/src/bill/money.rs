//! Decimal text to integers, without a float.

use std::fmt;

/// More digits before the point than any amount of money has; so no sum of a value's digits can overflow.
const WHOLE_DIGITS_MAX: usize = 13;

/// Yuan as bills write them (`12.00`, `-0.5`, `0`), to fen; none for everything else, a third decimal, a plus sign and
/// leading zeros among it.
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

/// A decimal number in units of 10^-`PLACES`.
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
    // `.5`, `5.` and `00` are nobody's way to write money, so they are a sign of damage.
    if whole == 0 || places == Some(0) || (whole > 1 && digits.first() == Some(&b'0')) {
        return None;
    }
    for _ in places.unwrap_or(0)..PLACES {
        value *= 10;
    }
    Some(if negative { -value } else { value })
}

/// A fee (手续费): 1/100000 yuan, since bills write up to five decimals. Negative where a fee is given back.
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

    /// Reads yuan with at most five decimals: `0.07000`, `-0.02`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        decimal::<5>(text.as_bytes()).map(Self)
    }

    /// The sum; none where it does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// By how much the fee exceeds `rate_ppm` millionths of `amount_fen`, exactly, in 1/100000000 yuan (a fen has a
    /// million of them).
    #[must_use]
    pub fn excess_over_rate(self, amount_fen: i64, rate_ppm: i64) -> i128 {
        i128::from(self.0) * 1000 - i128::from(amount_fen) * i128::from(rate_ppm)
    }

    /// Whether the fee is that rate of that amount, rounded to a fen either way: less than a fen off.
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
