//! Differences after a restore, and many that wait at once.

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
use wechatpay_simulator::RefundOutcome;

use super::{a_second_payment, decide, ledger, only, the_refund_ends};
use crate::support::{MCHID, Testbed, number};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_record_a_restore_lost_is_taken_on_again_as_paid_by_two_persons() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("GONE-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.restore_from_before("GONE-1").await;
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.difference_lines(day).await,
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
        testbed.difference_lines(day).await,
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
        testbed.difference_lines(day).await,
        ["unknown_order_there GONE-1 repaired"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_whose_refund_a_restore_lost_waits_for_it_no_longer() {
    let testbed = Testbed::start().await;
    let (day, proposed) = a_second_payment(&testbed).await;
    testbed.two_approve(&proposed).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["duplicate_payment TWICE-1 on_its_way"]
    );
    testbed.restore_from_before("TWICE-1").await;
    testbed.sweep().await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["duplicate_payment TWICE-1 open"]
    );
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
    let waits = waits.with_refund(refund, "run-1", now).unwrap();
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
async fn more_waiting_refunds_than_fit_into_a_minute_are_all_checked_in_turn() {
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
    assert_eq!(
        testbed.reconciliation.tracked_position().await.unwrap(),
        None
    );
}
