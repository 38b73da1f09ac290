//! An API request as received, in the form that signature checks need.

use http::{HeaderMap, header};
use payments::rules::request::BadRequest;
use strict_json::{Null, Object};

use crate::problem::Problem;

/// An API request, exactly as it was sent.
#[derive(Clone, Debug)]
pub struct Incoming {
    method: String,
    scheme: &'static str,
    authority: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Incoming {
    /// Splits a request into its parts. `body` is the received body, already decoded if the gateway
    /// sent Base64.
    pub fn new(parts: http::request::Parts, body: Vec<u8>) -> Self {
        let host = parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        Self {
            method: parts.method.as_str().to_owned(),
            scheme: scheme(&parts.headers),
            authority: host
                .or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))
                .unwrap_or_default()
                .to_owned(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
            body,
        }
    }

    pub fn method(&self) -> &str {
        &self.method
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host as named by the caller.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The query string, still encoded; `None` without a question mark.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The body as received.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The first value of a header, if present and readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether `Prefer: respond-async` is among the preferences (RFC 7240).
    pub fn prefers_async(&self) -> bool {
        let values = self
            .headers
            .get_all("prefer")
            .iter()
            .filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"))
    }

    /// Whether the body is declared as JSON.
    pub fn is_json(&self) -> bool {
        self.is_of_type("application/json")
    }

    /// The body of a request that must declare it as JSON.
    ///
    /// # Errors
    /// [`Problem::not_json`].
    pub fn json_body(&self) -> Result<&[u8], Problem> {
        if self.is_json() {
            Ok(self.body())
        } else {
            Err(Problem::not_json())
        }
    }

    /// Whether the body is declared as this media type, with any parameters.
    pub fn is_of_type(&self, media_type: &str) -> bool {
        let kind = self.header("content-type").unwrap_or_default();
        kind.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case(media_type)
    }

    /// Refuses a body, for a route that takes none. An empty object counts as no body: some HTTP
    /// clients send one with every POST.
    ///
    /// # Errors
    /// [`BadRequest::NoBody`].
    pub fn has_no_body(&self) -> Result<(), BadRequest> {
        let is_empty = |body: &[u8]| {
            Object::read(body, Null::Refused)
                .and_then(Object::nothing_left)
                .is_ok()
        };
        if self.body.is_empty() || is_empty(&self.body) {
            Ok(())
        } else {
            Err(BadRequest::NoBody)
        }
    }

    /// Refuses a query, for a route that takes no parameters.
    ///
    /// # Errors
    /// [`BadRequest::Query`].
    pub fn has_no_query(&self) -> Result<(), BadRequest> {
        match self.query.as_deref() {
            None | Some("") => Ok(()),
            Some(_) => Err(BadRequest::Query(
                "must be left out: this route takes no parameters".to_owned(),
            )),
        }
    }

    /// The request in the form for the signature check.
    pub fn signed<T>(&self, check: impl FnOnce(&message_signatures::Request<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        check(&message_signatures::Request {
            method: &self.method,
            scheme: self.scheme,
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &headers,
            body: &self.body,
        })
    }
}

/// The scheme of the caller's URL. API Gateway sets it in `X-Forwarded-Proto` and serves only
/// https. The local stack serves http and sets the same header.
///
/// Forging this header can only make a valid signature fail: the scheme is signed with the rest of
/// the address.
fn scheme(headers: &HeaderMap) -> &'static str {
    let said = headers.get("x-forwarded-proto");
    if said.is_some_and(|scheme| scheme.as_bytes() == b"http") {
        "http"
    } else {
        "https"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(headers: &[(&str, &str)]) -> (String, String) {
        let request = headers.iter().fold(
            http::Request::get("/v1/orders/A?b=1"),
            |request, (name, value)| request.header(*name, *value),
        );
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let incoming = Incoming::new(parts, Vec::new());
        incoming.signed(|request| (request.scheme.to_owned(), request.authority.to_owned()))
    }

    #[test]
    fn the_scheme_is_https_unless_the_gateway_says_http() {
        let host = ("host", "api.example.com");
        for (said, expected) in [
            (None, "https"),
            (Some("https"), "https"),
            (Some("http"), "http"),
            (Some("ftp"), "https"),
            (Some("HTTP"), "https"),
            (Some("http, https"), "https"),
            (Some(""), "https"),
        ] {
            let mut headers = vec![host];
            headers.extend(said.map(|said| ("x-forwarded-proto", said)));
            let (scheme, authority) = target(&headers);
            assert_eq!(
                (scheme.as_str(), authority.as_str()),
                (expected, host.1),
                "{said:?}"
            );
        }
    }

    fn incoming(target: &str, body: &str) -> Incoming {
        let request = http::Request::post(target).body(()).unwrap();
        Incoming::new(request.into_parts().0, body.as_bytes().to_vec())
    }

    #[test]
    fn a_route_without_a_body_takes_nothing_or_an_empty_object() {
        for (body, fits) in [
            ("", true),
            ("{}", true),
            (" {\n} ", true),
            ("[]", false),
            ("null", false),
            ("{\"a\":1}", false),
            ("{\"a\":null}", false),
            ("a=1", false),
            (" ", false),
        ] {
            let result = incoming("/v1/orders/A/close", body).has_no_body();
            assert_eq!(result.is_ok(), fits, "{body}");
        }
    }

    #[test]
    fn a_route_without_parameters_takes_no_query() {
        for (target, fits) in [
            ("/x", true),
            ("/x?", true),
            ("/x?a", false),
            ("/x?a=1", false),
        ] {
            assert_eq!(
                incoming(target, "").has_no_query().is_ok(),
                fits,
                "{target}"
            );
        }
    }
}
