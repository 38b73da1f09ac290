//! Decisions, and the notice of the money that they are about.

use payments::model::ids::OrderNo;
use payments::reconcile::difference::{Decision, Difference, RefundStage};
use stores::notices::NoticeStatus;
use stores::notices::money::ParkedMoneyRecord;
use stores::order_table::ParkedStatus;
use stores::reconciliation::SaveOutcome;
use testbed::{Fault, Match, NOW, Service};

use super::{Bench, difference, with_stage};

/// A difference with a parked payment and a proposed refund.
pub(super) async fn with_a_notice(bench: &Bench) -> Difference {
    let money = ParkedMoneyRecord {
        notice_id: "payment#4200001",
        order_no: &OrderNo::parse("ORDER-1").expect("a number"),
        what_to_do: "refund this second payment",
        now: NOW,
    };
    let kept = bench.ledger().keep(&money).await;
    assert_eq!(kept.expect("an answer"), ParkedStatus::Waiting);
    let open = difference("ORDER-1");
    bench.find(&open).await;
    let proposed = open.proposed("run-1", "twice", NOW);
    assert_eq!(bench.save(&proposed).await, SaveOutcome::Saved);
    proposed
}

pub(super) fn approved(proposed: &Difference) -> [Difference; 2] {
    let once = proposed.decided(Decision::Approve, "li", "twice", NOW);
    let once = once.expect("a decision");
    let twice = once.decided(Decision::Approve, "wang", "yes", NOW);
    [once, twice.expect("a decision")]
}

#[tokio::test]
async fn a_decision_closes_the_notice_of_its_money_and_one_that_failed_opens_it_again() {
    let bench = Bench::new().await;
    let proposed = with_a_notice(&bench).await;
    let status = async || bench.notice().await.map(|notice| notice.status);
    let [once, twice] = approved(&proposed);
    assert_eq!(bench.save(&once).await, SaveOutcome::Saved);
    assert_eq!(status().await, Some(NoticeStatus::Parked), "one person");
    // The answer is lost: the SDK asks again, and finds its own write.
    let writes = Match::operation(Service::DynamoDb, "TransactWriteItems");
    bench.wire.break_next(writes, Fault::LostAnswer);
    assert_eq!(bench.save(&twice).await, SaveOutcome::Saved);
    let closed = bench.notice().await.expect("a notice");
    assert_eq!(
        (closed.status, closed.decided_by.as_deref()),
        (NoticeStatus::Decided, Some("wang"))
    );
    let moving = with_stage(&twice, RefundStage::Moving);
    assert_eq!(bench.save(&moving).await, SaveOutcome::Saved);
    assert_eq!(status().await, Some(NoticeStatus::Decided));
    let stuck = with_stage(&moving, RefundStage::Refused);
    assert_eq!(bench.save(&stuck).await, SaveOutcome::Saved);
    let open = bench.notice().await.expect("a notice");
    assert_eq!((open.status, open.decided_by), (NoticeStatus::Parked, None));
}

#[tokio::test]
async fn a_decision_that_is_stale_or_whose_money_has_no_notice_writes_none() {
    let bench = Bench::new().await;
    let proposed = with_a_notice(&bench).await;
    let explain = |who| proposed.decided(Decision::Explain, who, "settled by phone", NOW);
    let (first, late) = (
        explain("li").expect("holds"),
        explain("wang").expect("holds"),
    );
    assert_eq!(bench.save(&first).await, SaveOutcome::Saved);
    assert_eq!(bench.save(&late).await, SaveOutcome::VersionMoved);
    let notice = bench.notice().await.expect("a notice");
    assert_eq!(notice.decided_by.as_deref(), Some("li"));

    let bench = Bench::new().await;
    let open = difference("ORDER-1");
    bench.find(&open).await;
    let explained = open.decided(Decision::Explain, "li", "settled by phone", NOW);
    assert_eq!(
        bench.save(&explained.expect("holds")).await,
        SaveOutcome::Saved
    );
    assert_eq!(bench.notice().await, None);
}
