//! The fund side of a day: a verdict of its own, which takes nothing back of what the trades came
//! to.

use payments::{
    model::bill_date::BillName,
    reconcile::run::{FundState, Run, RunState},
};
use stores::queues::ReconcileWork;
use wechatpay_simulator::{Endpoint, Fault, PayOptions, PlantedDifference, Rule, WantedDifference};

use crate::support::{Lines, Testbed, TestbedOptions};

fn funds(run: &Run) -> (FundState, String) {
    let funds = run.funds.as_ref().expect("a fund side");
    (funds.state, funds.trouble.clone().unwrap_or_default())
}

/// A day with a lost payment, one too many, and an unknown movement.
async fn a_day(testbed: &Testbed) -> payments::model::bill_date::BillDate {
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.paid("TWICE-1").await;
    testbed.paid_in_silence("LOST-1").await;
    let admin = testbed.wechat.admin();
    testbed
        .in_silence(async {
            admin.pay_again("TWICE-1", &PayOptions::default()).unwrap();
        })
        .await;
    let stray = PlantedDifference::FundWithoutTrade { fen: Some(7) };
    testbed.plant(WantedDifference::picked(&day.to_string(), stray).of_order("GHOST-1"));
    testbed.until(day.plus_days(1), 10, 30).await;
    day
}

/// Totals of the trades of [`a_day`].
const TRADES: [&str; 2] = [
    "duplicate_payment TWICE-1 proposed",
    "paid_there_unpaid_here LOST-1 repaired",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_wechat_pay_refuses_takes_nothing_back_of_what_the_trades_came_to() {
    let testbed = Testbed::start().await;
    let day = a_day(&testbed).await;
    testbed.at_wechat(&serde_json::json!({"missing_accounts": ["OPERATION"]}));
    let run = testbed.reconcile(day, false).await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.trouble);
    assert_eq!(testbed.difference_lines(day).await, TRADES);
    assert_eq!(testbed.order("LOST-1").await.state.name(), "paid");
    let (state, trouble) = funds(&run);
    assert_eq!(state, FundState::Waiting, "it is asked for again");
    for words in ["fund_operation", "NO_AUTH", "FundAccounts"] {
        assert!(trouble.contains(words), "{words}: {trouble}");
    }
    assert_eq!(testbed.hidden.times_s().last(), Some(&1_800));

    // Its message is delivered three more times, half an hour apart; then an operator is notified.
    let again = ReconcileWork::FundsV1 {
        date: day,
        run_id: run.id.clone(),
    };
    let mut states = Vec::new();
    for _ in 0..4 {
        testbed.send_work(&again).await;
        testbed.work_off_days().await;
        states.push(funds(&testbed.run_of(day).await).0);
    }
    let (waits, failed) = (FundState::Waiting, FundState::Failed);
    assert_eq!(states, [waits, waits, failed, failed]);
    let run = testbed.run_of(day).await;
    assert_eq!(run.state, RunState::Done);
    assert_eq!(testbed.difference_lines(day).await, TRADES);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_the_merchant_does_not_have_are_not_asked_for() {
    let testbed = Testbed::with(TestbedOptions {
        fund_accounts: "BASIC",
        ..TestbedOptions::default()
    })
    .await;
    let missing = serde_json::json!({"missing_accounts": ["OPERATION", "FEES"]});
    testbed.at_wechat(&missing);
    let day = a_day(&testbed).await;
    let run = testbed.reconcile(day, false).await;
    assert_eq!(funds(&run), (FundState::Done, String::new()));
    let found = testbed.difference_lines(day).await;
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.contains(&"fund_flow_without_trade GHOST-1 open".to_owned()));
    let bills: Vec<BillName> = run.bills.into_keys().collect();
    assert_eq!(bills, [BillName::Trade, BillName::FundBasic]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fund_bill_that_is_late_or_does_not_come_is_waited_for_while_the_trades_are_reconciled() {
    for (fault, state) in [
        (Fault::StatementCreating, FundState::Waiting),
        (Fault::WrongHash, FundState::Waiting),
        (Fault::ServerErrorBefore { status: 500 }, FundState::Running),
    ] {
        let testbed = Testbed::start().await;
        let day = a_day(&testbed).await;
        let name = format!("{fault:?}");
        let admin = testbed.wechat.admin();
        let rule = Rule::always(fault).at(Endpoint::FundFlowBill);
        let id = admin.add_fault(rule).unwrap();
        let run = testbed.reconcile(day, false).await;
        assert_eq!(run.state, RunState::Done, "{name}: {:?}", run.trouble);
        assert_eq!(run.trouble, None, "{name}");
        assert_eq!(testbed.difference_lines(day).await, TRADES, "{name}");
        assert_eq!(funds(&run).0, state, "{name}");
        assert!(!funds(&run).1.is_empty(), "{name}");

        // The same message again, once the bill is there.
        admin.clear_faults(Some(id));
        let again = ReconcileWork::FundsV1 {
            date: day,
            run_id: run.id,
        };
        testbed.send_work(&again).await;
        assert_eq!(testbed.work_off_days().await, 0, "{name}");
        let run = testbed.run_of(day).await;
        assert_eq!(funds(&run), (FundState::Done, String::new()), "{name}");
        let found = testbed.difference_lines(day).await;
        assert_eq!(found.len(), 3, "{name}: {found:?}");
        assert!(found.contains(&"fund_flow_without_trade GHOST-1 open".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_of_movements_are_done_only_by_a_run_that_reconciled_the_movements() {
    let testbed = Testbed::start().await;
    let day = a_day(&testbed).await;
    testbed.reconcile(day, false).await;
    let found = testbed.difference_lines(day).await;
    assert!(found.contains(&"fund_flow_without_trade GHOST-1 open".to_owned()));

    // A run whose fund side does not finish reports nothing about it.
    testbed.at_wechat(&serde_json::json!({"missing_accounts": ["FEES"]}));
    let run = testbed.reconcile(day, false).await;
    assert_eq!(run.state, RunState::Done);
    assert_eq!(funds(&run).0, FundState::Waiting);
    assert_eq!(testbed.difference_lines(day).await, found);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_died_before_it_began_its_fund_side_begins_it_when_its_message_comes_again() {
    let testbed = Testbed::start().await;
    let day = a_day(&testbed).await;
    let begun = ReconcileWork::DayV1 {
        date: day,
        dry_run: false,
        run_id: "run-1".to_owned(),
        requested_at_ms: None,
    };
    testbed.send_work(&begun).await;
    // The trade side is done, and the message that begins the fund side was never sent.
    testbed.work_off_days().await;
    let mut run = testbed.run_of(day).await;
    run.version += 1;
    if let Some(funds) = &mut run.funds {
        (funds.state, funds.parts_done) = (FundState::Pending, Default::default());
    }
    testbed.write_run(&run).await;
    testbed.send_work(&begun).await;
    assert_eq!(testbed.work_off_days().await, 0);
    let run = testbed.run_of(day).await;
    assert_eq!(funds(&run), (FundState::Done, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fund_side_opened_is_logged_although_the_run_that_ended_it_crashed_before_that() {
    let testbed = Testbed::start().await;
    let day = a_day(&testbed).await;
    let run = testbed.reconcile(day, false).await;
    assert_eq!(funds(&run), (FundState::Done, String::new()));
    // Its record says so, and its message is delivered again.
    let again = ReconcileWork::FundsV1 {
        date: day,
        run_id: run.id,
    };
    testbed.send_work(&again).await;
    let lines = Lines::default();
    assert_eq!(lines.of(testbed.work_off_days()).await, 0);
    let logged = lines.take_all();
    let reconciled = logged.iter().find(|line| line["FundSidesReconciled"] == 1);
    assert_eq!(reconciled.expect("a line")["OpenDifferences"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_day_asks_for_each_bill_once_whatever_the_number_of_its_parts() {
    let testbed = Testbed::with(TestbedOptions {
        lines_max: 1,
        ..TestbedOptions::default()
    })
    .await;
    let day = a_day(&testbed).await;
    let admin = testbed.wechat.admin();
    admin.reset_requests();
    let run = testbed.reconcile(day, false).await;
    assert_eq!((run.parts, funds(&run).0), (2, FundState::Done));
    // Of two days each, those of the day before as well: it was never run.
    let asked = admin.requests();
    let of = |endpoint| asked.get(&endpoint).copied();
    assert_eq!(of(Endpoint::TradeBill), Some(2), "{asked:?}");
    assert_eq!(of(Endpoint::FundFlowBill), Some(6), "{asked:?}");
    // Only two of the eight have anything in them.
    assert_eq!(of(Endpoint::BillFile), Some(2), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_who_is_settled_days_later_has_differences_only_when_money_is_due() {
    let testbed = Testbed::with(TestbedOptions {
        settlement_days: 3,
        ..TestbedOptions::default()
    })
    .await;
    testbed.at_wechat(&serde_json::json!({"settle_days": 3}));
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.paid("NEVER-1").await;
    let never = PlantedDifference::TradeWithoutFund;
    testbed.plant(WantedDifference::picked(&day.to_string(), never).of_order("NEVER-1"));
    for days in 0..=4 {
        let date = day.plus_days(days);
        testbed.until(date.plus_days(1), 10, 30).await;
        let run = testbed.reconcile(date, false).await;
        assert_eq!(funds(&run), (FundState::Done, String::new()), "{date}");
        let due = ["trade_without_fund_flow NEVER-1 open"];
        let expected = if days == 3 { &due[..] } else { &[] };
        assert_eq!(
            testbed.difference_lines(date).await,
            expected,
            "after {days} days"
        );
        assert_eq!(run.carried(), if days == 0 { 2 } else { 0 }, "{date}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_of_a_contract_that_was_set_wrong_are_over_once_it_is_set_right() {
    let mut testbed = Testbed::start().await;
    testbed.at_wechat(&serde_json::json!({"settle_days": 3}));
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    let next = day.plus_days(1);
    testbed.until(next.plus_days(1), 10, 30).await;
    testbed.reconcile(next, false).await;
    assert_eq!(
        testbed.difference_lines(next).await,
        ["trade_without_fund_flow ORDER-1 open"]
    );
    testbed.until(day.plus_days(4), 10, 30).await;
    testbed.set_reconcile("RECONCILE_SETTLEMENT_DAYS", "3");
    testbed.reconcile(next, false).await;
    let [over] = testbed.differences_of(next).await.try_into().unwrap();
    let last = over.history.last().unwrap();
    let expected = format!("settled by {}", day.plus_days(3));
    assert!(last.why.contains(&expected), "{}", last.why);
    let due = day.plus_days(3);
    testbed.reconcile(due, false).await;
    assert_eq!(testbed.difference_lines(due).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trades_of_a_day_are_reconciled_though_the_bill_of_the_day_before_is_unusable() {
    let testbed = Testbed::start().await;
    testbed.paid("BEFORE-1").await;
    let day = a_day(&testbed).await;
    // The day before was never run, so its bill is not stored.
    let rule = Rule::times(Fault::WrongHash, 1).at(Endpoint::TradeBill);
    testbed.wechat.admin().add_fault(rule).unwrap();
    let run = testbed.reconcile(day, false).await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.trouble);
    let found = testbed.difference_lines(day).await;
    assert!(TRADES.iter().all(|one| found.iter().any(|it| it == one)));
}
