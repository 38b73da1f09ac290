//! Whether the roles may do what their functions, the Pipe and the schedules live on. IAM is asked
//! what it would answer; nothing is called in their name. What they do with KMS depends on what is
//! sealed, and is seen where it is used.

use super::aws_calls::{AwsCalls, CallError, IAM};
use super::finding::{DEPLOY_OR_PUT_BACK, Finding, PUT_BACK};
use super::stack::{Resource, Stack};

/// What a permission is about, by its name in the template.
#[derive(Clone, Copy, Debug)]
enum On {
    Queue(&'static str),
    /// A table's items whose partition keys begin so; `MCHID` stands for the merchant number.
    Items(&'static str, &'static [&'static str]),
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
const UNKNOWN_SERIAL: &str = "unknown-serial#MCHID";
const OF_MERCHANT: &str = "MCHID#";

const SEND: &[&str] = &["sqs:SendMessage"];
const TAKE: &[&str] = &[
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:GetQueueAttributes",
];
const READ: &[&str] = &["dynamodb:GetItem"];
const PUT: &[&str] = &["dynamodb:PutItem"];
const UPDATE: &[&str] = &["dynamodb:UpdateItem"];
const QUERY: &[&str] = &["dynamodb:Query"];
const READ_PUT: &[&str] = &["dynamodb:GetItem", "dynamodb:PutItem"];
const READ_UPDATE: &[&str] = &["dynamodb:GetItem", "dynamodb:UpdateItem"];
const PUT_DELETE: &[&str] = &["dynamodb:PutItem", "dynamodb:DeleteItem"];
const PUT_DELETE_QUERY: &[&str] = &["dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Query"];
const READ_PUT_DELETE: &[&str] = &[
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:DeleteItem",
];
const WRITE: &[&str] = &[
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
];
const WRITE_QUERY: &[&str] = &[
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:Query",
];
const DAYS_OF_RECONCILE: &[&str] = &[
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:BatchGetItem",
    "dynamodb:Query",
];
const DAYS_OF_CONSOLE: &[&str] = &[
    "dynamodb:GetItem",
    "dynamodb:BatchGetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
];
const FOLLOW: &[&str] = &[
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
];
const PUBLISH: &[&str] = &["events:PutEvents"];
const CALL: &[&str] = &["lambda:InvokeFunction"];

/// All that the template lets them do on tables, queues, streams and the bus, statement by
/// statement (`tests/sam/rules_roles.py` holds the two together, and names what is left out).
const NEEDS: [Need; 59] = [
    (
        "CreateOrderRole",
        READ,
        On::Items("KeysTable", &[MERCHANT, "client#"]),
    ),
    (
        "CreateOrderRole",
        WRITE,
        On::Items("OrdersTable", &[ORDERS]),
    ),
    (
        "CreateOrderRole",
        UPDATE,
        On::Items("GuardsTable", &["rate#create-order#"]),
    ),
    (
        "CreateOrderRole",
        PUT,
        On::Items("GuardsTable", &["nonce#"]),
    ),
    (
        "CreateOrderRole",
        PUT_DELETE,
        On::Items("GuardsTable", &["submit#"]),
    ),
    (
        "CreateOrderRole",
        PUT,
        On::Items("GuardsTable", &[UNKNOWN_SERIAL]),
    ),
    (
        "CreateOrderRole",
        UPDATE,
        On::Items("NoticesTable", &[OF_MERCHANT]),
    ),
    ("CreateOrderRole", SEND, On::Queue("PaymentRequestsQueue")),
    (
        "ManageOrderRole",
        READ,
        On::Items("KeysTable", &[MERCHANT, "client#", "webhook#"]),
    ),
    (
        "ManageOrderRole",
        WRITE_QUERY,
        On::Items("OrdersTable", &[ORDERS]),
    ),
    (
        "ManageOrderRole",
        UPDATE,
        On::Items("GuardsTable", &["rate#manage-order#"]),
    ),
    (
        "ManageOrderRole",
        PUT,
        On::Items("GuardsTable", &["nonce#"]),
    ),
    ("ManageOrderRole", PUT, On::Items("GuardsTable", &["ask#"])),
    (
        "ManageOrderRole",
        READ,
        On::Items("GuardsTable", &["pause#"]),
    ),
    (
        "ManageOrderRole",
        PUT,
        On::Items("GuardsTable", &["resend#MCHID#"]),
    ),
    (
        "ManageOrderRole",
        PUT,
        On::Items("GuardsTable", &[UNKNOWN_SERIAL]),
    ),
    (
        "ManageOrderRole",
        QUERY,
        On::Items("UndeliveredEventsTable", &[OF_MERCHANT]),
    ),
    (
        "ManageOrderRole",
        UPDATE,
        On::Items("NoticesTable", &[OF_MERCHANT]),
    ),
    ("ManageOrderRole", SEND, On::Queue("PaymentRequestsQueue")),
    ("ManageOrderRole", SEND, On::Queue("WebhooksQueue")),
    (
        "ReceiveCallbackRole",
        READ,
        On::Items("KeysTable", &[MERCHANT]),
    ),
    (
        "ReceiveCallbackRole",
        PUT,
        On::Items("GuardsTable", &[UNKNOWN_SERIAL]),
    ),
    (
        "ReceiveCallbackRole",
        SEND,
        On::Queue("PaymentResultsQueue"),
    ),
    (
        "ProcessPaymentRole",
        READ,
        On::Items("KeysTable", &[MERCHANT]),
    ),
    (
        "ProcessPaymentRole",
        WRITE_QUERY,
        On::Items("OrdersTable", &[ORDERS]),
    ),
    (
        "ProcessPaymentRole",
        READ_PUT,
        On::Items("GuardsTable", &["pause#"]),
    ),
    (
        "ProcessPaymentRole",
        PUT,
        On::Items("GuardsTable", &["refund#MCHID#"]),
    ),
    (
        "ProcessPaymentRole",
        PUT,
        On::Items("GuardsTable", &[UNKNOWN_SERIAL]),
    ),
    (
        "ProcessPaymentRole",
        WRITE,
        On::Items("NoticesTable", &[OF_MERCHANT]),
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
    ("ReconcileRole", READ, On::Items("KeysTable", &[MERCHANT])),
    (
        "ReconcileRole",
        READ_PUT_DELETE,
        On::Items("GuardsTable", &["certificates#MCHID#", UNKNOWN_SERIAL]),
    ),
    (
        "ReconcileRole",
        READ_PUT,
        On::Items("GuardsTable", &["pause#"]),
    ),
    (
        "ReconcileRole",
        PUT,
        On::Items("GuardsTable", &["refund#MCHID#"]),
    ),
    (
        "ReconcileRole",
        WRITE_QUERY,
        On::Items("OrdersTable", &[ORDERS]),
    ),
    ("ReconcileRole", QUERY, On::Index("OrdersTable", "due")),
    ("ReconcileRole", QUERY, On::Index("OrdersTable", "day")),
    (
        "ReconcileRole",
        DAYS_OF_RECONCILE,
        On::Items("ReconciliationTable", &[DAYS]),
    ),
    (
        "ReconcileRole",
        PUT_DELETE_QUERY,
        On::Items("ReconciliationTable", &["followed#MCHID"]),
    ),
    (
        "ReconcileRole",
        READ_PUT,
        On::Items("ReconciliationTable", &["followed-from#MCHID"]),
    ),
    (
        "ReconcileRole",
        READ_UPDATE,
        On::Items("NoticesTable", &[OF_MERCHANT]),
    ),
    ("ReconcileRole", TAKE, On::Queue("ReconcileWorkQueue")),
    ("ReconcileRole", SEND, On::Queue("PaymentRequestsQueue")),
    ("ReconcileRole", SEND, On::Queue("ReconcileWorkQueue")),
    (
        "SendWebhookRole",
        READ_UPDATE,
        On::Items("KeysTable", &["webhook#"]),
    ),
    (
        "SendWebhookRole",
        PUT_DELETE,
        On::Items("UndeliveredEventsTable", &[OF_MERCHANT]),
    ),
    ("SendWebhookRole", TAKE, On::Queue("WebhooksQueue")),
    (
        "ConsoleRole",
        DAYS_OF_CONSOLE,
        On::Items("ReconciliationTable", &[DAYS]),
    ),
    ("ConsoleRole", QUERY, On::Items("OrdersTable", &[ORDERS])),
    (
        "ConsoleRole",
        READ_UPDATE,
        On::Items("NoticesTable", &[OF_MERCHANT]),
    ),
    ("ConsoleRole", SEND, On::Queue("ReconcileWorkQueue")),
    ("OrderEventsPipeRole", FOLLOW, On::Stream("OrdersTable")),
    ("OrderEventsPipeRole", PUBLISH, On::Bus("OrderEventsBus")),
    ("OrderEventsPipeRole", SEND, On::Queue("OrderEventsDlq")),
    ("SweepScheduleRole", CALL, On::Function("Reconcile")),
    ("DailyScheduleRole", SEND, On::Queue("ReconcileWorkQueue")),
    ("DailyScheduleRole", SEND, On::Queue("ReconcileWorkDlq")),
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
                    PUT_BACK,
                ));
            }
            read => findings.extend(read?.map(|(action, why)| {
                Finding::error(
                    "role-may-not",
                    format!("{} may not {action} on {resource}, which it cannot do without.", role.logical),
                    format!("SimulatePrincipalPolicy of {}: {why}", role.physical),
                    format!(
                        "{DEPLOY_OR_PUT_BACK}; if it stays, a permissions boundary or a policy of the organisation forbids it"
                    ),
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
    let leading_keys = on.leading_keys(stack);
    if !leading_keys.is_empty() {
        fields.extend([
            (
                "ContextEntries.member.1.ContextKeyName",
                "dynamodb:LeadingKeys",
            ),
            ("ContextEntries.member.1.ContextKeyType", "stringList"),
        ]);
    }
    let values =
        |number: usize| format!("ContextEntries.member.1.ContextKeyValues.member.{number}");
    let values: Vec<String> = (1..=leading_keys.len()).map(values).collect();
    fields.extend(
        values
            .iter()
            .map(String::as_str)
            .zip(leading_keys.iter().map(String::as_str)),
    );
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

    /// Items' partition keys, where a permission is for some of them.
    fn leading_keys(self, stack: &Stack) -> Vec<String> {
        let key = |begin: &&str| {
            let begin = begin.replace("MCHID", stack.parameter("Mchid"));
            // Of the merchant's record, say, it is the whole key.
            if begin.ends_with('#') {
                format!("{begin}1")
            } else {
                begin
            }
        };
        match self {
            Self::Items(_, begins) => begins.iter().map(key).collect(),
            Self::Queue(_)
            | Self::Index(..)
            | Self::Stream(_)
            | Self::Bus(_)
            | Self::Function(_) => Vec::new(),
        }
    }
}
