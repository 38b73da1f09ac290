//! Tables that are restored to an earlier moment (infra/runbooks/restore.md): every payment
//! made since is found again, and no refund goes out twice.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use payments::model::{bill_date::BillDate, ids::ClientId};
use payments::reconcile::difference::{
    Decision, DecisionContext, Difference, DifferenceKind, DifferenceState,
};
use serde_json::json;
use stores::{queues::ReconcileWork, reconciliation::SaveOutcome};

use crate::support::{Testbed, native};

/// The tables that are restored, as they were at one moment.
struct Moment(Vec<(String, Vec<Item>)>);

type Item = HashMap<String, AttributeValue>;

impl Moment {
    async fn of(testbed: &Testbed) -> Self {
        let tables = &testbed.tables;
        let mut kept = Vec::new();
        for table in [&tables.orders, &tables.notices, &tables.reconciliation] {
            kept.push((table.clone(), items(testbed, table).await));
        }
        Self(kept)
    }

    /// What came since is gone, and what changed is as it was.
    async fn restore(&self, testbed: &Testbed) {
        let client = testbed.dynamo();
        for (table, kept) in &self.0 {
            for mut item in items(testbed, table).await {
                let names = ["pk", "sk"].into_iter();
                let key = names.filter_map(|name| item.remove_entry(name));
                let gone = client.delete_item().table_name(table);
                gone.set_key(Some(key.collect())).send().await.unwrap();
            }
            for item in kept {
                let put = client.put_item().table_name(table);
                put.set_item(Some(item.clone())).send().await.unwrap();
            }
        }
    }
}

async fn items(testbed: &Testbed, table: &str) -> Vec<Item> {
    let client = testbed.dynamo();
    let pages = client.scan().table_name(table).into_paginator();
    pages.items().send().try_collect().await.unwrap()
}

/// What WeChat Pay gave back of an order, refund by refund.
fn given_back(testbed: &Testbed, order_no: &str) -> Vec<i64> {
    let refunds = testbed.wechat.admin().refunds_of(order_no);
    refunds.iter().map(|refund| refund.refund_fen).collect()
}

/// What the order says of its refunds: how much is set aside, and how much has arrived.
async fn booked(testbed: &Testbed, order_no: &str) -> (i64, i64) {
    let order = testbed.get_order(order_no).await;
    assert_eq!(order.status, 200, "{}", order.body);
    // Neither is logged for an order without a refund.
    let fen = |name: &str| order.body[name].as_i64().unwrap_or(0);
    (fen("refund_committed_fen"), fen("refunded_fen"))
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_since_the_restore_are_found_again_by_the_sweep_and_by_the_day_s_bills() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.post_order(&native("OPEN-1")).await;
    let moment = Moment::of(&testbed).await;
    testbed.pay("OPEN-1").await;
    testbed.paid("AFTER-1").await;
    assert_eq!(testbed.get_order("OPEN-1").await.body["state"], "paid");
    moment.restore(&testbed).await;
    assert_eq!(testbed.get_order("AFTER-1").await.status, 404);
    assert_ne!(testbed.get_order("OPEN-1").await.body["state"], "paid");

    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.sweep().await;
    assert_eq!(testbed.get_order("OPEN-1").await.body["state"], "paid");
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["unknown_order_there AFTER-1 proposed"]
    );
    assert!(testbed.wechat.admin().refunds().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_whose_record_is_lost_is_taken_back_and_asking_for_it_again_gives_nothing_twice() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("BACK-1").await;
    let moment = Moment::of(&testbed).await;
    testbed.refunded("BACK-1", "R1", 40).await;
    moment.restore(&testbed).await;
    assert_eq!(booked(&testbed, "BACK-1").await, (0, 0));

    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.reconcile(day, false).await;
    assert_eq!(booked(&testbed, "BACK-1").await, (40, 40));

    // Its client, who finds it gone, asks for it again.
    let again = testbed.refund("BACK-1", "R1", 40).await;
    assert_eq!(again.status, 200, "{}", again.body);
    assert_eq!(again.body["state"], "succeeded");
    let other = testbed.refund("BACK-1", "R1", 30).await;
    assert_eq!(other.status, 422, "{}", other.body);
    assert_eq!(testbed.work_off().await, 0);
    testbed.sweep().await;
    assert_eq!(booked(&testbed, "BACK-1").await, (40, 40));
    assert_eq!(given_back(&testbed, "BACK-1"), [40]);
    // What is left can be given back, and no more.
    assert_eq!(testbed.refund("BACK-1", "R2", 61).await.status, 422);
    // Refunds of one order are a minute apart.
    testbed.advance(Duration::from_secs(60)).await;
    testbed.refunded("BACK-1", "R2", 60).await;
    assert_eq!(given_back(&testbed, "BACK-1"), [40, 60]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_is_asked_for_again_before_the_bills_are_read_goes_out_under_its_one_number()
{
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("BACK-2").await;
    let moment = Moment::of(&testbed).await;
    testbed.refunded("BACK-2", "R1", 40).await;
    moment.restore(&testbed).await;

    testbed.refunded("BACK-2", "R1", 40).await;
    assert_eq!(given_back(&testbed, "BACK-2"), [40]);
    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.reconcile(day, false).await;
    assert_eq!(booked(&testbed, "BACK-2").await, (40, 40));
    assert_eq!(given_back(&testbed, "BACK-2"), [40]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_was_on_its_way_at_that_moment_is_asked_about_and_not_sent_again() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ON-WAY-1").await;
    let asked = testbed.refund("ON-WAY-1", "R1", 40).await;
    assert_eq!(asked.status, 202, "{}", asked.body);
    let moment = Moment::of(&testbed).await;
    assert_eq!(testbed.work_off().await, 0);
    testbed.deliver().await;
    assert_eq!(given_back(&testbed, "ON-WAY-1"), [40]);
    moment.restore(&testbed).await;

    testbed.until(day, 13, 0).await;
    testbed.sweep().await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(booked(&testbed, "ON-WAY-1").await, (40, 40));
    assert_eq!(given_back(&testbed, "ON-WAY-1"), [40]);
}

/// The client finds its refund gone and asks for the same money under another number. Our books
/// cannot show this; WeChat Pay's do, and it gives back no more than was paid. A person gives the
/// second one up, and the day's next run books the first. It is the same whether the second goes
/// out at once or is held back until the bills are read.
async fn the_same_money_under_another_number(order_no: &str, fen: i64, is_held: bool) {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid(order_no).await;
    let moment = Moment::of(&testbed).await;
    testbed.refunded(order_no, "R1", fen).await;
    moment.restore(&testbed).await;

    let again = testbed.refund(order_no, "R2", fen).await;
    assert_eq!(again.status, 202, "{}", again.body);
    if !is_held {
        assert_eq!(testbed.work_off().await, 0);
    }
    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.reconcile(day, false).await;
    let open = format!("refund_there_unknown_here {order_no} open");
    assert_eq!(testbed.difference_lines(day).await, [open]);
    assert_eq!(booked(&testbed, order_no).await, (fen, 0));
    assert_eq!(testbed.work_off().await, 0);
    testbed.sweep().await;
    assert_eq!(testbed.work_off().await, 0);
    let second = testbed.get_refund(order_no, "R2").await;
    assert_eq!(second.body["state"], "refused", "{}", second.body);
    assert_eq!(given_back(&testbed, order_no), [fen]);

    let path = format!("/v1/orders/{order_no}/refunds/R2/release");
    let body = json!({"who": "Lin Wei", "why": "R1 has this money, ticket 4712"});
    let released = testbed.post(&path, &body).await;
    assert_eq!(released.status, 200, "{}", released.body);
    testbed.reconcile(day, false).await;
    assert_eq!(booked(&testbed, order_no).await, (fen, fen));
    let first = testbed.refund(order_no, "R1", fen).await;
    assert_eq!(first.status, 200, "{}", first.body);
    assert_eq!(first.body["state"], "succeeded");
    assert_eq!(given_back(&testbed, order_no), [fen]);
    let more = testbed.refund(order_no, "R3", 101 - fen).await;
    assert_eq!(more.status, 422, "{}", more.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_money_under_another_number_is_not_given_back_twice() {
    the_same_money_under_another_number("TWICE-1", 100, false).await;
    the_same_money_under_another_number("TWICE-2", 70, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_is_it_where_the_second_refund_waited_until_the_bills_were_read() {
    the_same_money_under_another_number("TWICE-3", 100, true).await;
    the_same_money_under_another_number("TWICE-4", 70, true).await;
}

/// Two persons take a lost order on as its client's.
async fn taken_on(testbed: &Testbed, day: BillDate) {
    let mut differences = testbed.differences_of(day).await.into_iter();
    let is_order = |found: &Difference| found.kind == DifferenceKind::UnknownOrderThere;
    let found = differences.find(is_order).unwrap();
    let shop = ClientId::new("shop");
    let deciding = DecisionContext {
        client: Some(&shop),
        ..DecisionContext::default()
    };
    let mut stands = found;
    // Where some of it was given back, the run proposes nothing.
    assert_eq!(stands.state, DifferenceState::Open);
    for (decision, person) in [(Decision::ProposePaid, "li"), (Decision::Approve, "wang")] {
        let now = testbed.clock.now();
        let decided = stands.decided_by_rules(decision, &deciding, person, "the shop's books", now);
        stands = decided.unwrap();
        let saved = testbed.reconciliation.save_difference(&stands).await;
        assert_eq!(saved.unwrap(), SaveOutcome::Saved);
    }
    let (date, id) = (day, stands.id);
    let work = ReconcileWork::ApplyV1 { date, id };
    testbed.send_work(&work).await;
    assert_eq!(testbed.work_off_days().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_gone_with_its_refund_is_taken_on_and_the_day_s_next_run_finds_the_refund()
{
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    let moment = Moment::of(&testbed).await;
    testbed.paid("GONE-9").await;
    testbed.refunded("GONE-9", "R1", 40).await;
    moment.restore(&testbed).await;

    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.reconcile(day, false).await;
    assert_eq!(testbed.get_order("GONE-9").await.status, 404);
    taken_on(&testbed, day).await;
    assert_eq!(testbed.get_order("GONE-9").await.body["state"], "paid");
    testbed.reconcile(day, false).await;
    assert_eq!(booked(&testbed, "GONE-9").await, (40, 40));
    let found = testbed.difference_lines(day).await;
    for over in ["refund_there_unknown_here", "unknown_order_there"] {
        assert!(
            found.contains(&format!("{over} GONE-9 repaired")),
            "{found:?}"
        );
    }
    assert_eq!(testbed.refund("GONE-9", "R1", 40).await.status, 200);
    testbed.sweep().await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(given_back(&testbed, "GONE-9"), [40]);
}
