//! Differences that runs find, and those that are left.

use payments::{
    model::bill_date::BillDate,
    reconcile::run::{Run, RunState},
};
use testbed::Fault as AwsFault;
use wechatpay_simulator::{PlantedDifference as BillDifference, WantedDifference};

use super::{MINUTE, Watch, asked_for};
use crate::{
    payer_owed::ConsoleDifference,
    support::{Testbed, native_for},
};

#[tokio::test(flavor = "multi_thread")]
async fn each_run_that_finds_new_differences_is_an_alarm_and_one_that_finds_old_ones_is_none() {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let mut day = testbed.fresh_day().await;
    let mut run = async |day: BillDate| {
        testbed.until(day.plus_days(1), 10, 30).await;
        for again in [false, true] {
            testbed.begin_day(day, false).await;
            assert_eq!(watch.of(testbed.work_off_days()).await, 0);
            testbed.advance(MINUTE * 5).await;
            assert_eq!(watch.is_met("differences-opened"), !again, "{day} {again}");
            if !again {
                watch.goes_on("differences-opened");
            }
            watch.goes_on("open-differences");
            testbed.advance(MINUTE * 25).await;
            watch.goes_off("differences-opened");
        }
    };
    for number in 0..2 {
        // A payment for an unknown order.
        let order = format!("GONE-{number}");
        testbed.post_order(&native_for(&order, 700)).await;
        testbed.in_silence(testbed.pay(&order)).await;
        testbed.forget(&order).await;
        run(day).await;
        day = testbed.fresh_day().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_of_a_crashed_run_are_an_alarm_of_the_run_that_takes_the_day_over() {
    const ALARM: &str = "differences-opened";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    testbed.post_order(&native_for("GONE-1", 700)).await;
    testbed.in_silence(testbed.pay("GONE-1")).await;
    testbed.forget("GONE-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    let run = testbed.reconcile(day, false).await;
    // It wrote its differences down, and neither counted them nor came to its end.
    testbed
        .write_run(&Run {
            state: RunState::Running,
            version: run.version + 1,
            ..run
        })
        .await;
    testbed.begin_day(day, false).await;
    assert_eq!(watch.of(testbed.work_off_days()).await, 0);
    testbed.advance(MINUTE * 5).await;
    assert!(watch.is_met(ALARM));
    // The day is done now.
    testbed.advance(MINUTE * 25).await;
    testbed.begin_day(day, false).await;
    assert_eq!(watch.of(testbed.work_off_days()).await, 0);
    testbed.advance(MINUTE * 5).await;
    assert!(!watch.is_met(ALARM));
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_that_no_run_repairs_are_an_alarm_while_the_repairs_of_others_fail() {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.paid_in_silence("ORDER-2").await;
    let appid = "wx0000000000000000".to_owned();
    let altered = BillDifference::AlterAppid { appid };
    testbed.plant(WantedDifference::picked(&day.to_string(), altered).of_order("ORDER-1"));
    testbed.until(day.plus_days(1), 10, 30).await;
    let books = testbed.order_changes();
    testbed.wire.break_all(books, AwsFault::ServiceFault);
    testbed.begin_day(day, false).await;
    assert_eq!(watch.of(testbed.work_off_days()).await, 1);
    testbed.advance(MINUTE * 5).await;
    assert!(watch.is_met("differences-opened"));
}

#[tokio::test(flavor = "multi_thread")]
async fn open_differences_are_an_alarm_until_a_run_finds_none() {
    const ALARM: &str = "open-differences";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    let appid = "wx0000000000000000".to_owned();
    let altered = BillDifference::AlterAppid { appid };
    testbed.plant(WantedDifference::picked(&day.to_string(), altered).of_order("ORDER-1"));
    testbed.until(day.plus_days(1), 10, 30).await;
    asked_for(&testbed, &mut watch, day).await;
    testbed.advance(MINUTE).await;
    watch.goes_on(ALARM);
    // A person explains it, and the next day finds nothing.
    let [found] = &testbed.differences_of(day).await[..] else {
        panic!("one difference");
    };
    let difference = ConsoleDifference {
        testbed: &testbed,
        day,
        id: found.id.clone(),
        order_no: "",
    };
    let explained = difference.decides("li", "explain", "the shop moved its appid");
    Box::pin(explained).await;
    testbed.until(day.plus_days(2), 10, 30).await;
    asked_for(&testbed, &mut watch, day.plus_days(1)).await;
    testbed.advance(MINUTE).await;
    watch.goes_off(ALARM);
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_nobody_has_explained_by_eleven_misses_its_objective_for_a_day() {
    const ALARM: &str = "money-unexplained";
    for is_late in [false, true] {
        let testbed = Testbed::start().await;
        let mut watch = Watch::by(&testbed.clock);
        let day = testbed.fresh_day().await;
        testbed.paid("ORDER-1").await;
        let next = day.plus_days(1);
        if is_late {
            // All agrees, and is known too late.
            testbed.until(next, 11, 20).await;
        } else {
            let appid = "wx0000000000000000".to_owned();
            let altered = BillDifference::AlterAppid { appid };
            let wanted = WantedDifference::picked(&day.to_string(), altered);
            testbed.plant(wanted.of_order("ORDER-1"));
            testbed.until(next, 10, 30).await;
        }
        asked_for(&testbed, &mut watch, day).await;
        testbed.advance(MINUTE).await;
        watch.goes_on(ALARM);
        // The next day agrees, in time. Another run of the first one says nothing of that.
        testbed.paid("ORDER-2").await;
        testbed.until(day.plus_days(2), 10, 30).await;
        asked_for(&testbed, &mut watch, day).await;
        asked_for(&testbed, &mut watch, next).await;
        testbed.until(day.plus_days(2), 11, 30).await;
        watch.goes_off(ALARM);
    }
}
