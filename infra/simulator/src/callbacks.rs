//! Callbacks: content, receiver, number of attempts, and the signed message of one attempt.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    clock,
    ids::Ids,
    keys::{self, PlatformKey},
    signed_callback::{Damage, SignedCallback},
    v2_notice,
};

/// The key that another merchant's callback would be sealed with.
const FOREIGN_KEY: &str = "ThisKeyBelongsToAnotherMerchant0";

/// The prefix of a deliberately wrong signature.
pub(crate) const PROBE: &str = "WECHATPAY/SIGNTEST/";

/// Seconds to wait before each repeat of a payment or refund callback: 24 h 4 min in all.
pub const PAYMENT_LADDER_S: [i64; 15] = [
    15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10_800, 10_800, 10_800, 21_600, 21_600,
];

/// The same for `/v3/security/echo`.
pub const ECHO_LADDER_S: [i64; 9] = [15, 15, 30, 180, 1800, 1800, 1800, 1800, 3600];

/// A callback and the story of its delivery.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Callback {
    /// The `id` in the envelope; the same at each try.
    pub id: String,
    /// The order, refund or echo it is about.
    pub about: String,
    /// `TRANSACTION.SUCCESS` and so on.
    pub event_type: String,
    /// `transaction`, `refund` or `security`.
    pub original_type: String,
    /// The human text in the envelope.
    pub summary: String,
    /// Where it is posted.
    pub url: String,
    /// What is sealed in `resource`; of a v2 notice its elements, with `req_info` open.
    pub plaintext: Value,
    /// In which of WeChat Pay's two forms it is sent.
    #[serde(default)]
    pub format: NoticeFormat,
    /// When it came about, Unix milliseconds.
    pub created_ms: i64,
    /// When it is tried next; `None` once delivered, given up or lost, and during a try.
    pub due_ms: Option<i64>,
    pub status: CallbackStatus,
    /// Every try so far. A duplicated callback has more than one try at the same time.
    pub tries: Vec<Try>,
    /// How often it was tried, where copies sent at once count once.
    pub rounds: usize,
    /// What the faults have drawn for it. State files have it under its first name.
    #[serde(default, rename = "misfortune")]
    pub(crate) fault: CallbackFault,
}

/// The form of a callback.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeFormat {
    /// JSON, sealed with the APIv3 key and signed.
    #[default]
    V3,
    /// XML, sealed with the APIv2 key and not signed: a refund that was asked for without
    /// `notify_url`, or in the console.
    V2Xml,
}

/// The state of a callback.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackStatus {
    /// It will be tried, or tried again.
    Waiting,
    /// It was answered with 200 or 204; a v2 notice with 200 and `<return_code>SUCCESS`.
    Delivered,
    /// A fault swallowed it: it is never tried.
    Lost,
    /// All repeats are used up.
    GivenUp,
}

/// One try to deliver.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Try {
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Whether it carried a probe instead of a signature.
    pub probe: bool,
    pub status: Option<u16>,
    /// Why nothing was answered, or what the answer lacks.
    pub failure: Option<String>,
}

impl Try {
    /// Whether WeChat Pay takes the callback for delivered.
    pub fn is_success(&self) -> bool {
        self.failure.is_none() && matches!(self.status, Some(200 | 204))
    }
}

/// Faults applied to one callback.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct CallbackFault {
    /// The next try carries a probe. Repeats are not probed.
    pub(crate) probe: bool,
    /// Copies sent at the same time, besides the first.
    pub(crate) more_copies: u32,
    /// Held back until a later callback has gone out.
    #[serde(default)]
    pub(crate) held: bool,
    /// Each try carries an `id` of its own.
    #[serde(default)]
    pub(crate) renamed: bool,
}

impl Callback {
    pub(crate) fn is_held(&self) -> bool {
        self.fault.held && self.status == CallbackStatus::Waiting
    }

    pub(crate) fn ladder_s(&self) -> &'static [i64] {
        if self.original_type == "security" {
            &ECHO_LADDER_S
        } else {
            &PAYMENT_LADDER_S
        }
    }

    /// The wait before the next try after a failed one; `None` at the ladder's end.
    pub(crate) fn wait_ms(&self) -> Option<i64> {
        let step = self.rounds.checked_sub(1)?;
        self.ladder_s()
            .get(step)
            .map(|seconds| seconds.saturating_mul(1000))
    }
}

/// Everything that goes into one message besides the callback.
pub(crate) struct MessageContext<'a> {
    pub(crate) key: PlatformKey,
    pub(crate) apiv3_key: &'a str,
    pub(crate) apiv2_key: &'a str,
    pub(crate) now_ms: i64,
    pub(crate) gcm_nonce: String,
    pub(crate) nonce: String,
    pub(crate) request_id: String,
}

impl MessageContext<'_> {
    /// Seals and signs. `None` only if the APIv3 key has not 32 bytes, which is checked at the
    /// start.
    pub(crate) fn message(&self, callback: &Callback, damage: &Damage) -> Option<SignedCallback> {
        match callback.format {
            NoticeFormat::V3 => self.v3(callback, damage),
            NoticeFormat::V2Xml => {
                let key = if *damage == Damage::ForeignApiv3Key {
                    FOREIGN_KEY
                } else {
                    self.apiv2_key
                };
                let tree = altered(callback, damage);
                v2_notice::message(&callback.url, &tree, key, &self.nonce, damage)
            }
        }
    }

    /// The sealed plaintext, with what the damage does to it.
    fn resource(&self, callback: &Callback, damage: &Damage) -> Option<Value> {
        let apiv3_key = if *damage == Damage::ForeignApiv3Key {
            FOREIGN_KEY
        } else {
            self.apiv3_key
        };
        let nonce = match damage {
            Damage::LongNonce => format!("{}four", self.gcm_nonce),
            Damage::None
            | Damage::WrongSignature
            | Damage::Stale(_)
            | Damage::UnknownSerial
            | Damage::Probe
            | Damage::CutCiphertext
            | Damage::ForeignApiv3Key
            | Damage::Altered(_)
            | Damage::AlteredEnvelope(_)
            | Damage::ForgedTag(_) => self.gcm_nonce.clone(),
        };
        let seal = |plaintext: &Value| {
            keys::seal(
                apiv3_key,
                &nonce,
                &callback.original_type,
                plaintext.to_string().as_bytes(),
            )
        };
        let mut resource = seal(&altered(callback, damage))?;
        let ciphertext = resource.get("ciphertext")?.as_str()?;
        let ciphertext = match damage {
            Damage::CutCiphertext => {
                let kept = ciphertext.len().saturating_sub(8);
                ciphertext.get(..kept)?.to_owned()
            }
            Damage::ForgedTag(_) => {
                let truth = seal(&callback.plaintext)?;
                keys::with_tag_of(ciphertext, truth.get("ciphertext")?.as_str()?)?
            }
            Damage::None
            | Damage::WrongSignature
            | Damage::Stale(_)
            | Damage::UnknownSerial
            | Damage::Probe
            | Damage::ForeignApiv3Key
            | Damage::AlteredEnvelope(_)
            | Damage::LongNonce
            | Damage::Altered(_) => ciphertext.to_owned(),
        };
        let resource_map = resource.as_object_mut()?;
        resource_map.insert("ciphertext".to_owned(), json!(ciphertext));
        resource_map.insert("original_type".to_owned(), json!(callback.original_type));
        Some(resource)
    }

    fn v3(&self, callback: &Callback, damage: &Damage) -> Option<SignedCallback> {
        let mut envelope = json!({
            "id": callback.id,
            "create_time": clock::rfc3339(callback.created_ms),
            "resource_type": "encrypt-resource",
            "event_type": callback.event_type,
            "summary": callback.summary,
            "resource": self.resource(callback, damage)?,
        });
        if let Damage::AlteredEnvelope(patch) = damage {
            merge(&mut envelope, patch);
        }
        let body = envelope.to_string();
        let age_s = if let Damage::Stale(age_s) = damage {
            *age_s
        } else {
            0
        };
        let timestamp = clock::seconds(self.now_ms).saturating_sub(age_s);
        let signed_body = if *damage == Damage::WrongSignature {
            "another body"
        } else {
            &body
        };
        let text = format!("{timestamp}\n{}\n{signed_body}\n", self.nonce);
        let signature = self.key.sign(text.as_bytes());
        let signature = if *damage == Damage::Probe {
            probe(&signature)
        } else {
            signature
        };
        let serial = if *damage == Damage::UnknownSerial {
            "PUB_KEY_ID_0000000000000000000000000000000000"
        } else {
            &self.key.serial
        };
        let headers = [
            ("Content-Type", "application/json"),
            ("Accept", "*/*"),
            ("User-Agent", "Mozilla/4.0"),
            ("Pragma", "no-cache"),
            ("Request-ID", &format!("{}-0", self.request_id)),
            ("Wechatpay-Timestamp", &timestamp.to_string()),
            ("Wechatpay-Nonce", &self.nonce),
            ("Wechatpay-Serial", serial),
            ("Wechatpay-Signature", &signature),
            ("Wechatpay-Signature-Type", "WECHATPAY2-SHA256-RSA2048"),
        ];
        Some(SignedCallback {
            url: callback.url.clone(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            body,
        })
    }
}

/// The callback's plaintext, changed as the damage says.
fn altered(callback: &Callback, damage: &Damage) -> Value {
    let mut plaintext = callback.plaintext.clone();
    if let Damage::Altered(patch) | Damage::ForgedTag(patch) = damage {
        merge(&mut plaintext, patch);
    }
    plaintext
}

/// A probe of the same length as a signature; not valid Base64, as the real ones.
pub(crate) fn probe(signature: &str) -> String {
    let tail: String = signature
        .chars()
        .take(signature.len().saturating_sub(PROBE.len()))
        .collect();
    format!("{PROBE}{tail}")
}

/// Content and receiver of a new callback.
pub(crate) struct CallbackContent<'a> {
    pub(crate) about: &'a str,
    /// `event_type`, `original_type` and `summary`.
    pub(crate) event: (&'a str, &'a str, &'a str),
    pub(crate) url: &'a str,
    pub(crate) plaintext: Value,
    pub(crate) format: NoticeFormat,
}

/// A callback that was just made; nothing was tried yet.
pub(crate) fn new(ids: &mut Ids, news: CallbackContent<'_>, now_ms: i64) -> Callback {
    let (event_type, original_type, summary) = news.event;
    Callback {
        id: ids.callback_id(),
        about: news.about.to_owned(),
        event_type: event_type.to_owned(),
        original_type: original_type.to_owned(),
        summary: summary.to_owned(),
        url: news.url.to_owned(),
        plaintext: news.plaintext,
        format: news.format,
        created_ms: now_ms,
        due_ms: Some(now_ms),
        status: CallbackStatus::Waiting,
        tries: Vec::new(),
        rounds: 0,
        fault: CallbackFault::default(),
    }
}

/// JSON merge patch (RFC 7396).
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    if let Some(target) = target.as_object_mut() {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_of_payments_takes_a_day_and_four_minutes() {
        assert_eq!(PAYMENT_LADDER_S.iter().sum::<i64>(), 24 * 3600 + 4 * 60);
    }
}
