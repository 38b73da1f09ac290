//! A day that is too big for one run is split by order number, with the same result.

use payments::reconcile::run::RunState;
use wechatpay_simulator::{PayOptions, PlantedDifference, WantedDifference};

use super::kinds::every_fen_has_come_to_an_end;
use crate::support::{Testbed, TestbedOptions};

/// The same day, in runs that hold so many lines.
async fn a_day(lines_max: u64) -> (Vec<String>, u8, [u64; 2]) {
    let testbed = Testbed::with(TestbedOptions {
        lines_max,
        ..TestbedOptions::default()
    })
    .await;
    let day = testbed.fresh_day().await;
    for n in 0..6 {
        testbed.paid(&format!("ORDER-{n}")).await;
    }
    testbed.refunded("ORDER-0", "R1", 10).await;
    let mut failed = Vec::new();
    for n in 0..6 {
        let order_no = format!("FAILED-{n}");
        testbed.paid(&order_no).await;
        failed.push(testbed.refunded(&order_no, "R1", 10).await);
    }
    testbed.paid_in_silence("LOST-1").await;
    testbed.paid_in_silence("LOST-2").await;
    let admin = testbed.wechat.admin();
    testbed
        .in_silence(async {
            admin.pay_again("ORDER-1", &PayOptions::default()).unwrap();
        })
        .await;
    let date = day.to_string();
    // The account moved for a refund that failed by its row. Of some the order is one part's, and
    // the movement the other's.
    for refund in failed {
        let failed = PlantedDifference::AlterRefundState { state: None };
        testbed.plant(WantedDifference::picked(&date, failed).of_refund(&refund));
    }
    let of = |difference, order: &str| WantedDifference::picked(&date, difference).of_order(order);
    testbed.plant(of(PlantedDifference::DropPayment, "ORDER-2"));
    testbed.plant(of(PlantedDifference::AlterAmount { fen: None }, "ORDER-3"));
    testbed.plant(of(
        PlantedDifference::FundWithoutTrade { fen: Some(7) },
        "GHOST-1",
    ));
    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.reconcile(day, true).await;
    let run = testbed.reconcile(day, false).await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.trouble);
    every_fen_has_come_to_an_end(&testbed, &run).await;
    let (there, here) = (run.there().all(), run.here().all());
    (
        testbed.difference_lines(day).await,
        run.parts,
        [there.payments, here.payments],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_in_parts_comes_to_what_it_comes_to_in_one() {
    let (whole, parts, totals) = a_day(1_000_000).await;
    assert_eq!(parts, 1);
    let (split, parts, totals_of_parts) = a_day(3).await;
    assert_eq!(parts, 2);
    assert_eq!(whole, split);
    assert_eq!(totals, totals_of_parts);
    assert_eq!(
        whole,
        [
            "amount_differs ORDER-3 open",
            "duplicate_payment ORDER-1 proposed",
            "fund_flow_without_trade GHOST-1 open",
            "paid_here_absent_there ORDER-2 open",
            "paid_there_unpaid_here LOST-1 repaired",
            "paid_there_unpaid_here LOST-2 repaired",
            "refund_state_differs FAILED-0 open",
            "refund_state_differs FAILED-1 open",
            "refund_state_differs FAILED-2 open",
            "refund_state_differs FAILED-3 open",
            "refund_state_differs FAILED-4 open",
            "refund_state_differs FAILED-5 open",
        ]
    );
}
