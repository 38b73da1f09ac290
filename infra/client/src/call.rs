//! Calls of the merchant API, before they are signed. `infra/openapi.yaml` describes them.

use serde::Serialize;

/// A call of the API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    /// The method.
    pub method: String,
    /// Path and query, as they go on the wire.
    pub target: String,
    /// Header fields beside those of the signature.
    pub headers: Vec<(String, String)>,
    /// The body; empty if there is none.
    pub body: String,
}

/// What a client asks for with `POST /v1/orders`. What is left out is not sent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewOrder {
    /// `native`, `jsapi`, `mini_program`, `app` or `h5`.
    pub product: String,
    /// Whole fen.
    pub amount_fen: i64,
    /// Shown in the payer's bill.
    pub description: String,
    /// The caller's own number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_no: Option<String>,
    /// One of the deployment's appids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub appid: Option<String>,
    /// The payer, for `jsapi` and `mini_program`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openid: Option<String>,
    /// The payer's address, for `h5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payer_client_ip: Option<String>,
    /// `iOS`, `Android` or `Wap`, for `h5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub h5_type: Option<String>,
    /// Comes back with the payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attach: Option<String>,
    /// Coupon marker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goods_tag: Option<String>,
    /// How long the order may be paid, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<i64>,
}

impl Call {
    /// Any call; a body is sent as JSON.
    pub fn new(method: &str, target: &str, body: impl Into<String>) -> Self {
        let call = Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: body.into(),
        };
        if call.body.is_empty() {
            call
        } else {
            call.header("Content-Type", "application/json")
        }
    }

    /// `POST /v1/orders`.
    ///
    /// # Errors
    /// Never for values of this type; serde's signature has an error.
    pub fn create_order(order: &NewOrder) -> Result<Self, serde_json::Error> {
        serde_json::to_string(order).map(|body| Self::new("POST", "/v1/orders", body))
    }

    /// `GET /v1/orders/{order_no}`.
    #[must_use]
    pub fn get_order(order_no: &str) -> Self {
        Self::new("GET", &format!("/v1/orders/{order_no}"), "")
    }

    /// The same call with one more header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same call, to be answered at once with 202.
    #[must_use]
    pub fn respond_async(self) -> Self {
        self.header("Prefer", "respond-async")
    }

    /// The same call under an `Idempotency-Key`.
    #[must_use]
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_asked_for_with_what_was_given_and_nothing_else() {
        let order = NewOrder {
            product: "native".to_owned(),
            amount_fen: 100,
            description: "Tea".to_owned(),
            order_no: Some("tea-0001".to_owned()),
            ..NewOrder::default()
        };
        let call = Call::create_order(&order).unwrap().respond_async();
        assert_eq!(
            call.body,
            r#"{"product":"native","amount_fen":100,"description":"Tea","order_no":"tea-0001"}"#
        );
        let headers = [
            ("Content-Type", "application/json"),
            ("Prefer", "respond-async"),
        ];
        assert_eq!(
            call.headers,
            headers.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(Call::get_order("tea-0001").headers, []);
    }
}
