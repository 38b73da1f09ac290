//! Alarms over points that are given.

use super::*;

/// An alarm on a count that has to come.
fn daily(fill: Option<i64>) -> Alarm {
    Alarm {
        name: "daily".to_owned(),
        metric: ("N".to_owned(), "Runs".to_owned(), vec![]),
        statistic: "Sum".to_owned(),
        period_s: 86_400,
        fill,
        evaluation_periods: 1,
        datapoints_to_alarm: 1,
        is_below: true,
        threshold: 1000,
        missing: "breaching".to_owned(),
    }
}

#[test]
fn one_period_of_a_day_is_silent_for_days_where_missing_points_are_not_filled() {
    let days_until_it_is_met = |fill| {
        let mut cloud = CloudWatch {
            alarms: vec![daily(fill)],
            filters: vec![],
            access_log: String::new(),
            metrics: BTreeMap::new(),
        };
        let day_ms = 86_400_000;
        cloud.put(("N", "Runs", vec![]), 100 * day_ms, 1);
        (1..10).find(|day| !cloud.met((100 + day) * day_ms).is_empty())
    };
    assert_eq!(days_until_it_is_met(None), Some(5));
    assert_eq!(
        days_until_it_is_met(Some(0)),
        Some(2),
        "as soon as a whole day is over"
    );
}

#[test]
fn so_many_points_of_so_many_periods_are_enough_and_a_missing_one_is_none() {
    let alarm = Alarm {
        evaluation_periods: 5,
        datapoints_to_alarm: 2,
        is_below: false,
        threshold: 0,
        missing: "notBreaching".to_owned(),
        ..daily(None)
    };
    let there = Some(1000);
    let well = Some(0);
    for (points, is_met) in [
        (vec![there, None, None, None, None], false),
        (vec![there, None, None, None, there], true),
        (vec![there, there, well, well, well, well], false),
        (vec![there, well, there, well, well, well], false),
        (vec![well, there, well, there, well, well], true),
        (vec![], false),
    ] {
        assert_eq!(alarm.is_met(&points), is_met, "{points:?}");
    }
}

#[test]
fn a_period_has_the_value_of_its_statistic() {
    let values = [1, 0, 2];
    assert_eq!(point("Sum", &values), Some(3000));
    assert_eq!(point("Maximum", &values), Some(2000));
    assert_eq!(point("Average", &values), Some(1000));
    assert_eq!(point("Sum", &[]), None);
    assert_eq!((thousandths("0.5"), thousandths("900")), (500, 900_000));
}

#[test]
fn the_templates_alarms_are_read_with_what_they_watch() {
    let cloud = CloudWatch::of_template("1900000001");
    assert!(cloud.alarms.len() > 40, "{}", cloud.alarms.len());
    let of = |name: &str| {
        let mut alarms = cloud.alarms.iter();
        alarms.find(|alarm| alarm.name == name).expect("the alarm")
    };
    let merchant = vec![("Mchid".to_owned(), "1900000001".to_owned())];
    assert_eq!(of("prepays-put-off").metric.2, merchant);
    assert_eq!(of("prepays-put-off").threshold, 500);
    assert_eq!(of("error-lines").metric.0, "AWS::StackName");
    assert_eq!(of("sweep-missing").fill, Some(0));
}
