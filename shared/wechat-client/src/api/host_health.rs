//! What each call tells about its host.

use tracing::{info, warn};

use super::breaker::{BreakerEvent, CallReport};
use super::{Host, WechatApi, causes};

impl WechatApi {
    /// Tells the host's breaker how a call went. A broken connection proves nothing: WeChat Pay
    /// closes idle ones, and a request that is sent into that moment is lost with a host that is
    /// well.
    pub(super) fn watch(&self, host: Host, sent_at_ms: i64, error: Option<&reqwest::Error>) {
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
    pub(super) fn tell_unanswered(&self, host: Host, error: &reqwest::Error) {
        warn!(
            ?host,
            cause = causes::of_no_answer(error),
            %error,
            WechatCallsFailed = 1,
            HostsAvoided = self.hosts_avoided(),
            "WeChat Pay did not answer"
        );
    }
}
