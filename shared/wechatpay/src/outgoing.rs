//! A request to WeChat Pay as a value.

use std::fmt;

/// The HTTP methods of the supported calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

impl Method {
    /// The method as it is sent and signed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// A request, ready to be signed and sent. Send exactly these bytes: they are what is signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// From the leading slash, escaped, without host.
    pub path_and_query: String,
    /// JSON; empty for a `GET`.
    pub body: Vec<u8>,
}

impl Outgoing {
    pub(crate) fn get(path_and_query: String) -> Self {
        Self {
            method: Method::Get,
            path_and_query,
            body: Vec::new(),
        }
    }

    pub(crate) fn post(path_and_query: impl Into<String>, body: Vec<u8>) -> Self {
        Self {
            method: Method::Post,
            path_and_query: path_and_query.into(),
            body,
        }
    }
}

/// The body may hold an openid: only its length is shown.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} ({} bytes)",
            self.method.as_str(),
            self.path_and_query,
            self.body.len()
        )
    }
}
