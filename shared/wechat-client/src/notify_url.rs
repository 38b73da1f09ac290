//! The URL that WeChat Pay calls: an invalid one is reported when a function starts, and not only
//! noticed by missing callbacks.
//!
//! WeChat Pay takes an absolute public URL with a path, without a query, of 255 characters at most
//! (shared/wechatpay/PROTOCOL.md, 5.2 and 7.1). An address that it cannot reach is not an error.

use std::net::IpAddr;

use runtime::{
    env::SettingsReader,
    net::address::{Reach, is_allowed, is_this_machine},
};
use url::Url;

/// The path of the route that takes callbacks.
const PATH: &str = "/v1/callbacks/wechatpay";
/// The longest URL that WeChat Pay takes.
const LENGTH_MAX: usize = 255;
/// Endings of names that the public DNS does not know.
const PRIVATE_NAMES: [&str; 6] = [
    ".local",
    ".localhost",
    ".localdomain",
    ".internal",
    ".lan",
    ".home.arpa",
];

/// What is expected, where something else was found.
const EXPECTED: &str = "the absolute https URL of POST /v1/callbacks/wechatpay, without a query (http only on loopback)";

/// Reads `NOTIFY_URL`: where WeChat Pay sends its callbacks.
pub fn read(reader: &mut SettingsReader<'_>) -> Option<String> {
    reader.validated("NOTIFY_URL", EXPECTED, validate)
}

/// Takes an address, or says what was expected of it.
///
/// # Errors
/// In words that follow "expected".
fn validate(text: &str) -> Result<String, &'static str> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(
            "no blanks, and ASCII characters alone: write a domain of other characters in its xn-- form",
        );
    }
    if text.len() > LENGTH_MAX {
        return Err("at most 255 characters");
    }
    if text.contains(['?', '#']) {
        return Err("no query and no fragment: WeChat Pay refuses them");
    }
    let url = Url::parse(text).map_err(|_| EXPECTED)?;
    let host = url.host_str().ok_or(EXPECTED)?;
    if text.contains('@') {
        return Err("no user and no password: WeChat Pay's signature authenticates the caller");
    }
    let is_local = is_this_machine(host);
    match url.scheme() {
        "https" => {}
        "http" if is_local => {}
        _ => return Err("https:// (http only on loopback, for the simulator)"),
    }
    if !is_local && !is_public(host) {
        return Err(
            "a host that WeChat Pay reaches from the internet: a public domain, not a private address or name",
        );
    }
    if is_local && url.scheme() == "https" {
        return Err("a host that WeChat Pay reaches from the internet, not this machine");
    }
    if !url.path().ends_with(PATH) || !text.ends_with(PATH) {
        return Err(
            "the path /v1/callbacks/wechatpay at its end: callbacks arrive there and nowhere else",
        );
    }
    Ok(text.to_owned())
}

fn is_public(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = literal.parse::<IpAddr>() {
        return is_allowed(address, Reach::Public);
    }
    let name = host.trim_end_matches('.');
    name.contains('.') && !PRIVATE_NAMES.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_wechat_pay_can_call_is_taken_as_it_is() {
        for text in [
            "https://pay.example.com/v1/callbacks/wechatpay",
            "https://pay.example.com:8443/v1/callbacks/wechatpay",
            "https://pay.example.com/prod/v1/callbacks/wechatpay",
            "https://xn--fiqs8s.example/v1/callbacks/wechatpay",
            "https://a1b2.execute-api.ap-east-1.amazonaws.com/v1/callbacks/wechatpay",
            "https://8.8.8.8/v1/callbacks/wechatpay",
            "http://127.0.0.1:8080/v1/callbacks/wechatpay",
            "http://localhost:8080/v1/callbacks/wechatpay",
            "http://[::1]:8080/v1/callbacks/wechatpay",
            "http://172.17.0.1:8080/v1/callbacks/wechatpay",
            "http://host.docker.internal:8080/v1/callbacks/wechatpay",
        ] {
            assert_eq!(validate(text), Ok(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn every_other_address_is_refused_with_what_to_write_instead() {
        let long = format!("https://pay.example.com/{}{PATH}", "a".repeat(255));
        for (text, says) in [
            ("https://支付.example.com/v1/callbacks/wechatpay", "xn--"),
            (
                " https://pay.example.com/v1/callbacks/wechatpay",
                "no blanks",
            ),
            (
                "https://pay.example.com/v1/callbacks/wechatpay ",
                "no blanks",
            ),
            (
                "https://pay.example.com/v1/callbacks/wechat pay",
                "no blanks",
            ),
            (long.as_str(), "255"),
            (
                "https://pay.example.com/v1/callbacks/wechatpay?a=1",
                "no query",
            ),
            (
                "https://pay.example.com/v1/callbacks/wechatpay#a",
                "no query",
            ),
            ("pay.example.com/v1/callbacks/wechatpay", "absolute"),
            ("https:///v1/callbacks/wechatpay", "public domain"),
            (
                "https://user@pay.example.com/v1/callbacks/wechatpay",
                "no user",
            ),
            (
                "https://localhost@evil.example/v1/callbacks/wechatpay",
                "no user",
            ),
            ("http://pay.example.com/v1/callbacks/wechatpay", "https://"),
            (
                "http://127.0.0.1.example.com/v1/callbacks/wechatpay",
                "https://",
            ),
            ("ftp://pay.example.com/v1/callbacks/wechatpay", "https://"),
            ("https://10.0.0.7/v1/callbacks/wechatpay", "public domain"),
            (
                "https://192.168.1.7/v1/callbacks/wechatpay",
                "public domain",
            ),
            (
                "https://169.254.169.254/v1/callbacks/wechatpay",
                "public domain",
            ),
            (
                "https://[::ffff:10.0.0.7]/v1/callbacks/wechatpay",
                "public domain",
            ),
            ("https://[fd00::7]/v1/callbacks/wechatpay", "public domain"),
            ("https://127.1/v1/callbacks/wechatpay", "not this machine"),
            (
                "https://127.0.0.1/v1/callbacks/wechatpay",
                "not this machine",
            ),
            (
                "https://localhost/v1/callbacks/wechatpay",
                "not this machine",
            ),
            ("https://intranet/v1/callbacks/wechatpay", "public domain"),
            (
                "https://pay.corp.internal/v1/callbacks/wechatpay",
                "public domain",
            ),
            ("https://PAY.LOCAL/v1/callbacks/wechatpay", "public domain"),
            ("https://pay.example.com", "/v1/callbacks/wechatpay"),
            ("https://pay.example.com/", "/v1/callbacks/wechatpay"),
            (
                "https://pay.example.com/v1/callbacks",
                "/v1/callbacks/wechatpay",
            ),
            (
                "https://pay.example.com/v1/callbacks/wechatpay/",
                "/v1/callbacks/wechatpay",
            ),
            (
                "https://pay.example.com/V1/callbacks/wechatpay",
                "/v1/callbacks/wechatpay",
            ),
            ("http://127.0.0.1:8080/", "/v1/callbacks/wechatpay"),
        ] {
            let error = validate(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
