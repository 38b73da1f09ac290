//! States and notifications of a cause and its consequence.

use serde_json::{Value, json};

use super::*;
use crate::number::Number;
use crate::store::Metric;

const MINUTE_MS: i64 = 60_000;

fn alarm(name: &str, metric: &str) -> Value {
    json!({
        "AlarmName": name, "Namespace": "N", "MetricName": metric, "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 0,
        "TreatMissingData": "notBreaching",
    })
}

/// `down` notifies of the cause; `late` of its consequence, unless the cause is on.
fn cloud() -> CloudWatch {
    let alarms = [alarm("cause", "Cause"), alarm("effect", "Effect")];
    let composites = [
        json!({"AlarmName": "late", "AlarmRule": "ALARM(\"effect\")", "AlarmActions": ["t"],
            "OKActions": ["t"], "ActionsSuppressor": "down", "ActionsSuppressorWaitPeriod": 120,
            "ActionsSuppressorExtensionPeriod": 180}),
        json!({"AlarmName": "down", "AlarmRule": "ALARM(\"cause\")", "AlarmActions": ["t"],
            "OKActions": ["t"]}),
    ];
    CloudWatch::of(&alarms, &composites, &[]).unwrap()
}

/// Goes through minutes in which these metrics are 1 and the others 0. Gives who was told, and
/// when.
fn told(minutes: &[&[&str]]) -> Vec<(i64, String, State)> {
    let mut cloud = cloud();
    let mut states = States::default();
    let mut told = Vec::new();
    for (minute, metrics) in (0..).zip(minutes) {
        for metric in ["Cause", "Effect"] {
            let value = Number::whole(i64::from(metrics.contains(&metric)));
            cloud.put(Metric::new("N", metric, &[]), minute * MINUTE_MS, value);
        }
        for one in states.evaluate(&cloud, (minute + 1) * MINUTE_MS) {
            told.push((minute, one.alarm, one.state));
        }
    }
    told
}

fn one(minute: i64, alarm: &str, state: State) -> (i64, String, State) {
    (minute, alarm.to_owned(), state)
}

#[test]
fn a_consequence_tells_after_its_wait_unless_its_cause_has_gone_on_by_then() {
    let effect: &[&str] = &["Effect"];
    let alone = told(&[effect, effect, effect, effect, &[]]);
    let expected = [one(2, "late", State::Alarm), one(4, "late", State::Ok)];
    assert_eq!(alone, expected);
    let both: &[&str] = &["Cause", "Effect"];
    let caused = told(&[effect, both, both, both, &[], &[], &[]]);
    let expected = [one(1, "down", State::Alarm), one(4, "down", State::Ok)];
    assert_eq!(caused, expected, "the consequence ended with its cause");
}

#[test]
fn a_consequence_that_outlives_its_cause_tells_after_the_extension() {
    let both: &[&str] = &["Cause", "Effect"];
    let effect: &[&str] = &["Effect"];
    let outlived = told(&[both, both, effect, effect, effect, effect]);
    let expected = [
        one(0, "down", State::Alarm),
        one(2, "down", State::Ok),
        one(4, "late", State::Alarm),
    ];
    assert_eq!(outlived, expected);
}

#[test]
fn a_short_effect_tells_nobody_and_its_end_neither() {
    assert_eq!(told(&[&["Effect"], &[], &[]]), []);
    assert_eq!(told(&[&[], &[], &[]]), []);
}

#[test]
fn a_state_that_is_kept_lasts_and_says_since_when() {
    let mut kept = alarm("kept", "Open");
    kept["TreatMissingData"] = json!("ignore");
    kept["AlarmActions"] = json!(["t"]);
    let mut cloud = CloudWatch::of(&[kept], &[], &[]).unwrap();
    let mut states = States::default();
    let mut told = 0;
    for minute in 0..20 {
        if minute == 1 || minute == 12 {
            let value = Number::whole(i64::from(minute == 1));
            cloud.put(Metric::new("N", "Open", &[]), minute * MINUTE_MS, value);
        }
        told += states.evaluate(&cloud, (minute + 1) * MINUTE_MS).len();
        let expected = match minute {
            0 => State::InsufficientData,
            1..12 => State::Alarm,
            _ => State::Ok,
        };
        assert_eq!(states.state("kept"), expected, "{minute}");
    }
    assert_eq!(told, 1);
    assert_eq!(states.all()["kept"].since_ms, 13 * MINUTE_MS);
}
