//! The tables: indexes, the stream, expiry, encryption, and the ways back.

use serde::Deserialize;
use serde_json::{Value, json};

use super::aws_calls::{AwsCalls, CallError, DYNAMODB};
use super::finding::{DEPLOY_OR_PUT_BACK, Finding, PUT_BACK};
use super::stack::{Resource, Stack};

/// What the template gives a table.
struct Expected {
    logical: &'static str,
    indexes: &'static [&'static str],
    has_stream: bool,
    expires: bool,
    is_kept: bool,
}

const fn table(logical: &'static str) -> Expected {
    Expected {
        logical,
        indexes: &[],
        has_stream: false,
        expires: false,
        is_kept: true,
    }
}

/// Every table of the template (a test holds the two together).
const TABLES: [Expected; 6] = [
    Expected {
        indexes: &["due", "day"],
        has_stream: true,
        ..table("OrdersTable")
    },
    Expected {
        expires: true,
        is_kept: false,
        ..table("GuardsTable")
    },
    Expected {
        indexes: &["by_status"],
        expires: true,
        ..table("NoticesTable")
    },
    table("ReconciliationTable"),
    Expected {
        expires: true,
        ..table("UndeliveredEventsTable")
    },
    table("KeysTable"),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    table: Table,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Table {
    table_status: String,
    #[serde(default)]
    global_secondary_indexes: Vec<Index>,
    #[serde(default)]
    stream_specification: Stream,
    #[serde(rename = "SSEDescription", default)]
    encryption: Encryption,
    /// The local engine says it as a text.
    #[serde(default)]
    deletion_protection_enabled: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Index {
    index_name: String,
    /// The local engine leaves it out.
    #[serde(default = "active")]
    index_status: String,
}

fn active() -> String {
    "ACTIVE".to_owned()
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stream {
    #[serde(default)]
    stream_enabled: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encryption {
    #[serde(default)]
    status: String,
    #[serde(rename = "KMSMasterKeyArn", default)]
    key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Backups {
    continuous_backups_description: BackupsDescription,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BackupsDescription {
    #[serde(default)]
    point_in_time_recovery_description: PointInTime,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PointInTime {
    #[serde(default)]
    point_in_time_recovery_status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Expiry {
    #[serde(default)]
    time_to_live_description: ExpiryDescription,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExpiryDescription {
    #[serde(default)]
    time_to_live_status: String,
    attribute_name: Option<String>,
}

pub(crate) async fn findings(calls: &AwsCalls, stack: &Stack) -> Result<Vec<Finding>, CallError> {
    let mut findings = Vec::new();
    for expected in &TABLES {
        if let Some(table) = stack.resource(expected.logical) {
            findings.extend(of_table(calls, stack, table, expected).await?);
        }
    }
    Ok(findings)
}

async fn of_table(
    calls: &AwsCalls,
    stack: &Stack,
    resource: &Resource,
    expected: &Expected,
) -> Result<Vec<Finding>, CallError> {
    let name = resource.physical.as_str();
    let asked = json!({ "TableName": name });
    let described = calls
        .ask::<Described>(DYNAMODB, "DescribeTable", &asked)
        .await;
    let table = match described {
        Err(error) if error.is_missing() => {
            return Ok(vec![Finding::error(
                "table-gone",
                format!("{name} does not exist any more."),
                error.to_string(),
                if expected.is_kept {
                    "restore it under its name before anything else is done (infra/runbooks/restore.md, A table is gone): until \
                     then a deployment, or a change set that puts back, may make an empty one"
                } else {
                    PUT_BACK
                },
            )]);
        }
        other => other?.table,
    };
    let mut findings = of_description(stack, name, &table, expected);
    if expected.is_kept {
        let backups: Backups = calls
            .ask(DYNAMODB, "DescribeContinuousBackups", &asked)
            .await?;
        let status = backups
            .continuous_backups_description
            .point_in_time_recovery_description
            .point_in_time_recovery_status;
        if status != "ENABLED" {
            findings.push(Finding::warning(
                "point-in-time-recovery-off",
                format!("{name} cannot be brought back to an earlier moment."),
                format!("point-in-time recovery: {status}"),
                format!(
                    "aws dynamodb update-continuous-backups --table-name {name} \
                     --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
                ),
            ));
        }
    }
    if expected.expires {
        let expiry: Expiry = calls.ask(DYNAMODB, "DescribeTimeToLive", &asked).await?;
        let expiry = expiry.time_to_live_description;
        let is_on = matches!(expiry.time_to_live_status.as_str(), "ENABLED" | "ENABLING");
        if !is_on || expiry.attribute_name.as_deref() != Some("expires_at") {
            findings.push(Finding::warning(
                "time-to-live-off",
                format!("Items of {name} do not expire, so it grows for ever and keeps what should be forgotten."),
                format!(
                    "time to live: {} by {}",
                    expiry.time_to_live_status,
                    expiry.attribute_name.as_deref().unwrap_or("no attribute")
                ),
                format!(
                    "aws dynamodb update-time-to-live --table-name {name} \
                     --time-to-live-specification Enabled=true,AttributeName=expires_at"
                ),
            ));
        }
    }
    Ok(findings)
}

fn of_description(stack: &Stack, name: &str, table: &Table, expected: &Expected) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !matches!(table.table_status.as_str(), "ACTIVE" | "UPDATING") {
        findings.push(Finding::error(
            "table-not-active",
            format!("{name} can neither be read nor written."),
            format!("it is {}", table.table_status),
            match table.table_status.as_str() {
                "INACCESSIBLE_ENCRYPTION_CREDENTIALS" => {
                    "its KMS key (StorageKey) cannot be used: enable it, within seven days"
                }
                _ => "see what was done to it (CloudTrail), and run this again in some minutes",
            },
        ));
    }
    for wanted in expected.indexes {
        let mut found = table.global_secondary_indexes.iter();
        let status = found
            .find(|index| index.index_name == *wanted)
            .map_or("not there", |index| index.index_status.as_str());
        if !matches!(status, "ACTIVE" | "UPDATING") {
            findings.push(Finding::error(
                "index-not-active",
                format!("The index {wanted} of {name} cannot be read: what is due, or stands in a bill, is not found."),
                format!("it is {status}"),
                format!("one that is CREATING is there when it is filled; where it is not there, {DEPLOY_OR_PUT_BACK}"),
            ));
        }
    }
    if expected.has_stream && !table.stream_specification.stream_enabled {
        findings.push(Finding::error(
            "stream-off",
            format!("No change of {name} leaves it, so no webhook and no event is sent."),
            "it has no stream",
            "turn it on again and make the Pipe anew with it, which no deployment does: the commands stand in \
             infra/runbooks/restore.md, Put them in place; what happened meanwhile is in the orders' timelines, and each event \
             can be replayed",
        ));
    }
    let Encryption { status, key } = &table.encryption;
    if status != "ENABLED" || !stack.is_storage_key(key) {
        findings.push(Finding::warning(
            "table-not-encrypted",
            format!("{name} is not encrypted under the stack's own key any more."),
            format!(
                "server-side encryption by KMS: {}, under {}",
                shown(status, "off"),
                shown(key, "no key of KMS")
            ),
            PUT_BACK,
        ));
    }
    if expected.is_kept
        && ![Value::Bool(true), json!("true")].contains(&table.deletion_protection_enabled)
    {
        findings.push(Finding::warning(
            "deletion-protection-off",
            format!("One call deletes {name}."),
            "DeletionProtectionEnabled is false",
            if stack.parameter("DeletionProtection") == "true" {
                format!(
                    "aws dynamodb update-table --table-name {name} --deletion-protection-enabled"
                )
            } else {
                "deploy again with DeletionProtection=true, as after every first deployment"
                    .to_owned()
            },
        ));
    }
    findings
}

fn shown<'a>(text: &'a str, nothing: &'a str) -> &'a str {
    if text.is_empty() { nothing } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = include_str!("../../../../template.yaml");

    /// The lines of a table's resource.
    fn resource(logical: &str) -> Vec<&'static str> {
        let head = format!("  {logical}:");
        let lines = TEMPLATE.lines().skip_while(|line| *line != head).skip(1);
        let inside = |line: &&str| line.is_empty() || line.starts_with("   ");
        lines.take_while(inside).map(str::trim).collect()
    }

    #[test]
    fn what_is_expected_of_each_table_is_what_the_template_gives_it() {
        let tables = TEMPLATE.matches("Type: AWS::DynamoDB::Table").count();
        assert_eq!(TABLES.len(), tables);
        for expected in &TABLES {
            let lines = resource(expected.logical);
            let says = |line: &str| lines.contains(&line);
            let indexes: Vec<_> = lines
                .iter()
                .filter_map(|line| line.strip_prefix("- IndexName: "))
                .collect();
            assert_eq!(indexes, expected.indexes, "{}", expected.logical);
            assert_eq!(
                [
                    says("StreamSpecification:"),
                    says("TimeToLiveSpecification:"),
                    says("PointInTimeRecoveryEnabled: true"),
                    says("DeletionProtectionEnabled: !Ref DeletionProtection"),
                ],
                [
                    expected.has_stream,
                    expected.expires,
                    expected.is_kept,
                    expected.is_kept
                ],
                "{}",
                expected.logical
            );
            assert!(says("SSEType: KMS"), "{}", expected.logical);
        }
    }
}
