//! When the sweep looks at an order next. The sweep alone could finish everything; callbacks and queues only make it fast.

use sha2::{Digest, Sha256};
use wechatpay::UnixSeconds;

use crate::{
    ids::OrderNo,
    order::{Order, OrderState},
};

/// The place of an order in the sparse index of what is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Due {
    /// Which part of the index.
    pub shard: u8,
    /// When.
    pub at: UnixSeconds,
}

/// How many parts the index has. A part takes some 300 writes a second, so 16 carry 4,800 orders a second. When this grows,
/// the sweep must go on reading as many parts as were ever used.
pub const SHARDS: u8 = 16;

/// The part of the index, and of the index by day, that an order number falls into.
pub fn shard_of(order_no: &OrderNo) -> u8 {
    let hash = Sha256::digest(order_no.as_str().as_bytes());
    hash.first().map_or(0, |byte| byte % SHARDS)
}

/// Ages of an order, in seconds, at which WeChat Pay is asked about it: its own ladder from the 1-minute step on (section
/// 5.6). Younger orders are the callback's, and the client's own GET's.
const LADDER_S: [i64; 5] = [60, 180, 300, 600, 1800];

/// After the ladder: once an hour, until the state is final.
const HOURLY_S: i64 = 3600;

/// When an order that has no final state is looked at again, given that it was looked at (or written) at `now`.
pub fn next_look(order_no: &OrderNo, created_at: UnixSeconds, now: UnixSeconds) -> Due {
    let age_s = now.0.saturating_sub(created_at.0);
    let step = LADDER_S.into_iter().find(|&step| step > age_s);
    let at = step.map_or_else(
        || now.0.saturating_add(HOURLY_S),
        |step| created_at.0.saturating_add(step),
    );
    Due {
        shard: shard_of(order_no),
        at: UnixSeconds(at),
    }
}

/// When an order that is about to have `state` is looked at next; `None` when nothing more can happen by itself.
pub fn after_change(order: &Order, state: &OrderState, now: UnixSeconds) -> Option<Due> {
    match state {
        OrderState::Reserved
        | OrderState::AwaitingPayment(_)
        | OrderState::Closing
        | OrderState::PaidAfterClose(_) => Some(next_look(&order.order_no, order.created_at, now)),
        OrderState::Paid(_)
        | OrderState::PartiallyRefunded(_)
        | OrderState::Refunded(_)
        | OrderState::Closed
        | OrderState::Rejected => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_asked_about_after_one_three_five_ten_and_thirty_minutes_and_then_hourly() {
        let number = OrderNo::parse("ORDER-1").unwrap();
        let made = UnixSeconds(1_000_000);
        let mut now = made;
        let mut ages = Vec::new();
        for _ in 0..8 {
            now = next_look(&number, made, now).at;
            ages.push(now.0 - made.0);
        }
        assert_eq!(ages, [60, 180, 300, 600, 1800, 5400, 9000, 12600]);
    }

    #[test]
    fn order_numbers_spread_over_all_parts() {
        let mut counts = [0_u32; 16];
        for n in 0..16_000 {
            counts[usize::from(shard_of(&OrderNo::parse(&format!("ORDER-{n}")).unwrap()))] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
    }
}
