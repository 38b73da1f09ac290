//! Exact numbers: a metric's values are whole, and shares of them are compared with a goal's many
//! nines.

use std::{cmp::Ordering, fmt};

/// A fraction in lowest terms, with a positive denominator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Number {
    numerator: i128,
    denominator: i128,
}

impl Number {
    pub const ZERO: Self = Self::whole(0);

    /// A whole number.
    pub const fn whole(value: i64) -> Self {
        Self {
            // A cast that loses nothing; `From` is not const.
            #[expect(clippy::as_conversions, reason = "from i64 to i128 in a const fn")]
            numerator: value as i128,
            denominator: 1,
        }
    }

    /// Reads a decimal number such as `14.4`, as a template or a log has it. `None`: it is none, or
    /// has too many digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = !whole.is_empty()
            && whole
                .chars()
                .chain(part.chars())
                .all(|it| it.is_ascii_digit())
            && whole.len() + part.len() <= 18;
        if !is_number {
            return None;
        }
        let digits: i128 = format!("{whole}{part}").parse().ok()?;
        let denominator = 10_i128.checked_pow(u32::try_from(part.len()).ok()?)?;
        Self::fraction(sign * digits, denominator)
    }

    fn fraction(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let divisor = gcd(numerator, denominator);
        let divisor = if denominator < 0 { -divisor } else { divisor };
        Some(Self {
            numerator: numerator.checked_div(divisor)?,
            denominator: denominator.checked_div(divisor)?,
        })
    }

    /// The sum; `None` where it has too many digits, as with all that follow.
    pub fn plus(self, other: Self) -> Option<Self> {
        let left = self.numerator.checked_mul(other.denominator)?;
        let right = other.numerator.checked_mul(self.denominator)?;
        let denominator = self.denominator.checked_mul(other.denominator)?;
        Self::fraction(left.checked_add(right)?, denominator)
    }

    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.times(Self::whole(-1))?)
    }

    pub fn times(self, other: Self) -> Option<Self> {
        Self::fraction(
            self.numerator.checked_mul(other.numerator)?,
            self.denominator.checked_mul(other.denominator)?,
        )
    }

    /// `None` also where the other is zero: CloudWatch has no data point then.
    pub fn over(self, other: Self) -> Option<Self> {
        Self::fraction(
            self.numerator.checked_mul(other.denominator)?,
            self.denominator.checked_mul(other.numerator)?,
        )
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        // Both denominators are positive. Numbers that long that this saturates do not come of a
        // template's limits and counts.
        let left = self.numerator.saturating_mul(other.denominator);
        let right = other.numerator.saturating_mul(self.denominator);
        left.cmp(&right)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// With three digits after the point at most, cut and not rounded.
impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thousandths = self
            .numerator
            .saturating_mul(1000)
            .checked_div(self.denominator)
            .unwrap_or_default();
        let sign = if thousandths < 0 { "-" } else { "" };
        let thousandths = thousandths.unsigned_abs();
        let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        write!(formatter, "{sign}{text}")
    }
}

fn gcd(left: i128, right: i128) -> i128 {
    let (mut left, mut right) = (left.saturating_abs(), right.saturating_abs());
    while right != 0 {
        (left, right) = (right, left.checked_rem(right).unwrap_or_default());
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn decimals_are_exact_and_a_division_by_zero_gives_none() {
        let share = Number::whole(3).over(Number::whole(416)).unwrap();
        assert!(share > number("0.0072"));
        let burn = share.over(number("0.0005")).unwrap();
        assert!(burn > number("14.4") && burn < number("14.5"), "{burn}");
        assert_eq!(number("0.1").plus(number("0.2")), Some(number("0.3")));
        assert_eq!(number("1").minus(number("2.5")), Some(number("-1.5")));
        assert_eq!(Number::ZERO.over(Number::ZERO), None);
        assert_eq!(number("14.40").to_string(), "14.4");
        assert_eq!(number("-0.5").to_string(), "-0.5");
    }

    #[test]
    fn what_is_no_decimal_number_is_none() {
        for text in ["", "-", ".5", "1e3", "a", "1.2.3", "99999999999999999999"] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }
}
