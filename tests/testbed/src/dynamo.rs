//! DynamoDB in this process: an engine that is asked by its JSON, and the same behind a port for
//! what runs over HTTP. The tables are those of the template.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that has no engine or table has nothing to test"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

/// An attribute as the SDK has it, for tests of crates that name no SDK.
pub use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, Projection,
    ProjectionType, StreamSpecification, StreamViewType, TimeToLiveSpecification,
};
use dynoxide::{Database, DynoxideError};
use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::environment::Tables;
use crate::reply::Reply;
use crate::template::{resources, within_stack};
use crate::wire::FaultyTransport;

/// A DynamoDB of one's own on a port of this machine. It serves on a thread of its own, so that
/// racing callers really race, and ends when it is dropped.
pub struct DynamoEngine {
    endpoint: String,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl DynamoEngine {
    /// Starts an empty engine on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When the machine gives no port or no memory: no test could go on.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        listener
            .set_nonblocking(true)
            .expect("a socket that tokio takes");
        let (stop, stopped) = oneshot::channel::<()>();
        let server = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let database = Database::memory().expect("a database in memory");
                let serve = dynoxide::server::serve_on(listener, database);
                tokio::select! {
                    () = serve => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            endpoint: format!("http://{address}"),
            stop: Some(stop),
            server: Some(server),
        }
    }

    /// Where it listens, for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub fn client(&self, clock: &Clock) -> aws_sdk_dynamodb::Client {
        Aws::new(&AwsSettings::local(self.endpoint()), clock).dynamodb()
    }

    /// A client for it whose calls go over `wire`.
    pub fn client_over(&self, wire: &FaultyTransport, clock: &Clock) -> aws_sdk_dynamodb::Client {
        Aws::with_http_client(
            &AwsSettings::local(self.endpoint()),
            clock,
            wire.http_client(),
        )
        .dynamodb()
    }

    /// Makes the tables of the template, by names that begin with `prefix`.
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn create_tables(&self, prefix: &str) -> Tables {
        create_tables(&self.client(&Clock::system()), prefix).await
    }
}

impl Drop for DynamoEngine {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            // A server that panicked has already said so on standard error.
            drop(server.join());
        }
    }
}

/// A DynamoDB of one's own that is asked by its JSON.
pub struct DynamoInProcess {
    engine: Database,
    writes: AtomicU64,
}

/// Operations that change no item.
const READS: [&str; 9] = [
    "BatchGetItem",
    "DescribeStream",
    "GetItem",
    "GetRecords",
    "GetShardIterator",
    "ListStreams",
    "Query",
    "Scan",
    "TransactGetItems",
];

impl DynamoInProcess {
    pub(crate) fn new() -> Self {
        Self {
            engine: Database::memory().expect("a database in memory"),
            writes: AtomicU64::new(0),
        }
    }

    /// How many writes were asked for. As long as it is the same, so is what the tables hold.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// Does what a request asks for.
    pub fn answer(&self, operation: &str, body: &str) -> Reply {
        let reply = self.execute(operation, body);
        if !READS.contains(&operation) {
            self.writes.fetch_add(1, Ordering::SeqCst);
        }
        reply
    }

    /// Everything that a table's stream holds, oldest first, as a pipe gets it.
    ///
    /// # Panics
    /// When the table has no stream.
    pub fn stream(&self, table: &str) -> Vec<Value> {
        let ask = |operation: &str, request: Value| -> Value {
            let reply = self.answer(operation, &request.to_string());
            serde_json::from_str(&reply.body).expect("JSON")
        };
        let listed = ask("ListStreams", json!({"TableName": table}));
        let arn = listed.pointer("/Streams/0/StreamArn").expect("a stream");
        let described = ask("DescribeStream", json!({"StreamArn": arn}));
        let shards = described.pointer("/StreamDescription/Shards");
        let shards = shards.and_then(Value::as_array).expect("shards");
        let mut records = Vec::new();
        for shard in shards {
            let id = shard.get("ShardId").expect("its id");
            let from =
                json!({"StreamArn": arn, "ShardId": id, "ShardIteratorType": "TRIM_HORIZON"});
            let mut next = ask("GetShardIterator", from);
            while let Some(at) = next
                .get("ShardIterator")
                .or_else(|| next.get("NextShardIterator"))
                .filter(|at| !at.is_null())
            {
                next = ask("GetRecords", json!({"ShardIterator": at}));
                let found = next.get_mut("Records").map(Value::take);
                let Some(Value::Array(found)) = found.filter(|found| found != &json!([])) else {
                    break; // the shard exists as long as the table
                };
                records.extend(found);
            }
        }
        records
    }

    fn execute(&self, operation: &str, body: &str) -> Reply {
        let engine = &self.engine;
        let outcome = match operation {
            "CreateTable" => with(body, |request| engine.create_table(request)),
            "UpdateTimeToLive" => with(body, |request| engine.update_time_to_live(request)),
            "GetItem" => with(body, |request| engine.get_item(request)),
            "PutItem" => with(body, |request| engine.put_item(request)),
            "UpdateItem" => with(body, |request| engine.update_item(request)),
            "DeleteItem" => with(body, |request| engine.delete_item(request)),
            "BatchGetItem" => with(body, |request| engine.batch_get_item(request)),
            "BatchWriteItem" => with(body, |request| engine.batch_write_item(request)),
            "Query" => with(body, |request| engine.query(request)),
            "Scan" => with(body, |request| engine.scan(request)),
            "ListStreams" => with(body, |request| engine.list_streams(request)),
            "DescribeStream" => with(body, |request| engine.describe_stream(request)),
            "GetShardIterator" => with(body, |request| engine.get_shard_iterator(request)),
            "GetRecords" => with(body, |request| engine.get_records(request)),
            "TransactGetItems" => with(body, |request| engine.transact_get_items(request)),
            "TransactWriteItems" => with(body, |request| engine.transact_write_items(request)),
            _ => return Reply::bad("UnknownOperationException"),
        };
        outcome.unwrap_or_else(|error| Reply {
            status: error.status_code(),
            body: error.to_json(),
        })
    }
}

fn with<Q: DeserializeOwned, A: Serialize>(
    body: &str,
    ask: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Result<Reply, DynoxideError> {
    let request = serde_json::from_str(body).expect("a request of the SDK's");
    let answer = ask(request)?;
    Ok(Reply::good(serde_json::to_string(&answer).expect("JSON")))
}

/// Makes the tables of the template through any client, by names that begin with `prefix`.
///
/// # Panics
/// When the engine refuses.
pub async fn create_tables(client: &aws_sdk_dynamodb::Client, prefix: &str) -> Tables {
    for (_, table) in resources("AWS::DynamoDB::Table") {
        let name = format!("{prefix}{}", within_stack(text(table, "TableName")));
        create_table(client, &name, table).await;
    }
    Tables::named(prefix)
}

async fn create_table(client: &aws_sdk_dynamodb::Client, name: &str, table: &Value) {
    let attributes = list(table, "AttributeDefinitions").iter().map(|attribute| {
        AttributeDefinition::builder()
            .attribute_name(text(attribute, "AttributeName"))
            .attribute_type(text(attribute, "AttributeType").into())
            .build()
            .expect("complete")
    });
    let indexes = list(table, "GlobalSecondaryIndexes").iter().map(index);
    let indexes: Vec<_> = indexes.collect();
    let stream = table.get("StreamSpecification").map(|stream| {
        StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::from(text(stream, "StreamViewType")))
            .build()
            .expect("complete")
    });
    client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::from(text(table, "BillingMode")))
        .set_attribute_definitions(Some(attributes.collect()))
        .set_key_schema(Some(key_schema(table)))
        .set_global_secondary_indexes((!indexes.is_empty()).then_some(indexes))
        .set_stream_specification(stream)
        .send()
        .await
        .expect("a table");
    let Some(expiry) = table.get("TimeToLiveSpecification") else {
        return;
    };
    let enabled = expiry.get("Enabled").and_then(Value::as_bool);
    let expiry = TimeToLiveSpecification::builder()
        .enabled(enabled.expect("whether items expire"))
        .attribute_name(text(expiry, "AttributeName"))
        .build()
        .expect("complete");
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(expiry)
        .send()
        .await
        .expect("expiry of the table");
}

fn index(index: &Value) -> GlobalSecondaryIndex {
    let projection = index.get("Projection").expect("a projection");
    let others = list(projection, "NonKeyAttributes").iter();
    let others: Vec<_> = others
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let projection = Projection::builder()
        .projection_type(ProjectionType::from(text(projection, "ProjectionType")))
        .set_non_key_attributes((!others.is_empty()).then_some(others))
        .build();
    GlobalSecondaryIndex::builder()
        .index_name(text(index, "IndexName"))
        .set_key_schema(Some(key_schema(index)))
        .projection(projection)
        .build()
        .expect("complete")
}

fn key_schema(of: &Value) -> Vec<KeySchemaElement> {
    let keys = list(of, "KeySchema").iter().map(|key| {
        KeySchemaElement::builder()
            .attribute_name(text(key, "AttributeName"))
            .key_type(text(key, "KeyType").into())
            .build()
            .expect("complete")
    });
    keys.collect()
}

/// A text of the template that is always there.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    let text = value.get(name).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("the template has no {name} in {value}"))
}

/// A list of the template; empty where it is left out.
fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    let list = value.get(name).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}
