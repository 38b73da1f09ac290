//! The requests of clients and of WeChat Pay, and payers who pay.

use std::time::Duration;

use payments::model::permissions::Permissions;
use serde_json::{Value, json};
use stores::keys_table::client_keys::NewClientKey;
use wechatpay_simulator::PayOptions;

use super::{ApiAnswer, Client, Testbed, callbacks};

impl Testbed {
    /// Another client of the API, with a key of its own.
    pub(crate) async fn another_client(&self, name: &str) -> Client {
        Client::register(&self.keys, name, &self.random).await
    }

    /// Another key of the client that most tests use, which may do this.
    pub(crate) async fn key(&self, keyid: &str, permissions: &Permissions) -> Client {
        let of = NewClientKey {
            keyid,
            client_id: "shop",
            permissions,
        };
        Client::register_key(&self.keys, of, &self.random).await
    }

    /// The payer pays, and the callback goes out.
    pub(crate) async fn pay(&self, order: &str) {
        self.wechat
            .admin()
            .pay(order, &PayOptions::default())
            .expect("an order that can be paid");
        self.deliver().await;
    }

    /// The payer pays, and the callback that goes out says something else in these places (JSON
    /// merge patch).
    pub(crate) async fn pay_altered(&self, order: &str, alter: Value) {
        let options = PayOptions {
            alter: Some(alter),
            ..PayOptions::default()
        };
        self.wechat
            .admin()
            .pay(order, &options)
            .expect("an order that can be paid");
        self.deliver().await;
    }

    /// A request of the usual client.
    pub(crate) async fn post_order(&self, body: &Value) -> ApiAnswer {
        self.send(self.client.post("/v1/orders", body, self)).await
    }

    /// The same, which the queue is to go on with.
    pub(crate) async fn post_order_async(&self, body: &Value) -> ApiAnswer {
        let prefer = [("prefer", "respond-async")];
        let request = self.client.post_with("/v1/orders", body, &prefer, self);
        self.send(request).await
    }

    /// The usual client reads an order.
    pub(crate) async fn get_order(&self, order_no: &str) -> ApiAnswer {
        self.send(self.client.get(&format!("/v1/orders/{order_no}"), self))
            .await
    }

    /// A request of the usual client to change something under an order.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> ApiAnswer {
        self.send(self.client.post(path, body, self)).await
    }

    /// The usual client reads this path.
    pub(crate) async fn get(&self, path: &str) -> ApiAnswer {
        self.send(self.client.get(path, self)).await
    }

    /// The usual client closes an order.
    pub(crate) async fn close(&self, order_no: &str) -> ApiAnswer {
        self.post(&format!("/v1/orders/{order_no}/close"), &json!({}))
            .await
    }

    /// The usual client asks for a refund.
    pub(crate) async fn refund(&self, order_no: &str, refund_no: &str, fen: i64) -> ApiAnswer {
        let body = json!({"refund_no": refund_no, "amount_fen": fen});
        self.post(&format!("/v1/orders/{order_no}/refunds"), &body)
            .await
    }

    /// The usual client reads a refund.
    pub(crate) async fn get_refund(&self, order_no: &str, refund_no: &str) -> ApiAnswer {
        self.get(&format!("/v1/orders/{order_no}/refunds/{refund_no}"))
            .await
    }

    /// Hands a request to the function that its route belongs to.
    pub(crate) async fn send(&self, request: http::Request<Vec<u8>>) -> ApiAnswer {
        let (parts, body) = request.into_parts();
        ApiAnswer::of(
            if parts.method == http::Method::POST && parts.uri.path() == "/v1/orders" {
                create_order::handler::create(&self.create_order, parts, body).await
            } else {
                manage_order::handler::manage(&self.manage_order, parts, body).await
            },
        )
    }

    /// Hands a callback to its function, without the network in between.
    pub(crate) async fn receive(
        &self,
        callback: &wechatpay_simulator::SignedCallback,
    ) -> ApiAnswer {
        let headers = callback.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
        self.receive_event(callbacks::event(headers, callback.body.as_bytes()))
            .await
    }

    /// Hands an event of the gateway to the function that takes callbacks.
    pub(crate) async fn receive_event(
        &self,
        event: receive_callback::event::GatewayRequest,
    ) -> ApiAnswer {
        ApiAnswer::of(receive_callback::handler::receive(&self.receive_callback, event).await)
    }

    /// WeChat Pay sends what is due.
    pub(crate) async fn deliver(&self) {
        self.advance(Duration::ZERO).await;
    }
}
