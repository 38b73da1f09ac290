//! Numbers and ids. Each has its own type, so that they cannot be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn check(text: &str, min: usize, max: usize) -> Result<(), BadNumber> {
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
    pub const DERIVED_PREFIX: &str = "idem-";

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

/// A number of 32 characters that depends on these parts only.
fn derived(parts: &[&str]) -> String {
    let mut number = OrderNo::DERIVED_PREFIX.to_owned();
    number.extend(base32(&digest_of(parts)).take(32 - OrderNo::DERIVED_PREFIX.len()));
    number
}

/// SHA-256 over the parts, each after its length, so that two different lists never give the same
/// input.
fn digest_of(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// Lower-case base32 (RFC 4648 alphabet) without padding; bits that do not fill a character are
/// left off.
fn base32(bytes: &[u8]) -> impl Iterator<Item = char> {
    let alphabet = "abcdefghijklmnopqrstuvwxyz234567"
        .chars()
        .collect::<Vec<_>>();
    let (mut held, mut bits) = (0_u32, 0_u32);
    let mut text = Vec::with_capacity(bytes.len() * 8 / 5);
    for &byte in bytes {
        held = (held << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let five = usize::try_from((held >> bits) & 31).unwrap_or_default();
            text.extend(alphabet.get(five));
        }
        held &= (1 << bits) - 1;
    }
    text.into_iter()
}

text_type!(OrderNo);

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

text_type!(TransactionId);

/// A refund's number under its order: the caller's own, or derived.
///
/// 1 to 40 of digits, letters, `_` and `-`. It must be unique under its order only; WeChat Pay
/// receives an [`OutRefundNo`].
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RefundNo(String);

impl RefundNo {
    /// What the number of a refund of late money begins with.
    const LATE_PREFIX: &str = "auto-";
    /// What the number of a refund that was made in WeChat Pay's console begins with.
    const CONSOLE_PREFIX: &str = "console-";
    /// What the number of a refund of a second payment begins with that a reconciliation proposed.
    const SECOND_PREFIX: &str = "second-";

    /// Parses a refund number from our table.
    ///
    /// # Errors
    /// When it has a wrong length or a character outside the alphabet.
    pub fn parse(text: &str) -> Result<Self, BadNumber> {
        check(text, 1, 40)?;
        Ok(Self(text.to_owned()))
    }

    /// Parses a refund number that the caller chose.
    ///
    /// # Errors
    /// As [`RefundNo::parse`], and when it begins with a prefix of numbers that are made here.
    pub fn chosen(text: &str) -> Result<Self, BadNumber> {
        let number = Self::parse(text)?;
        let reserved = [
            OrderNo::DERIVED_PREFIX,
            Self::LATE_PREFIX,
            Self::CONSOLE_PREFIX,
            Self::SECOND_PREFIX,
        ];
        match reserved.into_iter().find(|prefix| text.starts_with(prefix)) {
            Some(prefix) => Err(BadNumber::ReservedPrefix { prefix }),
            None => Ok(number),
        }
    }

    /// The number that belongs to a client's `Idempotency-Key` under one order.
    pub fn derived(client: &ClientId, order_no: &OrderNo, key: &IdempotencyKey) -> Self {
        Self(derived(&[
            client.as_str(),
            "refunds",
            order_no.as_str(),
            key.as_str(),
        ]))
    }

    /// The number of the refund that returns a late payment: the same payment always has the same
    /// number, so that it is refunded only once, however often it is found
    /// (shared/payments/STATES.md, I5).
    pub fn of_late_money(transaction_id: &TransactionId) -> Self {
        Self::of_late_money_again(transaction_id, 1)
    }

    /// The number of the `nth` refund (from 1 on) of a late payment. A second one exists only after
    /// the first failed for good and operators decided again.
    pub fn of_late_money_again(transaction_id: &TransactionId, nth: u32) -> Self {
        Self::nth(Self::LATE_PREFIX, transaction_id, nth)
    }

    /// Whether it is the number of a refund of late money.
    pub fn is_of_late_money(&self) -> bool {
        self.0.starts_with(Self::LATE_PREFIX)
    }

    /// The number of a refund that was made in WeChat Pay's console, by WeChat Pay's number of it.
    pub fn of_console_refund(refund_id: &RefundId) -> Self {
        Self(format!("{}{refund_id}", Self::CONSOLE_PREFIX))
    }

    /// The number of the `nth` refund (from 1 on) that returns a second payment of an order, once
    /// two persons have approved it: the same payment always has the same numbers, however often
    /// the approval is executed. A second one exists only after the first failed for good.
    pub fn of_second_payment(transaction_id: &TransactionId, nth: u32) -> Self {
        Self::nth(Self::SECOND_PREFIX, transaction_id, nth)
    }

    fn nth(prefix: &str, transaction_id: &TransactionId, nth: u32) -> Self {
        let first = format!("{prefix}{transaction_id}");
        Self(if nth <= 1 {
            first
        } else {
            format!("{first}-{nth}")
        })
    }

    /// The number's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_type!(RefundNo);

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

text_type!(RefundId);

/// The number of a refund at WeChat Pay (`out_refund_no`). It pays only once, is unique for the
/// *merchant*, and never changes: under a new number the same refund could be paid twice
/// (shared/wechatpay/PROTOCOL.md, 6.2).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OutRefundNo(String);

impl OutRefundNo {
    /// The number for one of our refunds: a digest of order and refund number, since refund numbers
    /// of different orders may be equal.
    pub fn of(order_no: &OrderNo, refund_no: &RefundNo) -> Self {
        let digest = digest_of(&[order_no.as_str(), refund_no.as_str()]);
        let mut number = "r-".to_owned();
        number.extend(base32(&digest).take(40));
        Self(number)
    }

    /// Parses a number from WeChat Pay or from our table: 1 to 64 of digits, letters, `_`, `-`,
    /// `*`, `@` and the bar.
    ///
    /// # Errors
    /// When it has a wrong length or a character outside the alphabet.
    pub fn parse(text: &str) -> Result<Self, BadNumber> {
        let plain = text.replace(['*', '@', '|'], "_");
        check(&plain, 1, 64)?;
        Ok(Self(text.to_owned()))
    }

    /// The number's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_type!(OutRefundNo);

/// A client of our API. It can see and change only its own orders.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(String);

/// An id that no client can have, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadClientId {
    /// It is too long, empty, or cannot be read.
    #[error("a client's id is 1 to 128 characters without control characters and outer blanks")]
    Form,
    /// It is reserved for orders that belong to no client.
    #[error(
        "the client id `(nobody)` is kept for orders that belong to no client: take another one"
    )]
    Reserved,
}

impl ClientId {
    /// Client id of orders created by reconciliation for payments that are not ours, so that they
    /// can be refunded. No key can be registered for it: only finance staff see these orders.
    pub const UNATTRIBUTED: &str = "(nobody)";

    /// Parses an id for registering a client or for assigning an order.
    ///
    /// # Errors
    /// [`BadClientId`].
    pub fn chosen(text: &str) -> Result<Self, BadClientId> {
        let is_form = (1..=128).contains(&text.chars().count())
            && text.trim() == text
            && !text.chars().any(char::is_control);
        if !is_form {
            Err(BadClientId::Form)
        } else if text == Self::UNATTRIBUTED {
            Err(BadClientId::Reserved)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The client that a verified key belongs to.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The value of an `Idempotency-Key` header: 1 to 255 visible ASCII characters, unquoted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdempotencyKey(String);

/// An invalid `Idempotency-Key`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("Idempotency-Key must hold 1 to 255 visible ASCII characters")]
pub struct BadIdempotencyKey;

impl IdempotencyKey {
    /// Reads the header. The draft defines a structured-field string (`"abc"`); most clients send
    /// the bare text (`abc`). Both mean the same key.
    ///
    /// # Errors
    /// When nothing is left, it is too long, or it holds a character that is not visible ASCII.
    pub fn parse(header: &str) -> Result<Self, BadIdempotencyKey> {
        let trimmed = header.trim();
        let bare = trimmed
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(trimmed);
        let fits =
            (1..=255).contains(&bare.len()) && bare.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            Ok(Self(bare.to_owned()))
        } else {
            Err(BadIdempotencyKey)
        }
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_number_keeps_to_the_common_alphabet_and_length() {
        for (text, allowed) in [
            ("ORDER1", true),
            ("a_b-c-1", true),
            ("short", false),
            ("12345678901234567890123456789012", true),
            ("123456789012345678901234567890123", false),
            ("order*1", false),
            ("order|1", false),
            ("order 1", false),
            ("订单号码", false),
        ] {
            assert_eq!(OrderNo::parse(text).is_ok(), allowed, "{text}");
        }
    }

    #[test]
    fn a_caller_cannot_choose_a_derived_number() {
        assert_eq!(
            OrderNo::chosen("idem-abcdef"),
            Err(BadNumber::ReservedPrefix { prefix: "idem-" })
        );
        assert!(OrderNo::parse("idem-abcdef").is_ok());
        for made_here in ["idem-1", "auto-420001", "console-500001"] {
            assert!(RefundNo::chosen(made_here).is_err(), "{made_here}");
            assert!(RefundNo::parse(made_here).is_ok(), "{made_here}");
        }
    }

    #[test]
    fn a_derived_number_depends_on_client_route_and_key_and_on_nothing_else() {
        let key = |text: &str| IdempotencyKey::parse(text).unwrap();
        let derive = |client: &str, route: &str, text: &str| {
            OrderNo::derived(&ClientId::new(client), route, &key(text))
        };
        let number = derive("shop", "orders", "k1");
        assert_eq!(
            number,
            derive("shop", "orders", "\"k1\""),
            "quoted or bare is the same key"
        );
        for other in [
            derive("shop2", "orders", "k1"),
            derive("shop", "refunds", "k1"),
            derive("shop", "orders", "k2"),
            derive("sho", "porders", "k1"),
        ] {
            assert_ne!(number, other);
        }
        assert_eq!(number.as_str().len(), 32);
        assert!(OrderNo::parse(number.as_str()).is_ok());
    }

    #[test]
    fn a_refund_has_one_number_at_wechat_that_no_other_refund_has() {
        let order = |text: &str| OrderNo::parse(text).unwrap();
        let refund = |text: &str| RefundNo::parse(text).unwrap();
        let number = OutRefundNo::of(&order("ORDER-1"), &refund("R1"));
        assert_eq!(number, OutRefundNo::of(&order("ORDER-1"), &refund("R1")));
        for (order_no, refund_no) in [("ORDER-1", "R2"), ("ORDER-2", "R1"), ("ORDER-1R", "1")] {
            assert_ne!(
                number,
                OutRefundNo::of(&order(order_no), &refund(refund_no))
            );
        }
        assert!(OutRefundNo::parse(number.as_str()).is_ok());
        assert!(OutRefundNo::parse("made@console*1|2").is_ok());
        assert!(OutRefundNo::parse("with space").is_err());
    }

    #[test]
    fn base32_matches_the_rfc() {
        assert_eq!(base32(b"foobar").collect::<String>(), "mzxw6ytbo");
        assert_eq!(base32(b"fooba").collect::<String>(), "mzxw6ytb");
    }

    #[test]
    fn an_idempotency_key_is_visible_ascii() {
        assert!(IdempotencyKey::parse("").is_err());
        assert!(IdempotencyKey::parse("\"\"").is_err());
        assert!(IdempotencyKey::parse("a b").is_err());
        assert!(IdempotencyKey::parse("é").is_err());
        assert!(IdempotencyKey::parse(&"k".repeat(256)).is_err());
        assert!(IdempotencyKey::parse(&"k".repeat(255)).is_ok());
    }
}
