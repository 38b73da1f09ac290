//! Money that is not ours to keep: proposed by a run, approved by two persons, given back once.

mod decided_again;
mod restored;
mod unattributed;

use payments::{
    model::bill_date::BillDate,
    reconcile::difference::{self, Decision, DifferenceState},
};
use stores::queues::ReconcileWork;
use wechatpay_simulator::{RefundOutcome, RefundStatus};

use crate::support::Testbed;

/// A reconciled day and its one difference: an order was paid twice, without a second callback.
async fn a_second_payment(testbed: &Testbed) -> (BillDate, difference::Difference) {
    testbed.paid_twice("TWICE-1", false).await
}

/// The approved refund is sent, WeChat Pay reports its result, and the run of the minute copies
/// that into the difference.
async fn the_refund_ends(testbed: &Testbed) {
    assert_eq!(testbed.work_off().await, 0);
    testbed.advance(std::time::Duration::from_secs(60)).await;
    assert_eq!(testbed.work_off().await, 0);
    testbed.sweep().await;
}

/// The present state of the one difference of a day.
async fn only(testbed: &Testbed, day: BillDate) -> difference::Difference {
    let [only] = testbed.differences_of(day).await.try_into().unwrap();
    only
}

/// Two persons decide in the console, and that is carried out.
async fn two_decide(testbed: &Testbed, day: BillDate, decision: Decision) {
    decide(testbed, day, decision).await;
    let stands = only(testbed, day).await;
    assert_eq!(stands.state, DifferenceState::Proposed, "one person alone");
    decide_as(testbed, day, Decision::Approve, "wang").await;
}

/// A person decides in the console, and that is carried out.
async fn decide(testbed: &Testbed, day: BillDate, decision: Decision) {
    decide_as(testbed, day, decision, "li").await;
}

async fn decide_as(testbed: &Testbed, day: BillDate, decision: Decision, person: &str) {
    let now = testbed.clock.now();
    let decided = only(testbed, day)
        .await
        .decided(decision, person, "looked at it", now)
        .unwrap();
    let saved = testbed.reconciliation.save_difference(&decided).await;
    assert_eq!(saved.unwrap(), stores::reconciliation::SaveOutcome::Saved);
    let id = decided.id;
    testbed
        .send_work(&ReconcileWork::ApplyV1 { date: day, id })
        .await;
    assert_eq!(testbed.work_off_days().await, 0);
}

/// The state of the one notice, and its id.
async fn ledger(testbed: &Testbed) -> (String, String) {
    let [notice] = testbed.notices().await.try_into().unwrap();
    (notice["notice_id"].clone(), notice["status"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_payment_goes_back_once_two_persons_approved_it() {
    let testbed = Testbed::start().await;
    let (day, proposed) = a_second_payment(&testbed).await;
    let admin = testbed.wechat.admin();
    assert_eq!(proposed.state, DifferenceState::Proposed);
    assert_eq!(admin.refunds().len(), 0, "nothing moves before");

    let money = format!(
        "payment#{}",
        proposed.about.transaction_id.as_ref().unwrap()
    );
    assert_eq!(
        ledger(&testbed).await,
        (money.clone(), "parked".to_owned()),
        "on-call finds there what the run parked"
    );

    testbed.two_approve(&proposed).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["duplicate_payment TWICE-1 on_its_way"],
        "the money has not arrived"
    );
    assert_eq!(ledger(&testbed).await, (money, "decided".to_owned()));
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["duplicate_payment TWICE-1 on_its_way"],
        "a later run does not take it for done either"
    );
    the_refund_ends(&testbed).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["duplicate_payment TWICE-1 repaired"]
    );
    let [refund] = admin.refunds().try_into().unwrap();
    assert_eq!(
        Some(refund.transaction_id.as_str()),
        proposed.about.transaction_id.as_deref()
    );
    assert_eq!(
        (refund.status, refund.refund_fen),
        (RefundStatus::Success, 100)
    );
    let sent = serde_json::json!({
        "transaction_id": proposed.about.transaction_id, "out_refund_no": refund.out_refund_no,
        "notify_url": testbed.notify_url,
        "amount": {"refund": 100, "total": 100, "currency": "CNY"},
    });
    assert_eq!(refund.request, sent, "each field, and no other");
    assert_eq!(testbed.order("TWICE-1").await.state.name(), "paid");

    // However often it is run and sent again, that was it.
    testbed
        .send_work(&ReconcileWork::ApplyV1 {
            date: day,
            id: proposed.id,
        })
        .await;
    testbed.reconcile(day, false).await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(admin.refunds().len(), 1);
    assert_eq!(
        testbed.difference_lines(day).await,
        ["duplicate_payment TWICE-1 repaired"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_whose_message_was_lost_is_carried_out_by_the_next_run_of_the_day() {
    let testbed = Testbed::start().await;
    let (day, proposed) = a_second_payment(&testbed).await;
    let admin = testbed.wechat.admin();
    let mut stands = proposed;
    for person in ["li", "wang"] {
        stands = stands
            .decided(
                Decision::Approve,
                person,
                "looked at it",
                testbed.clock.now(),
            )
            .unwrap();
        testbed
            .reconciliation
            .save_difference(&stands)
            .await
            .unwrap();
    }
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["duplicate_payment TWICE-1 on_its_way"]
    );
    the_refund_ends(&testbed).await;
    assert_eq!(admin.refunds().len(), 1);
    assert_eq!(
        testbed.difference_lines(day).await,
        ["duplicate_payment TWICE-1 repaired"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_payment_whose_refund_failed_for_good_is_found_again_and_goes_back_by_another() {
    let testbed = Testbed::start().await;
    let (day, proposed) = a_second_payment(&testbed).await;
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Closed);
    testbed.two_approve(&proposed).await;
    the_refund_ends(&testbed).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["duplicate_payment TWICE-1 open"],
        "people see at once that the money is still owed"
    );
    assert_eq!(
        ledger(&testbed).await.1,
        "parked",
        "it waits for a person again"
    );

    admin.set_refund_outcome(RefundOutcome::Success);
    testbed.reconcile(day, false).await;
    let [proposed] = testbed.differences_of(day).await.try_into().unwrap();
    assert_eq!(
        proposed.state,
        DifferenceState::Proposed,
        "two persons decide again"
    );
    assert_eq!(admin.refunds().len(), 1);
    testbed.two_approve(&proposed).await;
    the_refund_ends(&testbed).await;
    let ends: Vec<RefundStatus> = admin.refunds().iter().map(|one| one.status).collect();
    assert_eq!(ends, [RefundStatus::Closed, RefundStatus::Success]);
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["duplicate_payment TWICE-1 repaired"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_was_only_proposed_is_made_too_once_two_persons_want_it() {
    let testbed = Testbed::start().await;
    let (day, open) = testbed.paid_twice("TWICE-1", true).await;
    let admin = testbed.wechat.admin();
    let now = testbed.clock.now();
    let proposed = open.decided(Decision::Propose, "li", "paid twice", now);
    let approved = proposed.clone().unwrap();
    let approved = approved.decided(Decision::Approve, "wang", "paid twice", now);
    for step in [proposed, approved] {
        let saved = testbed.reconciliation.save_difference(&step.unwrap()).await;
        assert_eq!(saved.unwrap(), stores::reconciliation::SaveOutcome::Saved);
    }
    testbed
        .send_work(&ReconcileWork::ApplyV1 {
            date: day,
            id: open.id,
        })
        .await;
    assert_eq!(testbed.work_off_days().await, 0);
    the_refund_ends(&testbed).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["duplicate_payment TWICE-1 repaired"]
    );
    assert_eq!(admin.refunds().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_a_person_released_is_not_made_again() {
    let testbed = Testbed::start().await;
    let (day, proposed) = a_second_payment(&testbed).await;
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Refused);
    testbed.two_approve(&proposed).await;
    assert_eq!(testbed.work_off().await, 0);
    testbed.sweep().await;
    let id = proposed.about.transaction_id.as_deref().unwrap();
    let refund = format!("/v1/orders/TWICE-1/refunds/second-{id}");
    let body = serde_json::json!({"who": "Li", "why": "paid back in cash"});
    let nothing = serde_json::json!({});
    for (alone, body) in [("release", &body), ("retry", &nothing)] {
        let answer = testbed.post(&format!("{refund}/{alone}"), body).await;
        let code = &answer.body["code"];
        assert_eq!(
            (answer.status, code),
            (422, &"refund_needs_two_persons".into()),
            "{alone}"
        );
    }
    two_decide(&testbed, day, Decision::Release).await;
    assert_eq!(testbed.items("payment#").await[0]["state"], "released");
    let again = serde_json::json!({"refund_no": "R2", "amount_fen": 100, "transaction_id": id});
    let again = testbed.post("/v1/orders/TWICE-1/refunds", &again).await;
    assert_eq!(again.body["code"], "refund_released");
    testbed.advance(std::time::Duration::from_secs(60)).await;

    admin.set_refund_outcome(RefundOutcome::Success);
    testbed.reconcile(day, false).await;
    let [found] = testbed.differences_of(day).await.try_into().unwrap();
    assert_eq!(
        found.state,
        DifferenceState::Open,
        "nobody is asked to pay twice"
    );
    let why = &found.history.last().unwrap().why;
    assert!(why.contains("a person released refund"), "{why}");
    assert_eq!(admin.refunds().len(), 0);
}
