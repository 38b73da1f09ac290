//! Runs of days, and their lists.

use futures_util::future::join_all;
use payments::model::bill_date::{BillDate, BillName};
use payments::reconcile::difference::DifferenceKind;
use payments::reconcile::run::{BillFacts, PartDone, Run, RunState};
use stores::reconciliation::{FindOutcome, SaveOutcome};
use testbed::{Match, NOW, Service};

use super::{Bench, carried, day, difference, first_run, next};

#[tokio::test]
async fn a_run_is_read_as_it_was_written_with_every_bill_and_part() {
    let bench = Bench::new().await;
    assert_eq!(bench.stored().await, None);
    assert_eq!(bench.save_run(&first_run()).await, SaveOutcome::Saved);
    let mut run = next(&first_run(), RunState::Done);
    run.bills.insert(
        BillName::Trade,
        BillFacts {
            rows: 3,
            sha1: Some("79bb0f45fc4c42234a918000b2668d689e2bde04".to_owned()),
            kept_as: Some("2026/08/01/trade.csv.gz".to_owned()),
        },
    );
    let mut part = PartDone::default();
    part.differences.insert(DifferenceKind::AmountDiffers, 2);
    let sums = part.there.0.entry("NATIVE".to_owned()).or_default();
    sums.payments_fen = 7;
    run.parts_done.insert(0, part);
    run.trouble = Some("nothing to do".to_owned());
    assert_eq!(bench.save_run(&run).await, SaveOutcome::Saved);
    assert_eq!(bench.stored().await, Some(run));
    let reads = bench.wire.calls();
    assert!(
        reads
            .iter()
            .filter(|call| call.operation == "Query")
            .all(|call| call.consistent),
        "{reads:?}"
    );
}

#[tokio::test]
async fn a_preview_and_a_run_in_earnest_each_have_a_place_of_their_own() {
    let bench = Bench::new().await;
    let preview = Run::begun(day(), "preview-1", true, NOW);
    for run in [&first_run(), &preview] {
        assert_eq!(bench.save_run(run).await, SaveOutcome::Saved);
    }
    let done = next(&preview, RunState::Done);
    assert_eq!(bench.save_run(&done).await, SaveOutcome::Saved);
    let runs = bench.table().day_runs(day()).await.expect("read");
    assert_eq!(
        (runs.run(), runs.preview()),
        (Some(&first_run()), Some(&done))
    );
    let of_days = bench.table().runs(&[day()]).await.expect("read");
    assert_eq!(of_days, [(day(), runs)]);
}

#[tokio::test]
async fn one_of_many_that_begin_a_day_at_once_does() {
    let bench = Bench::new().await;
    let table = bench.table();
    let runs: Vec<Run> = (0..8)
        .map(|count| Run::begun(day(), &format!("run-{count}"), false, NOW))
        .collect();
    let saved = join_all(runs.iter().map(|run| table.save_run(run))).await;
    let begun: Vec<&Run> = runs
        .iter()
        .zip(saved)
        .filter(|(_, saved)| *saved.as_ref().expect("an answer") == SaveOutcome::Saved)
        .map(|(run, _)| run)
        .collect();
    assert_eq!(begun.len(), 1);
    assert_eq!(bench.stored().await.as_ref(), begun.first().copied());
}

#[tokio::test]
async fn the_later_of_two_decisions_on_one_version_is_stale() {
    let bench = Bench::new().await;
    assert_eq!(bench.save_run(&first_run()).await, SaveOutcome::Saved);
    let done = next(&first_run(), RunState::Done);
    assert_eq!(bench.save_run(&done).await, SaveOutcome::Saved);
    let failed = next(&first_run(), RunState::Failed);
    assert_eq!(bench.save_run(&failed).await, SaveOutcome::VersionMoved);
    let skipping = next(&next(&done, RunState::Running), RunState::Failed);
    assert_eq!(bench.save_run(&skipping).await, SaveOutcome::VersionMoved);
    assert_eq!(bench.stored().await, Some(done));
}

#[tokio::test]
async fn a_later_version_of_a_missing_item_is_stale() {
    let bench = Bench::new().await;
    let saved = bench.save_run(&next(&first_run(), RunState::Done)).await;
    assert_eq!(saved, SaveOutcome::VersionMoved);
    let proposed = difference("A").proposed("run-1", "paid twice", NOW);
    assert_eq!(bench.save(&proposed).await, SaveOutcome::VersionMoved);
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_counts_as_written_once() {
    let bench = Bench::new().await;
    bench.lose_the_next_put();
    assert_eq!(bench.save_run(&first_run()).await, SaveOutcome::Saved);
    bench.lose_the_next_put();
    let done = next(&first_run(), RunState::Done);
    assert_eq!(bench.save_run(&done).await, SaveOutcome::Saved);
    bench.lose_the_next_put();
    assert_eq!(bench.find(&difference("A")).await, FindOutcome::New);
    bench.lose_the_next_put();
    let proposed = difference("A").proposed("run-1", "paid twice", NOW);
    assert_eq!(bench.save(&proposed).await, SaveOutcome::Saved);
    bench.lose_the_next_put();
    let carry = bench.table().carry(&carried("A")).await;
    carry.expect("carried");
    let puts = Match::operation(Service::DynamoDb, "PutItem");
    assert_eq!(bench.wire.count(&puts), 10, "each was sent twice");
}

#[tokio::test]
async fn the_runs_of_many_days_come_in_one_call_the_earliest_first() {
    let bench = Bench::new().await;
    for days in [2, 0] {
        let run = Run::begun(day().plus_days(days), "run-1", true, NOW);
        assert_eq!(bench.save_run(&run).await, SaveOutcome::Saved);
    }
    let asked: Vec<BillDate> = [3, 2, 1, 0, 0, 2].map(|days| day().plus_days(days)).into();
    let runs = bench.table().runs(&asked).await.expect("read");
    let dates: Vec<BillDate> = runs.iter().map(|(date, _)| *date).collect();
    assert_eq!(dates, [day(), day().plus_days(2)]);
    let batches = Match::operation(Service::DynamoDb, "BatchGetItem");
    assert_eq!(bench.wire.count(&batches), 1);
    let none = bench.table().runs(&[]).await.expect("nothing to read");
    assert!(none.is_empty());
}

#[tokio::test]
async fn a_damaged_record_among_many_days_is_an_error_of_its_own_day() {
    let bench = Bench::new().await;
    let asked: Vec<BillDate> = (-1..=1).map(|days| day().plus_days(days)).collect();
    for date in &asked {
        let run = Run::begun(*date, "run-1", false, NOW);
        assert_eq!(bench.save_run(&run).await, SaveOutcome::Saved);
    }
    bench.damage("run", "body").await;
    let table = bench.table();
    let of_each = table.runs_of_each(&asked).await.expect("read");
    let read: Vec<(BillDate, bool)> = of_each
        .iter()
        .map(|(date, runs)| (*date, runs.is_ok()))
        .collect();
    let [before, damaged, after] = asked[..] else {
        panic!("three days");
    };
    assert_eq!(read, [(before, true), (damaged, false), (after, true)]);
    assert!(table.runs(&asked).await.is_err(), "all or nothing");
}

/// DynamoDB leaves out what does not fit into 16 MB.
#[tokio::test]
async fn runs_that_a_batch_leaves_out_are_asked_for_again() {
    let bench = Bench::new().await;
    let mut asked = Vec::new();
    for days in 0..50 {
        let mut run = Run::begun(day().plus_days(days), "run-1", false, NOW);
        run.trouble = Some("x".repeat(390_000));
        assert_eq!(bench.save_run(&run).await, SaveOutcome::Saved);
        asked.push(run.date);
    }
    let runs = bench.table().runs(&asked).await.expect("read");
    let dates: Vec<BillDate> = runs.iter().map(|(date, _)| *date).collect();
    assert_eq!(dates, asked);
    let batches = Match::operation(Service::DynamoDb, "BatchGetItem");
    assert!(bench.wire.count(&batches) > 1, "one batch proves nothing");
}
