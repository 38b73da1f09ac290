//! The deployment for the functions: names, keys and the environment of each process.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::wechat::{APIV3_KEY, APPID, MCHID, PUBLIC_KEY_ID, RsaKey, Wechat};

/// Environment variables by name.
pub(crate) type Environment = BTreeMap<String, String>;

/// The API client of the benchmarks, and its secret.
pub(crate) const CLIENT_KEYID: &str = "measure-1";
pub(crate) const CLIENT_SECRET: &[u8; 32] = b"a secret that everybody may know";
/// Where the merchant API is, as its callers see it.
pub(crate) const AUTHORITY: &str = "api.example.com";

pub(crate) const ORDERS_TABLE: &str = "orders";
pub(crate) const KEYS_TABLE: &str = "keys";
pub(crate) const RESULTS_QUEUE_ARN: &str = "arn:aws:sqs:us-east-1:000000000000:payment-results";
/// The queue that feeds `send-webhook`.
pub(crate) const WEBHOOKS_QUEUE_ARN: &str = "arn:aws:sqs:us-east-1:000000000000:webhooks";

/// Who signs for the merchant: the setting `MERCHANT_SIGNER`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signer {
    /// A key in KMS.
    Kms,
    /// A key that was unsealed into the sandbox.
    Sealed,
}

/// The environment of `name`, with AWS and WeChat Pay at `services` and the Runtime API at
/// `runtime_api`.
pub(crate) fn environment(
    name: &str,
    services: &str,
    runtime_api: &str,
    signer: Signer,
) -> Environment {
    let queue = |name: &str| format!("{services}/000000000000/{name}");
    let signer = match signer {
        Signer::Kms => "kms",
        Signer::Sealed => "sealed",
    };
    let (requests, results) = (queue("payment-requests"), queue("payment-results"));
    let webhooks = queue("webhooks");
    let work = queue("reconcile-work");
    let pairs = [
        ("AWS_LAMBDA_RUNTIME_API", runtime_api),
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/measured"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "measured"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "ASIAMEASURE000000000"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "token"),
        ("AWS_ENDPOINT_URL", services),
        ("KEYS_TABLE", KEYS_TABLE),
        ("ORDERS_TABLE", ORDERS_TABLE),
        ("GUARDS_TABLE", "guards"),
        ("NOTICES_TABLE", "notices"),
        ("UNDELIVERED_EVENTS_TABLE", "undelivered-events"),
        ("SECRETS_KEY_ID", "secrets"),
        ("FIELDS_KEY_ID", "fields"),
        ("MERCHANT_SIGNING_KEY_ID", "merchant"),
        ("MERCHANT_SIGNER", signer),
        ("WECHATPAY_MCHID", MCHID),
        ("WECHATPAY_APPIDS", APPID),
        ("WECHATPAY_BASE_URL", services),
        ("WECHATPAY_BACKUP_URL", services),
        // What is measured is how fast a function can be, not how fast it may be.
        ("WECHATPAY_CALLS_PER_S", "10000"),
        ("MERCHANT_SIGNATURES_PER_S", "10000"),
        ("CLIENT_REQUESTS_PER_S", "10000"),
        (
            "NOTIFY_URL",
            "https://api.example.com/v1/callbacks/wechatpay",
        ),
        ("PAYMENT_REQUESTS_QUEUE_URL", &requests),
        ("PAYMENT_RESULTS_QUEUE_URL", &results),
        ("WEBHOOKS_QUEUE_URL", &webhooks),
        ("WEBHOOK_ALLOW_LOOPBACK", "true"),
        ("RECONCILIATION_TABLE", "reconciliation"),
        ("RECONCILE_WORK_QUEUE_URL", &work),
        ("RECONCILE_REPAIRS", "true"),
        ("RECONCILE_TODAY", "false"),
        ("EVIDENCE_BUCKET", "evidence"),
        ("CONSOLE_AUTH", "loopback"),
    ];
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The secrets that KMS opens in this deployment: sealed form (Base64) to plain form (Base64).
pub(crate) fn secrets(merchant: &RsaKey) -> BTreeMap<String, String> {
    let pair = |sealed: &str, plain: &[u8]| (BASE64.encode(sealed), BASE64.encode(plain));
    BTreeMap::from([
        pair(SEALED_APIV3, APIV3_KEY.as_bytes()),
        pair(SEALED_CLIENT_SECRET, CLIENT_SECRET),
        pair(SEALED_MERCHANT_KEY, &merchant.pkcs8),
        pair(SEALED_DATA_KEY, &DATA_KEY),
    ])
}

const SEALED_APIV3: &str = "the APIv3 key, sealed";
const SEALED_CLIENT_SECRET: &str = "the client's secret, sealed";
const SEALED_MERCHANT_KEY: &str = "the merchant key, sealed";
const SEALED_DATA_KEY: &str = "the data key of fields, sealed";
const DATA_KEY: [u8; 32] = [7; 32];

/// What KMS answers to `GenerateDataKey`.
pub(crate) fn data_key() -> Value {
    json!({"KeyId": "fields", "Plaintext": BASE64.encode(DATA_KEY), "CiphertextBlob": BASE64.encode(SEALED_DATA_KEY)})
}

/// The items of the keys table by their `pk`, in DynamoDB's JSON.
pub(crate) fn key_items(wechat: &Wechat) -> BTreeMap<String, Value> {
    let merchant = json!({
        "pk": {"S": format!("merchant#{MCHID}")},
        "version": {"N": "1"},
        "verification": {"L": [{"M": {
            "id": {"S": PUBLIC_KEY_ID}, "kind": {"S": "public_key"}, "pem": {"S": wechat.key.public_pem()},
        }}]},
        "response_serial": {"S": PUBLIC_KEY_ID},
        "apiv3": {"L": [{"M": {"version": {"N": "1"}, "sealed": {"B": BASE64.encode(SEALED_APIV3)}}}]},
        "signer": {"M": {
            "serial_no": {"S": "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB"},
            "sealed": {"B": BASE64.encode(SEALED_MERCHANT_KEY)},
        }},
    });
    let client = json!({
        "pk": {"S": format!("client#{CLIENT_KEYID}")},
        "client_id": {"S": "measure"},
        "algorithm": {"S": "hmac-sha256"},
        "sealed_secret": {"B": BASE64.encode(SEALED_CLIENT_SECRET)},
        "state": {"S": "active"},
    });
    BTreeMap::from([
        (format!("merchant#{MCHID}"), merchant),
        (format!("client#{CLIENT_KEYID}"), client),
    ])
}
