//! What the day's reconciliation uses.

use payments::model::{
    bill_date::{BillDate, BillName},
    next_check::shard_of_text,
};

use super::{Usage, counted, with_signer};
use crate::support::Testbed;

/// Paid orders of the two days that are compared.
const FEW: usize = 20;
const MANY: usize = 180;
/// Rows of a day's bill for a thousand orders, of which a hundred are refunded.
const ROWS_PER_MILLE: u128 = 1_100;

/// The day's run, by size.
pub(super) struct Day {
    /// The run of a day without an order.
    pub(super) empty: Usage,
    /// What is read of the index by day for a million orders, in half units.
    pub(super) half_reads_of_a_million: u128,
}

pub(super) async fn count() -> Day {
    let testbed = with_signer("sealed").await;
    // Boxed, since a future holds all that it awaits, and these are large.
    let empty = Box::pin(run(&testbed, 0)).await;
    let few = Box::pin(run(&testbed, FEW)).await;
    let many = Box::pin(run(&testbed, MANY)).await;
    assert_eq!(few.calls, many.calls, "only what is read gets more");
    assert_eq!(few.half_writes, many.half_writes);
    let more = many.half_reads - few.half_reads;
    let rows = u128::try_from(MANY - FEW).expect("few");
    Day {
        empty,
        half_reads_of_a_million: more * ROWS_PER_MILLE * 1_000 / rows,
    }
}

/// A day with so many paid orders, reconciled when it is over. All of them are in one part of the
/// index, as on a big day: the read of each part is rounded up, and would hide the rest.
async fn run(testbed: &Testbed, orders: usize) -> Usage {
    let day = testbed.fresh_day().await;
    let numbers = (0..).map(|number| format!("ORDER-{day}-{number:07}"));
    let in_one_part = numbers.filter(|order_no| shard_of_text(order_no) == 0);
    for order_no in in_one_part.take(orders) {
        Box::pin(testbed.paid(&order_no)).await;
    }
    testbed.until(day.plus_days(1), 10, 30).await;
    Box::pin(counted(testbed, Box::pin(reconcile(testbed, day, orders)))).await
}

async fn reconcile(testbed: &Testbed, day: BillDate, orders: usize) {
    let run = testbed.reconcile(day, false).await;
    let rows = run.bills.get(&BillName::Trade).map_or(0, |bill| bill.rows);
    assert_eq!(usize::try_from(rows).expect("few"), orders, "{run:?}");
    assert_eq!(testbed.differences_of(day).await, []);
}
