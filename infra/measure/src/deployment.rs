//! The deployment for the functions: names, keys and the environment of each process.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use testbed::environment::{self, Environment, FIELDS_KEY_ID};
use testbed::{APIV3_KEY, MCHID, MERCHANT_SERIAL, RsaKey, Tables};

use crate::wechat::{PUBLIC_KEY_ID, Wechat};

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
    let signer = match signer {
        Signer::Kms => "kms",
        Signer::Sealed => "sealed",
    };
    let more = [
        ("AWS_LAMBDA_RUNTIME_API", runtime_api),
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/measured"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "measured"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        // As long as Lambda's.
        ("AWS_ACCESS_KEY_ID", "ASIAMEASURE000000000"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "token"),
        ("AWS_ENDPOINT_URL", services),
        ("MERCHANT_SIGNER", signer),
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
        ("WEBHOOK_ALLOW_LOOPBACK", "true"),
        ("RECONCILE_TODAY", "false"),
        ("CONSOLE_AUTH", "loopback"),
    ];
    environment::environment(&Tables::named(""), services, &more)
}

/// The secrets that KMS opens in this deployment: sealed form (Base64) to plain form (Base64).
pub(crate) fn secrets(merchant: &RsaKey) -> BTreeMap<String, String> {
    let pair = |sealed: &str, plain: &[u8]| (BASE64.encode(sealed), BASE64.encode(plain));
    BTreeMap::from([
        pair(SEALED_APIV3, APIV3_KEY.as_bytes()),
        pair(SEALED_CLIENT_SECRET, CLIENT_SECRET),
        pair(SEALED_MERCHANT_KEY, &merchant.pkcs8()),
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
    json!({"KeyId": FIELDS_KEY_ID, "Plaintext": BASE64.encode(DATA_KEY), "CiphertextBlob": BASE64.encode(SEALED_DATA_KEY)})
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
            "serial_no": {"S": MERCHANT_SERIAL},
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
