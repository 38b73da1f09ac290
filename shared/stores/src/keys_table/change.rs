//! Changing a merchant's item by what is named, and nothing else: for set-up commands.
//!
//! Attributes that the change does not name stay as they are stored, also those that this version
//! cannot read. The write is conditional on the item that was read, so that no concurrent change is
//! lost.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use runtime::{aws::AwsError, signer::SignWith};
use wechatpay::UnixSeconds;
use wechatpay::resource::ApiV3Key;
use wechatpay::sign::LocalKey;
use wechatpay::verify::VerificationKeys;
use zeroize::Zeroizing;

use super::{
    KeysTable,
    certificates::{OwnCertificate, StoredSigner, name_of},
    error::KeysError,
    fields::text,
    item::{apiv3_value, is_of, kept_or_added, sealed_apiv3},
    merchant_keys::SealedApiV3Key,
    names::{apiv3_context, merchant_pk},
    verification::VerificationEntry,
    write::{APIV3_KEYS_MAX, not_a_key},
};
use crate::attributes::{Item, number, number_of};

pub use super::certificates::Validity;

/// A change of a merchant's item. Values that are not named stay.
#[derive(Debug, Default)]
pub struct MerchantChange<'a> {
    /// Keys of WeChat Pay's to be added, each in place of one with the same id.
    pub add_verification: &'a [VerificationEntry],
    /// The id of a key of WeChat Pay's to be taken out.
    pub remove_verification: Option<&'a str>,
    /// Which key requests ask answers to be signed with.
    pub response_serial: Option<&'a str>,
    /// APIv3 keys to be added. One that is there already is not added again.
    pub add_apiv3: &'a [AddedApiV3Key],
    /// The version of an APIv3 key to be taken out.
    pub remove_apiv3: Option<u32>,
    /// A certificate of the merchant's. A private key that is sealed with this change has it.
    pub signer_certificate: Option<SignerCertificate<'a>>,
    /// The merchant's private key as PKCS#8 DER, to be sealed into the item.
    pub signer_pkcs8: Option<&'a [u8]>,
    /// Whether the sealed private key must be removed from the item: the merchant signs by KMS.
    pub removes_sealed_signer: bool,
    /// A certificate that no key has any more.
    pub remove_certificate: Option<RemovedCertificate<'a>>,
}

/// The certificate that requests name.
#[derive(Clone, Copy, Debug)]
pub struct SignerCertificate<'a> {
    /// Whose signatures name it, where no private key is sealed with this change. `None` where that
    /// is not said: then no key may have a certificate of its own yet, or it is one of those.
    pub signs: Option<&'a SignWith>,
    /// Its number.
    pub serial_no: &'a str,
    /// From when to when it is valid; `None` if only its number is known.
    pub validity: Option<Validity>,
}

/// A certificate to be taken out, with the private key that lies sealed under it.
#[derive(Clone, Copy, Debug)]
pub struct RemovedCertificate<'a> {
    /// Its number.
    pub serial_no: &'a str,
    /// The key that signs, which keeps its own. Versions before this one name that certificate from
    /// then on.
    pub signs: &'a SignWith,
}

/// An APIv3 key to be added, before it is sealed.
pub struct AddedApiV3Key {
    /// Counts the merchant's APIv3 keys. Without one it is the next, if the key is new.
    pub version: Option<u32>,
    /// The 32 bytes that were set on WeChat Pay's merchant platform.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// Does not show the key.
impl std::fmt::Debug for AddedApiV3Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddedApiV3Key")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Why a merchant's item was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Table, KMS or a key.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The item would lack what functions need.
    #[error("this merchant has {0} yet, and no functions work without: give it, too")]
    Incomplete(&'static str),
    /// A version always means the same key: otherwise data sealed under it would be lost.
    #[error(
        "APIv3 key {0} is there already and is another key; count the new one up, or give no version"
    )]
    OtherApiV3Key(u32),
    /// One more than functions try.
    #[error(
        "there would be APIv3 keys {versions:?}, and functions try {APIV3_KEYS_MAX}: take out the one that no callback \
         comes under any more"
    )]
    TooManyApiV3Keys {
        /// Newest first.
        versions: Vec<u32>,
    },
    /// WeChat Pay would refuse every request: its signature would not fit the certificate.
    #[error(
        "the private key that lies sealed belongs to certificate {0}: give the new certificate's \
         key, too, or take the sealed one out if the new one is in KMS"
    )]
    SerialWithoutItsKey(String),
    /// As above.
    #[error(
        "a private key lies sealed under certificate {0}, and another key has another \
         certificate: give its serial, too"
    )]
    KeyWithoutItsSerial(String),
    /// It is not said whose certificate it is.
    #[error(
        "each key that signs has a certificate of its own ({0}): say whose this is, by --signing-key-id for a key in KMS, \
         or give the private key that is to be sealed with it"
    )]
    WhoseCertificate(String),
    /// Requests would name another key's certificate.
    #[error(
        "the key that signs has no certificate of its own here: register it (`cargo client setup merchant \
         --merchant-certificate-file FILE`, or `cargo client keys seal`) before another one is taken out"
    )]
    NoCertificateOfItsOwn,
    /// Requests name it.
    #[error(
        "the key that signs has certificate {0}: another key has to sign before it is taken out"
    )]
    CertificateInUse(String),
    /// No key has this certificate.
    #[error("no key of the merchant's has certificate {0}")]
    NoSuchCertificate(String),
    /// No key has this id.
    #[error("there is no APIv3 key {0} to be taken out")]
    NoSuchApiV3Key(u32),
    /// No key has this id.
    #[error("there is no key of WeChat Pay's with the id {0} to be taken out")]
    NoSuchVerificationKey(String),
    /// Requests would ask for answers by a key that is not there.
    #[error(
        "requests ask for answers signed with {0}: let them ask for another key before it is taken out"
    )]
    InUse(String),
    /// Requests would ask for answers by a key that is not there.
    #[error(
        "there is no usable key of WeChat Pay's with the id {0}, which answers shall be signed with"
    )]
    NoResponseKey(String),
}

/// The parts of the item as they are stored.
struct StoredKeys {
    verification: Vec<AttributeValue>,
    response_serial: Option<String>,
    apiv3: Vec<SealedApiV3Key>,
    signer: StoredSigner,
    version: Option<u64>,
}

impl KeysTable {
    /// Changes the merchant's item, or creates it.
    ///
    /// # Errors
    /// [`ChangeError`]; [`KeysError::Changed`] after a concurrent change.
    pub async fn change_merchant(&self, change: &MerchantChange<'_>) -> Result<(), ChangeError> {
        let pk = merchant_pk(&self.shared.mchid);
        let mut parts = StoredKeys::read(self.read_item(&pk).await?, &pk)?;
        parts.change_verification(&pk, change, self.shared.clock.now())?;
        self.change_apiv3(&pk, &mut parts, change).await?;
        self.change_signer(&pk, &mut parts, change).await?;
        Ok(self.write_parts(pk, parts).await?)
    }

    async fn change_apiv3(
        &self,
        pk: &str,
        parts: &mut StoredKeys,
        change: &MerchantChange<'_>,
    ) -> Result<(), ChangeError> {
        for key in change.add_apiv3 {
            ApiV3Key::new(&key.bytes).map_err(|source| not_a_key(pk, "an APIv3 key", source))?;
            let next = || {
                let newest = parts.apiv3.iter().map(|kept| kept.version).max();
                newest.unwrap_or_default().saturating_add(1)
            };
            let version = match key.version {
                Some(version) => match parts.apiv3.iter().find(|kept| kept.version == version) {
                    Some(kept) if self.is_same(pk, kept, &key.bytes).await? => continue,
                    Some(_) => return Err(ChangeError::OtherApiV3Key(version)),
                    None => version,
                },
                None if self.has_apiv3(pk, &parts.apiv3, &key.bytes).await? => continue,
                None => next(),
            };
            let context = apiv3_context(&self.shared.mchid, version);
            let ciphertext = self.shared.vault.seal(pk, &context, &key.bytes).await?;
            parts.apiv3.push(SealedApiV3Key {
                version,
                ciphertext,
                added_at: Some(self.shared.clock.now()),
            });
        }
        if let Some(version) = change.remove_apiv3 {
            let before = parts.apiv3.len();
            parts.apiv3.retain(|kept| kept.version != version);
            if parts.apiv3.len() == before {
                return Err(ChangeError::NoSuchApiV3Key(version));
            }
        }
        parts
            .apiv3
            .sort_by_key(|kept| std::cmp::Reverse(kept.version));
        if parts.apiv3.is_empty() {
            return Err(ChangeError::Incomplete("no APIv3 key"));
        }
        if parts.apiv3.len() > APIV3_KEYS_MAX {
            let versions = parts.apiv3.iter().map(|kept| kept.version).collect();
            return Err(ChangeError::TooManyApiV3Keys { versions });
        }
        Ok(())
    }

    async fn has_apiv3(
        &self,
        pk: &str,
        keys: &[SealedApiV3Key],
        bytes: &[u8],
    ) -> Result<bool, KeysError> {
        for kept in keys {
            if self.is_same(pk, kept, bytes).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn is_same(
        &self,
        pk: &str,
        kept: &SealedApiV3Key,
        bytes: &[u8],
    ) -> Result<bool, KeysError> {
        let context = apiv3_context(&self.shared.mchid, kept.version);
        let vault = &self.shared.vault;
        let plain = vault.unseal(pk, &context, &kept.ciphertext).await?;
        Ok(plain.as_slice() == bytes)
    }

    async fn change_signer(
        &self,
        pk: &str,
        parts: &mut StoredKeys,
        change: &MerchantChange<'_>,
    ) -> Result<(), ChangeError> {
        let signer = &mut parts.signer;
        if change.removes_sealed_signer {
            signer.remove_sealed();
        }
        if let Some(der) = change.signer_pkcs8 {
            self.seal_with_certificate(pk, signer, der, change.signer_certificate)
                .await?;
        } else if let Some(certificate) = change.signer_certificate {
            certify(signer, &certificate)?;
        }
        if let Some(removed) = change.remove_certificate {
            remove(signer, &removed)?;
        }
        signer.mend_of_earlier_versions();
        match signer.of_earlier_versions() {
            Some(_) => Ok(()),
            None => Err(ChangeError::Incomplete("no certificate serial")),
        }
    }

    /// Seals the merchant's private key. Its certificate changes with it, so that a function which
    /// reads the item has both or neither.
    async fn seal_with_certificate(
        &self,
        pk: &str,
        signer: &mut StoredSigner,
        der: &[u8],
        certificate: Option<SignerCertificate<'_>>,
    ) -> Result<(), ChangeError> {
        let certificate = match certificate {
            Some(certificate) => certificate.owned(),
            None => match signer.of_earlier_versions() {
                Some(kept) if signer.has_sealed_key() || signer.some_are_own() => {
                    return Err(ChangeError::KeyWithoutItsSerial(kept));
                }
                Some(serial_no) => OwnCertificate {
                    serial_no,
                    validity: None,
                },
                None => return Err(ChangeError::Incomplete("no certificate serial")),
            },
        };
        LocalKey::from_pkcs8_der(&certificate.serial_no, der)
            .map_err(|source| not_a_key(pk, "the merchant key", source))?;
        let sealed = self.seal_signer(pk, &certificate.serial_no, der).await?;
        signer.certify_sealed(&certificate);
        signer.put_sealed(sealed, number(self.shared.clock.now().0));
        Ok(())
    }

    async fn write_parts(&self, pk: String, parts: StoredKeys) -> Result<(), KeysError> {
        let response_serial = AttributeValue::S(parts.response_serial.unwrap_or_default());
        let next = parts.version.unwrap_or_default().saturating_add(1);
        let written = [
            ("verification", AttributeValue::L(parts.verification)),
            ("response_serial", response_serial),
            ("apiv3", apiv3_value(&parts.apiv3)),
            ("signer", parts.signer.into_value()),
            ("version", AttributeValue::N(next.to_string())),
        ];
        let mut update = self
            .shared
            .client
            .update_item()
            .table_name(&self.shared.table)
            .key("pk", AttributeValue::S(pk.clone()))
            .update_expression(
                "SET verification = :verification, response_serial = :response_serial, \
                 apiv3 = :apiv3, signer = :signer, version = :version",
            )
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        for (name, value) in &written {
            update = update.expression_attribute_values(format!(":{name}"), value.clone());
        }
        let update = match parts.version {
            Some(seen) => update
                .condition_expression("version = :seen")
                .expression_attribute_values(":seen", AttributeValue::N(seen.to_string())),
            None => update.condition_expression("attribute_not_exists(pk)"),
        };
        let Err(error) = update.send().await else {
            return Ok(());
        };
        // The first answer may be lost and the SDK asks again: then what is found is what was
        // written.
        let is_as_written = |found: &Item| {
            written
                .iter()
                .all(|(name, value)| found.get(*name) == Some(value))
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused))
                if refused.item().is_some_and(is_as_written) =>
            {
                Ok(())
            }
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => {
                Err(KeysError::Changed { pk })
            }
            Some(_) | None => Err(KeysError::Table(AwsError::new("UpdateItem", error))),
        }
    }
}

impl SignerCertificate<'_> {
    fn owned(&self) -> OwnCertificate {
        OwnCertificate {
            serial_no: self.serial_no.to_owned(),
            validity: self.validity,
        }
    }
}

/// Registers a certificate of a private key that is there.
fn certify(
    signer: &mut StoredSigner,
    certificate: &SignerCertificate<'_>,
) -> Result<(), ChangeError> {
    let (serial_no, owned) = (certificate.serial_no, certificate.owned());
    let changes_sealed = || {
        let kept = signer.of_sealed().filter(|_| signer.has_sealed_key());
        kept.filter(|kept| !kept.eq_ignore_ascii_case(serial_no))
    };
    match certificate.signs {
        Some(signs @ SignWith::Kms { .. }) => signer.certify(signs, &owned),
        Some(signs @ SignWith::Sealed) => match changes_sealed() {
            Some(kept) => return Err(ChangeError::SerialWithoutItsKey(kept)),
            None => signer.certify(signs, &owned),
        },
        None => match signer.named(serial_no).as_slice() {
            [] => match changes_sealed() {
                Some(kept) => return Err(ChangeError::SerialWithoutItsKey(kept)),
                None if signer.some_are_own() => {
                    return Err(ChangeError::WhoseCertificate(signer.own_ones()));
                }
                None => signer.certify_all(&owned),
            },
            names => signer.certify_again(names, &owned),
        },
    }
    Ok(())
}

/// Takes a certificate out that is not that of the key that signs.
fn remove(signer: &mut StoredSigner, removed: &RemovedCertificate<'_>) -> Result<(), ChangeError> {
    let serial_no = removed.serial_no;
    let own = signer.own(name_of(removed.signs));
    let own = own.ok_or(ChangeError::NoCertificateOfItsOwn)?;
    if own.eq_ignore_ascii_case(serial_no) {
        return Err(ChangeError::CertificateInUse(own));
    }
    let kept = signer.of_earlier_versions();
    let is_kept = kept.is_some_and(|kept| kept.eq_ignore_ascii_case(serial_no));
    if !is_kept && signer.named(serial_no).is_empty() {
        return Err(ChangeError::NoSuchCertificate(serial_no.to_owned()));
    }
    signer.remove(serial_no, removed.signs);
    Ok(())
}

impl StoredKeys {
    fn read(item: Option<Item>, pk: &str) -> Result<Self, KeysError> {
        let Some(item) = item else {
            return Ok(Self {
                verification: Vec::new(),
                response_serial: None,
                apiv3: Vec::new(),
                signer: StoredSigner::of(Item::new()),
                version: None,
            });
        };
        let damaged = |what| KeysError::Damaged {
            pk: pk.to_owned(),
            what,
        };
        let list = item.get("verification").and_then(|value| value.as_l().ok());
        let signer = item.get("signer").and_then(|value| value.as_m().ok());
        Ok(Self {
            verification: list
                .ok_or_else(|| damaged("it has no list `verification`"))?
                .clone(),
            response_serial: text(&item, "response_serial"),
            apiv3: sealed_apiv3(&item)
                .ok_or_else(|| damaged("its APIv3 keys are not stored as they should be"))?,
            signer: StoredSigner::of(
                signer
                    .ok_or_else(|| damaged("it has no map `signer`"))?
                    .clone(),
            ),
            version: Some(
                number_of(&item, "version").ok_or_else(|| damaged("it has no `version`"))?,
            ),
        })
    }

    fn change_verification(
        &mut self,
        pk: &str,
        change: &MerchantChange<'_>,
        now: UnixSeconds,
    ) -> Result<(), ChangeError> {
        for entry in change.add_verification {
            entry
                .load(&mut VerificationKeys::new())
                .map_err(|source| not_a_key(pk, "a verification key", source))?;
            let has_its_id = |stored: &&mut AttributeValue| is_of(stored, &entry.id);
            let value = kept_or_added(&self.verification, entry, now);
            match self.verification.iter_mut().find(has_its_id) {
                Some(stored) => *stored = value,
                None => self.verification.push(value),
            }
        }
        if let Some(serial) = change.response_serial {
            self.response_serial = Some(serial.to_owned());
        }
        if let Some(id) = change.remove_verification {
            if !self.verification.iter().any(|stored| is_of(stored, id)) {
                return Err(ChangeError::NoSuchVerificationKey(id.to_owned()));
            }
            let asked = self.response_serial.as_deref();
            if asked.is_some_and(|asked| asked.eq_ignore_ascii_case(id)) {
                return Err(ChangeError::InUse(id.to_owned()));
            }
            self.verification.retain(|stored| !is_of(stored, id));
        }
        let Some(asked) = &self.response_serial else {
            return Err(ChangeError::Incomplete("no key of WeChat Pay's"));
        };
        let is_usable = |entry: VerificationEntry| {
            entry.id.eq_ignore_ascii_case(asked) && entry.load(&mut VerificationKeys::new()).is_ok()
        };
        let mut entries = self.verification.iter().filter_map(VerificationEntry::read);
        if entries.any(is_usable) {
            Ok(())
        } else {
            Err(ChangeError::NoResponseKey(asked.clone()))
        }
    }
}
