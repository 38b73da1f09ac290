//! Callbacks as WeChat Pay makes them: sealed, wrapped and signed.

use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use wechatpay::callback::{self, Callback};
use wechatpay::{
    ApiV3Key, CallbackError, LocalKey, SignedHeaders, Signer, UnixSeconds, VerificationKeys,
    canonical,
};

use crate::sample;

pub(crate) const APIV3_KEY: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
const NOW: UnixSeconds = UnixSeconds(1_795_933_047);
const SERIAL: &str = "PUB_KEY_ID_1";

static SIGNER: LazyLock<LocalKey> = LazyLock::new(|| {
    let pem = include_str!("../../../wechatpay/vectors/keys/platform.pem");
    LocalKey::from_pkcs8_pem("5157", pem).expect("a private key")
});

static KEYS: LazyLock<VerificationKeys> = LazyLock::new(|| {
    let mut keys = VerificationKeys::new();
    let pem = include_str!("../../../wechatpay/vectors/keys/platform-public.pem");
    keys.add_public_key(SERIAL, pem).expect("a public key");
    keys
});

/// The full envelope around a plaintext.
pub(crate) fn sealed(original_type: &str, plaintext: &[u8]) -> Value {
    let mut envelope = sample("envelope");
    let nonce = envelope["resource"]["nonce"]
        .as_str()
        .expect("a text")
        .as_bytes();
    let payload = Payload {
        msg: plaintext,
        aad: envelope["resource"]["associated_data"]
            .as_str()
            .expect("a text")
            .as_bytes(),
    };
    let nonce: [u8; 12] = nonce.try_into().expect("12 bytes");
    let ciphertext = Aes256Gcm::new(APIV3_KEY.into())
        .encrypt(&Nonce::from(nonce), payload)
        .expect("it seals");
    envelope["resource"]["original_type"] = original_type.into();
    envelope["resource"]["ciphertext"] = BASE64.encode(ciphertext).into();
    envelope
}

/// Opens a body that WeChat Pay signed.
pub(crate) fn open(body: &[u8], apiv3_key: &[u8; 32]) -> Result<Callback, CallbackError> {
    let timestamp = NOW.0.to_string();
    let text = canonical::answer(&timestamp, "n", body);
    let signed = pin!(SIGNER.sign(&text)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(signature)) = signed else {
        panic!("a local key signs at once");
    };
    let headers = SignedHeaders {
        timestamp,
        nonce: "n".to_owned(),
        serial: SERIAL.to_owned(),
        signature: BASE64.encode(signature),
        signature_type: None,
    };
    let apiv3_keys = [ApiV3Key::new(apiv3_key).expect("32 bytes")];
    callback::open(&headers, body, &KEYS, &apiv3_keys, NOW)
}

pub(crate) fn opened_body(body: &[u8]) -> Callback {
    open(body, APIV3_KEY).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn opened(envelope: &Value) -> Callback {
    opened_body(envelope.to_string().as_bytes())
}
