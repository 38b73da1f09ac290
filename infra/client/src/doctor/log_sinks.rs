//! What `forward-errors` is there for: a sink that it brings log lines to.

use serde::Deserialize;
use serde_json::{Value, json};

use super::aws_calls::{AwsCalls, CallError, DYNAMODB};
use super::finding::Finding;
use super::stack::Stack;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Got {
    #[serde(default)]
    item: Value,
}

/// Whether log lines are forwarded, and have nowhere to go.
pub(crate) async fn findings(calls: &AwsCalls, stack: &Stack) -> Result<Vec<Finding>, CallError> {
    // A stack of an earlier release has no such parameter.
    if ["", "off"].contains(&stack.parameter("LogForwarding")) {
        return Ok(Vec::new());
    }
    let key = format!("log-sinks#{}", stack.parameter("Mchid"));
    let asked = json!({
        "TableName": stack.output("KeysTableName"),
        "Key": { "pk": { "S": key } },
    });
    let got: Got = calls.ask(DYNAMODB, "GetItem", &asked).await?;
    let sinks = got.item.pointer("/sinks/M").and_then(Value::as_object);
    let is_missing = sinks.is_none_or(serde_json::Map::is_empty);
    let finding = || {
        Finding::warning(
            "log-sinks-missing",
            "LogForwarding is on, and no log sink is set up: lines end in a dead-letter queue.",
            format!("{key} of the keys table has no sink"),
            "`cargo client setup log-sink add` (infra/runbooks/logs.md), then `cargo client setup log-sink test`",
        )
    };
    Ok(is_missing.then(finding).into_iter().collect())
}
