//! How keys are stored.
//!
//! | Item | Attributes |
//! |---|---|
//! | `merchant#<mchid>` | `version` N; `verification` L of M { `id` S, `kind` S (`public_key`, `certificate`), `pem` S, `added_at` N }; `response_serial` S; `certificates_fetched_at` N; `apiv3` L of M { `version` N, `sealed` B, `added_at` N }, newest first; `signer` M { `sealed` B (PKCS#8, only for the sealed signer), `sealed_at` N, `certificates` M of M { `serial_no` S, `not_before` N, `not_after` N } by `sealed`, the id of a KMS key, or `*` for keys that have none, `certificates_written_beside` M, and for versions before these two `serial_no` S, `not_before` N, `not_after` N } |
//! | `client#<keyid>` | `client_id` S; `algorithm` S; `sealed_secret` B (for `hmac-sha256`) or `public_key` S (PEM); `state` S (`active`, `revoked`); `added_at` N; `revoked_at` N; `requests_per_s` N, only where its limit is not that of the settings; `scopes` L of S, which keys of earlier versions do not have; `order_max_fen` N, `refund_max_fen` N, where it has such a limit |
//! | `webhook#<client_id>` | see [`super::webhook`] |
//!
//! Times are Unix seconds. What earlier versions stored has none, and the end of a certificate is
//! not known where only its number was registered.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use message_signatures::{Algorithm, VerifyingKey};
use tokio::sync::OnceCell;
use wechatpay::UnixSeconds;
use wechatpay::verify::VerificationKeys;

use crate::attributes::{Item, number, number_of};

use super::{
    certificates::OwnCertificates,
    error::KeysError,
    fields::{bytes, text, time},
    merchant_keys::{ClientKey, MerchantKeys, SealedApiV3Key},
    names::{client_context, merchant_pk},
    permissions,
    secret_cache::SecretCache,
    verification::VerificationEntry,
};

/// The merchant's keys, with nothing unsealed yet. One verification key that cannot be read does
/// not put the others out of use; all of them unreadable does.
pub(super) fn merchant(
    item: &Item,
    mchid: &str,
    vault: &SecretCache,
) -> Result<MerchantKeys, KeysError> {
    let damaged = |what| KeysError::Damaged {
        pk: merchant_pk(mchid),
        what,
    };
    let stored = item.get("verification").and_then(|value| value.as_l().ok());
    let stored = stored.ok_or_else(|| damaged("it has no list `verification`"))?;
    let entries: Vec<VerificationEntry> =
        stored.iter().filter_map(VerificationEntry::read).collect();
    if entries.len() < stored.len() {
        tracing::warn!(
            mchid,
            "the keys table holds a verification key without id, kind or pem; it is left out"
        );
    }
    let mut verification = VerificationKeys::new();
    for entry in &entries {
        if let Err(cause) = entry.load(&mut verification) {
            let cause: &dyn std::error::Error = &cause;
            tracing::warn!(
                mchid,
                serial = entry.id,
                cause,
                "a verification key cannot be read; it is left out"
            );
        }
    }
    if verification.is_empty() {
        return Err(damaged("none of its verification keys can be read"));
    }
    let signer = item.get("signer").and_then(|value| value.as_m().ok());
    let signer = signer.ok_or_else(|| damaged("it has no map `signer`"))?;
    Ok(MerchantKeys {
        verification,
        entries,
        stored_entries: stored.clone(),
        response_serial: text(item, "response_serial")
            .ok_or_else(|| damaged("it has no `response_serial`"))?,
        certificates: match text(signer, "serial_no") {
            Some(_) => OwnCertificates::read(signer),
            None => return Err(damaged("its `signer` has no `serial_no`")),
        },
        version: number_of(item, "version").ok_or_else(|| damaged("it has no `version`"))?,
        mchid: mchid.to_owned(),
        sealed_apiv3: sealed_apiv3(item)
            .ok_or_else(|| damaged("its APIv3 keys are not stored as they should be"))?,
        sealed_signer: bytes(signer, "sealed"),
        apiv3: OnceCell::new(),
        local_key: OnceCell::new(),
        vault: vault.clone(),
    })
}

/// A client's key, unsealed if it is a secret; `None` if it was revoked.
pub(super) async fn client(
    item: &Item,
    pk: String,
    keyid: &str,
    vault: &SecretCache,
) -> Result<Option<ClientKey>, KeysError> {
    let damaged = |what| KeysError::Damaged {
        pk: pk.clone(),
        what,
    };
    match text(item, "state").as_deref() {
        Some("active") => {}
        Some("revoked") => return Ok(None),
        Some(_) | None => return Err(damaged("its `state` is neither active nor revoked")),
    }
    let client_id = text(item, "client_id").ok_or_else(|| damaged("it has no `client_id`"))?;
    let algorithm = text(item, "algorithm").and_then(|name| Algorithm::parse(&name));
    let key = match algorithm.ok_or_else(|| damaged("its `algorithm` is unknown"))? {
        Algorithm::HmacSha256 => {
            let sealed =
                bytes(item, "sealed_secret").ok_or_else(|| damaged("it has no `sealed_secret`"))?;
            let secret = vault.unseal(&pk, &client_context(keyid), &sealed).await?;
            VerifyingKey::from_secret(&secret)
        }
        algorithm @ (Algorithm::RsaV15Sha256 | Algorithm::Ed25519) => {
            let pem = text(item, "public_key").ok_or_else(|| damaged("it has no `public_key`"))?;
            VerifyingKey::from_public_key_pem(algorithm, &pem)
        }
    };
    let key = key.map_err(|source| KeysError::NotAKey {
        pk: pk.clone(),
        what: "the client's key",
        source: source.into(),
    })?;
    Ok(Some(ClientKey {
        client_id,
        permissions: permissions::read(item).map_err(damaged)?,
        keyid: keyid.to_owned(),
        key,
        // Out of range it is as good as absent: a limit is no reason to shut a client out.
        requests_per_s: number_of(item, "requests_per_s")
            .filter(|per_s| ClientKey::REQUESTS_PER_S.contains(per_s)),
    }))
}

/// Whether a stored entry has this id, also one that cannot be read.
pub(super) fn is_of(stored: &AttributeValue, id: &str) -> bool {
    let fields = stored.as_m().ok();
    let own = fields.and_then(|fields| text(fields, "id"));
    own.is_some_and(|own| own.eq_ignore_ascii_case(id))
}

/// The entry as it is to be stored: unchanged if it is stored already, with what a later version
/// added to it, else as one that was added now.
pub(super) fn kept_or_added(
    stored: &[AttributeValue],
    entry: &VerificationEntry,
    now: UnixSeconds,
) -> AttributeValue {
    let is_same = |value: &&AttributeValue| VerificationEntry::read(value).as_ref() == Some(entry);
    let kept = stored.iter().find(is_same);
    kept.cloned().unwrap_or_else(|| entry.added(now))
}

pub(super) fn apiv3_value(keys: &[SealedApiV3Key]) -> AttributeValue {
    let stored = keys.iter().map(|key| {
        let mut fields = Item::from([
            ("version".to_owned(), number(key.version)),
            (
                "sealed".to_owned(),
                AttributeValue::B(Blob::new(key.ciphertext.as_slice())),
            ),
        ]);
        if let Some(added_at) = key.added_at {
            fields.insert("added_at".to_owned(), number(added_at.0));
        }
        AttributeValue::M(fields)
    });
    AttributeValue::L(stored.collect())
}

pub(super) fn sealed_apiv3(item: &Item) -> Option<Vec<SealedApiV3Key>> {
    let stored = item.get("apiv3")?.as_l().ok()?;
    stored
        .iter()
        .map(|value| {
            let fields = value.as_m().ok()?;
            Some(SealedApiV3Key {
                version: number_of(fields, "version")?,
                ciphertext: bytes(fields, "sealed")?,
                added_at: time(fields, "added_at"),
            })
        })
        .collect()
}
