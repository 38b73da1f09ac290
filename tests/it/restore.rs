//! Tables that are restored to an earlier moment (infra/runbooks/reconciliation.md): every payment
//! made since is found again, and no refund goes out twice.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;

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
    // Neither is told of an order without a refund.
    let fen = |name: &str| order.body[name].as_i64().unwrap_or(0);
    (fen("refund_committed_fen"), fen("refunded_fen"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paid_since_is_found_again_by_the_sweep_and_by_the_day_s_bills() {
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
        testbed.told(day).await,
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
