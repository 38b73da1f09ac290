//! DynamoDB in memory, on a port of this machine: one engine for each test.

use std::thread::JoinHandle;

/// An attribute as the SDK has it, for tests of crates that name no SDK.
pub use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
    TimeToLiveSpecification,
};
use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;
use tokio::sync::oneshot;

use crate::wire::FaultyTransport;

/// A DynamoDB of one's own. It serves on a thread of its own, so that racing callers really race,
/// and ends when it is dropped.
pub struct DynamoEngine {
    endpoint: String,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

/// The names of the tables that [`DynamoEngine::create_tables`] made.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Orders and their journal.
    pub orders: String,
    /// Nonces and leases.
    pub guards: String,
    /// Keys of the merchant and of API clients.
    pub keys: String,
    /// The table of notices that failed or wait for an operator.
    pub notices: String,
    /// What was found of each reconciled day.
    pub reconciliation: String,
    /// Events that receivers of webhooks do not have.
    pub undelivered_events: String,
}

/// What the index by day carries beside the keys, as in the template.
const DAY_ATTRIBUTES: [&str; 11] = [
    "order_no",
    "transaction_id",
    "amount_fen",
    "state",
    "paid_at",
    "product",
    "appid",
    "refund_no",
    "out_refund_no",
    "refund_id",
    "day_at",
];

impl DynamoEngine {
    /// Starts an empty engine on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When the machine gives no port or no memory: no test could go on.
    #[expect(
        clippy::expect_used,
        reason = "a test that has no engine has nothing to test"
    )]
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
                let database = dynoxide::Database::memory().expect("a database in memory");
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

    /// Makes `<prefix>orders`, `<prefix>guards`, `<prefix>keys`, `<prefix>notices`,
    /// `<prefix>reconciliation` and `<prefix>undelivered-events` as the template does.
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn create_tables(&self, prefix: &str) -> Tables {
        Tables::create(&self.client(&Clock::system()), prefix).await
    }
}

impl Tables {
    /// Makes the tables through any client, as [`DynamoEngine::create_tables`] does.
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn create(client: &aws_sdk_dynamodb::Client, prefix: &str) -> Self {
        let tables = Self {
            orders: format!("{prefix}orders"),
            guards: format!("{prefix}guards"),
            keys: format!("{prefix}keys"),
            notices: format!("{prefix}notices"),
            reconciliation: format!("{prefix}reconciliation"),
            undelivered_events: format!("{prefix}undelivered-events"),
        };
        create_orders(client, &tables.orders).await;
        create_guards(client, &tables.guards).await;
        create_keys(client, &tables.keys).await;
        create_notices(client, &tables.notices).await;
        create_with_pk_and_sk(client, &tables.reconciliation).await;
        create_with_pk_and_sk(client, &tables.undelivered_events).await;
        expire(client, &tables.undelivered_events).await;
        tables
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

#[expect(
    clippy::expect_used,
    reason = "a test without its table has nothing to test"
)]
async fn create_orders(client: &aws_sdk_dynamodb::Client, name: &str) {
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewAndOldImages)
        .build()
        .expect("complete");
    client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(vec![
            attribute("pk", ScalarAttributeType::S),
            attribute("sk", ScalarAttributeType::S),
            attribute("due_shard", ScalarAttributeType::S),
            attribute("due_at", ScalarAttributeType::N),
            attribute("day_shard", ScalarAttributeType::S),
            attribute("day_id", ScalarAttributeType::S),
        ]))
        .set_key_schema(Some(vec![
            key("pk", KeyType::Hash),
            key("sk", KeyType::Range),
        ]))
        .global_secondary_indexes(index(
            "due",
            "due_shard",
            "due_at",
            projection(ProjectionType::KeysOnly, &[]),
        ))
        .global_secondary_indexes(index(
            "day",
            "day_shard",
            "day_id",
            projection(ProjectionType::Include, &DAY_ATTRIBUTES),
        ))
        .stream_specification(stream)
        .send()
        .await
        .expect("the orders table");
}

async fn create_guards(client: &aws_sdk_dynamodb::Client, name: &str) {
    create_with_pk(client, name).await;
    expire(client, name).await;
}

async fn create_keys(client: &aws_sdk_dynamodb::Client, name: &str) {
    create_with_pk(client, name).await;
}

#[expect(
    clippy::expect_used,
    reason = "a test without its table has nothing to test"
)]
async fn create_notices(client: &aws_sdk_dynamodb::Client, name: &str) {
    client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(vec![
            attribute("pk", ScalarAttributeType::S),
            attribute("status", ScalarAttributeType::S),
            attribute("updated_at", ScalarAttributeType::N),
        ]))
        .key_schema(key("pk", KeyType::Hash))
        .global_secondary_indexes(index(
            "by_status",
            "status",
            "updated_at",
            projection(ProjectionType::All, &[]),
        ))
        .send()
        .await
        .expect("the notices table");
    expire(client, name).await;
}

#[expect(
    clippy::expect_used,
    reason = "a test without its table has nothing to test"
)]
async fn create_with_pk_and_sk(client: &aws_sdk_dynamodb::Client, name: &str) {
    client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(vec![
            attribute("pk", ScalarAttributeType::S),
            attribute("sk", ScalarAttributeType::S),
        ]))
        .set_key_schema(Some(vec![
            key("pk", KeyType::Hash),
            key("sk", KeyType::Range),
        ]))
        .send()
        .await
        .expect("a table");
}

#[expect(
    clippy::expect_used,
    reason = "a test without its table has nothing to test"
)]
async fn expire(client: &aws_sdk_dynamodb::Client, name: &str) {
    let expiry = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("expires_at")
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

#[expect(
    clippy::expect_used,
    reason = "a test without its table has nothing to test"
)]
async fn create_with_pk(client: &aws_sdk_dynamodb::Client, name: &str) {
    client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk", ScalarAttributeType::S))
        .key_schema(key("pk", KeyType::Hash))
        .send()
        .await
        .expect("a table");
}

#[expect(clippy::expect_used, reason = "both fields are set")]
fn attribute(name: &str, kind: ScalarAttributeType) -> AttributeDefinition {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(kind)
        .build()
        .expect("complete")
}

#[expect(clippy::expect_used, reason = "both fields are set")]
fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()
        .expect("complete")
}

#[expect(clippy::expect_used, reason = "both fields are set")]
fn index(name: &str, hash: &str, range: &str, projection: Projection) -> GlobalSecondaryIndex {
    GlobalSecondaryIndex::builder()
        .index_name(name)
        .key_schema(key(hash, KeyType::Hash))
        .key_schema(key(range, KeyType::Range))
        .projection(projection)
        .build()
        .expect("complete")
}

fn projection(kind: ProjectionType, attributes: &[&str]) -> Projection {
    let mut projection = Projection::builder().projection_type(kind);
    for name in attributes {
        projection = projection.non_key_attributes(*name);
    }
    projection.build()
}
