//! CloudWatch's metrics over HTTP: the crate `cloudwatch` behind its JSON protocol, with each
//! request's signature verified, and a console that asks it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::{digest, hmac};
use axum::{Json, Router, body::to_bytes, extract::State, response::IntoResponse};
use cloudwatch::{CloudWatch, metric_data};
use console::app::App;
use http::{HeaderMap, Method, StatusCode, Uri};
use runtime::{
    aws::{Aws, AwsSettings, CallLimits},
    clock::Clock,
    random::Random,
};
use serde_json::{Value, json};
use testbed::{Tables, environment::environment, open};
use tokio::net::TcpListener;

/// What `AwsSettings::local` signs with.
const SECRET: &str = "local";
const SCOPE: &str = "us-east-1/monitoring/aws4_request";

/// CloudWatch at an address of its own. Clones share it.
#[derive(Clone)]
pub(crate) struct MetricsEndpoint {
    /// What functions are given as `AWS_ENDPOINT_URL_CLOUDWATCH`.
    pub(crate) url: String,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    metrics: CloudWatch,
    manner: Manner,
    asked: Vec<Value>,
}

/// How it answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    Well,
    /// In two pages; what is on the second is said to be partial on the first.
    InPages,
    /// The role may not read metrics.
    Denies,
    /// It may not read some of them.
    ForbidsSome,
    /// No answer comes.
    Silent,
    /// No JSON.
    Garbled,
}

impl MetricsEndpoint {
    /// One without any value.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let metrics = CloudWatch::of(&[], &[], &[]).expect("no alarms");
        let endpoint = Self {
            url: format!("http://{address}/metrics"),
            inner: Arc::new(Mutex::new(Inner {
                metrics,
                manner: Manner::Well,
                asked: Vec::new(),
            })),
        };
        let app = Router::new().fallback(serve).with_state(endpoint.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        endpoint
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn answers(&self, manner: Manner) {
        self.inner().manner = manner;
    }

    /// Takes the metrics of lines that functions logged.
    pub(crate) fn take(&self, lines: &[Value]) {
        for line in lines {
            let at_ms = line["_aws"]["Timestamp"].as_i64().unwrap_or_default();
            let taken = self.inner().metrics.take_line("logs", line, at_ms);
            taken.expect("CloudWatch takes each metric of the line");
        }
    }

    /// AWS itself puts a value into a metric.
    pub(crate) fn put(
        &self,
        (namespace, name): (&str, &str),
        dimensions: &[(&str, &str)],
        value: i64,
        at_ms: i64,
    ) {
        let metric = cloudwatch::store::Metric::new(namespace, name, dimensions);
        let value = cloudwatch::number::Number::whole(value);
        self.inner().metrics.put(metric, at_ms, value);
    }

    /// The bodies of the calls so far.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.inner().asked.clone()
    }

    /// A console on this machine that asks here, and has no AWS beside it.
    pub(crate) fn console(&self, clock: &Clock) -> Arc<App> {
        console_of(&self.url, clock)
    }
}

/// The same at an address where CloudWatch may not be.
pub(crate) fn console_of(url: &str, clock: &Clock) -> Arc<App> {
    let nowhere = "http://127.0.0.1:1";
    let vars = environment(
        &Tables::named(""),
        nowhere,
        &[
            ("AWS_ENDPOINT_URL", nowhere),
            ("AWS_ENDPOINT_URL_CLOUDWATCH", url),
            ("CONSOLE_AUTH", "loopback"),
            // Where `Lines` has its metrics.
            ("METRICS_NAMESPACE", "AWS::StackName"),
        ],
    );
    let aws = Aws::new(&AwsSettings::local(nowhere), clock).within(CallLimits::PROMPT);
    Arc::new(open!(console, &vars, aws, clock, Random::system()))
}

async fn serve(
    State(endpoint): State<MetricsEndpoint>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: axum::body::Body,
) -> axum::response::Response {
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    assert_eq!(headers["x-amz-target"], metric_data::TARGET);
    assert_eq!(headers["content-type"], "application/x-amz-json-1.0");
    if !is_signed(&method, &uri, &headers, &body) {
        let refused = json!({"__type": "InvalidSignatureException", "message": "not signed so"});
        return (StatusCode::FORBIDDEN, Json(refused)).into_response();
    }
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let manner = {
        let mut inner = endpoint.inner();
        inner.asked.push(body.clone());
        inner.manner
    };
    match manner {
        Manner::Well => answered(&endpoint, &body).into_response(),
        Manner::InPages => paged(&endpoint, body).into_response(),
        Manner::ForbidsSome => {
            let Json(mut answer) = answered(&endpoint, &body);
            for result in answer["MetricDataResults"]
                .as_array_mut()
                .expect("results")
                .iter_mut()
                .take(3)
            {
                result["StatusCode"] = json!("Forbidden");
                result["Values"] = json!([]);
            }
            answer["Messages"] = json!([{"Code": "Forbidden", "Value": "some metrics"}]);
            Json(answer).into_response()
        }
        Manner::Denies => {
            let message = "User: arn:aws:sts::123456789012:assumed-role/console is not authorized";
            let refused = json!({"__type": "com.amazon.coral.service#AccessDeniedException", "Message": message});
            (StatusCode::BAD_REQUEST, Json(refused)).into_response()
        }
        Manner::Silent => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            StatusCode::OK.into_response()
        }
        Manner::Garbled => "<html>".into_response(),
    }
}

fn answered(endpoint: &MetricsEndpoint, body: &Value) -> Json<Value> {
    let answer = metric_data::answer(endpoint.inner().metrics.store(), body);
    Json(answer.expect("a question that CloudWatch takes"))
}

fn paged(endpoint: &MetricsEndpoint, mut body: Value) -> Json<Value> {
    let token = body
        .as_object_mut()
        .and_then(|body| body.remove("NextToken"));
    let Json(mut answer) = answered(endpoint, &body);
    let results = answer["MetricDataResults"].as_array_mut().expect("results");
    match token {
        None => {
            for result in results.iter_mut().skip(100) {
                result["StatusCode"] = json!("PartialData");
                result["Values"] = json!([]);
            }
            answer["NextToken"] = json!("second");
        }
        Some(token) => {
            assert_eq!(token, "second");
            results.drain(..100);
        }
    }
    Json(answer)
}

/// Signature Version 4, from its description.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
fn is_signed(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(authorization), Some(at)) = (text("authorization"), text("x-amz-date")) else {
        return false;
    };
    let day = &at[..8];
    let part = |name: &str| {
        let (_, rest) = authorization.split_once(name)?;
        rest.split([',', ' ']).next()
    };
    let (Some(signed), Some(signature)) = (part("SignedHeaders="), part("Signature=")) else {
        return false;
    };
    let all_signed = ["host", "x-amz-date", "x-amz-target", "content-type"]
        .iter()
        .all(|name| signed.split(';').any(|one| one == *name));
    let lines: String = signed
        .split(';')
        .map(|name| format!("{name}:{}\n", text(name).unwrap_or_default().trim()))
        .collect();
    let canonical = format!(
        "{method}\n{}\n{}\n{lines}\n{signed}\n{}",
        uri.path(),
        uri.query().unwrap_or_default(),
        hex(digest::digest(&digest::SHA256, body).as_ref())
    );
    let hashed = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let to_sign = format!("AWS4-HMAC-SHA256\n{at}\n{day}/{SCOPE}\n{hashed}");
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in [day].into_iter().chain(SCOPE.split('/')) {
        key = mac(&key, part.as_bytes());
    }
    let is_right = hex(&mac(&key, to_sign.as_bytes())) == signature;
    let of_scope = part("Credential=") == Some(&format!("local/{day}/{SCOPE}"));
    all_signed && of_scope && is_right
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
