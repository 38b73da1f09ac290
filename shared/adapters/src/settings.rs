//! Settings that several functions share, read in groups. Each function's own `settings.rs` picks
//! the groups it needs; all that is missing or malformed is reported at once.

use payments::model::merchant::MerchantFacts;

use crate::{
    env::Reader,
    keys_table::SignWith,
    notify_url::{self, is_local},
    wechat_api::{Hosts, Limits},
};

/// The keys: their table and the KMS key that seals secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeysSettings {
    /// `KEYS_TABLE`.
    pub table: String,
    /// `SECRETS_KEY_ID`.
    pub secrets_key_id: String,
}

impl KeysSettings {
    /// Reads the group.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let table = reader.required("KEYS_TABLE", "the name of the keys table");
        let secrets_key_id = reader.required(
            "SECRETS_KEY_ID",
            "the id or ARN of the KMS key that seals secrets",
        );
        Some(Self {
            table: table?,
            secrets_key_id: secrets_key_id?,
        })
    }
}

/// WeChat Pay: where it is, how we sign, and how often.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WechatSettings {
    /// `WECHATPAY_BASE_URL` and `WECHATPAY_BACKUP_URL`.
    pub hosts: Hosts,
    /// `MERCHANT_SIGNER`, with `MERCHANT_SIGNING_KEY_ID` when it is `kms`.
    pub sign_with: SignWith,
    /// `WECHATPAY_CALLS_PER_S`, `WECHATPAY_REFUNDS_PER_S` and `MERCHANT_SIGNATURES_PER_S`.
    pub limits: Limits,
}

impl WechatSettings {
    /// Reads the group.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let expected = "an https URL without a path (http only on loopback, for the simulator)";
        let host = |reader: &mut Reader<'_>, name, default: &str| {
            reader.parsed_or(name, expected, default.to_owned(), |url| {
                let host = url.trim_end_matches('/');
                (secure_or_loopback(host) && host.matches('/').count() == 2)
                    .then(|| host.to_owned())
            })
        };
        let main = host(
            reader,
            "WECHATPAY_BASE_URL",
            "https://api.mch.weixin.qq.com",
        );
        let backup = host(
            reader,
            "WECHATPAY_BACKUP_URL",
            "https://api2.mch.weixin.qq.com",
        );
        let by_kms = reader.choice(
            "MERCHANT_SIGNER",
            "`kms` or `sealed`",
            &[("kms", true), ("sealed", false)],
        );
        let sign_with = match by_kms {
            Some(true) => reader
                .required(
                    "MERCHANT_SIGNING_KEY_ID",
                    "the id or ARN of the merchant's RSA key in KMS (MERCHANT_SIGNER is kms)",
                )
                .map(|key_id| SignWith::Kms { key_id }),
            Some(false) => Some(SignWith::Sealed),
            None => None,
        };
        let per_s = |reader: &mut Reader<'_>, name, default| {
            reader.parsed_or(
                name,
                "1 to 10000 a second for each sandbox",
                default,
                |text| {
                    text.parse()
                        .ok()
                        .filter(|per_s| (1..=10_000).contains(per_s))
                },
            )
        };
        let calls_per_s = per_s(reader, "WECHATPAY_CALLS_PER_S", CALLS_PER_S);
        let refunds_per_s = per_s(reader, "WECHATPAY_REFUNDS_PER_S", REFUNDS_PER_S);
        // Each call takes one signature: the default is the same number, so that only the limit on
        // calls matters.
        let default = calls_per_s.unwrap_or(CALLS_PER_S);
        let signatures_per_s = per_s(reader, "MERCHANT_SIGNATURES_PER_S", default);
        Some(Self {
            hosts: Hosts {
                main: main?,
                backup: backup?,
            },
            sign_with: sign_with?,
            limits: Limits {
                calls_per_s: calls_per_s?,
                refunds_per_s: refunds_per_s?,
                signatures_per_s: signatures_per_s?,
            },
        })
    }
}

/// Default calls to WeChat Pay a second per sandbox: six sandboxes at once (the batches of
/// payment-requests and the sweep) stay within the limit of 300 refund queries a second
/// (shared/wechatpay/PROTOCOL.md, 10), the lowest limit on queries. A sandbox that takes one
/// request at a time stays far below it. With more sandboxes the setting must be lower:
/// `template.yaml` says how. KMS makes 500 to 1,000 signatures a second for a whole account, one
/// for each call; a merchant that needs more uses a sealed key.
const CALLS_PER_S: u32 = 50;
/// Default refund requests a second: WeChat Pay accepts 150. It accepts only 6 failing ones, which
/// no rate limit can ensure beforehand: after the first failure for lack of balance all of the
/// merchant's refunds are paused.
const REFUNDS_PER_S: u32 = 25;

/// Settings of every function that changes orders and calls WeChat Pay.
#[derive(Clone, Debug)]
pub struct CoreSettings {
    /// The keys.
    pub keys: KeysSettings,
    /// WeChat Pay.
    pub wechat: WechatSettings,
    /// `WECHATPAY_MCHID` and `NOTIFY_URL`.
    pub facts: MerchantFacts,
    /// `ORDERS_TABLE`.
    pub orders_table: String,
    /// `GUARDS_TABLE`.
    pub guards_table: String,
    /// `NOTICES_TABLE`.
    pub notices_table: String,
    /// `PAYMENT_REQUESTS_QUEUE_URL`.
    pub payment_requests_url: String,
}

impl CoreSettings {
    /// Reads the group.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let keys = KeysSettings::read(reader);
        let wechat = WechatSettings::read(reader);
        let mchid = mchid(reader);
        let notify_url = notify_url(reader);
        let orders_table = reader.required("ORDERS_TABLE", "the name of the orders table");
        let guards_table = reader.required("GUARDS_TABLE", "the name of the guards table");
        let notices_table = notices_table(reader);
        let payment_requests_url = reader.required(
            "PAYMENT_REQUESTS_QUEUE_URL",
            "the URL of the queue payment-requests",
        );
        Some(Self {
            keys: keys?,
            wechat: wechat?,
            facts: MerchantFacts {
                mchid: mchid?,
                notify_url: notify_url?,
            },
            orders_table: orders_table?,
            guards_table: guards_table?,
            notices_table: notices_table?,
            payment_requests_url: payment_requests_url?,
        })
    }
}

/// Reads `NOTICES_TABLE`.
pub fn notices_table(reader: &mut Reader<'_>) -> Option<String> {
    reader.required("NOTICES_TABLE", "the name of the notices table")
}

/// Reads `UNDELIVERED_EVENTS_TABLE`.
pub fn undelivered_events_table(reader: &mut Reader<'_>) -> Option<String> {
    reader.required(
        "UNDELIVERED_EVENTS_TABLE",
        "the name of the table of undelivered events",
    )
}

/// Reads `FIELDS_KEY_ID`.
pub fn fields_key_id(reader: &mut Reader<'_>) -> Option<String> {
    reader.required(
        "FIELDS_KEY_ID",
        "the id or ARN of the KMS key that seals personal fields",
    )
}

/// Reads `WECHATPAY_MCHID`.
pub fn mchid(reader: &mut Reader<'_>) -> Option<String> {
    reader.parsed(
        "WECHATPAY_MCHID",
        "the merchant number, 8 to 10 digits",
        |text| {
            let digits =
                (8..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.to_owned())
        },
    )
}

/// Reads `WECHATPAY_APPIDS`: the appids that orders may be made for, the default first.
pub fn appids(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    reader.parsed(
        "WECHATPAY_APPIDS",
        "one appid or more, separated by commas, the default first",
        |text| {
            let appids: Vec<String> = text
                .split(',')
                .map(|appid| appid.trim().to_owned())
                .collect();
            appids
                .iter()
                .all(|appid| (1..=32).contains(&appid.len()))
                .then_some(appids)
        },
    )
}

/// Reads `NOTIFY_URL`: where WeChat Pay sends its callbacks.
pub fn notify_url(reader: &mut Reader<'_>) -> Option<String> {
    reader.judged("NOTIFY_URL", notify_url::EXPECTED, notify_url::validate)
}

/// Plain HTTP is for a simulator on this very machine; money travels by HTTPS.
fn secure_or_loopback(url: &str) -> bool {
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return false;
    }
    if url.contains('@') {
        return false; // some parsers would read the text before it as the host, others as a user
    }
    let Some(rest) = url.strip_prefix("http://") else {
        return url
            .strip_prefix("https://")
            .is_some_and(|rest| !rest.is_empty());
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    is_local(host)
}
