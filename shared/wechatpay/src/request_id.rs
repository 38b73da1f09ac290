//! `Request-ID`: the name that WeChat Pay gives to each request.

use std::fmt;

/// What WeChat Pay's support asks for when something is disputed: the `Request-ID` header of an
/// answer or a callback. The part after its last `-` is an internal result number. It is not
/// signed, so nothing is decided on it (page 4013053249).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The header.
    pub const HEADER: &str = "request-id";

    /// WeChat Pay's have some fifty characters.
    const LENGTH_MAX: usize = 128;

    /// Reads the header's value. Empty, overlong or strange ones are none: they end up in logs and
    /// tables.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        (plain && (1..=Self::LENGTH_MAX).contains(&text.len())).then(|| Self(text.to_owned()))
    }

    /// As WeChat Pay wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_kept_as_it_is_and_what_cannot_be_one_is_none() {
        let given = "08E6B1A8BB0610A20118C0F1CE0B20A1B70328D2E4-268435461";
        for text in [given.to_owned(), format!(" {given} ")] {
            let id = RequestId::read(&text).unwrap();
            assert_eq!(id.as_str(), given);
            assert_eq!(id.to_string(), given, "in messages, too");
        }
        for text in ["", "  ", "a b", "a\nb", "编号", &"x".repeat(129)] {
            assert_eq!(RequestId::read(text), None, "{text:?}");
        }
        assert!(RequestId::read(&"x".repeat(128)).is_some());
    }
}
