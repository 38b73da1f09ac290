//! KMS in this process, as far as the functions use it: AES-256-GCM, bound to the key and to the
//! encryption context, and RSA signatures. Its ciphertexts are authenticated, as the real ones are.

#![expect(
    clippy::expect_used,
    reason = "what a test cannot do without ends the test, with what it was"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Deserialize;
use serde_json::json;

use crate::environment::{FIELDS_KEY_ID, SECRETS_KEY_ID, SIGNING_KEY_ID};
use crate::merchant::kms_key;
use crate::reply::Reply;
use crate::rsa_key::RsaKey;

/// The keys of one test. At first they are those that the functions are deployed with.
pub struct KmsEngine {
    keys: BTreeMap<String, Key>,
    made: u64,
    sealed: u64,
}

struct Key {
    use_of: KeyUse,
    is_enabled: bool,
    /// How often it got new material.
    rotations: u8,
}

enum KeyUse {
    Encryption,
    Signature(Arc<RsaKey>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    key_id: String,
    #[serde(default)]
    encryption_context: BTreeMap<String, String>,
    #[serde(default)]
    plaintext: String,
    #[serde(default)]
    ciphertext_blob: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    message_type: String,
    #[serde(default)]
    signing_algorithm: String,
}

impl KmsEngine {
    pub(crate) fn new() -> Self {
        let mut engine = Self {
            keys: BTreeMap::new(),
            made: 0,
            sealed: 0,
        };
        engine.add(SECRETS_KEY_ID, KeyUse::Encryption);
        engine.add(FIELDS_KEY_ID, KeyUse::Encryption);
        engine.add(SIGNING_KEY_ID, KeyUse::Signature(kms_key()));
        engine
    }

    /// A new key for secrets or fields; its id.
    pub fn make_encryption_key(&mut self) -> String {
        self.make(KeyUse::Encryption)
    }

    /// A new RSA key for signatures; its id, and its public key as DER.
    pub fn make_signing_key(&mut self) -> (String, Vec<u8>) {
        let key = Arc::new(RsaKey::generate());
        let public_der = key.public_der();
        (self.make(KeyUse::Signature(key)), public_der)
    }

    /// A new key whose material is this PKCS#8 DER, as an operator imports it; its id.
    pub fn import_signing_key(&mut self, pkcs8: &[u8]) -> String {
        self.make(KeyUse::Signature(Arc::new(RsaKey::of_pkcs8(pkcs8))))
    }

    /// KMS gives a key new material, as it does each year. What was sealed under the old material
    /// says so, and still opens.
    pub fn rotate(&mut self, key_id: &str) {
        self.keys.get_mut(key_id).expect("a key").rotations += 1;
    }

    /// An operator disables a key.
    pub fn disable(&mut self, key_id: &str) {
        self.keys.get_mut(key_id).expect("a key").is_enabled = false;
    }

    fn make(&mut self, use_of: KeyUse) -> String {
        self.made += 1;
        let key_id = format!("key-{}", self.made);
        self.add(&key_id, use_of);
        key_id
    }

    fn add(&mut self, key_id: &str, use_of: KeyUse) {
        let key = Key {
            use_of,
            is_enabled: true,
            rotations: 0,
        };
        self.keys.insert(key_id.to_owned(), key);
    }

    /// Does what a request asks for.
    pub(crate) fn answer(&mut self, operation: &str, body: &str) -> Reply {
        let request: Request = serde_json::from_str(body).expect("a request of the SDK's");
        let Some(key) = self.keys.get(&request.key_id) else {
            return Reply::bad("NotFoundException");
        };
        if !key.is_enabled {
            return Reply::bad("DisabledException");
        }
        match (operation, &key.use_of) {
            ("Encrypt", KeyUse::Encryption) => {
                let rotations = key.rotations;
                let plaintext = BASE64.decode(&request.plaintext).expect("Base64");
                Reply::good(json!({
                    "CiphertextBlob": self.seal(&request, rotations, plaintext),
                    "KeyId": request.key_id,
                }))
            }
            ("GenerateDataKey", KeyUse::Encryption) => {
                let rotations = key.rotations;
                self.sealed += 1;
                let key = digest::digest(
                    &digest::SHA256,
                    format!("data key {}", self.sealed).as_bytes(),
                );
                let plaintext = BASE64.encode(key.as_ref());
                let sealed = self.seal(&request, rotations, key.as_ref().to_vec());
                Reply::good(
                    json!({"CiphertextBlob": sealed, "Plaintext": plaintext, "KeyId": request.key_id}),
                )
            }
            ("Decrypt", KeyUse::Encryption) => match open(&request) {
                Some(plaintext) => Reply::good(
                    json!({"Plaintext": BASE64.encode(plaintext), "KeyId": request.key_id}),
                ),
                None => Reply::bad("InvalidCiphertextException"),
            },
            ("Sign", KeyUse::Signature(key)) => match sign(&request, key) {
                Some(signature) => Reply::good(json!({
                    "KeyId": request.key_id,
                    "Signature": BASE64.encode(signature),
                    "SigningAlgorithm": request.signing_algorithm,
                })),
                None => Reply::bad("ValidationException"),
            },
            (
                "Encrypt" | "GenerateDataKey" | "Decrypt" | "Sign",
                KeyUse::Encryption | KeyUse::Signature(_),
            ) => Reply::bad("InvalidKeyUsageException"),
            _ => Reply::bad("UnsupportedOperationException"),
        }
    }

    fn seal(&mut self, request: &Request, rotations: u8, mut text: Vec<u8>) -> String {
        self.sealed += 1;
        let [a, b, c, d, e, f, g, h] = self.sealed.to_be_bytes();
        let nonce = [a, b, c, d, e, f, g, h, 0, 0, 0, 0];
        key(&request.key_id, rotations)
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                context(request),
                &mut text,
            )
            .expect("sealed");
        BASE64.encode([HEADER.as_slice(), &[rotations + 1], &nonce, &text].concat())
    }
}

/// What KMS puts before a ciphertext, beside which of its materials sealed it: it makes 184 bytes
/// of a data key's 32, and what is stored with one is that long.
const HEADER: [u8; 123] = [1; 123];

fn sign(request: &Request, key: &RsaKey) -> Option<Vec<u8>> {
    if request.signing_algorithm != "RSASSA_PKCS1_V1_5_SHA_256" {
        return None;
    }
    let message = BASE64.decode(&request.message).ok()?;
    match request.message_type.as_str() {
        "DIGEST" => key.sign_digest(&message),
        "RAW" | "" => Some(key.sign(&message)),
        _ => None,
    }
}

fn open(request: &Request) -> Option<Vec<u8>> {
    let sealed = BASE64.decode(&request.ciphertext_blob).ok()?;
    let (material, sealed) = sealed.strip_prefix(&HEADER)?.split_first()?;
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = ciphertext.to_vec();
    let opened = key(&request.key_id, material.checked_sub(1)?)
        .open_in_place(nonce, context(request), &mut text)
        .ok()?;
    Some(opened.to_vec())
}

fn key(id: &str, rotations: u8) -> LessSafeKey {
    // The first material is the one that the records of an earlier release are sealed under
    // (tests/fixtures/previous).
    let name = match rotations {
        0 => format!("KMS key {id}"),
        rotations => format!("KMS key {id}, material {rotations}"),
    };
    let bytes = digest::digest(&digest::SHA256, name.as_bytes());
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes.as_ref()).expect("32 bytes"))
}

fn context(request: &Request) -> Aad<String> {
    Aad::from(format!("{:?}", request.encryption_context))
}
