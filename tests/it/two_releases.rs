//! While a release is under way the version before and the new one work on the same tables and
//! queues. So whatever a later version writes that this one does not know is kept: a message goes
//! back to its queue, a member of a message is passed over, and an attribute stays through every
//! write.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use base64::{Engine, engine::general_purpose::STANDARD};
use payments::{model::bill_date::BillDate, reconcile::difference::DifferenceState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    payer_owed::{ConsoleDifference, could_not_be_paid_out},
    support::{Testbed, native},
    webhooks::{self, WebhookTestbed},
};

type Item = std::collections::HashMap<String, AttributeValue>;

/// What a later version is taken to have added.
const LATER: &str = "added_later";

/// Where an item lies: its table and its key.
type Place = (String, BTreeMap<String, String>);

/// Where something was added, and of a record where in it.
type Added = (Place, Vec<String>);

async fn all(testbed: &Testbed, table: &str) -> Vec<Item> {
    let scanned = testbed.dynamo().scan().table_name(table).send().await;
    scanned.expect("a table").items.unwrap_or_default()
}

fn place(table: &str, item: &Item) -> Place {
    let key = |name: &str| Some((name.to_owned(), item.get(name)?.as_s().ok()?.clone()));
    let key = ["pk", "sk"].into_iter().filter_map(key);
    (table.to_owned(), key.collect())
}

/// The stored record of a difference or of a run, in an item that has one.
fn record(item: &Item) -> Option<Value> {
    let sk = item.get("sk")?.as_s().ok()?;
    if !sk.starts_with("difference#") {
        return None;
    }
    serde_json::from_str(item.get("body")?.as_s().ok()?).ok()
}

/// A later version adds something to every item there is, and says where.
async fn a_later_version_adds_to_everything(testbed: &Testbed) -> Vec<Added> {
    let tables = &testbed.tables;
    let mut places = Vec::new();
    for table in [
        &tables.orders,
        &tables.notices,
        &tables.keys,
        &tables.reconciliation,
    ] {
        for item in all(testbed, table).await {
            let (is_day, place) = (*table == tables.reconciliation, place(table, &item));
            let mut update = testbed.dynamo().update_item().table_name(table);
            for (name, value) in &place.1 {
                update = update.key(name, AttributeValue::S(value.clone()));
            }
            // An item of a day has what is new in its record: it is written as a whole.
            let (name, value, paths) = match record(&item) {
                Some(mut record) => {
                    let paths = added_to(&record);
                    for path in &paths {
                        let part = record.pointer_mut(path).expect("a part");
                        part[LATER] = json!({"by": "a later version"});
                    }
                    ("body", record.to_string(), paths)
                }
                None if is_day => continue,
                None => (LATER, "a later version".to_owned(), Vec::new()),
            };
            let update = update
                .update_expression("SET #a = :a")
                .expression_attribute_names("#a", name)
                .expression_attribute_values(":a", AttributeValue::S(value));
            update.send().await.expect("a table");
            places.push((place, paths));
        }
    }
    places
}

/// Where a later version adds something to a record: to itself, to what it is about, to both sides,
/// to its refund, and to each step of its history.
fn added_to(record: &Value) -> Vec<String> {
    let parts = ["", "/about", "/there", "/here", "/refund"];
    let steps = record["history"].as_array().map_or(0, Vec::len);
    let mut paths: Vec<String> = parts.map(str::to_owned).to_vec();
    paths.extend((0..steps).map(|step| format!("/history/{step}")));
    paths.retain(|path| record.pointer(path).is_some_and(Value::is_object));
    paths
}

/// Whether a record has still all that was added to it.
fn has_all(record: &Value, added: &[String]) -> bool {
    added.iter().all(|path| {
        let part = record.pointer(path);
        part.is_some_and(|part| part[LATER] == json!({"by": "a later version"}))
    })
}

/// Those of these places whose item has lost what was added. Gone are none.
async fn lost(testbed: &Testbed, places: &[Added]) -> Vec<Place> {
    let mut found = BTreeMap::new();
    let tables: std::collections::BTreeSet<&String> =
        places.iter().map(|((table, _), _)| table).collect();
    for table in tables {
        for item in all(testbed, table).await {
            found.insert(place(table, &item), item);
        }
    }
    let has = |(place, paths): &&Added| {
        found.get(place).is_some_and(|item| match record(item) {
            Some(record) => has_all(&record, paths),
            None => item.contains_key(LATER),
        })
    };
    let is_lost = |added: &&Added| !has(added);
    let lost = places.iter().filter(is_lost);
    lost.map(|(place, _)| place.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_of_a_payment_its_refunds_or_its_day_loses_what_a_later_version_added() {
    let testbed = Testbed::start().await;
    // Reserved, and not yet with WeChat Pay.
    let asked = native("ORDER-1");
    assert_eq!(testbed.post_order_async(&asked).await.status, 202);
    let mut places = a_later_version_adds_to_everything(&testbed).await;
    assert_eq!(testbed.work_off().await, 0);
    testbed.pay("ORDER-1").await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.refund("ORDER-1", "r1", 40).await.status, 202);
    places.extend(a_later_version_adds_to_everything(&testbed).await);
    assert_eq!(testbed.work_off().await, 0);
    testbed.advance(Duration::from_secs(60)).await;
    assert_eq!(testbed.work_off().await, 0);
    testbed.sweep().await;
    let orders: Vec<String> = testbed
        .items("order")
        .await
        .into_iter()
        .map(|item| item["state"].clone())
        .collect();
    assert_eq!(orders, ["partially_refunded"]);
    assert_eq!(lost(&testbed, &places).await, Vec::<Place>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_decision_about_a_difference_loses_what_a_later_version_added() {
    let testbed = Testbed::start().await;
    let console = Box::pin(could_not_be_paid_out(&testbed)).await;
    let places = a_later_version_adds_to_everything(&testbed).await;
    let of_days = places
        .iter()
        .filter(|((table, _), _)| *table == testbed.tables.reconciliation);
    let within: usize = of_days.map(|(_, paths)| paths.len()).sum();
    // Itself, what it is about, a side, its refund and some steps.
    assert!(within > 6, "{places:?}");
    Box::pin(console.decides("li", "redirect", "the card is gone")).await;
    Box::pin(console.decides("wang", "approve", "asked the payer")).await;
    assert_eq!(Box::pin(testbed.work_off_days()).await, 0);
    for _ in 0..2 {
        assert_eq!(Box::pin(testbed.work_off()).await, 0);
        testbed.advance(Duration::from_secs(60)).await;
    }
    Box::pin(testbed.sweep()).await;
    Box::pin(console.decides("zhao", "payer_paid", "by bank")).await;
    assert_eq!(Box::pin(testbed.work_off_days()).await, 0);
    assert_eq!(console.stands().await.state, DifferenceState::Explained);
    // The day is run again, too.
    Box::pin(testbed.reconcile(console.day, false)).await;
    assert_eq!(lost(&testbed, &places).await, Vec::<Place>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_later_version_stays_in_its_queue_and_one_with_more_in_it_is_worked_off() {
    let testbed = Testbed::start().await;
    assert_eq!(
        testbed.post_order_async(&native("ORDER-1")).await.status,
        202
    );
    let bodies: Vec<String> = [
        json!({"v": "issue.v2", "order_no": "ORDER-1"}),
        json!({"v": "refund.v2", "order_no": "ORDER-1", "refund_no": "r1"}),
        json!({"v": "callback.v2", "headers": {}, "body": ""}),
        json!({"v": "settle.v1", "order_no": "ORDER-1"}),
        json!({"v": "issue.v1", "order_no": "ORDER-1", LATER: {"urgent": true}}),
    ]
    .map(|body| body.to_string())
    .into();
    assert_eq!(testbed.process_batch(&bodies, 30_000).await, [0, 1, 2, 3]);
    assert_eq!(
        testbed.get_order("ORDER-1").await.body["state"],
        "awaiting_payment"
    );

    let day = testbed.fresh_day().await;
    testbed.until(day.plus_days(1), 10, 30).await;
    for (body, failures) in [
        (json!({"v": "reconcile-day.v2", "date": day.to_string()}), 1),
        (
            json!({"v": "reconcile-week.v1", "date": day.to_string()}),
            1,
        ),
        (
            json!({"v": "reconcile-daily.v1", "scheduled_at": format!("{}T02:30:00Z", day.plus_days(1)), LATER: 1}),
            0,
        ),
    ] {
        testbed.forge_work(&body.to_string()).await;
        assert_eq!(Box::pin(testbed.work_off_days()).await, failures, "{body}");
    }
    let runs = testbed.reconciliation.day_runs(day).await.expect("a table");
    assert!(runs.run().is_some(), "the day was begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_later_version_stays_in_the_queue_of_webhooks_and_one_with_more_in_it_is_sent()
 {
    let testbed = WebhookTestbed::start().await;
    let event = webhooks::on_the_bus(&webhooks::event("ORDER-1", 2));
    let of_another_kind = event.replace("order.changed", "order.moved");
    let mut with_more: Value = serde_json::from_str(&event).expect("JSON");
    with_more["detail"][LATER] = json!({"by": "a later version"});
    with_more[LATER] = json!(1);
    let batch = vec![
        webhooks::record_of("1", of_another_kind, 1),
        webhooks::record_of("2", with_more.to_string(), 1),
    ];
    let answer = testbed.process(batch, webhooks::PLENTY_MS).await;
    assert_eq!(webhooks::failed(&answer), ["1"]);
    assert_eq!(testbed.receiver.ids(), ["ORDER-1_2"]);
}

/// What a version stored, as a file: of each table its items, what its queue of requests held, and
/// when that was.
#[derive(Debug, Deserialize, Serialize)]
struct Stored {
    at_s: i64,
    orders: Vec<Value>,
    notices: Vec<Value>,
    reconciliation: Vec<Value>,
    requests: Vec<String>,
}

/// An attribute as DynamoDB's own JSON writes it.
fn written(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::Bool(is) => json!({ "BOOL": is }),
        AttributeValue::B(bytes) => json!({ "B": STANDARD.encode(bytes.as_ref()) }),
        AttributeValue::L(list) => json!({ "L": list.iter().map(written).collect::<Vec<_>>() }),
        AttributeValue::M(map) => json!({ "M": written_item(map) }),
        other @ (AttributeValue::Bs(_)
        | AttributeValue::Ns(_)
        | AttributeValue::Ss(_)
        | AttributeValue::Null(_)
        | _) => {
            panic!("no kind of value that is stored: {other:?}")
        }
    }
}

fn written_item(item: &Item) -> Value {
    let members = item
        .iter()
        .map(|(name, value)| (name.clone(), written(value)));
    Value::Object(members.collect())
}

fn read(value: &Value) -> AttributeValue {
    let (kind, inner) = value
        .as_object()
        .and_then(|one| one.iter().next())
        .expect("a value");
    let text = || inner.as_str().expect("a text").to_owned();
    match kind.as_str() {
        "S" => AttributeValue::S(text()),
        "N" => AttributeValue::N(text()),
        "BOOL" => AttributeValue::Bool(inner.as_bool().expect("a truth value")),
        "B" => AttributeValue::B(Blob::new(STANDARD.decode(text()).expect("base64"))),
        "L" => AttributeValue::L(inner.as_array().expect("a list").iter().map(read).collect()),
        "M" => AttributeValue::M(read_item(inner)),
        other => panic!("no kind of value that is stored: {other}"),
    }
}

fn read_item(item: &Value) -> Item {
    let members = item.as_object().expect("an item").iter();
    members
        .map(|(name, value)| (name.clone(), read(value)))
        .collect()
}

/// The items of a table, in an order that stays.
async fn kept(testbed: &Testbed, table: &str) -> Vec<Value> {
    let mut items: Vec<Value> = all(testbed, table).await.iter().map(written_item).collect();
    items.sort_by_key(|item| (item["pk"].to_string(), item["sk"].to_string()));
    items
}

/// The folder of what releases before this one stored.
fn previous() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/previous")
}

/// Puts each kind of thing into the tables, in the middle of what becomes of it. What this version
/// stores is left in `target/tmp/stored.json`: CONTRIBUTING.md says when it is copied.
#[tokio::test(flavor = "multi_thread")]
async fn items_that_this_version_stores_are_kept_for_the_next_one() {
    let testbed = Testbed::start().await;
    let console = Box::pin(could_not_be_paid_out(&testbed)).await;
    assert_eq!(console.stands().await.state, DifferenceState::Open);
    Box::pin(testbed.paid("PAID-1")).await;
    Box::pin(testbed.paid("PARTLY-1")).await;
    Box::pin(testbed.refunded("PARTLY-1", "r1", 40)).await;
    assert_eq!(testbed.refund("PARTLY-1", "r2", 20).await.status, 202);
    assert_eq!(
        testbed.post_order_async(&native("RESERVED-1")).await.status,
        202
    );
    let stored = Stored {
        at_s: testbed.clock.now().0,
        orders: kept(&testbed, &testbed.tables.orders).await,
        notices: kept(&testbed, &testbed.tables.notices).await,
        reconciliation: kept(&testbed, &testbed.tables.reconciliation).await,
        requests: testbed.requests().await,
    };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stored.json");
    let text = serde_json::to_string_pretty(&stored).expect("JSON");
    std::fs::write(path, text + "\n").expect("a file");
    assert_eq!(stored.requests.len(), 2, "{:?}", stored.requests);
    carries_on(&stored).await;
}

/// What each release before this one stored, and a person, a client and a queue go on with.
#[tokio::test(flavor = "multi_thread")]
async fn items_that_an_earlier_release_stored_are_read_and_carried_on() {
    let mut releases = 0;
    for entry in std::fs::read_dir(previous()).expect("the folder") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a file");
        let stored: Stored = serde_json::from_str(&text).expect("what was stored");
        Box::pin(carries_on(&stored)).await;
        releases += 1;
    }
    assert!(releases > 0, "no release before this one is kept");
}

async fn carries_on(stored: &Stored) {
    let testbed = Testbed::start().await;
    for (table, items) in [
        (&testbed.tables.orders, &stored.orders),
        (&testbed.tables.notices, &stored.notices),
        (&testbed.tables.reconciliation, &stored.reconciliation),
    ] {
        for item in items {
            let put = testbed.dynamo().put_item().table_name(table);
            put.set_item(Some(read_item(item)))
                .send()
                .await
                .expect("a table");
        }
    }
    let ahead_s = u64::try_from(stored.at_s - testbed.clock.now().0).expect("later");
    testbed.advance(Duration::from_secs(ahead_s)).await;

    // A client.
    for (order_no, state) in [
        ("PAID-1", "paid"),
        ("PARTLY-1", "partially_refunded"),
        ("TWICE-1", "paid"),
    ] {
        let shown = testbed.get_order(order_no).await;
        assert_eq!(
            (shown.status, &shown.body["state"]),
            (200, &json!(state)),
            "{order_no}"
        );
        let events = testbed.get(&format!("/v1/orders/{order_no}/events")).await;
        assert!(
            events.body["events"]
                .as_array()
                .is_some_and(|events| events.len() >= 3)
        );
    }
    let refunds = testbed.get("/v1/orders/PARTLY-1/refunds").await.body;
    assert_eq!(
        refunds["refunds"].as_array().map(Vec::len),
        Some(2),
        "{refunds}"
    );
    assert_eq!(
        testbed.refund("PAID-1", "r1", 30).await.status,
        202,
        "its money is set aside"
    );
    // A queue.
    let issue = stored
        .requests
        .iter()
        .filter(|body| body.contains("issue.v1"));
    let bodies: Vec<String> = issue.cloned().collect();
    assert_eq!(testbed.process_batch(&bodies, 30_000).await, [0_usize; 0]);
    assert_eq!(
        testbed.get_order("RESERVED-1").await.body["state"],
        "awaiting_payment"
    );
    // People.
    let difference = stored.reconciliation.iter().find(|item| {
        let sk = item["sk"]["S"].as_str().unwrap_or_default();
        sk.starts_with("difference#") && item["state"]["S"] == "open"
    });
    let record: Value = serde_json::from_str(
        difference.expect("one")["body"]["S"]
            .as_str()
            .expect("a record"),
    )
    .expect("JSON");
    let console = ConsoleDifference {
        testbed: &testbed,
        day: BillDate::parse(record["date"].as_str().expect("a day")).expect("a day"),
        id: record["id"].as_str().expect("an id").to_owned(),
        order_no: "TWICE-1",
    };
    Box::pin(console.decides("li", "redirect", "the card is gone")).await;
    assert_eq!(console.stands().await.state, DifferenceState::Proposed);
    let parked = testbed.notices().await;
    assert!(!parked.is_empty(), "the ledger of notices is read");
}
