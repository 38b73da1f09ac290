//! The keys of clients and the secrets of their webhooks.

use stores::keys_table::overview::{ClientOverview, WebhookOverview};
use wechatpay::UnixSeconds;

use super::key::{KeyStatus, old, time};

pub(super) fn client_key(client: &ClientOverview, now: UnixSeconds) -> KeyStatus {
    let ClientOverview { keyid, .. } = client;
    let whose = client.client_id.as_deref().unwrap_or("nobody");
    let algorithm = client.algorithm.as_deref().unwrap_or("unknown");
    let is_active = client.state.as_deref() == Some("active");
    let mut state = format!(
        "{} of {whose}, {algorithm}",
        client.state.as_deref().unwrap_or("damaged")
    );
    if let Some(revoked) = client.revoked {
        state = format!("{state}, revoked {}", time(revoked));
    }
    let added = client.added.filter(|_| is_active);
    KeyStatus {
        kind: "client-key",
        id: keyid.clone(),
        state,
        made: client.added,
        ends: None,
        finding: old(
            now,
            added,
            "client-key-old",
            &format!("The key {keyid} of {whose}"),
            || {
                format!(
                    "cargo client setup client with a new --keyid and --client-id {whose}; when the client has moved over, \
                 cargo client setup revoke --keyid {keyid}"
                )
            },
        ),
    }
}

/// The secrets of a client's webhook, the newest first: all of them sign.
pub(super) fn secrets(webhook: &WebhookOverview, now: UnixSeconds) -> Vec<KeyStatus> {
    let whose = &webhook.client_id;
    let state = webhook.state.as_deref().unwrap_or("damaged");
    let is_active = state == "active";
    let statuses = webhook.secrets_made.iter().enumerate().map(|(place, made)| {
        let is_newest = place == 0;
        let made_of_newest = made.filter(|_| is_newest && is_active);
        KeyStatus {
            kind: "webhook-secret",
            id: whose.clone(),
            state: match is_newest {
                true => format!("{state}, the newest"),
                false => format!("{state}, the one before, which signs until the next new one is made"),
            },
            made: *made,
            ends: None,
            finding: old(now, made_of_newest, "webhook-secret-old", &format!("The secret of {whose}'s webhook"), || {
                format!("cargo client setup webhook --client {whose} --new-secret --secret-to FILE")
            }),
        }
    });
    statuses.collect()
}
