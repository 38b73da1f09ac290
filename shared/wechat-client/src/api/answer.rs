//! Verifying and reading an answer, and what the log says of it.

use payments::news::call_outcome::CallOutcome;
use runtime::{call_keys::CallKeys, telemetry::emf::HELD};
use tracing::{debug, error, info, warn};
use wechatpay::{
    RequestId,
    api::{Call, CallFailure, read_answer},
    verify::VerifyError,
};

use super::measured::{CallResult, Effect, MeasuredCall};
use super::wire::HttpAnswer;
use super::{WechatApi, causes};

impl WechatApi {
    /// Verifies and parses the answer. An unknown serial reloads the keys once: WeChat Pay may have
    /// rotated them. Every call that changes something is logged, here or where its change is
    /// stored: without WeChat Pay's `Request-ID` nothing can be disputed.
    pub(super) async fn verify_and_parse<C: Call>(
        &self,
        keys: &dyn CallKeys,
        received: &HttpAnswer,
        call: MeasuredCall,
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
                    Err(error) => {
                        call.hold(CallResult::Unverified);
                        return CallOutcome::Unknown(error.to_string());
                    }
                }
            }
            answer => answer,
        };
        let request_id = received
            .request_id
            .as_ref()
            .map_or("none", RequestId::as_str);
        let status = received.status;
        let (interface, host) = (call.interface.name(), call.host.name());
        match answer {
            Ok(value) => {
                match Effect::of(call.interface) {
                    Effect::Nothing => {
                        call.hold(CallResult::Done);
                        debug!(
                            wechat_request_id = request_id,
                            status, "WeChat Pay answered"
                        );
                    }
                    Effect::Prepay => {
                        call.hold(CallResult::Done);
                        info!(target: HELD, WechatCallsDone = 1);
                    }
                    Effect::Change => info!(
                        wechat_request_id = request_id,
                        status,
                        interface,
                        host,
                        outcome = CallResult::Done.name(),
                        WechatCallMs = call.took_ms,
                        WechatCallsDone = 1,
                        "WeChat Pay did what it was asked"
                    ),
                }
                CallOutcome::Done(value)
            }
            Err(CallFailure::Refused(refusal)) => {
                // Logged here, since any call may be the first that meets it.
                if let Some(what_to_do) = refusal.what_to_do() {
                    error!(
                        wechat_request_id = request_id,
                        %refusal,
                        what_to_do,
                        interface,
                        host,
                        outcome = CallResult::of_refusal(&refusal).name(),
                        WechatCallMs = call.took_ms,
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
                        interface,
                        host,
                        outcome = CallResult::of_refusal(&refusal).name(),
                        WechatCallMs = call.took_ms,
                        cause,
                        WechatCallsFailed = cause.map(|_| 1),
                        "WeChat Pay refused"
                    );
                }
                CallOutcome::Refused(refusal.with_request_id(received.request_id.clone()))
            }
            Err(CallFailure::Unverified(error)) => {
                let cause = error.name();
                // A probe is WeChat Pay's test of our verification. Anything else is a problem of a
                // key, the clock or an attacker in between, and makes every further answer fail
                // too.
                if matches!(error, VerifyError::Probe { .. }) {
                    warn!(
                        wechat_request_id = request_id,
                        interface,
                        host,
                        outcome = CallResult::Unverified.name(),
                        WechatCallMs = call.took_ms,
                        cause,
                        %error,
                        WechatCallsFailed = 1,
                        "an answer was not believed"
                    );
                } else {
                    error!(
                        wechat_request_id = request_id,
                        interface,
                        host,
                        outcome = CallResult::Unverified.name(),
                        WechatCallMs = call.took_ms,
                        cause,
                        %error,
                        what_to_do = "find out which of WeChat Pay's keys is missing here, whether our clock is right, and which proxies are between WeChat Pay and us",
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
                    interface,
                    host,
                    outcome = CallResult::Unreadable.name(),
                    WechatCallMs = call.took_ms,
                    cause = "unreadable",
                    WechatCallsFailed = 1,
                    "a verified answer could not be read"
                );
                CallOutcome::Unreadable(error)
            }
        }
    }
}
