//! What is signed is accepted, what was changed is refused, and each refusal has its name.

use standard_webhooks::limits::{ID_MAX, SIGNATURE_MAX, TOLERANCE_S};
use standard_webhooks::{Received, Refusal, Secret, SignError, SignedHeaders, sign, verify};

const NOW_S: i64 = 1_790_000_000;
const BODY: &[u8] = br#"{"type":"order.changed"}"#;

fn secret(byte: u8) -> Secret {
    Secret::new(&[byte; 32]).unwrap()
}

fn signed() -> SignedHeaders {
    sign("ORDER-1_2", NOW_S, BODY, &[secret(7)]).unwrap()
}

fn received(headers: &SignedHeaders) -> Received<'_> {
    Received::read(|name| {
        let mut fields = headers.iter();
        fields
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value)
    })
    .unwrap()
}

fn refusal(headers: &SignedHeaders, body: &[u8], secrets: &[Secret], now_s: i64) -> &'static str {
    verify(&received(headers), body, secrets, now_s)
        .unwrap_err()
        .name()
}

/// The vector that the specification's reference libraries are tested with.
#[test]
fn the_published_vector_is_signed_and_verified() {
    let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let body = br#"{"test": 2432232314}"#;
    let headers = sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        body,
        std::slice::from_ref(&secret),
    )
    .unwrap();
    assert_eq!(
        headers.signature,
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    );
    assert_eq!(
        verify(&received(&headers), body, &[secret], 1_614_265_330),
        Ok(())
    );
}

#[test]
fn a_webhook_is_good_for_five_minutes_either_way() {
    let (headers, secrets) = (signed(), [secret(7)]);
    for offset_s in [-TOLERANCE_S, 0, TOLERANCE_S] {
        assert_eq!(
            verify(&received(&headers), BODY, &secrets, NOW_S + offset_s),
            Ok(()),
            "{offset_s}"
        );
    }
    assert_eq!(
        verify(&received(&headers), BODY, &secrets, NOW_S + TOLERANCE_S + 1),
        Err(Refusal::Stale {
            age_s: 301,
            limit_s: 300
        })
    );
    assert_eq!(
        verify(&received(&headers), BODY, &secrets, NOW_S - TOLERANCE_S - 1),
        Err(Refusal::FromTheFuture {
            ahead_s: 301,
            limit_s: 300
        })
    );
}

#[test]
fn anything_changed_is_found() {
    let secrets = [secret(7)];
    assert_eq!(
        refusal(&signed(), b"{}", &secrets, NOW_S),
        "wrong_signature"
    );
    for changed in [
        SignedHeaders {
            id: "ORDER-1_3".to_owned(),
            ..signed()
        },
        SignedHeaders {
            timestamp: (NOW_S + 1).to_string(),
            ..signed()
        },
        SignedHeaders {
            timestamp: format!("0{NOW_S}"),
            ..signed()
        },
        SignedHeaders {
            signature: sign("ORDER-1_2", NOW_S, BODY, &[secret(8)])
                .unwrap()
                .signature,
            ..signed()
        },
    ] {
        assert_eq!(
            refusal(&changed, BODY, &secrets, NOW_S),
            "wrong_signature",
            "{changed:?}"
        );
    }
    assert_eq!(refusal(&signed(), BODY, &[], NOW_S), "wrong_signature");
}

#[test]
fn while_a_secret_is_changed_either_side_may_be_ahead() {
    let [old, new] = [secret(1), secret(2)];
    let both = sign("a", NOW_S, BODY, &[new.clone(), old.clone()]).unwrap();
    assert_eq!(both.signature.split(' ').count(), 2);
    for receiver in [
        &[old.clone()][..],
        std::slice::from_ref(&new),
        &[old.clone(), new.clone()],
    ] {
        assert_eq!(verify(&received(&both), BODY, receiver, NOW_S), Ok(()));
    }
    let only_old = sign("a", NOW_S, BODY, std::slice::from_ref(&old)).unwrap();
    assert_eq!(
        verify(&received(&only_old), BODY, &[new.clone(), old], NOW_S),
        Ok(())
    );
    assert_eq!(refusal(&only_old, BODY, &[new], NOW_S), "wrong_signature");
}

#[test]
fn signatures_of_other_kinds_are_skipped() {
    let good = signed();
    let beside = SignedHeaders {
        signature: format!("v1a,AAAA nonsense v1,?? v2,AAAA  {}", good.signature),
        ..signed()
    };
    assert_eq!(
        verify(&received(&beside), BODY, &[secret(7)], NOW_S),
        Ok(())
    );
    for alone in [
        "v1a,AAAA",
        "",
        " ",
        "v1",
        "v1,?",
        &good.signature.replace("v1,", "v1a,"),
        &good.signature.replace("v1,", ""),
    ] {
        let headers = SignedHeaders {
            signature: alone.to_owned(),
            ..signed()
        };
        assert_eq!(
            refusal(&headers, BODY, &[secret(7)], NOW_S),
            "no_signature",
            "{alone}"
        );
    }
    let cut = SignedHeaders {
        signature: "v1,AAAA".to_owned(),
        ..signed()
    };
    assert_eq!(refusal(&cut, BODY, &[secret(7)], NOW_S), "wrong_signature");
}

#[test]
fn what_is_no_header_is_named() {
    for missing in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let refusal = Received::read(|name| (name != missing).then_some("1")).unwrap_err();
        assert_eq!(refusal, Refusal::HeaderMissing { name: missing });
        assert!(refusal.to_string().contains(missing));
    }
    let with = |id: &str, timestamp: &str, signature: &str| SignedHeaders {
        id: id.to_owned(),
        timestamp: timestamp.to_owned(),
        signature: signature.to_owned(),
    };
    let (now, good) = (NOW_S.to_string(), signed().signature);
    for (headers, name) in [
        (with("", &now, &good), "bad_id"),
        (with("a.b", &now, &good), "bad_id"),
        (with("a b", &now, &good), "bad_id"),
        (with("é", &now, &good), "bad_id"),
        (with(&"a".repeat(ID_MAX + 1), &now, &good), "bad_id"),
        (with("a", "", &good), "bad_timestamp"),
        (with("a", "+1790000000", &good), "bad_timestamp"),
        (with("a", "-1", &good), "bad_timestamp"),
        (with("a", "1790000000.0", &good), "bad_timestamp"),
        (with("a", "1234567890123456", &good), "bad_timestamp"),
        (with("a", "0", &good), "stale"),
        (with("a", "999999999999999", &good), "from_the_future"),
        (
            with("a", &now, &"x".repeat(SIGNATURE_MAX + 1)),
            "signature_too_long",
        ),
    ] {
        assert_eq!(
            refusal(&headers, BODY, &[secret(7)], NOW_S),
            name,
            "{headers:?}"
        );
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_not_signed() {
    let secrets = [secret(7)];
    let long = "a".repeat(ID_MAX + 1);
    for id in ["", "ORDER-1.2", "a b", "a\n", "é", &long] {
        assert_eq!(sign(id, NOW_S, BODY, &secrets), Err(SignError::Id), "{id}");
    }
    assert_eq!(sign("a", -1, BODY, &secrets), Err(SignError::Time));
    assert_eq!(sign("a", NOW_S, BODY, &[]), Err(SignError::NoSecret));
}
