//! The merchant's number of an order.

use serde::{Deserialize, Serialize};

use super::{
    client::{ClientId, IdempotencyKey},
    derived::{DERIVED_PREFIX, derived},
    number::{BadNumber, check, text_type},
};

/// The merchant's number of an order: WeChat Pay's `out_trade_no`, unique for each merchant number.
///
/// 6 to 32 of digits, letters, `_` and `-`. WeChat Pay also accepts `*` and the bar; this is the
/// set on which all its pages agree (shared/wechatpay/PROTOCOL.md, 12) and which needs no escaping
/// in a path.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrderNo(String);

impl OrderNo {
    /// What a number derived from an `Idempotency-Key` begins with. Callers may not use it, so the
    /// two kinds never collide.
    pub const DERIVED_PREFIX: &str = DERIVED_PREFIX;

    /// Parses an order number from WeChat Pay or from our table.
    ///
    /// # Errors
    /// When it has a wrong length or a character outside the alphabet.
    pub fn parse(text: &str) -> Result<Self, BadNumber> {
        check(text, 6, 32)?;
        Ok(Self(text.to_owned()))
    }

    /// Parses an order number that the caller chose.
    ///
    /// # Errors
    /// As [`OrderNo::parse`], and when it begins with the prefix of derived numbers.
    pub fn chosen(text: &str) -> Result<Self, BadNumber> {
        let number = Self::parse(text)?;
        if text.starts_with(Self::DERIVED_PREFIX) {
            Err(BadNumber::ReservedPrefix {
                prefix: Self::DERIVED_PREFIX,
            })
        } else {
            Ok(number)
        }
    }

    /// The number that belongs to a client's `Idempotency-Key`: the same key of the same client
    /// always gives the same order number, and no other client's. `route` keeps keys of different
    /// routes apart.
    pub fn derived(client: &ClientId, route: &str, key: &IdempotencyKey) -> Self {
        Self(derived(&[client.as_str(), route, key.as_str()]))
    }

    /// The number's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_type!(OrderNo);
