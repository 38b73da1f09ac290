//! Sends what was recorded: one request after an invocation's answer, in little time, once.
//!
//! The messages are OpenTelemetry's own generated types. Its SDK is not used: its processors block
//! the only thread or want a second one, and its exporters repeat after pauses, of which nothing
//! can be had between an answer and the next event.

use std::error::Error;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use futures_util::future::{Either, select};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tracing::error;

use super::{
    endpoint::OtlpEndpoint,
    losses::{Losses, Lost},
};
use crate::aws::{AwsSettings, connector};
use crate::clock::Clock;
use crate::env::{SettingsError, SettingsReader, Vars};
use crate::spans::{Invocation, PLACE, Place, SpanList, attribute, only};

/// How long an export may take in all, from the connection to the end of the answer.
pub const EXPORT_WITHIN: Duration = Duration::from_millis(300);
/// What is left to Lambda's runtime of an invocation's time, in milliseconds.
const LEFT_AFTERWARDS_MS: i64 = 100;
/// After a failure nothing is sent for so long, in milliseconds: each try holds one of the
/// function's concurrent executions while callers wait for one.
const RESTS_MS: i64 = 30_000;
/// The name of the signature's service.
const XRAY: &str = "xray";
const PROTOBUF: &str = "application/x-protobuf";

/// An invocation, as Lambda's runtime names it.
#[derive(Clone, Debug)]
pub struct RecordedInvocation {
    pub id: String,
    /// When Lambda stops it (Unix milliseconds).
    pub ends_at_ms: i64,
}

/// Records and exports the spans of a sandbox, or does neither. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Spans(Option<Arc<Exporter>>);

#[derive(Debug)]
struct Exporter {
    endpoint: OtlpEndpoint,
    credentials: Credentials,
    resource: Resource,
    list: Arc<SpanList>,
    clock: Clock,
    /// Built at the first export, when a cold start has been answered.
    connector: OnceLock<SharedHttpConnector>,
    was_called: AtomicBool,
    ends_at_ms: AtomicI64,
    /// When the collector failed last (Unix milliseconds).
    failed_at_ms: AtomicI64,
    losses: Losses,
}

impl Spans {
    /// As the environment says: `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`. Without it nothing is built.
    /// If it is no endpoint, that is logged and spans are off: money is not kept waiting for them.
    /// `service` is the function's name in the template's folders.
    ///
    /// # Errors
    /// [`SettingsError`] if the role's credentials are not there.
    pub fn start(
        vars: &dyn Vars,
        service: &'static str,
        clock: &Clock,
    ) -> Result<Self, SettingsError> {
        let mut reader = SettingsReader::new(vars);
        let endpoint = reader.parsed_or(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "https://HOST/PATH, or http:// to a private address",
            None,
            |text| OtlpEndpoint::parse(text).map(Some),
        );
        let endpoint = match reader.finish(|| endpoint) {
            Ok(Some(endpoint)) => endpoint,
            Ok(None) => return Ok(Self::default()),
            Err(unusable) => {
                error!(
                    error = %unusable,
                    what_to_do = "correct the template parameter OtlpEndpoint: until then no spans are recorded",
                    "spans have nowhere to go"
                );
                return Ok(Self::default());
            }
        };
        let mut reader = SettingsReader::new(vars);
        let aws = AwsSettings::read(&mut reader);
        let aws = reader.finish(|| aws)?;
        let resource = resource(vars, service, aws.region());
        Ok(Self(Some(Arc::new(Exporter::new(
            endpoint,
            aws.credentials().clone(),
            resource,
            clock.clone(),
        )))))
    }

    /// The same through this connector: for a test that stands where CloudWatch would.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn through(self, connector: SharedHttpConnector) -> Self {
        if let Some(exporter) = &self.0 {
            drop(exporter.connector.set(connector));
        }
        self
    }

    /// Whether spans are recorded.
    pub const fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// Handles one event, records its spans and exports them: what the layer does around Lambda's
    /// runtime.
    pub async fn invocation<F: Future>(
        &self,
        invocation: RecordedInvocation,
        work: F,
    ) -> F::Output {
        self.begin(invocation);
        let output = PLACE.scope(self.place(), work).await;
        self.export().await;
        output
    }

    pub(super) fn begin(&self, invocation: RecordedInvocation) {
        let Some(exporter) = &self.0 else { return };
        let RecordedInvocation { id, ends_at_ms } = invocation;
        exporter.ends_at_ms.store(ends_at_ms, Ordering::Relaxed);
        exporter.list.begin(Invocation {
            id,
            is_cold: !exporter.was_called.swap(true, Ordering::Relaxed),
        });
    }

    /// One step of the work, with its spans recorded.
    pub(super) fn within<T>(&self, step: impl FnOnce() -> T) -> T {
        PLACE.sync_scope(self.place(), step)
    }

    fn place(&self) -> Option<Place> {
        self.0.as_ref().map(|exporter| Place {
            list: Arc::clone(&exporter.list),
            current: None,
        })
    }

    pub(super) async fn export(&self) {
        if let Some(exporter) = &self.0 {
            exporter.export().await;
        }
    }
}

impl Exporter {
    fn new(
        endpoint: OtlpEndpoint,
        credentials: Credentials,
        resource: Resource,
        clock: Clock,
    ) -> Self {
        Self {
            endpoint,
            credentials,
            resource,
            list: Arc::new(SpanList::new(clock.clone())),
            clock,
            connector: OnceLock::new(),
            was_called: AtomicBool::new(false),
            ends_at_ms: AtomicI64::new(i64::MAX),
            failed_at_ms: AtomicI64::new(i64::MIN),
            losses: Losses::default(),
        }
    }

    /// Sends what has ended. Whatever becomes of it, the invocation is not touched.
    async fn export(&self) {
        let (spans, no_room) = self.list.take();
        if spans.is_empty() {
            return;
        }
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        let no_room = u64::try_from(no_room).unwrap_or(u64::MAX);
        let (lost, why) = match self.send(spans).await {
            Ok(()) => (no_room, Lost::NoRoom),
            Err(Lost::Rejected(rejected)) => {
                (no_room.saturating_add(rejected), Lost::Rejected(rejected))
            }
            Err(why) => (no_room.saturating_add(count), why),
        };
        let now_ms = self.clock.now_ms();
        if why.is_of_the_collector() {
            self.failed_at_ms.store(now_ms, Ordering::Relaxed);
        }
        self.losses.note(lost, &why, now_ms);
    }

    /// Whether the collector failed a short while ago. A clock that was set back ends the rest.
    fn rests(&self, now_ms: i64) -> bool {
        let failed_at_ms = self.failed_at_ms.load(Ordering::Relaxed);
        (0..RESTS_MS).contains(&now_ms.saturating_sub(failed_at_ms))
    }

    async fn send(&self, spans: Vec<Span>) -> Result<(), Lost> {
        let now_ms = self.clock.now_ms();
        if self.rests(now_ms) {
            return Err(Lost::Rests);
        }
        let left_ms = self
            .ends_at_ms
            .load(Ordering::Relaxed)
            .saturating_sub(now_ms)
            .saturating_sub(LEFT_AFTERWARDS_MS);
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or_default());
        if left.is_zero() {
            return Err(Lost::NoTime);
        }
        let request = self.request(spans)?;
        let within = left.min(EXPORT_WITHIN);
        let limit = self.clock.limit(within);
        match select(pin!(self.post(request)), pin!(limit)).await {
            Either::Left((sent, _)) => sent,
            Either::Right(_) => Err(Lost::TimedOut(within)),
        }
    }

    async fn post(&self, request: HttpRequest) -> Result<(), Lost> {
        let connector = self
            .connector
            .get_or_init(|| connector(self.endpoint.url.starts_with("http://")));
        let answer = connector
            .call(request)
            .await
            .map_err(|error| Lost::NoAnswer(chain(&error)))?;
        let status = answer.status().as_u16();
        // Read whole, so that the connection can be used again.
        let body = ByteStream::new(answer.into_body())
            .collect()
            .await
            .map_err(|error| Lost::NoAnswer(chain(&error)))?
            .into_bytes();
        if !(200..300).contains(&status) {
            return Err(Lost::Refused(status));
        }
        let partly = ExportTraceServiceResponse::decode(body)
            .ok()
            .and_then(|answer| answer.partial_success)
            .and_then(|partly| u64::try_from(partly.rejected_spans).ok())
            .filter(|rejected| *rejected > 0);
        partly.map_or(Ok(()), |rejected| Err(Lost::Rejected(rejected)))
    }

    fn request(&self, spans: Vec<Span>) -> Result<HttpRequest, Lost> {
        let body = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.resource.clone()),
                scope_spans: vec![ScopeSpans {
                    scope: Some(InstrumentationScope {
                        name: "wechat-pay-on-lambda".to_owned(),
                        version: env!("CARGO_PKG_VERSION").to_owned(),
                        ..InstrumentationScope::default()
                    }),
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        }
        .encode_to_vec();
        let not_made = |error: &(dyn Error + 'static)| Lost::NotMade(chain(error));
        let url = self.endpoint.url.as_str();
        let signed = match &self.endpoint.signed_for {
            Some(region) => self.signature(region, url, &body)?,
            None => Vec::new(),
        };
        let mut request = HttpRequest::new(SdkBody::from(body));
        request
            .set_method("POST")
            .map_err(|error| not_made(&error))?;
        request.set_uri(url).map_err(|error| not_made(&error))?;
        let headers = request.headers_mut();
        headers.insert("content-type", PROTOBUF);
        for (name, value) in signed {
            headers
                .try_insert(name, value)
                .map_err(|error| not_made(&error))?;
        }
        Ok(request)
    }

    /// The headers by which CloudWatch knows the function's role.
    fn signature(
        &self,
        region: &str,
        url: &str,
        body: &[u8],
    ) -> Result<Vec<(String, String)>, Lost> {
        let not_made = |error: &(dyn Error + 'static)| Lost::NotMade(chain(error));
        let identity = Identity::from(self.credentials.clone());
        let now: SystemTime = TimeSource::now(&self.clock);
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(XRAY)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| not_made(&error))?
            .into();
        let headers = [("content-type", PROTOBUF)].into_iter();
        let request = SignableRequest::new("POST", url, headers, SignableBody::Bytes(body))
            .map_err(|error| not_made(&error))?;
        let signed = sign(request, &parameters).map_err(|error| not_made(&error))?;
        let (instructions, _) = signed.into_parts();
        Ok(instructions
            .headers()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }
}

/// What made the spans.
fn resource(vars: &dyn Vars, service: &'static str, region: &str) -> Resource {
    let mut attributes = vec![
        attribute("service.name", service),
        attribute("cloud.provider", "aws"),
        attribute("cloud.platform", "aws_lambda"),
        attribute("cloud.region", region),
    ];
    let named = |name| vars.get(name).filter(|value| !value.is_empty());
    for (key, name) in [
        ("service.namespace", "METRICS_NAMESPACE"),
        ("service.version", "RELEASE"),
        ("faas.name", "AWS_LAMBDA_FUNCTION_NAME"),
        ("faas.version", "AWS_LAMBDA_FUNCTION_VERSION"),
        ("faas.instance", "AWS_LAMBDA_LOG_STREAM_NAME"),
    ] {
        attributes.extend(named(name).map(|value| attribute(key, value)));
    }
    // CloudWatch finds the log lines of a span by it.
    let group = named("AWS_LAMBDA_LOG_GROUP_NAME");
    attributes.extend(group.map(|group| attribute("aws.log.group.names", only(group))));
    Resource {
        attributes,
        ..Resource::default()
    }
}

/// An error with its causes.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
