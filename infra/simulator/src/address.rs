//! The address that a caller used: from a container, or through a tunnel or a proxy, it is not the
//! simulator's own.

use http::{HeaderMap, Uri, header, uri::Authority};

/// The base of every link in an answer, without a slash at the end: `--public-url` if given,
/// otherwise the address from a proxy's header fields (`X-Forwarded-Proto`, `X-Forwarded-Host`),
/// else the request's own `Host`, else `own`.
pub(crate) fn as_called(headers: &HeaderMap, public_url: Option<&str>, own: &str) -> String {
    if let Some(url) = public_url {
        return url.to_owned();
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // Proxies append to these; the first is what the client asked the outermost one for.
    let forwarded = |name| {
        let first = header(name)?.split(',').next()?.trim();
        Some(first).filter(|value| !value.is_empty())
    };
    let host = forwarded("x-forwarded-host")
        .filter(|host| is_host(host))
        .or_else(|| header(header::HOST.as_str()).filter(|host| is_host(host)));
    let Some(host) = host else {
        return own.to_owned();
    };
    let scheme = match forwarded("x-forwarded-proto") {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
        Some(_) | None => "http",
    };
    format!("{scheme}://{host}")
}

/// A host and perhaps a port, and nothing that would make a link of it lead elsewhere.
fn is_host(text: &str) -> bool {
    !text.contains('@') && text.parse::<Authority>().is_ok()
}

/// `--public-url` as the start of links; `None` if it is not usable.
pub(crate) fn base_of(url: &str) -> Option<String> {
    let base = url.strip_suffix('/').unwrap_or(url);
    let uri: Uri = base.parse().ok()?;
    let scheme = uri.scheme_str()?;
    // A path would be missing from what clients sign.
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !base.contains('#');
    let right = matches!(scheme, "http" | "https") && is_bare && is_host(uri.authority()?.as_str());
    right.then(|| base.to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const OWN: &str = "http://127.0.0.1:8081";

    fn called(headers: &[(&'static str, &str)], public_url: Option<&str>) -> String {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect();
        as_called(&headers, public_url, OWN)
    }

    #[test]
    fn a_link_leads_to_where_the_request_was_sent() {
        let host = ("host", "pay.test:9");
        let proxied = ("x-forwarded-host", "sim.example");
        let https = ("x-forwarded-proto", "https");
        for (headers, expected) in [
            (&[][..], OWN),
            (&[host], "http://pay.test:9"),
            (&[host, https], "https://pay.test:9"),
            (&[host, proxied, https], "https://sim.example"),
            (&[host, proxied], "http://sim.example"),
            (
                &[host, ("x-forwarded-host", "a.example, b.example")],
                "http://a.example",
            ),
            (
                &[host, ("x-forwarded-proto", "HTTPS,http")],
                "https://pay.test:9",
            ),
            // What is empty or no host counts as absent.
            (
                &[host, ("x-forwarded-host", ""), ("x-forwarded-proto", "")],
                "http://pay.test:9",
            ),
            (
                &[host, ("x-forwarded-host", "evil/path")],
                "http://pay.test:9",
            ),
            (&[("host", "user@evil")], OWN),
            (&[host, ("x-forwarded-proto", "ftp")], "http://pay.test:9"),
        ] {
            assert_eq!(called(headers, None), expected, "{headers:?}");
            let public = Some("https://fixed.example");
            assert_eq!(called(headers, public), "https://fixed.example");
        }
    }

    #[test]
    fn a_public_url_is_a_scheme_and_a_host() {
        assert_eq!(
            base_of("https://sim.example/").as_deref(),
            Some("https://sim.example")
        );
        assert_eq!(
            base_of("http://[::1]:8081").as_deref(),
            Some("http://[::1]:8081")
        );
        for wrong in [
            "sim.example",
            "/path",
            "ftp://sim.example",
            "https://sim.example/path",
            "https://sim.example?a=1",
            "https://sim.example#a",
            "https://user@sim.example",
            "https://",
            "",
        ] {
            assert_eq!(base_of(wrong), None, "{wrong}");
        }
    }
}
