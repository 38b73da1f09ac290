//! The request that brings a text to a channel.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use standard_webhooks::{Secret, SignError};
use zeroize::Zeroizing;

use crate::alarm::{Notification, Severity};
use crate::kind::Kind;
use crate::secret::Credentials;

/// A POST of JSON. Its address is a secret.
pub struct Request {
    /// Where to.
    pub address: Zeroizing<String>,
    /// Beside `content-type: application/json`.
    pub headers: Vec<(&'static str, String)>,
    /// The JSON.
    pub body: String,
}

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub enum BadRequest {
    /// SNS is called by its SDK.
    #[error("a topic of SNS is not called by HTTP")]
    NotHttp,
    /// The secret does not sign.
    #[error("the message could not be signed")]
    Sign(#[source] SignError),
    /// The secret was set up for another kind.
    #[error("the channel's secret is not one for its kind")]
    Secret,
}

/// Makes the request of one message, at `now_ms` (Unix milliseconds): robots refuse a signature
/// that is an hour old. `id` names the message for a webhook's receiver, which drops repeats by it.
///
/// # Errors
/// [`BadRequest`].
pub fn request(
    kind: Kind,
    credentials: &Credentials,
    text: &str,
    about: &[&Notification],
    id: &str,
    now_ms: i64,
) -> Result<Request, BadRequest> {
    let address = credentials.address();
    let unsigned = |body: Value| Request {
        address: Zeroizing::new(address.to_owned()),
        headers: Vec::new(),
        body: body.to_string(),
    };
    match kind {
        Kind::Wecom => Ok(unsigned(
            json!({"msgtype": "text", "text": {"content": text}}),
        )),
        Kind::Dingtalk => {
            let secret = credentials.secret().ok_or(BadRequest::Secret)?;
            let mut request = unsigned(json!({"msgtype": "text", "text": {"content": text}}));
            request.address = dingtalk_address(address, secret, now_ms);
            Ok(request)
        }
        Kind::Feishu => {
            let mut body = json!({"msg_type": "text", "content": {"text": text}});
            if let (Some(secret), Some(fields)) = (credentials.secret(), body.as_object_mut()) {
                let timestamp = now_ms.div_euclid(1_000).to_string();
                let sign = feishu_signature(secret, &timestamp);
                fields.insert("timestamp".to_owned(), Value::String(timestamp));
                fields.insert("sign".to_owned(), Value::String(sign));
            }
            Ok(unsigned(body))
        }
        Kind::Webhook => {
            let secret = credentials.secret().ok_or(BadRequest::Secret)?;
            let secret = Secret::parse(secret).map_err(|_| BadRequest::Secret)?;
            let mut request = unsigned(webhook_body(text, about));
            let now_s = now_ms.div_euclid(1_000);
            let signed = standard_webhooks::sign(id, now_s, request.body.as_bytes(), &[secret]);
            let signed = signed.map_err(BadRequest::Sign)?;
            request.headers = signed
                .iter()
                .map(|(name, value)| (name, value.to_owned()))
                .collect();
            Ok(request)
        }
        Kind::Sns => Err(BadRequest::NotHttp),
    }
}

/// The alarms in words and one by one, for a system that opens cases of them.
fn webhook_body(text: &str, about: &[&Notification]) -> Value {
    let alarms: Vec<Value> = about
        .iter()
        .map(|notification| {
            json!({
                "name": notification.name,
                "severity": notification.severity.name(),
                "state": notification.state.name(),
                "description": notification.description,
                "reason": notification.reason,
                "changed_at": notification.changed_at,
            })
        })
        .collect();
    let severity = about.iter().map(|each| each.severity).min();
    json!({
        "type": "operators.notified",
        "severity": severity.unwrap_or(Severity::Page).name(),
        "text": text,
        "alarms": alarms,
    })
}

/// DingTalk signs with the secret as key, and wants milliseconds and the signature in the address.
fn dingtalk_address(address: &str, secret: &str, now_ms: i64) -> Zeroizing<String> {
    let signature = mac(secret.as_bytes(), format!("{now_ms}\n{secret}").as_bytes());
    // Of Base64's characters these three mean something else in a query.
    let signature = signature
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let separator = if address.contains('?') { '&' } else { '?' };
    Zeroizing::new(format!(
        "{address}{separator}timestamp={now_ms}&sign={signature}"
    ))
}

/// Feishu takes `timestamp\nsecret` as the key, and signs nothing with it.
fn feishu_signature(secret: &str, timestamp: &str) -> String {
    let key = Zeroizing::new(format!("{timestamp}\n{secret}"));
    mac(key.as_bytes(), b"")
}

fn mac(key: &[u8], message: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    STANDARD.encode(hmac::sign(&key, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python's `hmac` by the makers' own examples.
    #[test]
    fn robots_signatures_are_those_of_their_makers_examples() {
        let address = dingtalk_address(
            "https://d.example/send?access_token=1",
            "SEC-this is secret",
            1_785_556_800_000,
        );
        assert_eq!(
            address.as_str(),
            "https://d.example/send?access_token=1&timestamp=1785556800000&sign=lf%2F086JrHSPEYw0mZyebITQ%2FtylVRry9Jf4XMXCZA80%3D"
        );
        assert_eq!(
            feishu_signature("demo", "1785556800"),
            "yatCSMtCEnIZS031UwN2BHkR3xXpqOCEAstSB2z6rdQ="
        );
    }
}
