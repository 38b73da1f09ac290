//! Whatever is sent, the answer is a value: no input panics, none is accepted without the key.

use proptest::prelude::*;

use crate::support::{Draft, NOW_S, RSA, hmac_signer, hmac_verifier};

/// Text that looks like a Structured Field often enough to get past the first letter.
fn field_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("sig1=".to_owned()),
        Just("(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\")".to_owned()),
        Just(";created=1790000000".to_owned()),
        Just(";keyid=\"k1\"".to_owned()),
        Just(";nonce=\"n\"".to_owned()),
        Just(";alg=\"hmac-sha256\"".to_owned()),
        Just(":AAAA:".to_owned()),
        Just(", ".to_owned()),
        Just("sha-256=".to_owned()),
        "[ -~]{0,6}",
        "\\PC{0,3}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn any_draft() -> impl Strategy<Value = Draft> {
    let text = || "\\PC{0,20}";
    let name = prop_oneof![
        Just("Signature-Input".to_owned()),
        Just("signature".to_owned()),
        Just("Content-Digest".to_owned()),
        Just("prefer".to_owned()),
        Just(String::new()),
    ];
    let value = prop_oneof![
        field_like().prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40)
    ];
    let headers = prop::collection::vec((name, value), 0..6);
    let body = prop::collection::vec(any::<u8>(), 0..20);
    let scheme = prop_oneof![Just("https".to_owned()), Just("http".to_owned()), text()];
    (
        text(),
        scheme,
        text(),
        text(),
        prop::option::of(text()),
        headers,
        body,
    )
        .prop_map(
            |(method, scheme, authority, path, query, headers, body)| Draft {
                method,
                scheme,
                authority,
                path,
                query,
                headers,
                body,
            },
        )
}

proptest! {
    #[test]
    fn no_unsigned_request_is_accepted_and_none_panics(draft in any_draft(), now_s in any::<i64>()) {
        for key in [hmac_verifier(), RSA.verifier()] {
            let refusal = draft.check_at(&key, now_s).unwrap_err();
            prop_assert!(!refusal.to_string().is_empty());
        }
    }

    #[test]
    fn fields_that_nearly_fit_are_refused(input in field_like(), signature in field_like(), digest in field_like()) {
        let draft = Draft::post()
            .header("Signature-Input", input)
            .header("Signature", signature)
            .header("Content-Digest", digest);
        prop_assert!(draft.check(&hmac_verifier()).is_err());
    }

    #[test]
    fn one_changed_byte_in_what_is_signed_is_found(at in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let mut draft = Draft::post().signed(&hmac_signer());
        let index = at.index(draft.body.len());
        draft.body[index] ^= flip;
        prop_assert_eq!(draft.check(&hmac_verifier()).unwrap_err().name(), "digest_mismatch");
    }

    #[test]
    fn what_is_signed_is_accepted_whatever_it_is(
        path in "/[!-~]{0,60}",
        query in prop::option::of("[!-~]{0,60}"),
        key in "[ -~]{0,60}",
        body in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut draft = Draft::post().without("idempotency-key").header("Idempotency-Key", key);
        (draft.path, draft.query, draft.body) = (path, query, body);
        prop_assert!(draft.signed(&hmac_signer()).check_at(&hmac_verifier(), NOW_S).is_ok());
    }
}
