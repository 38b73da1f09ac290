//! Waiting for a turn: the limits on calls, refunds and signatures.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use runtime::{call_keys::CallKeys, clock::Deadline, signer::MerchantSigner, telemetry::emf::HELD};
use tracing::info;

use super::{CALL_MIN, NotSent, WechatApi, bucket::Bucket};

/// What a call may have to wait for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// All calls.
    Calls,
    /// Those that ask for a refund.
    Refunds,
    /// Signatures by KMS.
    Signatures,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Calls, Self::Refunds, Self::Signatures];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Refunds => "refunds",
            Self::Signatures => "signatures",
        }
    }
}

impl WechatApi {
    /// How long a call would now have to wait for the limits, in milliseconds; one that asks for a
    /// refund, if so. A caller with many calls starts the next one when this is small, because a
    /// call that waits uses up its own time.
    pub fn turn_in_ms(&self, for_a_refund: bool) -> i64 {
        let now_ms = self.0.clock.now_ms();
        let refunds = for_a_refund.then_some(&self.0.refunds);
        let buckets = [Some(&self.0.calls), self.0.kms_signatures.as_ref(), refunds];
        let wait_ms = |bucket: &Mutex<Bucket>| {
            let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.wait_ms(now_ms)
        };
        let waits_ms = buckets.into_iter().flatten().map(wait_ms);
        waits_ms.max().unwrap_or_default()
    }

    /// The signer, when it is its turn.
    pub(super) async fn signer_by(
        &self,
        keys: &dyn CallKeys,
        deadline: &Deadline,
    ) -> Result<MerchantSigner, NotSent> {
        if let Some(signatures) = &self.0.kms_signatures {
            self.wait_for(Limit::Signatures, signatures, deadline)
                .await?;
        }
        Ok(keys.signer(&self.0.sign_with).await?)
    }

    /// Takes a token, and waits until it is valid. It does not wait if less than [`CALL_MIN`] would
    /// be left: a host without enough time to answer would be blamed for the time spent here.
    pub(super) async fn wait_for(
        &self,
        limit: Limit,
        bucket: &Mutex<Bucket>,
        deadline: &Deadline,
    ) -> Result<(), NotSent> {
        let now_ms = self.0.clock.now_ms();
        let wait_max = deadline.left().saturating_sub(CALL_MIN);
        let wait_ms_max = i64::try_from(wait_max.as_millis()).unwrap_or(i64::MAX);
        let turn = bucket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(now_ms, wait_ms_max);
        let limit = limit.name();
        let Some(wait_ms) = turn else {
            info!(target: HELD, limit, CallsNotSent = 1);
            return Err(NotSent::Busy);
        };
        if wait_ms > 0 {
            info!(target: HELD, limit, LimitWaitMs = wait_ms);
            self.0.clock.sleep(millis(wait_ms)).await;
        }
        Ok(())
    }
}

/// Milliseconds as a duration; zero if negative.
fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}
