//! What each role cannot do without, as the template lets it.

use super::on::On;

/// A role, and what it cannot do without.
pub(super) type Need = (&'static str, &'static [&'static str], On);

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

const WRITE_DELETE: &[&str] = &[
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
];
const UNSEAL: &[&str] = &["kms:Decrypt"];
const SEAL: &[&str] = &["kms:GenerateDataKey", "kms:Decrypt"];
const SIGN: &[&str] = &["kms:Sign"];
const KEEP: &[&str] = &["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"];
const LIST: &[&str] = &["s3:ListBucket"];
const TELL: &[&str] = &["sns:Publish"];
const MEASURE: &[&str] = &["cloudwatch:GetMetricData"];

/// All that the template lets them do on tables, queues, streams, the bus, keys, the bucket of
/// evidence, the topic of people on call and metrics, statement by statement
/// (`tests/sam/rules_roles.py` holds the two together, and names what is left out).
pub(super) const NEEDS: [Need; 91] = [
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
    (
        "CreateOrderRole",
        UNSEAL,
        On::Sealed("SecretsKey", "client-key"),
    ),
    ("CreateOrderRole", SEAL, On::Sealed("FieldsKey", "field")),
    ("CreateOrderRole", SIGN, On::Signer("MerchantSigningKey")),
    ("CreateOrderRole", SIGN, On::Signer("OtherSigner")),
    (
        "CreateOrderRole",
        UNSEAL,
        On::SealedForMerchant("SecretsKey", "merchant-key"),
    ),
    (
        "ManageOrderRole",
        UNSEAL,
        On::Sealed("SecretsKey", "client-key"),
    ),
    ("ManageOrderRole", SIGN, On::Signer("MerchantSigningKey")),
    ("ManageOrderRole", SIGN, On::Signer("OtherSigner")),
    (
        "ManageOrderRole",
        UNSEAL,
        On::SealedForMerchant("SecretsKey", "merchant-key"),
    ),
    (
        "ReceiveCallbackRole",
        UNSEAL,
        On::SealedForMerchant("SecretsKey", "apiv3-key"),
    ),
    (
        "ProcessPaymentRole",
        UNSEAL,
        On::SealedForMerchant("SecretsKey", "apiv3-key"),
    ),
    ("ProcessPaymentRole", SEAL, On::Sealed("FieldsKey", "field")),
    ("ProcessPaymentRole", SIGN, On::Signer("MerchantSigningKey")),
    ("ProcessPaymentRole", SIGN, On::Signer("OtherSigner")),
    (
        "ProcessPaymentRole",
        UNSEAL,
        On::SealedForMerchant("SecretsKey", "merchant-key"),
    ),
    (
        "ReconcileRole",
        UNSEAL,
        On::SealedForMerchant("SecretsKey", "apiv3-key"),
    ),
    (
        "ReconcileRole",
        KEEP,
        On::Objects("EvidenceBucket", "bills/MCHID/"),
    ),
    ("ReconcileRole", LIST, On::Bucket("EvidenceBucket")),
    ("ReconcileRole", SIGN, On::Signer("MerchantSigningKey")),
    ("ReconcileRole", SIGN, On::Signer("OtherSigner")),
    (
        "ReconcileRole",
        UNSEAL,
        On::SealedForMerchant("SecretsKey", "merchant-key"),
    ),
    (
        "SendWebhookRole",
        UNSEAL,
        On::Sealed("SecretsKey", "webhook-secret"),
    ),
    ("ConsoleRole", MEASURE, On::Metrics),
    (
        "NotifyOperatorsRole",
        READ,
        On::Items("KeysTable", &["channels#MCHID"]),
    ),
    (
        "NotifyOperatorsRole",
        WRITE_DELETE,
        On::Items("GuardsTable", &["notified#MCHID#"]),
    ),
    (
        "NotifyOperatorsRole",
        READ_PUT,
        On::Items("GuardsTable", &["channel-rate#MCHID#"]),
    ),
    ("NotifyOperatorsRole", TAKE, On::Queue("NotificationsQueue")),
    (
        "NotifyOperatorsRole",
        UNSEAL,
        On::SealedForMerchant("SecretsKey", "operator-channel"),
    ),
    ("NotifyOperatorsRole", TELL, On::Topic("OperatorsTopicArn")),
    (
        "ForwardErrorsRole",
        READ,
        On::Items("KeysTable", &["log-sinks#MCHID"]),
    ),
    ("ForwardErrorsRole", SEND, On::Queue("ForwardErrorsDlq")),
    (
        "ForwardErrorsRole",
        UNSEAL,
        On::SealedForMerchant("SecretsKey", "log-sink"),
    ),
];
