//! What all numbers keep to.

/// Why a text is not a valid number.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadNumber {
    /// Too short or too long.
    #[error("must have {min} to {max} characters")]
    Length {
        /// The fewest characters.
        min: usize,
        /// The most characters.
        max: usize,
    },
    /// A character outside the alphabet.
    #[error("may hold only digits, letters, `_` and `-`")]
    Alphabet,
    /// It begins with a prefix that is reserved for numbers that are made here.
    #[error("must not begin with `{prefix}`: such numbers are made here")]
    ReservedPrefix { prefix: &'static str },
}

pub(super) fn check(text: &str, min: usize, max: usize) -> Result<(), BadNumber> {
    if text.len() < min || text.len() > max {
        return Err(BadNumber::Length { min, max });
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if text.bytes().all(plain) {
        Ok(())
    } else {
        Err(BadNumber::Alphabet)
    }
}

/// To and from text, by the type's own `parse`.
macro_rules! text_type {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = BadNumber;

            fn try_from(text: String) -> Result<Self, BadNumber> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(number: $name) -> Self {
                number.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(super) use text_type;
