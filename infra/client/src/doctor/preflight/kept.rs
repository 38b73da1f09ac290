//! What an earlier stack of the same name left behind.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::doctor::aws_calls::{AwsCalls, CallError, DYNAMODB, SQS};
use crate::doctor::finding::Finding;

/// What is kept under its name when a stack is deleted, and stands in the way of the next one of
/// that name.
#[derive(Clone, Copy, Debug)]
enum Kept {
    Table(&'static str),
    Queue(&'static str),
}

const KEPT: [Kept; 10] = [
    Kept::Table("orders"),
    Kept::Table("notices"),
    Kept::Table("reconciliation"),
    Kept::Table("undelivered-events"),
    Kept::Table("keys"),
    Kept::Queue("payment-requests-dlq"),
    Kept::Queue("payment-results-dlq"),
    Kept::Queue("webhooks-dlq"),
    Kept::Queue("reconcile-work-dlq"),
    Kept::Queue("order-events-dlq"),
];

/// Whether a new stack of this name cannot make its own.
pub(super) async fn taken(calls: &AwsCalls, name: &str) -> Result<Option<Finding>, CallError> {
    let mut taken = Vec::new();
    for kept in KEPT {
        if let Some(kept) = kept.left(calls, name).await? {
            taken.push(kept);
        }
    }
    Ok((!taken.is_empty()).then(|| Finding::error(
            "name-taken",
            format!(
                "A stack {name} was deleted, and its tables and dead-letter queues were kept: a new one of that name cannot make \
                 its own."
            ),
            shown_left(&taken),
            format!(
                "choose another stack name; or, if nothing of them is needed any more (tables hold orders and keys, dead-letter \
                 queues what was given up), delete them: {}; SQS takes a queue's name again a minute later",
                deletions(&taken)
            ),
        )))
}

/// Something that was kept, by its whole name.
enum Left {
    Table(String),
    Queue { name: String, url: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FoundQueue {
    queue_url: String,
}

fn shown_left(all: &[Left]) -> String {
    let shown = all.iter().map(|left| match left {
        Left::Table(name) => format!("table {name}"),
        Left::Queue { name, .. } => format!("queue {name}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// The commands that delete them. A table that is protected is not deleted before that ends.
fn deletions(all: &[Left]) -> String {
    let commands = all.iter().map(|left| match left {
        Left::Table(name) => format!(
            "`aws dynamodb update-table --table-name {name} --no-deletion-protection-enabled` and `aws dynamodb delete-table \
             --table-name {name}`"
        ),
        Left::Queue { url, .. } => format!("`aws sqs delete-queue --queue-url {url}`"),
    });
    commands.collect::<Vec<_>>().join(", ")
}

impl Kept {
    /// It, if an earlier stack of this name left it.
    async fn left(self, calls: &AwsCalls, stack: &str) -> Result<Option<Left>, CallError> {
        let left = match self {
            Self::Table(table) => {
                let name = format!("{stack}-{table}");
                let asked = json!({ "TableName": name });
                let read = calls.ask::<Value>(DYNAMODB, "DescribeTable", &asked).await;
                read.map(|_| Left::Table(name))
            }
            Self::Queue(queue) => {
                let name = format!("{stack}-{queue}");
                let asked = json!({ "QueueName": name });
                let read = calls.ask::<FoundQueue>(SQS, "GetQueueUrl", &asked).await;
                read.map(|found| Left::Queue {
                    name,
                    url: found.queue_url,
                })
            }
        };
        match left {
            Ok(left) => Ok(Some(left)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = include_str!("../../../../../template.yaml");

    /// Each resource that stays when the stack goes, by its name with the stack's left out.
    fn kept_under_a_name() -> Vec<String> {
        let mut kept = Vec::new();
        let (_, resources) = TEMPLATE.split_once("\nResources:\n").unwrap();
        let mut stays = false;
        for line in resources.lines() {
            // A resource begins two blanks in.
            stays &= !line.starts_with("  ") || line.starts_with("   ");
            stays |= line.trim() == "DeletionPolicy: RetainExceptOnCreate";
            let named = line.split_once("Name: !Sub ${AWS::StackName}-");
            if let (true, Some((property, name))) = (stays, named) {
                kept.push(format!("{} {name}", property.trim()));
            }
        }
        kept
    }

    #[test]
    fn what_is_looked_for_is_what_the_template_keeps_under_a_name() {
        let mut looked_for: Vec<String> = KEPT
            .iter()
            .map(|kept| match kept {
                Kept::Table(name) => format!("Table {name}"),
                Kept::Queue(name) => format!("Queue {name}"),
            })
            .collect();
        let mut kept = kept_under_a_name();
        looked_for.sort();
        kept.sort();
        assert_eq!(looked_for, kept);
    }
}
