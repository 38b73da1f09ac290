//! KMS in this process, as far as the functions use it with a sealed merchant key: AES-256-GCM,
//! bound to the key and to the encryption context. Unlike the local engine's, its ciphertexts are
//! authenticated, as the real ones are.

use std::collections::BTreeMap;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Deserialize;
use serde_json::json;

use super::Reply;

/// The keys of one scene: one for every id that is named.
#[derive(Default)]
pub(crate) struct Secrets {
    sealed: u64,
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
}

impl Secrets {
    /// Does what a request asks for.
    pub(crate) fn answer(&mut self, operation: &str, body: &str) -> Reply {
        let request: Request = serde_json::from_str(body).expect("a request of the SDK's");
        match operation {
            "Encrypt" => {
                let plaintext = BASE64.decode(&request.plaintext).expect("Base64");
                Reply::good(
                    json!({"CiphertextBlob": self.seal(&request, plaintext), "KeyId": request.key_id}),
                )
            }
            "GenerateDataKey" => {
                self.sealed += 1;
                let key = digest::digest(
                    &digest::SHA256,
                    format!("data key {}", self.sealed).as_bytes(),
                );
                let plaintext = BASE64.encode(key.as_ref());
                let sealed = self.seal(&request, key.as_ref().to_vec());
                Reply::good(
                    json!({"CiphertextBlob": sealed, "Plaintext": plaintext, "KeyId": request.key_id}),
                )
            }
            "Decrypt" => match open(&request) {
                Some(plaintext) => Reply::good(
                    json!({"Plaintext": BASE64.encode(plaintext), "KeyId": request.key_id}),
                ),
                None => Reply::bad("InvalidCiphertextException"),
            },
            other => panic!("no function has called KMS's {other} so far: answer it here"),
        }
    }

    fn seal(&mut self, request: &Request, mut text: Vec<u8>) -> String {
        self.sealed += 1;
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&self.sealed.to_be_bytes());
        key(&request.key_id)
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                context(request),
                &mut text,
            )
            .expect("sealed");
        BASE64.encode([nonce.as_slice(), &text].concat())
    }
}

fn open(request: &Request) -> Option<Vec<u8>> {
    let sealed = BASE64.decode(&request.ciphertext_blob).ok()?;
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = ciphertext.to_vec();
    let opened = key(&request.key_id)
        .open_in_place(nonce, context(request), &mut text)
        .ok()?;
    Some(opened.to_vec())
}

fn key(id: &str) -> LessSafeKey {
    let bytes = digest::digest(&digest::SHA256, format!("KMS key {id}").as_bytes());
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes.as_ref()).expect("32 bytes"))
}

fn context(request: &Request) -> Aad<String> {
    Aad::from(format!("{:?}", request.encryption_context))
}
