//! Read-only calls to AWS, signed here: dozens of operations of a dozen services. Their SDKs would
//! add minutes to the client's build, for types of which two fields are read. Orders and money go
//! through the SDKs (`stores`).

mod error;
mod service;

use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use reqwest::Method;
use reqwest::header::DATE;
use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::xml::Element;
use crate::cloud::Account;
use error::{chain, may_pass, refused};
use service::{Protocol, S3};

pub(crate) use error::CallError;
pub(crate) use service::{
    ACM, CLOUDFORMATION, CLOUDWATCH, DYNAMODB, EC2, EVENTS, IAM, KMS, LAMBDA, PIPES, QUOTAS,
    SCHEDULER, SNS, SQS, STS, Service,
};

/// Time for one attempt.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 3;
/// The header by which services that are asked by a path name their refusals.
const ERROR_TYPE: &str = "x-amzn-errortype";
/// The pause before the second attempt; the next is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(400);

#[derive(Debug)]
pub(crate) struct AwsCalls {
    http: reqwest::Client,
    settings: AwsSettings,
    clock: Clock,
    /// By how many seconds our clock is ahead of AWS's, as of the last answer with a date.
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

    /// A file in S3, read as API Gateway reads it: with these credentials.
    pub(crate) async fn object(&self, bucket: &str, key: &str) -> Result<Vec<u8>, CallError> {
        let parts: Vec<String> = key.split('/').map(escaped).collect();
        let call = Outgoing {
            service: S3,
            operation: "GetObject",
            method: Method::GET,
            path: &format!("/{bucket}/{}", parts.join("/")),
            headers: Vec::new(),
            body: Vec::new(),
        };
        self.answered(&call).await
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
            .region(call.service.signed_for(self.settings.region()))
            .name(call.service.signed_as)
            .time(UNIX_EPOCH + Duration::from_millis(now_ms))
            .settings(signing_settings(call.service))
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
        match self.settings.endpoint() {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => service.address(self.settings.region()),
        }
    }

    fn note_time(&self, date: Option<&str>) {
        let date = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        let (Some(date), Ok(mut ahead_s)) = (date, self.ahead_s.lock()) else {
            return;
        };
        *ahead_s = Some(self.clock.now().0.saturating_sub(date.secs()));
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

fn signing_settings(service: Service) -> SigningSettings {
    let mut settings = SigningSettings::default();
    match service.protocol {
        Protocol::S3 => {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        Protocol::Json { .. } | Protocol::Rest | Protocol::Query { .. } => {}
    }
    settings
}

fn parsed<T: DeserializeOwned>(operation: &str, body: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|_| CallError::Unreadable {
        operation: operation.to_owned(),
    })
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
    fn a_form_s_values_are_escaped() {
        assert_eq!(escaped("a b&c=中~"), "a%20b%26c%3D%E4%B8%AD~");
    }
}
