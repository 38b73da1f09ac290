//! The crate, through its public functions only.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use wechatpay::api::{Method, Outgoing};
use wechatpay::resource::Sealed;
use wechatpay::{
    ApiV3Key, CallbackError, LocalKey, Plaintext, SignError, SignedHeaders, Signer, UnixSeconds,
    VerificationKeys, VerifyError, callback, canonical, certificates, pay, resource, sign, verify,
};

use crate::cases::{
    CallbackInput, CertificatesInput, FieldInput, KeyFile, MessageInput, PaymentInput,
    RequestInput, Resource, ResourceInput, SignatureInput, key_file,
};
use crate::{OpenedCallback, OpenedCertificates, Outcome, Protocol, Refused, SignedText};

pub(crate) struct Crate;

impl Protocol for Crate {
    fn request(&self, input: &RequestInput, body: Vec<u8>) -> SignedText {
        let method = if input.method == "GET" {
            Method::Get
        } else {
            Method::Post
        };
        let outgoing = Outgoing {
            method,
            path_and_query: input.path_and_query.clone(),
            body,
        };
        let at = UnixSeconds(input.timestamp);
        let key = local_key(&input.key, &input.serial_no);
        SignedText {
            text: canonical::request(&outgoing, at, &input.nonce),
            result: wait(sign::authorization(
                &key,
                &input.mchid,
                &outgoing,
                at,
                &input.nonce,
            )),
        }
    }

    fn payment(&self, input: &PaymentInput) -> SignedText {
        let PaymentInput {
            appid,
            mchid,
            prepay_id,
            nonce,
            ..
        } = input;
        let at = UnixSeconds(input.timestamp);
        let key = local_key(&input.key, "");
        let (package, result) = match input.product.as_str() {
            "jsapi" => {
                let params = wait(pay::jsapi(&key, appid, prepay_id, at, nonce));
                (params.package, params.pay_sign)
            }
            "mini_program" => {
                let params = wait(pay::mini_program(&key, appid, prepay_id, at, nonce));
                (params.package, params.pay_sign)
            }
            _ => {
                let params = wait(pay::app(&key, appid, mchid, prepay_id, at, nonce));
                (params.prepay_id, params.sign)
            }
        };
        SignedText {
            text: canonical::payment(appid, at, nonce, &package),
            result,
        }
    }

    fn signature(&self, input: &SignatureInput, text: &[u8]) -> String {
        BASE64.encode(wait(local_key(&input.key, "").sign(text)))
    }

    fn message(&self, input: &MessageInput, body: &[u8]) -> Outcome<()> {
        headers(input)
            .and_then(|headers| {
                verify::verify(&headers, body, &keys(input), UnixSeconds(input.now))
            })
            .map_err(|error| refused(error.name(), &error))
    }

    fn message_text(&self, input: &MessageInput, body: &[u8]) -> Vec<u8> {
        let headers = headers(input).expect("the message passed");
        canonical::answer(&headers.timestamp, &headers.nonce, body)
    }

    fn callback(&self, input: &CallbackInput, body: &[u8]) -> Outcome<OpenedCallback> {
        let message = &input.message;
        let apiv3_keys = apiv3_keys(&input.apiv3_keys);
        let opened = headers(message)
            .map_err(CallbackError::Verify)
            .and_then(|headers| {
                callback::open(
                    &headers,
                    body,
                    &keys(message),
                    &apiv3_keys,
                    UnixSeconds(message.now),
                )
            })
            .map_err(|error| refused(error.name(), &error))?;
        Ok(OpenedCallback {
            event_type: opened.event_type,
            original_type: opened.original_type,
            plaintext_kind: kind(&opened.plaintext),
            plaintext: reopen(body, &apiv3_keys),
        })
    }

    fn resource(&self, input: &ResourceInput) -> Outcome<Vec<u8>> {
        resource::open(&sealed(&input.resource), &apiv3_keys(&input.apiv3_keys))
            .map_err(|error| refused(error.name(), &error))
    }

    fn field(&self, input: &FieldInput) -> Outcome<String> {
        local_key(&input.key, "")
            .open_sensitive(&input.field)
            .map_err(|error| refused(error.name(), &error))
    }

    fn certificates(&self, input: &CertificatesInput, body: &[u8]) -> Outcome<OpenedCertificates> {
        let message = &input.message;
        let now = UnixSeconds(message.now);
        let headers = headers(message).map_err(|error| refused(error.name(), &error))?;
        let opened = certificates::open_download(
            200,
            &headers,
            body,
            &apiv3_keys(&input.apiv3_keys),
            &keys(message),
            now,
        )
        .map_err(|error| refused(error.name(), &error))?;
        let newest = certificates::newest(&opened, now)
            .map(|it| it.serial_no.clone())
            .unwrap_or_default();
        Ok(OpenedCertificates {
            serials: opened.into_iter().map(|it| it.serial_no).collect(),
            newest,
        })
    }
}

fn local_key(name: &str, serial_no: &str) -> LocalKey {
    LocalKey::from_pkcs8_pem(serial_no, &key_file(&format!("{name}.pem"))).expect("the key reads")
}

fn keys(input: &MessageInput) -> VerificationKeys {
    let mut keys = VerificationKeys::new();
    for key in &input.keys {
        match key {
            KeyFile::PublicKey { id, public_key } => {
                keys.add_public_key(id, &key_file(public_key))
                    .expect("the key reads");
            }
            KeyFile::Certificate { certificate } => {
                keys.add_certificate(&key_file(certificate))
                    .expect("the certificate reads");
            }
        }
    }
    keys
}

fn headers(input: &MessageInput) -> Result<SignedHeaders, VerifyError> {
    SignedHeaders::read(|name| input.headers.get(name).map(String::as_str))
}

fn apiv3_keys(keys: &[String]) -> Vec<ApiV3Key> {
    keys.iter()
        .map(|key| ApiV3Key::new(key.as_bytes()).expect("32 bytes"))
        .collect()
}

fn sealed(resource: &Resource) -> Sealed {
    let Resource {
        algorithm,
        ciphertext,
        associated_data,
        nonce,
    } = resource.clone();
    Sealed {
        algorithm,
        ciphertext,
        associated_data,
        nonce,
    }
}

/// The plaintext's bytes, which a parsed callback no longer has.
fn reopen(body: &[u8], apiv3_keys: &[ApiV3Key]) -> Vec<u8> {
    let envelope: serde_json::Value = serde_json::from_slice(body).expect("the callback opened");
    let sealed: Sealed =
        serde_json::from_value(envelope["resource"].clone()).expect("the callback opened");
    resource::open(&sealed, apiv3_keys).expect("the callback opened")
}

fn kind(plaintext: &Plaintext) -> &'static str {
    match plaintext {
        Plaintext::Transaction(_) => "transaction",
        Plaintext::CombinedTransaction(_) => "combined_transaction",
        Plaintext::ProfitSharing(_) => "profit_sharing",
        Plaintext::Refund(_) => "refund",
        Plaintext::SecurityEcho(_) => "security_echo",
        Plaintext::Unknown(_) => "unknown",
    }
}

/// All an error says: its own words, its causes' words, and its `Debug`.
fn refused(name: &str, error: &(dyn std::error::Error + 'static)) -> Refused {
    let mut says = format!("{error:?}");
    let mut cause = Some(error);
    while let Some(error) = cause {
        says.push_str(&format!("\n{error}"));
        cause = error.source();
    }
    Refused {
        name: name.to_owned(),
        says: Some(says),
    }
}

/// A local key never waits.
fn wait<T>(future: impl Future<Output = Result<T, SignError>>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without I/O")
        .block_on(future)
        .expect("the key signs")
}
