//! Calls of the merchant API, before they are signed. `infra/openapi.yaml` describes them.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Eq, PartialEq)]
pub struct Call {
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
    /// The caller's own id of the payer, who then cannot submit two orders at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payer_id: Option<String>,
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

/// What a client asks for with `POST /v1/orders/{order_no}/refunds`. What is left out is not sent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewRefund {
    /// Whole fen.
    pub amount_fen: i64,
    /// The caller's own number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund_no: Option<String>,
    /// The text for the payer, up to 80 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A second payment for the order, to give that back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
}

/// Where the money of an abnormal refund goes.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum RefundTo {
    /// To the merchant's own account.
    Merchant,
    /// To another debit card of the payer's.
    User(Card),
}

/// A payer's debit card.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// WeChat Pay's name of the bank, such as `ICBC_DEBIT`.
    pub bank_type: String,
    /// The card's number.
    pub bank_account: String,
    /// The card holder's name.
    pub real_name: String,
}

/// Shows neither number nor name.
impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Card")
            .field("bank_type", &self.bank_type)
            .finish_non_exhaustive()
    }
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

    /// `POST /v1/orders/{order_no}/close`.
    #[must_use]
    pub fn close_order(order_no: &str) -> Self {
        Self::new("POST", &format!("/v1/orders/{order_no}/close"), "")
    }

    /// `POST /v1/orders/{order_no}/refunds`.
    ///
    /// # Errors
    /// As [`Call::create_order`].
    pub fn create_refund(order_no: &str, refund: &NewRefund) -> Result<Self, serde_json::Error> {
        let target = format!("/v1/orders/{order_no}/refunds");
        serde_json::to_string(refund).map(|body| Self::new("POST", &target, body))
    }

    /// `GET /v1/orders/{order_no}/refunds`.
    #[must_use]
    pub fn list_refunds(order_no: &str) -> Self {
        Self::new("GET", &format!("/v1/orders/{order_no}/refunds"), "")
    }

    /// `GET /v1/orders/{order_no}/refunds/{refund_no}`.
    #[must_use]
    pub fn get_refund(order_no: &str, refund_no: &str) -> Self {
        Self::new("GET", &refund(order_no, refund_no), "")
    }

    /// `POST /v1/orders/{order_no}/refunds/{refund_no}/retry`.
    #[must_use]
    pub fn retry_refund(order_no: &str, refund_no: &str) -> Self {
        let target = format!("{}/retry", refund(order_no, refund_no));
        Self::new("POST", &target, "")
    }

    /// `POST /v1/orders/{order_no}/refunds/{refund_no}/release`: `who` decides it, and `why`.
    #[must_use]
    pub fn release_refund(order_no: &str, refund_no: &str, who: &str, why: &str) -> Self {
        let target = format!("{}/release", refund(order_no, refund_no));
        let body = serde_json::json!({"who": who, "why": why});
        Self::new("POST", &target, body.to_string())
    }

    /// `POST /v1/orders/{order_no}/refunds/{refund_no}/abnormal`: `who` decides it, and `why`.
    ///
    /// # Errors
    /// As [`Call::create_order`].
    pub fn redirect_refund(
        order_no: &str,
        refund_no: &str,
        to: &RefundTo,
        who: &str,
        why: &str,
    ) -> Result<Self, serde_json::Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(flatten)]
            to: &'a RefundTo,
            who: &'a str,
            why: &'a str,
        }
        let target = format!("{}/abnormal", refund(order_no, refund_no));
        let body = serde_json::to_string(&Body { to, who, why });
        body.map(|body| Self::new("POST", &target, body))
    }

    /// `POST /v1/orders/{order_no}/refunds/{refund_no}/payer-paid`: `who` recorded it, and `why`
    /// says how the payer was paid.
    #[must_use]
    pub fn payer_paid(order_no: &str, refund_no: &str, who: &str, why: &str) -> Self {
        let target = format!("{}/payer-paid", refund(order_no, refund_no));
        let body = serde_json::json!({"who": who, "why": why});
        Self::new("POST", &target, body.to_string())
    }

    /// `GET /v1/orders/{order_no}/events`.
    #[must_use]
    pub fn list_events(order_no: &str) -> Self {
        Self::new("GET", &format!("/v1/orders/{order_no}/events"), "")
    }

    /// `POST /v1/orders/{order_no}/events/{version}/replay`.
    #[must_use]
    pub fn replay_event(order_no: &str, version: u64) -> Self {
        let target = format!("/v1/orders/{order_no}/events/{version}/replay");
        Self::new("POST", &target, "")
    }

    /// `GET /v1/webhook`.
    #[must_use]
    pub fn get_webhook() -> Self {
        Self::new("GET", "/v1/webhook", "")
    }

    /// `POST /v1/webhook/resend`: of the events that happened from `from` to `to` (or now), as RFC
    /// 3339 times, those behind `after`.
    #[must_use]
    pub fn resend_events(from: &str, to: Option<&str>, after: Option<&str>) -> Self {
        let members = [("from", Some(from)), ("to", to), ("after", after)];
        let body: serde_json::Map<String, serde_json::Value> = members
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
            .collect();
        let body = serde_json::Value::Object(body);
        Self::new("POST", "/v1/webhook/resend", body.to_string())
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

/// Leaves the body out, which may hold a payer's card or openid.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

fn refund(order_no: &str, refund_no: &str) -> String {
    format!("/v1/orders/{order_no}/refunds/{refund_no}")
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
    #[test]
    fn events_are_asked_for_again_by_range_and_place() {
        let call = Call::resend_events("2026-08-01T00:00:00+08:00", None, None);
        assert_eq!(call.body, r#"{"from":"2026-08-01T00:00:00+08:00"}"#);
        let call = Call::resend_events("a", Some("b"), Some("c"));
        assert_eq!(call.body, r#"{"after":"c","from":"a","to":"b"}"#);
    }

    #[test]
    fn a_refund_goes_to_the_payer_the_merchant_or_another_card() {
        let refund = NewRefund {
            amount_fen: 40,
            reason: Some("One cup was cold".to_owned()),
            ..NewRefund::default()
        };
        let call = Call::create_refund("tea-0001", &refund).unwrap();
        assert_eq!(call.target, "/v1/orders/tea-0001/refunds");
        assert_eq!(
            call.body,
            r#"{"amount_fen":40,"reason":"One cup was cold"}"#
        );
        let redirect = |to| Call::redirect_refund("tea-0001", "r1", &to, "li", "gone").unwrap();
        let call = redirect(RefundTo::Merchant);
        assert_eq!(call.target, "/v1/orders/tea-0001/refunds/r1/abnormal");
        assert_eq!(call.body, r#"{"to":"merchant","who":"li","why":"gone"}"#);
        let call = redirect(RefundTo::User(card()));
        assert_eq!(
            call.body,
            r#"{"to":"user","bank_type":"ICBC_DEBIT","bank_account":"6222020000000000000","real_name":"张三","who":"li","why":"gone"}"#
        );
        let call = Call::payer_paid("tea-0001", "r1", "li", "by bank");
        assert_eq!(call.target, "/v1/orders/tea-0001/refunds/r1/payer-paid");
        assert_eq!(call.body, r#"{"who":"li","why":"by bank"}"#);
    }

    #[test]
    fn a_card_is_not_shown() {
        let to = RefundTo::User(card());
        let call = Call::redirect_refund("tea-0001", "r1", &to, "li", "gone").unwrap();
        let shown = format!("{to:?} {call:?}");
        assert!(
            !shown.contains("6222") && !shown.contains("张三"),
            "{shown}"
        );
    }

    fn card() -> Card {
        Card {
            bank_type: "ICBC_DEBIT".to_owned(),
            bank_account: "6222020000000000000".to_owned(),
            real_name: "张三".to_owned(),
        }
    }
}
