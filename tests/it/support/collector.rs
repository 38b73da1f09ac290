//! A collector of spans: takes OTLP over HTTP and decodes it by OpenTelemetry's own types.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value},
    trace::v1,
};
use prost::Message;
use runtime::{
    clock::Clock,
    otlp::{RecordedInvocation, Spans},
};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// One export as it came.
#[derive(Clone)]
pub(crate) struct Export {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A span, and the function that made it.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: v1::span::SpanKind,
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) parent: String,
    pub(crate) trace_state: String,
    /// Traces and spans.
    pub(crate) links: Vec<(String, String)>,
    pub(crate) attributes: Value,
    pub(crate) has_failed: bool,
    pub(crate) from_ms: u64,
    pub(crate) until_ms: u64,
}

impl Got {
    pub(crate) fn ids(&self) -> (String, String) {
        (self.trace_id.clone(), self.span_id.clone())
    }
}

/// How a collector answers.
#[derive(Clone, Copy, Default)]
pub(crate) enum CollectorAnswers {
    #[default]
    Takes,
    Refuses,
    /// Never.
    Hangs,
}

/// A running collector.
#[derive(Clone)]
pub(crate) struct Collector {
    pub(crate) url: String,
    exports: Arc<Mutex<Vec<Export>>>,
    manner: Arc<Mutex<CollectorAnswers>>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let collector = Self::at(format!("http://{address}/v1/traces"));
        let routes = Router::new()
            .route("/v1/traces", post(take))
            .with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        collector
    }

    /// How it answers from now on.
    pub(crate) fn answers(&self, manner: CollectorAnswers) {
        *self.manner.lock().expect("a lock") = manner;
    }

    /// One that is somewhere else.
    pub(crate) fn at(url: String) -> Self {
        Self {
            url,
            exports: Arc::default(),
            manner: Arc::default(),
        }
    }

    /// Where nobody listens.
    pub(crate) fn nowhere() -> Self {
        Self::at("http://127.0.0.1:9/v1/traces".to_owned())
    }

    /// What records the spans of this function and sends them here.
    pub(crate) fn spans_of(&self, service: &'static str, clock: &Clock) -> Spans {
        let vars = std::collections::BTreeMap::from([
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", self.url.as_str()),
            ("METRICS_NAMESPACE", "stack"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
        ]);
        Spans::start(&vars, service, clock).expect("an endpoint")
    }

    pub(crate) fn exports(&self) -> Vec<Export> {
        self.exports.lock().expect("a lock").clone()
    }

    /// All spans that came.
    pub(crate) fn got(&self) -> Vec<Got> {
        let exports = self.exports().into_iter();
        exports.flat_map(|export| read(&export.body)).collect()
    }
}

/// An invocation with plenty of time.
pub(crate) fn invocation(id: &str) -> RecordedInvocation {
    RecordedInvocation {
        id: id.to_owned(),
        ends_at_ms: i64::MAX,
    }
}

async fn take(
    State(collector): State<Collector>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let path = uri.path().to_owned();
    let export = Export {
        path,
        headers,
        body,
    };
    collector.exports.lock().expect("a lock").push(export);
    let manner = *collector.manner.lock().expect("a lock");
    match manner {
        CollectorAnswers::Takes => StatusCode::OK,
        CollectorAnswers::Refuses => StatusCode::SERVICE_UNAVAILABLE,
        CollectorAnswers::Hangs => std::future::pending().await,
    }
}

/// The spans of an export.
fn read(body: &[u8]) -> Vec<Got> {
    let export = ExportTraceServiceRequest::decode(body).expect("OTLP");
    let mut got = Vec::new();
    for of_function in export.resource_spans {
        let resource = attributes(&of_function.resource.expect("a resource").attributes);
        let service = resource["service.name"].as_str().expect("a service");
        for span in of_function.scope_spans.into_iter().flat_map(|of| of.spans) {
            assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
            let links = span.links.iter();
            let links = links.map(|link| (hex(&link.trace_id), hex(&link.span_id)));
            got.push(Got {
                service: service.to_owned(),
                kind: span.kind(),
                trace_id: hex(&span.trace_id),
                span_id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                trace_state: span.trace_state,
                links: links.collect(),
                attributes: attributes(&span.attributes),
                has_failed: span.status.is_some_and(|status| status.code == 2),
                from_ms: span.start_time_unix_nano / 1_000_000,
                until_ms: span.end_time_unix_nano / 1_000_000,
                name: span.name,
            });
        }
    }
    got
}

fn attributes(list: &[KeyValue]) -> Value {
    let mut read = Map::new();
    for attribute in list {
        let value = attribute
            .value
            .as_ref()
            .and_then(|value| value.value.as_ref());
        let value = match value.expect("a value") {
            any_value::Value::StringValue(text) => json!(text),
            any_value::Value::BoolValue(is_so) => json!(is_so),
            any_value::Value::IntValue(number) => json!(number),
            other @ (any_value::Value::ArrayValue(_)
            | any_value::Value::BytesValue(_)
            | any_value::Value::DoubleValue(_)
            | any_value::Value::KvlistValue(_)
            | any_value::Value::StringValueStrindex(_)) => json!(format!("{other:?}")),
        };
        let twice = read.insert(attribute.key.clone(), value);
        assert!(twice.is_none(), "{} is there twice", attribute.key);
    }
    Value::Object(read)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
