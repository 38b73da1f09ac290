//! Differences: found, counted, listed and tracked.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use matching::totals::{Gap, Gaps};
use payments::reconcile::difference::{
    Decision, Difference, DifferenceKind, DifferenceState, RefundStage,
};
use payments::reconcile::run::{PartDone, Run};
use stores::reconciliation::{FindOutcome, SaveOutcome};
use testbed::NOW;

use super::decisions::{approved, with_a_notice};
use super::{Bench, carried, day, difference, first_run, with_stage};

#[tokio::test]
async fn differences_are_counted_where_they_lie_and_none_is_read() {
    let bench = Bench::new().await;
    for order_no in ["A", "B", "C"] {
        bench.table().find(&difference(order_no)).await.unwrap();
    }
    let repaired = difference("C").repaired("run-1", "they agree", NOW);
    let saved = bench.table().save_difference(&repaired).await;
    assert_eq!(saved.unwrap(), SaveOutcome::Saved);
    let count = async |states: &[DifferenceState], pages| {
        let counted = bench.table().count_in(day(), states, pages).await.unwrap();
        (counted.count, counted.is_all)
    };
    assert_eq!(
        count(&[DifferenceState::Open, DifferenceState::Proposed], 5).await,
        (2, true)
    );
    assert_eq!(count(&[DifferenceState::Repaired], 5).await, (1, true));
    assert_eq!(count(&[DifferenceState::Explained], 5).await, (0, true));
    assert_eq!(
        count(&[DifferenceState::Open], 0).await,
        (0, false),
        "none was read"
    );
}

#[tokio::test]
async fn the_effects_of_differences_on_the_sums_are_read_from_the_attempts_that_count_or_not_at_all()
 {
    let bench = Bench::new().await;
    let gaps = |fen| {
        let mut gaps = Gaps::default();
        gaps.add("NATIVE", Gap::of_payment(fen));
        gaps.add("JSAPI", Gap::of_refund(fen));
        gaps
    };
    let of_part = |part: i64, count: i64| -> BTreeMap<String, Gaps> {
        (0..count)
            .map(|at| (format!("amount-differs-{part}-{at:04}"), gaps(at + 1)))
            .collect()
    };
    let (first, second) = (of_part(0, 1_001), of_part(1, 2));
    for (run, part, attempt, gaps) in [
        ("r", 0, "died", &of_part(0, 2_001)),
        ("r", 0, "ended", &first),
        ("r", 1, "ended", &second),
        ("r", 2, "runs", &second),
        ("other", 0, "ended", &second),
    ] {
        let table = bench.table();
        let saved = table.save_gaps(day(), run, part, attempt, gaps).await;
        saved.unwrap();
    }
    let read = async |id: &str, at_most| {
        let mut run = Run::begun(day(), id, false, NOW);
        for part in 0..2 {
            let done = PartDone {
                gaps_of: Some("ended".to_owned()),
                ..PartDone::default()
            };
            run.parts_done.insert(part, done);
        }
        bench.table().gaps(&run, at_most).await.unwrap()
    };
    let mut all = first;
    all.extend(second.clone());
    assert_eq!(read("r", 1_003).await, Some(all));
    assert_eq!(read("r", 1_002).await, None, "more than were asked for");
    assert_eq!(read("other", 10).await, Some(second));
    assert_eq!(read("never", 10).await, Some(BTreeMap::new()));
}

#[tokio::test]
async fn a_difference_is_new_once_and_keeps_what_was_decided_when_a_later_run_finds_it() {
    let bench = Bench::new().await;
    assert_eq!(bench.find(&difference("A")).await, FindOutcome::New);
    let explained = difference("A")
        .decided(Decision::Explain, "li", "a test payment", NOW)
        .expect("decided");
    assert_eq!(bench.save(&explained).await, SaveOutcome::Saved);

    let mut again = difference("A");
    again.history = Vec::new();
    let found = bench.find(&again).await;
    assert_eq!(found, FindOutcome::Known(Box::new(explained.clone())));
    assert_eq!(bench.difference(&explained.id).await, Some(explained));
}

#[tokio::test]
async fn one_of_many_runs_that_find_a_difference_finds_it_first() {
    let bench = Bench::new().await;
    let table = bench.table();
    let found: Vec<Difference> = (0..8)
        .map(|count| {
            let run = format!("run-{count}");
            let about = difference("A").about;
            Difference::found(
                day(),
                DifferenceKind::DuplicatePayment,
                about,
                None,
                None,
                &run,
                NOW,
            )
        })
        .collect();
    let answers = join_all(found.iter().map(|difference| table.find(difference))).await;
    let news = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(FindOutcome::New)))
        .count();
    assert_eq!((news, answers.len()), (1, 8));
}

#[tokio::test]
async fn one_of_two_persons_who_approve_at_once_must_read_again() {
    let bench = Bench::new().await;
    let open = difference("A");
    assert_eq!(bench.find(&open).await, FindOutcome::New);
    let proposed = open.proposed("run-1", "paid twice", NOW);
    assert_eq!(bench.save(&proposed).await, SaveOutcome::Saved);
    let approve = |who: &str, on: &Difference| {
        on.decided(Decision::Approve, who, "looked at it", NOW)
            .expect("decided")
    };
    assert_eq!(
        bench.save(&approve("li", &proposed)).await,
        SaveOutcome::Saved
    );
    let late = approve("wang", &proposed);
    assert_eq!(bench.save(&late).await, SaveOutcome::VersionMoved);
    let read = bench.difference(&open.id).await.expect("a difference");
    let approved = approve("wang", &read);
    assert_eq!(approved.state, DifferenceState::Approved);
    assert_eq!(bench.save(&approved).await, SaveOutcome::Saved);
}

#[tokio::test]
async fn a_difference_is_tracked_from_the_step_on_that_begins_to_wait_for_its_refund() {
    let bench = Bench::new().await;
    let proposed = with_a_notice(&bench).await;
    let [once, twice] = approved(&proposed);
    for step in [&once, &twice] {
        assert_eq!(bench.save(step).await, SaveOutcome::Saved);
        assert_eq!(bench.tracked().await, [], "nothing is made yet");
    }
    let moving = with_stage(&twice, RefundStage::Moving);
    assert_eq!(bench.save(&moving).await, SaveOutcome::Saved);
    let [early] = bench.tracked().await.try_into().expect("one");
    assert_eq!((early.date, early.id.as_str()), (day(), moving.id.as_str()));

    // The process that removes it from the list has read it before it was added again.
    let stuck = with_stage(&moving, RefundStage::Abnormal);
    assert_eq!(bench.save(&stuck).await, SaveOutcome::Saved);
    bench.table().untrack(&early).await.expect("an answer");
    let [late] = bench.tracked().await.try_into().expect("it is still there");
    let arrived = with_stage(&stuck, RefundStage::Succeeded);
    assert_eq!(bench.save(&arrived).await, SaveOutcome::Saved);
    bench.table().untrack(&late).await.expect("an answer");
    assert_eq!(bench.tracked().await, []);
}

#[tokio::test]
async fn differences_come_page_by_page_in_the_order_of_their_ids_each_once() {
    let bench = Bench::new().await;
    let mut ids = Vec::new();
    for count in 0..7 {
        let difference = difference(&format!("ORDER-{count}"));
        assert_eq!(bench.find(&difference).await, FindOutcome::New);
        ids.push(difference.id);
    }
    ids.sort_unstable();
    // Other items of the day, of another day, and of another merchant.
    assert_eq!(bench.save_run(&first_run()).await, SaveOutcome::Saved);
    bench.table().carry(&carried("A")).await.expect("carried");
    let elsewhere = Difference {
        date: day().plus_days(1),
        ..difference("A")
    };
    assert_eq!(bench.find(&elsewhere).await, FindOutcome::New);
    let stranger = bench.table_of("1900000002");
    let theirs = stranger.find(&difference("B")).await;
    assert_eq!(theirs.expect("an answer"), FindOutcome::New);

    let (mut listed, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = bench
            .table()
            .differences(day(), after.as_deref(), 3)
            .await
            .expect("read");
        listed.extend(page.items.into_iter().map(|difference| difference.id));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, ids);
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn an_id_that_nothing_can_have_finds_nothing() {
    let bench = Bench::new().await;
    assert_eq!(bench.find(&difference("A")).await, FindOutcome::New);
    let too_long = "x".repeat(3000);
    for id in ["", "nothing", &too_long] {
        assert_eq!(bench.difference(id).await, None);
    }
    let table = bench.table();
    let page = table.differences(day(), Some(&too_long), 3).await;
    let page = page.expect("read");
    assert_eq!((page.items.len(), page.next), (0, None));
}
