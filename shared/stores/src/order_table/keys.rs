//! The keys of the orders table and of its indexes.

use payments::model::{
    bill_date::BillDate,
    ids::{OrderNo, RefundNo, TransactionId},
    next_check,
};
use wechatpay::UnixSeconds;

use crate::attributes::{Item, text_of};

/// The sort key of an order.
pub(super) const ORDER_SK: &str = "order";
/// What the sort key of a parked payment begins with.
pub(super) const PAYMENT_SK_PREFIX: &str = "payment#";
/// What the sort key of a refund begins with.
pub(super) const REFUND_SK_PREFIX: &str = "refund#";

/// The sort key of a refund.
pub(super) fn refund_sk(refund_no: &RefundNo) -> String {
    format!("{REFUND_SK_PREFIX}{refund_no}")
}

/// The sort key of a parked payment.
pub(super) fn payment_sk(transaction_id: &TransactionId) -> String {
    format!("{PAYMENT_SK_PREFIX}{transaction_id}")
}

/// An item's partition key.
pub(super) fn pk(item: &Item) -> Option<&str> {
    text_of(item, "pk")
}

/// The partition of the check index.
pub(super) fn due_shard(shard: u8) -> String {
    format!("due#{shard}")
}

/// The part of the index for something that happened to an order: the Beijing day of WeChat Pay's
/// own time, never of our clock where its own is known.
pub(super) fn day_shard(at: UnixSeconds, order_no: &OrderNo) -> String {
    shard_key(BillDate::of(at), next_check::shard_of(order_no))
}

/// The partition of the index by day.
pub(super) fn shard_key(date: BillDate, shard: u8) -> String {
    format!("{date}#{shard}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_beijings_and_an_order_is_always_in_the_same_part() {
        let order_no = OrderNo::parse("ORDER-1").expect("a number");
        let shard = next_check::shard_of(&order_no);
        assert_eq!(
            day_shard(UnixSeconds(1_785_513_599), &order_no),
            format!("2026-07-31#{shard}")
        );
        assert_eq!(
            day_shard(UnixSeconds(1_785_513_600), &order_no),
            format!("2026-08-01#{shard}")
        );
    }
}
