//! Drives one input through every step of opening a callback: as headers, as a body that WeChat Pay
//! seems to have signed, and as a plaintext that is properly sealed and signed.

#![no_main]

use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use libfuzzer_sys::fuzz_target;
use wechatpay::{
    ApiV3Key, CallbackError, LocalKey, SignedHeaders, Signer, UnixSeconds, VerificationKeys,
    callback, canonical,
};

const NOW: UnixSeconds = UnixSeconds(1_785_556_801);
const SERIAL: &str = "PUB_KEY_ID_1";
const APIV3_KEY: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
const NONCE: &[u8; 12] = b"fdasflkja484";

static SIGNER: LazyLock<LocalKey> = LazyLock::new(|| {
    LocalKey::from_pkcs8_pem("5157", include_str!("../../vectors/keys/platform.pem"))
        .expect("a private key")
});

static KEYS: LazyLock<VerificationKeys> = LazyLock::new(|| {
    let mut keys = VerificationKeys::new();
    keys.add_public_key(
        SERIAL,
        include_str!("../../vectors/keys/platform-public.pem"),
    )
    .expect("a public key");
    keys
});

fuzz_target!(|data: &[u8]| {
    as_headers(data);
    if let Err(error) = open(data) {
        assert!(
            !matches!(error, CallbackError::Verify(_)),
            "what was signed verifies: {error}"
        );
    }
    // One type for each input, by its length: a signature costs more than all the rest, and blanks
    // change the length.
    let types = ["transaction", "refund", "profitsharing", "security", "other"];
    match open(&sealed(types[data.len() % types.len()], data)) {
        Ok(_) | Err(CallbackError::Plaintext { .. }) => {}
        Err(error) => panic!("what was signed and sealed opens: {error}"),
    }
});

/// The input cut into headers and body, none of which can be right.
fn as_headers(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parts: Vec<&str> = text.splitn(6, '\n').collect();
    let part = |at: usize| parts.get(at).copied();
    let headers = SignedHeaders::read(|name| match name {
        "wechatpay-timestamp" => part(0),
        "wechatpay-nonce" => part(1),
        "wechatpay-serial" => part(2).map(|serial| {
            if serial.len() % 2 == 0 {
                SERIAL
            } else {
                serial
            }
        }),
        "wechatpay-signature" => part(3),
        _ => part(4).filter(|kind| !kind.is_empty()),
    });
    if let Ok(headers) = headers {
        let body = part(5).unwrap_or_default().as_bytes();
        assert!(callback::open(&headers, body, &KEYS, &apiv3_keys(), NOW).is_err());
    }
}

fn open(body: &[u8]) -> Result<callback::Callback, CallbackError> {
    let timestamp = NOW.0.to_string();
    let text = canonical::answer(&timestamp, "n", body);
    let headers = SignedHeaders {
        timestamp,
        nonce: "n".to_owned(),
        serial: SERIAL.to_owned(),
        signature: BASE64.encode(at_once(SIGNER.sign(&text)).expect("the key signs")),
        signature_type: None,
    };
    callback::open(&headers, body, &KEYS, &apiv3_keys(), NOW)
}

fn sealed(original_type: &str, plaintext: &[u8]) -> Vec<u8> {
    let payload = Payload {
        msg: plaintext,
        aad: b"aad",
    };
    let ciphertext = Aes256Gcm::new(APIV3_KEY.into())
        .encrypt(&Nonce::from(*NONCE), payload)
        .expect("it seals");
    serde_json::to_vec(&serde_json::json!({
        "id": "1",
        "create_time": "2026-08-01T12:00:01+08:00",
        "event_type": "TRANSACTION.SUCCESS",
        "resource": {
            "original_type": original_type,
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": BASE64.encode(ciphertext),
            "associated_data": "aad",
            "nonce": String::from_utf8_lossy(NONCE),
        },
    }))
    .expect("JSON")
}

fn apiv3_keys() -> [ApiV3Key; 1] {
    [ApiV3Key::new(APIV3_KEY).expect("32 bytes")]
}

/// A local key never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a local key never waits"),
    }
}
