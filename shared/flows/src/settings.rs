//! Settings of functions that change orders and call WeChat Pay. Each function's own `settings.rs`
//! adds what it alone needs; all that is missing or malformed is reported at once.

use payments::model::merchant::MerchantFacts;
use runtime::{aws::AwsSettings, env::SettingsReader, net::Reach};
use stores::keys_table::ClientKey;
use stores::settings::{KeysSettings, guards_table, mchid, notices_table, orders_table};
use wechat_client::{api::WechatSettings, notify_url};

/// Settings of every function that changes orders and calls WeChat Pay.
#[derive(Clone, Debug)]
pub struct CoreSettings {
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
    pub fn read(reader: &mut SettingsReader<'_>) -> Option<Self> {
        let keys = KeysSettings::read(reader);
        let wechat = WechatSettings::read(reader);
        let mchid = mchid(reader);
        let notify_url = notify_url::read(reader);
        let orders_table = orders_table(reader);
        let guards_table = guards_table(reader);
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

/// Reads `CLIENT_REQUESTS_PER_S`: how many requests a second each client's key may send to the
/// function.
pub fn client_requests_per_s(reader: &mut SettingsReader<'_>) -> Option<u32> {
    reader.parsed_or(
        "CLIENT_REQUESTS_PER_S",
        "1 to 10000 requests a second",
        100,
        |text| {
            let per_s = text.parse().ok();
            per_s.filter(|per_s| ClientKey::REQUESTS_PER_S.contains(per_s))
        },
    )
}

/// Reads `WEBHOOK_ALLOW_LOOPBACK`: where receivers of webhooks may be. On this machine, and without
/// TLS, only where AWS is an engine on this machine too: on AWS a webhook's address could reach
/// what is meant to be out of reach.
pub fn webhook_reach(reader: &mut SettingsReader<'_>, aws: Option<&AwsSettings>) -> Option<Reach> {
    const NAME: &str = "WEBHOOK_ALLOW_LOOPBACK";
    let reach = reader.parsed_or(
        NAME,
        "`true` on a local stack, else `false`",
        Reach::Public,
        |word| match word {
            "true" => Some(Reach::PublicAndLoopback),
            "false" => Some(Reach::Public),
            _ => None,
        },
    )?;
    let is_here = aws.is_some_and(AwsSettings::is_on_this_machine);
    match reach {
        Reach::PublicAndLoopback if !is_here => {
            reader.malformed(
                NAME,
                "`false`: `true` lets webhooks reach this machine itself, so it needs AWS_ENDPOINT_URL to point to an engine on this machine",
            );
            None
        }
        Reach::PublicAndLoopback | Reach::Public => Some(reach),
    }
}

/// Reads `WECHATPAY_APPIDS`: the appids that orders may be made for, the default first.
pub fn appids(reader: &mut SettingsReader<'_>) -> Option<Vec<String>> {
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
