//! Calls WeChat Pay: signs, sends, and takes the answer apart as far as it can be trusted.
//!
//! A call comes back as one of three: a verified success, an (unsigned) refusal, or unknown. What
//! that means for an order, and whether to act again, is for the rules and the flows. Here is only
//! what protects WeChat Pay and us from one another under strain: the host that answers is asked
//! first ([`WechatApi::hosts`]), calls and signatures keep to a rate ([`Limits`]), and what may be
//! sent twice is sent to the other host when the first gives no answer that counts
//! ([`WechatApi::call_either`]).

mod bill;
mod breaker;
mod bucket;
mod causes;
pub mod certificates;
mod hosts;
mod settings;
mod wire;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use payments::news::call_outcome::CallOutcome;
use runtime::{
    backoff::Backoff,
    call_keys::{CallKeys, KeySource},
    clock::{Clock, Deadline},
    random::Random,
    signer::{MerchantSigner, SignWith},
};
use tokio::sync::OnceCell;
use tracing::{debug, error, info, warn};
use wechatpay::{
    FieldKey, RequestId,
    api::{Call, CallFailure, Method, Outgoing, Repeat, read_answer},
    sign::authorization,
    verify::VerifyError,
};

use breaker::{BreakerEvent, CallReport};
use hosts::Failover;
use wire::{HttpAnswer, HttpResult, build_client};

pub use crate::not_sent::NotSent;
pub use bucket::Bucket;
pub use hosts::{Host, Hosts};
pub use settings::{Limits, WechatSettings};

/// WeChat Pay's interfaces for one merchant. Cheap to clone; clones share the connections, what is
/// known about the hosts, and the limits.
#[derive(Clone, Debug)]
pub struct WechatApi(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    hosts: Hosts,
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
        let asks = outgoing.method == Method::Get;
        if asks_for_a_refund(&outgoing) {
            self.wait_for(&self.0.refunds, &deadline).await?;
        }
        let (keys, received) = self.exchange(outgoing, host, &deadline).await?;
        let answer = match received {
            Ok(Some(received)) => {
                return Ok(CallReply {
                    answer: self
                        .verify_and_parse::<C>(keys.as_ref(), &received, asks)
                        .await,
                    request_id: received.request_id,
                });
            }
            Ok(None) => {
                let what = "WeChat Pay's answer is longer than any known one";
                warn!(?host, cause = "too_long", WechatCallsFailed = 1, "{what}");
                CallOutcome::Unknown(what.to_owned())
            }
            Err(error) => {
                let error = error.without_url();
                self.tell_unanswered(host, &error);
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
                warn!(host = ?other, %error, "the call was not repeated");
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

    /// Signs a request, sends it to one host, and reads what comes back. All within the deadline,
    /// waiting for the limits on calls and signatures too. The keys are those
    /// that were read for it.
    ///
    /// # Errors
    /// [`NotSent`] when nothing left for WeChat Pay.
    async fn exchange(
        &self,
        outgoing: Outgoing,
        host: Host,
        deadline: &Deadline,
    ) -> Result<(Arc<dyn CallKeys>, HttpResult), NotSent> {
        self.wait_for(&self.0.calls, deadline).await?;
        let keys = self.0.keys.current().await?;
        let (request, left) = self.signed(outgoing, host, keys.as_ref(), deadline).await?;
        let request = request
            .header("wechatpay-serial", keys.response_serial())
            .timeout(left);
        let sent_at_ms = self.0.clock.now_ms();
        let received = match request.send().await {
            Ok(response) => HttpAnswer::read(response).await,
            Err(error) => Err(error),
        };
        self.watch(host, sent_at_ms, received.as_ref().err());
        Ok((keys, received))
    }

    /// A request to one host, signed by the merchant's key, and how long it may still take.
    ///
    /// # Errors
    /// [`NotSent`], also when the deadline is over once it is signed.
    async fn signed(
        &self,
        outgoing: Outgoing,
        host: Host,
        keys: &dyn CallKeys,
        deadline: &Deadline,
    ) -> Result<(reqwest::RequestBuilder, Duration), NotSent> {
        let signer = self.signer_by(keys, deadline).await?;
        let authorization = authorization(
            &signer,
            &self.0.mchid,
            &outgoing,
            self.0.clock.now(),
            &self.0.random.nonce(),
        )
        .await?;
        let http = self
            .0
            .http
            .get_or_try_init(|| async { build_client() })
            .await?;
        let left = deadline.left();
        if left.is_zero() {
            return Err(NotSent::TooLate);
        }
        let request = self.request(http, host, outgoing);
        Ok((request.header("authorization", authorization), left))
    }

    fn request(
        &self,
        http: &reqwest::Client,
        host: Host,
        outgoing: Outgoing,
    ) -> reqwest::RequestBuilder {
        let base = match host {
            Host::Main => &self.0.hosts.main,
            Host::Backup => &self.0.hosts.backup,
        };
        let method = match outgoing.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        http.request(method, format!("{base}{}", outgoing.path_and_query))
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .body(outgoing.body)
    }

    /// Tells the host's breaker how a call went. A broken connection proves nothing: WeChat Pay
    /// closes idle ones, and a request that is sent into that moment is lost with a host that is
    /// well.
    fn watch(&self, host: Host, sent_at_ms: i64, error: Option<&reqwest::Error>) {
        let answered = match error {
            None => true,
            Some(error) if error.is_connect() || error.is_timeout() => false,
            Some(_) => return,
        };
        let seen = CallReport {
            sent_at_ms,
            at_ms: self.0.clock.now_ms(),
            answered,
        };
        // The lock is released before the log needs it.
        let turn = self.failover().record(host, seen);
        match turn {
            Some(BreakerEvent::Opened { unanswered, of }) => {
                warn!(
                    ?host,
                    unanswered,
                    of,
                    HostsAvoided = self.hosts_avoided(),
                    "a host of WeChat Pay does not answer: the other is asked first"
                );
            }
            Some(BreakerEvent::Closed) => info!(
                ?host,
                HostsAvoided = self.hosts_avoided(),
                "a host of WeChat Pay answers again"
            ),
            None => {}
        }
    }

    /// Tells the log that no answer came. The error is one without its URL, whose path names an
    /// order.
    fn tell_unanswered(&self, host: Host, error: &reqwest::Error) {
        warn!(
            ?host,
            cause = causes::of_no_answer(error),
            %error,
            WechatCallsFailed = 1,
            HostsAvoided = self.hosts_avoided(),
            "WeChat Pay did not answer"
        );
    }

    /// The signer, when it is its turn.
    async fn signer_by(
        &self,
        keys: &dyn CallKeys,
        deadline: &Deadline,
    ) -> Result<MerchantSigner, NotSent> {
        if let Some(signatures) = &self.0.kms_signatures {
            self.wait_for(signatures, deadline).await?;
        }
        Ok(keys.signer(&self.0.sign_with).await?)
    }

    /// Takes a token, and waits until it is valid. It does not wait if less than [`CALL_MIN`] would
    /// be left: a host without enough time to answer would be blamed for the time spent here.
    async fn wait_for(&self, bucket: &Mutex<Bucket>, deadline: &Deadline) -> Result<(), NotSent> {
        let now_ms = self.0.clock.now_ms();
        let wait_max = deadline.left().saturating_sub(CALL_MIN);
        let wait_ms_max = i64::try_from(wait_max.as_millis()).unwrap_or(i64::MAX);
        let wait_ms = bucket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(now_ms, wait_ms_max)
            .ok_or(NotSent::Busy)?;
        if wait_ms > 0 {
            debug!(wait_ms, "a call is held back to keep to the limits");
            self.0.clock.sleep(millis(wait_ms)).await;
        }
        Ok(())
    }

    fn failover(&self) -> MutexGuard<'_, Failover> {
        self.0
            .failover
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Verifies and parses the answer. An unknown serial reloads the keys once: WeChat Pay may have
    /// rotated them. Every call other than a query (`asks`) is logged: without WeChat Pay's
    /// `Request-ID` nothing can be disputed.
    async fn verify_and_parse<C: Call>(
        &self,
        keys: &dyn CallKeys,
        received: &HttpAnswer,
        asks: bool,
    ) -> CallOutcome<C::Answer> {
        let now = self.0.clock.now();
        let read = |keys: &wechatpay::verify::VerificationKeys| {
            read_answer::<C>(
                received.status,
                received.headers.clone(),
                &received.body,
                keys,
                now,
            )
        };
        let answer = match read(keys.verification()) {
            Err(CallFailure::Unverified(VerifyError::UnknownSerial { serial, .. })) => {
                match self.0.keys.refreshed(&serial).await {
                    Ok(keys) => read(keys.verification()),
                    // The call was made, but its result is unknown without keys.
                    Err(error) => return CallOutcome::Unknown(error.to_string()),
                }
            }
            answer => answer,
        };
        let request_id = received
            .request_id
            .as_ref()
            .map_or("none", RequestId::as_str);
        let status = received.status;
        match answer {
            Ok(value) => {
                if asks {
                    debug!(
                        wechat_request_id = request_id,
                        status, "WeChat Pay answered"
                    );
                } else {
                    info!(
                        wechat_request_id = request_id,
                        status,
                        WechatCallsDone = 1,
                        "WeChat Pay did what it was asked"
                    );
                }
                CallOutcome::Done(value)
            }
            Err(CallFailure::Refused(refusal)) => {
                // Told here, since any call may be the first that meets it.
                if let Some(what_to_do) = refusal.what_to_do() {
                    error!(
                        wechat_request_id = request_id,
                        %refusal,
                        what_to_do,
                        cause = causes::of_persons(&refusal),
                        WechatCallsFailed = 1,
                        MerchantRefusals = causes::is_of_merchant(&refusal).then_some(1),
                        "WeChat Pay refuses the merchant, and not this request alone"
                    );
                } else {
                    // A refusal caused by the request itself is not a failure of the call.
                    let cause = causes::of_passing(&refusal);
                    warn!(
                        wechat_request_id = request_id,
                        %refusal,
                        cause,
                        WechatCallsFailed = cause.map(|_| 1),
                        "WeChat Pay refused"
                    );
                }
                CallOutcome::Refused(refusal.told_under(received.request_id.clone()))
            }
            Err(CallFailure::Unverified(error)) => {
                let cause = error.name();
                // A probe is WeChat Pay's test of our verification. Anything else is a problem of a
                // key, the clock or an attacker in between, and makes every further answer fail
                // too.
                if matches!(error, VerifyError::Probe { .. }) {
                    warn!(wechat_request_id = request_id, cause, %error, WechatCallsFailed = 1, "an answer was not believed");
                } else {
                    error!(
                        wechat_request_id = request_id,
                        cause,
                        %error,
                        what_to_do = "see which of WeChat Pay's keys is missing here, whether our clock is right, and what lies between WeChat Pay and us",
                        WechatCallsFailed = 1,
                        AnswersUnverified = 1,
                        "an answer was not believed"
                    );
                }
                CallOutcome::Unknown(cause.to_owned())
            }
            Err(CallFailure::Unreadable(error)) => {
                warn!(
                    wechat_request_id = request_id,
                    %error,
                    cause = "unreadable",
                    WechatCallsFailed = 1,
                    "a verified answer could not be read"
                );
                CallOutcome::Unreadable(error)
            }
        }
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

/// Milliseconds as a duration; zero if negative.
fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
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
