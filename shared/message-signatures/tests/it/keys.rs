//! Reading keys.

use message_signatures::{Algorithm, KeyError, Secret, SigningKey, VerifyingKey};

use crate::support::{ED25519, RSA, SECRET};

/// A key of 1024 bits, which `rsa-v1_5-sha256` must not be used with.
const SMALL_RSA: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC4cQ57qN5wtwlAwKU3fPYt1Y38
Ub4qBfb34CYyJIBNWfxkYtwU8ejmSgE6/8/edLRhtAp6djUR8XaTyodX0SYwRiBZ
buCCynOSNtNwoLr04AAHhwPeJ0Dgy0hAEcX6n0bNw/3QNrGVZfwM/ZsKkrVULScc
UQF0n0v0EWMYC3Ff1wIDAQAB
-----END PUBLIC KEY-----";

#[test]
fn algorithms_have_their_registered_names() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::parse(algorithm.name()), Some(algorithm));
        assert_eq!(algorithm.to_string(), algorithm.name());
    }
    for name in ["", "HMAC-SHA256", "rsa-pss-sha512", "none"] {
        assert_eq!(Algorithm::parse(name), None, "{name}");
    }
}

#[test]
fn a_secret_has_bounds_and_is_never_shown() {
    assert_eq!(
        Secret::new(&[0; 31]).unwrap_err(),
        KeyError::SecretLength { length: 31 }
    );
    assert_eq!(
        VerifyingKey::from_secret(&[0; 1025]).unwrap_err(),
        KeyError::SecretLength { length: 1025 }
    );
    assert_eq!(
        SigningKey::from_secret(&[]).unwrap_err(),
        KeyError::SecretLength { length: 0 }
    );
    let shown = format!("{:?}", VerifyingKey::from_secret(&SECRET).unwrap());
    assert_eq!(shown, "HmacSha256(Secret(..))");
}

#[test]
fn a_private_key_is_never_shown() {
    for pair in [&RSA, &ED25519] {
        let shown = format!("{:?}", pair.signer());
        let private: String = pair
            .private_pem
            .lines()
            .nth(1)
            .unwrap()
            .chars()
            .skip(40)
            .take(40)
            .collect();
        assert!(!shown.contains(&private));
    }
}

#[test]
fn a_key_of_another_kind_size_or_form_is_refused_when_it_is_read() {
    use Algorithm::{Ed25519, HmacSha256, RsaV15Sha256};
    let public =
        |algorithm, text: &str| VerifyingKey::from_public_key_pem(algorithm, text).unwrap_err();
    let rejected = |algorithm: Algorithm| KeyError::Rejected {
        algorithm: algorithm.name(),
    };
    assert_eq!(public(Ed25519, &RSA.public_pem), rejected(Ed25519));
    assert_eq!(
        public(RsaV15Sha256, &ED25519.public_pem),
        rejected(RsaV15Sha256)
    );
    assert_eq!(public(RsaV15Sha256, SMALL_RSA), rejected(RsaV15Sha256));
    assert_eq!(public(HmacSha256, &RSA.public_pem), KeyError::PemForHmac);
    for (error, says) in [
        (
            public(Ed25519, &ED25519.private_pem),
            "this is a private key, not a public key",
        ),
        (public(RsaV15Sha256, "no key"), "this is no PEM text"),
    ] {
        assert!(error.to_string().starts_with(says), "{error}");
    }

    let private =
        |algorithm, text: &str| SigningKey::from_private_key_pem(algorithm, text).unwrap_err();
    assert_eq!(private(Ed25519, &RSA.private_pem), rejected(Ed25519));
    assert_eq!(
        private(RsaV15Sha256, &ED25519.private_pem),
        rejected(RsaV15Sha256)
    );
    assert_eq!(private(HmacSha256, &RSA.private_pem), KeyError::PemForHmac);
    let error = private(Ed25519, &ED25519.public_pem).to_string();
    assert!(
        error.starts_with("this is a public key, not a private key"),
        "{error}"
    );
}
