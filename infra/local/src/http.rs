//! HTTP on loopback: what the proxy and the scenarios send with.

use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// API Gateway itself gives up after 30 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(35);

/// A client for plain HTTP. Clones share connections.
#[derive(Clone, Debug)]
pub(crate) struct Http(Client<HttpConnector, Full<Bytes>>);

/// A request that got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("no connection, or it broke")]
    Connection(#[source] hyper_util::client::legacy::Error),
    #[error("the answer broke off")]
    Body(#[source] hyper::Error),
    #[error("no answer within {} s", ANSWER_WITHIN.as_secs())]
    Late,
}

impl Http {
    pub(crate) fn new() -> Self {
        let client = Client::builder(TokioExecutor::new())
            // Below the engine's 75 s, so that no request meets a connection that is just being
            // closed.
            .pool_idle_timeout(Duration::from_secs(30))
            .build_http();
        Self(client)
    }

    /// Sends a request and reads the whole answer. A `Host` field that is there is left as it is.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let exchange = async {
            let answer = self
                .0
                .request(request.map(Full::new))
                .await
                .map_err(HttpError::Connection)?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map_err(HttpError::Body)?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        tokio::time::timeout(ANSWER_WITHIN, exchange)
            .await
            .unwrap_or(Err(HttpError::Late))
    }
}
