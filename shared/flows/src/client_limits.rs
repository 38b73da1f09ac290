//! How many requests each client's key may send, so that a noisy client cannot take the functions,
//! tables and WeChat Pay's quotas from the others.
//!
//! **Whose limit.** A request counts once its signature is verified: one that only names another
//! client's key is refused before that, and uses up nothing of that client's limit. Checking the
//! limit before the signature would save some microseconds and show strangers how busy a client is.
//! A replayed request does count, since it costs as much as any other; recording one takes access
//! inside the client's TLS.
//!
//! **One limit over all sandboxes.** Each sandbox counts for itself, and after every hundredth of
//! the limit adds what it has counted to one item of the guards table, which returns the sum of
//! all. So a client costs one write for each hundredth of its limit that it uses. What a sandbox
//! has not added when a window ends it adds in a later one, and it begins with some piece of a part
//! by chance. So the sum is right on average, however many sandboxes share a client's requests.
//! With slow answers there may be a thousand, each of which sees two requests in a window. In a
//! single window the sum is off by about a tenth then, and by less with fewer sandboxes.
//!
//! **Never slower.** The write runs beside what the request does anyway, and its answer counts for
//! the requests after it. If it fails or takes long, the client is let through: a count that cannot
//! be read is no reason to refuse payments.
//!
//! Each function counts for itself, so that a client that reads an order too often can still create
//! orders.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use stores::guards::{Guards, RequestCount};
use tracing::warn;
use wechatpay::UnixSeconds;

use runtime::clock::Clock;

use crate::{
    authenticate::Caller,
    problem::{ErrorChain, Problem},
};

/// How long a window is, in seconds: short, since a client over its limit waits for the end, and
/// long enough for sandboxes to share their counts.
const WINDOW_S: i64 = 10;
/// The parts of the limit in which a sandbox adds to the common count.
const PARTS: i64 = 100;
/// How long a count is kept after its window, in seconds: clocks may differ.
const KEPT_S: i64 = 60;
/// How long a request waits at most for its counting, whose answer counts for later ones.
const COUNTED_WITHIN: Duration = Duration::from_millis(500);

/// Holds each client's key to its limit at one function. Clones share what was counted.
#[derive(Clone, Debug)]
pub struct ClientLimits {
    guards: Guards,
    clock: Clock,
    function: &'static str,
    requests_per_s: u32,
    counted: Arc<Mutex<HashMap<String, Counted>>>,
}

/// What this sandbox has counted of a key. Only of keys whose signature was verified, so there are
/// no more of them than clients have.
#[derive(Debug)]
struct Counted {
    /// Requests that were not added to the common count yet.
    not_added: i64,
    /// The window in which the common count has reached the limit, if it is the present one.
    used_up_in: Option<i64>,
}

/// Requests that are to be added to the common count.
struct Part<'a> {
    caller: &'a Caller,
    window: i64,
    requests: i64,
    requests_per_s: u32,
}

impl ClientLimits {
    /// At `function`, with this limit for keys that have none of their own.
    pub fn new(guards: Guards, clock: Clock, function: &'static str, requests_per_s: u32) -> Self {
        Self {
            guards,
            clock,
            function,
            requests_per_s,
            counted: Arc::default(),
        }
    }

    /// Does what an authenticated request asks for, unless its key has used up its limit. Counting
    /// runs beside it, and holds its answer up for half a second at most.
    ///
    /// # Errors
    /// [`Problem::too_many_requests`]: then nothing was done. Or that of `work`.
    pub async fn within<T>(
        &self,
        caller: &Caller,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        match self.count(caller)? {
            None => work.await,
            Some(part) => {
                let (worked, added) =
                    futures_util::join!(work, tokio::time::timeout(COUNTED_WITHIN, self.add(part)));
                if added.is_err() {
                    let keyid = caller.keyid.as_str();
                    warn!(
                        keyid,
                        "requests of a client were not counted in time: it is let through"
                    );
                }
                worked
            }
        }
    }

    /// Counts a request here. Returns what must be added to the common count, if anything.
    fn count<'a>(&self, caller: &'a Caller) -> Result<Option<Part<'a>>, Problem> {
        let requests_per_s = caller.requests_per_s.unwrap_or(self.requests_per_s);
        let now = self.clock.now();
        let number = now.0.div_euclid(WINDOW_S);
        let part = (limit(requests_per_s) / PARTS).max(1);
        let mut keys = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = keys.entry(caller.keyid.clone()).or_insert_with(|| Counted {
            // Anything below a part: the millisecond at which this sandbox met the key.
            not_added: self.clock.now_ms().rem_euclid(part),
            used_up_in: None,
        });
        if counted.used_up_in == Some(number) {
            let retry_after_s = ends_at(number).since(now);
            return Err(Problem::too_many_requests(requests_per_s, retry_after_s));
        }
        counted.not_added = counted.not_added.saturating_add(1);
        if counted.not_added < part {
            return Ok(None);
        }
        Ok(Some(Part {
            caller,
            window: number,
            requests: std::mem::take(&mut counted.not_added),
            requests_per_s,
        }))
    }

    /// Adds requests to the common count, and remembers here if that has reached the limit. Only
    /// the sandbox whose write reaches it logs that: once for each window, however many requests
    /// are refused.
    async fn add(&self, part: Part<'_>) {
        let Part {
            caller,
            window,
            requests,
            requests_per_s,
        } = part;
        let keyid = caller.keyid.as_str();
        let of = RequestCount {
            function: self.function,
            keyid,
            window,
        };
        let expires_at = UnixSeconds(ends_at(window).0.saturating_add(KEPT_S));
        let total = match self.guards.count_requests(&of, requests, expires_at).await {
            Ok(total) => total,
            Err(error) => {
                warn!(keyid, error = %ErrorChain(&error), "requests of a client were not counted: it is let through");
                return;
            }
        };
        let limit = limit(requests_per_s);
        if total < limit {
            return;
        }
        if total.saturating_sub(requests) < limit {
            warn!(
                keyid,
                client_id = caller.client_id.as_str(),
                function = self.function,
                requests_per_s,
                ClientsLimited = 1,
                "a client has used up its limit: it is answered 429 until the window of 10 s ends"
            );
        }
        let mut keys = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counted) = keys.get_mut(keyid) {
            counted.used_up_in = Some(window);
        }
    }
}

/// How many requests a key may send in a window.
fn limit(requests_per_s: u32) -> i64 {
    i64::from(requests_per_s).saturating_mul(WINDOW_S)
}

fn ends_at(window: i64) -> UnixSeconds {
    UnixSeconds(window.saturating_add(1).saturating_mul(WINDOW_S))
}
