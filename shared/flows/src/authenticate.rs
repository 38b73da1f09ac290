//! The gate of the merchant API: who is asking, and is it asked for the first time?

use adapters::{
    clock::Clock,
    guards::{Guards, GuardsError, NonceUse},
    keys_table::{KeysError, KeysTable},
    random::Random,
};
use message_signatures::{Profile, Refusal, claim, verify};
use payments::ids::ClientId;

use crate::incoming::Incoming;

/// Authenticates requests by HTTP Message Signatures (RFC 9421) against the clients' keys.
#[derive(Clone, Debug)]
pub struct Authenticator {
    keys: KeysTable,
    clock: Clock,
}

/// Burns nonces, so that a signed request changes something once only.
#[derive(Clone, Debug)]
pub struct ReplayGuard {
    guards: Guards,
    clock: Clock,
    random: Random,
}

/// Who sent a request whose signature is right.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The client.
    pub client_id: ClientId,
    keyid: String,
    nonce: Option<String>,
}

/// Why a request does not pass.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The request is not believed.
    #[error("{0}")]
    Refused(Refusal),
    /// The clients' keys could not be read.
    #[error("the key of the client could not be read")]
    Keys(#[source] KeysError),
    /// The nonce could not be burnt, so a replay could not be told.
    #[error("the nonce could not be burnt")]
    Guards(#[source] GuardsError),
}

impl Authenticator {
    /// A gate over the clients' keys.
    pub fn new(keys: KeysTable, clock: Clock) -> Self {
        Self { keys, clock }
    }

    /// Checks the signature of a request. What changes something must [burn](ReplayGuard::consume)
    /// its nonce besides.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn authenticate(&self, incoming: &Incoming) -> Result<Caller, AuthError> {
        let profile = Profile::MERCHANT_API;
        let claimed = incoming
            .signed(|request| claim(request, &profile))
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
        let now = self.clock.now();
        incoming
            .signed(|request| verify(request, &claimed, &key.key, now.0, &profile))
            .map_err(AuthError::Refused)?;
        Ok(Caller {
            client_id: ClientId::new(&key.client_id),
            keyid: claimed.keyid,
            nonce: claimed.nonce,
        })
    }
}

impl ReplayGuard {
    /// Nonces are burnt in this table.
    pub fn new(guards: Guards, clock: Clock, random: Random) -> Self {
        Self {
            guards,
            clock,
            random,
        }
    }

    /// Uses up the nonce of a request that changes something. May run beside the conditional write
    /// that reserves the order: the caller waits for both before it answers or calls WeChat Pay. A
    /// reservation whose request is then refused is still the client's own signed request; the
    /// sweep looks after it like after any other.
    ///
    /// # Errors
    /// [`AuthError`]; [`Refusal::NonceSeen`] when the nonce was used before.
    pub async fn consume(&self, caller: &Caller) -> Result<(), AuthError> {
        let nonce =
            caller
                .nonce
                .as_deref()
                .ok_or(AuthError::Refused(Refusal::ParameterMissing {
                    parameter: "nonce",
                }))?;
        let burnt = self
            .guards
            .consume_nonce(&caller.keyid, nonce, &self.random.id(), self.clock.now())
            .await;
        match burnt.map_err(AuthError::Guards)? {
            NonceUse::FirstUse => Ok(()),
            NonceUse::Replayed => Err(AuthError::Refused(Refusal::NonceSeen)),
        }
    }
}
