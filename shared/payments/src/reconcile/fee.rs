//! Whether a fee is the row's own rate of what the row settles, by whole numbers.

/// One fen in the unit of fees, 1/100000 yuan.
pub(crate) const FEE_UNITS_IN_A_FEN: i64 = 1000;

/// One, in the unit of rates.
const MILLION: i128 = 1_000_000;

/// Whether `fee`, in 1/100000 yuan, is less than a fen away from `rate` of `fen`. WeChat Pay does not say how it rounds, so
/// down, up and to the nearest all pass; what a rounding cannot explain does not.
pub(crate) fn is_at_rate(fee: i64, fen: i64, rate: Rate) -> bool {
    let charged = i128::from(fee) * MILLION;
    let exact = i128::from(fen) * i128::from(FEE_UNITS_IN_A_FEN) * i128::from(rate.millionths);
    (charged - exact).abs() < i128::from(FEE_UNITS_IN_A_FEN) * MILLION
}

/// A share, in millionths.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rate {
    pub(crate) millionths: u32,
}

impl Rate {
    /// Reads 费率 such as `0.60%`: up to four decimals, up to 100 %. `None` for every other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 4 {
            return None;
        }
        let percent: u32 = whole.parse().ok()?;
        let decimals: u32 = format!("{decimals:0<4}").parse().ok()?;
        let millionths = percent.checked_mul(10_000)?.checked_add(decimals)?;
        (millionths <= 1_000_000).then_some(Self { millionths })
    }
}

/// The rate of the row before. A merchant has a handful of rates, so most rows have it too.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastRate {
    text: String,
    rate: Option<Rate>,
}

impl LastRate {
    /// Reads a rate, or remembers it.
    #[inline]
    pub(crate) fn read(&mut self, text: &str) -> Option<Rate> {
        if text != self.text {
            self.rate = Rate::parse(text);
            text.clone_into(&mut self.text);
        }
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_with_up_to_four_decimals() {
        for (text, millionths) in [
            ("0.60%", Some(6000)),
            ("0.6%", Some(6000)),
            ("1%", Some(10_000)),
            ("0.0001%", Some(1)),
            ("100.00%", Some(1_000_000)),
            ("100.01%", None),
            ("0.00001%", None),
            ("0.60", None),
            ("%", None),
            (".6%", None),
            ("0.%", None),
            ("-0.60%", None),
            ("+1%", None),
            ("４%", None),
            ("", None),
        ] {
            let read = Rate::parse(text).map(|rate| rate.millionths);
            assert_eq!(read, millionths, "{text}");
        }
    }

    #[test]
    fn a_fee_may_be_rounded_in_any_way_but_not_be_a_fen_off() {
        let rate = Rate { millionths: 6000 };
        // 0.6 % of 17.49 yuan is 0.104940 yuan.
        for (fee, right) in [
            (10_494, true),
            (10_000, true),
            (11_000, true),
            (10_495, true),
            (9_494, false),
            (11_494, false),
            (9_495, true),
            (11_493, true),
            (0, false),
            (-10_494, false),
        ] {
            assert_eq!(is_at_rate(fee, 1749, rate), right, "{fee}");
        }
        assert!(is_at_rate(-10_494, -1749, rate));
        assert!(!is_at_rate(i64::MIN, i64::MAX, rate));
    }

    #[test]
    fn a_rate_is_read_once_for_many_rows_of_it() {
        let mut last = LastRate::default();
        for (text, millionths) in [
            ("", None),
            ("0.60%", Some(6000)),
            ("0.60%", Some(6000)),
            ("bad", None),
        ] {
            assert_eq!(last.read(text).map(|rate| rate.millionths), millionths);
        }
    }
}
