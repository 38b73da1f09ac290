//! Authentication of the merchant API: who sent the request?

use message_signatures::{Profile, Refusal, check_without_key, claim, verify};
use payments::model::{
    ids::ClientId,
    permissions::{Permissions, Scope},
};
use runtime::clock::Clock;
use stores::keys_table::KeysTable;

use crate::{auth_error::AuthError, incoming::Incoming, problem::Problem};

/// Authenticates requests by HTTP Message Signatures (RFC 9421) against the clients' keys.
#[derive(Clone, Debug)]
pub struct Authenticator {
    keys: KeysTable,
    clock: Clock,
}

/// The sender of a request with a valid signature.
#[derive(Clone, Debug)]
pub struct Caller {
    pub client_id: ClientId,
    /// Which of the client's keys signed.
    pub keyid: String,
    /// What the key may do.
    pub permissions: Permissions,
    /// The key's own limit, if it has one.
    pub requests_per_s: Option<u32>,
    pub(crate) nonce: Option<String>,
}

impl Caller {
    /// Whether the key has the scope that a route asks for. This comes before anything of the
    /// request is written, its nonce too: the same request takes effect if the key gets the scope
    /// while its signature is good.
    ///
    /// # Errors
    /// [`Problem::scope_missing`].
    pub fn has_scope(&self, scope: Scope) -> Result<(), Problem> {
        if self.permissions.scopes.has(scope) {
            Ok(())
        } else {
            Err(Problem::scope_missing(scope))
        }
    }
}

impl Authenticator {
    /// Creates it over the clients' keys.
    pub fn new(keys: KeysTable, clock: Clock) -> Self {
        Self { keys, clock }
    }

    /// Checks the signature of a request. A request that changes something must also
    /// [consume](crate::replay_guard::ReplayGuard::consume) its nonce.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn authenticate(&self, incoming: &Incoming) -> Result<Caller, AuthError> {
        let profile = Profile::MERCHANT_API;
        let claimed = incoming
            .signed(|request| claim(request, &profile))
            .map_err(AuthError::Refused)?;
        // All that needs no key comes first: a stranger has to send a whole and fresh request
        // before the keys table is read for it.
        let now = self.clock.now();
        incoming
            .signed(|request| check_without_key(request, &claimed, now.0, &profile))
            .map_err(AuthError::Refused)?;
        let key = self
            .keys
            .client_key(&claimed.keyid)
            .await
            .map_err(AuthError::Keys)?;
        let key = key.ok_or_else(|| {
            AuthError::Refused(Refusal::UnknownKey {
                keyid: claimed.keyid.clone(),
            })
        })?;
        incoming
            .signed(|request| verify(request, &claimed, &key.key, now.0, &profile))
            .map_err(AuthError::Refused)?;
        Ok(Caller {
            client_id: ClientId::new(&key.client_id),
            permissions: key.permissions.clone(),
            requests_per_s: key.requests_per_s,
            keyid: claimed.keyid,
            nonce: claimed.nonce,
        })
    }
}
