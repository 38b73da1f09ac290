//! What is signed by the rules is accepted.

use message_signatures::{Params, Profile, SignError, claim, content_digest, sign, verify};

use crate::support::{
    Draft, ED25519, NOW_S, PROFILE, RSA, created, get_lines, hmac_signer, hmac_verifier,
    target_lines,
};

#[test]
fn each_kind_of_key_is_accepted_by_its_counterpart() {
    let keys = [
        (hmac_signer(), hmac_verifier()),
        (RSA.signer(), RSA.verifier()),
        (ED25519.signer(), ED25519.verifier()),
    ];
    for (signer, verifier) in keys {
        assert_eq!(signer.algorithm(), verifier.algorithm());
        for draft in [Draft::post(), Draft::get()] {
            let claim = draft.signed(&signer).check(&verifier).unwrap();
            assert_eq!(
                (
                    claim.keyid.as_str(),
                    claim.nonce.as_deref(),
                    claim.created_s
                ),
                ("k1", Some("n1"), NOW_S)
            );
        }
    }
}

#[test]
fn the_signer_covers_what_the_profile_asks_for_and_nothing_else() {
    let params = Params {
        keyid: "k1",
        created_s: 5,
        expires_s: Some(9),
        nonce: Some("n"),
    };
    let fields = Draft::post()
        .with(|request| sign(request, &params, &hmac_signer(), &PROFILE))
        .unwrap();
    assert_eq!(
        fields.signature_input,
        "sig1=(\"@method\" \"@authority\" \"@path\" \"@query\" \"idempotency-key\" \"prefer\" \"content-digest\")\
         ;created=5;expires=9;keyid=\"k1\";nonce=\"n\"",
    );
    assert_eq!(
        fields.content_digest,
        Some(content_digest(&Draft::post().body))
    );
    let fields = Draft::get()
        .with(|request| sign(request, &params, &hmac_signer(), &PROFILE))
        .unwrap();
    assert_eq!(fields.content_digest, None);
    assert_eq!(
        fields.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        ["Signature-Input", "Signature"]
    );
}

#[test]
fn the_order_of_components_and_parameters_is_the_signers() {
    let [method, authority, path, query] = get_lines();
    let params = format!(
        ";keyid=\"k1\";tag=\"shop\";alg=\"hmac-sha256\";nonce=\"n\\\"1\";expires={};created={NOW_S}",
        NOW_S + 1
    );
    let draft = Draft::get().header("Date", "today").signed_by_hand(
        "any-label",
        &[("date", "today"), query, path, authority, method],
        &params,
    );
    let claim = draft.check(&hmac_verifier()).unwrap();
    assert_eq!(claim.label, "any-label");
    assert_eq!(claim.nonce.as_deref(), Some("n\"1"));
    assert_eq!(claim.alg.as_deref(), Some("hmac-sha256"));
    assert_eq!(claim.expires_s, Some(NOW_S + 1));
}

#[test]
fn a_get_needs_no_nonce() {
    let draft = Draft::get().signed_by_hand("s", &get_lines(), &created());
    assert_eq!(draft.check(&hmac_verifier()).unwrap().nonce, None);
}

#[test]
fn the_signature_that_fits_the_profile_counts_among_several() {
    let draft = Draft::get()
        .header(
            "Signature-Input",
            "proxy=(\"@authority\");created=1;keyid=\"theirs\"",
        )
        .header("Signature", "proxy=:AAAA:")
        .signed_by_hand("ours", &get_lines(), &created())
        .header("Signature-Input", "later=5")
        .header("Signature", "orphan=:AAAA:");
    assert_eq!(draft.check(&hmac_verifier()).unwrap().label, "ours");
}

#[test]
fn the_window_is_closed_at_both_ends_and_expiry_counts_to_its_second() {
    for age_s in [-300, 0, 300] {
        let draft = Draft::get().signed(&hmac_signer());
        assert!(
            draft.check_at(&hmac_verifier(), NOW_S + age_s).is_ok(),
            "{age_s}"
        );
    }
    let params = Params {
        keyid: "k1",
        created_s: NOW_S,
        expires_s: Some(NOW_S + 10),
        nonce: None,
    };
    let draft = Draft::get().signed_as(&hmac_signer(), &params);
    assert!(draft.check_at(&hmac_verifier(), NOW_S + 10).is_ok());
}

#[test]
fn host_in_upper_case_or_with_the_default_port_is_the_same_host() {
    let mut draft = Draft::get().signed(&hmac_signer());
    draft.authority = "API.example.com:443".to_owned();
    assert!(draft.check(&hmac_verifier()).is_ok());
}

#[test]
fn another_profile_may_ask_for_less() {
    const METHOD_ONLY: Profile = Profile {
        always: &["@method"],
        when_present: &[],
        nonce_methods: &[],
        window_s: 1,
    };
    let draft = Draft::get().signed_by_hand("s", &[("@method", "GET")], &created());
    draft.with(|request| {
        let claim = claim(request, &METHOD_ONLY).unwrap();
        assert_eq!(
            verify(request, &claim, &hmac_verifier(), NOW_S, &METHOD_ONLY),
            Ok(())
        );
        assert_eq!(
            verify(request, &claim, &hmac_verifier(), NOW_S, &PROFILE)
                .unwrap_err()
                .name(),
            "component_not_covered"
        );
    });
}

#[test]
fn the_signer_refuses_what_the_server_would_refuse() {
    let params = Params {
        keyid: "k1",
        created_s: NOW_S,
        expires_s: None,
        nonce: Some("n1"),
    };
    let attempt = |draft: Draft, params: Params<'_>| {
        draft
            .with(|request| sign(request, &params, &hmac_signer(), &PROFILE))
            .unwrap_err()
    };
    assert_eq!(
        attempt(
            Draft::post(),
            Params {
                nonce: None,
                ..params
            }
        ),
        SignError::NonceMissing("POST".to_owned())
    );
    assert_eq!(
        attempt(
            Draft::get(),
            Params {
                keyid: "",
                ..params
            }
        ),
        SignError::Parameter("keyid")
    );
    assert_eq!(
        attempt(
            Draft::get(),
            Params {
                keyid: "schlüssel",
                ..params
            }
        ),
        SignError::Parameter("keyid")
    );
    assert_eq!(
        attempt(
            Draft::get(),
            Params {
                nonce: Some(&"n".repeat(129)),
                ..params
            }
        ),
        SignError::Parameter("nonce")
    );
    assert_eq!(
        attempt(
            Draft::get(),
            Params {
                created_s: -1,
                ..params
            }
        ),
        SignError::Parameter("created")
    );
    assert_eq!(
        attempt(
            Draft::get(),
            Params {
                expires_s: Some(i64::MAX),
                ..params
            }
        ),
        SignError::Parameter("expires")
    );
    for field in ["Signature-Input", "Signature", "Content-Digest"] {
        assert_eq!(
            attempt(Draft::post().header(field, "x"), params),
            SignError::AlreadyThere(field)
        );
    }
    let error = attempt(Draft::post().header("prefer", "a\nb"), params);
    assert!(
        matches!(error, SignError::Request(refusal) if refusal.name() == "component_unreadable")
    );
}

#[test]
fn a_target_uri_stands_for_authority_path_and_query() {
    let signed = Draft::get().signed_by_hand("sig1", &target_lines(), &created());
    assert!(signed.check(&hmac_verifier()).is_ok());
    // Beside them, too.
    let mut lines = get_lines().to_vec();
    lines.push(target_lines()[1]);
    let signed = Draft::get().signed_by_hand("sig1", &lines, &created());
    assert!(signed.check(&hmac_verifier()).is_ok());
    // By http, as on the developer's own machine.
    let mut local = Draft::get();
    local.scheme = "http".to_owned();
    local.authority = "127.0.0.1:8080".to_owned();
    local.query = None;
    let lines = [
        ("@target-uri", "http://127.0.0.1:8080/v1/orders/abc-123"),
        ("@method", "GET"),
    ];
    let signed = local.signed_by_hand("sig1", &lines, &created());
    assert!(signed.check(&hmac_verifier()).is_ok());
}
