//! The protocol written a second time, straight from the manual, with `rsa`, `aes-gcm` and untyped
//! JSON. Nothing of the crate under test is used.
#![expect(
    clippy::disallowed_methods,
    reason = "`rsa` is what makes it independent, and the keys are published vectors"
)]

use aes::Aes256;
use aes_gcm::AesGcm;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ctr::cipher::typenum::{U8, U11, U12, U13, U16, U17, U32, U36, U128};
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::{Oaep, Pkcs1v15Sign, PrivateKey, PublicKey};
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::der::{DecodePem, Encode};

use crate::cases::{
    CallbackInput, CertificatesInput, FieldInput, KeyFile, MessageInput, PaymentInput,
    RequestInput, Resource, ResourceInput, SignatureInput, key_file,
};
use crate::{OpenedCallback, OpenedCertificates, Outcome, Protocol, Refused, SignedText};

pub(crate) struct Independent;

impl Protocol for Independent {
    fn request(&self, input: &RequestInput, body: Vec<u8>) -> SignedText {
        let RequestInput {
            method,
            path_and_query,
            timestamp,
            nonce,
            mchid,
            serial_no,
            ..
        } = input;
        let mut text = format!("{method}\n{path_and_query}\n{timestamp}\n{nonce}\n").into_bytes();
        text.extend(body);
        text.push(b'\n');
        let signature = sign(&input.key, &text);
        let result = format!(
            "WECHATPAY2-SHA256-RSA2048 mchid=\"{mchid}\",nonce_str=\"{nonce}\",signature=\"{signature}\",timestamp=\"{timestamp}\",serial_no=\"{serial_no}\""
        );
        SignedText { text, result }
    }

    fn payment(&self, input: &PaymentInput) -> SignedText {
        let prefix = if input.product == "app" {
            ""
        } else {
            "prepay_id="
        };
        let text = format!(
            "{}\n{}\n{}\n{prefix}{}\n",
            input.appid, input.timestamp, input.nonce, input.prepay_id
        )
        .into_bytes();
        SignedText {
            result: sign(&input.key, &text),
            text,
        }
    }

    fn signature(&self, input: &SignatureInput, text: &[u8]) -> String {
        sign(&input.key, text)
    }

    fn message(&self, input: &MessageInput, body: &[u8]) -> Outcome<()> {
        verify(input, body, public_keys(input))
    }

    fn message_text(&self, input: &MessageInput, body: &[u8]) -> Vec<u8> {
        let headers = &input.headers;
        let mut text = format!(
            "{}\n{}\n",
            headers["wechatpay-timestamp"], headers["wechatpay-nonce"]
        )
        .into_bytes();
        text.extend(body);
        text.push(b'\n');
        text
    }

    fn callback(&self, input: &CallbackInput, body: &[u8]) -> Outcome<OpenedCallback> {
        self.message(&input.message, body)?;
        let envelope: Value = serde_json::from_slice(body).map_err(|_| refuse("envelope"))?;
        let event_type = envelope["event_type"]
            .as_str()
            .ok_or_else(|| refuse("envelope"))?
            .to_owned();
        let resource: Resource =
            serde_json::from_value(envelope["resource"].clone()).map_err(|_| refuse("envelope"))?;
        let original_type = envelope["resource"]["original_type"]
            .as_str()
            .ok_or_else(|| refuse("envelope"))?
            .to_owned();
        let plaintext = open(&resource, &input.apiv3_keys)?;
        let plaintext_kind = kind(&original_type, &plaintext)?;
        Ok(OpenedCallback {
            event_type,
            original_type,
            plaintext_kind,
            plaintext,
        })
    }

    fn resource(&self, input: &ResourceInput) -> Outcome<Vec<u8>> {
        open(&input.resource, &input.apiv3_keys)
    }

    fn field(&self, input: &FieldInput) -> Outcome<String> {
        if input.field.is_empty() {
            return Ok(String::new());
        }
        let sealed = BASE64
            .decode(&input.field)
            .map_err(|_| refuse("not_base64"))?;
        let plain = private_key(&input.key)
            .decrypt(Oaep::<Sha1>::new(), &sealed)
            .map_err(|_| refuse("wrong_key"))?;
        String::from_utf8(plain).map_err(|_| refuse("not_text"))
    }

    fn certificates(&self, input: &CertificatesInput, body: &[u8]) -> Outcome<OpenedCertificates> {
        let answer: Value = serde_json::from_slice(body).map_err(|_| refuse("unreadable"))?;
        let data = answer["data"]
            .as_array()
            .ok_or_else(|| refuse("unreadable"))?;
        let mut keys = public_keys(&input.message);
        let mut serials = Vec::new();
        let mut newest = (i64::MIN, String::new());
        for delivered in data {
            let announced = delivered["serial_no"].as_str().expect("a serial");
            let resource: Resource =
                serde_json::from_value(delivered["encrypt_certificate"].clone())
                    .expect("a resource");
            let pem = open(&resource, &input.apiv3_keys)?;
            let (own, key) = certificate(&pem).ok_or_else(|| refuse("unusable_certificate"))?;
            if own != announced {
                return Err(refuse("other_serial"));
            }
            let (begins, ends) = own_times(&pem);
            let announced = |time: &Value, own| {
                if time.is_string() {
                    seconds(time)
                } else {
                    Ok(own)
                }
            };
            let start = announced(&delivered["effective_time"], begins)?;
            if input.message.now < announced(&delivered["expire_time"], ends)? {
                keys.push((own.clone(), key));
                if start <= input.message.now && start > newest.0 {
                    newest = (start, own.clone());
                }
            }
            serials.push(own);
        }
        verify(&input.message, body, keys)?;
        Ok(OpenedCertificates {
            serials,
            newest: newest.1,
        })
    }
}

fn verify(input: &MessageInput, body: &[u8], keys: Vec<(String, PublicKey)>) -> Outcome<()> {
    let header = |name: &str| {
        let value = input
            .headers
            .get(name)
            .map(String::as_str)
            .unwrap_or_default();
        if value.is_empty() {
            Err(refuse("missing_header"))
        } else {
            Ok(value)
        }
    };
    let timestamp = header("wechatpay-timestamp")?;
    header("wechatpay-nonce")?;
    let serial = header("wechatpay-serial")?;
    let signature = header("wechatpay-signature")?;
    let kind = input
        .headers
        .get("wechatpay-signature-type")
        .map_or("WECHATPAY2-SHA256-RSA2048", String::as_str);
    if kind != "WECHATPAY2-SHA256-RSA2048" {
        return Err(refuse("unsupported_signature_type"));
    }
    if timestamp.chars().any(|c| !c.is_ascii_digit()) {
        return Err(refuse("bad_timestamp"));
    }
    let signed_at: i64 = timestamp.parse().map_err(|_| refuse("bad_timestamp"))?;
    if input.now - signed_at > 300 {
        return Err(refuse("stale"));
    }
    if signed_at - input.now > 300 {
        return Err(refuse("from_the_future"));
    }
    if signature.starts_with("WECHATPAY/SIGNTEST/") {
        return Err(refuse("probe"));
    }
    let (_, key) = keys
        .into_iter()
        .find(|(loaded, _)| loaded.to_lowercase() == serial.to_lowercase())
        .ok_or_else(|| refuse("unknown_serial"))?;
    let signature = BASE64
        .decode(signature)
        .map_err(|_| refuse("signature_not_base64"))?;
    let text = Independent.message_text(input, body);
    key.verify(
        Pkcs1v15Sign::new::<Sha256>(),
        &Sha256::digest(&text),
        &signature,
    )
    .map_err(|_| refuse("wrong_signature"))
}

fn open(resource: &Resource, apiv3_keys: &[String]) -> Outcome<Vec<u8>> {
    if resource.algorithm != "AEAD_AES_256_GCM" {
        return Err(refuse("unsupported_algorithm"));
    }
    let nonce = resource.nonce.as_bytes();
    if nonce.is_empty() {
        return Err(refuse("nonce_length"));
    }
    if apiv3_keys.is_empty() {
        return Err(refuse("no_apiv3_key"));
    }
    let msg = BASE64
        .decode(&resource.ciphertext)
        .map_err(|_| refuse("ciphertext_not_base64"))?;
    let aad = resource.associated_data.clone().unwrap_or_default();
    apiv3_keys
        .iter()
        .find_map(|key| {
            let payload = Payload {
                msg: &msg,
                aad: aad.as_bytes(),
            };
            decrypt(key.as_bytes(), nonce, payload)
        })
        .ok_or_else(|| refuse("does_not_open"))
}

/// By the length of the nonce, which `aes-gcm` has as a type: those of the cases.
fn decrypt(key: &[u8], nonce: &[u8], payload: Payload<'_, '_>) -> Option<Vec<u8>> {
    macro_rules! of_length {
        ($($length:literal = $size:ty),+) => {
            match nonce.len() {
                $($length => AesGcm::<Aes256, $size>::new_from_slice(key)
                    .expect("32 bytes")
                    .decrypt(&nonce.try_into().expect("of that length"), payload)
                    .ok(),)+
                other => panic!("a case with a nonce of {other} bytes: add the length here"),
            }
        };
    }
    of_length!(
        8 = U8,
        11 = U11,
        12 = U12,
        13 = U13,
        16 = U16,
        17 = U17,
        32 = U32,
        36 = U36,
        128 = U128
    )
}

fn kind(original_type: &str, plaintext: &[u8]) -> Outcome<&'static str> {
    if !["transaction", "refund", "profitsharing", "security"].contains(&original_type) {
        return Ok("unknown");
    }
    let value: Value = serde_json::from_slice(plaintext).map_err(|_| refuse("plaintext"))?;
    let has = |key: &str| value.get(key).is_some();
    match original_type {
        "security" => Ok("security_echo"),
        "profitsharing" => Ok("profit_sharing"),
        "transaction" if has("combine_mchid") => Ok("combined_transaction"),
        "transaction" if has("receiver") && has("order_id") => Ok("profit_sharing"),
        _ if has("sp_mchid") => Ok("unknown"),
        "refund" => Ok("refund"),
        _ if has("trade_state") => Ok("transaction"),
        _ => Err(refuse("plaintext")),
    }
}

fn sign(key: &str, text: &[u8]) -> String {
    let signature = private_key(key)
        .sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(text))
        .expect("the key signs");
    BASE64.encode(signature)
}

fn private_key(name: &str) -> PrivateKey {
    PrivateKey::from_pkcs8_pem(&key_file(&format!("{name}.pem"))).expect("the key reads")
}

fn public_keys(input: &MessageInput) -> Vec<(String, PublicKey)> {
    input
        .keys
        .iter()
        .map(|key| match key {
            KeyFile::PublicKey { id, public_key } => (
                id.clone(),
                PublicKey::from_public_key_pem(&key_file(public_key)).expect("the key reads"),
            ),
            KeyFile::Certificate { certificate: file } => {
                certificate(key_file(file).as_bytes()).expect("the certificate reads")
            }
        })
        .collect()
}

/// The serial and the key, if it is a certificate with an RSA key.
fn certificate(pem: &[u8]) -> Option<(String, PublicKey)> {
    let certificate = Certificate::from_pem(pem).ok()?;
    let content = certificate.tbs_certificate();
    let spki = content.subject_public_key_info().to_der().ok()?;
    let serial: String = content
        .serial_number()
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let serial = serial.strip_prefix("00").unwrap_or(&serial).to_owned();
    let key = PublicKey::from_public_key_der(&spki).ok()?;
    Some((serial, key))
}

/// When a certificate begins and ends by its own words.
fn own_times(pem: &[u8]) -> (i64, i64) {
    let certificate = Certificate::from_pem(pem).expect("it was read before");
    let validity = certificate.tbs_certificate().validity();
    let [begins, ends] = [&validity.not_before, &validity.not_after]
        .map(|time| i64::try_from(time.to_unix_duration().as_secs()).expect("a year of ours"));
    (begins, ends)
}

/// `2026-08-01T08:00:00+08:00` only, by the calendar's own arithmetic.
fn seconds(time: &Value) -> Outcome<i64> {
    let text = time.as_str().unwrap_or_default();
    let text = text
        .strip_suffix("+08:00")
        .ok_or_else(|| refuse("bad_time"))?;
    let parts: Vec<i64> = text
        .split(['-', 'T', ':'])
        .map(|part| part.parse().map_err(|_| refuse("bad_time")))
        .collect::<Result<_, _>>()?;
    let [year, month, day, hour, minute, second] = parts[..] else {
        return Err(refuse("bad_time"));
    };
    // Years from March on, so that the leap day is the last of its year.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Ok(((days * 24 + hour - 8) * 60 + minute) * 60 + second)
}

fn refuse(name: &str) -> Refused {
    Refused {
        name: name.to_owned(),
        says: None,
    }
}
