//! The result of a dry run over a dead-letter queue. It has kinds, times and reasons, and no
//! content.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};
use stores::queues::{DeadLetter, DeadLetterCounts};
use wechatpay::UnixSeconds;
use wechatpay::time::format_rfc3339_beijing;

/// In which attribute of a message EventBridge and its scheduler say why they could not bring it.
const ERROR_CODE: &str = "ERROR_CODE";
const ERROR_MESSAGE: &str = "ERROR_MESSAGE";
/// Where no reason was given.
const GIVEN_UP: &str = "received too often without success: the function's log says why";

#[derive(Debug, Default)]
pub(super) struct DryRun {
    seen: HashSet<String>,
    oldest_ms: Option<i64>,
    newest_ms: Option<i64>,
    kinds: BTreeMap<String, u64>,
    reasons: BTreeMap<String, u64>,
}

impl DryRun {
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.seen.len()).unwrap_or(u64::MAX)
    }

    /// Counts a message once, however often it is received.
    pub(super) fn add(&mut self, letter: &DeadLetter) {
        if !self.seen.insert(letter.id().to_owned()) {
            return;
        }
        if let Some(sent_ms) = letter.sent_at_ms() {
            self.oldest_ms = Some(self.oldest_ms.map_or(sent_ms, |oldest| oldest.min(sent_ms)));
            self.newest_ms = Some(self.newest_ms.map_or(sent_ms, |newest| newest.max(sent_ms)));
        }
        *self.kinds.entry(kind(letter)).or_default() += 1;
        *self.reasons.entry(reason(letter)).or_default() += 1;
    }

    pub(super) fn report(&self, queue: &str, counts: DeadLetterCounts) -> Value {
        let time = |at_ms: Option<i64>| {
            at_ms.map(|at_ms| format_rfc3339_beijing(UnixSeconds(at_ms / 1_000)))
        };
        json!({
            "queue": queue,
            "messages": counts.visible,
            "hidden": counts.hidden,
            "looked_at": self.count(),
            "oldest_sent_at": time(self.oldest_ms),
            "newest_sent_at": time(self.newest_ms),
            "kinds": self.kinds,
            "reasons": self.reasons,
        })
    }
}

/// The kind that a message names, as far as anybody can read it.
fn kind(letter: &DeadLetter) -> String {
    let body: Value = serde_json::from_str(letter.body()).unwrap_or_default();
    let named = body.get("v").or_else(|| body.get("detail-type"));
    let named = named.and_then(Value::as_str);
    named.unwrap_or("unknown").chars().take(40).collect()
}

fn reason(letter: &DeadLetter) -> String {
    let attributes: Vec<&str> = [ERROR_CODE, ERROR_MESSAGE]
        .into_iter()
        .filter_map(|name| letter.attribute(name))
        .collect();
    if !attributes.is_empty() {
        attributes.join(": ").chars().take(200).collect()
    } else if letter.was_received_too_often() {
        GIVEN_UP.to_owned()
    } else {
        "unknown".to_owned()
    }
}
