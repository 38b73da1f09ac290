//! What was decided of one amount, when a run finds another or the same.

use payments::{
    model::bill_date::BillDate,
    reconcile::difference::{self, Decision, DifferenceState},
};

use super::{a_second_payment, ledger, only};
use crate::support::Testbed;

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_of_one_amount_is_decided_again_once_a_run_finds_another() {
    let testbed = Testbed::start().await;
    let (day, found) = a_second_payment(&testbed).await;
    let mut explained = found
        .decided(Decision::Explain, "li", "looked at it", testbed.clock.now())
        .unwrap();
    explained.there.as_mut().unwrap().amount_fen = Some(1);
    let saved = testbed.reconciliation.save_difference(&explained).await;
    assert_eq!(saved.unwrap(), stores::reconciliation::SaveOutcome::Saved);
    testbed.reconcile(day, false).await;
    let now = only(&testbed, day).await;
    assert_eq!(
        (now.state, &now.there),
        (DifferenceState::Proposed, &found.there)
    );
    // The same amounts again change nothing.
    let explained = now
        .decided(Decision::Explain, "li", "looked at it", testbed.clock.now())
        .unwrap();
    let saved = testbed.reconciliation.save_difference(&explained).await;
    assert_eq!(saved.unwrap(), stores::reconciliation::SaveOutcome::Saved);
    testbed.reconcile(day, false).await;
    assert_eq!(only(&testbed, day).await.state, DifferenceState::Explained);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_of_one_amount_is_open_again_once_a_run_finds_another() {
    let testbed = Testbed::start().await;
    let (day, found) = a_second_payment(&testbed).await;
    let mut rejected = found
        .decided(Decision::Reject, "li", "looked at it", testbed.clock.now())
        .unwrap();
    assert_eq!(rejected.state, DifferenceState::Rejected);
    rejected.there.as_mut().unwrap().amount_fen = Some(1);
    let saved = testbed.reconciliation.save_difference(&rejected).await;
    assert_eq!(saved.unwrap(), stores::reconciliation::SaveOutcome::Saved);
    testbed.reconcile(day, false).await;
    let now = only(&testbed, day).await;
    assert_eq!(now.there, found.there);
    let states: Vec<_> = now.history.iter().map(|step| step.to).collect();
    assert_eq!(
        states,
        [
            DifferenceState::Open,
            DifferenceState::Proposed,
            DifferenceState::Rejected,
            DifferenceState::Open,
            DifferenceState::Proposed,
        ],
        "a rejection was of another amount"
    );
    // With the same amounts it stays rejected.
    let rejected = now
        .decided(Decision::Reject, "li", "looked at it", testbed.clock.now())
        .unwrap();
    let saved = testbed.reconciliation.save_difference(&rejected).await;
    assert_eq!(saved.unwrap(), stores::reconciliation::SaveOutcome::Saved);
    testbed.reconcile(day, false).await;
    assert_eq!(only(&testbed, day).await, rejected);
}

/// What people decide about a second payment that is more than one person may explain.
struct Large<'a> {
    testbed: &'a Testbed,
    day: BillDate,
}

impl Large<'_> {
    async fn decide(&self, decision: Decision, person: &str) -> DifferenceState {
        let deciding = difference::DecisionContext {
            explain_alone: difference::SoloExplainLimit { max_fen: 99 },
            ..difference::DecisionContext::default()
        };
        let (why, now) = ("looked at it", self.testbed.clock.now());
        let stands = only(self.testbed, self.day).await;
        let decided = stands.decided_by_rules(decision, &deciding, person, why, now);
        let decided = decided.unwrap();
        let saved = self.testbed.reconciliation.save_difference(&decided).await;
        assert_eq!(saved.unwrap(), stores::reconciliation::SaveOutcome::Saved);
        decided.state
    }

    /// Runs the day again. Returns the difference's state afterwards.
    async fn run_again(&self) -> DifferenceState {
        self.testbed.reconcile(self.day, false).await;
        only(self.testbed, self.day).await.state
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_a_person_rejected_is_not_proposed_by_a_later_run_until_it_is_opened_again() {
    let testbed = Testbed::start().await;
    let (day, proposed) = a_second_payment(&testbed).await;
    assert_eq!(proposed.amount_fen(), Some(100));
    let large = Large {
        testbed: &testbed,
        day,
    };
    assert_eq!(
        large.decide(Decision::Reject, "li").await,
        DifferenceState::Open
    );
    let rejected = only(&testbed, day).await;
    for _ in 0..2 {
        assert_eq!(large.run_again().await, DifferenceState::Open);
    }
    assert_eq!(only(&testbed, day).await, rejected, "no run touches it");
    assert_eq!(ledger(&testbed).await.1, "parked", "it waits for people");

    // It is right as it is, say two persons, and a later one that it is not: then a run proposes it
    // as at first.
    assert_eq!(
        large.decide(Decision::Explain, "li").await,
        DifferenceState::Proposed
    );
    assert_eq!(large.run_again().await, DifferenceState::Proposed);
    assert_eq!(
        large.decide(Decision::Reject, "wang").await,
        DifferenceState::Open
    );
    assert_eq!(
        large.run_again().await,
        DifferenceState::Open,
        "only the explanation was turned down"
    );
    large.decide(Decision::Explain, "li").await;
    assert_eq!(
        large.decide(Decision::Approve, "wang").await,
        DifferenceState::Explained
    );
    assert_eq!(large.run_again().await, DifferenceState::Explained);
    assert_eq!(
        large.decide(Decision::Reopen, "zhao").await,
        DifferenceState::Open
    );
    assert_eq!(large.run_again().await, DifferenceState::Proposed);

    // And a person may approve it after all.
    assert_eq!(
        large.decide(Decision::Reject, "li").await,
        DifferenceState::Open
    );
    assert_eq!(
        large.decide(Decision::Propose, "li").await,
        DifferenceState::Proposed
    );
    assert_eq!(large.run_again().await, DifferenceState::Proposed);
    assert_eq!(testbed.wechat.admin().refunds().len(), 0, "no money moved");
}
