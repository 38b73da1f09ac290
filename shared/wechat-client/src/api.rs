//! Calls WeChat Pay: signs, sends, and takes the answer apart as far as it can be trusted.
//!
//! A call comes back as one of three: a verified success, an (unsigned) refusal, or unknown. What
//! that means for an order, and whether to act again, is for the rules and the flows. Here is only
//! what protects WeChat Pay and us from one another under strain: the host that answers is asked
//! first ([`WechatApi::hosts`]), calls and signatures keep to a rate ([`Limits`]), and what may be
//! sent twice is sent to the other host when the first gives no answer that counts
//! ([`WechatApi::call_either`]).

mod answer;
mod bill;
mod breaker;
mod bucket;
mod causes;
pub mod certificates;
mod exchange;
mod host_health;
mod hosts;
mod limits;
mod measured;
mod settings;
mod wire;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use payments::news::call_outcome::CallOutcome;
use runtime::{
    backoff::Backoff,
    call_keys::KeySource,
    clock::Clock,
    random::Random,
    signer::{MerchantSigner, SignWith},
};
use tokio::sync::OnceCell;
use tracing::warn;
use wechatpay::{
    FieldKey, RequestId,
    api::{Call, Method, Outgoing, Repeat},
};

use exchange::Exchange;
use hosts::Failover;
use measured::MeasuredCall;

pub use crate::not_sent::NotSent;
pub use bucket::Bucket;
pub use hosts::{Host, HostChoice, Hosts};
pub use limits::Limit;
pub use measured::CallResult;
pub use settings::{Limits, WechatSettings};

/// WeChat Pay's interfaces for one merchant. Cheap to clone; clones share the connections, what is
/// known about the hosts, and the limits.
#[derive(Clone, Debug)]
pub struct WechatApi(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    hosts: Hosts,
    host_choice: HostChoice,
    failover: Mutex<Failover>,
    calls: Mutex<Bucket>,
    /// On top of that.
    refunds: Mutex<Bucket>,
    /// Only for a key in KMS, which has a quota; a sealed one signs as fast as the processor can.
    kms_signatures: Option<Mutex<Bucket>>,
    /// How many calls a second all of these let through in the long run.
    calls_per_s: u32,
    mchid: String,
    sign_with: SignWith,
    keys: Arc<dyn KeySource>,
    clock: Clock,
    random: Random,
    /// Built at the first call: a function that is only started makes no TLS set-up.
    http: OnceCell<reqwest::Client>,
}

/// Result of one call, and WeChat Pay's `Request-ID` of it.
#[derive(Clone, Debug, PartialEq)]
pub struct CallReply<T> {
    /// The result.
    pub answer: CallOutcome<T>,
    /// WeChat Pay's own name of the call, if an answer came. It is not signed.
    pub request_id: Option<RequestId>,
}

/// One call's share of a longer time, at most: WeChat Pay counts 3 s as normal
/// (shared/wechatpay/PROTOCOL.md, 1.2).
pub const CALL_MAX: Duration = Duration::from_secs(3);
/// Below this there is no use in beginning another call.
pub const CALL_MIN: Duration = Duration::from_millis(200);
/// The pause before the same call goes to the other host. A host that is down needs none; an
/// overloaded one must not get all calls of a second again at the same moment.
pub const BETWEEN_HOSTS: Backoff = Backoff {
    first_ms: 50,
    max_ms: 400,
};

/// How long a signature that is no part of a call may wait for its turn.
const SIGN_WITHIN: Duration = Duration::from_secs(2);

impl WechatApi {
    /// The interfaces as the settings have them. Nothing is built or read before the first call.
    pub fn new(
        settings: WechatSettings,
        mchid: impl Into<String>,
        keys: impl KeySource + 'static,
        clock: Clock,
        random: Random,
    ) -> Self {
        let WechatSettings {
            hosts,
            host_choice,
            sign_with,
            limits,
        } = settings;
        let (kms_signatures, calls_per_s) = match sign_with {
            SignWith::Kms { .. } => (
                Some(Mutex::new(Bucket::new(limits.signatures_per_s))),
                limits.calls_per_s.min(limits.signatures_per_s),
            ),
            SignWith::Sealed => (None, limits.calls_per_s),
        };
        Self(Arc::new(Shared {
            hosts,
            host_choice,
            failover: Mutex::default(),
            calls: Mutex::new(Bucket::new(limits.calls_per_s)),
            refunds: Mutex::new(Bucket::new(limits.refunds_per_s)),
            kms_signatures,
            calls_per_s,
            mchid: mchid.into(),
            sign_with,
            keys: Arc::new(keys),
            clock,
            random,
            http: OnceCell::new(),
        }))
    }

    /// The merchant number.
    pub fn mchid(&self) -> &str {
        &self.0.mchid
    }

    /// Who signs for the merchant.
    pub fn sign_with(&self) -> &SignWith {
        &self.0.sign_with
    }

    /// The merchant's signer, for the parameters that a payer's device needs. Request it again for
    /// each signature: each counts towards the limit.
    ///
    /// # Errors
    /// [`NotSent::Keys`], and [`NotSent::Busy`] when its turn would come too late.
    pub async fn signer(&self) -> Result<MerchantSigner, NotSent> {
        let keys = self.0.keys.current().await?;
        let deadline = self.0.clock.deadline(SIGN_WITHIN);
        self.signer_by(keys.as_ref(), &deadline).await
    }

    /// The host to ask first, and the other one.
    ///
    /// The main host comes first as long as it answers: by its last 100 calls of at most 10
    /// minutes, nine in ten (shared/wechatpay/PROTOCOL.md, 1.2). Only connections and answers that
    /// did not come in time count against a host; a refusal is an answer. A host taken out of use
    /// is tried again after a minute by one caller: the one for which this function puts it first.
    /// So call this once per operation, then make the call.
    pub fn hosts(&self) -> [Host; 2] {
        self.failover().order(self.0.clock.now_ms())
    }

    /// Whether neither host answers and it is too early to try one again: a call now would most
    /// likely fail.
    pub fn is_down(&self) -> bool {
        self.failover().is_down(self.0.clock.now_ms())
    }

    /// How many of the two hosts did not answer and are not to be tried again yet: 0, 1 or 2.
    pub fn hosts_avoided(&self) -> u32 {
        self.failover().avoided(self.0.clock.now_ms())
    }

    /// How many calls a second the limits let through in the long run.
    pub fn calls_per_s(&self) -> u32 {
        self.0.calls_per_s
    }

    /// The key that personal fields are encrypted to for WeChat Pay: the one that
    /// `Wechatpay-Serial` of every call names.
    ///
    /// # Errors
    /// [`NotSent::Keys`].
    pub async fn field_key(&self) -> Result<FieldKey, NotSent> {
        Ok(self.0.keys.current().await?.field_key()?)
    }

    /// Makes one call to one host, within the time given, which includes waiting for the limits.
    ///
    /// # Errors
    /// [`NotSent`] when nothing left for WeChat Pay; whatever happened after that is an
    /// [`CallOutcome`].
    pub async fn call<C: Call>(
        &self,
        call: &C,
        host: Host,
        within: Duration,
    ) -> Result<CallReply<C::Answer>, NotSent> {
        let deadline = self.0.clock.deadline(within);
        let outgoing = call.outgoing();
        if asks_for_a_refund(&outgoing) {
            self.wait_for(Limit::Refunds, &self.0.refunds, &deadline)
                .await?;
        }
        let Exchange {
            keys,
            received,
            took_ms,
        } = self
            .exchange(call.interface(), outgoing, host, &deadline)
            .await?;
        let made = MeasuredCall {
            interface: call.interface(),
            host,
            took_ms,
        };
        let answer = match received {
            Ok(Some(received)) => {
                return Ok(CallReply {
                    answer: self
                        .verify_and_parse::<C>(keys.as_ref(), &received, made)
                        .await,
                    request_id: received.request_id,
                });
            }
            Ok(None) => {
                let what = "WeChat Pay's answer is longer than any known one";
                warn!(
                    interface = made.interface.name(),
                    host = host.name(),
                    outcome = CallResult::Unreadable.name(),
                    WechatCallMs = took_ms,
                    cause = "too_long",
                    WechatCallsFailed = 1,
                    "{what}"
                );
                CallOutcome::Unknown(what.to_owned())
            }
            Err(error) => {
                let error = error.without_url();
                self.log_unanswered(made, &error);
                CallOutcome::Unknown(if error.is_timeout() {
                    "time-out".to_owned()
                } else {
                    "no answer".to_owned()
                })
            }
        };
        Ok(CallReply {
            answer,
            request_id: None,
        })
    }

    /// Makes a call that may be made twice (a query, a close): to the host that is asked first, and
    /// when that gives no answer that counts, or an error after which the same may be sent again,
    /// the very same call to the other one. All within the time given, of which the first host gets
    /// two thirds, at most [`CALL_MAX`].
    ///
    /// The answer is the last one that came. If the first call got no answer it may have been
    /// executed, so a refusal of the second can be its effect.
    ///
    /// # Errors
    /// [`NotSent`] when nothing left for WeChat Pay at all.
    pub async fn call_either<C: Call>(
        &self,
        call: &C,
        within: Duration,
    ) -> Result<CallReply<C::Answer>, NotSent> {
        let deadline = self.0.clock.deadline(within);
        let [first, other] = self.hosts_for_a_question();
        let answer = self.call(call, first, first_share(within)).await?;
        if !goes_to_the_other_host(&answer.answer) {
            return Ok(answer);
        }
        let pause = BETWEEN_HOSTS.pause(1, &self.0.random);
        if deadline.left() < pause.saturating_add(CALL_MIN) {
            return Ok(answer);
        }
        self.0.clock.sleep(pause).await;
        match self.call(call, other, deadline.left().min(CALL_MAX)).await {
            Ok(answer) => Ok(answer),
            // The first call was sent, so its outcome counts.
            Err(error) => {
                warn!(host = other.name(), %error, "the call was not repeated");
                Ok(answer)
            }
        }
    }

    /// As [`WechatApi::hosts`], but one call in a hundred goes to the backup host first: a host
    /// that is never used is found dead when it is needed (shared/wechatpay/PROTOCOL.md, 1.2).
    fn hosts_for_a_question(&self) -> [Host; 2] {
        let now_ms = self.0.clock.now_ms();
        if u16::from_be_bytes(self.0.random.bytes()) < ONE_IN_A_HUNDRED {
            self.failover().order_to_warm_the_backup(now_ms)
        } else {
            self.failover().order(now_ms)
        }
    }

    fn failover(&self) -> MutexGuard<'_, Failover> {
        self.0
            .failover
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Out of 65,536.
const ONE_IN_A_HUNDRED: u16 = 655;

/// Whether a call asks for a refund, or for another way to pay one out. WeChat Pay's limits on both
/// are the same.
fn asks_for_a_refund(outgoing: &Outgoing) -> bool {
    outgoing.method == Method::Post && outgoing.path_and_query.starts_with("/v3/refund/")
}

/// The share of the time that the first of two hosts gets. All of it when there is not enough for
/// two.
fn first_share(within: Duration) -> Duration {
    let share = within.saturating_mul(2) / 3;
    if within.saturating_sub(share) < CALL_MIN {
        within.min(CALL_MAX)
    } else {
        share.min(CALL_MAX)
    }
}

/// Whether the same call must be repeated to the other host.
fn goes_to_the_other_host<T>(answer: &CallOutcome<T>) -> bool {
    match answer {
        // The other host would say the same.
        CallOutcome::Done(_) | CallOutcome::Unreadable(_) => false,
        CallOutcome::Refused(refusal) => refusal.repeat() == Repeat::WithBackoff,
        CallOutcome::Unknown(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_host_gets_two_thirds_of_the_time_and_no_more_than_three_seconds() {
        for (within_ms, share_ms) in [
            (9000, 3000),
            (4500, 3000),
            (3000, 2000),
            (600, 400),
            (599, 599),
            (500, 500),
            (10, 10),
        ] {
            assert_eq!(
                first_share(Duration::from_millis(within_ms)).as_millis(),
                share_ms,
                "{within_ms}"
            );
        }
    }
}
