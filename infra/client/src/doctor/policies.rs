//! The policies of the KMS keys, statement by statement as the template has them.

use serde::Deserialize;
use serde_json::{Value, json};

use super::aws_calls::{AwsCalls, CallError, KMS};
use super::finding::{DEPLOY_OR_PUT_BACK, Finding};
use super::stack::{Resource, Stack};

/// The statements of each key's policy. The stack that `doctor` is tested on is deployed from the
/// template, so this cannot differ from it.
const STATEMENTS: &str = include_str!("key_policies.json");

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Read {
    policy: String,
}

pub(crate) async fn of_key(
    calls: &AwsCalls,
    stack: &Stack,
    key: &Resource,
) -> Result<Option<Finding>, CallError> {
    // A signing key of the merchant's own has a policy of theirs.
    let theirs = ["SigningKeyArn", "OtherSigner"];
    if theirs
        .iter()
        .any(|name| key.physical == stack.parameter(name))
    {
        return Ok(None);
    }
    let asked = json!({ "KeyId": key.physical, "PolicyName": "default" });
    let read: Read = calls.ask(KMS, "GetKeyPolicy", &asked).await?;
    let policy: Value = serde_json::from_str(&read.policy).unwrap_or_default();
    let there = policy.get("Statement").and_then(Value::as_array);
    let there = there.map_or(&[][..], Vec::as_slice);
    let template: Value = serde_json::from_str(&stack.filled_in(STATEMENTS)).unwrap_or_default();
    let Some(wanted) = template.get(&key.logical).and_then(Value::as_array) else {
        return Ok(None);
    };
    let more = there.iter().filter(|statement| !wanted.contains(statement));
    let less = wanted.iter().filter(|statement| !there.contains(statement));
    let more: Vec<String> = more.map(|statement| format!("more: {statement}")).collect();
    let less: Vec<String> = less.map(|statement| format!("less: {statement}")).collect();
    if more.is_empty() && less.is_empty() {
        return Ok(None);
    }
    let who = "find out who changed it and why (CloudTrail, PutKeyPolicy), and";
    let next_step = match key.given_arn() {
        None => format!("{who} {DEPLOY_OR_PUT_BACK}"),
        // The stack does not own it, so no deployment and no change set writes its policy.
        Some(arn) => {
            let policy = json!({ "Version": "2012-10-17", "Statement": wanted });
            format!(
                "{who} write the template's: `aws kms put-key-policy --key-id {arn} --policy-name default --policy '{policy}'`"
            )
        }
    };
    Ok(Some(Finding::error(
        "kms-policy-changed",
        format!(
            "The policy of {} is not the template's: others may use the key, or who has to cannot.",
            key.logical
        ),
        [more, less].concat().join("; "),
        next_step,
    )))
}
