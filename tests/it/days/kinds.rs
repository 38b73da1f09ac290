//! Every kind of difference: found once, none invented, and what can be repaired is.

mod failed_refunds;

use matching::totals::Gaps;
use payments::{
    model::bill_date::{BillDate, BillName},
    reconcile::{
        difference::{Decision, DifferenceKind, DifferenceState},
        run::{Run, RunState},
    },
};
use stores::reconciliation::SaveOutcome;
use wechatpay_simulator::{
    ConsoleRefund, PayOptions, PlantedDifference, RefundOutcome, RefundStatus, SummaryOf,
    WantedDifference,
};

use crate::support::{Testbed, native_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_day_on_which_both_sides_agree_has_no_differences() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.paid("ORDER-2").await;
    testbed.refunded("ORDER-2", "R1", 40).await;
    testbed.until(day.plus_days(1), 10, 30).await;

    let run = testbed.reconcile(day, false).await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.trouble);
    assert_eq!(testbed.difference_lines(day).await, Vec::<String>::new());
    let (there, here) = (run.there().all(), run.here().all());
    assert_eq!((there.payments, there.payments_fen), (2, 200));
    assert_eq!((there.refunds, there.refunds_fen), (1, 40));
    assert_eq!(
        (
            here.payments,
            here.payments_fen,
            here.refunds,
            here.refunds_fen
        ),
        (2, 200, 1, 40)
    );
    for (product, sums) in &run.there().0 {
        let ours = run.here().0.get(product).copied().unwrap_or_default();
        assert_eq!(
            (sums.payments_fen, sums.refunds_fen),
            (ours.payments_fen, ours.refunds_fen),
            "{product}"
        );
    }
    assert_eq!(run.bills.len(), 4);
    assert_eq!(testbed.evidence().len(), 2, "trades and the basic account");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_news_was_lost_is_found_in_the_bill_and_settled() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.paid_in_silence("LOST-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;

    testbed.reconcile(day, true).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["paid_there_unpaid_here LOST-1 open"],
        "a preview only reports"
    );
    assert_eq!(
        testbed.order("LOST-1").await.state.name(),
        "awaiting_payment"
    );

    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["paid_there_unpaid_here LOST-1 repaired"]
    );
    assert_eq!(testbed.order("LOST-1").await.state.name(), "paid");
    let journal = testbed.journal("LOST-1").await;
    assert_eq!(journal.last().unwrap().cause.kind(), "reconciliation");

    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["paid_there_unpaid_here LOST-1 repaired"],
        "run again, it is still one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_difference_is_found_once_and_no_other() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    let date = day.to_string();
    for order_no in [
        "AGREES-1", "DROP-1", "AMOUNT-1", "STATE-1", "MONEY-1", "APPID-1", "MCHID-1", "TWICE-1",
        "STAFF-1", "REFUND-1", "REFUND-2", "REFUND-3", "NOFUND-1",
    ] {
        testbed.paid(order_no).await;
    }
    testbed.post_order(&native_for("FEE-00001", 10_000)).await;
    testbed.pay("FEE-00001").await;
    assert_eq!(testbed.work_off().await, 0);
    testbed.paid_in_silence("LOST-1").await;
    let admin = testbed.wechat.admin();
    testbed
        .in_silence(async {
            admin.pay_again("TWICE-1", &PayOptions::default()).unwrap();
        })
        .await;
    let staff = ConsoleRefund {
        order: "STAFF-1".to_owned(),
        refund_fen: 30,
        out_refund_no: Some("by-staff-1".to_owned()),
        ..ConsoleRefund::default()
    };
    admin.console_refund(&staff).unwrap();
    testbed.advance(std::time::Duration::from_secs(60)).await;
    let absent = testbed.refunded("REFUND-1", "R1", 10).await;
    let other_amount = testbed.refunded("REFUND-2", "R1", 10).await;
    let other_state = testbed.refunded("REFUND-3", "R1", 10).await;

    let of = |difference, order: &str| WantedDifference::picked(&date, difference).of_order(order);
    testbed.plant(of(PlantedDifference::DropPayment, "DROP-1"));
    testbed.plant(of(PlantedDifference::AlterAmount { fen: None }, "AMOUNT-1"));
    let revoked = "REVOKED".to_owned();
    testbed.plant(of(
        PlantedDifference::AlterState { state: revoked },
        "STATE-1",
    ));
    let currency = "USD".to_owned();
    testbed.plant(of(PlantedDifference::AlterCurrency { currency }, "MONEY-1"));
    let appid = "wx0000000000000000".to_owned();
    testbed.plant(of(PlantedDifference::AlterAppid { appid }, "APPID-1"));
    let mchid = "1900000000".to_owned();
    testbed.plant(of(PlantedDifference::AlterMchid { mchid }, "MCHID-1"));
    testbed.plant(of(
        PlantedDifference::UnknownOrder { fen: Some(500) },
        "FOREIGN-1",
    ));
    let of_refund =
        |difference, number: &str| WantedDifference::picked(&date, difference).of_refund(number);
    testbed.plant(of_refund(PlantedDifference::DropRefund, &absent));
    testbed.plant(of_refund(
        PlantedDifference::AlterRefundAmount { fen: None },
        &other_amount,
    ));
    testbed.plant(of_refund(
        PlantedDifference::AlterRefundState { state: None },
        &other_state,
    ));
    testbed.plant(of(
        PlantedDifference::AlterFee { fen: Some(5) },
        "FEE-00001",
    ));
    testbed.plant(of(
        PlantedDifference::FundWithoutTrade { fen: Some(77) },
        "GHOST-1",
    ));
    testbed.plant(of(PlantedDifference::TradeWithoutFund, "NOFUND-1"));
    testbed.plant(WantedDifference::picked(
        &date,
        PlantedDifference::SummaryOff {
            bill: SummaryOf::Trade,
            fen: Some(1),
            count: 0,
        },
    ));
    testbed.until(day.plus_days(1), 10, 30).await;

    let run = testbed.reconcile(day, true).await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.trouble);
    let expected = [
        "amount_differs AMOUNT-1 open",
        "duplicate_payment TWICE-1 open",
        "fee_off_the_rate FEE-00001 open",
        "fund_flow_without_trade GHOST-1 open",
        "identity_differs APPID-1 open",
        "identity_differs MCHID-1 open",
        "identity_differs MONEY-1 open",
        "paid_here_absent_there DROP-1 open",
        "paid_there_unpaid_here LOST-1 open",
        "refund_amount_differs REFUND-2 open",
        "refund_here_absent_there REFUND-1 open",
        "refund_state_differs REFUND-3 open",
        "refund_there_unknown_here STAFF-1 open",
        "status_differs STATE-1 open",
        "summary_differs  open",
        "unknown_order_there FOREIGN-1 open",
    ];
    assert_eq!(testbed.difference_lines(day).await, expected);
    for difference in testbed.differences_of(day).await {
        let kind = difference.kind;
        let bill = [
            (DifferenceKind::FundFlowWithoutTrade, BillName::FundBasic),
            (DifferenceKind::SummaryDiffers, BillName::Trade),
        ]
        .into_iter()
        .find_map(|(of, bill)| (of == kind).then_some(bill));
        assert_eq!(difference.about.bill, bill, "{}", kind.name());
    }
    let found: u32 = run.differences().values().sum();
    assert_eq!(usize::try_from(found), Ok(expected.len()));
    every_fen_has_come_to_an_end(&testbed, &run).await;
    assert_eq!(
        run.carried(),
        2,
        "the account may move tomorrow, and of the failed refund back"
    );

    // Differences that a query can repair are repaired; payments that are not ours are proposed for
    // a refund; the rest waits for operators.
    testbed.reconcile(day, false).await;
    let after: Vec<String> = testbed.difference_lines(day).await;
    let changed: Vec<&String> = after.iter().filter(|one| !one.ends_with("open")).collect();
    assert_eq!(
        changed,
        [
            "duplicate_payment TWICE-1 proposed",
            "paid_there_unpaid_here LOST-1 repaired",
            "refund_there_unknown_here STAFF-1 repaired",
            "unknown_order_there FOREIGN-1 proposed",
        ]
    );
    assert_eq!(after.len(), expected.len());
    // What was settled and what is kept for a person is counted here by now, under the product that
    // the bill names.
    let again = testbed.reconcile(day, false).await;
    assert!(!again.here().0.contains_key("others"), "{:?}", again.here());
    assert!(again.gaps().all().paid_fen < run.gaps().all().paid_fen);
    every_fen_has_come_to_an_end(&testbed, &again).await;

    // The account has not moved on the next day either: now it counts.
    let next = day.plus_days(1);
    testbed.until(day.plus_days(2), 10, 30).await;
    testbed.reconcile(next, true).await;
    assert_eq!(
        testbed.difference_lines(next).await,
        ["trade_without_fund_flow NOFUND-1 open"]
    );
}

/// The gap of a day's sums is the total effect of its differences, to the fen, and the API gives
/// the state of each part.
pub(super) async fn every_fen_has_come_to_an_end(testbed: &Testbed, run: &Run) {
    assert_eq!(run.accounted_for(), Some(run.gaps()));
    let gaps = testbed.reconciliation.gaps(run, 100).await;
    let mut all = Gaps::default();
    for gaps in gaps.unwrap().unwrap().values() {
        all.add_all(gaps);
    }
    assert_eq!(all, run.gaps());
    the_ends_add_up(testbed, run.date).await;
}

/// The gap of a day's sums is the sum of the parts shown.
pub(super) async fn the_ends_add_up(testbed: &Testbed, date: BillDate) {
    let shown = testbed.shown_day(date).await;
    let totals = &shown["totals"];
    let ends = totals["difference_by"].as_object().unwrap();
    for (what, sum) in totals["difference"].as_object().unwrap() {
        let of_ends: i64 = ends.values().map(|end| end[what].as_i64().unwrap()).sum();
        assert_eq!(Some(of_ends), sum.as_i64(), "{what}: {totals}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_currency_appid_and_merchant_and_an_expected_fee_are_shown_beside_ours() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    for order_no in ["MONEY-1", "APPID-1", "MCHID-1"] {
        testbed.paid(order_no).await;
    }
    testbed.post_order(&native_for("FEE-00001", 10_000)).await;
    testbed.pay("FEE-00001").await;
    assert_eq!(testbed.work_off().await, 0);
    let date = day.to_string();
    let of = |difference, order: &str| WantedDifference::picked(&date, difference).of_order(order);
    let currency = "USD".to_owned();
    testbed.plant(of(PlantedDifference::AlterCurrency { currency }, "MONEY-1"));
    let appid = "wx0000000000000000".to_owned();
    testbed.plant(of(PlantedDifference::AlterAppid { appid }, "APPID-1"));
    let mchid = "1900000000".to_owned();
    testbed.plant(of(PlantedDifference::AlterMchid { mchid }, "MCHID-1"));
    testbed.plant(of(
        PlantedDifference::AlterFee { fen: Some(5) },
        "FEE-00001",
    ));
    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.reconcile(day, true).await;
    let all = testbed.differences_of(day).await;
    let sides = |order_no: &str| {
        let one = all
            .iter()
            .find(|one| one.about.order_no.as_deref() == Some(order_no));
        let one = one.expect("a difference");
        (one.there.clone().unwrap(), one.here.clone().unwrap())
    };
    let (there, here) = sides("MONEY-1");
    assert_eq!(
        (there.currency.as_deref(), here.currency.as_deref()),
        (Some("USD"), Some("CNY"))
    );
    let (there, here) = sides("APPID-1");
    assert_eq!(there.appid.as_deref(), Some("wx0000000000000000"));
    assert!(here.appid.is_some_and(|appid| Some(appid) != there.appid));
    let (there, here) = sides("MCHID-1");
    assert_eq!(
        (there.mchid.as_deref(), here.mchid.as_deref()),
        (Some("1900000000"), Some("1900000001"))
    );
    let (there, here) = sides("FEE-00001");
    assert_eq!((there.fee_e5, here.fee_e5), (Some(5_000), Some(60_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_that_is_gone_when_the_day_is_run_again_is_over() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid_in_silence("LOST-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.reconcile(day, true).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["paid_there_unpaid_here LOST-1 open"]
    );

    // The sweep settles it meanwhile.
    assert_eq!(testbed.sweep().await.settled, 1);
    testbed.reconcile(day, true).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["paid_there_unpaid_here LOST-1 repaired"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_who_is_settled_the_next_day_has_no_differences() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.at_wechat(&serde_json::json!({"settle_next_day": true}));
    testbed.paid("ORDER-1").await;
    testbed.paid("ORDER-2").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    let run = testbed.reconcile(day, false).await;
    assert_eq!(testbed.difference_lines(day).await, Vec::<String>::new());
    assert_eq!(run.carried(), 2);

    let next = day.plus_days(1);
    testbed.until(day.plus_days(2), 10, 30).await;
    let run = testbed.reconcile(next, false).await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.trouble);
    assert_eq!(testbed.difference_lines(next).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_our_books_cannot_hold_stays_open_and_holds_nothing_else_up() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid_in_silence("LOST-1").await;
    // Another system of the merchant's writes its numbers otherwise.
    let foreign = PlantedDifference::UnknownOrder { fen: Some(500) };
    testbed.plant(WantedDifference::picked(&day.to_string(), foreign).of_order("POS*0001"));
    let admin = testbed.wechat.admin();
    let given_back = ConsoleRefund {
        order: "POS*0001".to_owned(),
        refund_fen: 30,
        ..ConsoleRefund::default()
    };
    admin.console_refund(&given_back).unwrap();
    testbed.until(day.plus_days(1), 10, 30).await;

    let run = testbed.reconcile(day, false).await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.trouble);
    assert_eq!(
        testbed.difference_lines(day).await,
        [
            "paid_there_unpaid_here LOST-1 repaired",
            "refund_there_unknown_here POS*0001 open",
            "unknown_order_there POS*0001 open",
        ]
    );
    for difference in testbed.differences_of(day).await {
        let last = difference.history.last().unwrap();
        if difference.state == DifferenceState::Open {
            assert!(
                last.why.contains("our books cannot hold it"),
                "{}",
                last.why
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_came_twice_and_went_back_is_counted_on_both_sides() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("TWICE-1").await;
    let admin = testbed.wechat.admin();
    admin.pay_again("TWICE-1", &PayOptions::default()).unwrap();
    testbed.deliver().await;
    assert_eq!(testbed.work_off().await, 0);
    testbed.until(day.plus_days(1), 10, 30).await;
    let run = testbed.reconcile(day, true).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["duplicate_payment TWICE-1 open"]
    );
    for (product, there) in &run.there().0 {
        let here = run.here().0.get(product).copied().unwrap_or_default();
        assert_eq!(
            (there.payments, there.payments_fen),
            (here.payments, here.payments_fen),
            "{product}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_an_earlier_version_did_not_store_are_added_when_the_day_is_run_again() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("MONEY-1").await;
    let date = day.to_string();
    let currency = "USD".to_owned();
    let other = PlantedDifference::AlterCurrency { currency };
    testbed.plant(WantedDifference::picked(&date, other).of_order("MONEY-1"));
    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.reconcile(day, false).await;
    let [found] = testbed.differences_of(day).await.try_into().unwrap();
    let proposed = found
        .decided(Decision::Explain, "li", "a tourist", testbed.clock.now())
        .unwrap();
    assert_eq!(proposed.state, DifferenceState::Proposed, "for two persons");
    let saved = testbed.reconciliation.save_difference(&proposed).await;
    assert_eq!(saved.unwrap(), SaveOutcome::Saved);
    // As an earlier version wrote it.
    let mut old = proposed.clone();
    for side in [&mut old.there, &mut old.here].into_iter().flatten() {
        (side.currency, side.appid, side.mchid) = (None, None, None);
    }
    let saved = testbed.reconciliation.complete_difference(&old).await;
    assert_eq!(saved.unwrap(), SaveOutcome::Saved);
    let [stands] = testbed.differences_of(day).await.try_into().unwrap();
    assert_eq!(stands, old);

    testbed.reconcile(day, false).await;
    let [stands] = testbed.differences_of(day).await.try_into().unwrap();
    assert_eq!(stands, proposed);
    // A person who read it before decides anyway.
    let explained = old
        .decided(Decision::Approve, "wang", "seen", testbed.clock.now())
        .unwrap();
    let saved = testbed.reconciliation.save_difference(&explained).await;
    assert_eq!(saved.unwrap(), SaveOutcome::Saved);
    // Nor is anything written over what was decided since.
    let saved = testbed.reconciliation.complete_difference(&proposed).await;
    assert_eq!(saved.unwrap(), SaveOutcome::VersionMoved);
    testbed.reconcile(day, false).await;
    let [stands] = testbed.differences_of(day).await.try_into().unwrap();
    assert_eq!(stands.state, DifferenceState::Explained);
    assert_eq!(stands.there, proposed.there);
    assert_eq!(stands.history, explained.history);
}
