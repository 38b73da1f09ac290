//! The alarms of `template.yaml` over the functions' lines, by CloudWatch's rules (the crate
//! `cloudwatch`).
//!
//! Whether CloudWatch counts the minute that has just begun is not documented, so both are tried:
//! an alarm is *met* if it is by complete minutes alone, and *quiet* only if it is not met by the
//! minute that has just begun either.

use std::collections::{BTreeMap, BTreeSet};

use cloudwatch::{
    CloudWatch as Rules,
    alarm::{Alarm, Verdict},
    number::Number,
    states::{Notification, State, States},
    store::Metric,
};
use serde_json::{Value, json};
use testbed::template;

use crate::support::MCHID;

/// The stack's own namespace, as a template without CloudFormation's tags has it.
pub(crate) const OWN: &str = "AWS::StackName";

/// Metrics, alarms and who is notified, of one stack.
pub(crate) struct CloudWatch {
    rules: Rules,
    states: States,
    /// How the API writes its log, with `$context.` before what it fills in.
    access_log: String,
    /// All notifications so far.
    pub(crate) told: Vec<Notification>,
}

impl CloudWatch {
    /// The alarms of the template, for the merchant of all tests; no metric has a value.
    pub(crate) fn of_template() -> Self {
        let names = names();
        let of = |kind| -> Vec<Value> {
            template::resources(kind)
                .map(|(_, properties)| known(properties, &names))
                .collect()
        };
        let rules = Rules::of(
            &of("AWS::CloudWatch::Alarm"),
            &of("AWS::CloudWatch::CompositeAlarm"),
            &of("AWS::Logs::MetricFilter"),
        );
        let stage = template::resource("ApiStage");
        let access_log = stage["AccessLogSettings"]["Format"].as_str();
        Self {
            rules: rules.expect("alarms that are known here"),
            states: States::default(),
            access_log: access_log.expect("a format").to_owned(),
            told: Vec::new(),
        }
    }

    /// Forgets all values.
    pub(crate) fn forget(&mut self) {
        self.rules.forget_before(i64::MAX);
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// A line of a function has this metric of the merchant.
    pub(crate) fn take_metric(&mut self, name: &str, value: i64, at_ms: i64) {
        self.put(OWN, name, &[("Mchid", MCHID)], value, at_ms);
    }

    /// A metric has this value.
    pub(crate) fn put(
        &mut self,
        namespace: &str,
        name: &str,
        dimensions: &[(&str, &str)],
        value: i64,
        at_ms: i64,
    ) {
        let metric = Metric::new(namespace, name, dimensions);
        self.rules.put(metric, at_ms, Number::whole(value));
    }

    /// Lambda counts this of a function, by the name of its resource.
    pub(crate) fn take_invocation(&mut self, function: &str, metric: &str, count: i64, at_ms: i64) {
        self.put(
            "AWS/Lambda",
            metric,
            &[("FunctionName", function)],
            count,
            at_ms,
        );
    }

    /// A figure of a queue as SQS reports it, by the name of its resource.
    pub(crate) fn take_queue(&mut self, queue: &str, metric: &str, value: i64, at_ms: i64) {
        let queue = format!("{queue}.QueueName");
        self.put("AWS/SQS", metric, &[("QueueName", &queue)], value, at_ms);
    }

    /// The API answers a call: the function behind it, or the API in its place for this reason.
    pub(crate) fn take_access(
        &mut self,
        route: &str,
        status: u16,
        in_its_place: Option<&str>,
        at_ms: i64,
    ) {
        let text = self
            .access_log
            .replace("$context.routeKey", route)
            .replace("$context.status", &status.to_string())
            .replace("$context.error.message", in_its_place.unwrap_or("-"));
        let line: Value = serde_json::from_str(&text).expect("a line of JSON");
        self.take_line("ApiLogs", &line, at_ms);
        let failed = i64::from(status >= 500);
        self.put("AWS/ApiGateway", "5xx", &[("ApiId", "Api")], failed, at_ms);
    }

    fn take_line(&mut self, group: &str, line: &Value, at_ms: i64) {
        let taken = self.rules.take_line(group, line, at_ms);
        taken.expect("CloudWatch takes each metric of the line");
    }

    /// Takes what a function logged: embedded metrics, and what the template's filters count. All
    /// functions have the same ones.
    pub(crate) fn take(&mut self, lines: &[Value]) {
        for line in lines {
            self.take_line("ReconcileLogs", line, at_of(line));
        }
    }

    /// CloudWatch evaluates all alarms, as each minute, and tells whom they notify.
    pub(crate) fn evaluate(&mut self, now_ms: i64) {
        let told = self.states.evaluate(&self.rules, now_ms);
        self.told.extend(told);
    }

    /// The state of an alarm by the evaluations so far.
    pub(crate) fn state(&self, alarm: &str) -> State {
        self.states.state(alarm)
    }

    /// Who was told of the beginning of what, in order.
    pub(crate) fn pages(&self) -> Vec<&str> {
        let begun = self.told.iter().filter(|it| it.state == State::Alarm);
        begun.map(|it| it.alarm.as_str()).collect()
    }

    /// Whether this alarm's condition is met at this time, whatever CloudWatch makes of a minute
    /// that has only begun.
    pub(crate) fn is_met_now(&self, name: &str, now_ms: i64) -> bool {
        self.met(now_ms).contains(name)
    }

    /// All alarms of which that is so.
    pub(crate) fn met(&self, now_ms: i64) -> BTreeSet<&str> {
        self.met_by(&[whole_minute(now_ms)])
    }

    /// The alarms that CloudWatch may take for met at this time.
    pub(crate) fn not_quiet(&self, now_ms: i64) -> BTreeSet<&str> {
        let minute_ms = whole_minute(now_ms);
        self.met_by(&[minute_ms, minute_ms + 60_000])
    }

    fn met_by(&self, ends_ms: &[i64]) -> BTreeSet<&str> {
        let is_met = |alarm: &&Alarm| {
            let mut ends_ms = ends_ms.iter();
            ends_ms.any(|end| alarm.evaluate(self.rules.store(), *end) == Verdict::Alarm)
        };
        let alarms = self.rules.alarms().iter();
        alarms
            .filter(is_met)
            .map(|alarm| alarm.name.as_str())
            .collect()
    }

    /// This alarm, which may be a composite one, has gone on by now.
    pub(crate) fn goes_on(&self, alarm: &str, now_ms: i64) {
        let state = self.state_at(alarm, whole_minute(now_ms));
        assert_eq!(state, State::Alarm, "{alarm}: {:?}", self.met(now_ms));
    }

    /// This alarm is off by now, whatever CloudWatch makes of a minute that has only begun.
    pub(crate) fn goes_off(&self, alarm: &str, now_ms: i64) {
        for ends_ms in [whole_minute(now_ms), whole_minute(now_ms) + 60_000] {
            let state = self.state_at(alarm, ends_ms);
            assert_ne!(state, State::Alarm, "{alarm}: {:?}", self.not_quiet(now_ms));
        }
    }

    /// The state that an alarm has which is evaluated for the first time.
    fn state_at(&self, alarm: &str, ends_ms: i64) -> State {
        let mut states = States::default();
        states.evaluate(&self.rules, ends_ms);
        assert!(states.all().contains_key(alarm), "there is no {alarm}");
        states.state(alarm)
    }
}

fn whole_minute(now_ms: i64) -> i64 {
    now_ms - now_ms.rem_euclid(60_000)
}

/// The names of alarms without the stack's, by their resources.
fn names() -> BTreeMap<&'static str, String> {
    ["AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"]
        .into_iter()
        .flat_map(template::resources)
        .map(|(logical, alarm)| {
            let name = alarm["AlarmName"].as_str().expect("a name");
            (logical, within_stack(name))
        })
        .collect()
}

fn within_stack(name: &str) -> String {
    name.replace("${AWS::StackName}-", "")
        .replace("-${Release}", "")
}

/// Properties of a resource, with what CloudFormation fills in.
fn known(properties: &Value, names: &BTreeMap<&str, String>) -> Value {
    let mut known = properties.clone();
    if let Some(name) = known["AlarmName"].as_str() {
        known["AlarmName"] = json!(within_stack(name));
    }
    if let Some(rule) = known["AlarmRule"].as_str() {
        let named = names.iter().fold(rule.to_owned(), |rule, (logical, name)| {
            rule.replace(&format!("${{{logical}}}"), name)
        });
        known["AlarmRule"] = json!(named);
    }
    if let Some(suppressor) = known["ActionsSuppressor"].as_str() {
        known["ActionsSuppressor"] = json!(names[suppressor]);
    }
    of_the_merchant(&mut known);
    known
}

/// Fills in the value of each dimension `Mchid`.
fn of_the_merchant(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(of_the_merchant),
        Value::Object(members) => {
            if members.get("Name").is_some_and(|name| name == "Mchid") {
                members.insert("Value".to_owned(), json!(MCHID));
            }
            members.values_mut().for_each(of_the_merchant);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// When a line was written, by the clock of the test.
fn at_of(line: &Value) -> i64 {
    line["at_ms"]
        .as_i64()
        .expect("the time that the test added")
}
