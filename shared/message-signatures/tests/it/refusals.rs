//! Every refusal, made on purpose.

use message_signatures::{Params, Refusal, limits};

use crate::support::{Draft, NOW_S, created, get_lines, hmac_signer, hmac_verifier};

fn refusal(draft: &Draft) -> Refusal {
    draft.check(&hmac_verifier()).expect_err("refused")
}

fn by_hand(lines: &[(&str, &str)], params: &str) -> Refusal {
    refusal(&Draft::get().signed_by_hand("s", lines, params))
}

fn with_fields(input: &str, signature: &str) -> Refusal {
    refusal(
        &Draft::get()
            .header("Signature-Input", input)
            .header("Signature", signature),
    )
}

#[test]
fn a_request_without_a_signature() {
    assert_eq!(refusal(&Draft::get()), Refusal::NoSignature);
    assert_eq!(with_fields("", ""), Refusal::NoSignature);
}

#[test]
fn a_label_that_one_of_the_fields_lacks() {
    let in_one = |label: &str, missing_in| Refusal::LabelMissing {
        label: label.to_owned(),
        missing_in,
    };
    assert_eq!(
        with_fields("a=();created=1;keyid=\"k\"", "b=:AAAA:"),
        in_one("a", "Signature")
    );
    assert_eq!(
        with_fields("a=();created=1;keyid=\"k\"", ""),
        in_one("a", "Signature")
    );
    assert_eq!(with_fields("", "b=:AAAA:"), in_one("b", "Signature-Input"));
}

#[test]
fn fields_that_are_no_dictionaries() {
    for (input, signature, field) in [
        ("sig1=(", "sig1=:AAAA:", "Signature-Input"),
        ("Sig1=()", "sig1=:AAAA:", "Signature-Input"),
        ("sig1=(\"@method\"", "sig1=:AAAA:", "Signature-Input"),
        (
            "sig1=();created=99999999999999999999",
            "sig1=:AAAA:",
            "Signature-Input",
        ),
        ("sig1=()", "sig1=:not base64:", "Signature"),
        ("sig1=()", "sig1=:AAAA:,", "Signature"),
    ] {
        let refusal = with_fields(input, signature);
        assert!(
            matches!(&refusal, Refusal::Unparsable { field: named, .. } if *named == field),
            "{input}: {refusal:?}"
        );
        assert_eq!(refusal.name(), "signature_unparsable");
    }
}

#[test]
fn members_of_the_wrong_type() {
    for (input, signature, field) in [
        ("s=\"text\"", "s=:AAAA:", "Signature-Input"),
        ("s", "s=:AAAA:", "Signature-Input"),
        ("s=()", "s=\"AAAA\"", "Signature"),
        ("s=()", "s=(:AAAA:)", "Signature"),
        ("s=()", "s", "Signature"),
    ] {
        let refusal = with_fields(input, signature);
        assert!(
            matches!(&refusal, Refusal::WrongType { field: named, .. } if *named == field),
            "{input}: {refusal:?}"
        );
        assert_eq!(refusal.name(), "signature_wrong_type");
    }
}

#[test]
fn a_parameter_that_is_missing() {
    for (params, parameter) in [(";keyid=\"k1\"", "created"), (";created=1", "keyid")] {
        assert_eq!(
            by_hand(&get_lines(), params),
            Refusal::ParameterMissing { parameter }
        );
    }
    let post = Draft::post().signed_by_hand("s", &get_lines(), &created());
    assert_eq!(
        refusal(&post),
        Refusal::ParameterMissing { parameter: "nonce" }
    );
}

#[test]
fn a_parameter_of_the_wrong_type() {
    for (params, parameter) in [
        (";created=\"1\";keyid=\"k1\"", "created"),
        (";created=1.0;keyid=\"k1\"", "created"),
        (";created=-1;keyid=\"k1\"", "created"),
        (";created=@1;keyid=\"k1\"", "created"),
        (";created;keyid=\"k1\"", "created"),
        (";created=1;keyid=k1", "keyid"),
        (";created=1;keyid=\"\"", "keyid"),
        (";created=1;keyid=\"k1\";expires=\"2\"", "expires"),
        (";created=1;keyid=\"k1\";nonce=5", "nonce"),
        (";created=1;keyid=\"k1\";alg=ed25519", "alg"),
    ] {
        let refusal = by_hand(&get_lines(), params);
        assert!(
            matches!(&refusal, Refusal::ParameterInvalid { parameter: named, .. } if *named == parameter),
            "{refusal:?}"
        );
        assert_eq!(refusal.name(), "signature_parameter_invalid");
    }
}

#[test]
fn a_required_component_that_is_not_covered() {
    for left_out in ["@method", "@authority", "@path", "@query"] {
        let lines: Vec<_> = get_lines()
            .into_iter()
            .filter(|(name, _)| *name != left_out)
            .collect();
        assert_eq!(
            by_hand(&lines, &created()),
            Refusal::NotCovered {
                component: left_out.to_owned()
            }
        );
    }
    let with_nonce = format!("{};nonce=\"n1\"", created());
    let post = [
        ("@method", "POST"),
        ("@authority", "api.example.com"),
        ("@path", "/v1/orders"),
        ("@query", "?"),
    ];
    for (draft, component) in [
        (Draft::post(), "idempotency-key"),
        (Draft::post().without("idempotency-key"), "prefer"),
        (
            Draft::post().without("idempotency-key").without("prefer"),
            "content-digest",
        ),
    ] {
        let refused = refusal(&draft.signed_by_hand("s", &post, &with_nonce));
        assert_eq!(
            refused,
            Refusal::NotCovered {
                component: component.to_owned()
            }
        );
    }
}

#[test]
fn a_covered_field_that_the_request_lacks() {
    let mut lines = get_lines().to_vec();
    lines.push(("x-gone", "1"));
    assert_eq!(
        by_hand(&lines, &created()),
        Refusal::ComponentAbsent {
            component: "x-gone".to_owned()
        }
    );
}

#[test]
fn components_that_cannot_be_verified_here() {
    for name in [
        "@query-param\";name=\"expand",
        "@status",
        "prefer\";sf;x=\"",
        "prefer\";req;x=\"",
        "Prefer",
        "x y",
    ] {
        let mut lines = get_lines().to_vec();
        lines.push((name, "1"));
        assert_eq!(
            by_hand(&lines, &created()).name(),
            "component_unsupported",
            "{name}"
        );
    }
    assert_eq!(
        with_fields("s=(method);created=1;keyid=\"k\"", "s=:AAAA:").name(),
        "component_unsupported"
    );
}

#[test]
fn a_covered_value_that_is_not_plain_text() {
    let mut lines = get_lines().to_vec();
    lines.push(("x-name", "1"));
    let draft = Draft::get()
        .header("X-Name", "caf\u{e9}")
        .signed_by_hand("s", &lines, &created());
    assert_eq!(
        refusal(&draft),
        Refusal::UnreadableComponent {
            component: "x-name".to_owned()
        }
    );
}

#[test]
fn a_component_that_is_covered_twice() {
    let mut lines = get_lines().to_vec();
    lines.push(("@path", "/v1/orders/abc-123"));
    assert_eq!(
        by_hand(&lines, &created()),
        Refusal::RepeatedComponent {
            component: "@path".to_owned()
        }
    );
}

#[test]
fn an_algorithm_that_is_not_the_keys() {
    for claimed in ["ed25519", "rsa-v1_5-sha256", "none", "HMAC-SHA256"] {
        let refusal = by_hand(&get_lines(), &format!("{};alg=\"{claimed}\"", created()));
        assert_eq!(
            refusal,
            Refusal::AlgorithmMismatch {
                claimed: claimed.to_owned(),
                expected: "hmac-sha256"
            }
        );
    }
}

#[test]
fn a_signature_out_of_its_time() {
    let draft = Draft::get().signed(&hmac_signer());
    let at = |now_s| {
        draft
            .check_at(&hmac_verifier(), now_s)
            .expect_err("out of time")
    };
    assert_eq!(
        at(NOW_S + 301),
        Refusal::Stale {
            age_s: 301,
            limit_s: 300
        }
    );
    assert_eq!(
        at(NOW_S - 301),
        Refusal::FromTheFuture {
            ahead_s: 301,
            limit_s: 300
        }
    );
    assert_eq!(at(i64::MAX).name(), "signature_stale");
    assert_eq!(at(i64::MIN).name(), "signature_from_the_future");

    let params = Params {
        keyid: "k1",
        created_s: NOW_S,
        expires_s: Some(NOW_S + 10),
        nonce: None,
    };
    let expiring = Draft::get().signed_as(&hmac_signer(), &params);
    assert_eq!(
        expiring.check_at(&hmac_verifier(), NOW_S + 11),
        Err(Refusal::Expired { since_s: 1 })
    );
}

#[test]
fn a_digest_that_is_unknown_or_wrong() {
    for (digest, expected) in [
        ("md5=:AAAA:", Refusal::DigestUnknown),
        (
            "sha-256=:AAAA:",
            Refusal::DigestMismatch {
                algorithm: "sha-256",
            },
        ),
    ] {
        let mut lines = get_lines().to_vec();
        lines.push(("content-digest", digest));
        let draft = Draft::get()
            .header("Content-Digest", digest)
            .signed_by_hand("s", &lines, &created());
        assert_eq!(refusal(&draft), expected);
    }
}

#[test]
fn a_signature_that_is_wrong() {
    let mut draft = Draft::get().signed(&hmac_signer());
    draft.path.push('4');
    assert_eq!(
        refusal(&draft),
        Refusal::WrongSignature {
            keyid: "k1".to_owned()
        }
    );
}

#[test]
fn inputs_that_are_too_long() {
    let long = "x".repeat(limits::FIELD_MAX);
    for draft in [
        Draft::get().header("Signature-Input", format!("s=();keyid=\"{long}\"")),
        Draft::get().header("Signature", format!("s=\"{long}\"")),
    ] {
        assert_eq!(refusal(&draft).name(), "signature_too_long");
    }
    for parameter in ["keyid", "nonce", "alg"] {
        let value = "x".repeat(limits::PARAMETER_MAX + 1);
        // The later of two parameters of one name counts.
        let refusal = by_hand(
            &get_lines(),
            &format!("{};{parameter}=\"{value}\"", created()),
        );
        assert_eq!(
            refusal,
            Refusal::TooLong {
                what: parameter,
                limit: limits::PARAMETER_MAX
            }
        );
    }
    let many: String = (0..=limits::COMPONENTS_MAX)
        .map(|number| format!(" \"x-{number}\""))
        .collect();
    assert_eq!(
        with_fields(&format!("s=({many});created=1;keyid=\"k\""), "s=:AAAA:").name(),
        "signature_too_long"
    );
    let labels: Vec<String> = (0..=limits::LABELS_MAX)
        .map(|number| format!("s{number}=()"))
        .collect();
    assert_eq!(
        with_fields(&labels.join(", "), "s0=:AAAA:").name(),
        "signature_too_long"
    );
}

#[test]
fn what_a_caller_refuses_has_a_name_too() {
    assert_eq!(
        Refusal::UnknownKey {
            keyid: "k".to_owned()
        }
        .name(),
        "unknown_key"
    );
    assert_eq!(Refusal::NonceSeen.name(), "nonce_seen");
}
