//! The way of callbacks: WeChat Pay's real HTTP request, handed to the function as the gateway
//! would.

use std::sync::Arc;

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use base64::{Engine, engine::general_purpose::STANDARD};
use receive_callback::{app::App, event::GatewayRequest, handler};
use serde_json::{Map, json};
use tokio::net::TcpListener;

/// Where callbacks arrive.
pub(crate) struct Listener {
    /// The `notify_url`.
    pub(crate) url: String,
    listener: TcpListener,
}

impl Listener {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!(
            "http://{}/v1/callbacks/wechatpay",
            listener.local_addr().expect("an address")
        );
        Self { url, listener }
    }

    /// Serves until the test's runtime ends.
    pub(crate) fn serve(self, app: Arc<App>) {
        let app = Router::new()
            .route("/v1/callbacks/wechatpay", post(receive))
            .with_state(app);
        tokio::spawn(async move { axum::serve(self.listener, app).await });
    }
}

async fn receive(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> http::Response<String> {
    let headers = headers.iter().map(|(name, value)| {
        let value = value.to_str().expect("a header is text");
        (name.as_str(), value)
    });
    handler::receive(&app, event(headers, &body)).await
}

/// The event that the gateway makes of a request: a body that is text stays text, any other goes in
/// Base64.
pub(crate) fn event<'a>(
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    body: &[u8],
) -> GatewayRequest {
    let headers: Map<_, _> = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), json!(value)))
        .collect();
    let event = match str::from_utf8(body) {
        Ok(text) => json!({"headers": headers, "body": text, "isBase64Encoded": false}),
        Err(_) => {
            json!({"headers": headers, "body": STANDARD.encode(body), "isBase64Encoded": true})
        }
    };
    serde_json::from_value(event).expect("an event")
}
