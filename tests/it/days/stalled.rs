//! Runs that stall and come back after others: what counts is when they were asked for.

use payments::{model::bill_date::BillDate, reconcile::run::RunState};
use stores::queues::ReconcileWork;
use wechatpay_simulator::{Endpoint, Fault, Rule};

use crate::support::{Lines, Testbed};

/// A person asks for a run.
async fn ask(testbed: &Testbed, date: BillDate, run_id: &str, dry_run: bool) -> ReconcileWork {
    testbed.advance(std::time::Duration::from_secs(10)).await;
    let work = ReconcileWork::DayV1 {
        date,
        dry_run,
        run_id: run_id.to_owned(),
        requested_at_ms: Some(testbed.clock.now_ms()),
    };
    testbed.send_work(&work).await;
    work
}

/// A run is asked for, meets an error of WeChat Pay's, and will come back. Its message.
async fn stalls(testbed: &Testbed, date: BillDate, run_id: &str, dry_run: bool) -> ReconcileWork {
    let admin = testbed.wechat.admin();
    let rule = Rule::always(Fault::ServerErrorBefore { status: 500 }).at(Endpoint::TradeBill);
    let id = admin.add_fault(rule).unwrap();
    let work = ask(testbed, date, run_id, dry_run).await;
    assert_eq!(testbed.work_off_days().await, 1, "it comes again");
    admin.clear_faults(Some(id));
    work
}

async fn a_day(testbed: &Testbed) -> BillDate {
    let day = testbed.fresh_day().await;
    testbed.paid_in_silence("LOST-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    day
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_that_stalled_does_not_become_the_day_s_run_after_one_in_earnest() {
    let testbed = Testbed::start().await;
    let day = a_day(&testbed).await;
    let preview = stalls(&testbed, day, "a-preview", true).await;
    ask(&testbed, day, "a-run", false).await;
    assert_eq!(testbed.work_off_days().await, 0);
    let run = testbed.run_of(day).await;
    assert_eq!((run.id.as_str(), run.state), ("a-run", RunState::Done));

    // The preview comes back 120 s later.
    testbed.advance(std::time::Duration::from_secs(120)).await;
    testbed.send_work(&preview).await;
    assert_eq!(testbed.work_off_days().await, 0, "it is given up");
    let runs = testbed.runs_of(day).await;
    assert_eq!(runs.run(), Some(&run), "not a word of the run is changed");
    assert_eq!(runs.current("a-preview"), None);
    assert_eq!(
        testbed.difference_lines(day).await,
        ["paid_there_unpaid_here LOST-1 repaired"]
    );
    let shown = testbed.shown_day(day).await;
    assert_eq!(
        (
            &shown["run_id"],
            &shown["dry_run"],
            &shown["latest_preview"]
        ),
        (&"a-run".into(), &false.into(), &serde_json::Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_after_a_run_is_shown_beside_it() {
    let testbed = Testbed::start().await;
    let day = a_day(&testbed).await;
    ask(&testbed, day, "a-run", false).await;
    testbed.work_off_days().await;
    ask(&testbed, day, "a-preview", true).await;
    assert_eq!(testbed.work_off_days().await, 0);
    let shown = testbed.shown_day(day).await;
    assert_eq!(
        (&shown["run_id"], &shown["dry_run"], &shown["state"]),
        (&"a-run".into(), &false.into(), &"done".into())
    );
    let preview = &shown["latest_preview"];
    assert_eq!(
        (&preview["run_id"], &preview["state"]),
        (&"a-preview".into(), &"done".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_of_two_real_runs_gives_way_whenever_it_comes_back() {
    let testbed = Testbed::start().await;
    let day = a_day(&testbed).await;
    let older = stalls(&testbed, day, "older", false).await;
    let newer = ask(&testbed, day, "newer", false).await;
    assert_eq!(testbed.work_off_days().await, 0);
    let done = testbed.run_of(day).await;
    assert_eq!((done.id.as_str(), done.state), ("newer", RunState::Done));
    // So do its parts and its fund side, and the message of the one that is done changes nothing.
    let (date, run_id) = (day, "older".to_owned());
    let part = ReconcileWork::PartV1 {
        date,
        run_id: run_id.clone(),
        part: 0,
    };
    let funds = ReconcileWork::FundsV1 { date, run_id };
    for back in [older, part, funds, newer] {
        testbed.send_work(&back).await;
        assert_eq!(testbed.work_off_days().await, 0, "{back:?}");
        let run = testbed.run_of(day).await;
        assert_eq!((run.id.as_str(), run.state), ("newer", RunState::Done));
        assert_eq!(run.parts_done, done.parts_done);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_asked_for_in_the_future_keeps_no_other_from_the_day() {
    let testbed = Testbed::start().await;
    let day = a_day(&testbed).await;
    let work = ReconcileWork::DayV1 {
        date: day,
        dry_run: false,
        run_id: "of-tomorrow".to_owned(),
        requested_at_ms: Some(i64::MAX),
    };
    testbed.send_work(&work).await;
    assert_eq!(testbed.work_off_days().await, 0);
    ask(&testbed, day, "of-today", false).await;
    assert_eq!(testbed.work_off_days().await, 0);
    assert_eq!(testbed.run_of(day).await.id, "of-today");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_counted_as_one_and_never_as_a_day_that_was_reconciled() {
    let testbed = Testbed::start().await;
    let day = a_day(&testbed).await;
    let lines = Lines::default();
    for (dry_run, reconciled, previewed) in [(true, None, Some(1)), (false, Some(1), None)] {
        lines.of(testbed.reconcile(day, dry_run)).await;
        let logged = lines.take("INFO");
        let done = logged
            .iter()
            .filter(|line| line["message"] == "day reconciled");
        let counted: Vec<_> = done
            .map(|line| {
                (
                    line["DaysReconciled"].as_u64(),
                    line["DaysPreviewed"].as_u64(),
                )
            })
            .collect();
        assert_eq!(counted, [(reconciled, previewed)], "dry_run {dry_run}");
    }
}
