//! The content of the keys table without secrets, for operators of a deployment.

use aws_sdk_dynamodb::types::AttributeValue;
use payments::model::permissions::Permissions;
use runtime::aws::AwsError;
use wechatpay::UnixSeconds;
use wechatpay::certificates::ends;
use wechatpay::verify::VerificationKeys;

use super::{
    KeysTable,
    certificates::OwnCertificates,
    error::KeysError,
    fields::{bytes, text, time},
    item::sealed_apiv3,
    merchant_keys::SealedApiV3Key,
    names::merchant_pk,
    permissions,
    verification::{VerificationEntry, VerificationKind},
};
use crate::attributes::Item;
use crate::attributes::number_of;

/// What a table holds. No secret is read for it but those that are sealed, and those are not shown.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// The merchant, if it was set up.
    pub merchant: Option<MerchantOverview>,
    /// The clients' keys, by their ids.
    pub clients: Vec<ClientOverview>,
    /// The webhooks, by their clients.
    pub webhooks: Vec<WebhookOverview>,
}

/// A merchant's item.
#[derive(Clone, Debug)]
pub struct MerchantOverview {
    /// WeChat Pay's keys as they are stored.
    pub verification: Vec<VerificationOverview>,
    /// Which of them requests ask answers to be signed with.
    pub response_serial: Option<String>,
    /// When WeChat Pay was last asked for its certificates and answered.
    pub certificates_fetched: Option<UnixSeconds>,
    /// The APIv3 keys, newest first.
    pub apiv3: Vec<ApiV3Overview>,
    /// The merchant's own certificates, by the keys that sign.
    pub certificates: OwnCertificates,
    /// Whether the merchant's private key is sealed in the item.
    pub has_sealed_key: bool,
    /// When it was sealed.
    pub key_sealed: Option<UnixSeconds>,
    /// Counts the changes of the item.
    pub version: Option<u64>,
}

/// An APIv3 key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ApiV3Overview {
    /// Counts the merchant's APIv3 keys.
    pub version: u32,
    /// When it was added.
    pub added: Option<UnixSeconds>,
}

/// One of WeChat Pay's keys.
#[derive(Clone, Debug)]
pub struct VerificationOverview {
    /// The key's id or the certificate's serial number; `None` if the entry cannot be read.
    pub id: Option<String>,
    /// Which of the two it is.
    pub kind: Option<VerificationKind>,
    /// Whether it can verify anything.
    pub is_usable: bool,
    /// When a certificate ends (Unix seconds).
    pub ends: Option<UnixSeconds>,
    /// When it was added.
    pub added: Option<UnixSeconds>,
}

/// A key of an API client.
#[derive(Clone, Debug)]
pub struct ClientOverview {
    /// The name by which requests choose it.
    pub keyid: String,
    /// Whose orders it may touch.
    pub client_id: Option<String>,
    /// What it signs with.
    pub algorithm: Option<String>,
    /// `active` or `revoked`.
    pub state: Option<String>,
    /// When it was registered.
    pub added: Option<UnixSeconds>,
    /// When it was revoked.
    pub revoked: Option<UnixSeconds>,
    /// Its own limit, if it has one.
    pub requests_per_s: Option<u32>,
    /// What it may do; an error says what is wrong with it.
    pub permissions: Result<Permissions, &'static str>,
}

/// A client's webhook.
#[derive(Clone, Debug)]
pub struct WebhookOverview {
    /// The client whose webhook it is.
    pub client_id: String,
    /// Scheme and host. Path and query may hold what lets one in.
    pub origin: Option<String>,
    /// How many secrets sign.
    pub secrets: usize,
    /// When each of them was made, newest first.
    pub secrets_made: Vec<Option<UnixSeconds>>,
    /// `active` or `disabled`.
    pub state: Option<String>,
    /// What put an end to it.
    pub why: Option<String>,
    pub since: Option<UnixSeconds>,
    /// Counts the changes of the item.
    pub version: Option<u64>,
}

impl KeysTable {
    /// Reads the whole table, for this merchant. Unseals nothing.
    ///
    /// # Errors
    /// DynamoDB does not read.
    pub async fn overview(&self) -> Result<Overview, KeysError> {
        let mut overview = Overview::default();
        let own = merchant_pk(&self.shared.mchid);
        let mut from = None;
        loop {
            let page = self
                .shared
                .client
                .scan()
                .table_name(&self.shared.table)
                .consistent_read(true)
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| KeysError::Table(AwsError::new("Scan", error)))?;
            for item in page.items.unwrap_or_default() {
                let pk = text(&item, "pk").unwrap_or_default();
                if pk == own {
                    overview.merchant = Some(merchant(&item));
                } else if let Some(keyid) = pk.strip_prefix("client#") {
                    overview.clients.push(client(&item, keyid));
                } else if let Some(client_id) = pk.strip_prefix("webhook#") {
                    overview.webhooks.push(webhook(&item, client_id));
                }
            }
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                break;
            }
        }
        overview.clients.sort_by(|a, b| a.keyid.cmp(&b.keyid));
        overview
            .webhooks
            .sort_by(|a, b| a.client_id.cmp(&b.client_id));
        Ok(overview)
    }
}

fn merchant(item: &Item) -> MerchantOverview {
    let stored = item.get("verification").and_then(|value| value.as_l().ok());
    let signer = item.get("signer").and_then(|value| value.as_m().ok());
    let apiv3 = sealed_apiv3(item).unwrap_or_default();
    MerchantOverview {
        verification: stored.into_iter().flatten().map(verification).collect(),
        response_serial: text(item, "response_serial"),
        certificates_fetched: time(item, "certificates_fetched_at"),
        apiv3: apiv3.iter().map(apiv3_key).collect(),
        certificates: signer.map(OwnCertificates::read).unwrap_or_default(),
        has_sealed_key: signer.is_some_and(|signer| bytes(signer, "sealed").is_some()),
        key_sealed: signer.and_then(|signer| time(signer, "sealed_at")),
        version: number_of(item, "version"),
    }
}

fn apiv3_key(key: &SealedApiV3Key) -> ApiV3Overview {
    ApiV3Overview {
        version: key.version,
        added: key.added_at,
    }
}

fn verification(stored: &AttributeValue) -> VerificationOverview {
    let fields = stored.as_m().ok();
    let added = fields.and_then(|fields| time(fields, "added_at"));
    let Some(entry) = VerificationEntry::read(stored) else {
        return VerificationOverview {
            id: fields.and_then(|fields| text(fields, "id")),
            kind: None,
            is_usable: false,
            ends: None,
            added,
        };
    };
    let ends = match entry.kind {
        VerificationKind::Certificate => ends(&entry.pem).ok(),
        VerificationKind::PublicKey => None,
    };
    VerificationOverview {
        is_usable: entry.load(&mut VerificationKeys::new()).is_ok(),
        kind: Some(entry.kind),
        id: Some(entry.id),
        ends,
        added,
    }
}

fn client(item: &Item, keyid: &str) -> ClientOverview {
    ClientOverview {
        keyid: keyid.to_owned(),
        client_id: text(item, "client_id"),
        algorithm: text(item, "algorithm"),
        state: text(item, "state"),
        added: time(item, "added_at"),
        revoked: time(item, "revoked_at"),
        requests_per_s: number_of(item, "requests_per_s"),
        permissions: permissions::read(item),
    }
}

fn webhook(item: &Item, client_id: &str) -> WebhookOverview {
    let secrets = item.get("secrets").and_then(|value| value.as_l().ok());
    WebhookOverview {
        client_id: client_id.to_owned(),
        origin: text(item, "url").as_deref().and_then(origin),
        secrets: secrets.map_or(0, Vec::len),
        secrets_made: super::webhook::item::secrets_made(item),
        state: text(item, "state"),
        why: text(item, "why"),
        since: number_of(item, "since").map(UnixSeconds),
        version: number_of(item, "version"),
    }
}

/// `https://host:port`, without the rest of the URL.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    Some(format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_of_a_webhook_s_url_is_shown() {
        for (url, shown) in [
            (
                "https://shop.example/hooks?token=t0k3n",
                "https://shop.example",
            ),
            ("https://shop.example:8443", "https://shop.example:8443"),
            ("https://u:p@shop.example/x", "https://shop.example"),
            ("https://shop.example?t=1", "https://shop.example"),
        ] {
            assert_eq!(origin(url).as_deref(), Some(shown));
        }
        assert_eq!(origin("shop.example"), None);
    }
}
