//! Calls to AWS that look and change nothing, signed by hand: a dozen operations of ten services,
//! whose SDKs would take the client's build minutes and give back types of which two fields are
//! read. Order and money go through the SDKs (`stores`).

use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use reqwest::header::DATE;
use reqwest::{Method, StatusCode};
use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::xml::Element;
use crate::cloud::Account;

/// Time for one attempt.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 3;
/// What the codes hold by which services say that something does not exist.
const MISSING: [&str; 3] = ["NotFound", "NonExistent", "DoesNotExist"];
/// The header by which services that are asked by a path name their refusals.
const ERROR_TYPE: &str = "x-amzn-errortype";
/// The pause before the second attempt; the next is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(400);

/// A service, by the first part of its address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    host: &'static str,
    /// The name that signatures are made for.
    signed_as: &'static str,
    protocol: Protocol,
    /// One for all Regions of a partition.
    is_global: bool,
}

#[derive(Clone, Copy, Debug)]
enum Protocol {
    /// The operation is named by a header, after this prefix.
    Json {
        target: &'static str,
        version: &'static str,
    },
    /// The operation is a method and a path.
    Rest,
    /// The operation is a field of a form; the answer is XML.
    Query { version: &'static str },
}

const fn json(host: &'static str, target: &'static str, version: &'static str) -> Service {
    Service {
        host,
        signed_as: host,
        protocol: Protocol::Json { target, version },
        is_global: false,
    }
}

const fn rest(host: &'static str) -> Service {
    Service {
        host,
        signed_as: host,
        protocol: Protocol::Rest,
        is_global: false,
    }
}

const fn query(host: &'static str, version: &'static str) -> Service {
    Service {
        host,
        signed_as: host,
        protocol: Protocol::Query { version },
        is_global: false,
    }
}

pub(crate) const KMS: Service = json("kms", "TrentService", "1.1");
pub(crate) const DYNAMODB: Service = json("dynamodb", "DynamoDB_20120810", "1.0");
pub(crate) const SQS: Service = json("sqs", "AmazonSQS", "1.0");
pub(crate) const CLOUDWATCH: Service = json("monitoring", "GraniteServiceVersion20100801", "1.0");
pub(crate) const EVENTS: Service = json("events", "AWSEvents", "1.1");
pub(crate) const LAMBDA: Service = rest("lambda");
pub(crate) const SCHEDULER: Service = rest("scheduler");
pub(crate) const PIPES: Service = rest("pipes");
pub(crate) const CLOUDFORMATION: Service = query("cloudformation", "2010-05-15");
pub(crate) const SNS: Service = query("sns", "2010-03-31");
pub(crate) const STS: Service = query("sts", "2011-06-15");
pub(crate) const QUOTAS: Service = json("servicequotas", "ServiceQuotasV20190624", "1.1");
pub(crate) const IAM: Service = Service {
    is_global: true,
    ..query("iam", "2010-05-08")
};

/// A call that gave nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The service refused.
    #[error("{operation} was refused: {code} ({message})")]
    Refused {
        operation: String,
        code: String,
        message: String,
    },
    /// No answer, or one that the service itself calls a failure.
    #[error("{operation} got no answer: {why}")]
    NoAnswer { operation: String, why: String },
    /// The answer is not as documented.
    #[error("the answer to {operation} cannot be read")]
    Unreadable { operation: String },
    /// The request cannot be made of what the environment says.
    #[error("{operation} cannot be sent: {why}")]
    NotSent { operation: String, why: String },
}

impl CallError {
    /// The service's own code for its refusal.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::NoAnswer { .. } | Self::Unreadable { .. } | Self::NotSent { .. } => None,
        }
    }

    /// Whether what was asked for does not exist.
    pub(crate) fn is_missing(&self) -> bool {
        self.code()
            .is_some_and(|code| MISSING.iter().any(|part| code.contains(part)))
    }
}

#[derive(Debug)]
pub(crate) struct AwsCalls {
    http: reqwest::Client,
    settings: AwsSettings,
    clock: Clock,
    /// By how many seconds our clock is ahead of AWS's, as of the last answer that told the time.
    ahead_s: Mutex<Option<i64>>,
}

impl AwsCalls {
    /// An account by the SDK, and the same by calls for which there is no SDK here.
    pub(crate) async fn beside_sdk(
        account: &Account,
        clock: &Clock,
    ) -> Result<(Aws, Self), Box<dyn std::error::Error>> {
        let settings = account.settings(clock).await?;
        let aws = Aws::new(&settings, clock);
        Ok((aws, Self::new(settings, clock.clone())?))
    }

    pub(crate) fn new(
        settings: AwsSettings,
        clock: Clock,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let mut builder = reqwest::Client::builder()
            .timeout(TIME_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .tls_backend_preconfigured(runtime::tls::client_config()?);
        if settings.is_on_this_machine() {
            builder = builder.no_proxy();
        }
        Ok(Self {
            http: builder.build()?,
            settings,
            clock,
            ahead_s: Mutex::new(None),
        })
    }

    pub(crate) fn region(&self) -> &str {
        self.settings.region()
    }

    /// Whether all of AWS is an engine on this machine.
    pub(crate) fn is_on_this_machine(&self) -> bool {
        self.settings.is_on_this_machine()
    }

    /// By how many seconds our clock is ahead of AWS's; `None` before the first answer.
    pub(crate) fn ahead_s(&self) -> Option<i64> {
        self.ahead_s.lock().ok().and_then(|ahead_s| *ahead_s)
    }

    /// An operation of a service that is asked in JSON.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        service: Service,
        operation: &str,
        input: &Value,
    ) -> Result<T, CallError> {
        let mut headers = Vec::new();
        if let Protocol::Json { target, version } = service.protocol {
            headers.push(("x-amz-target", format!("{target}.{operation}")));
            headers.push(("content-type", format!("application/x-amz-json-{version}")));
        }
        let call = Outgoing {
            service,
            operation,
            method: Method::POST,
            path: "/",
            headers,
            body: input.to_string().into_bytes(),
        };
        parsed(operation, &self.answered(&call).await?)
    }

    /// An operation that is a path. Parts of it are names without anything that has to be escaped.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        service: Service,
        operation: &str,
        path: &str,
    ) -> Result<T, CallError> {
        let call = Outgoing {
            service,
            operation,
            method: Method::GET,
            path,
            headers: Vec::new(),
            body: Vec::new(),
        };
        parsed(operation, &self.answered(&call).await?)
    }

    /// An operation of a service that is asked by a form and answers in XML.
    pub(crate) async fn query(
        &self,
        service: Service,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Result<Element, CallError> {
        let Protocol::Query { version } = service.protocol else {
            return Err(CallError::NotSent {
                operation: action.to_owned(),
                why: "the service takes no forms".to_owned(),
            });
        };
        let own = [("Action", action), ("Version", version)];
        let form: Vec<String> = own
            .iter()
            .chain(fields)
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        let form_type = "application/x-www-form-urlencoded; charset=utf-8";
        let call = Outgoing {
            service,
            operation: action,
            method: Method::POST,
            path: "/",
            headers: vec![("content-type", form_type.to_owned())],
            body: form.join("&").into_bytes(),
        };
        let answer = self.answered(&call).await?;
        Element::read(&answer).ok_or_else(|| CallError::Unreadable {
            operation: action.to_owned(),
        })
    }

    /// The body of a success. What may pass is tried again.
    async fn answered(&self, call: &Outgoing<'_>) -> Result<Vec<u8>, CallError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.attempt(call).await {
                Err(error) if may_pass(&error) => {}
                other => return other,
            }
            self.clock.sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
        self.attempt(call).await
    }

    async fn attempt(&self, call: &Outgoing<'_>) -> Result<Vec<u8>, CallError> {
        let url = format!("{}{}", self.base(call.service), call.path);
        let no_answer = |why: String| CallError::NoAnswer {
            operation: call.operation.to_owned(),
            why,
        };
        let mut request = self
            .http
            .request(call.method.clone(), &url)
            .body(call.body.clone());
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        for (name, value) in self.signature(call, &url)? {
            request = request.header(name, value);
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| no_answer(chain(&error.without_url())))?;
        let status = answer.status();
        let date = answer.headers().get(DATE);
        self.note_time(date.and_then(|date| date.to_str().ok()));
        let named = answer.headers().get(ERROR_TYPE);
        let named = named.and_then(|named| named.to_str().ok().map(ToOwned::to_owned));
        let body = answer.bytes().await;
        let body = body.map_err(|error| no_answer(chain(&error.without_url())))?;
        if status.is_success() {
            return Ok(body.into());
        }
        Err(refused(call.operation, status, named, &body))
    }

    /// What a signed request has more than the request: names and values of headers.
    fn signature(
        &self,
        call: &Outgoing<'_>,
        url: &str,
    ) -> Result<Vec<(String, String)>, CallError> {
        let not_sent = |why: String| CallError::NotSent {
            operation: call.operation.to_owned(),
            why,
        };
        let identity = Identity::from(self.settings.credentials().clone());
        let now_ms = u64::try_from(self.clock.now_ms()).unwrap_or_default();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.signed_for(call.service))
            .name(call.service.signed_as)
            .time(UNIX_EPOCH + Duration::from_millis(now_ms))
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| not_sent(error.to_string()))?
            .into();
        let headers = call
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        let body = SignableBody::Bytes(&call.body);
        let request = SignableRequest::new(call.method.as_str(), url, headers, body)
            .map_err(|error| not_sent(error.to_string()))?;
        let signed = sign(request, &parameters).map_err(|error| not_sent(error.to_string()))?;
        let (instructions, _signature) = signed.into_parts();
        Ok(instructions
            .headers()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }

    fn base(&self, service: Service) -> String {
        if let Some(endpoint) = self.settings.endpoint() {
            return endpoint.trim_end_matches('/').to_owned();
        }
        let region = self.settings.region();
        match (region.starts_with("cn-"), service.is_global) {
            (false, false) => format!("https://{}.{region}.amazonaws.com", service.host),
            (false, true) => format!("https://{}.amazonaws.com", service.host),
            (true, false) => format!("https://{}.{region}.amazonaws.com.cn", service.host),
            (true, true) => format!("https://{}.cn-north-1.amazonaws.com.cn", service.host),
        }
    }

    /// The Region that a signature names: a service for all of them takes one Region's.
    fn signed_for(&self, service: Service) -> &str {
        let region = self.settings.region();
        match (service.is_global, region.starts_with("cn-")) {
            (false, _) => region,
            (true, false) => "us-east-1",
            (true, true) => "cn-north-1",
        }
    }

    fn note_time(&self, date: Option<&str>) {
        let told = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        let (Some(told), Ok(mut ahead_s)) = (told, self.ahead_s.lock()) else {
            return;
        };
        *ahead_s = Some(self.clock.now().0.saturating_sub(told.secs()));
    }
}

struct Outgoing<'a> {
    service: Service,
    operation: &'a str,
    method: Method,
    path: &'a str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn parsed<T: DeserializeOwned>(operation: &str, body: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|_| CallError::Unreadable {
        operation: operation.to_owned(),
    })
}

/// AWS's refusals, in JSON or XML. A code may have a namespace before it and an address after it.
fn refused(operation: &str, status: StatusCode, named: Option<String>, body: &[u8]) -> CallError {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(rename = "__type", alias = "code", alias = "Code")]
        code: Option<String>,
        #[serde(alias = "Message")]
        message: Option<String>,
    }
    let read = match serde_json::from_slice::<Refusal>(body) {
        Ok(read) => Some((read.code, read.message.unwrap_or_default())),
        Err(_) => Element::read(body).map(|answer| {
            let code = answer.text_of("Code").map(ToOwned::to_owned);
            (
                code,
                answer.text_of("Message").unwrap_or_default().to_owned(),
            )
        }),
    };
    let (code, message) = read.unwrap_or_default();
    let code = named.or(code).map(|code| {
        let own = code.rsplit('#').next().unwrap_or_default();
        own.split(':').next().unwrap_or_default().to_owned()
    });
    if status.is_server_error() {
        return CallError::NoAnswer {
            operation: operation.to_owned(),
            why: format!("HTTP {}", status.as_u16()),
        };
    }
    CallError::Refused {
        operation: operation.to_owned(),
        code: code.unwrap_or_else(|| format!("HTTP {}", status.as_u16())),
        message,
    }
}

fn may_pass(error: &CallError) -> bool {
    match error {
        CallError::NoAnswer { .. } => true,
        CallError::Refused { code, .. } => {
            code.contains("Throttl") || code.contains("TooManyRequests")
        }
        CallError::Unreadable { .. } | CallError::NotSent { .. } => false,
    }
}

/// The error with its causes: `reqwest` says why only in them.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A value of a form.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_in_each_protocol() {
        let bad_request = StatusCode::BAD_REQUEST;
        for (named, body, code) in [
            (
                None,
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no"}"#,
                "ResourceNotFoundException",
            ),
            (
                Some("ResourceNotFoundException:http://internal.amazon.com/coral/"),
                r#"{"Type":"User","Message":"no"}"#,
                "ResourceNotFoundException",
            ),
            (
                None,
                "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>no</Message></Error></ErrorResponse>",
                "ValidationError",
            ),
            (None, "<html>", "HTTP 400"),
        ] {
            let named = named.map(ToOwned::to_owned);
            let error = refused("Look", bad_request, named, body.as_bytes());
            assert_eq!(error.code(), Some(code), "{body}");
        }
        let failed = refused("Look", StatusCode::BAD_GATEWAY, None, b"");
        assert!(may_pass(&failed) && failed.code().is_none());
        let throttled = refused(
            "Look",
            bad_request,
            None,
            br#"{"__type":"ThrottlingException"}"#,
        );
        assert!(may_pass(&throttled));
        let missing = refused(
            "Look",
            bad_request,
            None,
            br#"{"__type":"AWS.SimpleQueueService.NonExistentQueue"}"#,
        );
        assert!(missing.is_missing());
    }

    #[test]
    fn a_form_s_values_are_escaped() {
        assert_eq!(escaped("a b&c=中~"), "a%20b%26c%3D%E4%B8%AD~");
    }

    #[test]
    fn the_addresses_of_china_s_regions_end_in_their_own_domain() {
        let address = |region: &str, service: Service| {
            let vars = std::collections::BTreeMap::from([
                ("AWS_REGION", region),
                ("AWS_ACCESS_KEY_ID", "id"),
                ("AWS_SECRET_ACCESS_KEY", "key"),
            ]);
            let mut reader = runtime::env::SettingsReader::new(&vars);
            let settings = AwsSettings::read(&mut reader).unwrap();
            let calls = AwsCalls::new(settings, Clock::system()).unwrap();
            (calls.base(service), calls.signed_for(service).to_owned())
        };
        for (region, service, url, signed_for) in [
            (
                "ap-east-1",
                KMS,
                "https://kms.ap-east-1.amazonaws.com",
                "ap-east-1",
            ),
            (
                "cn-northwest-1",
                KMS,
                "https://kms.cn-northwest-1.amazonaws.com.cn",
                "cn-northwest-1",
            ),
            ("ap-east-1", IAM, "https://iam.amazonaws.com", "us-east-1"),
            (
                "cn-northwest-1",
                IAM,
                "https://iam.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
            ),
        ] {
            let expected = (url.to_owned(), signed_for.to_owned());
            assert_eq!(address(region, service), expected);
        }
    }
}
