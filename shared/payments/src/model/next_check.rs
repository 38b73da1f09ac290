//! When the sweep checks an order or a refund next, and the partition of the index in which it is
//! found.

use sha2::{Digest, Sha256};
use wechatpay::UnixSeconds;

use crate::model::ids::OrderNo;

/// The place of an order or a refund in the sparse index of what is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NextCheck {
    /// Which part of the index (0 to [`PARTS`] less one).
    pub shard: u8,
    pub at: UnixSeconds,
}

/// How many parts the index by day has, and how many the checks and recoveries have in the index of
/// what is due. A part takes 1,000 writes a second, and an order is written there two or three
/// times: 16 carry 4,800 orders a second at least. If this number is reduced, the sweep must still
/// read all the parts that were ever used.
pub const SHARDS: u8 = 16;

/// How many parts closings have: most orders are paid and never need a closing.
const CLOSING_PARTS: u8 = 8;

/// How many parts refunds have: WeChat Pay takes 150 a second, and each is written there some six
/// times.
const REFUND_PARTS: u8 = 2;

/// How many parts the index of what is due has.
pub const PARTS: u8 = 2 * SHARDS + CLOSING_PARTS + REFUND_PARTS;

/// Why something is due. Each reason has its own parts of the index, so urgent items are found at
/// once, however many others are due.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum CheckKind {
    /// A refund must be sent or queried.
    Refund,
    /// A reserved order: the process that should get its prepay value may have crashed. And an
    /// order that got it in time, for its first check: it stays where it was put when it was
    /// reserved.
    Recovery,
    /// An order must be closed.
    Closing,
    /// An order that waits for its payer is queried at WeChat Pay, not for the first time.
    StatusQuery,
}

impl CheckKind {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 4] = [
        Self::Refund,
        Self::Recovery,
        Self::Closing,
        Self::StatusQuery,
    ];

    /// Its name in reports and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refund => "refund",
            Self::Recovery => "recovery",
            Self::Closing => "closing",
            Self::StatusQuery => "look",
        }
    }

    /// Its parts of the index. Checks of unpaid orders use the parts that held everything in
    /// earlier versions.
    pub fn parts(self) -> impl Iterator<Item = u8> {
        let (first, many) = self.first_and_many();
        (0..many).map(move |shard| first.saturating_add(shard))
    }

    const fn first_and_many(self) -> (u8, u8) {
        match self {
            Self::StatusQuery => (0, SHARDS),
            Self::Recovery => (SHARDS, SHARDS),
            Self::Closing => (2 * SHARDS, CLOSING_PARTS),
            Self::Refund => (2 * SHARDS + CLOSING_PARTS, REFUND_PARTS),
        }
    }

    pub(crate) fn part(self, order_no: &OrderNo) -> u8 {
        let (first, many) = self.first_and_many();
        first.saturating_add(shard_of(order_no) % many)
    }
}

/// The part of the index by day that an order number falls into.
pub fn shard_of(order_no: &OrderNo) -> u8 {
    shard_of_text(order_no.as_str())
}

/// The same for a number that may not be an order of ours: bills contain such numbers.
pub fn shard_of_text(number: &str) -> u8 {
    let hash = Sha256::digest(number.as_bytes());
    hash.first().map_or(0, |byte| byte % SHARDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the release before this one wrote must be found where this one looks.
    #[test]
    fn an_order_number_keeps_its_parts_of_the_index() {
        for (number, shard, parts) in [
            ("ORDER-1", 1, [41, 17, 33, 1]),
            ("ORDER-2", 2, [40, 18, 34, 2]),
            ("TEA-0004", 14, [40, 30, 38, 14]),
        ] {
            let order_no = OrderNo::parse(number).expect("a number");
            assert_eq!(shard_of(&order_no), shard, "{number}");
            assert_eq!(shard_of_text(number), shard, "{number}");
            assert_eq!(
                CheckKind::ALL.map(|kind| kind.part(&order_no)),
                parts,
                "{number}"
            );
        }
    }
}
