//! Money for orders that no client of ours made.

use payments::{
    model::bill_date::BillDate,
    reconcile::difference::{self, Decision, DifferenceState},
};
use wechatpay_simulator::{
    ConsoleRefund, PlantedDifference, RefundOutcome, RefundStatus, WantedDifference,
};

use super::{a_second_payment, decide, decide_as, only, the_refund_ends, two_decide};
use crate::support::Testbed;

#[tokio::test(flavor = "multi_thread")]
async fn money_for_an_order_without_a_client_goes_back_once_two_persons_approved_it() {
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
        testbed.difference_lines(day).await,
        ["unknown_order_there FOREIGN-1 on_its_way"]
    );
    the_refund_ends(&testbed).await;
    assert_eq!(
        testbed.difference_lines(day).await,
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
        testbed.difference_lines(day).await,
        ["unknown_order_there FOREIGN-1 repaired"]
    );
}

/// The run parks the payment whose refund it proposes, so that our books have it the next time:
/// that is not a change.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_about_unattributed_money_stands_when_the_day_is_run_again() {
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
async fn unattributed_money_that_was_refunded_in_the_console_is_not_proposed() {
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

/// Unattributed money, whose refund two persons approved and WeChat Pay does not carry out like
/// this.
async fn unattributed_money_that_ends_as(testbed: &Testbed, outcome: RefundOutcome) -> BillDate {
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
async fn an_abnormal_refund_of_an_unattributed_order_is_redirected_by_the_console() {
    let testbed = Testbed::start().await;
    let day = unattributed_money_that_ends_as(&testbed, RefundOutcome::Abnormal).await;
    let admin = testbed.wechat.admin();
    let open = ["unknown_order_there FOREIGN-1 open"];
    assert_eq!(
        testbed.difference_lines(day).await,
        open,
        "nobody takes it for done"
    );
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        open,
        "nor does a later run"
    );
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
        testbed.difference_lines(day).await,
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
        testbed.difference_lines(day).await,
        open,
        "both sides agree, and that is not enough"
    );
    let noted = only(&testbed, day)
        .await
        .history
        .last()
        .unwrap()
        .why
        .clone();
    assert_eq!(noted, why, "nobody reads that it was given back");
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
        testbed.difference_lines(day).await,
        ["unknown_order_there FOREIGN-1 explained"]
    );
    for notice in testbed.notices().await {
        assert_eq!(notice["status"], "decided", "{notice:?}");
    }
    // The explanation may have been wrong: it is reopened, and explained again.
    decide_as(&testbed, day, Decision::Reopen, "wang").await;
    assert_eq!(testbed.difference_lines(day).await, open);
    testbed.reconcile(day, false).await;
    assert_eq!(testbed.difference_lines(day).await, open, "and stays so");
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
    assert_eq!(
        testbed.difference_lines(day).await,
        ["duplicate_payment TWICE-1 open"]
    );
    assert_eq!(testbed.items("payment#").await[0]["state"], "with_merchant");
    let paid = serde_json::json!({"who": "Li", "why": "by bank"});
    refused("payer-paid", &paid).await;
    decide(&testbed, day, Decision::PayerPaid).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["duplicate_payment TWICE-1 explained"]
    );
    assert_eq!(testbed.items("payment#").await[0]["state"], "released");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_refund_of_an_unattributed_order_is_tried_again_or_released_by_the_console() {
    let testbed = Testbed::start().await;
    let day = unattributed_money_that_ends_as(&testbed, RefundOutcome::Refused).await;
    let admin = testbed.wechat.admin();
    assert_eq!(
        testbed.difference_lines(day).await,
        ["unknown_order_there FOREIGN-1 open"]
    );

    admin.set_refund_outcome(RefundOutcome::Refused);
    decide(&testbed, day, Decision::Retry).await;
    testbed.advance(std::time::Duration::from_secs(60)).await;
    the_refund_ends(&testbed).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["unknown_order_there FOREIGN-1 open"],
        "WeChat Pay still does not take it"
    );
    admin.set_refund_outcome(RefundOutcome::Success);
    decide(&testbed, day, Decision::Retry).await;
    testbed.advance(std::time::Duration::from_secs(60)).await;
    the_refund_ends(&testbed).await;
    assert_eq!(
        testbed.difference_lines(day).await,
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
async fn an_impossible_refund_of_an_unattributed_order_is_released_with_a_reason() {
    let testbed = Testbed::start().await;
    let day = unattributed_money_that_ends_as(&testbed, RefundOutcome::Refused).await;
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
        testbed.difference_lines(day).await,
        ["unknown_order_there FOREIGN-1 explained"]
    );
}
