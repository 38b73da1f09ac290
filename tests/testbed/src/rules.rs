//! Requests that SQS and KMS refuse by their documentation. The test engines accept more than AWS
//! does, so every request of a test is checked against these rules first.
//!
//! DynamoDB's rules are enforced by its engine (`tests/it/aws_rules.rs` checks them), S3's by
//! [`crate::S3Engine`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::service::Service;

/// A message with its attributes, in bytes: 1 MiB.
const MESSAGE_MAX: usize = 1_048_576;
const ATTRIBUTES_MAX: usize = 10;
/// How long a message may be delayed, and hidden, in seconds.
const DELAY_S_MAX: i64 = 900;
const HIDDEN_S_MAX: i64 = 43_200;
/// What is encrypted, and what is signed, in bytes.
const PLAINTEXT_MAX: usize = 4096;
/// What was encrypted, in bytes.
const CIPHERTEXT_MAX: usize = 6144;

/// The code of the refusal, if the service would refuse the request.
pub(crate) fn refusal(service: Service, operation: &str, body: &Value) -> Option<&'static str> {
    match (service, operation) {
        (Service::Sqs, "SendMessage") => message(body),
        (Service::Sqs, "ChangeMessageVisibility") => {
            let hidden_s = number(body, "VisibilityTimeout");
            let is_fine = hidden_s.is_some_and(|s| (0..=HIDDEN_S_MAX).contains(&s));
            (!is_fine).then_some("InvalidParameterValue")
        }
        (Service::Sqs, "ReceiveMessage") => {
            let most = number(body, "MaxNumberOfMessages").unwrap_or(1);
            let wait_s = number(body, "WaitTimeSeconds").unwrap_or(0);
            let is_fine = (1..=10).contains(&most) && (0..=20).contains(&wait_s);
            (!is_fine).then_some("InvalidParameterValue")
        }
        (Service::Kms, "Encrypt") => length(body, "Plaintext", PLAINTEXT_MAX),
        (Service::Kms, "Decrypt") => length(body, "CiphertextBlob", CIPHERTEXT_MAX),
        (Service::Kms, "GenerateDataKey") => {
            let named = ["KeySpec", "NumberOfBytes"].map(|name| body.get(name).is_some());
            (named == [true, true] || named == [false, false]).then_some("ValidationException")
        }
        (Service::Kms, "Sign") => signature(body),
        (Service::Sqs | Service::Kms | Service::DynamoDb | Service::S3, _) => None,
    }
}

fn message(body: &Value) -> Option<&'static str> {
    let sent = text(body, "MessageBody");
    if !sent.chars().all(is_taken) {
        return Some("InvalidMessageContents");
    }
    let attributes = body.get("MessageAttributes").and_then(Value::as_object);
    let mut length = sent.len();
    for (name, attribute) in attributes.into_iter().flatten() {
        let value = text(attribute, "StringValue");
        let kind = text(attribute, "DataType");
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        if value.is_empty() || kind.is_empty() || name.is_empty() || !name.chars().all(is_name) {
            return Some("InvalidParameterValue");
        }
        length += name.len() + kind.len() + value.len();
    }
    let delay_s = number(body, "DelaySeconds").unwrap_or(0);
    let is_fine = !sent.is_empty()
        && length <= MESSAGE_MAX
        && attributes.map_or(0, serde_json::Map::len) <= ATTRIBUTES_MAX
        && (0..=DELAY_S_MAX).contains(&delay_s);
    (!is_fine).then_some("InvalidParameterValue")
}

/// SQS takes what XML 1.0 may hold. Anything else it puts U+FFFD for, without a word, so that
/// another message arrives than was sent: here it is refused, for no test to miss it.
fn is_taken(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn signature(body: &Value) -> Option<&'static str> {
    let message = decoded(body, "Message");
    let is_digest = text(body, "MessageType") == "DIGEST";
    let of_sha_256 = text(body, "SigningAlgorithm").ends_with("SHA_256");
    let is_fine = match message {
        Some(message) if is_digest && of_sha_256 => message.len() == 32,
        Some(message) => (1..=PLAINTEXT_MAX).contains(&message.len()),
        None => false,
    };
    (!is_fine).then_some("ValidationException")
}

fn length(body: &Value, name: &str, most: usize) -> Option<&'static str> {
    let is_fine = decoded(body, name).is_some_and(|bytes| (1..=most).contains(&bytes.len()));
    (!is_fine).then_some("ValidationException")
}

fn decoded(body: &Value, name: &str) -> Option<Vec<u8>> {
    STANDARD.decode(body.get(name)?.as_str()?).ok()
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    let value = body.get(name).and_then(Value::as_str);
    value.unwrap_or_default()
}

fn number(body: &Value, name: &str) -> Option<i64> {
    body.get(name)?.as_i64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sqs_refuses_what_its_documentation_does_not_allow() {
        let attributes = |count: usize| -> Value {
            let named = (0..count).map(|number| {
                let attribute = json!({"DataType": "String", "StringValue": "x"});
                (format!("a{number}"), attribute)
            });
            Value::Object(named.collect())
        };
        let odd = json!({"a b": {"DataType": "String", "StringValue": "x"}});
        let empty = json!({"a": {"DataType": "String", "StringValue": ""}});
        let long = "x".repeat(MESSAGE_MAX);
        for (request, refused) in [
            (json!({"MessageBody": "{}"}), None),
            (json!({"MessageBody": long}), None),
            (
                json!({"MessageBody": long + "x"}),
                Some("InvalidParameterValue"),
            ),
            (json!({"MessageBody": ""}), Some("InvalidParameterValue")),
            (
                json!({"MessageBody": "\u{ffff}"}),
                Some("InvalidMessageContents"),
            ),
            (
                json!({"MessageBody": "\u{0}"}),
                Some("InvalidMessageContents"),
            ),
            (json!({"MessageBody": "\u{1f375} \t"}), None),
            (json!({"MessageBody": "{}", "DelaySeconds": 900}), None),
            (
                json!({"MessageBody": "{}", "DelaySeconds": 901}),
                Some("InvalidParameterValue"),
            ),
            (
                json!({"MessageBody": "{}", "MessageAttributes": attributes(10)}),
                None,
            ),
            (
                json!({"MessageBody": "{}", "MessageAttributes": attributes(11)}),
                Some("InvalidParameterValue"),
            ),
            (
                json!({"MessageBody": "{}", "MessageAttributes": odd}),
                Some("InvalidParameterValue"),
            ),
            (
                json!({"MessageBody": "{}", "MessageAttributes": empty}),
                Some("InvalidParameterValue"),
            ),
        ] {
            assert_eq!(refusal(Service::Sqs, "SendMessage", &request), refused);
        }
        for (hidden_s, refused) in [
            (0, None),
            (43_200, None),
            (43_201, Some("InvalidParameterValue")),
        ] {
            let request = json!({"VisibilityTimeout": hidden_s});
            let asked = refusal(Service::Sqs, "ChangeMessageVisibility", &request);
            assert_eq!(asked, refused, "{hidden_s}");
        }
        let eleven = json!({"MaxNumberOfMessages": 11});
        assert!(refusal(Service::Sqs, "ReceiveMessage", &eleven).is_some());
    }

    #[test]
    fn kms_refuses_what_its_documentation_does_not_allow() {
        let bytes = |count: usize| STANDARD.encode(vec![7; count]);
        let invalid = Some("ValidationException");
        for (operation, name, count, refused) in [
            ("Encrypt", "Plaintext", 4096, None),
            ("Encrypt", "Plaintext", 4097, invalid),
            ("Encrypt", "Plaintext", 0, invalid),
            ("Decrypt", "CiphertextBlob", 6144, None),
            ("Decrypt", "CiphertextBlob", 6145, invalid),
        ] {
            let request = json!({name: bytes(count)});
            let asked = refusal(Service::Kms, operation, &request);
            assert_eq!(asked, refused, "{operation} {count}");
        }
        for (kind, count, refused) in [
            ("DIGEST", 32, None),
            ("DIGEST", 31, invalid),
            ("RAW", 4096, None),
            ("RAW", 4097, invalid),
        ] {
            let request = json!({
                "Message": bytes(count), "MessageType": kind,
                "SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256",
            });
            assert_eq!(
                refusal(Service::Kms, "Sign", &request),
                refused,
                "{kind} {count}"
            );
        }
        let both = json!({"KeySpec": "AES_256", "NumberOfBytes": 32});
        assert_eq!(refusal(Service::Kms, "GenerateDataKey", &both), invalid);
        let one = json!({"KeySpec": "AES_256"});
        assert_eq!(refusal(Service::Kms, "GenerateDataKey", &one), None);
    }
}
