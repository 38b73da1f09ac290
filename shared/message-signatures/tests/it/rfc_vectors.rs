//! The examples of RFC 9421, appendix B.2, whose algorithms are supported here. They cover less
//! than the merchant API asks for, so each is checked with a profile of its own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use message_signatures::{Algorithm, Profile, VerifyingKey, claim, verify};

use crate::support::Draft;

const CREATED_S: i64 = 1_618_884_473;

/// The request of appendix B.2. Neither signature covers its body, so it is left out: every profile
/// would ask for `content-digest` otherwise.
fn test_request(input: &str, signature: &str) -> Draft {
    Draft {
        method: "POST".to_owned(),
        scheme: "https".to_owned(),
        authority: "example.com".to_owned(),
        path: "/foo".to_owned(),
        query: Some("param=Value&Pet=dog".to_owned()),
        headers: Vec::new(),
        body: Vec::new(),
    }
    .header("Host", "example.com")
    .header("Date", "Tue, 20 Apr 2021 02:07:55 GMT")
    .header("Content-Type", "application/json")
    .header("Content-Length", "18")
    .header("Signature-Input", input)
    .header("Signature", signature)
}

fn check(draft: &Draft, key: &VerifyingKey, always: &'static [&'static str]) {
    let profile = Profile {
        always,
        when_present: &[],
        nonce_methods: &[],
        window_s: 0,
    };
    draft.with(|request| {
        let claim = claim(request, &profile).unwrap();
        assert_eq!(verify(request, &claim, key, CREATED_S, &profile), Ok(()));
    });
}

#[test]
fn b_2_5_signing_a_request_with_hmac_sha256() {
    let secret = STANDARD
        .decode("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
        .unwrap();
    let draft = test_request(
        r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
        "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
    );
    check(
        &draft,
        &VerifyingKey::from_secret(&secret).unwrap(),
        &["date", "@authority", "content-type"],
    );
}

#[test]
fn b_2_6_signing_a_request_with_ed25519() {
    let key = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----";
    let draft = test_request(
        r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
        "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
    );
    let key = VerifyingKey::from_public_key_pem(Algorithm::Ed25519, key).unwrap();
    check(
        &draft,
        &key,
        &[
            "date",
            "@method",
            "@path",
            "@authority",
            "content-type",
            "content-length",
        ],
    );
}
