//! The exact texts that are signed and verified.
//!
//! Each line ends with one LF, the last one too, whatever the platform; a body that ends in LF
//! itself still gets another (manual pages 4012365334 and 4013053249). There is no canonical sort
//! of query parameters: what is signed is what is sent.

use crate::outgoing::Outgoing;
use crate::time::UnixSeconds;

/// What the merchant signs for a request: method, path and query, timestamp, nonce, body (page
/// 4012365334).
#[must_use]
pub fn request(request: &Outgoing, at: UnixSeconds, nonce: &str) -> Vec<u8> {
    let seconds = at.0.to_string();
    lines(&[
        request.method.as_str().as_bytes(),
        request.path_and_query.as_bytes(),
        seconds.as_bytes(),
        nonce.as_bytes(),
        &request.body,
    ])
}

/// What WeChat Pay signs for a response or a callback: timestamp, nonce, body (page 4013053249). A
/// 204 has an empty body, so its text ends in a lone LF.
#[must_use]
pub fn answer(timestamp: &str, nonce: &str, body: &[u8]) -> Vec<u8> {
    lines(&[timestamp.as_bytes(), nonce.as_bytes(), body])
}

/// What the merchant signs for the client that starts the payment: appid, timestamp, nonce, and
/// either `prepay_id=wx...` (JSAPI, mini program) or the bare `wx...` (APP). Pages 4012365339,
/// 4012365340, 4012365341.
#[must_use]
pub fn payment(appid: &str, at: UnixSeconds, nonce: &str, package: &str) -> Vec<u8> {
    let seconds = at.0.to_string();
    lines(&[
        appid.as_bytes(),
        seconds.as_bytes(),
        nonce.as_bytes(),
        package.as_bytes(),
    ])
}

fn lines(parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len() + 1).sum();
    let mut text = Vec::with_capacity(length);
    for part in parts {
        text.extend_from_slice(part);
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outgoing::Method;

    #[test]
    fn a_get_ends_in_an_empty_line() {
        let get = Outgoing {
            method: Method::Get,
            path_and_query: "/v3/certificates".to_owned(),
            body: Vec::new(),
        };
        assert_eq!(
            request(&get, UnixSeconds(7), "n"),
            b"GET\n/v3/certificates\n7\nn\n\n"
        );
    }

    #[test]
    fn a_body_that_ends_in_a_line_feed_gets_another() {
        assert_eq!(answer("7", "n", b"{}\n"), b"7\nn\n{}\n\n");
        assert_eq!(answer("7", "n", b""), b"7\nn\n\n");
    }
}
