//! CloudWatch's endpoint: requests carry the function's role, by a signature that is computed here
//! once more from what came, by AWS's description of Signature Version 4.

use std::collections::BTreeMap;

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac::{HMAC_SHA256, Key, sign},
};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use runtime::{
    clock::Clock,
    otlp::Spans,
    spans::{Span, SpanKind},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wechatpay::UnixSeconds;

use crate::support::{Collector, Export, invocation};

const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Takes requests to CloudWatch to the collector here, as they are.
#[derive(Debug)]
struct ToCollector(String);

impl HttpConnector for ToCollector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let address = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().expect("a request");
            let (parts, body) = request.into_parts();
            let body = body.bytes().expect("a body").to_vec();
            let host = parts.uri.host().expect("a host");
            let mut head = format!("POST {} HTTP/1.1\r\nhost: {host}\r\n", parts.uri.path());
            for (name, value) in &parts.headers {
                let value = value.to_str().expect("text");
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str(&format!(
                "content-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            ));
            let mut stream = TcpStream::connect(address).await.expect("a collector");
            stream.write_all(head.as_bytes()).await.expect("sent");
            stream.write_all(&body).await.expect("sent");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("an answer");
            assert!(answer.starts_with(b"HTTP/1.1 200"));
            let status = StatusCode::try_from(200).expect("a status");
            Ok(HttpResponse::new(status, SdkBody::empty()))
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The signature that AWS computes of this request, with the headers that it says are signed.
fn signature(export: &Export, signed: &str, region: &str) -> String {
    let header = |name: &str| export.headers[name].to_str().expect("text");
    let headers: String = signed
        .split(';')
        .map(|name| format!("{name}:{}\n", header(name).trim()))
        .collect();
    let body = hex(digest(&SHA256, &export.body).as_ref());
    let canonical = format!("POST\n{}\n\n{headers}\n{signed}\n{body}", export.path);
    let at = header("x-amz-date");
    let scope = [&at[..8], region, "xray", "aws4_request"];
    let canonical = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{at}\n{}\n{canonical}", scope.join("/"));
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for part in scope {
        key = sign(&Key::new(HMAC_SHA256, &key), part.as_bytes())
            .as_ref()
            .to_vec();
    }
    hex(sign(&Key::new(HMAC_SHA256, &key), text.as_bytes()).as_ref())
}

async fn exported(endpoint: &str, token: &str) -> Export {
    let (clock, collector) = (
        Clock::manual(UnixSeconds(1_785_556_800)),
        Collector::start().await,
    );
    let vars = BTreeMap::from([
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_SESSION_TOKEN", token),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint),
    ]);
    let address = collector
        .url
        .split('/')
        .nth(2)
        .expect("an address")
        .to_owned();
    let spans = Spans::start(&vars, "create-order", &clock).expect("an endpoint");
    let spans = spans.through(SharedHttpConnector::new(ToCollector(address)));
    let work = async {
        Span::root(SpanKind::Server, || "GET".to_owned(), clock.now_ms()).end(clock.now_ms());
    };
    spans.invocation(invocation("one"), work).await;
    let exports = collector.exports();
    let [export] = &exports[..] else {
        panic!("{}", exports.len());
    };
    export.clone()
}

#[tokio::test]
async fn requests_to_cloudwatch_are_signed_by_the_function_s_role_in_china_too() {
    for (host, region) in [
        ("xray.eu-central-1.amazonaws.com", "eu-central-1"),
        ("xray.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    ] {
        let export = exported(&format!("https://{host}/v1/traces"), "session-token").await;
        assert_eq!(export.headers["host"], host);
        assert_eq!(export.headers["x-amz-security-token"], "session-token");
        let authorization = export.headers["authorization"].to_str().expect("text");
        let (credential, rest) = authorization
            .split_once(", SignedHeaders=")
            .expect("headers");
        let (signed, signature_of) = rest.split_once(", Signature=").expect("a signature");
        assert_eq!(
            credential,
            format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260801/{region}/xray/aws4_request")
        );
        for name in ["host", "x-amz-date", "x-amz-security-token", "content-type"] {
            assert!(signed.split(';').any(|is| is == name), "{name} in {signed}");
        }
        assert_eq!(signature(&export, signed, region), signature_of);
        let altered = Export {
            body: export.body.slice(1..),
            ..export.clone()
        };
        assert_ne!(signature(&altered, signed, region), signature_of);
    }
}

#[tokio::test]
async fn no_other_collector_gets_anything_of_the_role() {
    let export = exported("https://collector.example.com/v1/traces", "session-token").await;
    for name in ["authorization", "x-amz-security-token", "x-amz-date"] {
        assert!(export.headers.get(name).is_none(), "{name}");
    }
}
