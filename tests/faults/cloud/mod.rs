//! AWS in this process: DynamoDB, SQS, KMS and S3 behind the HTTP connector of the real SDK.
//!
//! The SDK signs, serialises, repeats and parses as it does when deployed; only what it would have
//! sent over the network is handed to an engine here, after it has waited for its turn
//! ([`CallScheduler`]) and met its fault. No engine of this project throttles, conflicts or loses
//! an answer by itself.

mod queues;
mod secrets;
mod tables;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
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
use testbed::{S3Engine, S3Reply, S3Request, s3_request};

use crate::{
    call::{Call, CallFault, Function, Service},
    director::{CallScheduler, Liveness},
};

pub(crate) use queues::{Message, Queues};

/// How long the SDK waits for the answer to one attempt (`ATTEMPT_LIMIT` of `runtime::aws`), in
/// milliseconds.
const ATTEMPT_LIMIT_MS: i64 = 3_000;
/// The same for S3, which is sent more at once (`S3_ATTEMPT_LIMIT`).
const S3_ATTEMPT_LIMIT_MS: i64 = 10_000;

/// An answer of an engine.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Reply {
    fn good(body: impl ToString) -> Self {
        Self {
            status: 200,
            body: body.to_string(),
        }
    }

    fn bad(code: &str) -> Self {
        Self {
            status: 400,
            body: json!({"__type": code, "message": "by the harness"}).to_string(),
        }
    }
}

/// The engines of one scene.
pub(crate) struct Cloud {
    tables: tables::Tables,
    queues: Mutex<queues::Queues>,
    secrets: Mutex<secrets::Secrets>,
    files: S3Engine,
    /// What each index was last read as, by the question without its time.
    indexes: Mutex<BTreeMap<String, String>>,
    /// The scene's own clock; those of the sandboxes may differ from it.
    clock: Clock,
}

impl Cloud {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            tables: tables::Tables::new(),
            queues: Mutex::default(),
            secrets: Mutex::default(),
            files: S3Engine::new(),
            indexes: Mutex::default(),
            clock,
        }
    }

    pub(crate) fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of a file, if it is there.
    pub(crate) fn file(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        self.files.object(bucket, key).map(|object| object.body)
    }

    /// How many writes the tables were asked for.
    pub(crate) fn writes(&self) -> u64 {
        self.tables.writes()
    }

    /// Everything in a table, in DynamoDB's JSON.
    pub(crate) fn scan(&self, table: &str) -> Vec<Value> {
        let reply = self
            .tables
            .answer("Scan", &json!({"TableName": table}).to_string());
        let mut scanned: Value = serde_json::from_str(&reply.body).expect("JSON");
        assert!(
            scanned.get("LastEvaluatedKey").is_none(),
            "a scene fits into one page"
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

    /// Everything that a table's stream holds, oldest first, as a pipe gets it.
    pub(crate) fn stream(&self, table: &str) -> Vec<Value> {
        let ask = |operation: &str, request: Value| -> Value {
            let reply = self.tables.answer(operation, &request.to_string());
            serde_json::from_str(&reply.body).expect("JSON")
        };
        let listed = ask("ListStreams", json!({"TableName": table}));
        let arn = &listed["Streams"][0]["StreamArn"];
        let described = ask("DescribeStream", json!({"StreamArn": arn}));
        let shards = described["StreamDescription"]["Shards"]
            .as_array()
            .expect("shards");
        let mut records = Vec::new();
        for shard in shards {
            let from = json!({"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"});
            let mut next = ask("GetShardIterator", from)["ShardIterator"].take();
            while !next.is_null() {
                let mut page = ask("GetRecords", json!({"ShardIterator": next}));
                let Value::Array(mut found) = page["Records"].take() else {
                    break;
                };
                if found.is_empty() {
                    break; // the shard exists as long as the table
                }
                records.append(&mut found);
                next = page["NextShardIterator"].take();
            }
        }
        records
    }

    fn answer(&self, asked: &AwsRequest<'_>) -> HttpResponse {
        let (operation, body) = (asked.operation.as_str(), asked.body.as_str());
        if let Some(code) = asked.is_against_the_rules() {
            return refusal(400, code, None);
        }
        let reply = match asked.service {
            Service::DynamoDb => self.tables.answer(operation, body),
            Service::Sqs => self.queues().answer(operation, body, self.clock.now_ms()),
            Service::Kms => {
                let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
                secrets.answer(operation, body)
            }
            Service::S3 => {
                let file = asked.file.as_ref().expect("a request for a file");
                return of_s3(self.files.answer(file));
            }
            Service::WechatPay | Service::Receiver => unreachable!("no service of AWS"),
        };
        if let Some(question) = asked.question_to_index() {
            self.indexes().insert(question, reply.body.clone());
        }
        response(reply)
    }

    /// The index's previous answer to the same query, however old.
    fn answer_of_old(&self, asked: &AwsRequest<'_>) -> HttpResponse {
        let old = asked
            .question_to_index()
            .and_then(|question| self.indexes().get(&question).cloned());
        let empty = || json!({"Items": [], "Count": 0, "ScannedCount": 0}).to_string();
        response(Reply {
            status: 200,
            body: old.unwrap_or_else(empty),
        })
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
    pub(crate) clock: Clock,
}

impl SandboxConnector {
    pub(crate) fn http_client(self) -> SharedHttpClient {
        SharedHttpClient::new(self)
    }

    async fn carry(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let mut asked = AwsRequest::read(&request);
        let Some(caller) = &self.caller else {
            return Ok(self.cloud.answer(&asked));
        };
        if let Some(alias) = &self.alias {
            asked.body = asked.body.replace(&alias.found, alias.kept); // not parsed yet
        }
        let asked_ms = self.cloud.clock.now_ms();
        let (fate, turn) = caller
            .director
            .pass(&caller.line, asked.call(caller.function))
            .await;
        // Others had so much time before this call that its caller has given it up.
        let waited_ms = self.cloud.clock.now_ms() - asked_ms;
        if fate.is_none() && waited_ms > asked.attempt_limit_ms() {
            advance(&caller.clock, waited_ms);
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
                advance(&caller.clock, asked.attempt_limit_ms());
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

/// What a request of the SDK's asks for.
struct AwsRequest<'a> {
    service: Service,
    operation: String,
    /// JSON; empty for S3, which has no JSON.
    body: String,
    /// The same once it was parsed.
    parsed: OnceLock<Value>,
    /// What S3 is asked.
    file: Option<S3Request<'a>>,
}

impl<'a> AwsRequest<'a> {
    /// All services name the operation in a header, except S3, which uses method and address.
    fn read(request: &'a HttpRequest) -> Self {
        let Some(target) = request.headers().get("x-amz-target") else {
            return Self::read_s3(request);
        };
        let (prefix, operation) = target.split_once('.').expect("a service and an operation");
        let service = match prefix {
            "DynamoDB_20120810" => Service::DynamoDb,
            "AmazonSQS" => Service::Sqs,
            "TrentService" => Service::Kms,
            other => panic!("no function has called {other} so far"),
        };
        let body = request.body().bytes().expect("a body at hand");
        Self {
            service,
            operation: operation.to_owned(),
            body: String::from_utf8(body.to_vec()).expect("JSON is text"),
            parsed: OnceLock::new(),
            file: None,
        }
    }

    fn read_s3(request: &'a HttpRequest) -> Self {
        let file = s3_request(request).expect("a body at hand");
        let operation = file.operation();
        Self {
            service: Service::S3,
            operation: operation
                .unwrap_or_else(|| panic!("no function has asked S3 for {file:?} so far"))
                .to_owned(),
            body: String::new(),
            parsed: OnceLock::new(),
            file: Some(file),
        }
    }

    /// The body as JSON; `null` for S3.
    fn json(&self) -> &Value {
        self.parsed.get_or_init(|| match self.service {
            Service::S3 => Value::Null,
            Service::DynamoDb
            | Service::Sqs
            | Service::Kms
            | Service::WechatPay
            | Service::Receiver => serde_json::from_str(&self.body).expect("JSON"),
        })
    }

    fn call(&self, function: Function) -> Call {
        let body = self.json();
        let transaction = body["TransactItems"].as_array();
        let about = match self.service {
            Service::DynamoDb => match transaction {
                Some(items) => items
                    .iter()
                    .map(item_of_transaction)
                    .collect::<Vec<_>>()
                    .join(" + "),
                None => item(body),
            },
            Service::Sqs => body["QueueUrl"]
                .as_str()
                .and_then(|url| url.rsplit('/').next())
                .unwrap_or_default()
                .to_owned(),
            Service::Kms => match body["EncryptionContext"]["purpose"].as_str() {
                Some(purpose) => purpose.to_owned(),
                None => body["KeyId"].as_str().unwrap_or_default().to_owned(),
            },
            // Without the bucket.
            Service::S3 => self
                .file
                .as_ref()
                .and_then(|file| file.path().splitn(3, '/').nth(2))
                .unwrap_or_default()
                .to_owned(),
            Service::WechatPay | Service::Receiver => String::new(),
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
            service: self.service,
            operation: self.operation.clone(),
            about,
            writes: !reads.contains(&self.operation.as_str()),
            reads_index: body.get("IndexName").is_some(),
        }
    }

    /// What is asked of an index, if something is: its name and part, without the time until which.
    fn question_to_index(&self) -> Option<String> {
        let body = self.json();
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

    /// What SQS or KMS would refuse and their engines here forgive.
    fn is_against_the_rules(&self) -> Option<&'static str> {
        let service = match self.service {
            Service::Sqs => testbed::Service::Sqs,
            Service::Kms => testbed::Service::Kms,
            Service::DynamoDb | Service::S3 | Service::WechatPay | Service::Receiver => {
                return None;
            }
        };
        testbed::refusal(service, &self.operation, self.json())
    }

    fn attempt_limit_ms(&self) -> i64 {
        match self.service {
            Service::S3 => S3_ATTEMPT_LIMIT_MS,
            Service::DynamoDb
            | Service::Sqs
            | Service::Kms
            | Service::WechatPay
            | Service::Receiver => ATTEMPT_LIMIT_MS,
        }
    }

    fn server_error(&self) -> HttpResponse {
        match self.service {
            Service::S3 => of_s3(S3Reply::bad(500, "InternalError")),
            Service::DynamoDb
            | Service::Sqs
            | Service::Kms
            | Service::WechatPay
            | Service::Receiver => refusal(500, "InternalServerError", None),
        }
    }

    fn throttled(&self) -> HttpResponse {
        let code = match self.service {
            Service::DynamoDb => "ProvisionedThroughputExceededException",
            Service::Sqs => "RequestThrottled",
            Service::Kms | Service::WechatPay | Service::Receiver => "ThrottlingException",
            Service::S3 => return of_s3(S3Reply::bad(503, "SlowDown")),
        };
        refusal(400, code, None)
    }

    fn conflict(&self) -> HttpResponse {
        let body = self.json();
        match body["TransactItems"].as_array() {
            Some(items) => {
                let reason = json!({"Code": "TransactionConflict", "Message": "by the harness"});
                refusal(
                    400,
                    "TransactionCanceledException",
                    Some(vec![reason; items.len()]),
                )
            }
            None => refusal(400, "TransactionConflictException", None),
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

fn refusal(status: u16, code: &str, reasons: Option<Vec<Value>>) -> HttpResponse {
    let mut body = json!({"__type": format!("harness#{code}"), "message": "by the harness"});
    if let Some(reasons) = reasons {
        body["CancellationReasons"] = Value::Array(reasons);
    }
    response(Reply {
        status,
        body: body.to_string(),
    })
}

fn of_s3(reply: S3Reply) -> HttpResponse {
    reply.into_response().expect("a status")
}

fn response(reply: Reply) -> HttpResponse {
    let status = reply.status.try_into().expect("a status");
    let mut response = HttpResponse::new(status, SdkBody::from(reply.body));
    response
        .headers_mut()
        .insert("content-type", "application/x-amz-json-1.0");
    response
}

/// Time passes on a sandbox's clock.
pub(crate) fn advance(clock: &Clock, ms: i64) {
    clock.advance(std::time::Duration::from_millis(
        u64::try_from(ms).unwrap_or_default(),
    ));
}
