//! `map`: who called whom in the last hour, how often, and how much of it failed. The page of the
//! console, in a terminal and with a person's own permissions.

use std::error::Error;
use std::process::ExitCode;

use runtime::aws::{Aws, cloudwatch_endpoint};
use runtime::clock::Clock;
use runtime::env::{ProcessEnv, SettingsReader};
use service_map::answers::Answers;
use service_map::map::{Health, MapEdge, MapTimes, ServiceMap, grouped};
use service_map::metric::StackNames;
use service_map::question::{OPERATION, Question};
use wechatpay::UnixSeconds;
use wechatpay::time::format_rfc3339_beijing;

use crate::api::CommandResult;
use crate::args::Args;
use crate::cloud::{Account, PROFILE};
use crate::doctor::aws_calls::AwsCalls;
use crate::doctor::stack::{Stack, missing};

/// As many pages are read; one has room for thirty times the answer.
const PAGES_MAX: usize = 3;

pub(crate) async fn run(raw: impl Iterator<Item = String>) -> CommandResult {
    let mut args = Args::parse(raw, &["stack", PROFILE], &["json"])?;
    let name = args.setting("stack", "STACK")?;
    let as_json = args.flag("json")?;
    let account = Account::named(&mut args)?;
    args.finish()?;
    let mut reader = SettingsReader::new(&ProcessEnv);
    let endpoint = cloudwatch_endpoint(&mut reader);
    let endpoint = reader.finish(|| endpoint)?;
    let clock = Clock::system();
    let (aws, calls) = AwsCalls::beside_sdk(&account, &clock).await?;
    let Some(stack) = Stack::described(&calls, &name).await? else {
        return Err(missing(&name, calls.region()).cause.into());
    };
    let names = StackNames {
        mchid: stack.parameter("Mchid").to_owned(),
        api_id: stack.output("ApiId").to_owned(),
        stack: stack.name,
    };
    let question = Question::at(clock.now().0);
    let answers = measured(&aws, endpoint.as_deref(), &names, &question).await?;
    let map = ServiceMap::of(question.hour(), &answers);
    if as_json {
        println!("{:#}", serde_json::to_value(&map)?);
    } else {
        print!("{}", drawn(&names.stack, &map));
    }
    Ok(ExitCode::SUCCESS)
}

async fn measured(
    aws: &Aws,
    endpoint: Option<&str>,
    names: &StackNames,
    question: &Question,
) -> Result<Answers, Box<dyn Error>> {
    let cloudwatch = aws.cloudwatch(endpoint);
    let mut answers = Answers::to(question);
    let mut next_token = None;
    for _ in 0..PAGES_MAX {
        let body = question.body(names, next_token.as_deref());
        let page = cloudwatch.ask(OPERATION, &body).await?;
        next_token = answers.take(&page)?;
        if next_token.is_none() {
            break;
        }
    }
    Ok(answers)
}

/// A line for each arrow, then what is wrong with parts.
fn drawn(stack: &str, map: &ServiceMap) -> String {
    let time = |at_s| format_rfc3339_beijing(UnixSeconds(at_s));
    let mut text = format!(
        "{stack}  {} to {}, by CloudWatch\n",
        time(map.from_s),
        time(map.until_s)
    );
    for edge in &map.edges {
        text.push_str(&line(edge));
    }
    for node in map.nodes.iter().filter(|node| node.is_bad()) {
        let wrong = node.figures.iter().filter_map(|one| {
            let value = one.value.filter(|value| *value > 0)?;
            Some((value, one.figure.words()))
        });
        let wrong: Vec<String> = wrong
            .map(|(value, words)| format!("{} {words}", grouped(value)))
            .collect();
        text.push_str(&format!("! {}: {}\n", node.name, wrong.join(", ")));
    }
    if map.is_empty() {
        text.push_str(
            "CloudWatch counted nothing in this hour: there was no traffic, or its metrics are not there yet\n",
        );
    }
    if map.unfinished > 0 {
        text.push_str(&format!(
            "CloudWatch did not give all values of {} metrics: the figures of lines with ~ are too low, and unknown where there is a ?\n",
            map.unfinished
        ));
    }
    for message in &map.messages {
        text.push_str(&format!("CloudWatch says: {message}\n"));
    }
    text.push_str(
        "Times are those of the slowest five minutes. An arrow from several parts counts all of them\n",
    );
    text
}

fn line(edge: &MapEdge) -> String {
    let mark = match edge.health {
        Health::Many => "!!",
        Health::Few => " !",
        Health::Unknown | Health::Quiet | Health::NotMeasured | Health::Good => "  ",
    };
    let about = if edge.is_whole { ' ' } else { '~' };
    let from: Vec<&str> = edge.from.iter().map(|node| node.name()).collect();
    let failed = match (edge.failed, edge.share()) {
        (Some(failed), Some(share)) if failed > 0 => {
            format!("{} failed ({share})", grouped(failed))
        }
        (Some(_), Some(_)) => "0 failed".to_owned(),
        (Some(_) | None, _) if edge.health == Health::Unknown => "? failed".to_owned(),
        (Some(_) | None, _) => String::new(),
    };
    let times = edge.times.map_or_else(String::new, MapTimes::words);
    let line = format!(
        "{mark}{about}{:>11} {:<20} {failed:<22} {times:<28} {} -> {}",
        edge.calls.map_or_else(|| "?".to_owned(), grouped),
        edge.counted,
        from.join(", "),
        edge.to.name()
    );
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The map of an hour with these values.
    fn map(value_of: impl Fn(&str, &Value) -> Option<Value>) -> ServiceMap {
        let names = StackNames {
            stack: "live".to_owned(),
            mchid: "1900000001".to_owned(),
            api_id: "a1".to_owned(),
        };
        let question = Question::at(1_785_556_800);
        let body = question.body(&names, None);
        let queries = body["MetricDataQueries"].as_array().expect("queries");
        let results: Vec<Value> = queries
            .iter()
            .map(|query| {
                let stat = &query["MetricStat"];
                let name = stat["Metric"]["MetricName"].as_str().expect("a name");
                let value = value_of(name, stat);
                json!({"Id": query["Id"], "Values": value.into_iter().collect::<Vec<_>>(), "StatusCode": "Complete"})
            })
            .collect();
        let mut answers = Answers::to(&question);
        let page = json!({ "MetricDataResults": results });
        assert_eq!(answers.take(&page), Ok(None));
        ServiceMap::of(question.hour(), &answers)
    }

    #[test]
    fn each_arrow_is_a_line_and_what_fails_is_marked() {
        let text = drawn(
            "live",
            &map(|name, stat| match (name, stat["Stat"].as_str()?) {
                ("CallbacksGood", "SampleCount") => Some(json!(2_000)),
                ("CallbacksGood", "Sum") => Some(json!(1_999)),
                ("CallbackAckMs", "p95") => Some(json!(80)),
                ("KmsCalls", "Sum") => Some(json!(100)),
                ("KmsThrottles", "Sum") => Some(json!(50)),
                ("ApproximateNumberOfMessagesVisible", "Maximum") => Some(json!(1)),
                _ => None,
            }),
        );
        assert_eq!(
            text.lines().count(),
            service_map::edges::edges().len() + 7,
            "a head, five dead-letter queues, a foot: {text}"
        );
        for expected in [
            "live  2026-08-01T11:00:00+08:00 to 2026-08-01T12:00:00+08:00",
            " !       2,000 callbacks            1 failed (0.1 %)",
            "!!         100 calls                50 failed (50.0 %)",
            "p95 80 ms",
            "API -> receive-callback",
            "! payment-results: 1 dead letters",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }

    #[test]
    fn what_cloudwatch_did_not_give_is_a_question_mark() {
        let question = Question::at(1_785_556_800);
        let map = ServiceMap::of(question.hour(), &Answers::to(&question));
        let text = drawn("live", &map);
        assert!(
            text.contains("~          ? callbacks            ? failed"),
            "{text}"
        );
        assert!(!text.contains("counted nothing"), "{text}");
        let shown = serde_json::to_value(&map).expect("JSON");
        assert_eq!(shown["edges"][0]["calls"], Value::Null);
        assert_eq!(shown["edges"][0]["health"], "unknown");
    }

    #[test]
    fn an_hour_without_values_is_told_and_json_has_names() {
        let map = map(|_, _| None);
        assert!(drawn("live", &map).contains("counted nothing in this hour"));
        let shown = serde_json::to_value(&map).expect("JSON");
        assert_eq!(shown["edges"][0]["to"], "api");
        assert_eq!(shown["edges"][0]["health"], "quiet");
        assert_eq!(shown["nodes"][5]["figures"][0]["figure"], "runs");
    }
}
