//! Money that is not ours to keep: proposed by a run, approved by two persons, given back once.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use payments::{
    model::{
        bill_date::BillDate,
        ids::{ClientId, RefundNo},
    },
    reconcile::difference::{
        self, Decision, DifferenceKind, DifferenceState, DifferenceSubject, TrackedRefund,
    },
};
use stores::queues::ReconcileWork;
use testbed::{Fault, Match, Service};
use wechatpay_simulator::{
    ConsoleRefund, PlantedDifference, RefundOutcome, RefundStatus, WantedDifference,
};

use crate::support::{MCHID, Testbed, number};

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

#[tokio::test(flavor = "multi_thread")]
async fn what_was_explained_of_one_amount_is_decided_about_anew_once_a_run_finds_another() {
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
async fn what_was_rejected_of_one_amount_is_open_again_once_a_run_finds_another() {
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
        testbed.told(day).await,
        ["duplicate_payment TWICE-1 on_its_way"],
        "the money has not arrived"
    );
    assert_eq!(ledger(&testbed).await, (money, "decided".to_owned()));
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.told(day).await,
        ["duplicate_payment TWICE-1 on_its_way"],
        "a later run does not take it for done either"
    );
    the_refund_ends(&testbed).await;
    assert_eq!(
        testbed.told(day).await,
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
        testbed.told(day).await,
        ["duplicate_payment TWICE-1 repaired"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn money_for_an_order_that_nobody_made_goes_back_once_two_persons_approved_it() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    let foreign = PlantedDifference::UnknownOrder { fen: Some(500) };
    testbed.plant(WantedDifference::picked(&day.to_string(), foreign).of_order("FOREIGN-1"));
    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.reconcile(day, false).await;
    let [proposed] = testbed.differences_of(day).await.try_into().unwrap();
    assert_eq!(proposed.state, DifferenceState::Proposed);

    testbed.two_approve(&proposed).await;
    assert_eq!(
        testbed.told(day).await,
        ["unknown_order_there FOREIGN-1 on_its_way"]
    );
    the_refund_ends(&testbed).await;
    assert_eq!(
        testbed.told(day).await,
        ["unknown_order_there FOREIGN-1 repaired"]
    );
    let admin = testbed.wechat.admin();
    let [refund] = admin.refunds().try_into().unwrap();
    assert_eq!(
        (refund.status, refund.refund_fen),
        (RefundStatus::Success, 500)
    );
    assert_eq!(testbed.order("FOREIGN-1").await.state.name(), "refunded");

    testbed.reconcile(day, false).await;
    assert_eq!(admin.refunds().len(), 1);
    assert_eq!(
        testbed.told(day).await,
        ["unknown_order_there FOREIGN-1 repaired"]
    );
}

/// The run parks the payment whose refund it proposes, so that our books have it the next time:
/// that is not a change.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_of_nobody_s_money_stands_when_the_day_is_run_again() {
    for decision in [Decision::Approve, Decision::Reject] {
        let testbed = Testbed::start().await;
        let day = testbed.fresh_day().await;
        let foreign = PlantedDifference::UnknownOrder { fen: Some(500) };
        testbed.plant(WantedDifference::picked(&day.to_string(), foreign).of_order("FOREIGN-1"));
        testbed.until(day.plus_days(1), 10, 30).await;
        testbed.reconcile(day, false).await;
        let decided = only(&testbed, day)
            .await
            .decided(decision, "li", "looked at it", testbed.clock.now())
            .unwrap();
        let saved = testbed.reconciliation.save_difference(&decided).await;
        assert_eq!(saved.unwrap(), stores::reconciliation::SaveOutcome::Saved);
        testbed.reconcile(day, false).await;
        let stands = only(&testbed, day).await;
        assert_eq!(
            (stands.state, stands.version, &stands.history),
            (decided.state, decided.version, &decided.history),
            "{decision:?}"
        );
        let here = stands.here.unwrap();
        assert_eq!(
            (here.state.as_deref(), here.amount_fen),
            (Some("parked"), Some(500))
        );
    }
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
        testbed.told(day).await,
        ["duplicate_payment TWICE-1 on_its_way"]
    );
    the_refund_ends(&testbed).await;
    assert_eq!(admin.refunds().len(), 1);
    assert_eq!(
        testbed.told(day).await,
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
        testbed.told(day).await,
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
        "two persons decide anew"
    );
    assert_eq!(admin.refunds().len(), 1);
    testbed.two_approve(&proposed).await;
    the_refund_ends(&testbed).await;
    let ends: Vec<RefundStatus> = admin.refunds().iter().map(|one| one.status).collect();
    assert_eq!(ends, [RefundStatus::Closed, RefundStatus::Success]);
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.told(day).await,
        ["duplicate_payment TWICE-1 repaired"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_only_looked_at_goes_back_too_once_two_persons_want_it() {
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
        testbed.told(day).await,
        ["duplicate_payment TWICE-1 repaired"]
    );
    assert_eq!(admin.refunds().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_a_person_released_is_not_made_anew() {
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

#[tokio::test(flavor = "multi_thread")]
async fn money_of_nobodys_that_went_back_in_the_console_is_not_proposed() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    let foreign = PlantedDifference::UnknownOrder { fen: Some(500) };
    testbed.plant(WantedDifference::picked(&day.to_string(), foreign).of_order("FOREIGN-1"));
    testbed.until(day.plus_days(1), 9, 30).await;
    let given_back = ConsoleRefund {
        order: "FOREIGN-1".to_owned(),
        refund_fen: 500,
        ..ConsoleRefund::default()
    };
    testbed.wechat.admin().console_refund(&given_back).unwrap();
    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.reconcile(day, false).await;
    let [found] = testbed.differences_of(day).await.try_into().unwrap();
    assert_eq!(found.state, DifferenceState::Open);
    let why = &found.history.last().unwrap().why;
    assert!(why.contains("given back already"), "{why}");
}

/// Nobody's money, whose refund two persons approved and WeChat Pay does not carry out like this.
async fn nobodys_money_that_ends_as(testbed: &Testbed, outcome: RefundOutcome) -> BillDate {
    let day = testbed.fresh_day().await;
    let foreign = PlantedDifference::UnknownOrder { fen: Some(500) };
    testbed.plant(WantedDifference::picked(&day.to_string(), foreign).of_order("FOREIGN-1"));
    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.reconcile(day, false).await;
    testbed.wechat.admin().set_refund_outcome(outcome);
    testbed.two_approve(&only(testbed, day).await).await;
    the_refund_ends(testbed).await;
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Success);
    day
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_nobodys_order_that_is_abnormal_is_sent_on_by_the_console() {
    let testbed = Testbed::start().await;
    let day = nobodys_money_that_ends_as(&testbed, RefundOutcome::Abnormal).await;
    let admin = testbed.wechat.admin();
    let open = ["unknown_order_there FOREIGN-1 open"];
    assert_eq!(testbed.told(day).await, open, "nobody takes it for done");
    testbed.reconcile(day, false).await;
    assert_eq!(testbed.told(day).await, open, "nor does a later run");
    let id = &admin.refunds()[0].transaction_id;
    let path = format!("/v1/orders/FOREIGN-1/refunds/auto-{id}/abnormal");
    let to = serde_json::json!({"to": "merchant", "who": "Li", "why": "card gone"});
    let asked = testbed.post(&path, &to).await;
    assert_eq!(asked.status, 404, "the order is no client's");
    let stuck = only(&testbed, day).await;
    let again = stuck.decided(Decision::Propose, "li", "once more", testbed.clock.now());
    assert!(again.is_err(), "a refund of this money is there");

    two_decide(&testbed, day, Decision::Redirect).await;
    assert_eq!(
        testbed.told(day).await,
        ["unknown_order_there FOREIGN-1 on_its_way"]
    );
    the_refund_ends(&testbed).await;
    let [refund] = admin.refunds().try_into().unwrap();
    assert_eq!(refund.status, RefundStatus::Success);
    let through = only(&testbed, day).await;
    let why = through.history.last().unwrap().why.clone();
    assert_eq!(
        through.state,
        DifferenceState::Open,
        "the payer has nothing yet"
    );
    assert!(why.contains("pay the payer by other means"), "{why}");
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.told(day).await,
        open,
        "both sides agree, and that is not enough"
    );
    let told = only(&testbed, day)
        .await
        .history
        .last()
        .unwrap()
        .why
        .clone();
    assert_eq!(told, why, "nobody reads that it was given back");
    let number = payments::model::ids::OrderNo::parse("FOREIGN-1").unwrap();
    let stands = async || testbed.orders.refunds(&number).await.unwrap().remove(0);
    let refund = stands().await;
    assert!(refund.owes_its_payer());
    let sent = refund.redirected.unwrap().decided;
    assert_eq!(sent.who, "li and wang");
    decide(&testbed, day, Decision::PayerPaid).await;
    let paid = stands().await;
    assert!(!paid.owes_its_payer());
    assert_eq!(paid.payer_paid.unwrap().decided.who, "li");
    testbed.sweep().await;
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.told(day).await,
        ["unknown_order_there FOREIGN-1 explained"]
    );
    for notice in testbed.notices().await {
        assert_eq!(notice["status"], "decided", "{notice:?}");
    }
    // The explanation may have been wrong: it is reopened, and explained again.
    decide_as(&testbed, day, Decision::Reopen, "wang").await;
    assert_eq!(testbed.told(day).await, open);
    testbed.reconcile(day, false).await;
    assert_eq!(testbed.told(day).await, open, "and stays so");
    decide_as(&testbed, day, Decision::PayerPaid, "wang").await;
    assert_eq!(stands().await.payer_paid.unwrap().decided.who, "wang");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_of_the_api_alone_sends_no_refund_of_a_second_payment_elsewhere() {
    let testbed = Testbed::start().await;
    let (day, proposed) = a_second_payment(&testbed).await;
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Abnormal);
    testbed.two_approve(&proposed).await;
    the_refund_ends(&testbed).await;
    admin.set_refund_outcome(RefundOutcome::Success);
    let id = proposed.about.transaction_id.as_deref().unwrap();
    let refund = format!("/v1/orders/TWICE-1/refunds/second-{id}");
    let to = serde_json::json!({"to": "merchant", "who": "Li", "why": "card gone"});
    let card = serde_json::json!({
        "to": "user", "bank_type": "ICBC_DEBIT", "bank_account": "6222", "real_name": "Li",
        "who": "Li", "why": "card gone",
    });
    let refused = async |path: &str, body| {
        let answer = testbed.post(&format!("{refund}/{path}"), body).await;
        assert_eq!(
            answer.body["code"], "refund_needs_two_persons",
            "{path} {body}"
        );
        assert!(answer.body["detail"].as_str().unwrap().contains("console"));
    };
    let nothing = serde_json::json!({});
    let by = serde_json::json!({"who": "Li", "why": "card gone"});
    refused("retry", &nothing).await;
    refused("release", &by).await;
    refused("abnormal", &to).await;
    refused("abnormal", &card).await;
    assert_eq!(admin.refunds()[0].redirected, None);

    two_decide(&testbed, day, Decision::Redirect).await;
    the_refund_ends(&testbed).await;
    assert_eq!(testbed.told(day).await, ["duplicate_payment TWICE-1 open"]);
    assert_eq!(testbed.items("payment#").await[0]["state"], "with_merchant");
    let paid = serde_json::json!({"who": "Li", "why": "by bank"});
    refused("payer-paid", &paid).await;
    decide(&testbed, day, Decision::PayerPaid).await;
    assert_eq!(
        testbed.told(day).await,
        ["duplicate_payment TWICE-1 explained"]
    );
    assert_eq!(testbed.items("payment#").await[0]["state"], "released");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_nobodys_order_that_was_refused_is_tried_again_or_released_by_the_console() {
    let testbed = Testbed::start().await;
    let day = nobodys_money_that_ends_as(&testbed, RefundOutcome::Refused).await;
    let admin = testbed.wechat.admin();
    assert_eq!(
        testbed.told(day).await,
        ["unknown_order_there FOREIGN-1 open"]
    );

    admin.set_refund_outcome(RefundOutcome::Refused);
    decide(&testbed, day, Decision::Retry).await;
    testbed.advance(std::time::Duration::from_secs(60)).await;
    the_refund_ends(&testbed).await;
    assert_eq!(
        testbed.told(day).await,
        ["unknown_order_there FOREIGN-1 open"],
        "WeChat Pay still does not take it"
    );
    admin.set_refund_outcome(RefundOutcome::Success);
    decide(&testbed, day, Decision::Retry).await;
    testbed.advance(std::time::Duration::from_secs(60)).await;
    the_refund_ends(&testbed).await;
    assert_eq!(
        testbed.told(day).await,
        ["unknown_order_there FOREIGN-1 repaired"]
    );
    let [refund] = admin.refunds().try_into().unwrap();
    assert_eq!(
        refund.status,
        RefundStatus::Success,
        "one refund, one number"
    );
    let decided_by = |one: &difference::Difference| {
        let persons = one.history.iter().filter_map(|step| match &step.who {
            difference::Actor::Person(name) => Some(name.clone()),
            difference::Actor::Run(_) => None,
        });
        persons.collect::<Vec<_>>()
    };
    let journal = decided_by(&only(&testbed, day).await);
    assert_eq!(journal, ["li", "wang", "li", "li"], "who decided is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_nobodys_order_that_cannot_be_made_is_released_with_a_reason() {
    let testbed = Testbed::start().await;
    let day = nobodys_money_that_ends_as(&testbed, RefundOutcome::Refused).await;
    two_decide(&testbed, day, Decision::Release).await;
    let released = only(&testbed, day).await;
    assert_eq!(released.state, DifferenceState::Open);
    let number = payments::model::ids::OrderNo::parse("FOREIGN-1").unwrap();
    let [refund] = testbed
        .orders
        .refunds(&number)
        .await
        .unwrap()
        .try_into()
        .unwrap();
    let decided = refund.decided.unwrap();
    assert_eq!(
        (decided.who.as_str(), decided.why.as_str()),
        ("li and wang", "looked at it; looked at it")
    );
    let again = released.decided(Decision::Propose, "li", "once more", testbed.clock.now());
    assert!(again.is_err(), "the payer is not paid twice");
    decide(&testbed, day, Decision::Explain).await;
    assert_eq!(
        testbed.told(day).await,
        ["unknown_order_there FOREIGN-1 explained"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_record_a_restore_lost_is_taken_on_again_as_paid_by_two_persons() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("GONE-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.restore_from_before("GONE-1").await;
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.told(day).await,
        ["unknown_order_there GONE-1 proposed"],
        "a run knows only that nobody here made it"
    );
    decide(&testbed, day, Decision::Reject).await;
    let shop = ClientId::new("shop");
    let now = testbed.clock.now();
    let deciding = difference::DecisionContext {
        client: Some(&shop),
        ..difference::DecisionContext::default()
    };
    let proposed = only(&testbed, day)
        .await
        .decided_by_rules(Decision::ProposePaid, &deciding, "li", "restored", now)
        .unwrap();
    let alone = proposed.decided(Decision::Approve, "li", "restored", now);
    assert_eq!(alone, Err(difference::DecisionRejected::SamePerson));
    let approved = proposed
        .decided(Decision::Approve, "wang", "restored", now)
        .unwrap();
    for step in [&proposed, &approved] {
        testbed.reconciliation.save_difference(step).await.unwrap();
    }
    let id = approved.id;
    for _ in 0..2 {
        let work = ReconcileWork::ApplyV1 {
            date: day,
            id: id.clone(),
        };
        testbed.send_work(&work).await;
        assert_eq!(testbed.work_off_days().await, 0);
    }
    assert_eq!(
        testbed.told(day).await,
        ["unknown_order_there GONE-1 repaired"]
    );
    let order = testbed.get_order("GONE-1").await;
    assert_eq!((order.status, &order.body["state"]), (200, &"paid".into()));
    assert_eq!(ledger(&testbed).await.1, "decided");
    assert_eq!(
        testbed.items("payment#").await[0]["state"],
        "booked",
        "its money waits for nobody any more"
    );

    // It is an order like any other.
    let admin = testbed.wechat.admin();
    assert_eq!(admin.refunds().len(), 0);
    testbed.refund("GONE-1", "R1", 40).await;
    the_refund_ends(&testbed).await;
    let order = testbed.get_order("GONE-1").await;
    assert_eq!(order.body["state"], "partially_refunded");
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.told(day).await,
        ["unknown_order_there GONE-1 repaired"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_whose_refund_a_restore_lost_waits_for_it_no_longer() {
    let testbed = Testbed::start().await;
    let (day, proposed) = a_second_payment(&testbed).await;
    testbed.two_approve(&proposed).await;
    assert_eq!(
        testbed.told(day).await,
        ["duplicate_payment TWICE-1 on_its_way"]
    );
    testbed.restore_from_before("TWICE-1").await;
    testbed.sweep().await;
    assert_eq!(testbed.told(day).await, ["duplicate_payment TWICE-1 open"]);
    let open = only(&testbed, day).await;
    assert_eq!(open.refund, None);
    let now = testbed.clock.now();
    let again = open.decided(Decision::Propose, "li", "it did not go back", now);
    assert_eq!(again.unwrap().behind_the_proposal(), ["li"]);
}

/// A difference of `date` that waits for this refund of an order, as a step left it, and its place
/// in the list.
async fn waits(
    testbed: &Testbed,
    date: BillDate,
    order_no: &str,
    line: u64,
    refund: &TrackedRefund,
) {
    let now = testbed.clock.now();
    let about = DifferenceSubject {
        order_no: Some(order_no.to_owned()),
        transaction_id: Some(format!("42{line:026}")),
        line: Some(line),
        ..DifferenceSubject::default()
    };
    let found = difference::Difference::found(
        date,
        DifferenceKind::DuplicatePayment,
        about,
        None,
        None,
        "run-1",
        now,
    );
    let mut waits = found.proposed("run-1", "twice", now);
    for person in ["li", "wang"] {
        waits = waits
            .decided(Decision::Approve, person, "yes", now)
            .unwrap();
    }
    let waits = waits.told(refund, "run-1", now).unwrap();
    testbed.reconciliation.find(&waits).await.unwrap();
    let text = |value: String| AttributeValue::S(value);
    let put = testbed
        .dynamo()
        .put_item()
        .table_name(&testbed.tables.reconciliation)
        .item("pk", text(format!("followed#{MCHID}")))
        .item("sk", text(format!("{date}#{}", waits.id)))
        .item("version", AttributeValue::N(waits.version.to_string()));
    put.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_waiting_refunds_than_fit_into_a_minute_are_all_looked_at_in_turn() {
    let testbed = Testbed::start().await;
    testbed.paid("WAITS-1").await;
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Hold);
    assert_eq!(testbed.refund("WAITS-1", "r1", 40).await.status, 202);
    assert_eq!(testbed.work_off().await, 0);
    let refund_no = RefundNo::parse("r1").unwrap();
    let refund = testbed.orders.refund(&number("WAITS-1"), &refund_no).await;
    let moving = TrackedRefund::of(&refund.unwrap().unwrap());
    // One page of them is read at a time; the last one has a refund that our books do not know.
    let (early, late) = (testbed.day(2), testbed.day(1));
    for line in 0..200 {
        waits(&testbed, early, "WAITS-1", line, &moving).await;
    }
    waits(&testbed, late, "LOST-1", 200, &moving).await;

    let reads = Match::operation(Service::DynamoDb, "Query").on(&testbed.tables.reconciliation);
    let slow = Fault::Delay(Duration::from_secs(11));
    testbed.wire.break_all(reads, slow);
    testbed.sweep().await;
    let state = async || only(&testbed, late).await.state;
    assert_eq!(
        state().await,
        DifferenceState::OnItsWay,
        "not in the first minute"
    );
    testbed.sweep().await;
    testbed.wire.mend();
    assert_eq!(state().await, DifferenceState::Open, "in the second");
    // And then from the beginning again.
    testbed.sweep().await;
    assert_eq!(testbed.reconciliation.followed_from().await.unwrap(), None);
}
