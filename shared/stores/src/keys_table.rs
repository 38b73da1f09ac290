//! The `keys` table: whose signatures we trust and which secrets open what WeChat Pay sends.
//!
//! `merchant#<mchid>` holds WeChat Pay's verification keys, the sealed APIv3 keys and what belongs
//! to the merchant's own keys; `client#<keyid>` holds one key of an API client;
//! `webhook#<client_id>` holds a client's webhook URL, and the secrets that sign its webhooks;
//! `channels#<mchid>` how people on call are told of alarms ([`channels`]); `log-sinks#<mchid>` the
//! systems that log lines are forwarded to ([`log_sinks`]). All are read when first needed and
//! cached for a minute, so that an added or revoked key takes effect everywhere within a minute,
//! and a busy sandbox reads them once a minute.
//!
//! Secrets are unsealed only by the function that asks for them ([`MerchantKeys::apiv3`],
//! [`MerchantKeys::signer`], [`KeysTable::client_key`], [`KeysTable::webhook`]), since each
//! function's role may unseal only some, and once for each sandbox. Their KMS contexts are
//! `{purpose: apiv3-key, mchid, version}`, `{purpose: merchant-key, mchid}`, `{purpose: client-key,
//! keyid}` and `{purpose: webhook-secret, client_id}`.

mod certificates;
pub mod change;
pub mod channels;
pub mod client_keys;
mod endpoint;
mod error;
mod fields;
mod item;
pub mod log_sinks;
mod merchant_keys;
mod names;
pub mod overview;
mod permissions;
mod secret_cache;
mod source;
mod unknown_serials;
mod verification;
pub mod webhook;
pub mod write;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use runtime::{
    aws::AwsError,
    cache::{Memo, TimedCache},
    clock::Clock,
    kms::Kms,
};
use tokio::sync::Mutex;

use crate::attributes::Item;
use names::{client_pk, is_keyid, merchant_pk};
use secret_cache::SecretCache;

pub use certificates::{OwnCertificate, OwnCertificates};
pub use endpoint::{Endpoint, StoredUrl, Webhook};
pub use error::KeysError;
pub use merchant_keys::{ClientKey, MerchantKeys};
pub use unknown_serials::UnknownSerials;
pub use verification::{VerificationEntry, VerificationKind};

/// How long a key that was read is used without reading it again.
const FRESH_MS: i64 = 60_000;
/// The shortest time between two readings that unknown serials cause. WeChat Pay repeats a callback
/// after 15 s.
const REFRESH_EVERY_MS: i64 = 5_000;
/// How long cached keys are used while they cannot be read again.
const STALE_MAX_MS: i64 = 15 * 60_000;
/// The pause after a failed reading while there are cached keys. Each try may cost an invocation
/// seconds that it does not need to spend.
const RETRY_AFTER_MS: i64 = 10_000;
/// How long an unknown key id is remembered as unknown.
const MISSING_MS: i64 = 5_000;
/// How many client keys a sandbox caches.
const CLIENT_KEYS_MAX: usize = 1024;
/// How many unknown key ids a sandbox remembers. They have a cache of their own, so that a flood of
/// made-up ids evicts no client, and takes a bounded amount of memory.
const MISSING_MAX: usize = 1024;
/// How many clients' webhooks a sandbox caches.
const WEBHOOKS_MAX: usize = 1024;
/// How many unsealed secrets a sandbox caches.
const SECRETS_MAX: usize = 2048;
/// Reads and writes the `keys` table for one merchant. Clones share what was read.
#[derive(Clone, Debug)]
pub struct KeysTable {
    shared: Arc<Shared>,
    /// See [`KeysTable::for_callbacks`].
    callbacks_within: Option<Duration>,
    /// See [`KeysTable::reporting_to`].
    unknown_serials: Option<UnknownSerials>,
}

#[derive(Debug)]
struct Shared {
    client: aws_sdk_dynamodb::Client,
    table: String,
    mchid: String,
    vault: SecretCache,
    clock: Clock,
    merchant: Mutex<MerchantCache>,
    clients: TimedCache<String, Arc<ClientKey>>,
    missing: TimedCache<String, ()>,
    webhooks: TimedCache<String, Option<Arc<Webhook>>>,
    channels: TimedCache<(), Vec<channels::Channel>>,
    log_sinks: TimedCache<(), Vec<log_sinks::StoredSink>>,
}

impl KeysTable {
    /// Reads `table` for the merchant `mchid`; secrets are sealed under the KMS key
    /// `secrets_key_id`. Makes no call yet.
    pub fn new(
        client: aws_sdk_dynamodb::Client,
        table: impl Into<String>,
        mchid: impl Into<String>,
        kms: Kms,
        secrets_key_id: impl Into<String>,
        clock: Clock,
    ) -> Self {
        let shared = Arc::new(Shared {
            client,
            table: table.into(),
            mchid: mchid.into(),
            vault: SecretCache {
                kms,
                key_id: secrets_key_id.into(),
                opened: Arc::new(Memo::new(SECRETS_MAX)),
            },
            clock,
            merchant: Mutex::new(MerchantCache::default()),
            clients: TimedCache::new(CLIENT_KEYS_MAX),
            missing: TimedCache::new(MISSING_MAX),
            webhooks: TimedCache::new(WEBHOOKS_MAX),
            channels: TimedCache::new(1),
            log_sinks: TimedCache::new(1),
        });
        Self {
            shared,
            callbacks_within: None,
            unknown_serials: None,
        }
    }

    /// Whose keys these are.
    pub fn mchid(&self) -> &str {
        &self.shared.mchid
    }

    /// For a function that opens callbacks while WeChat Pay waits. A reading of the merchant's item
    /// unseals the APIv3 keys too, and all of it ends within `limit`, retries included. What is not
    /// done by then has failed, and the cached keys are used on, also if only KMS does not answer.
    #[must_use]
    pub fn for_callbacks(self, limit: Duration) -> Self {
        Self {
            callbacks_within: Some(limit),
            ..self
        }
    }

    /// Reports to `reconcile` a platform certificate that is not stored here, so that it fetches
    /// WeChat Pay's certificates: see [`UnknownSerials`].
    #[must_use]
    pub fn reporting_to(self, unknown_serials: UnknownSerials) -> Self {
        Self {
            unknown_serials: Some(unknown_serials),
            ..self
        }
    }

    /// The merchant's keys, at most a minute old. If they cannot be read again, those of the last
    /// 15 minutes are used.
    ///
    /// # Errors
    /// They cannot be read, and no copy of the last 15 minutes is cached.
    pub async fn merchant(&self) -> Result<Arc<MerchantKeys>, KeysError> {
        let mut cache = self.shared.merchant.lock().await;
        let now_ms = self.shared.clock.now_ms();
        match &cache.read {
            Some(read) if now_ms < read.fresh_until_ms => Ok(Arc::clone(&read.keys)),
            Some(_) | None => self.read_merchant(&mut cache, now_ms).await,
        }
    }

    /// Reads the merchant's keys again at once, because `serial` was seen, which they do not have.
    /// A serial that is still unknown is reported to `reconcile`, if it has the form of a platform
    /// certificate's ([`KeysTable::reporting_to`]).
    ///
    /// Anyone can send an unknown serial, so a sandbox does this at most once in five seconds and
    /// otherwise returns its cached keys. One read covers every serial: a flood of made-up serials
    /// delays the first callback after a rotation by at most five seconds, and WeChat Pay's repeat
    /// comes later than that.
    ///
    /// # Errors
    /// As [`KeysTable::merchant`].
    pub async fn refresh_merchant(&self, serial: &str) -> Result<Arc<MerchantKeys>, KeysError> {
        let mut cache = self.shared.merchant.lock().await;
        let now_ms = self.shared.clock.now_ms();
        match &cache.read {
            Some(read) if now_ms < cache.no_refresh_before_ms => Ok(Arc::clone(&read.keys)),
            Some(_) | None => {
                cache.no_refresh_before_ms = now_ms.saturating_add(REFRESH_EVERY_MS);
                let keys = self.read_merchant(&mut cache, now_ms).await?;
                if let Some(unknown_serials) = &self.unknown_serials
                    && !keys
                        .verification
                        .serials()
                        .any(|known| known.eq_ignore_ascii_case(serial))
                {
                    unknown_serials
                        .report(serial, &self.shared.mchid, self.shared.clock.now())
                        .await;
                }
                Ok(keys)
            }
        }
    }

    /// The live key of an API client, at most a minute old; `None` if there is none or it was
    /// revoked.
    ///
    /// # Errors
    /// The key cannot be read or unsealed, or its item is damaged.
    pub async fn client_key(&self, keyid: &str) -> Result<Option<Arc<ClientKey>>, KeysError> {
        let Shared {
            clock,
            clients,
            missing,
            ..
        } = self.shared.as_ref();
        if !is_keyid(keyid) || missing.get(keyid, clock.now_ms()).is_some() {
            return Ok(None);
        }
        if let Some(key) = clients.get(keyid, clock.now_ms()) {
            return Ok(Some(key));
        }
        let read_at_ms = clock.now_ms();
        match self.read_client_key(keyid).await? {
            Some(key) => {
                let key = Arc::new(key);
                clients.put(
                    keyid.to_owned(),
                    Arc::clone(&key),
                    read_at_ms.saturating_add(FRESH_MS),
                );
                Ok(Some(key))
            }
            None => {
                missing.put(keyid.to_owned(), (), read_at_ms.saturating_add(MISSING_MS));
                Ok(None)
            }
        }
    }

    /// Reads the merchant's item into the cache. The caller holds the lock, so that others wait for
    /// this reading.
    async fn read_merchant(
        &self,
        cache: &mut MerchantCache,
        now_ms: i64,
    ) -> Result<Arc<MerchantKeys>, KeysError> {
        let failure = match self.fetch_merchant(cache).await {
            Ok(read) => {
                let keys = Arc::clone(&read.keys);
                cache.read = Some(ReadMerchant {
                    fresh_until_ms: now_ms.saturating_add(FRESH_MS),
                    read_at_ms: now_ms,
                    ..read
                });
                return Ok(keys);
            }
            Err(failure) => failure,
        };
        match cache
            .read
            .as_mut()
            .filter(|read| now_ms.saturating_sub(read.read_at_ms) < STALE_MAX_MS)
        {
            Some(read) => {
                let age_s = now_ms.saturating_sub(read.read_at_ms) / 1000;
                let cause: &dyn std::error::Error = &failure;
                tracing::warn!(
                    cause,
                    age_s,
                    "merchant keys could not be read again; the ones at hand serve on"
                );
                read.fresh_until_ms = now_ms.saturating_add(RETRY_AFTER_MS);
                Ok(Arc::clone(&read.keys))
            }
            None => Err(failure),
        }
    }

    /// Reads the merchant's item, within the time limit if there is one.
    async fn fetch_merchant(&self, cache: &MerchantCache) -> Result<ReadMerchant, KeysError> {
        let Some(limit) = self.callbacks_within else {
            return self.fetch_item(cache).await;
        };
        let fetch = async {
            let read = self.fetch_item(cache).await?;
            read.keys.apiv3().await?;
            Ok(read)
        };
        // A manual clock's wait would end at once.
        if !self.shared.clock.passes_by_itself() {
            return fetch.await;
        }
        match tokio::time::timeout(limit, fetch).await {
            Ok(fetched) => fetched,
            Err(_elapsed) => Err(KeysError::TooSlow { limit }),
        }
    }

    /// Reads the merchant's item. If it is unchanged, the keys parsed and unsealed from it before
    /// are reused.
    async fn fetch_item(&self, cache: &MerchantCache) -> Result<ReadMerchant, KeysError> {
        let pk = merchant_pk(&self.shared.mchid);
        let item = self
            .read_item(&pk)
            .await?
            .ok_or(KeysError::NoMerchant { pk })?;
        let keys = match &cache.read {
            Some(read) if read.item == item => Arc::clone(&read.keys),
            Some(_) | None => Arc::new(item::merchant(
                &item,
                &self.shared.mchid,
                &self.shared.vault,
            )?),
        };
        Ok(ReadMerchant {
            keys,
            item,
            read_at_ms: 0,
            fresh_until_ms: 0,
        })
    }

    async fn read_client_key(&self, keyid: &str) -> Result<Option<ClientKey>, KeysError> {
        let pk = client_pk(keyid);
        let Some(item) = self.read_item(&pk).await? else {
            return Ok(None);
        };
        item::client(&item, pk, keyid, &self.shared.vault).await
    }

    async fn read_item(&self, pk: &str) -> Result<Option<Item>, KeysError> {
        let answer = self
            .shared
            .client
            .get_item()
            .table_name(&self.shared.table)
            .key("pk", AttributeValue::S(pk.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| KeysError::Table(AwsError::new("GetItem", error)))?;
        Ok(answer.item)
    }
}

#[derive(Debug, Default)]
struct MerchantCache {
    read: Option<ReadMerchant>,
    no_refresh_before_ms: i64,
}

#[derive(Debug)]
struct ReadMerchant {
    keys: Arc<MerchantKeys>,
    /// The item that `keys` were made from.
    item: Item,
    read_at_ms: i64,
    fresh_until_ms: i64,
}
