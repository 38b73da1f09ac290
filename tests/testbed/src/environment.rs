//! What the functions are deployed with: the names of tables, queues and keys, and the environment
//! variables that hold them.

use std::collections::BTreeMap;

use crate::merchant::{APPIDS, MCHID};

/// The key in KMS that seals secrets of the keys table.
pub const SECRETS_KEY_ID: &str = "secrets";
/// The key in KMS that seals fields of orders.
pub const FIELDS_KEY_ID: &str = "fields";
/// The merchant's key in KMS.
pub const SIGNING_KEY_ID: &str = "merchant";
/// Where bills are kept.
pub const EVIDENCE_BUCKET: &str = "evidence";
/// The stack's name, which is the namespace of its metrics.
pub const STACK: &str = "wechatpay";
/// The id of the stack's API.
pub const API_ID: &str = "a1b2c3d4e5";
/// Who may use the console.
pub const CONSOLE_GROUP: &str = "finance";
/// Where AWS is for the SDK, if its calls never leave the process.
pub const AWS_IN_PROCESS: &str = "http://aws.invalid";

/// Where requests to WeChat Pay wait that could not be made at once, with AWS in the process.
pub const REQUESTS: &str = "http://aws.invalid/000000000000/payment-requests";
/// The same for callbacks.
pub const RESULTS: &str = "http://aws.invalid/000000000000/payment-results";
/// The same for events that are sent to clients.
pub const WEBHOOKS: &str = "http://aws.invalid/000000000000/webhooks";
/// The same for what people on call are to be told.
pub const NOTIFICATIONS: &str = "http://aws.invalid/000000000000/notifications";
/// Where `forward-errors` puts away what no log sink takes.
pub const FORWARD_ERRORS_DLQ: &str = "http://aws.invalid/000000000000/forward-errors-dlq";
/// The same as the others for reconciliations.
pub const WORK: &str = "http://aws.invalid/000000000000/reconcile-work";

/// The names of the tables. The template has each behind the name of its stack.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tables {
    /// Orders and their journal.
    pub orders: String,
    /// Nonces and leases.
    pub guards: String,
    /// Keys of the merchant and of API clients.
    pub keys: String,
    /// The table of notices that failed or wait for an operator.
    pub notices: String,
    /// What was found of each reconciled day.
    pub reconciliation: String,
    /// Events that receivers of webhooks do not have.
    pub undelivered_events: String,
}

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

impl Tables {
    /// The tables whose names begin so.
    pub fn named(prefix: &str) -> Self {
        Self {
            orders: format!("{prefix}orders"),
            guards: format!("{prefix}guards"),
            keys: format!("{prefix}keys"),
            notices: format!("{prefix}notices"),
            reconciliation: format!("{prefix}reconciliation"),
            undelivered_events: format!("{prefix}undelivered-events"),
        }
    }
}

/// The environment that all functions have in common, with queues at `endpoint`; each reads its
/// share. Where WeChat Pay is, where it sends its callbacks, and who signs for the merchant stand
/// in `more`, and so does what is to be otherwise.
pub fn environment(tables: &Tables, endpoint: &str, more: &[(&str, &str)]) -> Environment {
    let queue = |url: &str| match url.strip_prefix(AWS_IN_PROCESS) {
        Some(path) => format!("{endpoint}{path}"),
        None => url.to_owned(),
    };
    let appids = APPIDS.join(",");
    let (requests, results, webhooks, work, notifications) = (
        queue(REQUESTS),
        queue(RESULTS),
        queue(WEBHOOKS),
        queue(WORK),
        queue(NOTIFICATIONS),
    );
    let forward_errors_dlq = queue(FORWARD_ERRORS_DLQ);
    let all = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("ORDERS_TABLE", &tables.orders),
        ("GUARDS_TABLE", &tables.guards),
        ("KEYS_TABLE", &tables.keys),
        ("NOTICES_TABLE", &tables.notices),
        ("RECONCILIATION_TABLE", &tables.reconciliation),
        ("UNDELIVERED_EVENTS_TABLE", &tables.undelivered_events),
        ("PAYMENT_REQUESTS_QUEUE_URL", &requests),
        ("PAYMENT_RESULTS_QUEUE_URL", &results),
        ("WEBHOOKS_QUEUE_URL", &webhooks),
        ("RECONCILE_WORK_QUEUE_URL", &work),
        ("NOTIFICATIONS_QUEUE_URL", &notifications),
        ("FORWARD_ERRORS_DLQ_URL", &forward_errors_dlq),
        ("RECONCILE_REPAIRS", "true"),
        ("EVIDENCE_BUCKET", EVIDENCE_BUCKET),
        ("SECRETS_KEY_ID", SECRETS_KEY_ID),
        ("FIELDS_KEY_ID", FIELDS_KEY_ID),
        ("MERCHANT_SIGNING_KEY_ID", SIGNING_KEY_ID),
        ("WECHATPAY_MCHID", MCHID),
        ("WECHATPAY_APPIDS", &appids),
        ("METRICS_NAMESPACE", STACK),
        ("API_ID", API_ID),
    ];
    all.iter()
        .chain(more)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
