//! The key service: sealing and opening secrets, signing digests, making data keys, importing the
//! merchant's key.
//!
//! A sealed secret is bound to a [`Context`] that says what it is for. KMS opens it only for the
//! same context, and a function's role may be granted some contexts and not others.

pub mod signing_key;

use std::collections::HashMap;
use std::fmt;

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, MessageType, SigningAlgorithmSpec};
use zeroize::Zeroizing;

use crate::aws::AwsError;

/// Calls KMS. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Kms {
    client: aws_sdk_kms::Client,
}

/// What a ciphertext is for: KMS's encryption context. Not secret; KMS logs it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Context(Vec<(&'static str, String)>);

impl Context {
    /// A context for one purpose, such as `apiv3-key`.
    pub fn of(purpose: &str) -> Self {
        Self(vec![("purpose", purpose.to_owned())])
    }

    /// The same context, narrowed by one more pair.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    fn pairs(&self) -> HashMap<String, String> {
        self.0
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    }
}

/// A new data key: plain for use now, and encrypted by KMS to be stored with the data that it
/// sealed.
pub struct DataKey {
    /// The 32 bytes of an AES-256 key.
    pub plain: Zeroizing<Vec<u8>>,
    /// What [`Kms::unseal`] turns into `plain` again.
    pub sealed: Vec<u8>,
}

/// Does not show the key.
impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey").finish_non_exhaustive()
    }
}

/// A call to KMS that gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// The call failed.
    #[error("KMS did not answer as asked; check the key, its policy and the encryption context")]
    Call(#[source] AwsError),
    /// KMS answered without what it must hold.
    #[error("KMS answered {operation} without {field}")]
    Incomplete {
        operation: &'static str,
        /// What is missing.
        field: &'static str,
    },
    /// A private key could not be encrypted for its way to KMS.
    #[error("the private key could not be wrapped under the key that KMS gave for its import")]
    NotWrapped,
}

impl KmsError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Call(error) => error.is_transient(),
            Self::Incomplete { .. } | Self::NotWrapped => false,
        }
    }

    /// KMS's own code for its refusal, such as `KMSInvalidStateException`.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Call(error) => error.code(),
            Self::Incomplete { .. } | Self::NotWrapped => None,
        }
    }
}

impl Kms {
    /// Calls through `client`.
    pub fn new(client: aws_sdk_kms::Client) -> Self {
        Self { client }
    }

    /// Seals up to 4096 bytes under `key_id`, bound to `context`.
    ///
    /// # Errors
    /// KMS could not be reached or refused.
    pub async fn seal(
        &self,
        key_id: &str,
        context: &Context,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, KmsError> {
        let sealed = self
            .client
            .encrypt()
            .key_id(key_id)
            .set_encryption_context(Some(context.pairs()))
            .plaintext(Blob::new(plaintext))
            .send()
            .await
            .map_err(|error| KmsError::Call(AwsError::new("Encrypt", error)))?;
        present("Encrypt", "CiphertextBlob", sealed.ciphertext_blob)
    }

    /// Opens what [`Kms::seal`] sealed, or the sealed half of a [`DataKey`], under the same key and
    /// context.
    ///
    /// # Errors
    /// KMS could not be reached or refused; a wrong context or key is a refusal.
    pub async fn unseal(
        &self,
        key_id: &str,
        context: &Context,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let opened = self
            .client
            .decrypt()
            .key_id(key_id)
            .set_encryption_context(Some(context.pairs()))
            .ciphertext_blob(Blob::new(sealed))
            .send()
            .await
            .map_err(|error| KmsError::Call(AwsError::new("Decrypt", error)))?;
        present("Decrypt", "Plaintext", opened.plaintext).map(Zeroizing::new)
    }

    /// Signs a SHA-256 digest with the RSA key `key_id`: RSASSA-PKCS1-v1_5.
    ///
    /// # Errors
    /// KMS could not be reached or refused.
    pub async fn sign_digest(&self, key_id: &str, digest: &[u8]) -> Result<Vec<u8>, KmsError> {
        let signed = self
            .client
            .sign()
            .key_id(key_id)
            .message_type(MessageType::Digest)
            .signing_algorithm(SigningAlgorithmSpec::RsassaPkcs1V15Sha256)
            .message(Blob::new(digest))
            .send()
            .await
            .map_err(|error| KmsError::Call(AwsError::new("Sign", error)))?;
        present("Sign", "Signature", signed.signature)
    }

    /// Makes an AES-256 data key under `key_id`, bound to `context`.
    ///
    /// # Errors
    /// KMS could not be reached or refused.
    pub async fn data_key(&self, key_id: &str, context: &Context) -> Result<DataKey, KmsError> {
        const OPERATION: &str = "GenerateDataKey";
        let made = self
            .client
            .generate_data_key()
            .key_id(key_id)
            .set_encryption_context(Some(context.pairs()))
            .key_spec(DataKeySpec::Aes256)
            .send()
            .await
            .map_err(|error| KmsError::Call(AwsError::new(OPERATION, error)))?;
        Ok(DataKey {
            plain: present(OPERATION, "Plaintext", made.plaintext).map(Zeroizing::new)?,
            sealed: present(OPERATION, "CiphertextBlob", made.ciphertext_blob)?,
        })
    }
}

fn present(
    operation: &'static str,
    field: &'static str,
    blob: Option<Blob>,
) -> Result<Vec<u8>, KmsError> {
    blob.map(Blob::into_inner)
        .filter(|bytes| !bytes.is_empty())
        .ok_or(KmsError::Incomplete { operation, field })
}
