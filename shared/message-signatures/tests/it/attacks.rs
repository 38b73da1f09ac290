//! A signed request is changed in transit, or a signature is made with an attacker's knowledge.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use message_signatures::{Refusal, SigningKey, content_digest};

use crate::support::{
    Draft, ED25519, RSA, created, get_lines, hmac_signer, hmac_verifier, target_lines,
};

fn replace(draft: &mut Draft, field: &str, change: impl Fn(String) -> String) {
    for (name, value) in &mut draft.headers {
        if name == field {
            *value = change(String::from_utf8(value.clone()).unwrap()).into_bytes();
        }
    }
}

#[test]
fn every_part_of_the_request_is_held_to_what_was_signed() {
    type Change = (&'static str, fn(&mut Draft));
    let changes: [Change; 6] = [
        ("method", |draft| draft.method = "PUT".to_owned()),
        ("method in lower case", |draft| {
            draft.method = "post".to_owned();
        }),
        ("authority", |draft| {
            draft.authority = "evil.example.com".to_owned();
        }),
        ("path", |draft| draft.path = "/v1/orders/".to_owned()),
        ("query", |draft| draft.query = Some("a=1".to_owned())),
        ("idempotency key", |draft| {
            draft.headers[0].1 = b"a-2".to_vec();
        }),
    ];
    for (what, change) in changes {
        assert_eq!(
            Draft::post().refusal_after(change),
            "wrong_signature",
            "{what}"
        );
    }
}

#[test]
fn reordered_parameters_are_another_signature() {
    let reorder = |draft: &mut Draft| {
        replace(draft, "Signature-Input", |input| {
            input.replace(";keyid=\"k1\";nonce=\"n1\"", ";nonce=\"n1\";keyid=\"k1\"")
        });
    };
    assert_eq!(Draft::post().refusal_after(reorder), "wrong_signature");
}

#[test]
fn reordered_components_are_another_signature() {
    let reorder = |draft: &mut Draft| {
        replace(draft, "Signature-Input", |input| {
            input.replace("\"@method\" \"@authority\"", "\"@authority\" \"@method\"")
        });
    };
    assert_eq!(Draft::post().refusal_after(reorder), "wrong_signature");
}

#[test]
fn a_parameter_cannot_be_changed_added_or_taken_away() {
    for (from, to) in [
        ("nonce=\"n1\"", "nonce=\"n2\""),
        (";nonce=\"n1\"", ";nonce=\"n1\";tag=\"x\""),
        ("keyid=\"k1\"", "keyid=\"k2\""),
        ("created=1790000000", "created=1790000001"),
        (
            "created=1790000000",
            "created=1790000000;expires=1790009999",
        ),
    ] {
        let alter =
            |draft: &mut Draft| replace(draft, "Signature-Input", |input| input.replace(from, to));
        assert_eq!(
            Draft::post().refusal_after(alter),
            "wrong_signature",
            "{to}"
        );
    }
}

#[test]
fn a_parameter_that_comes_twice_has_the_value_that_is_signed() {
    let twice = |draft: &mut Draft| {
        replace(draft, "Signature-Input", |input| {
            format!("{input};nonce=\"n2\"")
        });
    };
    assert_eq!(Draft::post().refusal_after(twice), "wrong_signature");
}

#[test]
fn a_label_that_comes_twice_is_refused() {
    for field in ["Signature-Input", "Signature"] {
        let on_one_line =
            |draft: &mut Draft| replace(draft, field, |value| format!("{value}, {value}"));
        assert_eq!(
            Draft::post().refusal_after(on_one_line),
            "signature_member_repeated",
            "{field}"
        );
        let on_two_lines = |draft: &mut Draft| {
            let line = draft
                .headers
                .iter()
                .find(|(name, _)| name == field)
                .unwrap()
                .clone();
            draft.headers.push(line);
        };
        assert_eq!(
            Draft::post().refusal_after(on_two_lines),
            "signature_member_repeated",
            "{field}"
        );
    }
}

#[test]
fn a_covered_header_that_is_sent_twice_is_another_header() {
    for value in ["a-2", "a-1", ""] {
        let add = |draft: &mut Draft| {
            draft
                .headers
                .push(("idempotency-key".to_owned(), value.as_bytes().to_vec()));
        };
        assert_eq!(
            Draft::post().refusal_after(add),
            "wrong_signature",
            "{value}"
        );
    }
}

#[test]
fn a_header_that_changes_what_the_request_does_cannot_be_added() {
    for name in ["Prefer", "IDEMPOTENCY-KEY"] {
        let add = |draft: &mut Draft| {
            draft
                .headers
                .push((name.to_owned(), b"respond-async".to_vec()));
        };
        assert_eq!(
            Draft::get().refusal_after(add),
            "component_not_covered",
            "{name}"
        );
    }
}

#[test]
fn upper_case_component_names_are_refused() {
    let upper = |draft: &mut Draft| {
        replace(draft, "Signature-Input", |input| {
            input.replace("\"prefer\"", "\"Prefer\"")
        });
    };
    assert_eq!(Draft::post().refusal_after(upper), "component_unsupported");
}

#[test]
fn one_query_parameter_does_not_stand_for_the_query() {
    let [method, authority, path, _] = get_lines();
    let lines = [
        method,
        authority,
        path,
        ("@query-param\";name=\"expand", "1"),
    ];
    // The name closes its own quote, so the list reads `"@query-param";name="expand"`.
    let draft = Draft::get().signed_by_hand("s", &lines, &created());
    assert_eq!(
        draft.check(&hmac_verifier()).unwrap_err().name(),
        "component_unsupported"
    );
}

#[test]
fn a_swapped_body_is_found_by_the_digest_and_a_swapped_digest_by_the_signature() {
    let swap_body = |draft: &mut Draft| draft.body = br#"{"amount_fen":999}"#.to_vec();
    assert_eq!(Draft::post().refusal_after(swap_body), "digest_mismatch");
    let swap_both = |draft: &mut Draft| {
        draft.body = br#"{"amount_fen":999}"#.to_vec();
        replace(draft, "Content-Digest", |_| {
            content_digest(br#"{"amount_fen":999}"#)
        });
    };
    assert_eq!(Draft::post().refusal_after(swap_both), "wrong_signature");
    let add_body = |draft: &mut Draft| draft.body = b"{}".to_vec();
    assert_eq!(
        Draft::get().refusal_after(add_body),
        "component_not_covered"
    );
    let take_body = |draft: &mut Draft| draft.body.clear();
    assert_eq!(Draft::post().refusal_after(take_body), "digest_mismatch");
}

#[test]
fn a_public_keys_text_is_no_shared_secret() {
    for pair in [&RSA, &ED25519] {
        // The attacker has the public key and computes an HMAC with its text, hoping that `alg`
        // chooses.
        let forger = SigningKey::from_secret(pair.public_pem.as_bytes()).unwrap();
        let forged = Draft::post().signed(&forger);
        assert_eq!(
            forged.check(&pair.verifier()).unwrap_err().name(),
            "wrong_signature"
        );
    }
    let text = RSA.public_pem.as_bytes();
    let params = format!("{};alg=\"hmac-sha256\"", created());
    let mut forged = Draft::get().signed_by_hand("s", &get_lines(), &params);
    let tag = STANDARD.encode(hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, text),
        b"anything",
    ));
    replace(&mut forged, "Signature", |_| format!("s=:{tag}:"));
    let refusal = forged.check(&RSA.verifier()).unwrap_err();
    let expected = "rsa-v1_5-sha256";
    assert_eq!(
        refusal,
        Refusal::AlgorithmMismatch {
            claimed: "hmac-sha256".to_owned(),
            expected
        }
    );
}

#[test]
fn a_key_of_another_kind_accepts_nothing() {
    let draft = Draft::post().signed(&ED25519.signer());
    for verifier in [RSA.verifier(), hmac_verifier()] {
        assert_eq!(
            draft.check(&verifier).unwrap_err().name(),
            "wrong_signature"
        );
    }
}

#[test]
fn a_signature_that_is_cut_empty_or_one_bit_off_is_wrong() {
    for (signer, verifier) in [
        (hmac_signer(), hmac_verifier()),
        (RSA.signer(), RSA.verifier()),
        (ED25519.signer(), ED25519.verifier()),
    ] {
        let good = Draft::get().signed(&signer);
        let sent = good
            .check(&verifier)
            .map(|_| good.headers.last().unwrap().1.clone())
            .unwrap();
        let sent = STANDARD.decode(&sent[6..sent.len() - 1]).unwrap();
        let mut flipped = sent.clone();
        flipped[0] ^= 1;
        let longer = [sent.clone(), vec![0]].concat();
        for bytes in [flipped, longer, sent[..sent.len() - 1].to_vec(), Vec::new()] {
            let mut bad = good.clone();
            replace(&mut bad, "Signature", |_| {
                format!("sig1=:{}:", STANDARD.encode(&bytes))
            });
            assert_eq!(
                bad.check(&verifier).unwrap_err().name(),
                "wrong_signature",
                "{} bytes",
                bytes.len()
            );
        }
    }
}

#[test]
fn a_signature_of_one_request_does_not_fit_another() {
    let mut other = Draft::get();
    other.path = "/v1/orders/other".to_owned();
    let own = Draft::get().signed(&hmac_signer());
    other.headers.clone_from(&own.headers);
    assert_eq!(
        other.check(&hmac_verifier()).unwrap_err().name(),
        "wrong_signature"
    );
}

#[test]
fn very_long_inputs_are_refused_before_any_work() {
    let labels: String = (0..100_000)
        .map(|number| format!("s{number}=(\"@method\"), "))
        .collect();
    let nested = "(".repeat(1_000_000);
    for text in [labels, nested, "a".repeat(1_000_000), " ".repeat(1_000_000)] {
        let draft = Draft::get()
            .header("Signature-Input", &text)
            .header("Signature", "s=:AAAA:");
        let name = draft.check(&hmac_verifier()).unwrap_err().name();
        assert!(
            ["signature_too_long", "signature_label_missing"].contains(&name),
            "{name}"
        );
    }
}

/// The result for a request that was signed by `@target-uri` and changed in transit.
fn retargeted(alter: impl FnOnce(&mut Draft)) -> &'static str {
    let mut sent = Draft::get().signed_by_hand("sig1", &target_lines(), &created());
    alter(&mut sent);
    sent.check(&hmac_verifier())
        .expect_err("the altered request is refused")
        .name()
}

#[test]
fn every_part_of_a_target_uri_is_held_to_what_was_signed() {
    type Change = (&'static str, fn(&mut Draft), &'static str);
    let (wrong, cut) = ("wrong_signature", "component_unsupported");
    let changes: [Change; 14] = [
        ("scheme", |draft| draft.scheme = "http".to_owned(), wrong),
        (
            "another host",
            |draft| draft.authority = "evil.example.com".to_owned(),
            wrong,
        ),
        (
            "another port",
            |draft| draft.authority.push_str(":8443"),
            wrong,
        ),
        (
            "the other scheme's port",
            |draft| draft.authority.push_str(":80"),
            wrong,
        ),
        (
            "a user in the host",
            |draft| draft.authority.insert_str(0, "user@"),
            cut,
        ),
        (
            "the host in front of another",
            |draft| draft.authority.push_str("@evil.example.com"),
            cut,
        ),
        ("path", |draft| draft.path.push('/'), wrong),
        (
            "path in upper case",
            |draft| draft.path = draft.path.to_uppercase(),
            wrong,
        ),
        (
            "query",
            |draft| draft.query = Some("expand=2".to_owned()),
            wrong,
        ),
        (
            "more query",
            |draft| draft.query = Some("expand=1&a=1".to_owned()),
            wrong,
        ),
        ("no query", |draft| draft.query = None, wrong),
        // The same text, cut in another way.
        (
            "the path begins in the host",
            |draft| {
                draft.authority = "api.example.com/v1".to_owned();
                draft.path = "/orders/abc-123".to_owned();
            },
            cut,
        ),
        (
            "the query is in the path",
            |draft| {
                draft.path = "/v1/orders/abc-123?expand=1".to_owned();
                draft.query = None;
            },
            cut,
        ),
        (
            "a fragment",
            |draft| draft.query = Some("expand=1#x".to_owned()),
            cut,
        ),
    ];
    for (what, change, refusal) in changes {
        assert_eq!(retargeted(change), refusal, "{what}");
    }
}

#[test]
fn a_target_uri_that_was_signed_otherwise_than_it_is_sent_is_refused() {
    for uri in [
        "https://api.example.com/v1/orders/abc-123?expand=1#top",
        "https://user@api.example.com/v1/orders/abc-123?expand=1",
        "https://api.example.com:443/v1/orders/abc-123?expand=1",
        "https://API.example.com/v1/orders/abc-123?expand=1",
        "HTTPS://api.example.com/v1/orders/abc-123?expand=1",
        "http://api.example.com/v1/orders/abc-123?expand=1",
        "//api.example.com/v1/orders/abc-123?expand=1",
        "/v1/orders/abc-123?expand=1",
    ] {
        let lines = [("@method", "GET"), ("@target-uri", uri)];
        let signed = Draft::get().signed_by_hand("sig1", &lines, &created());
        let refusal = signed.check(&hmac_verifier()).unwrap_err();
        assert_eq!(refusal.name(), "wrong_signature", "{uri}");
    }
}

#[test]
fn a_target_uri_stands_for_nothing_but_the_target() {
    for (lines, missing) in [
        (&target_lines()[1..], "@method"),
        (&target_lines()[..1], "@authority"),
    ] {
        let signed = Draft::get().signed_by_hand("sig1", lines, &created());
        assert_eq!(
            signed.check(&hmac_verifier()),
            Err(Refusal::NotCovered {
                component: missing.to_owned()
            })
        );
    }
    // A body and the fields that change what a request does are to be covered besides.
    let lines = [
        ("@method", "POST"),
        ("@target-uri", "https://api.example.com/v1/orders"),
    ];
    let params = format!("{};nonce=\"n1\"", created());
    let signed = Draft::post().signed_by_hand("sig1", &lines, &params);
    let refusal = signed.check(&hmac_verifier()).unwrap_err();
    assert_eq!(refusal.name(), "component_not_covered");
}
