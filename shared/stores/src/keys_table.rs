//! The `keys` table: whose signatures we trust and which secrets open what WeChat Pay sends.
//!
//! `merchant#<mchid>` holds WeChat Pay's verification keys, the sealed APIv3 keys and what belongs
//! to the merchant's own key; `client#<keyid>` holds one key of an API client;
//! `webhook#<client_id>` holds a client's webhook URL, and the secrets that sign its webhooks. All
//! are read when first needed and cached for a minute, so that an added or revoked key takes effect
//! everywhere within a minute, and a busy sandbox reads them once a minute.
//!
//! Secrets are unsealed only by the function that asks for them ([`MerchantKeys::apiv3`],
//! [`MerchantKeys::signer`], [`KeysTable::client_key`], [`KeysTable::webhook`]), since each
//! function's role may unseal only some, and once for each sandbox. Their KMS contexts are
//! `{purpose: apiv3-key, mchid, version}`, `{purpose: merchant-key, mchid}`, `{purpose: client-key,
//! keyid}` and `{purpose: webhook-secret, client_id}`.

mod change;
mod item;
mod overview;
mod source;
mod unknown_serials;
mod webhook;
mod write;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use message_signatures::VerifyingKey;
use tokio::sync::{Mutex, OnceCell};
use wechatpay::FieldKey;
use wechatpay::resource::ApiV3Key;
use wechatpay::sign::LocalKey;
use wechatpay::verify::VerificationKeys;
use zeroize::Zeroizing;

use payments::model::ids::BadClientId;
use runtime::{
    aws::AwsError,
    cache::{Memo, TimedCache},
    clock::Clock,
    kms::{Context, Kms, KmsError},
    signer::{KmsSigner, MerchantSigner, SignWith},
};

use crate::attributes::Item;

pub use change::{AddedApiV3Key, ChangeError, MerchantChange};
pub use item::{VerificationEntry, VerificationKind};
pub use overview::{
    ClientOverview, MerchantOverview, Overview, VerificationOverview, WebhookOverview,
};
pub use unknown_serials::UnknownSerials;
pub use webhook::{Endpoint, StoredUrl, Webhook, WebhookState};
pub use write::{NewApiV3Key, NewMerchant};

/// How long a key that was read is used without reading it again.
const FRESH_MS: i64 = 60_000;
/// How far apart two readings are that unknown serials bring about. WeChat Pay repeats a callback
/// after 15 s.
const REFRESH_EVERY_MS: i64 = 5_000;
/// How long keys that were read go on serving when they cannot be read again.
const STALE_MAX_MS: i64 = 15 * 60_000;
/// How long after a failed reading the next one is tried, while there are keys to go on with. Each
/// try may take seconds of an invocation that could do without.
const RETRY_AFTER_MS: i64 = 10_000;
/// How long an unknown key id is not read again.
const MISSING_MS: i64 = 5_000;
/// How many client keys a sandbox caches. Unknown ids are cached separately, so that a flood of
/// them evicts no client.
const CLIENT_KEYS_MAX: usize = 1024;
/// Of how many clients a sandbox caches the webhook.
const WEBHOOKS_MAX: usize = 1024;
/// How many unsealed secrets a sandbox caches.
const SECRETS_MAX: usize = 2048;
/// The longest key id that is looked up.
const KEYID_LENGTH_MAX: usize = 128;

/// Reads and writes the `keys` table for one merchant. Clones share what was read.
#[derive(Clone, Debug)]
pub struct KeysTable {
    shared: Arc<Shared>,
    /// See [`KeysTable::for_callbacks`].
    callbacks_within: Option<Duration>,
    /// See [`KeysTable::telling`].
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
}

/// The merchant's keys as the table holds them.
#[derive(Debug)]
pub struct MerchantKeys {
    /// WeChat Pay's public keys and platform certificates, ready to verify with.
    pub verification: VerificationKeys,
    /// The same as they are stored, to be merged with newer ones.
    pub entries: Vec<VerificationEntry>,
    /// Entries among them without id, kind or PEM, to be kept unchanged.
    unread: Vec<AttributeValue>,
    /// Which of them requests name in `Wechatpay-Serial`, so that answers and callbacks are signed
    /// with it.
    pub response_serial: String,
    /// The number of the merchant's own certificate, which requests name as `serial_no`.
    pub signer_serial: String,
    /// Counts the changes of the item.
    pub version: u64,
    mchid: String,
    sealed_apiv3: Vec<SealedApiV3Key>,
    sealed_signer: Option<Vec<u8>>,
    apiv3: OnceCell<Vec<ApiV3Key>>,
    local_key: OnceCell<Arc<LocalKey>>,
    vault: SecretCache,
}

/// A live key of an API client.
#[derive(Debug)]
pub struct ClientKey {
    /// Whose orders it may touch.
    pub client_id: String,
    /// The name by which requests choose it.
    pub keyid: String,
    /// What verifies their signatures.
    pub key: VerifyingKey,
}

/// Keys that were not read, not unsealed or not written. Holds no key.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// DynamoDB did not do as asked.
    #[error("the keys table is not to be had")]
    Table(#[source] AwsError),
    /// KMS did not seal or unseal.
    #[error("a secret of {pk} was not sealed or unsealed")]
    Secret {
        /// The item.
        pk: String,
        /// What KMS said.
        #[source]
        source: KmsError,
    },
    /// Table and KMS together did not answer in time.
    #[error("the merchant's keys were not read and unsealed within {} ms", limit.as_millis())]
    TooSlow {
        /// See [`KeysTable::for_callbacks`].
        limit: Duration,
    },
    /// There is no item for the merchant.
    #[error("the keys table has no item {pk}; run the set-up that writes it")]
    NoMerchant {
        /// The item.
        pk: String,
    },
    /// An item does not hold what it must.
    #[error("item {pk} of the keys table: {what}")]
    Damaged {
        /// The item.
        pk: String,
        /// What is missing or wrong.
        what: &'static str,
    },
    /// A key to be written, or an unsealed one, is not valid.
    #[error("{what} for {pk} is not usable")]
    NotAKey {
        /// The item.
        pk: String,
        /// Which key.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A client cannot be registered under such an id.
    #[error("nothing is registered for this client: {0}")]
    Client(#[from] BadClientId),
    /// There is no such item to be changed or removed.
    #[error("the keys table has no item {pk}; `cargo client setup show` lists what it has")]
    NoItem {
        /// The item.
        pk: String,
    },
    /// A conditional write found a newer item.
    #[error("item {pk} was changed meanwhile; read it again and decide anew")]
    Changed {
        /// The item.
        pk: String,
    },
}

impl KeysError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Table(error) => error.is_transient(),
            Self::Secret { source, .. } => source.is_transient(),
            Self::TooSlow { .. } => true,
            Self::NoMerchant { .. }
            | Self::Damaged { .. }
            | Self::NotAKey { .. }
            | Self::Client(_)
            | Self::NoItem { .. }
            | Self::Changed { .. } => false,
        }
    }

    /// Whether a write with this failure may have succeeded: if a call's answer was lost, the
    /// result is unknown.
    pub fn may_be_done(&self) -> bool {
        match self {
            Self::Table(_) | Self::TooSlow { .. } => true,
            Self::Secret { .. }
            | Self::NoMerchant { .. }
            | Self::Damaged { .. }
            | Self::NotAKey { .. }
            | Self::Client(_)
            | Self::NoItem { .. }
            | Self::Changed { .. } => false,
        }
    }
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
            missing: TimedCache::new(CLIENT_KEYS_MAX),
            webhooks: TimedCache::new(WEBHOOKS_MAX),
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
    /// done by then has failed: the keys at hand serve on, also where only KMS does not answer.
    #[must_use]
    pub fn for_callbacks(self, limit: Duration) -> Self {
        Self {
            callbacks_within: Some(limit),
            ..self
        }
    }

    /// Tells `reconcile` of a platform certificate that is not known here, so that it fetches
    /// WeChat Pay's certificates: see [`UnknownSerials`].
    #[must_use]
    pub fn telling(self, unknown_serials: UnknownSerials) -> Self {
        Self {
            unknown_serials: Some(unknown_serials),
            ..self
        }
    }

    /// The merchant's keys, at most a minute old. When they cannot be read again, those of the last
    /// 15 minutes serve on.
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
    /// certificate's ([`KeysTable::telling`]).
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
                        .tell(serial, &self.shared.mchid, self.shared.clock.now())
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

    /// Reads the merchant's item, within the time that there is.
    async fn fetch_merchant(&self, cache: &MerchantCache) -> Result<ReadMerchant, KeysError> {
        let Some(limit) = self.callbacks_within else {
            return self.fetch_item(cache).await;
        };
        let fetch = async {
            let read = self.fetch_item(cache).await?;
            read.keys.apiv3().await?;
            Ok(read)
        };
        // Waiting on a clock that stands still would end at once.
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

impl MerchantKeys {
    /// The APIv3 keys that open what WeChat Pay encrypts, newest first. Unsealed at the first call.
    ///
    /// # Errors
    /// KMS does not unseal one, or it is not 32 bytes long.
    pub async fn apiv3(&self) -> Result<&[ApiV3Key], KeysError> {
        let unseal = || async {
            let mut keys = Vec::new();
            for sealed in &self.sealed_apiv3 {
                let context = apiv3_context(&self.mchid, sealed.version);
                let plain = self
                    .vault
                    .unseal(&self.pk(), &context, &sealed.ciphertext)
                    .await?;
                keys.push(
                    ApiV3Key::new(&plain)
                        .map_err(|source| self.not_a_key("an APIv3 key", source))?,
                );
            }
            Ok(keys)
        };
        self.apiv3.get_or_try_init(unseal).await.map(Vec::as_slice)
    }

    /// The key that personal fields are encrypted to: the one that `response_serial` names, since
    /// the header of a request has to name that key.
    ///
    /// # Errors
    /// There is no such entry, or it does not read.
    pub fn field_key(&self) -> Result<FieldKey, KeysError> {
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.id.eq_ignore_ascii_case(&self.response_serial))
            .ok_or_else(|| KeysError::Damaged {
                pk: self.pk(),
                what: "no verification key has the id that response_serial names",
            })?;
        match entry.kind {
            VerificationKind::PublicKey => FieldKey::from_public_key(&entry.id, &entry.pem),
            VerificationKind::Certificate => FieldKey::from_certificate(&entry.pem),
        }
        .map_err(|source| self.not_a_key("WeChat Pay's key", source))
    }

    /// The signer that the settings chose. A sealed key is unsealed at the first call.
    ///
    /// # Errors
    /// The item has no sealed key, KMS does not unseal it, or it is no PKCS#8 RSA key.
    pub async fn signer(&self, with: &SignWith) -> Result<MerchantSigner, KeysError> {
        match with {
            SignWith::Kms { key_id } => Ok(MerchantSigner::Kms(KmsSigner::new(
                self.vault.kms.clone(),
                key_id,
                &self.signer_serial,
            ))),
            SignWith::Sealed => self
                .local_key
                .get_or_try_init(|| self.unseal_signer())
                .await
                .cloned()
                .map(MerchantSigner::Sealed),
        }
    }

    async fn unseal_signer(&self) -> Result<Arc<LocalKey>, KeysError> {
        let what = "it has no sealed merchant key; store one, or set MERCHANT_SIGNER to kms";
        let sealed = self
            .sealed_signer
            .as_ref()
            .ok_or_else(|| KeysError::Damaged {
                pk: self.pk(),
                what,
            })?;
        let der = self
            .vault
            .unseal(&self.pk(), &signer_context(&self.mchid), sealed)
            .await?;
        let key = LocalKey::from_pkcs8_der(&self.signer_serial, &der);
        key.map(Arc::new)
            .map_err(|source| self.not_a_key("the merchant key", source))
    }

    fn pk(&self) -> String {
        merchant_pk(&self.mchid)
    }

    fn not_a_key(
        &self,
        what: &'static str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> KeysError {
        KeysError::NotAKey {
            pk: self.pk(),
            what,
            source: Box::new(source),
        }
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

#[derive(Debug)]
struct SealedApiV3Key {
    version: u32,
    ciphertext: Vec<u8>,
}

/// Seals secrets, and unseals each once.
#[derive(Clone, Debug)]
struct SecretCache {
    kms: Kms,
    key_id: String,
    opened: Arc<Memo<(Context, Vec<u8>), Secret>>,
}

type Secret = Arc<Zeroizing<Vec<u8>>>;

impl SecretCache {
    async fn seal(&self, pk: &str, context: &Context, secret: &[u8]) -> Result<Vec<u8>, KeysError> {
        let sealed = self.kms.seal(&self.key_id, context, secret).await;
        sealed.map_err(|source| KeysError::Secret {
            pk: pk.to_owned(),
            source,
        })
    }

    /// Unseals under the context of the place where the secret was found. The cache includes the
    /// context: otherwise a ciphertext that was copied to another place would unseal there once it
    /// was cached from its own place.
    async fn unseal(
        &self,
        pk: &str,
        context: &Context,
        sealed: &[u8],
    ) -> Result<Secret, KeysError> {
        let unseal = || async {
            self.kms
                .unseal(&self.key_id, context, sealed)
                .await
                .map(Arc::new)
        };
        let opened = self
            .opened
            .get_or_try_make(&(context.clone(), sealed.to_vec()), unseal)
            .await;
        opened.map_err(|source| KeysError::Secret {
            pk: pk.to_owned(),
            source,
        })
    }
}

fn merchant_pk(mchid: &str) -> String {
    format!("merchant#{mchid}")
}

fn client_pk(keyid: &str) -> String {
    format!("client#{keyid}")
}

fn apiv3_context(mchid: &str, version: u32) -> Context {
    Context::of("apiv3-key")
        .with("mchid", mchid)
        .with("version", version.to_string())
}

fn signer_context(mchid: &str) -> Context {
    Context::of("merchant-key").with("mchid", mchid)
}

fn client_context(keyid: &str) -> Context {
    Context::of("client-key").with("keyid", keyid)
}

/// Key ids are visible ASCII; other values from requests are not looked up.
fn is_keyid(keyid: &str) -> bool {
    (1..=KEYID_LENGTH_MAX).contains(&keyid.len())
        && keyid.bytes().all(|byte| byte.is_ascii_graphic())
}
