//! The way of callbacks: WeChat Pay's real HTTP request, handed to the function as the gateway would.

use std::sync::Arc;

use axum::{Router, body::Bytes, extract::State, http::request::Parts, routing::post};
use receive_callback::{desk::Desk, handler};
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
    pub(crate) fn serve(self, desk: Arc<Desk>) {
        let app = Router::new()
            .route("/v1/callbacks/wechatpay", post(receive))
            .with_state(desk);
        tokio::spawn(async move { axum::serve(self.listener, app).await });
    }
}

async fn receive(
    State(desk): State<Arc<Desk>>,
    parts: Parts,
    body: Bytes,
) -> http::Response<String> {
    handler::receive(&desk, parts, body.to_vec()).await
}
