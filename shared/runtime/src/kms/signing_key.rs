//! The key that signs for the merchant, as its administrators see it: its state, its public half,
//! and the import of a private key that is registered at WeChat Pay already.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{
    AlgorithmSpec, ExpirationModelType, KeySpec, KeyState, KeyUsageType, OriginType,
    WrappingKeySpec,
};
use wechatpay::UnixSeconds;
use zeroize::Zeroizing;

use super::{Kms, KmsError, present};
use crate::aws::AwsError;
use crate::random::Random;

/// What KMS says of a key. Texts are KMS's own words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyDescription {
    pub arn: String,
    /// `RSA_2048` ...
    pub spec: String,
    /// `SIGN_VERIFY` ...
    pub usage: String,
    /// Where its private half comes from: `AWS_KMS`, `EXTERNAL` ...
    pub origin: String,
    /// `Enabled`, `PendingImport`, `Disabled`, `PendingDeletion` ...
    pub state: String,
    /// When it was made.
    pub created: Option<UnixSeconds>,
    /// When KMS deletes its imported material; `None` if never.
    pub material_ends: Option<UnixSeconds>,
    /// Whether it may have replicas in other Regions.
    pub is_multi_region: bool,
}

/// Whether KMS rotates a symmetric key by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rotation {
    /// Whether it does.
    pub is_on: bool,
    /// When it does so next.
    pub next: Option<UnixSeconds>,
}

impl Kms {
    /// What `key_id` is and whether it can be used.
    ///
    /// # Errors
    /// KMS could not be reached or refused.
    pub async fn describe_key(&self, key_id: &str) -> Result<KeyDescription, KmsError> {
        const OPERATION: &str = "DescribeKey";
        let described = self
            .client
            .describe_key()
            .key_id(key_id)
            .send()
            .await
            .map_err(|error| KmsError::Call(AwsError::new(OPERATION, error)))?;
        let key = described.key_metadata.ok_or(KmsError::Incomplete {
            operation: OPERATION,
            field: "KeyMetadata",
        })?;
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        Ok(KeyDescription {
            spec: text(key.key_spec.as_ref().map(KeySpec::as_str)),
            usage: text(key.key_usage.as_ref().map(KeyUsageType::as_str)),
            origin: text(key.origin.as_ref().map(OriginType::as_str)),
            state: text(key.key_state.as_ref().map(KeyState::as_str)),
            created: key.creation_date.map(|at| UnixSeconds(at.secs())),
            material_ends: key.valid_to.map(|at| UnixSeconds(at.secs())),
            is_multi_region: key.multi_region.unwrap_or_default(),
            arn: key.arn.unwrap_or(key.key_id),
        })
    }

    /// Whether KMS rotates `key_id`, a symmetric key, by itself.
    ///
    /// # Errors
    /// KMS could not be reached or refused.
    pub async fn rotation(&self, key_id: &str) -> Result<Rotation, KmsError> {
        let status = self
            .client
            .get_key_rotation_status()
            .key_id(key_id)
            .send()
            .await
            .map_err(|error| KmsError::Call(AwsError::new("GetKeyRotationStatus", error)))?;
        Ok(Rotation {
            is_on: status.key_rotation_enabled,
            next: status.next_rotation_date.map(|at| UnixSeconds(at.secs())),
        })
    }

    /// The public half of `key_id` as SPKI DER.
    ///
    /// # Errors
    /// KMS could not be reached or refused; it refuses while the key waits for its material.
    pub async fn public_key(&self, key_id: &str) -> Result<Vec<u8>, KmsError> {
        let answer = self
            .client
            .get_public_key()
            .key_id(key_id)
            .send()
            .await
            .map_err(|error| KmsError::Call(AwsError::new("GetPublicKey", error)))?;
        present("GetPublicKey", "PublicKey", answer.public_key)
    }

    /// Imports a private RSA key (PKCS#8 DER) into `key_id`, whose origin is `EXTERNAL`, for good.
    /// It leaves this process encrypted under a key of KMS's own (`RSA_AES_KEY_WRAP_SHA_256`).
    ///
    /// # Errors
    /// KMS could not be reached or refused: it takes no other material than a key has had before.
    pub async fn import_rsa_key(&self, key_id: &str, pkcs8: &[u8]) -> Result<(), KmsError> {
        const PARAMETERS: &str = "GetParametersForImport";
        let parameters = self
            .client
            .get_parameters_for_import()
            .key_id(key_id)
            .wrapping_algorithm(AlgorithmSpec::RsaAesKeyWrapSha256)
            // Stronger than the RSA-2048 that it protects on its way.
            .wrapping_key_spec(WrappingKeySpec::Rsa3072)
            .send()
            .await
            .map_err(|error| KmsError::Call(AwsError::new(PARAMETERS, error)))?;
        let wrapping_key = present(PARAMETERS, "PublicKey", parameters.public_key)?;
        let token = present(PARAMETERS, "ImportToken", parameters.import_token)?;
        let wrapped = wrap(&wrapping_key, pkcs8).ok_or(KmsError::NotWrapped)?;
        self.client
            .import_key_material()
            .key_id(key_id)
            .import_token(Blob::new(token))
            .encrypted_key_material(Blob::new(wrapped))
            .expiration_model(ExpirationModelType::KeyMaterialDoesNotExpire)
            .send()
            .await
            .map_err(|error| KmsError::Call(AwsError::new("ImportKeyMaterial", error)))?;
        Ok(())
    }
}

/// `RSA_AES_KEY_WRAP_SHA_256`: a fresh AES key, encrypted by RSA-OAEP, and behind it the material
/// wrapped by that AES key (RFC 5649).
fn wrap(wrapping_key: &[u8], material: &[u8]) -> Option<Vec<u8>> {
    let key = PublicEncryptingKey::from_der(wrapping_key).ok()?;
    let key = OaepPublicEncryptingKey::new(key).ok()?;
    let aes_key = Zeroizing::new(Random::system().bytes::<32>());
    let mut encrypted_key = vec![0; key.ciphertext_size()];
    let encrypted_key = key
        .encrypt(&OAEP_SHA256_MGF1SHA256, &*aes_key, &mut encrypted_key, None)
        .ok()?
        .to_vec();
    // A block for the length and one to fill up.
    let mut wrapped = vec![0; material.len().checked_add(16)?];
    let wrapped = AesKek::new(&AES_256, &*aes_key)
        .and_then(|key| key.wrap_with_padding(material, &mut wrapped))
        .ok()?;
    Some([encrypted_key.as_slice(), wrapped].concat())
}
