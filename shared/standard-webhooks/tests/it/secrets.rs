//! Reading and writing secrets.

use standard_webhooks::{Secret, SecretError};

#[test]
fn a_secret_has_24_to_64_bytes() {
    for (length, allowed) in [(0, false), (23, false), (24, true), (64, true), (65, false)] {
        let secret = Secret::new(&vec![7; length]);
        assert_eq!(secret.is_ok(), allowed, "{length}");
        if !allowed {
            assert_eq!(secret.unwrap_err(), SecretError::Length { length });
        }
    }
}

#[test]
fn what_is_written_reads_back_with_padding_or_without() {
    for length in 24..=64 {
        let secret = Secret::new(&vec![0xFB; length]).unwrap();
        let text = secret.to_text();
        for text in [text.as_str(), text.trim_end_matches('=')] {
            let read = Secret::parse(text).unwrap();
            assert_eq!(read.as_bytes(), secret.as_bytes(), "{text}");
        }
    }
}

#[test]
fn what_is_no_secret_is_refused_without_being_shown() {
    for (text, error) in [
        ("", SecretError::Prefix),
        (
            "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            SecretError::Prefix,
        ),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretError::Prefix),
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS?",
            SecretError::NotBase64,
        ),
        (
            "whsec_MfKQ 9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            SecretError::NotBase64,
        ),
        ("whsec_", SecretError::Length { length: 0 }),
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La",
            SecretError::Length { length: 21 },
        ),
    ] {
        let refused = Secret::parse(text).unwrap_err();
        assert_eq!(refused, error, "{text}");
        assert!(!format!("{refused} {refused:?}").contains("MfKQ"));
    }
}

#[test]
fn a_secret_is_never_shown() {
    let secret = Secret::new(&[0x5A; 32]).unwrap();
    assert_eq!(format!("{secret:?}"), "Secret(..)");
}
