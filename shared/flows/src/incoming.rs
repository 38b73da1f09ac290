//! An API request as it arrived, in the form that signatures are checked on.

use http::{HeaderMap, header};

/// An API request: everything as it was on the wire.
#[derive(Clone, Debug)]
pub struct Incoming {
    method: String,
    authority: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Incoming {
    /// Takes a request apart. `body` is what was received, Base64 of the gateway already undone.
    pub fn new(parts: http::request::Parts, body: Vec<u8>) -> Self {
        let host = parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        Self {
            method: parts.method.as_str().to_owned(),
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

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host that was asked, as the caller names it.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The query, still encoded; `None` without a question mark.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The body as received.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// A header's value, if it is there once or more and readable; the first one.
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

    /// Whether the body says that it is JSON.
    pub fn is_json(&self) -> bool {
        self.is_of_type("application/json")
    }

    /// Whether the body says that it is of this media type, whatever its parameters.
    pub fn is_of_type(&self, media_type: &str) -> bool {
        let kind = self.header("content-type").unwrap_or_default();
        kind.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case(media_type)
    }

    /// Gives the request to a check of its signature.
    pub fn signed<T>(&self, check: impl FnOnce(&message_signatures::Request<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        check(&message_signatures::Request {
            method: &self.method,
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &headers,
            body: &self.body,
        })
    }
}
