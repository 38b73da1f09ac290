//! The events that an order's item embeds, and how long the item gets.

mod unsampled;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use payments::{
    model::{
        ids::{ClientId, RefundNo},
        journal::{Cause, ChangeContext, Delivery, Event, Subject},
        money::Fen,
        order::{Order, OrderState, PayParams, Payment, Prepay, Rejection},
        order_refusal::OrderRefusal,
        refund::RefundTerms,
    },
    rules::{
        change::OrderChange,
        issue_order::IssuedPrepay,
        reserve_refund::{self, Approval, RefundRequest},
    },
};
use stores::order_table::{ApplyOutcome, WriteOutcome};
use wechatpay::{RequestId, UnixSeconds};

use crate::days::{Bench, because, order, transaction};

/// What DynamoDB charges a write by.
const KB: usize = 1_024;

fn native() -> PayParams {
    PayParams::CodeUrl("weixin://wxpay/bizpayurl?pr=p4lpSuKzz".to_owned())
}

fn paid(order: &Order) -> OrderState {
    OrderState::Paid(Payment {
        transaction_id: transaction("00000120260802123456789012"),
        paid_at: UnixSeconds(order.created_at.0 + 20),
    })
}

/// The order as a request of a merchant makes it, with the stored lengths of production.
fn typical() -> Order {
    let sealed_body = Some(vec![7; 2 + 1 + 184 + 12 + 110 + 16]);
    let mut order = Order {
        client_id: ClientId::new("shop-frontend"),
        appid: "wxd678efh567hg6787".to_owned(),
        sealed_body,
        ..order("ORDER-20261130000001")
    };
    order.issue_lease.id = "9ab4c6179ba0a310e5886a331bde3ba4".to_owned();
    order.latest_event = Some(first(&order));
    order
}

fn first(order: &Order) -> Event {
    Event {
        cause: Cause::Request("21a3e2efbc964ce0d0bbbbd5debe094d".to_owned()),
        trace: "b140f58bae458efb342211499d097707".to_owned(),
        at: order.created_at,
        millisecond: Some(345),
        ..because().event(1, Subject::Order, None, "reserved")
    }
}

/// The context of a callback, as long as WeChat Pay's are.
fn context() -> ChangeContext {
    ChangeContext {
        millisecond: Some(678),
        delivery: Some(Delivery {
            queued_ms: 1_234,
            worked_ms: 56,
            received: 1,
        }),
        cause: Cause::Notice("EV-2018022511223320873-0001-4f2a".to_owned()),
        trace: "28a9dd52ac3c4b78dcc7e7de83a77a62".to_owned(),
        request_id: RequestId::read("08F8C9F59D0610A00118E8B3A7B101202D28CBD901-268566839"),
        ..because()
    }
}

async fn reserve(bench: &Bench, order: &Order) {
    let event = order.latest_event.clone().unwrap_or_else(|| first(order));
    let reserved = bench.table().reserve(order, &event).await;
    reserved.expect("an answer");
}

async fn issue(bench: &Bench, order: &Order) -> Order {
    let issued = IssuedPrepay::new(order, native(), &context());
    let written = bench.table().store_prepay(order, &issued).await;
    match written.expect("an answer") {
        WriteOutcome::Written(order) => *order,
        other @ WriteOutcome::Superseded(_) => panic!("{other:?}"),
    }
}

async fn apply(bench: &Bench, order: &Order, to: OrderState) -> Order {
    let change = OrderChange::new(order, to, &context());
    let applied = bench.table().apply(&change).await;
    assert_eq!(applied.expect("an answer"), ApplyOutcome::Applied);
    let read = bench.read(order).await;
    assert_eq!(read.latest_event, change.order_after().latest_event);
    read
}

/// The items under an order, by sort key.
async fn items(bench: &Bench) -> Vec<HashMap<String, AttributeValue>> {
    let client = bench.engine.client(&bench.clock);
    let scanned = client.scan().table_name(&bench.tables.orders).send().await;
    let mut items = scanned.expect("a table").items.unwrap_or_default();
    items.sort_by_key(|item| format!("{:?}", item.get("sk")));
    items
}

async fn sort_keys(bench: &Bench) -> Vec<String> {
    let sk = |item: HashMap<String, AttributeValue>| item["sk"].as_s().expect("text").clone();
    items(bench).await.into_iter().map(sk).collect()
}

/// An item's length as DynamoDB reckons it: names, and values by their kind.
fn bytes(item: &HashMap<String, AttributeValue>) -> usize {
    let of = |(name, value): (&String, &AttributeValue)| name.len() + value_bytes(value);
    item.iter().map(of).sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    if let AttributeValue::S(text) = value {
        text.len()
    } else if let AttributeValue::N(digits) = value {
        digits.len().div_ceil(2) + 1
    } else if let AttributeValue::B(blob) = value {
        blob.as_ref().len()
    } else if let AttributeValue::L(list) = value {
        3 + list.iter().map(|one| 1 + value_bytes(one)).sum::<usize>()
    } else {
        assert!(matches!(value, AttributeValue::Bool(_)), "{value:?}");
        1
    }
}

async fn order_bytes(bench: &Bench) -> usize {
    let items = items(bench).await;
    let order = items
        .iter()
        .find(|item| item["sk"].as_s().unwrap() == "order");
    bytes(order.expect("an order"))
}

fn steps(journal: &[Event]) -> Vec<(u64, Option<&str>, &str, &str)> {
    journal
        .iter()
        .map(|event| {
            (
                event.version,
                event.from.as_deref(),
                event.to.as_str(),
                event.cause.kind(),
            )
        })
        .collect()
}

#[tokio::test]
async fn changes_of_an_order_alone_are_single_writes_and_its_journal_has_them_all() {
    let bench = Bench::new().await;
    let order = typical();
    reserve(&bench, &order).await;
    bench.wire.forget();
    let order = issue(&bench, &order).await;
    let order = apply(&bench, &order, OrderState::Closing).await;
    let order = apply(&bench, &order, OrderState::Closed).await;
    let calls = bench.wire.calls();
    let writes: Vec<_> = calls
        .iter()
        .filter(|call| call.operation != "GetItem")
        .collect();
    assert!(
        writes.iter().all(|call| call.operation == "UpdateItem"),
        "{writes:?}"
    );
    assert_eq!(writes.len(), 3);
    assert_eq!(sort_keys(&bench).await, ["order"]);
    let journal = bench.table().journal(&order.order_no).await.expect("read");
    assert_eq!(
        steps(&journal),
        [
            (1, None, "reserved", "request"),
            (2, Some("reserved"), "awaiting_payment", "notice"),
            (3, Some("awaiting_payment"), "closing", "notice"),
            (4, Some("closing"), "closed", "notice"),
        ]
    );
    assert_eq!(journal[0], first(&typical()));
    assert_eq!(journal[3].delivery, context().delivery, "the latest");
    for event in &journal[1..] {
        assert_eq!(event.millisecond, context().millisecond);
        assert_eq!(event.request_id, context().request_id);
        assert_eq!(event.trace, context().trace);
        assert_eq!(event.at, context().at);
    }
}

#[tokio::test]
async fn what_changes_with_its_order_has_its_event_in_an_item_of_its_own() {
    let bench = Bench::new().await;
    let order = typical();
    reserve(&bench, &order).await;
    let order = issue(&bench, &order).await;
    let order = apply(&bench, &order, paid(&order)).await;
    let wanted = RefundRequest {
        refund_no: RefundNo::parse("R1").expect("a number"),
        terms: RefundTerms {
            amount: Fen::new(40).expect("fen"),
            reason: None,
            transaction_id: None,
        },
        approval: Approval::Caller,
    };
    let change = reserve_refund::reserve(&order, None, &[], &wanted, "https://n", &context());
    let change = change.expect("there is money to give back");
    let applied = bench.table().apply(&change).await;
    assert_eq!(applied.expect("an answer"), ApplyOutcome::Applied);
    assert_eq!(
        sort_keys(&bench).await,
        ["event#0000000004", "order", "refund#R1"]
    );
    let read = bench.read(&order).await;
    assert_eq!((read.version, read.latest_event), (4, order.latest_event));
    let order_item = items(&bench).await.swap_remove(1);
    for name in ["subject_id", "decision"] {
        assert!(
            !order_item.contains_key(name),
            "{name} is not needed any more"
        );
    }
    let journal = bench.table().journal(&order.order_no).await.expect("read");
    let versions: Vec<u64> = journal.iter().map(|event| event.version).collect();
    assert_eq!(versions, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_repeat_of_a_write_whose_answer_was_lost_is_the_write_and_another_change_is_refused() {
    let bench = Bench::new().await;
    let order = typical();
    reserve(&bench, &order).await;
    let order = issue(&bench, &order).await;
    let change = OrderChange::new(&order, paid(&order), &context());
    let table = bench.table();
    for _ in 0..2 {
        let applied = table.apply(&change).await.expect("an answer");
        assert_eq!(applied, ApplyOutcome::Applied);
    }
    let other = OrderChange::new(&order, paid(&order), &because());
    let applied = table.apply(&other).await.expect("an answer");
    assert_eq!(applied, ApplyOutcome::VersionMoved);
    assert_eq!(table.journal(&order.order_no).await.expect("read").len(), 3);
}

#[tokio::test]
async fn a_change_of_an_order_that_is_gone_asks_to_read_it_again() {
    let bench = Bench::new().await;
    let order = typical();
    let change = OrderChange::new(&order, OrderState::Closing, &context());
    let applied = bench.table().apply(&change).await.expect("an answer");
    assert_eq!(applied, ApplyOutcome::VersionMoved);
    assert!(items(&bench).await.is_empty());
}

#[tokio::test]
async fn a_rejection_says_why_in_its_embedded_event() {
    let refusal = OrderRefusal {
        code: "PARAM_ERROR".to_owned(),
        message: "no such openid".to_owned(),
    };
    for why in [
        Rejection::Refused(Some(refusal)),
        Rejection::NumberUsedElsewhere,
    ] {
        let bench = Bench::new().await;
        let order = typical();
        reserve(&bench, &order).await;
        let refused = OrderState::Rejected(why.clone());
        let rejected = apply(&bench, &order, refused.clone()).await;
        assert_eq!(rejected.state, refused);
        let table = bench.table();
        let journal = table.journal(&order.order_no).await.expect("read");
        assert_eq!(journal[1].refusal, Some(why.refusal()));
        assert_eq!(sort_keys(&bench).await, ["order"]);
        let repeat = OrderChange::new(&order, refused, &context());
        let applied = table.apply(&repeat).await.expect("an answer");
        assert_eq!(applied, ApplyOutcome::Applied);
    }
}

#[tokio::test]
async fn an_order_of_an_earlier_version_goes_on_as_that_version_reads_it() {
    let bench = Bench::new().await;
    let order = Order {
        latest_event: None,
        ..typical()
    };
    reserve(&bench, &order).await;
    let order = issue(&bench, &order).await;
    assert!(order.sealed_body.is_some());
    let order = apply(&bench, &order, paid(&order)).await;
    assert!(order.sealed_body.is_some());
    assert_eq!(sort_keys(&bench).await, ["event#0000000003", "order"]);
    let items = items(&bench).await;
    let AttributeValue::L(early) = &items[1]["early_events"] else {
        panic!("{items:?}")
    };
    assert!(early.iter().all(AttributeValue::is_m));
    // The Pipe takes an embedded event by `to` at the new state.
    assert_eq!(items[1]["to"].as_s().unwrap(), "awaiting_payment");
    let journal = bench.table().journal(&order.order_no).await.expect("read");
    assert_eq!(
        steps(&journal),
        [
            (1, None, "reserved", "request"),
            (2, Some("reserved"), "awaiting_payment", "notice"),
            (3, Some("awaiting_payment"), "paid", "notice"),
        ]
    );
}

#[tokio::test]
async fn the_body_goes_with_the_last_prepay_value_and_stays_while_another_may_be_asked_for() {
    let bench = Bench::new().await;
    let order = typical();
    reserve(&bench, &order).await;
    let issued = IssuedPrepay {
        is_last: false,
        prepay: Prepay {
            params: native(),
            expires_at: UnixSeconds(order.expires_at.0 - 1),
        },
        ..IssuedPrepay::new(&order, native(), &context())
    };
    let written = bench.table().store_prepay(&order, &issued).await;
    let WriteOutcome::Written(order) = written.expect("an answer") else {
        panic!("not stored")
    };
    assert!(order.sealed_body.is_some());
    let order = issue(&bench, &order).await;
    assert_eq!(order.sealed_body, None);
    assert_eq!(bench.read(&order).await.sealed_body, None);
}

#[tokio::test]
async fn an_order_that_ends_without_a_value_keeps_no_body() {
    for end in [OrderState::Closing, OrderState::Closed] {
        let bench = Bench::new().await;
        let order = typical();
        reserve(&bench, &order).await;
        let order = apply(&bench, &order, end).await;
        assert_eq!(order.sealed_body, None);
    }
}

#[tokio::test]
async fn an_orders_item_stays_under_a_kilobyte_through_its_life() {
    let bench = Bench::new().await;
    let order = typical();
    reserve(&bench, &order).await;
    let reserved = order_bytes(&bench).await;
    let order = issue(&bench, &order).await;
    let awaiting = order_bytes(&bench).await;
    apply(&bench, &order, paid(&order)).await;
    let paid = order_bytes(&bench).await;
    let lengths = [reserved, awaiting, paid];
    assert!(lengths.iter().all(|length| *length <= KB), "{lengths:?}");

    let bench = Bench::new().await;
    let order = typical();
    reserve(&bench, &order).await;
    let order = issue(&bench, &order).await;
    // The sweep's own decision: WeChat Pay has said nothing.
    let swept = ChangeContext {
        cause: Cause::Sweep("155aa47ff6e6088136e70fe20e430f68".to_owned()),
        request_id: None,
        delivery: None,
        ..context()
    };
    let change = OrderChange::new(&order, OrderState::Closing, &swept);
    let applied = bench.table().apply(&change).await;
    assert_eq!(applied.expect("an answer"), ApplyOutcome::Applied);
    // And what WeChat Pay answers to the sweep, which no message brings.
    let answered = ChangeContext {
        request_id: context().request_id,
        ..swept
    };
    let change = OrderChange::new(&change.order_after(), OrderState::Closed, &answered);
    let applied = bench.table().apply(&change).await;
    assert_eq!(applied.expect("an answer"), ApplyOutcome::Applied);
    let closed = order_bytes(&bench).await;
    assert!(closed <= KB, "{closed}");
}

/// An order whose prepay value the queue got.
#[tokio::test]
async fn an_item_whose_value_the_queue_got_stays_under_a_kilobyte_and_says_if_the_message_failed() {
    for received in [1, 3] {
        let bench = Bench::new().await;
        let order = typical();
        reserve(&bench, &order).await;
        let by_message = ChangeContext {
            cause: Cause::Message("9c3b1f3e-2c0e-4a61-8a4b-5f3c7d2e1b0a".to_owned()),
            trace: "b140f58bae458efb342211499d097707".to_owned(),
            delivery: Some(Delivery {
                queued_ms: 15_023,
                worked_ms: 250,
                received,
            }),
            ..context()
        };
        let issued = IssuedPrepay::new(&order, native(), &by_message);
        let written = bench.table().store_prepay(&order, &issued).await;
        let WriteOutcome::Written(order) = written.expect("an answer") else {
            panic!("not stored")
        };
        let latest = order.latest_event.as_ref().expect("an event");
        assert_eq!(latest.delivery, by_message.delivery);
        apply(&bench, &order, paid(&order)).await;
        let journal = bench.table().journal(&order.order_no).await.expect("read");
        assert_eq!(journal[1].millisecond, by_message.millisecond);
        if received == 1 {
            let length = order_bytes(&bench).await;
            assert!(length <= KB, "{length}");
            assert_eq!(journal[1].delivery, None, "a pause says as much");
        } else {
            assert_eq!(journal[1].delivery, by_message.delivery);
        }
    }
}

/// While a release goes out, the one before embeds its event over one of this release's, and leaves
/// the attributes that it does not know.
#[tokio::test]
async fn the_millisecond_of_an_event_is_not_taken_for_that_of_an_earlier_version_s_next_one() {
    let bench = Bench::new().await;
    let order = typical();
    reserve(&bench, &order).await;
    let order = issue(&bench, &order).await;
    let key = items(&bench).await[0]["pk"].clone();
    let client = bench.engine.client(&bench.clock);
    let written = client
        .update_item()
        .table_name(&bench.tables.orders)
        .key("pk", key)
        .key("sk", AttributeValue::S("order".to_owned()))
        .update_expression("SET event_version = :three, version = :three, #to = :closing, #state = :closing, #at = :at")
        .expression_attribute_names("#to", "to")
        .expression_attribute_names("#state", "state")
        .expression_attribute_names("#at", "at")
        .expression_attribute_values(":three", AttributeValue::N("3".to_owned()))
        .expression_attribute_values(":closing", AttributeValue::S("closing".to_owned()))
        .expression_attribute_values(":at", AttributeValue::N("1785556900".to_owned()))
        .send()
        .await;
    written.expect("a table");
    let read = bench.read(&order).await;
    let latest = read.latest_event.clone().expect("an event");
    assert_eq!((latest.version, latest.millisecond), (3, None));
    assert_eq!(latest.delivery, None);
    // What this release writes over it has its own again.
    let swept = ChangeContext {
        delivery: None,
        ..context()
    };
    let change = OrderChange::new(&read, OrderState::Closed, &swept);
    let applied = bench.table().apply(&change).await;
    assert_eq!(applied.expect("an answer"), ApplyOutcome::Applied);
    let journal = bench.table().journal(&order.order_no).await.expect("read");
    let times: Vec<_> = journal
        .iter()
        .map(|event| (event.version, event.millisecond, event.delivery))
        .collect();
    assert_eq!(times.last(), Some(&(4, Some(678), None)));
    assert!(times.contains(&(3, None, None)));
}
