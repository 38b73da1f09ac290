//! Reconciled days: missing, failed, unreadable, and what runs find.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use payments::{
    model::bill_date::BillDate,
    reconcile::run::{FundState, Run, RunState},
};
use stores::queues::ReconcileWork;
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{Endpoint, Fault, Rule};

use super::{MINUTE, Watch, asked_for, daily};
use crate::{
    runbooks,
    support::{MCHID, Testbed},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_was_not_reconciled_is_an_alarm_two_minutes_after_one_whatever_other_days_were_run()
 {
    const ALARM: &str = "reconciliation-missing";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let sweeps = async |watch: &mut Watch| {
        for _ in 0..3 {
            testbed.advance(MINUTE).await;
            watch.of(testbed.sweep()).await;
        }
    };
    let day = testbed.fresh_day().await;
    testbed.until(day.plus_days(1), 10, 30).await;
    daily(&testbed, &mut watch, day).await;
    testbed.until(day.plus_days(1), 13, 0).await;
    sweeps(&mut watch).await;
    assert!(!watch.not_quiet().contains(ALARM));
    let next = day.plus_days(2);
    testbed.until(next, 12, 56).await;
    sweeps(&mut watch).await;
    assert!(!watch.not_quiet().contains(ALARM), "it is 12:59");
    // A person runs the day before again, which is not the one that is missing.
    testbed.begin_day(day, false).await;
    assert_eq!(watch.of(testbed.work_off_days()).await, 0);
    testbed.until(next, 13, 0).await;
    watch.of(testbed.sweep()).await;
    testbed.until(next, 13, 2).await;
    assert!(watch.is_met(ALARM), "{:?}", watch.met());
    // The next day has begun: nothing is better than it was.
    testbed.until(day.plus_days(3), 3, 0).await;
    sweeps(&mut watch).await;
    for alarm in [ALARM, "day-not-reconciled"] {
        watch.goes_on(alarm);
    }
    asked_for(&testbed, &mut watch, day.plus_days(1)).await;
    sweeps(&mut watch).await;
    for alarm in [ALARM, "day-not-reconciled"] {
        watch.goes_off(alarm);
    }
    // If it is run once more, and waits for its bill, the run before is not lost.
    let admin = testbed.wechat.admin();
    admin
        .add_fault(Rule::always(Fault::StatementCreating))
        .unwrap();
    asked_for(&testbed, &mut watch, day.plus_days(1)).await;
    sweeps(&mut watch).await;
    assert!(!watch.not_quiet().contains(ALARM));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_was_not_reconciled_is_an_alarm_for_a_week_whatever_day_takes_its_place_and_so_is_each_other()
 {
    const ALARM: &str = "reconciliation-missing";
    const EARLIER: &str = "earlier-day-missing";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let of = |watch: &Watch| [ALARM, EARLIER].map(|alarm| watch.is_met(alarm));
    let first = testbed.fresh_day().await;
    for number in 0..9 {
        let day = first.plus_days(number);
        testbed.until(day.plus_days(1), 10, 30).await;
        if !matches!(number, 1 | 4) {
            daily(&testbed, &mut watch, day).await;
        }
        testbed.until(day.plus_days(1), 13, 0).await;
        for _ in 0..2 {
            watch.of(testbed.sweep()).await;
            testbed.advance(MINUTE).await;
        }
        let is_missing = matches!(number, 1 | 4);
        let has_earlier = matches!(number, 2..=7);
        assert_eq!(of(&watch), [is_missing, has_earlier], "day {number}");
        if number == 5 {
            // Of the two days that are missing, one is run; a preview of the other is not enough.
            asked_for(&testbed, &mut watch, first.plus_days(4)).await;
            testbed.begin_day(first.plus_days(1), true).await;
            watch.of(testbed.work_off_days()).await;
        }
    }
    assert!(
        !watch.not_quiet().contains(EARLIER),
        "it is older than that"
    );
    let page = runbooks::page("reconciliation.md");
    let (_, section) = page
        .split_once("## `reconciliation-missing`, `earlier-day-missing`")
        .expect("a section");
    for wanted in [
        "the alarm `earlier-day-missing`",
        "`days that were not reconciled in time`",
        "--name \"$STACK-daily\"",
    ] {
        assert!(section.contains(wanted), "{wanted}");
    }
}

/// The item of a day's run in the table.
type Record = HashMap<String, AttributeValue>;

fn record_key(day: BillDate) -> Record {
    let text = |value: String| AttributeValue::S(value);
    Record::from([
        ("pk".to_owned(), text(format!("day#{MCHID}#{day}"))),
        ("sk".to_owned(), text("run".to_owned())),
    ])
}

async fn record_of(testbed: &Testbed, day: BillDate) -> Record {
    let read = testbed.dynamo().get_item();
    let read = read.table_name(&testbed.tables.reconciliation);
    let read = read.set_key(Some(record_key(day))).send().await;
    read.unwrap().item.expect("the day's record")
}

fn damaged(record: &Record) -> Record {
    let mut damaged = record.clone();
    let body = AttributeValue::S("no JSON".to_owned());
    damaged.insert("body".to_owned(), body);
    damaged
}

async fn write(testbed: &Testbed, record: &Record) {
    let put = testbed.dynamo().put_item();
    let put = put.table_name(&testbed.tables.reconciliation);
    put.set_item(Some(record.clone())).send().await.unwrap();
}

async fn delete_record(testbed: &Testbed, day: BillDate) {
    let delete = testbed.dynamo().delete_item();
    let delete = delete.table_name(&testbed.tables.reconciliation);
    delete.set_key(Some(record_key(day))).send().await.unwrap();
}

/// A stack whose last three days were reconciled, at 13:00 after the last of them. Gives the first.
async fn three_days(testbed: &Testbed, watch: &mut Watch) -> BillDate {
    let first = testbed.fresh_day().await;
    for number in 0..3 {
        let day = first.plus_days(number);
        testbed.until(day.plus_days(1), 10, 30).await;
        daily(testbed, watch, day).await;
    }
    testbed.until(first.plus_days(3), 13, 0).await;
    first
}

/// A sweep, and the rest of its minute. Gives the days of which it does not know whether they were
/// reconciled.
async fn sweep_minute(testbed: &Testbed, watch: &mut Watch) -> Vec<String> {
    let mut unknown = Vec::new();
    for line in watch.lines_of(testbed.sweep()).await {
        if line["message"] == "it is not known whether the day was reconciled" {
            unknown.push(line["date"].as_str().expect("a date").to_owned());
        }
    }
    testbed.advance(MINUTE).await;
    unknown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_of_an_earlier_day_says_nothing_of_other_days_and_is_that_days_alarm() {
    const ALARM: &str = "reconciliation-missing";
    const EARLIER: &str = "earlier-day-missing";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let first = three_days(&testbed, &mut watch).await;
    let middle = first.plus_days(1);
    let record = record_of(&testbed, middle).await;
    write(&testbed, &damaged(&record)).await;
    for number in 0..4 {
        let unknown = sweep_minute(&testbed, &mut watch).await;
        assert_eq!(unknown, [middle.to_string()]);
        assert!(!watch.not_quiet().contains(ALARM), "{number}");
        assert_eq!(watch.is_met(EARLIER), number > 0, "{number}: it may pass");
    }
    write(&testbed, &record).await;
    for _ in 0..3 {
        assert_eq!(sweep_minute(&testbed, &mut watch).await, [""; 0]);
    }
    assert!(!watch.not_quiet().contains(EARLIER));
    // Beside a day that was not reconciled it hides nothing.
    delete_record(&testbed, middle).await;
    let record = record_of(&testbed, first.plus_days(2)).await;
    write(&testbed, &damaged(&record)).await;
    sweep_minute(&testbed, &mut watch).await;
    watch.goes_on(EARLIER);
    assert!(!watch.not_quiet().contains(ALARM), "it may pass");
    asked_for(&testbed, &mut watch, middle).await;
    for _ in 0..3 {
        sweep_minute(&testbed, &mut watch).await;
    }
    watch.goes_off(EARLIER);
    let page = runbooks::page("reconciliation.md");
    assert!(page.contains("A record that cannot be read affects its day\n  only"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_alarm_of_an_earlier_day_stays_while_no_sweep_can_read_whether_its_cause_stands() {
    const ALARM: &str = "reconciliation-missing";
    const EARLIER: &str = "earlier-day-missing";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let first = three_days(&testbed, &mut watch).await;
    delete_record(&testbed, first.plus_days(1)).await;
    for _ in 0..2 {
        sweep_minute(&testbed, &mut watch).await;
        assert!(watch.is_met(EARLIER));
    }
    let runs = Match::operation(Service::DynamoDb, "BatchGetItem");
    testbed.wire.break_all(runs, AwsFault::Denied);
    for number in 0..4 {
        sweep_minute(&testbed, &mut watch).await;
        assert_eq!(watch.is_met(ALARM), number > 0, "{number}");
        assert!(watch.is_met(EARLIER), "{number}: its day is still missing");
    }
    testbed.wire.mend();
    for _ in 0..3 {
        sweep_minute(&testbed, &mut watch).await;
        assert!(watch.is_met(EARLIER));
    }
    assert!(!watch.not_quiet().contains(ALARM));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_whose_record_no_sweep_can_read_is_an_alarm_and_one_read_that_fails_is_none() {
    const ALARM: &str = "reconciliation-missing";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    testbed.until(day.plus_days(1), 10, 30).await;
    daily(&testbed, &mut watch, day).await;
    testbed.until(day.plus_days(1), 13, 0).await;
    let record = record_of(&testbed, day).await;
    let damaged = damaged(&record);
    let write = async |item: &Record| write(&testbed, item).await;
    let sweep = async |watch: &mut Watch| {
        watch.of(testbed.sweep()).await;
        testbed.advance(MINUTE).await;
    };
    sweep(&mut watch).await;
    for _ in 0..2 {
        write(&damaged).await;
        sweep(&mut watch).await;
        assert!(!watch.not_quiet().contains(ALARM), "it may pass");
        write(&record).await;
        sweep(&mut watch).await;
        assert!(!watch.not_quiet().contains(ALARM));
    }
    write(&damaged).await;
    for number in 0..4 {
        sweep(&mut watch).await;
        assert_eq!(watch.is_met(ALARM), number > 0, "{number}");
    }
    watch.says(
        "it is not known whether the day was reconciled",
        "reconciliation.md",
    );
    write(&record).await;
    for _ in 0..3 {
        sweep(&mut watch).await;
    }
    assert!(!watch.not_quiet().contains(ALARM));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_the_days_work_only_where_the_daily_run_only_reports() {
    for (repairs, dry_run, is_missing) in [
        ("true", true, true),
        ("false", true, false),
        // An operator starts a real run.
        ("false", false, false),
    ] {
        let mut testbed = Testbed::start().await;
        testbed.set_reconcile("RECONCILE_REPAIRS", repairs);
        let mut watch = Watch::by(&testbed.clock);
        let day = testbed.fresh_day().await;
        testbed.until(day.plus_days(1), 10, 30).await;
        testbed.begin_day(day, dry_run).await;
        watch.of(testbed.work_off_days()).await;
        testbed.until(day.plus_days(1), 13, 0).await;
        watch.of(testbed.sweep()).await;
        testbed.advance(MINUTE).await;
        assert_eq!(
            watch.is_met("reconciliation-missing"),
            is_missing,
            "{repairs} {dry_run}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_that_is_not_there_at_one_is_an_alarm_until_it_comes() {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    let admin = testbed.wechat.admin();
    admin
        .add_fault(Rule::always(Fault::StatementCreating))
        .unwrap();
    for (hour, minute) in [(10, 30), (11, 0), (12, 45)] {
        testbed.until(day.plus_days(1), hour, minute).await;
        asked_for(&testbed, &mut watch, day).await;
        assert!(!watch.not_quiet().contains("bill-late"), "{hour}:{minute}");
    }
    let again_s = testbed.hidden.times_s().last().copied().unwrap();
    assert!(
        (890..=900).contains(&again_s),
        "at 13:00, not in {again_s} s"
    );
    testbed.until(day.plus_days(1), 13, 0).await;
    asked_for(&testbed, &mut watch, day).await;
    testbed.advance(MINUTE).await;
    assert!(watch.is_met("bill-late"));
    testbed.until(day.plus_days(1), 13, 30).await;
    // Until it is asked for again.
    watch.goes_on("bill-late");
    admin.clear_faults(None);
    asked_for(&testbed, &mut watch, day).await;
    testbed.until(day.plus_days(1), 15, 0).await;
    watch.goes_off("bill-late");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fund_bill_that_is_not_there_at_one_is_an_alarm_until_it_comes_though_the_day_is_done() {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    let late = Rule::always(Fault::StatementCreating).at(Endpoint::FundFlowBill);
    testbed.wechat.admin().add_fault(late).unwrap();
    // The day before, whose movements are requested first, has not been run.
    testbed.until(day.plus_days(1), 10, 30).await;
    asked_for(&testbed, &mut watch, day).await;
    testbed.advance(MINUTE).await;
    assert!(!watch.not_quiet().contains("bill-late"), "it is 10:31");
    testbed.until(day.plus_days(1), 13, 0).await;
    asked_for(&testbed, &mut watch, day).await;
    testbed.advance(MINUTE).await;
    assert!(watch.is_met("bill-late"));
    let run = testbed.run_of(day).await;
    let again = ReconcileWork::FundsV1 {
        date: day,
        run_id: run.id,
    };
    let funds = run.funds.expect("a fund side").state;
    assert_eq!((run.state, funds), (RunState::Done, FundState::Waiting));
    let row = runbooks::row("reconciliation.md", "`done`, `funds` `waiting`");
    assert!(row.contains("the alarm `bill-late`"), "{row}");

    testbed.wechat.admin().clear_faults(None);
    testbed.send_work(&again).await;
    watch.of(testbed.work_off_days()).await;
    testbed.until(day.plus_days(1), 15, 0).await;
    assert!(!watch.not_quiet().contains("bill-late"));
}

/// A day whose bill has a wrong hash whenever it is fetched, four times half an hour apart: the
/// alarm is met after the last one. Gives the day's record then.
async fn fails_at(bill: Endpoint, alarm: &str) -> (Run, Watch, Testbed) {
    let of_days = ["day-failed", "fund-side-failed"];
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    let wrong = Rule::always(Fault::WrongHash).at(bill);
    testbed.wechat.admin().add_fault(wrong).unwrap();
    let run_id = "fails".to_owned();
    let mut work = ReconcileWork::DayV1 {
        date: day,
        dry_run: false,
        run_id: run_id.clone(),
        requested_at_ms: Some(testbed.clock.now_ms()),
    };
    for fetched in 1..=4 {
        testbed.send_work(&work).await;
        watch.of(testbed.work_off_days()).await;
        if bill == Endpoint::FundFlowBill {
            let run_id = run_id.clone();
            work = ReconcileWork::FundsV1 { date: day, run_id };
        }
        testbed.advance(MINUTE * 30).await;
        for one in of_days {
            let is_met = fetched == 4 && one == alarm;
            assert_eq!(watch.is_met(one), is_met, "{one}, fetched {fetched} times");
            assert!(is_met || !watch.not_quiet().contains(one), "{one}");
        }
    }
    let run = testbed.run_of(day).await;
    (run, watch, testbed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_fails_and_a_fund_side_that_fails_are_each_their_own_alarm_and_not_the_others() {
    for (bill, alarm) in [
        (Endpoint::TradeBill, "day-failed"),
        (Endpoint::FundFlowBill, "fund-side-failed"),
    ] {
        let (run, watch, testbed) = Box::pin(fails_at(bill, alarm)).await;
        let funds = run.funds.map(|funds| funds.state);
        let expected = if bill == Endpoint::FundFlowBill {
            (RunState::Done, Some(FundState::Failed))
        } else {
            (RunState::Failed, funds)
        };
        assert_eq!((run.state, funds), expected);
        testbed.clock.advance(MINUTE * 60 * 20);
        // The next day's failure has not come.
        watch.goes_on(alarm);
        testbed.clock.advance(MINUTE * 60 * 2);
        // Then that one calls again.
        watch.goes_off(alarm);
    }
}
