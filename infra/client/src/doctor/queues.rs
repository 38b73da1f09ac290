//! The queues: nothing dead, a place for what dies, nobody but the functions may send.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::aws_calls::{AwsCalls, CallError, SQS};
use super::finding::{DEPLOY_OR_PUT_BACK, Finding, PUT_BACK};
use super::stack::{Resource, Stack};

/// Whose roles may send to each queue, as the template has it (the stack that `doctor` is tested on
/// is deployed from it). SQS itself fills a dead-letter queue.
const SENDERS: [(&str, &[&str]); 12] = [
    (
        "PaymentRequestsQueue",
        &[
            "CreateOrderRole",
            "ManageOrderRole",
            "ProcessPaymentRole",
            "ReconcileRole",
        ],
    ),
    ("PaymentRequestsDlq", &[]),
    ("PaymentResultsQueue", &["ReceiveCallbackRole"]),
    ("PaymentResultsDlq", &[]),
    ("WebhooksQueue", &["ManageOrderRole"]),
    ("WebhooksDlq", &[]),
    (
        "ReconcileWorkQueue",
        &["ConsoleRole", "DailyScheduleRole", "ReconcileRole"],
    ),
    ("ReconcileWorkDlq", &["DailyScheduleRole"]),
    ("OrderEventsDlq", &["OrderEventsPipeRole"]),
    ("NotificationsQueue", &[]),
    ("NotificationsDlq", &[]),
    ("ForwardErrorsDlq", &["ForwardErrorsRole"]),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

pub(crate) async fn findings(calls: &AwsCalls, stack: &Stack) -> Result<Vec<Finding>, CallError> {
    let mut findings = Vec::new();
    for queue in stack.of_kind("AWS::SQS::Queue") {
        let asked = json!({ "QueueUrl": queue.physical, "AttributeNames": ["All"] });
        let read = match calls
            .ask::<Attributes>(SQS, "GetQueueAttributes", &asked)
            .await
        {
            Err(error) if error.is_missing() => {
                findings.push(Finding::error(
                    "queue-gone",
                    format!(
                        "{} does not exist any more: what is sent to it is lost.",
                        name(queue)
                    ),
                    error.to_string(),
                    format!("{PUT_BACK}; SQS takes its name again a minute after it was deleted"),
                ));
                continue;
            }
            other => other?.attributes,
        };
        findings.extend(of_queue(stack, queue, &read));
    }
    Ok(findings)
}

fn of_queue(stack: &Stack, queue: &Resource, read: &BTreeMap<String, String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let text = |attribute: &str| read.get(attribute).map_or("", String::as_str);
    let name = name(queue);
    if queue.logical.ends_with("Dlq") {
        let count: u64 = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        ]
        .iter()
        .filter_map(|attribute| text(attribute).parse::<u64>().ok())
        .sum();
        if count > 0 {
            findings.push(Finding::error(
                "dead-letters",
                format!("Messages of {name} were given up, and wait for a person."),
                format!("it holds {count}"),
                "infra/runbooks/dead-letters.md says how to look at them and move them back",
            ));
        }
    } else if let Some(dead) = stack.resource(&queue.logical.replace("Queue", "Dlq")) {
        let redrive: Value = serde_json::from_str(text("RedrivePolicy")).unwrap_or_default();
        let target = redrive.get("deadLetterTargetArn").and_then(Value::as_str);
        let wanted = last_part(&dead.physical, '/');
        if target.map(|arn| last_part(arn, ':')) != Some(wanted) {
            findings.push(Finding::error(
                "queue-without-dead-letters",
                format!("What {name} gives up does not go to its dead-letter queue: it comes again for days, then is lost."),
                format!("RedrivePolicy: {}", shown(text("RedrivePolicy"))),
                format!("{PUT_BACK}, so that its dead letters go to {wanted}"),
            ));
        }
    }
    let key = text("KmsMasterKeyId");
    if key.is_empty() {
        findings.push(Finding::warning(
            "queue-not-encrypted",
            format!("Messages of {name} are not encrypted under the stack's own key any more."),
            "it has no KmsMasterKeyId",
            PUT_BACK,
        ));
    } else if !stack.is_storage_key(key) {
        findings.push(Finding::error(
            "queue-under-another-key",
            format!(
                "Messages of {name} are encrypted under another key than the stack's own: who has no right to that key can \
                 neither send nor read them, and under `alias/aws/sqs` EventBridge and SNS have none."
            ),
            format!("KmsMasterKeyId is {key}, and not StorageKey"),
            PUT_BACK,
        ));
    }
    if !denies_senders(text("Policy")) {
        findings.push(Finding::error(
            "queue-policy-open",
            format!("Who has sqs:SendMessage in this account may send to {name}; the template keeps that to the functions."),
            format!("Policy: {}", shown(text("Policy"))),
            policy_next_step(),
        ));
    } else if let Some((_, senders)) = SENDERS
        .iter()
        .find(|(logical, _)| *logical == queue.logical)
    {
        findings.extend(of_senders(stack, queue, senders, text("Policy")));
    }
    findings
}

/// Whether the policy lets send whom the template names, and nobody else.
fn of_senders(stack: &Stack, queue: &Resource, senders: &[&str], policy: &str) -> Option<Finding> {
    let role = |logical: &&str| {
        let role = stack.resource(logical)?;
        Some(stack.arn("iam", &format!("role/{}", role.physical)))
    };
    let mut wanted: BTreeSet<String> = senders.iter().filter_map(role).collect();
    // What died is put back into the queue that it came from.
    if !queue.logical.ends_with("Dlq") {
        let operator = stack.parameter("OperatorRoleArn");
        wanted.extend((!operator.is_empty()).then(|| operator.to_owned()));
    }
    let named = named_senders(policy);
    let name = name(queue);
    if let Some(more) = named.difference(&wanted).next() {
        return Some(Finding::error(
            "queue-policy-open",
            format!("{more} may send to {name}; the template keeps that to others."),
            format!("Policy: {policy}"),
            policy_next_step(),
        ));
    }
    let less = wanted.difference(&named).next()?;
    Some(Finding::error(
        "queue-policy-shut",
        format!("{less} may not send to {name} any more, which the template lets it."),
        format!("Policy: {policy}"),
        policy_next_step(),
    ))
}

fn policy_next_step() -> String {
    format!(
        "find out who changed the policy (CloudTrail, SetQueueAttributes), and {DEPLOY_OR_PUT_BACK}"
    )
}

/// The principals that the policy's refusal of senders leaves out.
fn named_senders(policy: &str) -> BTreeSet<String> {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    let statements = policy.get("Statement").and_then(Value::as_array);
    let refusal = statements.into_iter().flatten().find(|statement| {
        let text = |name| statement.get(name).and_then(Value::as_str);
        text("Effect") == Some("Deny") && text("Action") == Some("sqs:SendMessage")
    });
    let named =
        refusal.and_then(|refusal| refusal.pointer("/Condition/ArnNotEquals/aws:PrincipalArn"));
    let all = match named {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => several
            .iter()
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
            Vec::new()
        }
    };
    all.into_iter().collect()
}

/// Whether the policy denies sending to some principals, and every call without TLS.
fn denies_senders(policy: &str) -> bool {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    let statements = policy.get("Statement").and_then(Value::as_array);
    let denies = |action: &str, key: &str| {
        let mut statements = statements.into_iter().flatten();
        statements.any(|statement| {
            let text = |name| statement.get(name).and_then(Value::as_str);
            let condition = statement.get("Condition").map(Value::to_string);
            text("Effect") == Some("Deny")
                && text("Action") == Some(action)
                && condition.is_some_and(|condition| condition.contains(key))
        })
    };
    denies("sqs:SendMessage", "aws:Principal") && denies("sqs:*", "aws:SecureTransport")
}

fn name(queue: &Resource) -> &str {
    last_part(&queue.physical, '/')
}

fn last_part(text: &str, separator: char) -> &str {
    text.rsplit(separator).next().unwrap_or(text)
}

fn shown(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}
