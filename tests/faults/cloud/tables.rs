//! DynamoDB in this process: the engine that the other tests reach over HTTP, called by its JSON.

use std::sync::atomic::{AtomicU64, Ordering};

use dynoxide::{Database, DynoxideError};
use serde::{Serialize, de::DeserializeOwned};

use super::Reply;

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

/// The tables of one scene.
pub(crate) struct Tables {
    engine: Database,
    writes: AtomicU64,
}

impl Tables {
    pub(crate) fn new() -> Self {
        Self {
            engine: Database::memory().expect("a database in memory"),
            writes: AtomicU64::new(0),
        }
    }

    /// How many writes were asked for. As long as it is the same, so is what the tables hold.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// Does what a request asks for.
    pub(crate) fn answer(&self, operation: &str, body: &str) -> Reply {
        let reply = self.execute(operation, body);
        if !READS.contains(&operation) {
            self.writes.fetch_add(1, Ordering::SeqCst);
        }
        reply
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
            other => panic!(
                "no function has called DynamoDB's {other} so far: hand it to the engine here"
            ),
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
