//! Every case of `vectors/`, over two implementations that share no cryptography: the crate's own
//! (aws-lc-rs signs, verifies and decrypts fields, `aes-gcm` opens resources, serde parses), and
//! one written here with `rsa` alone. An error of one library, or of one reading of the manual,
//! cannot hide on both sides.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "in a test, a panic is the report"
)]

mod cases;
mod independent;
mod product;

use cases::{
    CallbackInput, Case, CertificatesInput, FieldInput, Input, MessageInput, PaymentInput,
    RequestInput, ResourceInput, SignatureInput,
};

/// An implementation of the protocol, as far as the cases ask for it.
trait Protocol {
    fn request(&self, input: &RequestInput, body: Vec<u8>) -> SignedText;
    fn payment(&self, input: &PaymentInput) -> SignedText;
    /// The signature over `text` as it is, in Base64.
    fn signature(&self, input: &SignatureInput, text: &[u8]) -> String;
    fn message(&self, input: &MessageInput, body: &[u8]) -> Outcome<()>;
    fn message_text(&self, input: &MessageInput, body: &[u8]) -> Vec<u8>;
    fn callback(&self, input: &CallbackInput, body: &[u8]) -> Outcome<OpenedCallback>;
    fn resource(&self, input: &ResourceInput) -> Outcome<Vec<u8>>;
    fn field(&self, input: &FieldInput) -> Outcome<String>;
    fn certificates(&self, input: &CertificatesInput, body: &[u8]) -> Outcome<OpenedCertificates>;
}

/// A text that was signed, and what the signature became: a header value, or Base64.
struct SignedText {
    text: Vec<u8>,
    result: String,
}

type Outcome<T> = Result<T, Refused>;

/// A refusal: its stable name and, if the implementation explains itself, all it says.
struct Refused {
    name: String,
    says: Option<String>,
}

struct OpenedCallback {
    event_type: String,
    original_type: String,
    plaintext_kind: &'static str,
    plaintext: Vec<u8>,
}

struct OpenedCertificates {
    serials: Vec<String>,
    newest: String,
}

#[test]
fn every_case_holds_for_the_crate() {
    run(&product::Crate);
}

#[test]
fn every_case_holds_for_the_independent_implementation() {
    run(&independent::Independent);
}

fn run(protocol: &impl Protocol) {
    let cases = cases::all();
    assert!(cases.len() >= 90, "only {} cases were found", cases.len());
    let faults: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            check(protocol, case)
                .err()
                .map(|fault| format!("{}: {fault}", case.name))
        })
        .collect();
    assert!(
        faults.is_empty(),
        "{} of {} cases fail:\n{}",
        faults.len(),
        cases.len(),
        faults.join("\n")
    );
}

fn check(protocol: &impl Protocol, case: &Case) -> Result<(), String> {
    match &case.head.input {
        Input::Request(input) => {
            let signed = protocol.request(input, case.bytes("body"));
            same("text", &signed.text, &case.bytes("text"))?;
            same(
                "authorization",
                signed.result.as_bytes(),
                &case.bytes("authorization"),
            )?;
            holds(
                "the signature is in the header",
                signed.result.contains(&input.signature),
            )
        }
        Input::Payment(input) => {
            let signed = protocol.payment(input);
            same("text", &signed.text, &case.bytes("text"))?;
            same(
                "signature",
                signed.result.as_bytes(),
                input.signature.as_bytes(),
            )
        }
        Input::Signature(input) => {
            let signature = protocol.signature(input, &case.bytes("text"));
            same(
                "signature",
                signature.as_bytes(),
                input.signature.as_bytes(),
            )
        }
        Input::Message(input) => {
            let body = case.bytes("body");
            if verdict(case, protocol.message(input, &body))?.is_some() {
                same(
                    "text",
                    &protocol.message_text(input, &body),
                    &case.bytes("text"),
                )?;
            }
            Ok(())
        }
        Input::Callback(input) => {
            let body = case.bytes("body");
            let Some(opened) = verdict(case, protocol.callback(input, &body))? else {
                return Ok(());
            };
            same(
                "text",
                &protocol.message_text(&input.message, &body),
                &case.bytes("text"),
            )?;
            same(
                "event_type",
                opened.event_type.as_bytes(),
                input.event_type.as_bytes(),
            )?;
            same(
                "original_type",
                opened.original_type.as_bytes(),
                input.original_type.as_bytes(),
            )?;
            same(
                "plaintext_kind",
                opened.plaintext_kind.as_bytes(),
                input.plaintext_kind.as_bytes(),
            )?;
            same("plaintext", &opened.plaintext, &case.bytes("plaintext"))
        }
        Input::Resource(input) => {
            let Some(plaintext) = verdict(case, protocol.resource(input))? else {
                return Ok(());
            };
            same("plaintext", &plaintext, &case.bytes("plaintext"))
        }
        Input::Field(input) => {
            let Some(plaintext) = verdict(case, protocol.field(input))? else {
                return Ok(());
            };
            same("plaintext", plaintext.as_bytes(), &case.bytes("plaintext"))
        }
        Input::Certificates(input) => {
            let outcome = protocol.certificates(input, &case.bytes("body"));
            let Some(opened) = verdict(case, outcome)? else {
                return Ok(());
            };
            holds("serials", opened.serials == input.serials)?;
            same("newest", opened.newest.as_bytes(), input.newest.as_bytes())
        }
    }
}

/// The value, if the case expects one and there is one; nothing, if it was refused as expected.
fn verdict<T>(case: &Case, outcome: Outcome<T>) -> Result<Option<T>, String> {
    let expected = case.head.expect.as_str();
    match outcome {
        Ok(value) if expected == "ok" => Ok(Some(value)),
        Ok(_) => Err(format!("passes, but is to be refused as {expected}")),
        Err(refused) if refused.name == expected => refused.says.map_or(Ok(None), |says| {
            check_explanation(case, &says).map(|()| None)
        }),
        Err(refused) => Err(format!(
            "refused as {}, expected was {expected}",
            refused.name
        )),
    }
}

/// An explanation says what the case wants said, and gives away nothing.
fn check_explanation(case: &Case, says: &str) -> Result<(), String> {
    if let Some(wanted) = &case.head.says {
        holds(
            &format!("\"{says}\" says \"{wanted}\""),
            says.contains(wanted.as_str()),
        )?;
    }
    for secret in secrets(case) {
        holds(
            &format!("\"{says}\" keeps \"{secret}\" to itself"),
            !says.contains(secret.as_str()),
        )?;
    }
    Ok(())
}

/// What no error text may hold: signatures, ciphertexts, APIv3 keys, and texts of the plaintexts.
fn secrets(case: &Case) -> Vec<String> {
    let (headers, keys) = match &case.head.input {
        Input::Message(input) => (Some(&input.headers), Vec::new()),
        Input::Callback(input) => (Some(&input.message.headers), input.apiv3_keys.clone()),
        Input::Certificates(input) => (Some(&input.message.headers), input.apiv3_keys.clone()),
        Input::Resource(input) => (None, input.apiv3_keys.clone()),
        Input::Field(input) => (None, vec![input.field.clone()]),
        Input::Request(_) | Input::Payment(_) | Input::Signature(_) => (None, Vec::new()),
    };
    let mut secrets = keys;
    secrets.extend(
        headers
            .and_then(|headers| headers.get("wechatpay-signature"))
            .cloned(),
    );
    secrets.extend(["oUpF8uMuAJO", "weixin://", "ORDER2026", "1.5"].map(str::to_owned));
    secrets.retain(|secret| !secret.is_empty());
    secrets
}

fn same(what: &str, found: &[u8], wanted: &[u8]) -> Result<(), String> {
    let shown = String::from_utf8_lossy;
    holds(
        &format!(
            "{what} is\n  {}\nand not\n  {}",
            shown(wanted),
            shown(found)
        ),
        found == wanted,
    )
}

fn holds(what: &str, true_or_not: bool) -> Result<(), String> {
    if true_or_not {
        Ok(())
    } else {
        Err(format!("does not hold: {what}"))
    }
}
