//! Trades that are left to the next day's run.

use payments::reconcile::carried::CarriedTrade;

use super::{Bench, carried, day};

#[tokio::test]
async fn a_carried_trade_waits_once_and_stays_reconciled_when_it_is_carried_again() {
    let bench = Bench::new().await;
    let table = bench.table();
    for order_no in ["A", "B", "A"] {
        table.carry(&carried(order_no)).await.expect("carried");
    }
    let settled = CarriedTrade {
        settled: true,
        ..carried("A")
    };
    let settle = table.settle_carried(day(), &settled.id).await;
    settle.expect("settled");
    table.carry(&carried("A")).await.expect("carried again");
    let mut all = vec![settled, carried("B")];
    all.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(table.carried(day()).await.expect("read"), all);
    let tomorrow = table.carried(day().plus_days(1)).await;
    assert!(tomorrow.expect("read").is_empty());
}

#[tokio::test]
async fn settling_what_was_never_carried_makes_no_item() {
    let bench = Bench::new().await;
    let settled = bench.table().settle_carried(day(), "bill-payment-0").await;
    settled.expect("nothing to do");
    assert!(bench.table().carried(day()).await.expect("read").is_empty());
}

#[tokio::test]
async fn more_carried_trades_than_fit_one_page_all_come() {
    let bench = Bench::new().await;
    let table = bench.table();
    for count in 0..520 {
        let carry = table.carry(&carried(&format!("ORDER-{count}"))).await;
        carry.expect("carried");
    }
    assert_eq!(table.carried(day()).await.expect("read").len(), 520);
}
