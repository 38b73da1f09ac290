//! Each signed request takes effect once.

use message_signatures::Refusal;
use runtime::{clock::Clock, random::Random};
use stores::guards::{Guards, NonceUse};

use crate::{auth_error::AuthError, authenticate::Caller};

/// Consumes nonces, so that a signed request takes effect only once.
#[derive(Clone, Debug)]
pub struct ReplayGuard {
    guards: Guards,
    clock: Clock,
    random: Random,
}

impl ReplayGuard {
    /// Nonces are stored in this table.
    pub fn new(guards: Guards, clock: Clock, random: Random) -> Self {
        Self {
            guards,
            clock,
            random,
        }
    }

    /// Consumes the nonce of a request that changes something. It may run in parallel with the
    /// conditional write that reserves the order: the caller waits for both before it answers or
    /// calls WeChat Pay. If the request is then refused, the reservation is still from the client's
    /// own signed request, and the sweep handles it like any other.
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
        let used = self
            .guards
            .consume_nonce(&caller.keyid, nonce, &self.random.id(), self.clock.now())
            .await;
        match used.map_err(AuthError::Guards)? {
            NonceUse::FirstUse => Ok(()),
            NonceUse::Replayed => Err(AuthError::Refused(Refusal::NonceSeen)),
        }
    }
}
