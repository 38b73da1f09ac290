//! The states over lines and calls that are given.

use super::*;

fn watched() -> Watched {
    let alarm = |name: &str, namespace: &str, metric: &str| {
        json!({
            "AlarmName": name, "AlarmDescription": "what it means", "Namespace": namespace,
            "MetricName": metric, "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanThreshold", "Threshold": 0,
            "TreatMissingData": "notBreaching",
        })
    };
    Watched {
        alarms: vec![
            alarm("failures", "AWS/ApiGateway", "5xx"),
            alarm("throttled", "wechatpay", "Throttled"),
        ],
        composites: vec![json!({
            "AlarmName": "failing", "AlarmActions": ["topic"],
            "AlarmRule": "ALARM(\"failures\") OR ALARM(\"throttled\")",
        })],
        filters: vec![json!({
            "LogGroupName": "/api", "FilterPattern": "{ ($.route = \"POST /x\") && ($.status = \"429\") }",
            "MetricTransformations": [{"MetricNamespace": "wechatpay", "MetricName": "Throttled", "MetricValue": "1"}],
        })],
        access_log: r#"{"route":"$context.routeKey","status":"$context.status","error":"$context.error.message"}"#
            .to_owned(),
        access_log_group: "/api".to_owned(),
    }
}

fn state(alarms: &Alarms, name: &str) -> Value {
    let shown = alarms.shown();
    let all = shown["alarms"].as_array().unwrap();
    let one = all.iter().find(|alarm| alarm["name"] == name).unwrap();
    one["state"].clone()
}

#[test]
fn what_the_api_answers_is_counted_and_an_alarm_says_since_when_and_why() {
    let clock = Clock::manual(wechatpay::UnixSeconds(1_785_556_800));
    let alarms = Alarms::over(watched(), clock.clone()).unwrap();
    let now_ms = clock.now_ms();
    alarms.take_access("POST /x", 429, Some("Too Many Requests"), now_ms);
    alarms.take_access("POST /x", 503, None, now_ms - 40);
    clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(alarms.evaluate(), ["failing is ALARM"]);
    for name in ["failures", "throttled", "failing"] {
        assert_eq!(state(&alarms, name), "ALARM");
    }
    let shown = alarms.shown();
    assert_eq!(
        shown["alarms"][0]["name"], "failing",
        "what is on comes first"
    );
    assert_eq!(shown["alarms"][0]["why"], "on: failures, throttled");
    assert_eq!(shown["alarms"][0]["since_ms"], 1_785_556_860_000_i64);
    assert_eq!(alarms.evaluate(), [""; 0], "once a minute");

    // CloudWatch looks back over some periods more than it evaluates.
    let ahead = alarms.shown_ahead(300);
    assert_eq!(ahead["evaluated_ms"], 1_785_557_160_000_i64);
    let all = ahead["alarms"].as_array().unwrap();
    assert!(
        all.iter().all(|alarm| alarm["state"] != "ALARM"),
        "nothing more came: {ahead}"
    );
    assert_eq!(state(&alarms, "failing"), "ALARM", "that was a look ahead");
}

#[test]
fn the_values_of_a_time_are_given_with_how_often_they_came() {
    let clock = Clock::manual(wechatpay::UnixSeconds(1_785_556_800));
    let alarms = Alarms::over(watched(), clock.clone()).unwrap();
    let from_ms = clock.now_ms();
    alarms.take_access("POST /x", 429, None, from_ms);
    alarms.take_access("POST /x", 429, None, from_ms);
    let metrics = alarms.metrics(from_ms, from_ms + 1);
    let of = |namespace: &str, name: &str, value: &str| {
        json!({
            "namespace": namespace, "name": name, "dimensions": {}, "values": [[value, 2]],
        })
    };
    let all = [
        of("AWS/ApiGateway", "4xx", "1"),
        of("AWS/ApiGateway", "5xx", "0"),
        of("AWS/ApiGateway", "Count", "1"),
        of("AWS/ApiGateway", "Latency", "0"),
        of("wechatpay", "Throttled", "1"),
    ];
    assert_eq!(metrics, json!(all));
    assert_eq!(alarms.metrics(from_ms + 1, from_ms + 2), json!([]));
}
