//! Whatever is sent, the answer is a value: no input panics, none is accepted without the secret.

use proptest::prelude::*;
use standard_webhooks::{Received, Secret, sign, verify};

/// Text that looks like a signature often enough to get past the first letter.
fn signature_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("v1,".to_owned()),
        Just("v1a,".to_owned()),
        Just(" ".to_owned()),
        Just(",".to_owned()),
        Just("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned()),
        "[A-Za-z0-9+/=]{0,50}",
        "\\PC{0,5}",
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn any_secret() -> impl Strategy<Value = Secret> {
    prop::collection::vec(any::<u8>(), 24..=64).prop_map(|bytes| Secret::new(&bytes).unwrap())
}

proptest! {
    #[test]
    fn no_unsigned_webhook_is_accepted_and_none_panics(
        id in prop_oneof!["[!-~]{0,20}", "\\PC{0,20}"],
        timestamp in prop_oneof!["[0-9]{0,20}", "\\PC{0,20}", Just("1790000000".to_owned())],
        signature in signature_like(),
        body in prop::collection::vec(any::<u8>(), 0..40),
        secrets in prop::collection::vec(any_secret(), 0..3),
        now_s in prop_oneof![any::<i64>(), Just(1_790_000_000)],
    ) {
        let received = Received { id: &id, timestamp: &timestamp, signature: &signature };
        let refusal = verify(&received, &body, &secrets, now_s).unwrap_err();
        prop_assert!(!refusal.to_string().is_empty());
    }

    #[test]
    fn any_text_is_read_as_a_secret_or_refused(text in "(whsec_)?[ -~]{0,100}") {
        if let Ok(secret) = Secret::parse(&text) {
            prop_assert!((24..=64).contains(&secret.as_bytes().len()));
        }
    }

    #[test]
    fn what_is_signed_is_accepted_and_one_changed_byte_is_found(
        id in "[!-\\-/-~]{1,64}",
        now_s in 0..=999_999_999_999_999_i64,
        mut body in prop::collection::vec(any::<u8>(), 1..60),
        secret in any_secret(),
        at in any::<prop::sample::Index>(),
        flip in 1u8..=255,
    ) {
        let headers = sign(&id, now_s, &body, std::slice::from_ref(&secret)).unwrap();
        let received = Received {
            id: &headers.id,
            timestamp: &headers.timestamp,
            signature: &headers.signature,
        };
        prop_assert_eq!(verify(&received, &body, std::slice::from_ref(&secret), now_s), Ok(()));
        let index = at.index(body.len());
        body[index] ^= flip;
        prop_assert_eq!(verify(&received, &body, &[secret], now_s).unwrap_err().name(), "wrong_signature");
    }

    #[test]
    fn signing_takes_any_input(id in "\\PC{0,40}", now_s in any::<i64>(), body in prop::collection::vec(any::<u8>(), 0..20)) {
        let secret = Secret::new(&[1; 24]).unwrap();
        drop(sign(&id, now_s, &body, &[secret]));
    }
}
