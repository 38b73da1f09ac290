//! The event that API Gateway's HTTP API gives to Lambda (payload 2.0), as far as it is used, and
//! the answer that it expects.
//!
//! `lambda_http` reads all of such an event into types of its own, the address into a URL, and
//! writes an answer back out of them. Callbacks need five headers and the body, and come in greater
//! numbers than anything else.

use std::collections::BTreeMap;
use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, Response};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRequest {
    #[serde(default)]
    pub headers: Headers,
    /// Its body; left out when it is empty.
    pub body: Option<String>,
    /// Whether `body` is Base64: so the gateway hands over what may be no text.
    #[serde(default)]
    pub is_base64_encoded: bool,
    #[serde(default)]
    pub request_context: RequestContext,
}

/// What the gateway says of the request.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestContext {
    /// When the gateway received it, in milliseconds since 1970.
    #[serde(rename = "timeEpoch")]
    pub received_at_ms: Option<i64>,
}

/// Headers in the order of the event. The gateway writes names in lower case and joins the values
/// of one name by commas; SAM CLI's local one leaves names as they came.
#[derive(Default)]
pub struct Headers(Vec<(String, String)>);

/// The answer to a request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayResponse {
    pub status_code: u16,
    pub headers: BTreeMap<String, String>,
    /// Its body, which is always text here.
    pub body: String,
    /// Whether `body` is Base64: never.
    pub is_base64_encoded: bool,
}

/// The body is said to be Base64 and is not.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the body of the event is not the Base64 that it is said to be")]
pub struct NotBase64;

impl GatewayRequest {
    /// The headers, and the body as it was sent.
    ///
    /// # Errors
    /// [`NotBase64`].
    pub fn into_parts(self) -> Result<(Headers, Vec<u8>), NotBase64> {
        let text = self.body.unwrap_or_default();
        let body = if self.is_base64_encoded {
            STANDARD.decode(text).map_err(|_| NotBase64)?
        } else {
            text.into_bytes()
        };
        Ok((self.headers, body))
    }
}

impl Headers {
    /// The value of a header, whatever the case of its name. A value that is not valid in HTTP
    /// counts as absent: with a line break it could imitate several lines of the signed text.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut headers = self.0.iter();
        let found = headers.find(|(given, _)| given.eq_ignore_ascii_case(name));
        let is_plain = |byte: u8| matches!(byte, b'\t' | b' '..=b'~');
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| value.bytes().all(is_plain))
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;

        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::with_capacity(map.size_hint().unwrap_or(16));
                while let Some(header) = map.next_entry()? {
                    headers.push(header);
                }
                Ok(Headers(headers))
            }
        }

        deserializer.deserialize_map(HeaderVisitor)
    }
}

impl From<Response<String>> for GatewayResponse {
    fn from(response: Response<String>) -> Self {
        let (parts, body) = response.into_parts();
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        Self {
            status_code: parts.status.as_u16(),
            headers: parts.headers.iter().filter_map(text).collect(),
            body,
            is_base64_encoded: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{StatusCode, header};

    /// An event of `fields`, and what it carries.
    fn parts(fields: &str) -> Result<(Headers, Vec<u8>), NotBase64> {
        let event: GatewayRequest = serde_json::from_str(fields).expect("an event");
        event.into_parts()
    }

    #[test]
    fn an_event_is_read_as_the_gateway_hands_it_over() {
        let event = include_str!("../../../tests/fixtures/events/receive-callback.json");
        let (headers, body) = parts(event).unwrap();
        assert_eq!(headers.get("content-type"), Some("application/json"));
        assert_eq!(headers.get("wechatpay-serial"), None);
        let body = String::from_utf8(body).unwrap();
        assert!(
            body.starts_with(r#"{"id":"EV-20260801120000000001","#),
            "{body}"
        );
        assert!(body.contains("\u{652f}\u{4ed8}\u{6210}\u{529f}"), "{body}");
    }

    #[test]
    fn the_time_at_which_the_gateway_received_it_is_read_where_it_is_there() {
        for (fields, received_at_ms) in [
            (
                r#"{"requestContext":{"timeEpoch":1785556800123,"stage":"$default"}}"#,
                Some(1_785_556_800_123),
            ),
            (r#"{"requestContext":{}}"#, None),
            ("{}", None),
        ] {
            let event: GatewayRequest = serde_json::from_str(fields).expect("an event");
            assert_eq!(
                event.request_context.received_at_ms, received_at_ms,
                "{fields}"
            );
        }
    }

    #[test]
    fn a_header_is_found_whatever_the_case_of_its_name() {
        let event = r#"{"headers":{"Wechatpay-Nonce":"n","wechatpay-serial":"s"}}"#;
        let (headers, _) = parts(event).unwrap();
        assert_eq!(headers.get("wechatpay-nonce"), Some("n"));
        assert_eq!(headers.get("WECHATPAY-SERIAL"), Some("s"));
        assert_eq!(headers.get("wechatpay"), None);
    }

    /// The gateway joins them by commas. It is unknown which one is meant: the value is left as it
    /// is, and does not verify.
    #[test]
    fn several_values_of_a_header_stay_one_text() {
        let (headers, _) = parts(r#"{"headers":{"wechatpay-nonce":"one,two"}}"#).unwrap();
        assert_eq!(headers.get("wechatpay-nonce"), Some("one,two"));
    }

    #[test]
    fn a_value_that_no_header_can_have_counts_as_absent() {
        for value in ["one\\ntwo", "one\\rtwo", "\\u0000", "\\u007f", "é"] {
            let event = format!(r#"{{"headers":{{"wechatpay-nonce":"{value}"}}}}"#);
            let (headers, _) = parts(&event).unwrap();
            assert_eq!(headers.get("wechatpay-nonce"), None, "{value}");
        }
    }

    #[test]
    fn a_body_in_base64_is_decoded_and_any_other_is_left_alone() {
        for (fields, body) in [
            (
                r#"{"body":"4pyTIP8=","isBase64Encoded":true}"#,
                b"\xe2\x9c\x93 \xff".as_slice(),
            ),
            (
                r#"{"body":"4pyTIP8=","isBase64Encoded":false}"#,
                b"4pyTIP8=",
            ),
            (r#"{"body":"4pyTIP8="}"#, b"4pyTIP8="),
            (r#"{"body":"","isBase64Encoded":true}"#, b""),
        ] {
            assert_eq!(parts(fields).unwrap().1, body, "{fields}");
        }
    }

    #[test]
    fn a_body_that_is_left_out_is_empty() {
        for fields in [
            r#"{"headers":{}}"#,
            r#"{"headers":{},"body":null,"isBase64Encoded":true}"#,
        ] {
            assert!(parts(fields).unwrap().1.is_empty(), "{fields}");
        }
    }

    #[test]
    fn a_body_that_is_not_the_base64_it_should_be_is_an_error() {
        for body in ["4pyTIP8", "4pyT IP8=", "{}", "=", "4pyTIP8=="] {
            let fields = format!(r#"{{"body":"{body}","isBase64Encoded":true}}"#);
            assert!(parts(&fields).is_err(), "{body}");
        }
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        for text in [
            "",
            "null",
            "[1]",
            r#"{"headers":[]}"#,
            r#"{"headers":{"a":1}}"#,
            r#"{"body":{}}"#,
            r#"{"isBase64Encoded":"yes"}"#,
            r#"{"body":"cut"#,
        ] {
            assert!(
                serde_json::from_str::<GatewayRequest>(text).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn an_answer_has_the_shape_that_the_gateway_expects() {
        let mut response = Response::new(r#"{"code":"FAIL"}"#.to_owned());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        assert_eq!(
            serde_json::to_string(&GatewayResponse::from(response)).unwrap(),
            r#"{"statusCode":400,"headers":{"content-type":"application/json"},"body":"{\"code\":\"FAIL\"}","isBase64Encoded":false}"#
        );
    }
}
