//! What runs by itself: the schedules, the Pipe of events, and the rule that feeds the webhooks.

use serde::Deserialize;
use serde_json::json;

use super::aws_calls::{AwsCalls, CallError, DYNAMODB, EVENTS, PIPES, SCHEDULER};
use super::finding::{Finding, PUT_BACK};
use super::stack::Stack;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stated {
    #[serde(alias = "CurrentState")]
    state: String,
    /// Of a Pipe: where its records come from.
    #[serde(default)]
    source: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    table: Table,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Table {
    latest_stream_arn: Option<String>,
}

pub(crate) async fn findings(calls: &AwsCalls, stack: &Stack) -> Result<Vec<Finding>, CallError> {
    let mut findings = Vec::new();
    for schedule in stack.of_kind("AWS::Scheduler::Schedule") {
        let name = last_part(&schedule.physical);
        let read = calls
            .get::<Stated>(SCHEDULER, "GetSchedule", &format!("/schedules/{name}"))
            .await;
        let state = stated(read)?.unwrap_or_else(|| "not there".to_owned());
        if state != "ENABLED" {
            findings.push(Finding::error(
                "schedule-off",
                format!("{name} does not run: {}", what_stops(&schedule.logical)),
                format!("it is {state}"),
                format!(
                    "a restore stops it until its end (infra/runbooks/restore.md); else {PUT_BACK}"
                ),
            ));
        }
    }
    for pipe in stack.of_kind("AWS::Pipes::Pipe") {
        let name = last_part(&pipe.physical);
        let read = calls
            .get::<Stated>(PIPES, "DescribePipe", &format!("/v1/pipes/{name}"))
            .await;
        let read = found(read)?;
        if let Some(source) = read.as_ref().and_then(|read| read.source.as_deref()) {
            findings.extend(of_another_table(calls, stack, name, source).await?);
        }
        let (state, next_step) = match read.map(|read| read.state) {
            Some(state) => (
                state,
                format!(
                    "start it within 24 hours (`aws pipes start-pipe --name {name}`): the stream keeps what happened for so long"
                ),
            ),
            None => ("not there".to_owned(), PUT_BACK.to_owned()),
        };
        if state != "RUNNING" {
            findings.push(Finding::error(
                "pipe-stopped",
                format!("{name} brings no event to the bus, so no webhook is sent."),
                format!("it is {state}"),
                next_step,
            ));
        }
    }
    // A rule beside the default bus is known by both names: `bus|rule`.
    let bus = stack.output("OrderEventsBusName");
    for rule in stack.of_kind("AWS::Events::Rule") {
        let name = rule.physical.rsplit('|').next().unwrap_or_default();
        let asked = json!({ "Name": name, "EventBusName": bus });
        let read = calls.ask::<Stated>(EVENTS, "DescribeRule", &asked).await;
        let (state, next_step) = match stated(read)? {
            Some(state) => (
                state,
                format!(
                    "enable it (`aws events enable-rule --name {name} --event-bus-name {bus}`); events of the time between come by \
                     `cargo client resend`"
                ),
            ),
            None => ("not there".to_owned(), PUT_BACK.to_owned()),
        };
        if state != "ENABLED" {
            findings.push(Finding::error(
                "rule-off",
                format!("{name} copies no event to the webhooks queue, so no webhook is sent."),
                format!("it is {state}"),
                next_step,
            ));
        }
    }
    Ok(findings)
}

/// Whether the Pipe reads a stream that the orders are not written to any more.
async fn of_another_table(
    calls: &AwsCalls,
    stack: &Stack,
    pipe: &str,
    source: &str,
) -> Result<Option<Finding>, CallError> {
    let Some(table) = stack.resource("OrdersTable") else {
        return Ok(None);
    };
    let asked = json!({ "TableName": table.physical });
    let described = calls
        .ask::<Described>(DYNAMODB, "DescribeTable", &asked)
        .await;
    // A missing table or stream is reported where tables are examined.
    let stream = found(described)?.and_then(|described| described.table.latest_stream_arn);
    Ok(stream.filter(|stream| stream != source).map(|stream| {
        Finding::error(
            "pipe-reads-another-stream",
            format!("{pipe} reads a stream that the orders are not written to any more, so no webhook is sent."),
            format!("it reads {source}; the table writes {stream}"),
            "a restored table has a stream of its own: make the Pipe again with it (infra/runbooks/restore.md)",
        )
    }))
}

/// The state; `None` if there is no such thing.
fn stated(read: Result<Stated, CallError>) -> Result<Option<String>, CallError> {
    Ok(found(read)?.map(|read| read.state))
}

/// `None` if there is no such thing.
fn found<T>(read: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

fn what_stops(logical: &str) -> &'static str {
    match logical {
        "SweepSchedule" => {
            "no order whose news got lost is found, none is closed, and no refund is sent again."
        }
        "DailySchedule" => "no day is reconciled.",
        "CertificatesSchedule" => {
            "WeChat Pay's next platform certificate will not be known, and callbacks under it are refused."
        }
        _ => "what it does is not done.",
    }
}

/// A name in the account may have its group before it.
fn last_part(physical: &str) -> &str {
    physical.rsplit('/').next().unwrap_or(physical)
}
