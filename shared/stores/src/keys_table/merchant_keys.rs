//! Keys as they were read from the table: the merchant's and a client's.

use std::ops::RangeInclusive;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use message_signatures::VerifyingKey;
use payments::model::permissions::Permissions;
use runtime::signer::{KmsSigner, MerchantSigner, SignWith};
use tokio::sync::OnceCell;
use wechatpay::{
    FieldKey, UnixSeconds, resource::ApiV3Key, sign::LocalKey, verify::VerificationKeys,
};

use super::{
    certificates::{OwnCertificate, OwnCertificates},
    error::KeysError,
    names::{apiv3_context, merchant_pk, signer_context},
    secret_cache::SecretCache,
    verification::{VerificationEntry, VerificationKind},
};

/// The merchant's keys as the table holds them.
#[derive(Debug)]
pub struct MerchantKeys {
    /// WeChat Pay's public keys and platform certificates, ready to verify with.
    pub verification: VerificationKeys,
    /// The same as they are stored, to be merged with newer ones.
    pub entries: Vec<VerificationEntry>,
    /// The same unread, with those that this version cannot read: they are kept unchanged.
    pub(super) stored_entries: Vec<AttributeValue>,
    /// Which of them requests name in `Wechatpay-Serial`, so that answers and callbacks are signed
    /// with it.
    pub response_serial: String,
    /// The merchant's own certificates, by the keys that sign.
    pub certificates: OwnCertificates,
    /// Counts the changes of the item.
    pub version: u64,
    pub(super) mchid: String,
    pub(super) sealed_apiv3: Vec<SealedApiV3Key>,
    pub(super) sealed_signer: Option<Vec<u8>>,
    pub(super) apiv3: OnceCell<Vec<ApiV3Key>>,
    pub(super) local_key: OnceCell<Arc<LocalKey>>,
    pub(super) vault: SecretCache,
}

/// A live key of an API client.
#[derive(Debug)]
pub struct ClientKey {
    /// Whose orders it may touch.
    pub client_id: String,
    /// The name by which requests choose it.
    pub keyid: String,
    /// What it may do.
    pub permissions: Permissions,
    /// What verifies their signatures.
    pub key: VerifyingKey,
    /// How many requests a second it may send to each function, where that is not what the settings
    /// say for all.
    pub requests_per_s: Option<u32>,
}

impl ClientKey {
    /// The limits that can be set.
    pub const REQUESTS_PER_S: RangeInclusive<u32> = 1..=10_000;
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

    /// The certificate that requests name when the settings chose this signer.
    ///
    /// # Errors
    /// None is stored.
    pub fn certificate(&self, with: &SignWith) -> Result<&OwnCertificate, KeysError> {
        let what = "no certificate is stored for the key that signs";
        self.certificates
            .of(with)
            .ok_or_else(|| KeysError::Damaged {
                pk: self.pk(),
                what,
            })
    }

    /// The signer that the settings chose, which names its own certificate: functions of two
    /// releases may sign with different keys at a time. A sealed key is unsealed at the first call.
    ///
    /// # Errors
    /// The item has no sealed key, KMS does not unseal it, or it is no PKCS#8 RSA key.
    pub async fn signer(&self, with: &SignWith) -> Result<MerchantSigner, KeysError> {
        match with {
            SignWith::Kms { key_id } => Ok(MerchantSigner::Kms(KmsSigner::new(
                self.vault.kms.clone(),
                key_id,
                &self.certificate(with)?.serial_no,
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
        let certificate = self.certificate(&SignWith::Sealed)?;
        let key = LocalKey::from_pkcs8_der(&certificate.serial_no, &der);
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

/// An APIv3 key as it is stored.
#[derive(Debug)]
pub(super) struct SealedApiV3Key {
    pub(super) version: u32,
    pub(super) ciphertext: Vec<u8>,
    pub(super) added_at: Option<UnixSeconds>,
}
