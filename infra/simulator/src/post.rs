//! Posts a callback: plain HTTP, one connection each, no redirects.

use std::time::Duration;

use http::{Request, Uri};
use http_body_util::Full;
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::callbacks::SignedCallback;

/// The status of the answer, or why there was none within `limit`.
pub(crate) async fn send(message: &SignedCallback, limit: Duration) -> Result<u16, String> {
    match tokio::time::timeout(limit, exchange(message)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", limit.as_secs())),
    }
}

async fn exchange(message: &SignedCallback) -> Result<u16, String> {
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
    let answer = sender.send_request(request).await;
    driver.abort();
    answer
        .map(|answer| answer.status().as_u16())
        .map_err(|error| format!("no answer: {error}"))
}
