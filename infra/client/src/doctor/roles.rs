//! Whether the roles may do what their functions, the Pipe and the schedules live on. IAM is asked
//! what it would answer; nothing is called in their name. What they do with KMS depends on what is
//! sealed, and is seen where it is used.

use super::aws_calls::{AwsCalls, CallError, IAM};
use super::finding::Finding;
use super::stack::{Resource, Stack};

/// What a permission is about, by its name in the template.
#[derive(Clone, Copy, Debug)]
enum On {
    Queue(&'static str),
    /// A table's items whose partition key begins so; `MCHID` stands for the merchant number.
    Items(&'static str, &'static str),
    Index(&'static str, &'static str),
    /// Any stream of the table, also one that it got by a restore.
    Stream(&'static str),
    Bus(&'static str),
    /// The version that everybody calls.
    Function(&'static str),
}

/// A role, and what it cannot do without.
type Need = (&'static str, &'static [&'static str], On);

const ORDERS: &str = "order#MCHID#";
const DAYS: &str = "day#MCHID#";
const MERCHANT: &str = "merchant#MCHID";

const SEND: &[&str] = &["sqs:SendMessage"];
const TAKE: &[&str] = &[
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:GetQueueAttributes",
];
const READ: &[&str] = &["dynamodb:GetItem"];
const WRITE: &[&str] = &[
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
];
const QUERY: &[&str] = &["dynamodb:Query"];

const NEEDS: [Need; 28] = [
    ("CreateOrderRole", READ, On::Items("KeysTable", MERCHANT)),
    ("CreateOrderRole", WRITE, On::Items("OrdersTable", ORDERS)),
    ("CreateOrderRole", SEND, On::Queue("PaymentRequestsQueue")),
    ("ManageOrderRole", READ, On::Items("KeysTable", MERCHANT)),
    ("ManageOrderRole", WRITE, On::Items("OrdersTable", ORDERS)),
    ("ManageOrderRole", SEND, On::Queue("PaymentRequestsQueue")),
    ("ManageOrderRole", SEND, On::Queue("WebhooksQueue")),
    (
        "ReceiveCallbackRole",
        READ,
        On::Items("KeysTable", MERCHANT),
    ),
    (
        "ReceiveCallbackRole",
        SEND,
        On::Queue("PaymentResultsQueue"),
    ),
    ("ProcessPaymentRole", READ, On::Items("KeysTable", MERCHANT)),
    (
        "ProcessPaymentRole",
        WRITE,
        On::Items("OrdersTable", ORDERS),
    ),
    (
        "ProcessPaymentRole",
        TAKE,
        On::Queue("PaymentRequestsQueue"),
    ),
    ("ProcessPaymentRole", TAKE, On::Queue("PaymentResultsQueue")),
    (
        "ProcessPaymentRole",
        SEND,
        On::Queue("PaymentRequestsQueue"),
    ),
    ("ReconcileRole", READ, On::Items("KeysTable", MERCHANT)),
    ("ReconcileRole", WRITE, On::Items("OrdersTable", ORDERS)),
    ("ReconcileRole", QUERY, On::Index("OrdersTable", "due")),
    ("ReconcileRole", QUERY, On::Index("OrdersTable", "day")),
    (
        "ReconcileRole",
        WRITE,
        On::Items("ReconciliationTable", DAYS),
    ),
    ("ReconcileRole", TAKE, On::Queue("ReconcileWorkQueue")),
    ("ReconcileRole", SEND, On::Queue("PaymentRequestsQueue")),
    ("SendWebhookRole", READ, On::Items("KeysTable", "webhook#")),
    ("SendWebhookRole", TAKE, On::Queue("WebhooksQueue")),
    ("ConsoleRole", SEND, On::Queue("ReconcileWorkQueue")),
    (
        "OrderEventsPipeRole",
        &["dynamodb:GetRecords", "dynamodb:GetShardIterator"],
        On::Stream("OrdersTable"),
    ),
    (
        "OrderEventsPipeRole",
        &["events:PutEvents"],
        On::Bus("OrderEventsBus"),
    ),
    (
        "SweepScheduleRole",
        &["lambda:InvokeFunction"],
        On::Function("Reconcile"),
    ),
    ("DailyScheduleRole", SEND, On::Queue("ReconcileWorkQueue")),
];

pub(crate) async fn findings(calls: &AwsCalls, stack: &Stack) -> Result<Vec<Finding>, CallError> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut gone = Vec::new();
    for (role, actions, on) in NEEDS {
        let (Some(role), Some(resource)) = (stack.resource(role), on.arn(stack)) else {
            continue;
        };
        if gone.contains(&role.logical) {
            continue;
        }
        match refused(calls, stack, role, actions, &resource, on).await {
            Err(error) if error.code() == Some("NoSuchEntity") => {
                gone.push(role.logical.clone());
                findings.push(Finding::error(
                    "role-gone",
                    format!("{} does not exist any more: whatever takes it on does nothing.", role.logical),
                    error.to_string(),
                    "deploy the stack again, which makes what is missing",
                ));
            }
            read => findings.extend(read?.map(|(action, why)| {
                Finding::error(
                    "role-may-not",
                    format!("{} may not {action} on {resource}, which it cannot do without.", role.logical),
                    format!("SimulatePrincipalPolicy of {}: {why}", role.physical),
                    "deploy the stack again; if it stays, a permissions boundary or a policy of the organisation forbids it",
                )
            })),
        }
    }
    Ok(findings)
}

/// The first of these actions that IAM would refuse, and what it says.
async fn refused(
    calls: &AwsCalls,
    stack: &Stack,
    role: &Resource,
    actions: &[&str],
    resource: &str,
    on: On,
) -> Result<Option<(String, String)>, CallError> {
    let principal = stack.arn("iam", &format!("role/{}", role.physical));
    let numbered: Vec<String> = (1..=actions.len())
        .map(|number| format!("ActionNames.member.{number}"))
        .collect();
    let mut fields = vec![
        ("PolicySourceArn", principal.as_str()),
        ("ResourceArns.member.1", resource),
    ];
    fields.extend(
        numbered
            .iter()
            .map(String::as_str)
            .zip(actions.iter().copied()),
    );
    let leading_key = on.leading_key(stack);
    if let Some(key) = &leading_key {
        fields.extend([
            (
                "ContextEntries.member.1.ContextKeyName",
                "dynamodb:LeadingKeys",
            ),
            ("ContextEntries.member.1.ContextKeyType", "stringList"),
            (
                "ContextEntries.member.1.ContextKeyValues.member.1",
                key.as_str(),
            ),
        ]);
    }
    let simulated = calls.query(IAM, "SimulatePrincipalPolicy", &fields).await?;
    let mut results = simulated.members("EvaluationResults").iter();
    Ok(results.find_map(|result| {
        let decision = result.text_of("EvalDecision").unwrap_or("no decision");
        let action = result.text_of("EvalActionName").unwrap_or_default();
        (decision != "allowed").then(|| (action.to_owned(), decision.to_owned()))
    }))
}

impl On {
    /// `None` for what the stack does not have, or has lost.
    fn arn(self, stack: &Stack) -> Option<String> {
        let (logical, service, begin, end) = match self {
            Self::Queue(logical) => (logical, "sqs", "", String::new()),
            Self::Items(logical, _) => (logical, "dynamodb", "table/", String::new()),
            Self::Index(logical, index) => {
                (logical, "dynamodb", "table/", format!("/index/{index}"))
            }
            Self::Stream(logical) => (logical, "dynamodb", "table/", "/stream/latest".to_owned()),
            Self::Bus(logical) => (logical, "events", "event-bus/", String::new()),
            Self::Function(logical) => (logical, "lambda", "function:", ":live".to_owned()),
        };
        let physical = &stack.resource(logical)?.physical;
        // A queue goes by its address.
        let name = physical.rsplit('/').next().unwrap_or_default();
        Some(stack.arn(service, &format!("{begin}{name}{end}")))
    }

    /// An item's partition key, where a permission is for some of them.
    fn leading_key(self, stack: &Stack) -> Option<String> {
        match self {
            Self::Items(_, begin) => {
                let begin = begin.replace("MCHID", stack.parameter("Mchid"));
                // Of the merchant's record it is the whole key.
                Some(if begin.ends_with('#') {
                    format!("{begin}1")
                } else {
                    begin
                })
            }
            Self::Queue(_)
            | Self::Index(..)
            | Self::Stream(_)
            | Self::Bus(_)
            | Self::Function(_) => None,
        }
    }
}
