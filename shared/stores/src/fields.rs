//! Sealing of single fields at rest: `openid`, stored request bodies and other personal data.
//!
//! Each field is encrypted with AES-256-GCM under a data key, and is stored after the data key,
//! which KMS has encrypted. So KMS is called once for many fields, and a reader needs only the item
//! and the right to use the KMS key. The caller's context (such as `orders/<pk>/wechat_body`) is
//! authenticated with the field: a field that was moved to another item or attribute does not
//! decrypt.
//!
//! The cipher is AWS-LC's, which the TLS of the SDK links anyway, with constant-time hardware AES
//! at twice the speed of the `aes-gcm` crate; that one stays where WeChat Pay's own format needs
//! it.
//!
//! An envelope, version 1: `01`, length of the encrypted data key (2 bytes, big-endian), encrypted
//! data key, nonce (12 bytes), ciphertext with its 16-byte tag. Everything before the nonce is
//! authenticated with the context, so that decryption fails after any changed byte, whatever KMS
//! does with a changed data key. An envelope contains all that is needed to decrypt it, so fields
//! under older data keys, or from before a rotation of the KMS key, stay readable.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use runtime::cache::Memo;
use runtime::clock::Clock;
use runtime::kms::{Context, Kms, KmsError};
use runtime::random::Random;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// The version of the envelopes written now. Another layout gets the next number, and an arm in
/// [`SealedField::read`].
const VERSION: u8 = 1;
/// A data key is put aside after this time, so that a stolen sandbox shows little.
const DATA_KEY_AGE_MAX: Duration = Duration::from_secs(3600);
/// A data key is put aside after this many fields, far below the 2^32 that random nonces allow.
const DATA_KEY_USES_MAX: u32 = 1 << 20;
/// How many decrypted data keys a sandbox caches: enough for those of the sandboxes of the last
/// days.
const OPENED_KEYS_MAX: usize = 256;

/// Seals and opens fields. Clones share their data keys.
#[derive(Clone, Debug)]
pub struct FieldSeal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kms: Kms,
    key_id: String,
    clock: Clock,
    random: Random,
    current: Mutex<Option<DataKeyInUse>>,
    opened: Memo<Vec<u8>, Arc<LessSafeKey>>,
}

#[derive(Debug)]
struct DataKeyInUse {
    key: Arc<LessSafeKey>,
    sealed: Vec<u8>,
    made_at_ms: i64,
    uses: u32,
}

/// A field that was not sealed or not opened. Holds nothing of the field.
#[derive(Debug, thiserror::Error)]
pub enum FieldError {
    /// KMS gave no data key, or did not open one.
    #[error("the data key of a field is not to be had")]
    DataKey(#[source] KmsError),
    /// The data key is not one for AES-256.
    #[error("KMS gave a data key of {length} bytes instead of 32")]
    DataKeyLength {
        /// Its length in bytes.
        length: usize,
    },
    /// The encryption itself failed: the field is longer than GCM allows (64 GiB).
    #[error("the field could not be sealed")]
    NotSealed,
    /// The envelope is of a version that this program does not know.
    #[error("the field has envelope version {version}; a newer release wrote it, deploy that one")]
    Version {
        /// The version found.
        version: u8,
    },
    /// The envelope ends before it is complete.
    #[error("the field's envelope is cut short")]
    CutShort,
    /// The field was changed, or sealed for another context.
    #[error("the field was changed, or belongs to another item or attribute")]
    NotAuthentic,
}

impl FieldError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::DataKey(error) => error.is_transient(),
            Self::DataKeyLength { .. }
            | Self::NotSealed
            | Self::Version { .. }
            | Self::CutShort
            | Self::NotAuthentic => false,
        }
    }
}

impl FieldSeal {
    /// Encrypts with data keys of the KMS key `key_id`. Makes no call to KMS yet.
    pub fn new(kms: Kms, key_id: impl Into<String>, clock: Clock, random: Random) -> Self {
        Self(Arc::new(Shared {
            kms,
            key_id: key_id.into(),
            clock,
            random,
            current: Mutex::new(None),
            opened: Memo::new(OPENED_KEYS_MAX),
        }))
    }

    /// Seals `plaintext` for `context`, which [`FieldSeal::open`] must be given again.
    ///
    /// # Errors
    /// [`FieldError::DataKey`] if a new data key is needed and KMS returns none.
    pub async fn seal(&self, context: &str, plaintext: &[u8]) -> Result<Vec<u8>, FieldError> {
        let (key, sealed_key) = self.data_key().await?;
        let key_length = u16::try_from(sealed_key.len()).map_err(|_| FieldError::NotSealed)?;
        let nonce: [u8; NONCE_LEN] = self.0.random.bytes();
        let mut envelope = vec![VERSION];
        envelope.extend(key_length.to_be_bytes());
        envelope.extend(sealed_key);
        let authenticated = authenticated(&envelope, context);
        let mut ciphertext = plaintext.to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            authenticated,
            &mut ciphertext,
        )
        .map_err(|_| FieldError::NotSealed)?;
        envelope.extend(nonce);
        envelope.extend(ciphertext);
        Ok(envelope)
    }

    /// Opens what [`FieldSeal::seal`] sealed for the same `context`.
    ///
    /// # Errors
    /// [`FieldError::DataKey`] if KMS does not open the data key, else what is wrong with the
    /// envelope.
    pub async fn open(
        &self,
        context: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, FieldError> {
        let envelope = SealedField::read(sealed)?;
        let key = self.opened_key(envelope.sealed_key).await?;
        let mut field = Zeroizing::new(envelope.ciphertext.to_vec());
        let length = key
            .open_in_place(
                Nonce::assume_unique_for_key(envelope.nonce),
                authenticated(envelope.header, context),
                &mut field,
            )
            .map_err(|_| FieldError::NotAuthentic)?
            .len();
        field.truncate(length);
        Ok(field)
    }

    /// The data key in use and its encrypted form; a new one if there is none or the present one
    /// has reached its limit. Concurrent callers wait for one call to KMS.
    async fn data_key(&self) -> Result<(Arc<LessSafeKey>, Vec<u8>), FieldError> {
        let shared = &self.0;
        let mut current = shared.current.lock().await;
        let now_ms = shared.clock.now_ms();
        if let Some(in_use) = current.as_mut().filter(|in_use| in_use.may_serve(now_ms)) {
            in_use.uses += 1;
            return Ok((Arc::clone(&in_use.key), in_use.sealed.clone()));
        }
        let made = shared
            .kms
            .data_key(&shared.key_id, &key_context())
            .await
            .map_err(FieldError::DataKey)?;
        let key = Arc::new(cipher(&made.plain)?);
        shared.opened.put(made.sealed.clone(), Arc::clone(&key));
        let fresh = DataKeyInUse {
            key: Arc::clone(&key),
            sealed: made.sealed.clone(),
            made_at_ms: now_ms,
            uses: 1,
        };
        *current = Some(fresh);
        Ok((key, made.sealed))
    }

    async fn opened_key(&self, sealed_key: &[u8]) -> Result<Arc<LessSafeKey>, FieldError> {
        let shared = &self.0;
        let open = || async {
            let plain = shared
                .kms
                .unseal(&shared.key_id, &key_context(), sealed_key)
                .await
                .map_err(FieldError::DataKey)?;
            cipher(&plain).map(Arc::new)
        };
        shared
            .opened
            .get_or_try_make(&sealed_key.to_vec(), open)
            .await
    }
}

impl DataKeyInUse {
    fn may_serve(&self, now_ms: i64) -> bool {
        let age_ms = now_ms.saturating_sub(self.made_at_ms);
        self.uses < DATA_KEY_USES_MAX
            && u128::from(age_ms.unsigned_abs()) < DATA_KEY_AGE_MAX.as_millis()
    }
}

/// An envelope taken apart.
struct SealedField<'a> {
    /// Everything before the nonce.
    header: &'a [u8],
    sealed_key: &'a [u8],
    nonce: [u8; NONCE_LEN],
    ciphertext: &'a [u8],
}

impl<'a> SealedField<'a> {
    fn read(sealed: &'a [u8]) -> Result<Self, FieldError> {
        let (version, rest) = sealed.split_first().ok_or(FieldError::CutShort)?;
        if *version != VERSION {
            return Err(FieldError::Version { version: *version });
        }
        let (key_length, rest) = rest.split_first_chunk::<2>().ok_or(FieldError::CutShort)?;
        let key_length = usize::from(u16::from_be_bytes(*key_length));
        let (sealed_key, rest) = rest
            .split_at_checked(key_length)
            .ok_or(FieldError::CutShort)?;
        let header = sealed
            .get(..sealed.len() - rest.len())
            .ok_or(FieldError::CutShort)?;
        let (nonce, ciphertext) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(FieldError::CutShort)?;
        Ok(Self {
            header,
            sealed_key,
            nonce: *nonce,
            ciphertext,
        })
    }
}

fn cipher(key: &[u8]) -> Result<LessSafeKey, FieldError> {
    let unbound = UnboundKey::new(&AES_256_GCM, key)
        .map_err(|_| FieldError::DataKeyLength { length: key.len() })?;
    Ok(LessSafeKey::new(unbound))
}

/// The data authenticated with a field: the envelope's header, so that neither its bytes nor its
/// layout can be changed, whatever KMS checks itself; and the context.
fn authenticated(header: &[u8], context: &str) -> Aad<Vec<u8>> {
    Aad::from([header, context.as_bytes()].concat())
}

/// The context of the data keys themselves.
fn key_context() -> Context {
    Context::of("field")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_key_is_put_aside_after_an_hour_or_a_million_fields() {
        let hour_ms = 3_600_000;
        for (uses, age_ms, serves) in [
            (1, 0, true),
            ((1 << 20) - 1, 0, true),
            (1 << 20, 0, false),
            (1, hour_ms - 1, true),
            (1, hour_ms, false),
            (1, -hour_ms, false), // the clock was set back: the key's age is unknown
        ] {
            let in_use = DataKeyInUse {
                key: Arc::new(cipher(&[7; 32]).expect("a key")),
                sealed: Vec::new(),
                made_at_ms: 1_785_556_800_000,
                uses,
            };
            assert_eq!(
                in_use.may_serve(1_785_556_800_000 + age_ms),
                serves,
                "{uses} uses, {age_ms} ms"
            );
        }
    }

    #[test]
    fn a_data_key_of_another_length_is_refused() {
        let refused = cipher(&[7; 16]).expect_err("AES-128");
        assert!(
            matches!(refused, FieldError::DataKeyLength { length: 16 }),
            "{refused}"
        );
    }
}
