//! The URL of a webhook, as far as it can be checked before its name is resolved.

use std::{fmt, net::IpAddr};

use url::Url;

use super::address::{Reach, is_allowed};

/// A URL that webhooks may be sent to. Its `Debug` shows the host alone: path and query may hold
/// what lets one in.
#[derive(Clone, Eq, PartialEq)]
pub struct WebhookUrl(Url);

/// Why a text is no URL for webhooks. Never holds any of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadUrl {
    /// No URL, or one without a host.
    #[error(
        "the webhook's URL is not an absolute URL of 1 to {} ASCII characters",
        WebhookUrl::LENGTH_MAX
    )]
    NotAUrl,
    #[error(
        "the webhook's URL does not begin with https:// (http only on loopback, where that is allowed)"
    )]
    NotHttps,
    /// There is a user or a password in it.
    #[error("the webhook's URL has a user or a password; the signature authenticates the caller")]
    Credentials,
    /// There is a fragment, which is never sent.
    #[error("the webhook's URL has a fragment (#...)")]
    Fragment,
    /// A port of another service.
    #[error("the webhook's port is neither 443 nor 1024 or above")]
    Port,
    /// The host is an address that may not be connected to.
    #[error("the webhook's host is not a public address")]
    NotPublic,
}

impl WebhookUrl {
    /// The longest URL that is taken.
    pub const LENGTH_MAX: usize = 2048;

    /// Checks a URL by its text.
    ///
    /// # Errors
    /// [`BadUrl`].
    pub fn parse(text: &str, reach: Reach) -> Result<Self, BadUrl> {
        let fits = (1..=Self::LENGTH_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        let url = fits.then(|| Url::parse(text).ok()).flatten();
        let url = url.ok_or(BadUrl::NotAUrl)?;
        let host = url.host_str().ok_or(BadUrl::NotAUrl)?;
        // After parsing, numbers in any notation (0x7f.1, 2130706433) are plain addresses.
        let literal: Option<IpAddr> = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok();
        let is_loopback = reach == Reach::PublicAndLoopback
            && literal.map_or(host == "localhost", |address| address.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if is_loopback => {}
            _ => return Err(BadUrl::NotHttps),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadUrl::Credentials);
        }
        if url.fragment().is_some() {
            return Err(BadUrl::Fragment);
        }
        let port = url.port_or_known_default().ok_or(BadUrl::NotAUrl)?;
        if port != 443 && port < 1024 && !is_loopback {
            return Err(BadUrl::Port);
        }
        if literal.is_some_and(|address| !is_allowed(address, reach)) {
            return Err(BadUrl::NotPublic);
        }
        Ok(Self(url))
    }

    /// The URL as it is requested.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The host, for a log.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The URL in its parts.
    pub fn parsed(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookUrl")
            .field("host", &self.host())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_https_url_with_a_public_host_is_taken() {
        for text in [
            "https://shop.example/hooks",
            "https://shop.example",
            "https://shop.example:8443/hooks?token=1",
            "https://8.8.8.8/hooks",
            "https://[2606:4700:4700::1111]:1024/",
        ] {
            assert!(WebhookUrl::parse(text, Reach::Public).is_ok(), "{text}");
        }
    }

    #[test]
    fn every_other_url_is_refused_by_name() {
        let long = format!("https://shop.example/{}", "a".repeat(2048));
        for (text, error) in [
            ("", BadUrl::NotAUrl),
            ("shop.example/hooks", BadUrl::NotAUrl),
            ("https://", BadUrl::NotAUrl),
            ("https://shop example/", BadUrl::NotAUrl),
            ("https://shop.example/\n", BadUrl::NotAUrl),
            (long.as_str(), BadUrl::NotAUrl),
            ("http://shop.example/hooks", BadUrl::NotHttps),
            ("http://127.0.0.1:9000/", BadUrl::NotHttps),
            ("ftp://shop.example/", BadUrl::NotHttps),
            ("file:///etc/passwd", BadUrl::NotAUrl),
            ("https://user@shop.example/", BadUrl::Credentials),
            ("https://:pass@shop.example/", BadUrl::Credentials),
            ("https://shop.example/#part", BadUrl::Fragment),
            ("https://shop.example:22/", BadUrl::Port),
            ("https://shop.example:80/", BadUrl::Port),
            ("https://127.0.0.1/", BadUrl::NotPublic),
            ("https://127.1/", BadUrl::NotPublic),
            ("https://2130706433/", BadUrl::NotPublic),
            ("https://0x7f.0.0.1/", BadUrl::NotPublic),
            ("https://0177.0.0.1/", BadUrl::NotPublic),
            ("https://10.1.2.3/", BadUrl::NotPublic),
            (
                "https://169.254.169.254/latest/meta-data",
                BadUrl::NotPublic,
            ),
            ("https://[::1]/", BadUrl::NotPublic),
            ("https://[::ffff:169.254.169.254]/", BadUrl::NotPublic),
            ("https://[64:ff9b::a00:1]/", BadUrl::NotPublic),
            ("https://[fd00:ec2::254]/", BadUrl::NotPublic),
        ] {
            let refused = WebhookUrl::parse(text, Reach::Public);
            assert_eq!(refused, Err(error), "{text}");
        }
    }

    #[test]
    fn plain_http_is_for_loopback_and_only_where_that_was_asked_for() {
        for text in [
            "http://127.0.0.1:9000/hooks",
            "http://localhost:80/hooks",
            "http://[::1]:9000/",
            "https://localhost:9000/",
            "https://shop.example/",
        ] {
            assert!(
                WebhookUrl::parse(text, Reach::PublicAndLoopback).is_ok(),
                "{text}"
            );
        }
        for (text, error) in [
            ("http://shop.example/", BadUrl::NotHttps),
            ("http://localhost.example/", BadUrl::NotHttps),
            ("http://10.0.0.1:9000/", BadUrl::NotHttps),
            ("https://10.0.0.1:9000/", BadUrl::NotPublic),
        ] {
            let refused = WebhookUrl::parse(text, Reach::PublicAndLoopback);
            assert_eq!(refused, Err(error), "{text}");
        }
    }

    #[test]
    fn only_the_host_is_shown() {
        let url = WebhookUrl::parse("https://shop.example/hooks?token=1", Reach::Public).unwrap();
        assert_eq!(
            format!("{url:?}"),
            r#"WebhookUrl { host: "shop.example", .. }"#
        );
        assert_eq!(url.as_str(), "https://shop.example/hooks?token=1");
    }
}
