//! The HTTP client, and an answer as far as it is used.

use std::time::Duration;

use runtime::tls;
use wechatpay::{
    RequestId,
    verify::{SignedHeaders, VerifyError},
};

use crate::not_sent::NotSent;

/// How long a connection may take, in seconds: over one is bad (shared/wechatpay/PROTOCOL.md, 1.2).
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// WeChat Pay closes idle connections after 8 s; a request sent into that moment is lost
/// (shared/wechatpay/PROTOCOL.md, 1.1).
const IDLE_MAX: Duration = Duration::from_secs(7);
/// Larger than any answer of the interfaces that are called here.
const ANSWER_MAX: usize = 1024 * 1024;
/// WeChat Pay refuses requests without one (shared/wechatpay/PROTOCOL.md, 1.3).
const USER_AGENT: &str = concat!("wechatpay-on-lambda/", env!("CARGO_PKG_VERSION"));

fn text<'a>(response: &'a reqwest::Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// The name that WeChat Pay gave to the request.
pub(super) fn request_id(response: &reqwest::Response) -> Option<RequestId> {
    text(response, RequestId::HEADER).and_then(RequestId::read)
}

/// An answer as far as it is used.
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    pub(super) headers: Result<SignedHeaders, VerifyError>,
    pub(super) request_id: Option<RequestId>,
    pub(super) body: Vec<u8>,
}

/// The result of a request; `None` for an answer that is too long.
pub(super) type HttpResult = Result<Option<HttpAnswer>, reqwest::Error>;

impl HttpAnswer {
    /// Reads the whole answer.
    pub(super) async fn read(mut response: reqwest::Response) -> HttpResult {
        let status = response.status().as_u16();
        let headers = SignedHeaders::read(|name| text(&response, name));
        let request_id = request_id(&response);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len().saturating_add(chunk.len()) > ANSWER_MAX {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(Self {
            status,
            headers,
            request_id,
            body,
        }))
    }
}

/// One client for each sandbox: pinned TLS, no redirects, no proxy from the environment.
pub(super) fn build_client() -> Result<reqwest::Client, NotSent> {
    let tls = tls::client_config().map_err(|error| NotSent::Client(error.into()))?;
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_WITHIN)
        .pool_idle_timeout(IDLE_MAX)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| NotSent::Client(error.into()))
}
