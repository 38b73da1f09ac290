//! The alarms: each is there, tells somebody, and is off.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::aws_calls::{AwsCalls, CLOUDWATCH, CallError, DYNAMODB, SNS};
use super::finding::{Finding, PUT_BACK};
use super::stack::Stack;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    #[serde(default)]
    metric_alarms: Vec<Alarm>,
    #[serde(default)]
    composite_alarms: Vec<Alarm>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Alarm {
    alarm_name: String,
    #[serde(default)]
    alarm_description: Option<String>,
    #[serde(default)]
    actions_enabled: Option<bool>,
    #[serde(default)]
    alarm_actions: Vec<String>,
    state_value: String,
    /// Which alarms a composite one stands for.
    #[serde(default)]
    alarm_rule: Option<String>,
}

/// As many names as one call takes.
const NAMES_MAX: usize = 100;

/// The kinds of alarms, as CloudFormation calls them.
const KINDS: [&str; 2] = ["AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"];

pub(crate) async fn findings(calls: &AwsCalls, stack: &Stack) -> Result<Vec<Finding>, CallError> {
    let of_stack = || KINDS.into_iter().flat_map(|kind| stack.of_kind(kind));
    let wanted: Vec<&str> = of_stack().map(|alarm| alarm.physical.as_str()).collect();
    let mut found = BTreeMap::new();
    for names in wanted.chunks(NAMES_MAX) {
        // Without the types CloudWatch leaves composite alarms out.
        let types = ["MetricAlarm", "CompositeAlarm"];
        let asked = json!({ "AlarmNames": names, "AlarmTypes": types, "MaxRecords": NAMES_MAX });
        let described: Described = calls.ask(CLOUDWATCH, "DescribeAlarms", &asked).await?;
        let alarms = described.metric_alarms.into_iter();
        let alarms = alarms.chain(described.composite_alarms);
        found.extend(alarms.map(|alarm| (alarm.alarm_name.clone(), alarm)));
    }
    let mut findings = Vec::new();
    // Some tell nobody: CodeDeploy reads those of a release, and one only keeps others still.
    let silent_ones: BTreeSet<&str> = of_stack()
        .filter(|alarm| {
            alarm.logical.contains("ReleaseError") || alarm.logical == "CauseKnownAlarm"
        })
        .map(|alarm| alarm.physical.as_str())
        .collect();
    let missing: Vec<&str> = wanted
        .iter()
        .copied()
        .filter(|name| !found.contains_key(*name))
        .collect();
    if !missing.is_empty() {
        findings.push(Finding::error(
            "alarms-missing",
            "Alarms of the template no longer exist, so nobody is notified of what they watch.",
            missing.join(", "),
            format!("find out who deleted them (CloudTrail, DeleteAlarms), and {PUT_BACK}"),
        ));
    }
    // Nor does an alarm that a composite one stands for, if that one tells.
    let rules: Vec<&str> = found
        .values()
        .filter(|alarm| !silent_ones.contains(alarm.alarm_name.as_str()))
        .filter_map(|alarm| alarm.alarm_rule.as_deref())
        .collect();
    let is_stood_for = |name: &str| {
        let quoted = format!("\"{name}\"");
        rules.iter().any(|rule| rule.contains(&quoted))
    };
    let should_tell = found.values().filter(|alarm| {
        let name = alarm.alarm_name.as_str();
        wanted.contains(&name) && !silent_ones.contains(name) && !is_stood_for(name)
    });
    findings.extend(silent(should_tell));
    for topic in topics(&found) {
        findings.extend(topic_without_subscriber(calls, topic).await?);
    }
    if stack.parameter("OperatorChannels") == "on" {
        findings.extend(no_channel(calls, stack).await?);
    }
    findings.extend(
        found
            .values()
            // A composite alarm follows from one of these.
            .filter(|alarm| alarm.state_value == "ALARM" && alarm.alarm_rule.is_none())
            .map(is_on),
    );
    Ok(findings)
}

fn names<'a>(alarms: &[&'a Alarm], is_one: impl Fn(&Alarm) -> bool) -> Vec<&'a str> {
    let those = alarms.iter().filter(|alarm| is_one(alarm));
    those.map(|alarm| alarm.alarm_name.as_str()).collect()
}

/// Those that tell nobody: one finding, whether all of them or one.
fn silent<'a>(found: impl Iterator<Item = &'a Alarm>) -> Option<Finding> {
    let found: Vec<&Alarm> = found.collect();
    let tells =
        |alarm: &Alarm| alarm.actions_enabled != Some(false) && !alarm.alarm_actions.is_empty();
    let silent = names(&found, |alarm| !tells(alarm));
    let off = names(&found, |alarm| alarm.actions_enabled == Some(false));
    if silent.is_empty() {
        return None;
    }
    let switch_on = (!off.is_empty()).then(|| {
        format!(
            "`aws cloudwatch enable-alarm-actions --alarm-names {}` switches actions on",
            off.join(" ")
        )
    });
    Some(if silent.len() == found.len() {
        let deploy = "deploy with AlarmTopicArn, an SNS topic that somebody is subscribed to";
        Finding::warning(
            "alarms-tell-nobody",
            "No alarm reaches anybody: each shows in CloudWatch alone, where nobody looks at night.",
            format!("{} alarms, none with an action that is on", silent.len()),
            switch_on.unwrap_or_else(|| deploy.to_owned()),
        )
    } else {
        Finding::warning(
            "alarm-tells-nobody",
            "Some alarms have no target any more, or their actions are switched off.",
            silent.join(", "),
            match switch_on {
                None => format!("its target is gone: {PUT_BACK}"),
                Some(switch_on) => format!("{switch_on}; if a target is gone, {PUT_BACK}"),
            },
        )
    })
}

fn topics(found: &BTreeMap<String, Alarm>) -> BTreeSet<&str> {
    let actions = found.values().flat_map(|alarm| &alarm.alarm_actions);
    actions
        .map(String::as_str)
        .filter(|action| action.contains(":sns:"))
        .collect()
}

pub(crate) async fn topic_without_subscriber(
    calls: &AwsCalls,
    topic: &str,
) -> Result<Option<Finding>, CallError> {
    let has_none = match has_no_subscriber(calls, topic).await {
        Err(error) if error.is_missing() => {
            return Ok(Some(Finding::warning(
                "alarm-topic-gone",
                "The topic that alarms are sent to does not exist any more.",
                error.to_string(),
                "deploy with an AlarmTopicArn that exists",
            )));
        }
        other => other?,
    };
    Ok(has_none.then(|| {
        Finding::warning(
            "alarm-topic-without-subscriber",
            "Nobody is subscribed to the topic that alarms are sent to.",
            format!("{topic}: no confirmed subscription"),
            "subscribe who is on call, and confirm the message that SNS sends",
        )
    }))
}

/// The topic that people on call are told by. One that is not there is an error of the call.
pub(crate) async fn operators_topic(
    calls: &AwsCalls,
    topic: &str,
) -> Result<Option<Finding>, CallError> {
    Ok(has_no_subscriber(calls, topic).await?.then(|| {
        Finding::warning(
            "operators-topic-without-subscriber",
            "Nobody is subscribed to the topic that people on call are told by.",
            format!("{topic}: no confirmed subscription"),
            "subscribe their mail addresses and telephones, and confirm the messages that SNS sends (infra/runbooks/channels.md)",
        )
    }))
}

async fn has_no_subscriber(calls: &AwsCalls, topic: &str) -> Result<bool, CallError> {
    let read = calls
        .query(SNS, "GetTopicAttributes", &[("TopicArn", topic)])
        .await?;
    let mut attributes = read.members("Attributes").iter();
    let confirmed = attributes
        .find(|entry| entry.text_of("key") == Some("SubscriptionsConfirmed"))
        .and_then(|entry| entry.text_of("value"));
    Ok(confirmed == Some("0"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Got {
    #[serde(default)]
    item: Value,
}

/// Whether `notify-operators` is there and has nobody to tell.
async fn no_channel(calls: &AwsCalls, stack: &Stack) -> Result<Option<Finding>, CallError> {
    let key = format!("channels#{}", stack.parameter("Mchid"));
    let asked = json!({
        "TableName": stack.output("KeysTableName"),
        "Key": { "pk": { "S": key } },
    });
    let got: Got = calls.ask(DYNAMODB, "GetItem", &asked).await?;
    let channels = got.item.pointer("/channels/M").and_then(Value::as_object);
    Ok(channels.is_none_or(serde_json::Map::is_empty).then(|| {
        Finding::warning(
            "operators-have-no-channel",
            "OperatorChannels is on, and no channel is set up: alarms wait in a queue for hours and reach nobody.",
            format!("{key} of the keys table has no channel"),
            "`cargo client setup channel add` (infra/runbooks/channels.md), then `cargo client setup channel test`",
        )
    }))
}

/// An alarm's description ends with its page.
fn is_on(alarm: &Alarm) -> Finding {
    let description = alarm.alarm_description.as_deref().unwrap_or_default();
    let page = description
        .rsplit_once('(')
        .and_then(|(_, page)| page.strip_suffix(')'))
        .unwrap_or("infra/runbooks/README.md");
    Finding::warning(
        "alarm-on",
        format!("The alarm {} is on.", alarm.alarm_name),
        description,
        page,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(name: &str, actions_enabled: bool, target: Option<&str>) -> Alarm {
        Alarm {
            alarm_name: name.to_owned(),
            alarm_description: None,
            actions_enabled: Some(actions_enabled),
            alarm_actions: target.map(str::to_owned).into_iter().collect(),
            state_value: "OK".to_owned(),
            alarm_rule: None,
        }
    }

    #[test]
    fn actions_are_switched_on_for_those_alone_whose_actions_are_off() {
        let topic = Some("arn:aws:sns:us-east-1:000000000000:alarms");
        let (well, targetless) = (alarm("well", true, topic), alarm("targetless", true, None));
        let off = alarm("off", false, topic);
        let next_step = |alarms: &[&Alarm]| silent(alarms.iter().copied()).unwrap().next_step;
        let both = next_step(&[&well, &targetless, &off]);
        assert!(both.contains(" --alarm-names off` "), "{both}");
        let gone = next_step(&[&well, &targetless]);
        assert!(!gone.contains("aws cloudwatch"), "{gone}");
        assert!(both.contains(PUT_BACK) && gone.contains(PUT_BACK));
        // Also where none of them tells anybody.
        let all = silent([&off].into_iter()).unwrap();
        assert_eq!(all.id, "alarms-tell-nobody");
        assert!(all.next_step.contains("enable-alarm-actions"));
        let none = silent([&targetless].into_iter()).unwrap();
        assert_eq!(none.id, "alarms-tell-nobody");
    }
}
