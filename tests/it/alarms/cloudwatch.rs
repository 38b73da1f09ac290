//! CloudWatch, as far as the alarms of `template.yaml` need it: metrics out of lines of a log, and
//! by its rules which alarm's condition is met. Alarms are read from the template.
//!
//! Where AWS's documentation leaves a choice, both are tried: an alarm is *met* if it is by
//! complete periods alone, and *quiet* only if it is not met by the period that has just begun
//! either.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testbed::template;

/// Dimensions of a metric, sorted.
type Dimensions = Vec<(String, String)>;

/// The values that were put into a metric, by when (Unix milliseconds).
type Puts = BTreeMap<i64, Vec<i64>>;

/// A namespace, a name, dimensions.
type Metric = (String, String, Dimensions);

/// Metrics and alarms of one account.
pub(crate) struct CloudWatch {
    alarms: Vec<Alarm>,
    filters: Vec<Filter>,
    /// How the API writes its log, with `$context.` before what it fills in.
    access_log: String,
    metrics: BTreeMap<Metric, Puts>,
}

/// A metric filter of a group of logs: what a line has to have, one of some things for each, and
/// must not have, and the metric that then counts one.
#[derive(Clone, Debug)]
struct Filter {
    group: String,
    has: Vec<Vec<(String, String)>>,
    has_not: Vec<String>,
    metric: Metric,
    /// The metric's dimensions, which a line has in these fields.
    by: Vec<(String, String)>,
    /// What a line puts that does not match; `None`: nothing.
    default: Option<i64>,
}

/// An alarm, as the template has it.
#[derive(Clone, Debug)]
pub(crate) struct Alarm {
    /// Without the stack's name.
    pub(crate) name: String,
    pub(crate) metric: Metric,
    pub(crate) statistic: String,
    pub(crate) period_s: i64,
    /// The value of each period that has none, by `FILL` of metric math.
    pub(crate) fill: Option<i64>,
    pub(crate) evaluation_periods: usize,
    pub(crate) datapoints_to_alarm: usize,
    pub(crate) is_below: bool,
    /// In thousandths, as all values of a period.
    pub(crate) threshold: i64,
    pub(crate) missing: String,
}

/// Which period is the last that counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Last {
    /// The last one that is over.
    Complete,
    Begun,
}

/// How many periods more than it evaluates an alarm looks back over for points that are there,
/// before it takes any for missing. CloudWatch says only that it does; for three periods its
/// example has two.
const EXTRA_PERIODS: usize = 3;

impl CloudWatch {
    /// The alarms of the template, for the merchant of all tests; no metric has a value.
    pub(crate) fn of_template(mchid: &str) -> Self {
        let alarms = template::resources("AWS::CloudWatch::Alarm")
            .map(|(_, alarm)| Alarm::read(alarm, mchid))
            .collect();
        let filters = template::resources("AWS::Logs::MetricFilter")
            .map(|(_, filter)| Filter::read(filter))
            .collect();
        let stage = template::resource("ApiStage");
        let access_log = stage["AccessLogSettings"]["Format"].as_str();
        Self {
            alarms,
            filters,
            access_log: access_log.expect("a format").to_owned(),
            metrics: BTreeMap::new(),
        }
    }

    /// Forgets all values.
    pub(crate) fn forget(&mut self) {
        self.metrics.clear();
    }

    /// A line of a function has this metric of the merchant.
    pub(crate) fn take_metric(&mut self, name: &str, value: i64, at_ms: i64) {
        let of = vec![("Mchid".to_owned(), crate::support::MCHID.to_owned())];
        self.put(("AWS::StackName", name, of), at_ms, value);
    }

    /// Lambda counts this of a function, by the name of its resource.
    pub(crate) fn take_invocation(&mut self, function: &str, metric: &str, at_ms: i64) {
        let of = vec![("FunctionName".to_owned(), function.to_owned())];
        self.put(("AWS/Lambda", metric, of), at_ms, 1);
    }

    /// The age of a queue's oldest message as SQS reports it, by the name of its resource.
    pub(crate) fn take_age(&mut self, queue: &str, age_s: i64, at_ms: i64) {
        let of = vec![("QueueName".to_owned(), format!("{queue}.QueueName"))];
        let metric = ("AWS/SQS", "ApproximateAgeOfOldestMessage", of);
        self.put(metric, at_ms, age_s);
    }

    /// The API answers a call.
    pub(crate) fn take_access(&mut self, route: &str, status: u16, at_ms: i64) {
        let text = self
            .access_log
            .replace("$context.routeKey", route)
            .replace("$context.status", &status.to_string());
        let line: Value = serde_json::from_str(&text).expect("a line of JSON");
        self.take_line("ApiLogs", &line, at_ms);
        if status >= 500 {
            let api = vec![("ApiId".to_owned(), "Api".to_owned())];
            self.put(("AWS/ApiGateway", "5xx", api), at_ms, 1);
        }
    }

    /// What the filters of this group count.
    fn take_line(&mut self, group: &str, line: &Value, at_ms: i64) {
        let of_group = self.filters.iter().filter(|filter| filter.group == group);
        let puts: Vec<(Metric, i64)> = of_group
            .filter_map(|filter| {
                let one = filter.matches(line).then_some(1);
                Some((filter.metric_of(line)?, one.or(filter.default)?))
            })
            .collect();
        for ((namespace, name, of), value) in puts {
            self.put((&namespace, &name, of), at_ms, value);
        }
    }

    /// Takes what a function logged: embedded metrics, and what the template's filters count. All
    /// functions have the same one.
    pub(crate) fn take(&mut self, lines: &[Value]) {
        for line in lines {
            if let Some(directives) = line["_aws"]["CloudWatchMetrics"].as_array() {
                let at_ms = line["_aws"]["Timestamp"].as_i64().expect("milliseconds");
                for directive in directives {
                    self.take_embedded(line, directive, at_ms);
                }
            }
            self.take_line("ReconcileLogs", line, at_of(line));
        }
    }

    fn take_embedded(&mut self, line: &Value, directive: &Value, at_ms: i64) {
        let namespace = directive["Namespace"].as_str().expect("a namespace");
        for names in directive["Dimensions"].as_array().expect("sets") {
            let mut dimensions: Dimensions = names
                .as_array()
                .expect("a set")
                .iter()
                .map(|name| {
                    let name = name.as_str().expect("a name");
                    let value = line[name].as_str().expect("a text on the line");
                    (name.to_owned(), value.to_owned())
                })
                .collect();
            dimensions.sort();
            for metric in directive["Metrics"].as_array().expect("metrics") {
                let name = metric["Name"].as_str().expect("a name");
                let one = || std::slice::from_ref(&line[name]);
                for value in line[name].as_array().map_or_else(one, Vec::as_slice) {
                    let value = value.as_i64().expect("a number on the line");
                    self.put((namespace, name, dimensions.clone()), at_ms, value);
                }
            }
        }
    }

    fn put(&mut self, (namespace, name, of): (&str, &str, Dimensions), at_ms: i64, value: i64) {
        let metric = (namespace.to_owned(), name.to_owned(), of);
        let puts = self.metrics.entry(metric).or_default();
        puts.entry(at_ms).or_default().push(value);
    }

    /// Whether this alarm's condition is met at this time, whatever CloudWatch makes of a period
    /// that has only begun.
    pub(crate) fn is_met_now(&self, name: &str, now_ms: i64) -> bool {
        let mut of_name = self.alarms.iter().filter(|alarm| alarm.name == name);
        of_name.any(|alarm| self.is_met(alarm, now_ms, Last::Complete))
    }

    /// All alarms of which that is so.
    pub(crate) fn met(&self, now_ms: i64) -> BTreeSet<&str> {
        self.met_by(now_ms, &[Last::Complete])
    }

    /// The alarms that CloudWatch may take for met at this time.
    pub(crate) fn not_quiet(&self, now_ms: i64) -> BTreeSet<&str> {
        self.met_by(now_ms, &[Last::Complete, Last::Begun])
    }

    fn met_by(&self, now_ms: i64, lasts: &[Last]) -> BTreeSet<&str> {
        let is_met = |alarm: &&Alarm| lasts.iter().any(|last| self.is_met(alarm, now_ms, *last));
        self.alarms
            .iter()
            .filter(is_met)
            .map(|alarm| alarm.name.as_str())
            .collect()
    }

    fn is_met(&self, alarm: &Alarm, now_ms: i64, last: Last) -> bool {
        let period_ms = alarm.period_s * 1000;
        let begun = now_ms.div_euclid(period_ms);
        let last = begun - i64::from(last == Last::Complete);
        let range = i64::try_from(alarm.evaluation_periods + EXTRA_PERIODS).expect("few");
        let puts = self.metrics.get(&alarm.metric);
        let mut points: Vec<Option<i64>> = (last - range + 1..=last)
            .map(|period| {
                let of_period = period * period_ms..(period + 1) * period_ms;
                let puts = puts
                    .into_iter()
                    .flat_map(|puts| puts.range(of_period.clone()));
                let values: Vec<i64> = puts.flat_map(|(_, values)| values).copied().collect();
                point(&alarm.statistic, &values)
            })
            .collect();
        // Of a series that has no point at all nothing is filled.
        if let Some(value) = alarm.fill
            && points.iter().any(Option::is_some)
        {
            for point in &mut points {
                point.get_or_insert(value * 1000);
            }
        }
        alarm.is_met(&points)
    }
}

impl Filter {
    /// A pattern such as `{ ($.a = "x") && ($.b NOT EXISTS) && (($.c = "y") || ($.c = "z")) }`.
    fn read(properties: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let pattern = text(&properties["FilterPattern"]);
        let inside = pattern
            .trim()
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let (mut has, mut has_not) = (Vec::new(), Vec::new());
        for part in inside.expect("a pattern for JSON").split("&&") {
            let mut one_of = Vec::new();
            for condition in part.split("||") {
                let condition = condition.trim().trim_matches(['(', ')', ' ']);
                let condition = condition.strip_prefix("$.").expect("a member");
                match (
                    condition.strip_suffix(" NOT EXISTS"),
                    condition.split_once(" = "),
                ) {
                    (Some(field), _) if !part.contains("||") => has_not.push(field.to_owned()),
                    (None, Some((field, value))) => {
                        one_of.push((field.to_owned(), value.trim_matches('"').to_owned()));
                    }
                    (Some(_) | None, _) => {
                        panic!("another condition than is known here: {condition}")
                    }
                }
            }
            if !one_of.is_empty() {
                has.push(one_of);
            }
        }
        let [counted] = &properties["MetricTransformations"]
            .as_array()
            .expect("a list")[..]
        else {
            panic!("one metric");
        };
        assert_eq!(counted["MetricValue"], "1");
        Self {
            group: text(&properties["LogGroupName"]),
            has,
            has_not,
            default: counted.get("DefaultValue").and_then(Value::as_i64),
            by: counted["Dimensions"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|one| {
                    let field = one["Value"]
                        .as_str()
                        .and_then(|value| value.strip_prefix("$."));
                    let field = field.expect("a member");
                    assert!(
                        pattern.contains(&format!("$.{field} ")),
                        "CloudWatch takes for a dimension what the pattern has matched"
                    );
                    (text(&one["Key"]), field.to_owned())
                })
                .collect(),
            metric: (
                text(&counted["MetricNamespace"]),
                text(&counted["MetricName"]),
                vec![],
            ),
        }
    }

    fn matches(&self, line: &Value) -> bool {
        let is_there = |(field, value): &(String, String)| {
            let logged = line[field].as_str();
            logged.is_some_and(|logged| value == "*" || logged == value)
        };
        self.has.iter().all(|one_of| one_of.iter().any(is_there))
            && self.has_not.iter().all(|field| line.get(field).is_none())
    }

    /// The metric with the dimensions that the line gives it; `None` where it lacks one: then
    /// CloudWatch counts nothing.
    fn metric_of(&self, line: &Value) -> Option<Metric> {
        let (namespace, name, _) = self.metric.clone();
        let of = self
            .by
            .iter()
            .map(|(key, field)| Some((key.clone(), line[field].as_str()?.to_owned())));
        Some((namespace, name, of.collect::<Option<_>>()?))
    }
}

impl Alarm {
    fn read(properties: &Value, mchid: &str) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let whole = |value: &Value| value.as_i64().expect("a whole number");
        let (metric, statistic, period, fill) = match properties["Metrics"].as_array() {
            None => (
                properties,
                &properties["Statistic"],
                &properties["Period"],
                None,
            ),
            Some(queries) => {
                let [counted, expression] = &queries[..] else {
                    panic!("other metric math than is known here: {queries:?}");
                };
                assert_eq!(
                    (&counted["ReturnData"], &expression["ReturnData"]),
                    (&Value::Bool(false), &Value::Bool(true))
                );
                let id = counted["Id"].as_str().expect("an id");
                let expected = format!("FILL({id}, 0)");
                assert_eq!(expression["Expression"], Value::String(expected));
                let stat = &counted["MetricStat"];
                (&stat["Metric"], &stat["Stat"], &stat["Period"], Some(0))
            }
        };
        let mut dimensions: Dimensions = metric["Dimensions"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| {
                (
                    text(&one["Name"]),
                    text(&one["Value"]).replace("Mchid", mchid),
                )
            })
            .collect();
        dimensions.sort();
        let periods = usize::try_from(whole(&properties["EvaluationPeriods"])).expect("few");
        let points = properties["DatapointsToAlarm"].as_u64();
        Self {
            name: text(&properties["AlarmName"])
                .replace("${AWS::StackName}-", "")
                .replace("-${Release}", ""),
            metric: (
                text(&metric["Namespace"]),
                text(&metric["MetricName"]),
                dimensions,
            ),
            statistic: text(statistic),
            period_s: whole(period),
            fill,
            evaluation_periods: periods,
            datapoints_to_alarm: points
                .map_or(periods, |points| usize::try_from(points).expect("few")),
            is_below: match properties["ComparisonOperator"].as_str() {
                Some("GreaterThanThreshold") => false,
                Some("LessThanThreshold") => true,
                other => panic!("another comparison than is known here: {other:?}"),
            },
            threshold: thousandths(&properties["Threshold"].to_string()),
            missing: text(&properties["TreatMissingData"]),
        }
    }

    /// Whether the condition is met by the points of the evaluation range, the newest last. If
    /// there are as many as are evaluated, the newest ones count and none is missing; otherwise
    /// missing ones are treated as the alarm says.
    fn is_met(&self, points: &[Option<i64>]) -> bool {
        let there: Vec<i64> = points.iter().rev().flatten().copied().collect();
        let breaches = |point: &&i64| {
            if self.is_below {
                **point < self.threshold
            } else {
                **point > self.threshold
            }
        };
        let breaching = there
            .iter()
            .take(self.evaluation_periods)
            .filter(breaches)
            .count();
        let missing = self.evaluation_periods.saturating_sub(there.len());
        let missing = match self.missing.as_str() {
            "breaching" => missing,
            // `ignore` keeps a state, which no test here uses.
            "notBreaching" | "ignore" => 0,
            other => panic!("another treatment of missing data than is known here: {other}"),
        };
        breaching + missing >= self.datapoints_to_alarm
    }
}

/// The value of a period in thousandths; `None` if nothing was put there.
fn point(statistic: &str, values: &[i64]) -> Option<i64> {
    let count = i64::try_from(values.len()).expect("few");
    Some(match statistic {
        _ if values.is_empty() => return None,
        "Sum" => values.iter().sum::<i64>() * 1000,
        "Maximum" => values.iter().max()? * 1000,
        "Minimum" => values.iter().min()? * 1000,
        "Average" => values.iter().sum::<i64>() * 1000 / count,
        other => panic!("another statistic than is known here: {other}"),
    })
}

/// A decimal number with three digits after its point at most.
fn thousandths(text: &str) -> i64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{part:0<3}");
    assert_eq!(digits.len(), 3, "{text}");
    let whole: i64 = whole.parse().expect("a number");
    whole * 1000 + digits.parse::<i64>().expect("a number")
}

/// When a line was written, by the clock of the test.
fn at_of(line: &Value) -> i64 {
    line["at_ms"]
        .as_i64()
        .expect("the time that the test added")
}

#[cfg(test)]
mod tests;
