//! The stack: what it was deployed with, what it gives out, and what belongs to it.

use std::collections::BTreeMap;

use super::aws_calls::{AwsCalls, CLOUDFORMATION, CallError};
use super::finding::Finding;
use super::xml::Element;

/// A stack as CloudFormation describes it.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) name: String,
    /// Its ARN.
    id: String,
    status: String,
    parameters: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
    resources: Vec<Resource>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Resource {
    /// Its name in the template.
    pub(crate) logical: String,
    /// Its name in the account.
    pub(crate) physical: String,
    kind: String,
}

impl Resource {
    /// A KMS key that a stack works with, also one of another stack.
    pub(crate) fn named(logical: &str, physical: &str) -> Self {
        Self {
            logical: logical.to_owned(),
            physical: physical.to_owned(),
            kind: "AWS::KMS::Key".to_owned(),
        }
    }

    /// The ARN of a KMS key that the stack was given and does not own: its own are named by their
    /// ids.
    pub(crate) fn given_arn(&self) -> Option<&str> {
        let is_arn = self.physical.starts_with("arn:");
        is_arn.then_some(self.physical.as_str())
    }
}

/// How many pages of a hundred resources are read at most.
const PAGES_MAX: usize = 20;

impl Stack {
    /// Reads it; `None` if there is none of this name.
    pub(crate) async fn read(calls: &AwsCalls, name: &str) -> Result<Option<Self>, CallError> {
        let Some(described) = Self::described(calls, name).await? else {
            return Ok(None);
        };
        Ok(Some(Self {
            resources: resources(calls, name).await?,
            ..described
        }))
    }

    /// The same without its resources.
    pub(crate) async fn described(calls: &AwsCalls, name: &str) -> Result<Option<Self>, CallError> {
        let described = calls
            .query(CLOUDFORMATION, "DescribeStacks", &[("StackName", name)])
            .await;
        let described = match described {
            Err(CallError::Refused { code, message, .. })
                if code == "ValidationError" && message.contains("does not exist") =>
            {
                return Ok(None);
            }
            other => other?,
        };
        let unreadable = || CallError::Unreadable {
            operation: "DescribeStacks".to_owned(),
        };
        let stack = described.members("Stacks").first().ok_or_else(unreadable)?;
        Ok(Some(Self {
            name: name.to_owned(),
            id: stack.text_of("StackId").unwrap_or_default().to_owned(),
            status: stack
                .text_of("StackStatus")
                .ok_or_else(unreadable)?
                .to_owned(),
            parameters: pairs(
                stack.members("Parameters"),
                "ParameterKey",
                "ParameterValue",
            ),
            outputs: pairs(stack.members("Outputs"), "OutputKey", "OutputValue"),
            resources: Vec::new(),
        }))
    }

    /// The ARN of something of this account and Region, by its service and its name there.
    pub(crate) fn arn(&self, service: &str, name: &str) -> String {
        // Roles are of no Region.
        let region = if service == "iam" {
            ""
        } else {
            "${AWS::Region}"
        };
        self.filled_in(&format!(
            "arn:${{AWS::Partition}}:{service}:{region}:${{AWS::AccountId}}:{name}"
        ))
    }

    /// A text of the template with account, Region and the stack's name filled in.
    pub(crate) fn filled_in(&self, text: &str) -> String {
        let mut parts = self.id.split(':');
        let mut part = |at| parts.nth(at).unwrap_or_default();
        let (partition, region, account) = (part(1), part(1), part(0));
        let suffix = if region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        text.replace("${AWS::Partition}", partition)
            .replace("${AWS::Region}", region)
            .replace("${AWS::AccountId}", account)
            .replace("${AWS::StackName}", &self.name)
            .replace("${AWS::URLSuffix}", suffix)
    }

    /// A parameter's value; empty for one that the template of this stack does not have.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    /// An output; empty for one that the template of this stack does not have.
    pub(crate) fn output(&self, name: &str) -> &str {
        self.outputs.get(name).map_or("", String::as_str)
    }

    /// Its resources of one type, such as `AWS::SQS::Queue`.
    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources
            .iter()
            .filter(move |resource| resource.kind == kind)
    }

    /// Whether this id or ARN is that of a key of the stack's own.
    fn is_own_key(&self, key: &Resource, named: &str) -> bool {
        let arn = || self.arn("kms", &format!("key/{}", key.physical));
        !named.is_empty() && (named == key.physical || named == arn())
    }

    /// Whether this id or ARN is that of the key that queues and tables are encrypted under. An
    /// alias is not: it may lead elsewhere tomorrow.
    pub(crate) fn is_storage_key(&self, named: &str) -> bool {
        self.resource("StorageKey")
            .is_some_and(|key| self.is_own_key(key, named))
    }

    /// Whether functions may sign by this key beside the one that signs, while the merchant's key
    /// changes.
    pub(crate) fn signs_beside(&self, key: &Resource) -> bool {
        let other = self.parameter("OtherSigner");
        key.physical == other || self.is_own_key(key, other)
    }

    /// Its keys in KMS: those that it was given, and those of its own that none was given in place
    /// of or that sign beside it.
    pub(crate) fn kms_keys(&self) -> impl Iterator<Item = Resource> {
        let given = [
            ("SecretsKey", "SecretsKeyArn"),
            ("FieldsKey", "FieldsKeyArn"),
            ("MerchantSigningKey", "SigningKeyArn"),
        ];
        let given = given.map(|(logical, parameter)| (logical, self.parameter(parameter)));
        let given = given.into_iter().filter(|(_, arn)| !arn.is_empty());
        let given = given.map(|(logical, arn)| Resource::named(logical, arn));
        let given: Vec<Resource> = given.collect();
        let names: Vec<String> = given.iter().map(|key| key.logical.clone()).collect();
        let own = self.of_kind("AWS::KMS::Key").cloned();
        let own = own.filter(move |key| !names.contains(&key.logical) || self.signs_beside(key));
        let keys: Vec<Resource> = given.into_iter().chain(own).collect();
        // `sealed` is no key of KMS.
        let other = self.parameter("OtherSigner");
        let is_another =
            other.starts_with("arn:") && !keys.iter().any(|key| self.signs_beside(key));
        let other = is_another.then(|| Resource::named("OtherSigner", other));
        keys.into_iter().chain(other)
    }

    /// The resource of this name in the template.
    pub(crate) fn resource(&self, logical: &str) -> Option<&Resource> {
        self.resources
            .iter()
            .find(|resource| resource.logical == logical)
    }

    /// Whether nothing of it was ever made: it has a change set that nobody executed.
    pub(crate) fn is_never_made(&self) -> bool {
        self.status == "REVIEW_IN_PROGRESS"
    }

    /// Where the API answers, without a slash at the end: the template has `NotifyUrl` end in its
    /// path.
    pub(crate) fn api_base(&self) -> Option<&str> {
        self.output("NotifyUrl")
            .strip_suffix("/v1/callbacks/wechatpay")
    }
}

async fn resources(calls: &AwsCalls, name: &str) -> Result<Vec<Resource>, CallError> {
    let (mut read, mut next) = (Vec::new(), None::<String>);
    for _ in 0..PAGES_MAX {
        let mut fields = vec![("StackName", name)];
        if let Some(token) = &next {
            fields.push(("NextToken", token.as_str()));
        }
        let page = calls
            .query(CLOUDFORMATION, "ListStackResources", &fields)
            .await?;
        read.extend(
            page.members("StackResourceSummaries")
                .iter()
                .filter_map(resource),
        );
        next = page.text_of("NextToken").map(ToOwned::to_owned);
        if next.is_none() {
            break;
        }
    }
    Ok(read)
}

/// One that is being made has no name in the account yet, and one that was deleted has none any
/// more.
fn resource(summary: &Element) -> Option<Resource> {
    let text = |name| summary.text_of(name).filter(|text| !text.is_empty());
    if text("ResourceStatus")? == "DELETE_COMPLETE" {
        return None;
    }
    Some(Resource {
        logical: text("LogicalResourceId")?.to_owned(),
        physical: text("PhysicalResourceId")?.to_owned(),
        kind: text("ResourceType")?.to_owned(),
    })
}

fn pairs(members: &[Element], key: &str, value: &str) -> BTreeMap<String, String> {
    let pair = |member: &Element| {
        Some((
            member.text_of(key)?.to_owned(),
            member.text_of(value).unwrap_or_default().to_owned(),
        ))
    };
    members.iter().filter_map(pair).collect()
}

/// What the other checks need of the outputs.
const OUTPUTS: [&str; 6] = [
    "NotifyUrl",
    "KeysTableName",
    "NoticesTableName",
    "SecretsKeyId",
    "MerchantSigningKeyId",
    "PaymentResultsQueueUrl",
];

/// There is none of this name.
pub(crate) fn missing(name: &str, region: &str) -> Finding {
    Finding::error(
        "stack-missing",
        format!("There is no stack {name} in {region}, so nothing of it can be examined."),
        "DescribeStacks: it does not exist",
        "deploy it (infra/DEPLOY.md, Deploy), or name another stack (--stack) or region (AWS_REGION)",
    )
}

/// What is wrong with the stack's own state, but for one that was never made.
pub(crate) fn state(stack: &Stack) -> Option<Finding> {
    let evidence = format!("{} is {}", stack.name, stack.status);
    let status = stack.status.as_str();
    if matches!(
        status,
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE"
    ) {
        None
    } else if status == "UPDATE_ROLLBACK_COMPLETE" {
        Some(Finding::warning(
            "stack-rolled-back",
            "The last deployment failed, and the version before it runs.",
            evidence,
            "`aws cloudformation describe-stack-events` says what failed first; mend that and deploy again",
        ))
    } else if status.ends_with("_IN_PROGRESS") && !status.starts_with("DELETE") {
        Some(Finding::warning(
            "stack-in-change",
            "A deployment is running, so what was seen may be half of the old version and half of the new.",
            evidence,
            "run this again when it has ended",
        ))
    } else {
        let next_step = after_failure(&stack.name, status);
        Some(Finding::error(
            "stack-failed",
            "The stack is not whole: a deployment or deletion failed.",
            evidence,
            next_step,
        ))
    }
}

/// Who answers "n" to `sam deploy` leaves a name and a change set.
pub(crate) const NEVER_MADE: &str =
    "There is only the stack's name: its first change set was made and never executed.";

/// What to do about that.
pub(crate) fn after_review(name: &str) -> String {
    format!(
        "deploy it (`sam deploy` makes a change set of its own), or take the name away: `aws cloudformation delete-stack \
         --stack-name {name}`, which deletes nothing else"
    )
}

/// How a stack that is not whole becomes whole again, with the commands.
fn after_failure(name: &str, status: &str) -> String {
    let events = format!(
        "`aws cloudformation describe-stack-events --stack-name {name}` says what failed first"
    );
    let wait = format!("aws cloudformation wait stack-delete-complete --stack-name {name}");
    let delete = format!("`aws cloudformation delete-stack --stack-name {name} && {wait}`");
    match status {
        // AWS updates no stack whose first deployment failed.
        "CREATE_FAILED" | "ROLLBACK_FAILED" | "ROLLBACK_COMPLETE" => format!(
            "{events}: mend that, delete the stack by {delete}, and deploy again under the same name (infra/DEPLOY.md, Deploy)"
        ),
        "DELETE_IN_PROGRESS" => format!(
            "wait for it by `{wait}`, then deploy it again (infra/DEPLOY.md, Deploy), or name another stack (--stack)"
        ),
        "DELETE_FAILED" => {
            format!("{events}: mend that, and delete the stack once more by {delete}")
        }
        "UPDATE_ROLLBACK_FAILED" => format!(
            "{events}: mend that, then `aws cloudformation continue-update-rollback --stack-name {name}`, and deploy again"
        ),
        _ => format!("{events}: mend that, and deploy again"),
    }
}

/// The state of the stack itself, and whether it is one of this template.
pub(crate) fn findings(stack: &Stack) -> Vec<Finding> {
    if stack.is_never_made() {
        return vec![Finding::error(
            "stack-never-made",
            NEVER_MADE,
            format!("{} is {}", stack.name, stack.status),
            after_review(&stack.name),
        )];
    }
    let mut findings: Vec<Finding> = state(stack).into_iter().collect();
    let absent: Vec<&str> = OUTPUTS
        .into_iter()
        .filter(|name| stack.output(name).is_empty())
        .collect();
    if !absent.is_empty() {
        findings.push(Finding::error(
            "stack-outputs-missing",
            "The stack is not of this repository's template, or of an older version of it.",
            format!("there are no outputs {}", absent.join(", ")),
            "deploy the template of this version, or name another stack (--stack)",
        ));
    }
    findings
}
