//! What each call shows about its host.

use tracing::{info, warn};

use super::breaker::{BreakerEvent, CallReport};
use super::measured::{CallResult, MeasuredCall};
use super::{Host, HostChoice, WechatApi, causes};

impl WechatApi {
    /// Reports the result of a call to the host's breaker. A broken connection proves nothing:
    /// WeChat Pay closes idle ones, and a request that is sent at that moment is lost although the
    /// host works.
    pub(super) fn watch(&self, host: Host, sent_at_ms: i64, error: Option<&reqwest::Error>) {
        match self.0.host_choice {
            HostChoice::ByHealth => {}
            HostChoice::MainAlways => return,
        }
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
                    host = host.name(),
                    state = "avoided",
                    unanswered,
                    of,
                    HostsAvoided = self.hosts_avoided(),
                    HostStateChanges = 1,
                    "a host of WeChat Pay does not answer: the other is asked first"
                );
            }
            Some(BreakerEvent::Closed) => info!(
                host = host.name(),
                state = "used",
                HostsAvoided = self.hosts_avoided(),
                HostStateChanges = 1,
                "a host of WeChat Pay answers again"
            ),
            None => {}
        }
    }

    /// Logs that no answer came. The error is one without its URL, whose path names an order.
    pub(super) fn log_unanswered(&self, call: MeasuredCall, error: &reqwest::Error) {
        warn!(
            interface = call.interface.name(),
            host = call.host.name(),
            outcome = CallResult::NoAnswer.name(),
            WechatCallMs = call.took_ms,
            cause = causes::of_no_answer(error),
            %error,
            WechatCallsFailed = 1,
            HostsAvoided = self.hosts_avoided(),
            "WeChat Pay did not answer"
        );
    }
}
