//! Putting values into paths and queries.

/// Percent-escapes everything but RFC 3986's unreserved characters, so that a value is one path
/// segment or one query value, whatever it holds. WeChat verifies the path as it is sent (manual
/// page 4012365347).
pub(super) fn escape(value: &str) -> String {
    use std::fmt::Write;

    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            let written = write!(escaped, "%{byte:02X}");
            debug_assert!(written.is_ok(), "writing to a String does not fail");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_order_numbers_may_hold_stays_one_segment() {
        assert_eq!(escape("A_b-1"), "A_b-1");
        assert_eq!(escape("a*b|c@d"), "a%2Ab%7Cc%40d");
        assert_eq!(escape("../x?y=z&w#"), "..%2Fx%3Fy%3Dz%26w%23");
        assert_eq!(escape("中"), "%E4%B8%AD");
    }
}
