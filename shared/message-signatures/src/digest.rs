//! `Content-Digest` (RFC 9530): ties the body to the signature that covers the field.

use aws_lc_rs::digest::{self, SHA256, SHA512};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sfv::{Dictionary, ListEntry};

use crate::fields::{CONTENT_DIGEST, dictionary};
use crate::refusal::Refusal;
use crate::request::Request;

/// The value of `Content-Digest` for a body, by SHA-256.
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    format!(
        "sha-256=:{}:",
        STANDARD.encode(digest::digest(&SHA256, body))
    )
}

/// Compares the request's body with its `Content-Digest`. Every digest that is known here must fit,
/// and one must be known.
pub(crate) fn check(request: &Request<'_>) -> Result<(), Refusal> {
    let stated = dictionary(request, CONTENT_DIGEST)?;
    let mut known = false;
    for (name, algorithm) in [("sha-256", &SHA256), ("sha-512", &SHA512)] {
        let Some(expected) = bytes(&stated, name)? else {
            continue;
        };
        if digest::digest(algorithm, request.body).as_ref() != expected {
            return Err(Refusal::DigestMismatch { algorithm: name });
        }
        known = true;
    }
    if known {
        Ok(())
    } else {
        Err(Refusal::DigestUnknown)
    }
}

fn bytes<'d>(stated: &'d Dictionary, name: &str) -> Result<Option<&'d [u8]>, Refusal> {
    let Some(entry) = stated.get(name) else {
        return Ok(None);
    };
    let wrong_type = || Refusal::WrongType {
        field: CONTENT_DIGEST,
        member: name.to_owned(),
        expected: "a byte sequence (`:base64:`)",
    };
    match entry {
        ListEntry::Item(item) => item
            .bare_item
            .as_byte_sequence()
            .map(Some)
            .ok_or_else(wrong_type),
        ListEntry::InnerList(_) => Err(wrong_type()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"hello": "world"}"#;
    const SHA_256: &str = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    const SHA_512: &str = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";

    fn check_value(value: &str, body: &[u8]) -> Result<(), Refusal> {
        let headers = [("content-digest", value.as_bytes())];
        check(&Request {
            method: "POST",
            scheme: "https",
            authority: "h",
            path: "/",
            query: None,
            headers: &headers,
            body,
        })
    }

    #[test]
    fn the_digests_of_rfc_9530_fit_their_body() {
        assert_eq!(content_digest(BODY), SHA_256);
        for value in [
            SHA_256,
            SHA_512,
            &format!("{SHA_512}, {SHA_256}"),
            &format!("md5=:AAAA:, {SHA_256}"),
        ] {
            assert_eq!(check_value(value, BODY), Ok(()), "{value}");
        }
    }

    #[test]
    fn one_wrong_digest_among_right_ones_is_enough_to_refuse() {
        let empty = content_digest(b"");
        for (value, algorithm) in [
            (empty.clone(), "sha-256"),
            (format!("{SHA_512}, {empty}"), "sha-256"),
        ] {
            assert_eq!(
                check_value(&value, BODY),
                Err(Refusal::DigestMismatch { algorithm }),
                "{value}"
            );
        }
        let other = format!("{SHA_256}, sha-512=:AAAA:");
        assert_eq!(
            check_value(&other, BODY),
            Err(Refusal::DigestMismatch {
                algorithm: "sha-512"
            })
        );
    }

    #[test]
    fn a_digest_by_an_unknown_algorithm_only_is_refused() {
        for value in ["", "md5=:AAAA:", "SHA-256"] {
            let name = check_value(value, BODY).unwrap_err().name();
            assert!(
                ["digest_unknown", "signature_unparsable"].contains(&name),
                "{value}: {name}"
            );
        }
        assert_eq!(check_value("md5=:AAAA:", BODY), Err(Refusal::DigestUnknown));
    }

    #[test]
    fn a_digest_that_is_no_byte_sequence_or_comes_twice_is_refused() {
        for value in [
            "sha-256=abc",
            "sha-256",
            "sha-256=(:AAAA:)",
            "sha-256=\"AAAA\"",
        ] {
            assert_eq!(
                check_value(value, BODY).unwrap_err().name(),
                "signature_wrong_type",
                "{value}"
            );
        }
        let twice = format!("{SHA_256}, {SHA_256}");
        assert_eq!(
            check_value(&twice, BODY).unwrap_err().name(),
            "signature_member_repeated"
        );
    }
}
