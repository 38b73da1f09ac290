//! The keys as a list for people, and as JSON for programs.

use serde_json::{Value, json};
use wechatpay::UnixSeconds;

use super::key::{KeyStatus, days, time};
use crate::doctor::finding::Severity;

pub(super) fn worst(keys: &[KeyStatus]) -> Option<Severity> {
    let findings = keys.iter().filter_map(|key| key.finding.as_ref());
    findings.map(|finding| finding.severity).max()
}

pub(super) fn shown(subject: &str, keys: &[KeyStatus], now: UnixSeconds) -> Value {
    let keys_shown = keys.iter().map(|key| {
        json!({
            "kind": key.kind,
            "id": key.id,
            "state": key.state,
            "made": key.made.map(time),
            "age_days": key.made.map(|made| days(now.since(made))),
            "ends": key.ends.map(time),
            "days_left": key.ends.map(|ends| days(ends.since(now))),
            "finding": key.finding,
        })
    });
    json!({
        "subject": subject,
        "worst": worst(keys),
        "keys": keys_shown.collect::<Vec<_>>(),
    })
}

pub(super) fn text(subject: &str, keys: &[KeyStatus], now: UnixSeconds) -> String {
    let count = |severity| {
        let findings = keys.iter().filter_map(|key| key.finding.as_ref());
        findings.filter(|found| found.severity == severity).count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let mut text = format!(
        "{subject}: keys: {}, errors: {errors}, warnings: {warnings}\n",
        keys.len()
    );
    for key in keys {
        text.push_str(&line(key, now));
    }
    text
}

fn line(key: &KeyStatus, now: UnixSeconds) -> String {
    let mark = key
        .finding
        .as_ref()
        .map_or("ok", |finding| finding.severity.name());
    let mut line = format!("{mark:<8}{} {}: {}", key.kind, key.id, key.state);
    if let Some(made) = key.made {
        let age_days = days(now.since(made));
        line.push_str(&format!("; since {} ({age_days} days)", time(made)));
    }
    if let Some(ends) = key.ends {
        let left = days(ends.since(now));
        line.push_str(&format!("; ends {} (in {left} days)", time(ends)));
    }
    line.push('\n');
    if let Some(finding) = &key.finding {
        line.push_str(&format!(
            "        {}\n        next: {}\n",
            finding.cause, finding.next_step
        ));
    }
    line
}
