//! Writing the merchant's keys: for set-up tools, and for `reconcile` when WeChat Pay has new
//! verification keys.
//!
//! Every key is parsed before it is written, so that a wrong file is noticed at once.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::AttributeValue;
use runtime::{aws::AwsError, signer::SignWith};
use wechatpay::resource::ApiV3Key;
use wechatpay::sign::LocalKey;
use wechatpay::verify::VerificationKeys;

use super::{
    KeysTable,
    error::KeysError,
    merchant_keys::{MerchantKeys, SealedApiV3Key},
    names::{apiv3_context, merchant_pk, signer_context},
};
use super::{
    certificates::{OwnCertificate, StoredSigner},
    item::{apiv3_value, is_of, kept_or_added},
    verification::VerificationEntry,
};
use crate::attributes::{Item, number};

/// How many APIv3 keys are stored: the one in use and, while it is changed at WeChat Pay, its
/// successor or predecessor.
pub(super) const APIV3_KEYS_MAX: usize = 2;

/// All that a merchant needs to be served.
#[derive(Debug)]
pub struct NewMerchant<'a> {
    /// WeChat Pay's public keys and platform certificates.
    pub verification: &'a [VerificationEntry],
    /// Which of them requests ask answers to be signed with.
    pub response_serial: &'a str,
    /// The APIv3 keys. The newest two versions are stored.
    pub apiv3: &'a [NewApiV3Key<'a>],
    /// The number of the merchant's certificate.
    pub signer_serial: &'a str,
    /// The key in KMS that has this certificate, if that is said.
    pub signer_kms_key_id: Option<&'a str>,
    /// The merchant's private key as PKCS#8 DER, if it is not to be used from KMS.
    pub signer_pkcs8: Option<&'a [u8]>,
}

/// An APIv3 key before it is sealed.
pub struct NewApiV3Key<'a> {
    /// Counts the merchant's APIv3 keys; the highest is the newest.
    pub version: u32,
    /// The 32 bytes that were set on WeChat Pay's merchant platform.
    pub bytes: &'a [u8],
}

/// Does not show the key.
impl std::fmt::Debug for NewApiV3Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewApiV3Key")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl KeysTable {
    /// Seals and writes the merchant's keys, in place of any that are there.
    ///
    /// # Errors
    /// A key is not usable, KMS does not seal, or DynamoDB does not write.
    pub async fn put_merchant(&self, merchant: &NewMerchant<'_>) -> Result<(), KeysError> {
        let pk = merchant_pk(&self.shared.mchid);
        check_verification(&pk, merchant.verification, merchant.response_serial, &[])?;
        let apiv3 = self.seal_apiv3(&pk, merchant.apiv3).await?;
        let now = self.shared.clock.now();
        let certificate = OwnCertificate {
            serial_no: merchant.signer_serial.to_owned(),
            validity: None,
        };
        let mut signer = StoredSigner::of(Item::new());
        if let Some(der) = merchant.signer_pkcs8 {
            let sealed = self.seal_signer(&pk, merchant.signer_serial, der).await?;
            signer.certify_sealed(&certificate);
            signer.put_sealed(sealed, number(now.0));
        }
        match merchant.signer_kms_key_id {
            Some(key_id) => {
                let key_id = key_id.to_owned();
                signer.certify(&SignWith::Kms { key_id }, &certificate);
            }
            None if merchant.signer_pkcs8.is_none() => signer.certify_all(&certificate),
            None => {}
        }
        let verification = merchant.verification.iter().map(|entry| entry.added(now));
        self.shared
            .client
            .update_item()
            .table_name(&self.shared.table)
            .key("pk", AttributeValue::S(pk))
            .update_expression(
                "SET verification = :verification, response_serial = :response_serial, apiv3 = :apiv3, \
                 signer = :signer, version = if_not_exists(version, :zero) + :one",
            )
            .expression_attribute_values(":verification", AttributeValue::L(verification.collect()))
            .expression_attribute_values(":response_serial", AttributeValue::S(merchant.response_serial.to_owned()))
            .expression_attribute_values(":apiv3", apiv3_value(&apiv3))
            .expression_attribute_values(":signer", signer.into_value())
            .expression_attribute_values(":zero", AttributeValue::N("0".to_owned()))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .send()
            .await
            .map_err(|error| KeysError::Table(AwsError::new("UpdateItem", error)))?;
        Ok(())
    }

    /// Replaces the verification keys of the item that `seen` was read from. An entry that is there
    /// already and cannot be read may stay: it verifies nothing. An entry of unknown form is kept
    /// for later versions, unless one of the new keys has its id. WeChat Pay was asked for its
    /// certificates just now.
    ///
    /// # Errors
    /// A key is not usable, [`KeysError::Changed`] if the item is not the one that was seen, or
    /// DynamoDB does not write.
    pub async fn set_verification_keys(
        &self,
        seen: &MerchantKeys,
        verification: &[VerificationEntry],
        response_serial: &str,
    ) -> Result<(), KeysError> {
        let pk = merchant_pk(&self.shared.mchid);
        check_verification(&pk, verification, response_serial, &seen.entries)?;
        let now = self.shared.clock.now();
        let of_none = |stored: &&AttributeValue| {
            VerificationEntry::read(stored).is_none()
                && !verification.iter().any(|entry| is_of(stored, &entry.id))
        };
        let unread = seen.stored_entries.iter().filter(of_none).cloned();
        let stored = verification
            .iter()
            .map(|entry| kept_or_added(&seen.stored_entries, entry, now));
        let stored = stored.chain(unread).collect();
        let written = self
            .shared
            .client
            .update_item()
            .table_name(&self.shared.table)
            .key("pk", AttributeValue::S(pk.clone()))
            .update_expression(
                "SET verification = :verification, response_serial = :response_serial, version = version + :one, \
                 certificates_fetched_at = :now",
            )
            .condition_expression("version = :seen")
            .expression_attribute_values(":now", number(now.0))
            .expression_attribute_values(":verification", AttributeValue::L(stored))
            .expression_attribute_values(":response_serial", AttributeValue::S(response_serial.to_owned()))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .expression_attribute_values(":seen", AttributeValue::N(seen.version.to_string()))
            .send()
            .await;
        updated(written, KeysError::Changed { pk })
    }

    /// WeChat Pay was asked for its certificates just now, and has those that are stored. This is
    /// no change of the keys.
    ///
    /// # Errors
    /// [`KeysError::NoItem`] if there is no such merchant, or DynamoDB does not write.
    pub async fn note_certificates_fetched(&self) -> Result<(), KeysError> {
        let pk = merchant_pk(&self.shared.mchid);
        let written = self
            .shared
            .client
            .update_item()
            .table_name(&self.shared.table)
            .key("pk", AttributeValue::S(pk.clone()))
            .update_expression("SET certificates_fetched_at = :now")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":now", number(self.shared.clock.now().0))
            .send()
            .await;
        updated(written, KeysError::NoItem { pk })
    }

    /// The newest keys sealed, newest first.
    async fn seal_apiv3(
        &self,
        pk: &str,
        keys: &[NewApiV3Key<'_>],
    ) -> Result<Vec<SealedApiV3Key>, KeysError> {
        let mut newest: Vec<&NewApiV3Key<'_>> = keys.iter().collect();
        newest.sort_by_key(|key| std::cmp::Reverse(key.version));
        newest.truncate(APIV3_KEYS_MAX);
        let mut sealed = Vec::new();
        for key in newest {
            ApiV3Key::new(key.bytes).map_err(|source| not_a_key(pk, "an APIv3 key", source))?;
            let context = apiv3_context(&self.shared.mchid, key.version);
            let ciphertext = self.shared.vault.seal(pk, &context, key.bytes).await?;
            sealed.push(SealedApiV3Key {
                version: key.version,
                ciphertext,
                added_at: Some(self.shared.clock.now()),
            });
        }
        Ok(sealed)
    }

    pub(super) async fn seal_signer(
        &self,
        pk: &str,
        serial_no: &str,
        der: &[u8],
    ) -> Result<Vec<u8>, KeysError> {
        LocalKey::from_pkcs8_der(serial_no, der)
            .map_err(|source| not_a_key(pk, "the merchant key", source))?;
        self.shared
            .vault
            .seal(pk, &signer_context(&self.shared.mchid), der)
            .await
    }
}

/// Checks that every key not in `kept` can be read, that at least one verifies, and that requests
/// name one of them.
fn check_verification(
    pk: &str,
    entries: &[VerificationEntry],
    response_serial: &str,
    kept: &[VerificationEntry],
) -> Result<(), KeysError> {
    let mut keys = VerificationKeys::new();
    for entry in entries {
        match entry.load(&mut keys) {
            Ok(()) => {}
            Err(_) if kept.contains(entry) => {}
            Err(source) => return Err(not_a_key(pk, "a verification key", source)),
        }
    }
    if keys.is_empty() {
        return Err(KeysError::Damaged {
            pk: pk.to_owned(),
            what: "none of its verification keys could be read",
        });
    }
    let is_named = |entry: &VerificationEntry| entry.id.eq_ignore_ascii_case(response_serial);
    let is_kept_as_it_is = kept.iter().any(is_named) && entries.iter().any(is_named);
    if !is_kept_as_it_is
        && !keys
            .serials()
            .any(|serial| serial.eq_ignore_ascii_case(response_serial))
    {
        let what = "`response_serial` names none of the verification keys";
        return Err(KeysError::Damaged {
            pk: pk.to_owned(),
            what,
        });
    }
    Ok(())
}

/// What an update under a condition came to; `if_refused` where the condition did not hold.
pub(super) fn updated(
    written: Result<UpdateItemOutput, SdkError<UpdateItemError>>,
    if_refused: KeysError,
) -> Result<(), KeysError> {
    match written {
        Ok(_) => Ok(()),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
        {
            Err(if_refused)
        }
        Err(error) => Err(KeysError::Table(AwsError::new("UpdateItem", error))),
    }
}

pub(super) fn not_a_key(
    pk: &str,
    what: &'static str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> KeysError {
    KeysError::NotAKey {
        pk: pk.to_owned(),
        what,
        source: Box::new(source),
    }
}
