//! Amounts as text: from whole fen, and from the hundred-thousandths of a yuan in which fees are
//! reckoned. No float on the way.

/// The minus sign on pages: a hyphen is hard to see beside digits.
const MINUS: char = '\u{2212}';

/// `¥1,234.56`, for people.
pub(crate) fn yuan(fen: i64) -> String {
    shown(fen, "", &format!("{:02}", fen.unsigned_abs() % 100), 100)
}

/// `+¥1,234.56`, `−¥0.01` or `¥0.00`: a difference, for people.
pub(crate) fn yuan_signed(fen: i64) -> String {
    let plus = if fen > 0 { "+" } else { "" };
    shown(fen, plus, &format!("{:02}", fen.unsigned_abs() % 100), 100)
}

/// `¥1,234.56789`, for people: a fee, with as many decimal places as needed, at least two.
pub(crate) fn yuan_of_e5(e5: i64) -> String {
    let mut digits = format!("{:05}", e5.unsigned_abs() % 100_000);
    while digits.len() > 2 && digits.ends_with('0') {
        digits.pop();
    }
    shown(e5, "", &digits, 100_000)
}

/// `-1234.56789`, for programs: a fee, always with five decimal places.
pub(crate) fn decimal_of_e5(e5: i64) -> String {
    let (sign, whole) = (if e5 < 0 { "-" } else { "" }, e5.unsigned_abs());
    format!("{sign}{}.{:05}", whole / 100_000, whole % 100_000)
}

/// `12,345`, for people.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn shown(amount: i64, plus: &str, behind_the_point: &str, unit: u64) -> String {
    let minus = if amount < 0 {
        MINUS.to_string()
    } else {
        String::new()
    };
    let whole = count(amount.unsigned_abs() / unit);
    format!("{minus}{plus}¥{whole}.{behind_the_point}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_to_the_fen_at_any_size() {
        for (fen, people) in [
            (0, "¥0.00"),
            (1, "¥0.01"),
            (99, "¥0.99"),
            (100, "¥1.00"),
            (123_456, "¥1,234.56"),
            (100_000_000, "¥1,000,000.00"),
            (-5, "−¥0.05"),
            (i64::MAX, "¥92,233,720,368,547,758.07"),
            (i64::MIN, "−¥92,233,720,368,547,758.08"),
        ] {
            assert_eq!(yuan(fen), people);
        }
        assert_eq!(yuan_signed(5), "+¥0.05");
        assert_eq!(yuan_signed(-5), "−¥0.05");
        assert_eq!(yuan_signed(0), "¥0.00");
    }

    #[test]
    fn fees_keep_all_their_digits_and_no_empty_ones_for_people() {
        for (e5, people, programs) in [
            (0, "¥0.00", "0.00000"),
            (60_000, "¥0.60", "0.60000"),
            (123_456_789, "¥1,234.56789", "1234.56789"),
            (-600, "−¥0.006", "-0.00600"),
        ] {
            assert_eq!(yuan_of_e5(e5), people);
            assert_eq!(decimal_of_e5(e5), programs);
        }
    }
}
