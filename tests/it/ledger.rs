//! The ledger of notices: every callback that did not settle at its first try, and nothing else.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use testbed::{Fault, Match, Service};

use crate::support::{MAX_RECEIVE_COUNT, MCHID, Testbed, native};

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_settles_at_once_is_not_in_the_ledger() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    assert_eq!(testbed.work_off().await, 0);
    assert!(testbed.notices().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_fails_is_in_the_ledger_until_it_settles() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed
        .wire
        .break_all(testbed.order_changes(), Fault::ServiceFault);
    assert_eq!(testbed.work_off().await, 1);
    let record = testbed.notices().await.remove(0);
    assert_eq!(
        (
            record["status"].as_str(),
            record["retries"].as_str(),
            record["order_no"].as_str()
        ),
        ("pending", "1", "ORDER-1")
    );
    let now = testbed.clock.now().0;
    let next: i64 = record["next_retry_at"].parse().unwrap();
    assert!((1..=60).contains(&(next - now)), "{next} at {now}");
    assert!(
        record["last_error"].contains("did not answer")
            || record["last_error"].contains("could not")
    );
    assert!(record["message"].contains("ciphertext"));
    assert!(!format!("{record:?}").contains("openid"));
    testbed.wire.mend();
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
    assert_eq!(testbed.notices().await[0]["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_whose_first_try_could_not_be_written_down_has_a_record_once_it_settles() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed
        .wire
        .break_all(Match::service(Service::DynamoDb), Fault::ServiceFault);
    assert_eq!(testbed.work_off().await, 1);
    testbed.wire.mend();
    assert!(
        testbed.notices().await.is_empty(),
        "the ledger was down too"
    );
    assert_eq!(testbed.work_off().await, 0);
    let record = testbed.notices().await.remove(0);
    assert_eq!(
        (record["status"].as_str(), record["retries"].as_str()),
        ("ok", "1")
    );
    assert_eq!(record["event_type"], "TRANSACTION.SUCCESS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_an_earlier_version_named_by_the_queue_s_id_closes_once_its_callback_settles()
{
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed
        .wire
        .break_all(testbed.order_changes(), Fault::ServiceFault);
    assert_eq!(testbed.work_off().await, 1);
    // It did not open at the try before, which was that version's.
    let message_id = testbed.result_ids().await.remove(0);
    let notice_id = format!("message#{message_id}");
    let record = testbed.notices().await.remove(0);
    let mut item: HashMap<String, AttributeValue> = ["message", "last_error"]
        .map(|name| (name.to_owned(), AttributeValue::S(record[name].clone())))
        .into();
    for (name, value) in [
        ("pk", AttributeValue::S(format!("{MCHID}#{notice_id}"))),
        ("notice_id", AttributeValue::S(notice_id)),
        ("event_type", AttributeValue::S(String::new())),
        ("status", AttributeValue::S("pending".to_owned())),
        ("retries", AttributeValue::N("1".to_owned())),
        (
            "updated_at",
            AttributeValue::N(record["updated_at"].clone()),
        ),
    ] {
        item.insert(name.to_owned(), value);
    }
    let put = testbed.dynamo().put_item();
    let put = put.table_name(&testbed.tables.notices).set_item(Some(item));
    put.send().await.expect("a table");
    testbed.wire.mend();
    assert_eq!(testbed.work_off().await, 0);
    let notices = testbed.notices().await;
    let states: Vec<&str> = notices.iter().map(|one| one["status"].as_str()).collect();
    assert_eq!(states, ["ok", "ok"], "{notices:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_fails_hides_for_longer_each_time_and_ends_in_the_dead_letter_queue() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed
        .wire
        .break_all(testbed.order_changes(), Fault::ServiceFault);
    for _ in 0..MAX_RECEIVE_COUNT {
        assert_eq!(testbed.work_off().await, 1);
    }
    let hidden: Vec<i64> = testbed.hidden.times_s();
    assert_eq!(hidden.first(), Some(&10));
    assert!(
        hidden.windows(2).all(|pair| pair[0] < pair[1]),
        "{hidden:?}"
    );
    assert_eq!(testbed.work_off().await, 0);
    let [_, results] = testbed.dead_letters().await;
    assert_eq!(results.len(), 1);
    assert_eq!(testbed.notices().await[0]["retries"], "8");
    testbed.wire.mend();
    // A person sends it round again, from the ledger.
    let message = testbed.notices().await[0]["message"].clone();
    testbed.redrive(&message).await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
    assert_eq!(testbed.notices().await[0]["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_notice_says_what_a_person_must_decide_and_is_not_parked_twice() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .pay_altered("ORDER-1", json!({"amount": {"total": 99}}))
        .await;
    assert_eq!(testbed.work_off().await, 0);
    let record = &testbed.notices().await[0];
    assert_eq!(record["status"], "parked");
    assert!(record["what_to_do"].contains("amount differs"));
    let money = &testbed.items("payment#").await[0]["transaction_id"];
    assert_eq!(record["notice_id"], format!("payment#{money}"));
    assert!(record["message"].contains("ciphertext"));
    let id = testbed.wechat.admin().callbacks()[0].id.clone();
    testbed.wechat.admin().redeliver(&id).await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.notices().await.len(), 1);
}
