//! AWS as a sandbox reaches it: the engines of [`testbed::AwsEngines`], behind the director.
//!
//! The SDK signs, serialises, repeats and parses as it does when deployed; only what it would have
//! sent over the network is handed to an engine here, after it has waited for its turn
//! ([`CallScheduler`]) and met its fault.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use runtime::clock::Clock;
use serde_json::{Value, json};
use testbed::{AwsEngines, AwsRequest, SqsEngine};

use crate::engine::{
    call::{Call, CallFault, Function, Service},
    director::{CallScheduler, Liveness},
    release::SandboxClock,
};

/// How long the SDK waits for the answer to one attempt (`ATTEMPT_LIMIT` of `runtime::aws`), in
/// milliseconds.
const ATTEMPT_LIMIT_MS: i64 = 3_000;
/// The same for S3, which is sent more at once (`S3_ATTEMPT_LIMIT`).
const S3_ATTEMPT_LIMIT_MS: i64 = 10_000;

/// The engines of one deployment.
pub(crate) struct Cloud {
    engines: AwsEngines,
    /// What each index was last read as, by the question without its time.
    indexes: Mutex<BTreeMap<String, String>>,
    /// The deployment's own clock; those of the sandboxes may differ from it.
    clock: Clock,
}

impl Cloud {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            engines: AwsEngines::new(clock.clone()),
            indexes: Mutex::default(),
            clock,
        }
    }

    pub(crate) fn queues(&self) -> MutexGuard<'_, SqsEngine> {
        self.engines.queues()
    }

    /// The bytes of a file, if it is there.
    pub(crate) fn file(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let object = self.engines.files().object(bucket, key);
        object.map(|object| object.body)
    }

    /// How many writes the tables were asked for.
    pub(crate) fn writes(&self) -> u64 {
        self.engines.tables().writes()
    }

    /// Everything in a table, in DynamoDB's JSON.
    pub(crate) fn scan(&self, table: &str) -> Vec<Value> {
        let request = json!({"TableName": table}).to_string();
        let reply = self.engines.tables().answer("Scan", &request);
        let mut scanned: Value = serde_json::from_str(&reply.body).expect("JSON");
        assert!(
            scanned.get("LastEvaluatedKey").is_none(),
            "a deployment fits into one page"
        );
        match scanned["Items"].take() {
            Value::Array(items) => items,
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_)) => panic!("not a list of items: {other}"),
        }
    }

    /// Changes an item besides all that functions do.
    pub(crate) fn update(&self, request: &Value) {
        let reply = self
            .engines
            .tables()
            .answer("UpdateItem", &request.to_string());
        assert_eq!(reply.status, 200, "{}", reply.body);
    }

    /// Everything that a table's stream holds, oldest first, as a pipe gets it.
    pub(crate) fn stream(&self, table: &str) -> Vec<Value> {
        self.engines.tables().stream(table)
    }

    fn answer(&self, asked: &AwsRequest<'_>) -> HttpResponse {
        let answer = self.engines.answer(asked);
        if let Some(question) = question_to_index(asked) {
            let body = answer.body().bytes().map(String::from_utf8_lossy);
            let body = body.expect("an answer at hand").into_owned();
            self.indexes().insert(question, body);
        }
        answer
    }

    /// The index's previous answer to the same query, however old.
    fn answer_of_old(&self, asked: &AwsRequest<'_>) -> HttpResponse {
        let old =
            question_to_index(asked).and_then(|question| self.indexes().get(&question).cloned());
        let empty = || json!({"Items": [], "Count": 0, "ScannedCount": 0}).to_string();
        let status = 200_u16.try_into().expect("a status");
        HttpResponse::new(status, SdkBody::from(old.unwrap_or_else(empty)))
    }

    fn indexes(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.indexes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way of one sandbox to the engines: what it is given for an HTTP client.
#[derive(Clone)]
pub(crate) struct SandboxConnector {
    pub(crate) cloud: Arc<Cloud>,
    /// The caller, for the director; `None` for the test itself, whose calls are neither counted
    /// nor hit by faults.
    pub(crate) caller: Option<SandboxCaller>,
    /// An address that is mapped to another one here.
    pub(crate) alias: Option<Alias>,
}

/// An address that the tables hold, and the one that a sandbox finds in its place: a relay of its
/// own.
#[derive(Clone)]
pub(crate) struct Alias {
    pub(crate) kept: &'static str,
    pub(crate) found: String,
}

impl Alias {
    fn in_answer(&self, mut answer: HttpResponse) -> HttpResponse {
        let text = answer.body().bytes().map(String::from_utf8_lossy);
        if let Some(text) = text.map(|text| text.replace(self.kept, &self.found)) {
            *answer.body_mut() = SdkBody::from(text);
        }
        answer
    }
}

/// A sandbox as a caller.
#[derive(Clone)]
pub(crate) struct SandboxCaller {
    pub(crate) function: Function,
    pub(crate) line: Liveness,
    pub(crate) director: CallScheduler,
    /// The sandbox's clock: a time-out passes on it.
    pub(crate) clock: SandboxClock,
}

impl SandboxConnector {
    pub(crate) fn http_client(self) -> SharedHttpClient {
        SharedHttpClient::new(self)
    }

    async fn carry(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let mut asked = AwsRequest::read(&request)
            .unwrap_or_else(|| panic!("no function has made this call so far: {request:?}"));
        let Some(caller) = &self.caller else {
            return Ok(self.cloud.answer(&asked));
        };
        if let Some(alias) = &self.alias {
            asked.replace(&alias.found, alias.kept);
        }
        let asked_ms = self.cloud.clock.now_ms();
        let (fate, turn) = caller
            .director
            .pass(&caller.line, call_of(&asked, caller.function))
            .await;
        // Others had so much time before this call that its caller has given it up.
        let waited_ms = self.cloud.clock.now_ms() - asked_ms;
        if fate.is_none() && waited_ms > attempt_limit_ms(&asked) {
            caller.clock.advance_ms(waited_ms);
            return Err(ConnectorError::timeout("too late, by the harness".into()));
        }
        let answer = match fate {
            Some(CallFault::Stale) => self.cloud.answer_of_old(&asked),
            None => self.cloud.answer(&asked),
            Some(fault) if fault.takes_effect() => self.cloud.answer(&asked),
            Some(_) => asked.server_error(),
        };
        let answer = match &self.alias {
            Some(alias) => alias.in_answer(answer),
            None => answer,
        };
        match fate {
            None | Some(CallFault::Stale) => Ok(answer),
            Some(CallFault::DieBefore | CallFault::DieAfter) => {
                caller.line.cut();
                drop(turn);
                std::future::pending().await
            }
            Some(CallFault::TimedOut) => {
                caller.clock.advance_ms(attempt_limit_ms(&asked));
                Err(ConnectorError::timeout("too late, by the harness".into()))
            }
            Some(CallFault::ServerError | CallFault::ServerErrorAfter) => Ok(asked.server_error()),
            Some(CallFault::Throttled) => Ok(asked.throttled()),
            Some(CallFault::Conflict) => Ok(asked.conflict()),
            Some(CallFault::Unreachable | CallFault::LostAnswer | CallFault::Probe) => Err(
                ConnectorError::io("connection reset, by the harness".into()),
            ),
        }
    }
}

impl fmt::Debug for SandboxConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outlet")
    }
}

impl HttpClient for SandboxConnector {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for SandboxConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().carry(request))
    }
}

/// A call of `function`, as the director has it.
fn call_of(asked: &AwsRequest<'_>, function: Function) -> Call {
    let body = asked.json();
    let about = match asked.service {
        testbed::Service::DynamoDb => match asked.transaction() {
            Some(items) => items
                .iter()
                .map(item_of_transaction)
                .collect::<Vec<_>>()
                .join(" + "),
            None => item(body),
        },
        testbed::Service::Sqs => body["QueueUrl"]
            .as_str()
            .and_then(|url| url.rsplit('/').next())
            .unwrap_or_default()
            .to_owned(),
        testbed::Service::Kms => match body["EncryptionContext"]["purpose"].as_str() {
            Some(purpose) => purpose.to_owned(),
            None => body["KeyId"].as_str().unwrap_or_default().to_owned(),
        },
        // Without the bucket.
        testbed::Service::S3 => asked
            .file_path()
            .and_then(|path| path.splitn(3, '/').nth(2))
            .unwrap_or_default()
            .to_owned(),
    };
    let reads = [
        "GetItem",
        "Query",
        "Scan",
        "BatchGetItem",
        "TransactGetItems",
        "Decrypt",
        "Encrypt",
        "GenerateDataKey",
        "GetObject",
        "HeadObject",
    ];
    Call {
        function,
        service: match asked.service {
            testbed::Service::DynamoDb => Service::DynamoDb,
            testbed::Service::Sqs => Service::Sqs,
            testbed::Service::Kms => Service::Kms,
            testbed::Service::S3 => Service::S3,
        },
        operation: asked.operation.clone(),
        about,
        writes: !reads.contains(&asked.operation.as_str()),
        reads_index: body.get("IndexName").is_some(),
    }
}

/// What is asked of an index, if something is: its name and part, without the time until which.
fn question_to_index(asked: &AwsRequest<'_>) -> Option<String> {
    let body = asked.json();
    let index = body.get("IndexName")?.as_str()?;
    let values = body["ExpressionAttributeValues"]
        .as_object()
        .into_iter()
        .flatten();
    let texts: Vec<&str> = values
        .filter_map(|(_, value)| value["S"].as_str())
        .collect();
    Some(format!("{} {index} {texts:?}", body["TableName"]))
}

fn attempt_limit_ms(asked: &AwsRequest<'_>) -> i64 {
    match asked.service {
        testbed::Service::S3 => S3_ATTEMPT_LIMIT_MS,
        testbed::Service::DynamoDb | testbed::Service::Sqs | testbed::Service::Kms => {
            ATTEMPT_LIMIT_MS
        }
    }
}

/// `orders ORDER-1 refund#R-1`: the table, and the keys without the merchant's number.
fn item(request: &Value) -> String {
    let table = request["TableName"].as_str().unwrap_or_default();
    let keys = ["Key", "Item"].iter().find_map(|name| request.get(name));
    let part = |name: &str| keys.and_then(|keys| keys[name]["S"].as_str());
    let pk = part("pk")
        .map(|pk| pk.split('#').skip(2).collect::<Vec<_>>().join("#"))
        .filter(|rest| !rest.is_empty());
    let pk = pk.or_else(|| part("pk").map(str::to_owned));
    let index = request["IndexName"]
        .as_str()
        .map(|index| format!("by {index}"));
    let words = [
        Some(table.to_owned()),
        index,
        pk,
        part("sk").filter(|sk| *sk != "order").map(str::to_owned),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn item_of_transaction(entry: &Value) -> String {
    entry
        .as_object()
        .and_then(|entry| entry.values().next())
        .map(item)
        .unwrap_or_default()
}
