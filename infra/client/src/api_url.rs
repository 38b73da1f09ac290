//! Where the API is.

use std::fmt;
use std::net::IpAddr;

/// The origin of the API: scheme, host and port, nothing else, since the routes begin at its root.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiUrl {
    scheme: &'static str,
    authority: String,
}

/// Why a text is not the origin of an API.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ApiUrlError {
    /// Neither http nor https.
    #[error("`{0}` does not begin with https:// or http://")]
    Scheme(String),
    /// No host, or something that does not belong into one.
    #[error("`{0}` has no plain host name or address after the scheme")]
    Host(String),
    /// More than an origin.
    #[error(
        "`{0}` has a path or query: give scheme, host and port only; `/v1/...` is added for each call"
    )]
    NotAnOrigin(String),
    /// A signature prevents changes to a request, not reading it.
    #[error(
        "`{0}` is http to another machine, where anyone on the way could read the orders: use https"
    )]
    Plain(String),
}

impl ApiUrl {
    /// Reads an origin such as `https://api.example.com` or `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// [`ApiUrlError`].
    pub fn parse(text: &str) -> Result<Self, ApiUrlError> {
        let (scheme, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => ("https", rest),
            (None, Some(rest)) => ("http", rest),
            (None, None) => return Err(ApiUrlError::Scheme(text.to_owned())),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(ApiUrlError::NotAnOrigin(text.to_owned()));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if authority.is_empty() || !authority.bytes().all(plain) {
            return Err(ApiUrlError::Host(text.to_owned()));
        }
        let url = Self {
            scheme,
            authority: authority.to_owned(),
        };
        if scheme == "http" && !url.is_loopback() {
            return Err(ApiUrlError::Plain(text.to_owned()));
        }
        Ok(url)
    }

    /// `https` or `http`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Host and port, as a client sends them in `Host`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether the API is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            Some(_) | None => &self.authority,
        };
        let address = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_with_or_without_its_last_slash() {
        for (text, shown, authority) in [
            (
                "https://api.example.com",
                "https://api.example.com",
                "api.example.com",
            ),
            (
                "https://api.example.com:8443/",
                "https://api.example.com:8443",
                "api.example.com:8443",
            ),
            (
                "http://127.0.0.1:8080",
                "http://127.0.0.1:8080",
                "127.0.0.1:8080",
            ),
            ("http://localhost", "http://localhost", "localhost"),
            ("http://[::1]:9000/", "http://[::1]:9000", "[::1]:9000"),
        ] {
            let url = ApiUrl::parse(text).unwrap();
            assert_eq!(
                (url.to_string().as_str(), url.authority()),
                (shown, authority)
            );
        }
    }

    #[test]
    fn what_is_no_origin_or_would_go_out_in_the_clear_is_refused() {
        type ErrorOf = fn(String) -> ApiUrlError;
        let cases: [(&str, ErrorOf); 10] = [
            ("api.example.com", ApiUrlError::Scheme),
            ("ftp://api.example.com", ApiUrlError::Scheme),
            ("https://", ApiUrlError::Host),
            ("https:///", ApiUrlError::Host),
            ("https://user@api.example.com", ApiUrlError::Host),
            ("https://api.example.com/v1", ApiUrlError::NotAnOrigin),
            ("https://api.example.com?a=1", ApiUrlError::NotAnOrigin),
            ("http://api.example.com", ApiUrlError::Plain),
            ("http://127.0.0.1.example.com", ApiUrlError::Plain),
            ("http://10.0.0.1:80", ApiUrlError::Plain),
        ];
        for (text, expected) in cases {
            assert_eq!(ApiUrl::parse(text), Err(expected(text.to_owned())));
        }
    }
}
