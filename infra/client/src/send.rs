//! Sending a signed call.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;

use crate::signed::SignedCall;

/// API Gateway answers within 30 s or not at all.
const TIME_LIMIT: Duration = Duration::from_secs(35);

/// Sends calls.
#[derive(Clone, Debug)]
pub struct Sender {
    direct: reqwest::Client,
    through_proxy: reqwest::Client,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiAnswer {
    pub status: u16,
    /// Header fields, names in lower case. Values that are not text are left out.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The HTTP client could not be set up.
    #[error("the HTTPS client could not be set up")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The call cannot be put on the wire.
    #[error("`{0}` cannot be sent as it is")]
    Unsendable(String),
    /// Nothing was reached, or the connection broke. The call may have been carried out.
    #[error("{url} did not answer; check `api_url`, and that the stack is running")]
    NoAnswer {
        url: String,
        #[source]
        source: reqwest::Error,
    },
}

impl Sender {
    /// A client that trusts Mozilla's roots, follows no redirects (they would leave the signed
    /// host) and uses the environment's proxy, except for this machine.
    ///
    /// # Errors
    /// [`SendError::Setup`].
    pub fn new() -> Result<Self, SendError> {
        let build = |builder: reqwest::ClientBuilder| {
            let tls =
                runtime::tls::client_config().map_err(|source| SendError::Setup(source.into()))?;
            let builder = builder
                .redirect(Policy::none())
                .timeout(TIME_LIMIT)
                .tls_backend_preconfigured(tls);
            builder
                .build()
                .map_err(|source| SendError::Setup(source.into()))
        };
        let through_proxy = build(reqwest::Client::builder())?;
        Ok(Self {
            direct: build(reqwest::Client::builder().no_proxy())?,
            through_proxy,
        })
    }

    /// Sends the call as it is and reads the whole answer.
    ///
    /// # Errors
    /// [`SendError`]. An answer with any status is no error.
    pub async fn send(&self, call: &SignedCall) -> Result<ApiAnswer, SendError> {
        let unsendable = |what: &str| SendError::Unsendable(what.to_owned());
        let method = call
            .method
            .parse::<reqwest::Method>()
            .map_err(|_| unsendable(&call.method))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &call.headers {
            let parsed = name
                .parse::<HeaderName>()
                .ok()
                .zip(HeaderValue::from_str(value).ok());
            let (header, value) = parsed.ok_or_else(|| unsendable(name))?;
            headers.append(header, value);
        }
        let client = if call.is_loopback {
            &self.direct
        } else {
            &self.through_proxy
        };
        let no_answer = |source| SendError::NoAnswer {
            url: call.url.clone(),
            source,
        };
        let request = client
            .request(method, &call.url)
            .headers(headers)
            .body(call.body.clone());
        let response = request.send().await.map_err(no_answer)?;
        let status = response.status().as_u16();
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.to_string(), value.to_str().ok()?.to_owned()))
        };
        let headers = response.headers().iter().filter_map(text).collect();
        Ok(ApiAnswer {
            status,
            headers,
            body: response.text().await.map_err(no_answer)?,
        })
    }
}

impl ApiAnswer {
    /// A header field's value, by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(line, _)| line == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether the API did as asked.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
