//! Posts a callback: plain HTTP, one connection each, no redirects.

use std::time::Duration;

use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::signed_callback::SignedCallback;

/// What of an answer is read: a v2 notice's says in its body whether the notice was taken.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// An answer to a callback.
pub(crate) struct ReceiverAnswer {
    pub(crate) status: u16,
    /// Empty if it was cut, or longer than can be of interest.
    pub(crate) body: Vec<u8>,
}

/// The answer, or why there was none within `limit`.
pub(crate) async fn send(
    message: &SignedCallback,
    limit: Duration,
) -> Result<ReceiverAnswer, String> {
    match tokio::time::timeout(limit, exchange(message)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", limit.as_secs())),
    }
}

async fn exchange(message: &SignedCallback) -> Result<ReceiverAnswer, String> {
    let uri: Uri = message
        .url
        .parse()
        .map_err(|_| "notify_url is not a URL".to_owned())?;
    if uri.scheme_str() != Some("http") {
        return Err("the simulator posts over plain http only; give a notify_url like http://127.0.0.1:8080/...".to_owned());
    }
    let authority = uri
        .authority()
        .ok_or_else(|| "notify_url has no host".to_owned())?;
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80)))
        .await
        .map_err(|error| format!("cannot connect: {error}"))?;
    let (mut sender, connection) = http1::Builder::new()
        .title_case_headers(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("no HTTP there: {error}"))?;
    let driver = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::post(path).header("Host", authority.as_str());
    for (name, value) in &message.headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Full::new(Bytes::from(message.body.clone())))
        .map_err(|error| error.to_string())?;
    let answer = read(sender.send_request(request).await).await;
    driver.abort();
    answer.map_err(|error| format!("no answer: {error}"))
}

async fn read(answer: hyper::Result<http::Response<Incoming>>) -> hyper::Result<ReceiverAnswer> {
    let answer = answer?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_or(Vec::new(), |body| body.to_bytes().to_vec());
    Ok(ReceiverAnswer { status, body })
}
