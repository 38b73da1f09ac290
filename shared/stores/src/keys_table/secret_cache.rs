//! Sealing secrets, and unsealing each once.

use std::sync::Arc;

use runtime::{
    cache::Memo,
    kms::{Context, Kms},
};
use zeroize::Zeroizing;

use super::error::KeysError;

/// Seals secrets, and unseals each once.
#[derive(Clone, Debug)]
pub(super) struct SecretCache {
    pub(super) kms: Kms,
    pub(super) key_id: String,
    pub(super) opened: Arc<Memo<(Context, Vec<u8>), UnsealedSecret>>,
}

/// An unsealed secret.
pub(super) type UnsealedSecret = Arc<Zeroizing<Vec<u8>>>;

impl SecretCache {
    pub(super) async fn seal(
        &self,
        pk: &str,
        context: &Context,
        secret: &[u8],
    ) -> Result<Vec<u8>, KeysError> {
        let sealed = self.kms.seal(&self.key_id, context, secret).await;
        sealed.map_err(|source| KeysError::Secret {
            pk: pk.to_owned(),
            source,
        })
    }

    /// Unseals under the context of the place where the secret was found. The cache includes the
    /// context: otherwise a ciphertext that was copied to another place would unseal there once it
    /// was cached from its own place.
    pub(super) async fn unseal(
        &self,
        pk: &str,
        context: &Context,
        sealed: &[u8],
    ) -> Result<UnsealedSecret, KeysError> {
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
