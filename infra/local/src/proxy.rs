//! The API's own address: `http://127.0.0.1:<port>/v1/...`.
//!
//! The engine serves an HTTP API under `/_aws/execute-api/<api id>/<stage>`. API Gateway serves the
//! `$default` stage at the root, and the path is part of what clients sign. So this proxy is in
//! front. It adds the prefix and, like API Gateway, the scheme (`X-Forwarded-Proto`). Nothing else
//! changes: method, authority, path, query, other header fields and body arrive at the function as
//! they were sent.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;

use crate::alarms::Alarms;
use crate::failure::Failure;
use crate::http::Http;

/// API Gateway takes no larger body.
const BODY_MAX: usize = 10 * 1024 * 1024;

/// Fields that belong to one connection, not to the request (RFC 9110 section 7.6.1).
const OF_THE_CONNECTION: [HeaderName; 4] = [
    CONNECTION,
    TRANSFER_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[derive(Debug)]
struct Target {
    http: Http,
    alarms: Alarms,
    /// `http://127.0.0.1:4566/_aws/execute-api/<api id>/$default`.
    prefix: String,
}

/// The API itself; `prefix` is its address at the engine.
pub(crate) fn app(http: Http, prefix: String, alarms: Alarms) -> Router {
    let target = Arc::new(Target {
        http,
        alarms,
        prefix,
    });
    Router::new().fallback(forward).with_state(target)
}

async fn forward(State(target): State<Arc<Target>>, request: Request<Body>) -> Response {
    // Of two routes the alarms want the calls; others have names that no path shows.
    let route = format!("{} {}", request.method(), request.uri().path());
    let came_at_ms = target.alarms.now_ms();
    let answer = answered(&target, request).await;
    // What API Gateway answers by itself has its own shape.
    let words = answer.extensions().get::<InItsPlace>().map(|it| it.0);
    let status = answer.status().as_u16();
    target.alarms.take_access(&route, status, words, came_at_ms);
    answer
}

/// Marks an answer of the API itself, in the place of a function's.
#[derive(Clone, Copy)]
struct InItsPlace(&'static str);

async fn answered(target: &Target, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return gateway_error(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long"),
    };
    let Some(request) = retarget(&target.prefix, head, body) else {
        return gateway_error(StatusCode::BAD_REQUEST, "Bad Request");
    };
    match target.http.send(request).await {
        Ok(answer) => {
            let (mut head, body) = answer.into_parts();
            drop_connection_fields(&mut head.headers);
            Response::from_parts(head, Body::from(body))
        }
        Err(error) => {
            let cause = Failure::because("the local AWS engine did not answer", &error);
            eprintln!("{cause}");
            gateway_error(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
        }
    }
}

/// The request to the engine; `None` if its target is not a path.
fn retarget(prefix: &str, mut head: Parts, body: Bytes) -> Option<Request<Bytes>> {
    let target = head.uri.path_and_query()?;
    let uri: Uri = format!("{prefix}{target}").parse().ok()?;
    head.uri = uri;
    drop_connection_fields(&mut head.headers);
    // Here it is never https. What the client says of it does not count.
    head.headers
        .insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    // The length is that of the body, which may have come in chunks.
    head.headers.remove(CONTENT_LENGTH);
    Some(Request::from_parts(head, body))
}

fn drop_connection_fields(headers: &mut HeaderMap) {
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
}

/// An error in API Gateway's own words.
fn gateway_error(status: StatusCode, message: &'static str) -> Response {
    let body = serde_json::json!({ "message": message }).to_string();
    let headers = [("content-type", "application/json")];
    let mut answer = (status, headers, body).into_response();
    answer.extensions_mut().insert(InItsPlace(message));
    answer
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::port::{Port, Serving};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinHandle;

    fn alarms() -> Alarms {
        Alarms::over(
            crate::alarms::Watched::default(),
            runtime::clock::Clock::system(),
        )
        .unwrap()
    }

    fn serve(port: Port, prefix: String) -> Serving {
        port.serve(app(Http::new(), prefix, alarms()), "the API")
    }

    /// Answers one request with 201 and `{}`, and gives the bytes that came.
    async fn engine() -> (u16, JoinHandle<String>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\"end\"}") {
                let mut buffer = [0; 1024];
                let count = stream.read(&mut buffer).await.unwrap();
                assert_ne!(
                    count,
                    0,
                    "the request broke off: {}",
                    String::from_utf8_lossy(&seen)
                );
                seen.extend_from_slice(&buffer[..count]);
            }
            stream
                .write_all(b"HTTP/1.1 201 Created\r\nX-Kept: yes\r\nKeep-Alive: timeout=75\r\nContent-Length: 2\r\n\r\n{}")
                .await
                .unwrap();
            String::from_utf8(seen).unwrap()
        });
        (port, task)
    }

    async fn through_the_proxy(request: &str) -> (String, String) {
        let (engine_port, seen) = engine().await;
        let port = Port::bind(0).await.unwrap();
        let url = port.url();
        let proxy = serve(
            port,
            format!("http://127.0.0.1:{engine_port}/_aws/execute-api/a1/$default"),
        );
        let address = url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let seen = seen.await.unwrap();
        proxy.stop().await;
        (seen, answer)
    }

    #[tokio::test]
    async fn a_signed_request_arrives_as_it_was_sent() {
        let body = "{ \"a\" : 1.0,\n \"b\":\"\u{5145}\u{503c} end\"}";
        let body = body.replace(" end\"}", "\",\"c\":\"end\"}");
        let request = format!(
            "POST /v1/orders/a%2Fb?x=%E4%BD%A0&&y HTTP/1.1\r\nHost: pay.example:8443\r\nSignature: sig1=:YWJj:\r\n\
             Content-Digest: sha-256=:x:\r\nX-Forwarded-Proto: https\r\nPrefer: respond-async\r\nPrefer: wait=1\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (seen, answer) = through_the_proxy(&request).await;
        let seen_lower = seen.to_lowercase();
        assert!(
            seen.starts_with(
                "POST /_aws/execute-api/a1/$default/v1/orders/a%2Fb?x=%E4%BD%A0&&y HTTP/1.1\r\n"
            ),
            "{seen}"
        );
        for field in [
            "host: pay.example:8443",
            "signature: sig1=:ywjj:",
            "content-digest: sha-256=:x:",
            "prefer: respond-async",
            "prefer: wait=1",
            "x-forwarded-proto: http",
        ] {
            assert!(
                seen_lower.contains(&format!("\r\n{field}\r\n")),
                "{field} in {seen}"
            );
        }
        assert!(seen.contains("YWJj"), "values keep their case: {seen}");
        assert_eq!(seen_lower.matches("\r\nhost:").count(), 1, "{seen}");
        assert!(seen.ends_with(&format!("\r\n\r\n{body}")), "{seen}");
        let answer = answer.to_lowercase();
        assert!(
            answer.starts_with("http/1.1 201 created") && answer.contains("x-kept: yes"),
            "{answer}"
        );
        assert!(!answer.contains("keep-alive"), "{answer}");
    }

    #[tokio::test]
    async fn a_body_in_chunks_arrives_whole() {
        let (seen, _) = through_the_proxy(
            "POST /v1/orders HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\n{\"a\":\r\n6\r\n\"end\"}\r\n0\r\n\r\n",
        )
        .await;
        assert!(seen.ends_with("\r\n\r\n{\"a\":\"end\"}"), "{seen}");
        assert!(seen.to_lowercase().contains("content-length: 11"), "{seen}");
    }

    #[tokio::test]
    async fn an_engine_that_is_gone_is_503_in_the_gateways_words() {
        let port = Port::bind(0).await.unwrap();
        let url = format!("{}/v1/orders", port.url());
        // A port that was free a moment ago.
        let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let proxy = serve(port, format!("http://127.0.0.1:{gone}/x"));
        let answer = Http::new()
            .send(Request::get(url).body(Bytes::new()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.body(), "{\"message\":\"Service Unavailable\"}");
        proxy.stop().await;
    }
}
