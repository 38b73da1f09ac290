//! WeChat Pay's own numbers.

use serde::{Deserialize, Serialize};

use super::number::{BadNumber, check, text_type};

/// WeChat Pay's number of a payment (`transaction_id`, to 32 characters).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TransactionId(String);

impl TransactionId {
    /// Parses a transaction number from WeChat Pay.
    ///
    /// # Errors
    /// When it is empty, over 32 characters, or has a character outside the alphabet.
    pub fn parse(text: &str) -> Result<Self, BadNumber> {
        check(text, 1, 32)?;
        Ok(Self(text.to_owned()))
    }

    /// The number's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// WeChat Pay's number of a refund (`refund_id`, to 32 characters).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RefundId(String);

impl RefundId {
    /// Parses a refund's number from WeChat Pay.
    ///
    /// # Errors
    /// When it is empty, over 32 characters, or has a character outside the alphabet.
    pub fn parse(text: &str) -> Result<Self, BadNumber> {
        check(text, 1, 32)?;
        Ok(Self(text.to_owned()))
    }

    /// The number's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_type!(TransactionId);
text_type!(RefundId);
