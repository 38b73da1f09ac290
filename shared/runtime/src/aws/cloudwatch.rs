//! CloudWatch, asked in JSON. Its SDK would be one more in a function and in each build, for one
//! operation of which a page reads a list of numbers. The time limits, repeats and connections are
//! those of the SDKs all the same.

use std::fmt;

use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{
    HttpStatusCodeClassifier, TransientErrorClassifier,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::metadata::ErrorMetadata;
use serde_json::Value;

use super::signed::{Unsigned, signature};
use super::{Aws, AwsError, is_endpoint};
use crate::env::SettingsReader;

/// The name that signatures are made for, and the first part of the address.
const SERVICE: &str = "monitoring";
const TARGET: &str = "x-amz-target";
const CONTENT_TYPE: &str = "content-type";
const JSON: &str = "application/x-amz-json-1.0";

/// `AWS_ENDPOINT_URL_CLOUDWATCH`, as the SDKs read it: CloudWatch is not where the rest of AWS is,
/// as on a developer's machine.
pub fn cloudwatch_endpoint(reader: &mut SettingsReader<'_>) -> Option<Option<String>> {
    reader.parsed_or(
        "AWS_ENDPOINT_URL_CLOUDWATCH",
        "https://..., or http:// to a private address",
        None,
        |url| is_endpoint(url).then(|| Some(url.to_owned())),
    )
}

/// A client for CloudWatch's metrics.
#[derive(Clone, Debug)]
pub struct CloudWatch {
    aws: Aws,
    /// Without a slash at its end.
    address: String,
}

impl Aws {
    /// A client for CloudWatch's metrics, at this address if there is one.
    pub fn cloudwatch(&self, endpoint: Option<&str>) -> CloudWatch {
        let endpoint = endpoint.or_else(|| self.config.endpoint_url());
        let address = match endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => address(self.region()),
        };
        CloudWatch {
            aws: self.clone(),
            address,
        }
    }

    fn region(&self) -> &str {
        self.config.region().map_or("", |region| region.as_ref())
    }
}

/// Its address in a Region. Those of China have a domain of their own.
fn address(region: &str) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://{SERVICE}.{region}.amazonaws.com{suffix}")
}

impl CloudWatch {
    /// The answer to an operation that reads.
    ///
    /// # Errors
    /// CloudWatch refused, failed or did not answer in time.
    pub async fn ask(&self, operation: &'static str, body: &Value) -> Result<Value, AwsError> {
        let asked = self.sent(operation, body.to_string()).await;
        asked.map_err(|error| AwsError::new(operation, error))
    }

    async fn sent(
        &self,
        operation: &'static str,
        body: String,
    ) -> Result<Value, SdkError<ErrorMetadata, HttpResponse>> {
        let request = self.request(operation, body).await;
        let request = request.map_err(SdkError::construction_failure)?;
        self.operation(operation).invoke(request).await
    }

    /// The signed request. Its repeats have the same signature, which is good for five minutes.
    async fn request(&self, operation: &str, body: String) -> Result<SignedCall, BoxError> {
        let config = &self.aws.config;
        let provider = config.credentials_provider().ok_or("no credentials")?;
        let credentials = provider.provide_credentials().await?;
        let clock = config.time_source().ok_or("no clock")?;
        let target = format!("GraniteServiceVersion20100801.{operation}");
        let headers = [(TARGET, target.as_str()), (CONTENT_TYPE, JSON)];
        let unsigned = Unsigned {
            service: SERVICE,
            region: self.aws.region(),
            url: &format!("{}/", self.address),
            headers: &headers,
            body: body.as_bytes(),
        };
        let signed = signature(unsigned, credentials, clock.now())?;
        let own = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers = own.into_iter().chain(signed).collect();
        Ok(SignedCall { headers, body })
    }

    /// What sends a request, with the limits and repeats of the SDKs' clients.
    fn operation(&self, operation: &'static str) -> Operation<SignedCall, Value, ErrorMetadata> {
        let config = &self.aws.config;
        let mut builder = Operation::builder()
            .service_name("CloudWatch")
            .operation_name(operation)
            .endpoint_url(&self.address)
            .no_auth()
            .interceptor(self.aws.recorded())
            .retry_classifier(TransientErrorClassifier::<ErrorMetadata>::new())
            .retry_classifier(HttpStatusCodeClassifier::default());
        if let Some(client) = config.http_client() {
            builder = builder.http_client(client);
        }
        if let Some(retries) = config.retry_config() {
            builder = builder.standard_retry(retries);
        }
        if let Some(limits) = config.timeout_config() {
            builder = builder.timeout_config(limits.clone());
        }
        if let Some(sleep) = config.sleep_impl() {
            builder = builder.sleep_impl(sleep);
        }
        if let Some(clock) = config.time_source() {
            builder = builder.time_source(clock);
        }
        builder
            .serializer(SignedCall::request)
            .deserializer(read)
            .build()
    }
}

/// A call that is signed. Its address is put before its path where it is sent.
struct SignedCall {
    headers: Vec<(String, String)>,
    body: String,
}

impl SignedCall {
    fn request(self) -> Result<HttpRequest, BoxError> {
        let mut request = HttpRequest::new(SdkBody::from(self.body));
        request.set_method("POST")?;
        request.set_uri("/")?;
        for (name, value) in self.headers {
            request.headers_mut().try_insert(name, value)?;
        }
        Ok(request)
    }
}

impl fmt::Debug for SignedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedCall")
    }
}

fn read(response: &HttpResponse) -> Result<Value, OrchestratorError<ErrorMetadata>> {
    let body = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        return serde_json::from_slice(body)
            .map_err(|error| OrchestratorError::response(error.into()));
    }
    let refusal: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |names: [&str; 2]| {
        let mut found = names.iter().filter_map(|name| refusal.get(name)?.as_str());
        found.next()
    };
    let mut error = ErrorMetadata::builder();
    // The name may have a namespace before it.
    if let Some(code) = text(["__type", "code"]).and_then(|code| code.rsplit('#').next()) {
        error = error.code(code);
    }
    if let Some(message) = text(["message", "Message"]) {
        error = error.message(message);
    }
    Err(OrchestratorError::operation(error.build()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_china_s_regions_end_in_their_own_domain() {
        assert_eq!(
            address("eu-central-1"),
            "https://monitoring.eu-central-1.amazonaws.com"
        );
        assert_eq!(
            address("cn-north-1"),
            "https://monitoring.cn-north-1.amazonaws.com.cn"
        );
    }

    #[test]
    fn a_refusal_is_read_by_its_name_and_words() {
        for (body, code, message) in [
            (
                r#"{"__type":"com.amazonaws.cloudwatch#AccessDeniedException","Message":"no"}"#,
                Some("AccessDeniedException"),
                Some("no"),
            ),
            (
                r#"{"code":"ValidationError","message":"bad"}"#,
                Some("ValidationError"),
                Some("bad"),
            ),
            ("<html>", None, None),
        ] {
            let response = HttpResponse::new(400.try_into().unwrap(), SdkBody::from(body));
            let error = read(&response).unwrap_err();
            let error = error.as_operation_error().unwrap();
            assert_eq!((error.code(), error.message()), (code, message), "{body}");
        }
    }
}
