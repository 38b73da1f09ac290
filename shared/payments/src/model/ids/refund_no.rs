//! The merchant's numbers of a refund.

use serde::{Deserialize, Serialize};

use super::{
    client::{ClientId, IdempotencyKey},
    derived::{base32, derived, digest_of},
    number::{BadNumber, check, text_type},
    order_no::OrderNo,
    wechat_numbers::{RefundId, TransactionId},
};

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

text_type!(RefundNo);
text_type!(OutRefundNo);
