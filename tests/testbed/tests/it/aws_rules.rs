//! What DynamoDB refuses, its engine in the tests refuses too: else a test could pass with a call
//! that fails on AWS.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Put, TransactWriteItem};
use runtime::clock::Clock;
use testbed::NOW;
use testbed::{DynamoEngine, Tables};

struct Bench {
    client: aws_sdk_dynamodb::Client,
    tables: Tables,
    _engine: DynamoEngine,
}

impl Bench {
    async fn new() -> Self {
        let engine = DynamoEngine::start();
        Self {
            tables: engine.create_tables("test-").await,
            client: engine.client(&Clock::manual(NOW)),
            _engine: engine,
        }
    }

    /// The message of the refusal of an item in the orders table.
    async fn put(&self, pk: &str, more: &[(&str, AttributeValue)]) -> Option<String> {
        let mut put = self.client.put_item().table_name(&self.tables.orders);
        put = put.item("pk", text(pk)).item("sk", text("order"));
        for (name, value) in more {
            put = put.item(*name, value.clone());
        }
        refused(put.send().await)
    }

    /// The refusal's message for a transaction of this many items with these keys.
    async fn transact(&self, pks: impl Iterator<Item = String>, length: usize) -> Option<String> {
        let puts = pks.map(|pk| {
            let put = Put::builder()
                .table_name(&self.tables.orders)
                .item("pk", text(pk))
                .item("sk", text("order"))
                .item("filling", text("x".repeat(length)));
            let put = put.build().expect("complete");
            TransactWriteItem::builder().put(put).build()
        });
        let transaction = self.client.transact_write_items();
        let transaction = transaction.set_transact_items(Some(puts.collect()));
        refused(transaction.send().await)
    }

    /// The message of the refusal of an update by this expression, which has one value, `:v`.
    async fn update(&self, expression: &str) -> Option<String> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.orders)
            .key("pk", text("order#1"))
            .key("sk", text("order"))
            .update_expression(expression)
            .expression_attribute_values(":v", text("x"));
        refused(update.send().await)
    }
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn refused<T: std::fmt::Debug, E: ProvideErrorMetadata>(sent: Result<T, E>) -> Option<String> {
    let error = sent.err()?;
    Some(format!("{:?} {:?}", error.code(), error.message()))
}

#[tokio::test]
async fn keys_and_items_have_their_sizes() {
    let bench = Bench::new().await;
    assert_eq!(bench.put("order#1", &[]).await, None);
    for (pk, more) in [
        ("", vec![]),
        (&*"k".repeat(2049), vec![]),
        // Of an index.
        ("order#1", vec![("due_shard", text(""))]),
        ("order#1", vec![("filling", text("x".repeat(400 * 1024)))]),
        // Zero, of a set.
        ("order#1", vec![("set", AttributeValue::Ss(Vec::new()))]),
    ] {
        let names: Vec<_> = more.iter().map(|(name, _)| *name).collect();
        assert!(bench.put(pk, &more).await.is_some(), "{pk:.9} {names:?}");
    }
}

#[tokio::test]
async fn a_transaction_has_a_hundred_items_none_twice_and_four_megabytes() {
    let bench = Bench::new().await;
    let some = |count: usize| (0..count).map(|number| format!("order#{number}"));
    assert_eq!(bench.transact(some(100), 1).await, None);
    assert!(bench.transact(some(101), 1).await.is_some());
    let twice = ["order#1".to_owned(), "order#1".to_owned()];
    assert!(bench.transact(twice.into_iter(), 1).await.is_some());
    assert!(bench.transact(some(13), 350 * 1024).await.is_some());
}

#[tokio::test]
async fn an_expression_uses_what_it_is_given_and_names_no_word_of_dynamodbs_own() {
    let bench = Bench::new().await;
    assert_eq!(bench.update("SET prepay = :v").await, None);
    for expression in [
        "SET state = :v",
        "SET prepay = :other",
        "REMOVE prepay",
        "SET #unknown = :v",
        "SET prepay = :v, prepay = :v",
        "SET pk = :v",
    ] {
        assert!(bench.update(expression).await.is_some(), "{expression}");
    }
}

#[tokio::test]
async fn an_index_is_not_read_consistently_and_a_batch_reads_a_hundred_items_each_once() {
    let bench = Bench::new().await;
    let query = bench
        .client
        .query()
        .table_name(&bench.tables.orders)
        .index_name("due")
        .key_condition_expression("due_shard = :shard")
        .expression_attribute_values(":shard", text("due#1"));
    assert_eq!(refused(query.clone().send().await), None);
    assert!(refused(query.clone().consistent_read(true).send().await).is_some());
    assert!(refused(query.limit(0).send().await).is_some());

    let batch = async |numbers: Vec<usize>| {
        let mut keys = KeysAndAttributes::builder();
        for number in numbers {
            let pk = ("pk".to_owned(), text(format!("order#{number}")));
            let sk = ("sk".to_owned(), text("order"));
            keys = keys.keys([pk, sk].into());
        }
        let keys = keys.build().expect("complete");
        let get = bench.client.batch_get_item();
        refused(get.request_items(&bench.tables.orders, keys).send().await)
    };
    assert_eq!(batch((0..100).collect()).await, None);
    assert!(batch((0..101).collect()).await.is_some());
    assert!(batch(vec![1, 1]).await.is_some());
}
