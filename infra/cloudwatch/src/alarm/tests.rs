//! Alarms over points and values that are given.

use serde_json::json;

use super::*;

const MINUTE_MS: i64 = 60_000;

fn alarm(changes: &Value) -> Alarm {
    let mut properties = json!({
        "AlarmName": "a", "Namespace": "N", "MetricName": "Runs", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 5, "DatapointsToAlarm": 2, "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
    });
    for (name, value) in changes.as_object().unwrap() {
        properties[name] = value.clone();
    }
    Alarm::read(&properties).unwrap()
}

fn verdicts(alarm: &Alarm, points: &[Option<i64>]) -> Verdict {
    let points: Vec<_> = points.iter().map(|it| it.map(Number::whole)).collect();
    alarm.judge(&points)
}

#[test]
fn so_many_points_of_so_many_periods_are_enough_and_a_missing_one_is_none() {
    let alarm = alarm(&json!({}));
    let (there, well) = (Some(1), Some(0));
    for (points, is_alarm) in [
        (vec![there, None, None, None, None], false),
        (vec![there, None, None, None, there], true),
        (vec![there, there, well, well, well, well], false),
        (vec![there, well, there, well, well, well], false),
        (vec![well, there, well, there, well, well], true),
        (vec![], false),
    ] {
        let expected = if is_alarm {
            Verdict::Alarm
        } else {
            Verdict::Ok
        };
        assert_eq!(verdicts(&alarm, &points), expected, "{points:?}");
    }
}

/// The table of CloudWatch's page on missing data, for three of three points: what an alarm makes
/// of a range of five periods by each treatment.
#[test]
fn missing_points_count_as_cloudwatchs_own_table_says() {
    use Verdict::{Alarm as A, InsufficientData as I, Kept as K, Ok as O};
    let (x, o, n) = (Some(1), Some(0), None);
    for (points, expected) in [
        ([o, n, x, n, x], [O, O, O, O]),
        ([o, n, n, n, n], [O, O, O, O]),
        ([n, n, n, n, n], [I, K, A, O]),
        ([o, x, x, n, x], [A, A, A, A]),
        ([n, n, x, n, n], [A, K, A, O]),
    ] {
        let treatments = ["missing", "ignore", "breaching", "notBreaching"];
        for (treatment, verdict) in treatments.iter().zip(expected) {
            let alarm = alarm(&json!({
                "TreatMissingData": treatment, "EvaluationPeriods": 3, "DatapointsToAlarm": 3,
            }));
            assert_eq!(verdicts(&alarm, &points), verdict, "{points:?} {treatment}");
        }
    }
}

#[test]
fn one_period_of_a_day_is_silent_for_days_where_missing_points_are_not_filled() {
    let day_ms = 86_400_000;
    let mut store = Store::default();
    store.put(
        Metric::new("N", "Runs", &[]),
        100 * day_ms,
        Number::whole(1),
    );
    let watched = json!({
        "EvaluationPeriods": 1, "DatapointsToAlarm": 1, "Threshold": 1, "Period": 86_400,
        "ComparisonOperator": "LessThanThreshold", "TreatMissingData": "breaching",
    });
    let filled = json!([
        {"Id": "runs", "ReturnData": false, "MetricStat": {
            "Metric": {"Namespace": "N", "MetricName": "Runs"}, "Stat": "Sum", "Period": 86_400}},
        {"Id": "counted", "Expression": "FILL(runs, 0)"},
    ]);
    let mut with_math = watched.clone();
    with_math["Metrics"] = filled;
    let days_until_alarm = |alarm: &Alarm| {
        let is_alarm = |day: &i64| alarm.evaluate(&store, (100 + day) * day_ms) == Verdict::Alarm;
        (1..10).find(is_alarm)
    };
    assert_eq!(days_until_alarm(&alarm(&watched)), Some(5));
    assert_eq!(days_until_alarm(&alarm(&with_math)), Some(2));
}

#[test]
fn a_period_ends_with_the_evaluation_and_not_with_the_hour() {
    let alarm = alarm(&json!({
        "Period": 3600, "EvaluationPeriods": 1, "DatapointsToAlarm": 1, "Threshold": 2,
    }));
    let mut store = Store::default();
    for minute in [30, 50, 70] {
        store.put(
            Metric::new("N", "Runs", &[]),
            minute * MINUTE_MS,
            Number::whole(1),
        );
    }
    let at = |minute| alarm.evaluate(&store, minute * MINUTE_MS);
    assert_eq!(
        [at(70), at(71), at(90), at(91)],
        [Verdict::Ok, Verdict::Alarm, Verdict::Alarm, Verdict::Ok]
    );
}

#[test]
fn an_alarm_that_cloudwatch_or_these_rules_do_not_take_is_refused() {
    let stat = |id: &str, period: i64| {
        json!({"Id": id, "ReturnData": false, "MetricStat": {
            "Metric": {"Namespace": "N", "MetricName": "Runs"}, "Stat": "Sum", "Period": period}})
    };
    let read = |queries: Value| {
        Alarm::read(&json!({
            "AlarmName": "a", "EvaluationPeriods": 1, "Threshold": 0.5, "Metrics": queries,
            "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
        }))
    };
    let of = |text: &str| json!({"Id": "e1", "Expression": text});
    assert!(read(json!([stat("m1", 60), of("m1 * 2")])).is_ok());
    assert!(
        read(json!([stat("m1", 60), of("m2 * 2")])).is_err(),
        "no m2"
    );
    assert!(read(json!([stat("m1", 60), of("RATE(m1)")])).is_err());
    assert!(read(json!([stat("m1", 60), stat("m2", 300), of("m1 + m2")])).is_err());
    let both = json!([of("m1 + 1"), {"Id": "e2", "Expression": "m1"}, stat("m1", 60)]);
    assert!(read(both).is_err(), "two series");
    let circle = json!([stat("m1", 60), {"Id": "e2", "ReturnData": false, "Expression": "e1 + m1"}, of("e2 + m1")]);
    let circle = read(circle).unwrap();
    assert_eq!(circle.evaluate(&Store::default(), 0), Verdict::Ok);
}
