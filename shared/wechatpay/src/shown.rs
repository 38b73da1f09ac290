//! Received values in error texts.

/// A received value for an error text. Its sender may be anyone, so it is cut, and odd characters
/// are escaped.
pub(crate) fn shown(value: &str) -> String {
    const LONGEST: usize = 64;
    value
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_default)
        .collect()
}
